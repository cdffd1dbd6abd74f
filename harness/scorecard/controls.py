"""Compares scores with their controls: rows with paired differences, and flags for methods that are no better.

The interval of the mean of paired differences is valid, while the intervals of two separate means do not show whether
they differ. A method is flagged unless it is shown to be better than a random order. If it is only as good as random,
the flag is missing in at most 2.5 % of runs.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace

import numpy as np

from .. import statistics
from ..api.samples import seed_of
from ..api.scorecard import Estimate, Row
from ..metrics.scores import column_mean
from ..statistics import Evidence
from ..statistics.intervals import CONFIDENCE
from ..store import StoredItem
from .columns import Mask, Table
from .names import BETWEEN_CLASSES, CONTROLS

_UNBOUNDED = frozenset({"complexity", "effective_parts", "infidelity", "max_sensitivity"})
_CORRELATIONS = ("rank_correlation", "randomised_rank_correlation", "cascading_rank_correlation")
_HEADLINES = ("comprehensiveness", "aopc")
"""Scores in which a method must be better than a random order. The first computed one decides."""
_STAYED = frozenset({"flipped_explanation_unmoved", "rank_correlation[label_flipped]", "top_overlap[label_flipped]"})
_ALIKE = 0.5
BLIND = 0.8
"""If the maps of two classes of one input correlate at least this much, the method does not depend on the class.

The threshold of maps that stay when the label flips (`items.shift.kind.UNMOVED`) is the same.
"""


def make_difference_row(
    item: StoredItem, table: Table, score: str, beside: str, metric: str, higher_is_better: bool | None, among_N: Mask | None = None, /, *,
    control: str, slice: str = "",
) -> Row:  # fmt: skip
    """Return the row of the mean difference between a score and its control, over the samples that have both.

    ``item``, ``table``: the item and its records as columns.
    ``score``, ``beside``: the columns of the score and of its control.
    ``metric``, ``higher_is_better``, ``slice``: fields of the `Row`.
    ``among_N``: the records to use, bool [N]; None for all.
    ``control``: the control's name, such as ``random``.
    """
    over_N = np.ones(table.num, dtype=bool) if among_N is None else among_N
    both_N = over_N & table.given(score) & table.given(beside)
    real, other = (table.values(name, both_N).astype(float) for name in (score, beside))
    span = _span(score)
    if span is not None and real.size and float(np.abs(real - other).max()) > span:
        span = None  # a plugin's score may exceed the bounds of its name
    low = None if span is None else 0.0
    found = statistics.paired_mean_difference(real, other, low, span, table.groups(both_N))
    estimate = Estimate(found.value, found.low, found.high, found.n, int((over_N & table.failed_N).sum()), found.reason)
    mean = column_mean("difference", None if span is None else -span, span)
    evidence = Evidence(
        mean, "difference", {"difference": real - other}, (), table.ids(both_N), table.groups(both_N), estimate.n_unscored,
        seed_of(item.seed, f"{score}_minus_{control}"),
    )  # fmt: skip
    return Row(
        item.model, item.key, metric, "interpretability", estimate, higher_is_better, slice=slice, control=f"minus_{control}",
        evidence=evidence,
    )  # fmt: skip


def make_control_rows(item: StoredItem, table: Table, scores: Mapping[str, bool | None], /) -> Iterable[Row]:
    """Yield a row with the difference between each score and each of its controls.

    ``scores``: whether higher is better (None for neither), by score.
    """
    for score, higher in scores.items():
        for control in CONTROLS:
            if score in table.columns and f"{score}{control}" in table.columns:
                yield make_difference_row(item, table, score, f"{score}{control}", score, higher, control=control[1:])


def _span(score: str) -> float | None:
    """Return the largest possible difference between two values of a score on one sample; None if it is unbounded.

    Two drops of a probability start from the same value, so that they differ by at most 1.
    """
    if score in _UNBOUNDED:
        return None
    return 2.0 if score.startswith(_CORRELATIONS) else 1.0


def make_control_flags(item: StoredItem, rows: Iterable[Row], /) -> Iterable[str]:
    """Yield a sentence for each failed check of a probe.

    A probe fails if it is not shown to be better than chance, if its explanations stay similar after the model's
    weights are randomised, or if it explains all classes alike. ``rows``: all rows of the run.
    """
    own = {row.name: row.estimate for row in rows if (row.model, row.key) == (item.model, item.key)}
    yield from (f"{item.model}/{item.item}: {sentence}" for sentence in _write_sentences(item, own))


def add_cautions(rows: Iterable[Row], /) -> list[Row]:
    """Return the rows, with a caution on maps that stay when the label flips if the method ignores the class."""
    rows = list(rows)
    blind = {(row.model, row.key) for row in rows if row.metric == BETWEEN_CLASSES and _is_blind(row.estimate)}
    return [_add_caution(row) if row.name in _STAYED and (row.model, row.key) in blind else row for row in rows]


def _add_caution(row: Row) -> Row:
    why = "; ".join(filter(None, [row.estimate.reason, "the method is blind to the class, so that this is no finding about the model"]))
    return replace(row, estimate=replace(row.estimate, reason=why))


def _is_blind(between: Estimate | None) -> bool:
    return between is not None and between.value is not None and between.value >= BLIND


def _write_sentences(item: StoredItem, own: Mapping[str, Estimate]) -> Iterable[str]:
    """Yield a sentence for each failed check. ``own``: the item's estimates by the name of the row."""
    headline = next((name for name in _HEADLINES if f"{name}_minus_random" in own), "")
    if headline and (gained := own[f"{headline}_minus_random"]).value is not None and not (gained.low or 0.0) > 0:
        yield _describe_no_better(headline, gained, bool(item.facts.get("starts_from")))
    alike = own.get("randomised_rank_correlation")
    if alike is not None and alike.value is not None and alike.value > _ALIKE:
        yield f"with its weights drawn anew the model is explained much alike (rank correlation {_format(alike)})."
    between = own.get(BETWEEN_CLASSES)
    if between is not None and _is_blind(between):
        yield (
            f"the method is blind to the class: it explains two classes of one input much alike (rank correlation {_format(between)}). "
            "It says what the model looks at and not what for; that its map stays where the label flips (flipped_explanation_unmoved) is "
            "no finding about the model."
        )


def _describe_no_better(headline: str, gained: Estimate, starts_from_neutral: bool) -> str:
    how = {"comprehensiveness": "comprehensive than random ones", "aopc": "telling than a random order (aopc)"}[headline]
    another = " They start from a neutral input, which is a choice: try another 'baseline'." if starts_from_neutral else ""
    if gained.high is not None and gained.high < 0:
        return f"the attributions are less {how}: the difference is {_format(gained)}. They do not explain this model.{another}"
    return (
        f"the attributions are not shown to be more {how}: the difference is {_format(gained)}, n = {gained.n:,}. "
        f"As far as is known they do not explain this model.{another}"
    )


def _format(estimate: Estimate) -> str:
    bounds = (
        "no interval" if estimate.low is None or estimate.high is None else f"{CONFIDENCE:.0%}: {estimate.low:.3g} to {estimate.high:.3g}"
    )
    return f"{estimate.value:.3g} ({bounds})"
