"""``scorecard.html``: the scorecard as a self-contained page."""

from __future__ import annotations

import base64
import hashlib
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.resources import files
from typing import Any

from jinja2 import Environment, FunctionLoader, StrictUndefined

from ..harness.api.report import Report
from ..harness.api.scorecard import Row, Scorecard
from ..harness.api.visible_text import make_visible
from . import display
from .explorer import LEVELS, encode_samples

_NAME_LIMIT = 2_000
_STYLES = ("scorecard.css", "explorer.css")
_SCRIPTS = ("drawing.js", "explorer.js")

_DIMENSIONS = {
    "quality": "How well the model performs its tasks.",
    "calibration": "Whether the model's confidence matches its accuracy.",
    "robustness": "How well the model performs under attack, by the task's own scoring.",
    "safety": "Whether the model does what it should not do.",
    "interpretability": "Whether explanations show what the model uses. Each score has two controls: the score of a random "
    "explanation (_random), and of the same method on the model with randomised weights (_randomised).",
    "efficiency": "The computational cost of the answers.",
}


class Html(Report):
    """Write the scorecard as one self-contained page, with an explorer of its samples.

    All text in a scorecard is hostile. The template escapes every value; samples are JSON that the script
    only puts into text nodes; the page's policy allows only its own script and style sheet, by their hashes.
    """

    suffix = "scorecard.html"

    def render(self, scorecard: Scorecard, /) -> str:
        style = "\n".join(map(_read_asset, _STYLES))
        # One block: the scripts share names, and leave none on the window.
        script = '"use strict";\n{\n' + "\n".join(map(_read_asset, _SCRIPTS)) + "}\n"
        environment = Environment(
            loader=FunctionLoader(_read_asset), autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True,
            keep_trailing_newline=True, finalize=_finalize,
        )  # fmt: skip
        return environment.get_template("scorecard.html.j2").render(
            card=scorecard,
            policy=_make_policy(style, script),
            style=style,
            script=script,
            samples=encode_samples(scorecard.samples),
            sections=_make_sections(scorecard),
            figures=_list_figures(scorecard),
            levels=LEVELS,
            show=display,
        )


def _read_asset(name: str) -> str:
    """Return the text of a file in ``assets``."""
    return (files(__package__) / "assets" / name).read_text("utf-8")


def _make_policy(style: str, script: str) -> str:
    """Return the page's Content Security Policy, which allows only this style, this script and data images."""
    allowed = (f"style-src {_hash(style)}", f"script-src {_hash(script)}", "img-src data:")
    return "; ".join(("default-src 'none'", *allowed, "base-uri 'none'", "form-action 'none'"))


def _hash(text: str) -> str:
    """Return the source expression that allows exactly this inline text."""
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"


def _finalize(value: Any) -> Any:
    """Make text visible and clip it. Markup that the template marks as safe is unchanged."""
    if isinstance(value, str) and not hasattr(value, "__html__"):
        return display.clip(make_visible(value), _NAME_LIMIT)
    return value


def _list_figures(scorecard: Scorecard) -> list[tuple[str, str]]:
    """Return (name, value) of the counts below the headline."""
    tasks, programs = display.list_tasks_and_programs(scorecard)
    gates = Counter(gate.verdict for gate in scorecard.gates)
    return [
        ("models", f"{len(display.list_models(scorecard)):,}"),
        ("tasks", f"{len(tasks):,}"),
        ("attacks and probes", f"{len(programs):,}"),
        ("samples", f"{scorecard.num_samples:,}"),
        ("failed samples", f"{scorecard.num_failed:,}"),
        ("gates passed", f"{gates['pass']:,} of {len(scorecard.gates):,}" if scorecard.gates else "none"),
    ]


@dataclass(frozen=True, slots=True)
class Bar:
    """The position of an estimate on its scale, in percent of the scale's length.

    value: position of the value.
    low, high: positions of the interval's bounds.
    zero: position of 0 if the scale has negative values; else None.
    scale: the scale in words, e.g. ``0.000 to 1.000``.
    """

    value: float
    low: float
    high: float
    zero: float | None
    scale: str


@dataclass(frozen=True, slots=True)
class Line:
    """A row of a table with its bar, if it has an interval."""

    row: Row
    bar: Bar | None


@dataclass(frozen=True, slots=True)
class Section:
    """A section of the page about one dimension.

    anchor: id of the section's element.
    title: name of the dimension.
    caption: what the dimension measures.
    groups: (model, item, lines) of each model and item.
    """

    anchor: str
    title: str
    caption: str
    groups: list[tuple[str, str, list[Line]]]


def _make_sections(scorecard: Scorecard) -> list[Section]:
    """Return a section per dimension. ``efficiency`` has one if there are timings, even without rows."""
    dimensions = display.group_by_dimension(scorecard)
    if scorecard.timing:
        dimensions.setdefault("efficiency", [])
    sections = []
    for position, (dimension, rows) in enumerate(dimensions.items(), 1):
        groups: dict[tuple[str, str], list[Line]] = {}
        peers: dict[str, list[Row]] = {}
        for row in rows:
            peers.setdefault(display.scale(row), []).append(row)
        for row in rows:
            groups.setdefault((row.model, row.item), []).append(Line(row, _make_bar(row, peers[display.scale(row)])))
        listed = [(model, item, lines) for (model, item), lines in groups.items()]
        sections.append(Section(f"dimension-{position}", dimension.capitalize(), _DIMENSIONS.get(dimension, ""), listed))
    return sections


def _make_bar(row: Row, peers: Sequence[Row]) -> Bar | None:
    """Return the bar of a row; None if the row has no interval.

    row: the row.
    peers: rows on the same scale, including the row.
    """
    estimate = display.make_finite(row.estimate)
    if estimate.value is None or estimate.low is None or estimate.high is None:
        return None
    start, stop = _scale(peers)
    value, low, high, zero = (100 * (point - start) / (stop - start) for point in (estimate.value, estimate.low, estimate.high, 0.0))
    return Bar(value, low, high, zero if start < 0 else None, f"{display.number(start)} to {display.number(stop)}")


def _scale(rows: Sequence[Row]) -> tuple[float, float]:
    """Return the ends of the scale of some rows.

    The scale is 0 to 1 for rates and -1 to 1 for correlations. Otherwise it covers 0 and all values and bounds.
    """
    estimates = [display.make_finite(row.estimate) for row in rows]
    points = [point for estimate in estimates for point in (estimate.value, estimate.low, estimate.high) if point is not None]
    start, stop = min(0.0, *points), max(0.0, *points)
    if start >= -1 and stop <= 1 and not any(row.unit for row in rows):
        return (-1.0 if start < 0 else 0.0), 1.0
    return start, (stop if stop > start else start + 1.0)
