"""The meaning of each row: a title, a sentence and a direction, for the page, ``windtunnel show`` and the docs.

`measures.yaml` contains the table. It does not contain the metrics of tasks, which their docstrings explain
(`measure_of`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from ..api.scorecard import Measure, Row
from ..data.yaml_lines import load_file
from .names import RATE, Bounds, get_kind

_DIRECTIONS = {"higher": True, "lower": False, "neither": None}

_BOUNDS: Mapping[str, Bounds] = {
    **dict.fromkeys(("rate", "rate corrected for a judge", "mean in [0, 1]"), RATE),
    **dict.fromkeys(("kappa", "mean in [-1, 1]"), (-1.0, 1.0)),
    **dict.fromkeys(("", "median", "geometric mean"), (0.0, None)),
}  # fmt: skip
"""The smallest and the largest value of a row, by its kind (`names.get_kind`); other kinds have no bounds."""


def _load_measures() -> dict[str, Measure]:
    table, _ = load_file(Path(__file__).with_suffix(".yaml"))

    def make(name: str, facts: Mapping[str, str]) -> Measure:
        kind = get_kind(name)
        return Measure(facts["title"], facts["meaning"], _DIRECTIONS[facts["better"]], kind, *_BOUNDS.get(kind, (None, None)))

    return {name: make(name, facts) for name, facts in table.items()}


MEASURES: Mapping[str, Measure] = _load_measures()
"""The meaning of each row, by `Row.metric`."""

_CONTROLS: Mapping[str, tuple[str, str]] = {
    "random": ("random control", "Control: for the same values in a random order."),
    "randomised": ("randomised control", "Control: for the explanation of the same model with its weights drawn anew."),
    "minus_random": ("minus random control", "Difference to the random control, paired by sample."),
    "minus_randomised": ("minus randomised control", "Difference to the control with a randomised model, paired by sample."),
    "between_seeds": ("between seeds", "Between repetitions with other seeds."),
    "of_prediction": ("of the new class", "Between the sample's explanation and the twin's for its new class."),
}
"""A phrase and a sentence for each `Row.control`, except ``with_NAME``, which compares with the probe NAME."""

_WITH = "with_"


def title_of(row: Row, measures: Mapping[str, Measure], /) -> str:
    """Return the row's title, such as ``Rank correlation of explanations, random control (label_flipped)``.

    ``measures``: the known measures, by `Row.metric`. Without one, the title is the row's name.
    """
    measure = measures.get(row.metric)
    if measure is None:
        return row.name
    control = f"with {row.control.removeprefix(_WITH)}" if row.control.startswith(_WITH) else _CONTROLS.get(row.control, ("", ""))[0]
    title = ", ".join(filter(None, [measure.title, control]))
    return f"{title}{f': {row.about}' if row.about else ''}{f' ({row.slice})' if row.slice else ''}"


def explain(row: Row, measures: Mapping[str, Measure], /) -> str:
    """Return the sentences that explain a row's measure, control and slice; empty if the measure is unknown."""
    measure = measures.get(row.metric)
    if measure is None:
        return ""
    is_with = row.control.startswith(_WITH)
    control = f"With the explanations of {row.control.removeprefix(_WITH)}." if is_with else _CONTROLS.get(row.control, ("", ""))[1]
    over = f"Over the samples of the slice {row.slice}." if row.slice else ""
    return " ".join(filter(None, [measure.explanation, control, over]))


def add_direction(row: Row, measures: Mapping[str, Measure], /) -> Row:
    """Return the row with the direction of its measure. A control has none, because it serves as a comparison."""
    measure = measures.get(row.metric)
    if measure is None or row.higher_is_better is not None:
        return row
    if row.control == "between_seeds":
        return replace(row, higher_is_better=True)
    return replace(row, higher_is_better=measure.higher_is_better) if row.control.partition("_")[0] in ("", "minus") else row


def measure_of(
    name: str, docstring: str, higher_is_better: bool | None, /, title: str = "", kind: str = "", bounds: Bounds = (None, None)
) -> Measure:
    """Return the measure of a metric.

    ``title``: by default the name in words.
    ``docstring``: its first paragraph is the explanation.
    ``kind``: the kind of number (`Measure.kind`).
    ``bounds``: its smallest and largest value.
    """
    paragraph = " ".join(docstring.strip().split("\n\n")[0].split())
    return Measure(title or name.replace("_", " ").capitalize(), paragraph, higher_is_better, kind, *bounds)
