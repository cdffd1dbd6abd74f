"""Rows and gates of an item that ends as soon as its gates are decided (``stop: decided``).

The number of samples then depends on the answers, so that intervals for a fixed number of samples do not hold. The rows
get intervals that hold after every sample (`statistics.sequential`), or at each of a few fixed looks (`statistics.fixed_looks`).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from ...api.scorecard import Row, Scorecard
from ...statistics import get_evidence
from ...statistics.fixed_looks import find_tails, list_looks, mean_at_look
from ...statistics.intervals import Interval
from ...statistics.sequential import mean_at_any_time
from .check import check_gate
from .gate import Gate

_BOUNDS = (None, "low", "high")


@dataclass(frozen=True, slots=True)
class Stage:
    """How far an item is that may end early.

    ``num``: the number of its samples with records. ``planned``: that of all. ``num_looks``: the fixed looks; 0: after every sample.
    """

    num: int = 0
    planned: int = 0
    num_looks: int = 0

    @property
    def is_look(self) -> bool:
        """Whether the item may end here."""
        return not self.num_looks or self.num in list_looks(self.planned, self.num_looks)

    @property
    def tail(self) -> float:
        """The probability with which a bound may miss at the last fixed look; before the first, that of the first; 0 without looks."""
        if not self.num_looks:
            return 0.0
        num_passed = sum(look <= self.num for look in list_looks(self.planned, self.num_looks))
        return find_tails(self.num_looks)[max(0, num_passed - 1)]


ANY_TIME = Stage()
"""The stage of an item that may end after every sample."""


def select_decisive(gates: Iterable[Gate], model: str, item: str, num_looks: int, /) -> list[Gate]:
    """Return the gates on an item that further samples can decide: those on an interval or a bound.

    ``num_looks``: as of `Stage`. Without fixed looks, an item with a gate against a baseline has none: it runs to its last sample, because
    a difference has an interval for a fixed number of samples or at fixed looks only.
    """
    about = [gate for gate in gates if gate.concerns(model, item)]
    if not num_looks and any(gate.drop is not None for gate in about):
        return []
    return [gate for gate in about if is_on_interval(gate)]


def is_on_interval(gate: Gate, /) -> bool:
    """Tell whether a gate judges an interval or a bound, so that it may be decided early."""
    return not gate.is_family and (gate.threshold is None or gate.threshold.part in _BOUNDS)


def are_decided(gates: Sequence[Gate], card: Scorecard, baseline: Scorecard | None = None, /) -> bool:
    """Tell whether all gates on an item pass or fail. ``card``: has the item and its rows (`bound_early`)."""
    if not gates or any(not any(gate.names(row.name, row.slice) for row in card.rows) for gate in gates):
        return False
    return all(check_gate(gate, card, baseline).outcome in ("pass", "fail") for gate in gates)


def bound_early(row: Row, stage: Stage, /) -> Row:
    """Return the row with an interval that holds although the item may end early, or with the reason why it has none.

    ``row``: with its evidence. A row without evidence is a count, which is exact. ``stage``: that of its item.
    """
    evidence = get_evidence(row)
    if evidence is None or not len(evidence.ids_N):
        return row
    scores = evidence.statistic.per_sample(evidence.columns, evidence.labels)
    if scores is None or scores.low is None or scores.high is None:
        found = Interval(None, None, "the item may end early, and this kind of number has an interval for a fixed number of samples only")
    elif stage.num_looks:
        interval = mean_at_look(scores.values_N, scores.low, scores.high, stage.tail, evidence.groups)
        say = f"the interval holds at {stage.num_looks} fixed looks, because the item may end at one of them"
        found = replace(interval, reason="; ".join(filter(None, [interval.reason, say])))
    elif any(group is not None for group in evidence.groups):
        found = Interval(None, None, "the item may end early, and samples in groups have an interval for a fixed number of samples only")
    else:
        interval = mean_at_any_time(scores.values_N, scores.low, scores.high)
        say = "the interval holds at any number of samples, because the item may end when its gates are decided"
        found = replace(interval, reason=say)
    reason = "; ".join(filter(None, [found.reason, row.estimate.reason]))
    estimate = replace(row.estimate, low=found.low, high=found.high, reason=reason)
    return replace(row, estimate=estimate, evidence=replace(evidence, tail=stage.tail))
