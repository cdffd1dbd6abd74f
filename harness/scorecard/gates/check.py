"""Checks gates on a scorecard: finds their rows, judges each, and takes the worst."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from ...api.item_key import ItemKey
from ...api.scorecard import Estimate, GateResult, JudgedRow, Row, Scorecard
from ..counterparts import Counterparts
from ..names import COSTS, EXACT
from .family import correct_family
from .gate import Gate
from .judgement import Judgement, Threshold, require_samples
from .shortfall import explain_shortfall, require_scores
from .verdict import VERDICTS, judge_outcome

if TYPE_CHECKING:
    from ...statistics import Difference

_ALLOW = "allow_mismatch: true"


@dataclass(frozen=True, slots=True)
class _Judged:
    """A judged row.

    ``asks``: what was asked of its number, or of its ``difference`` to the ``baseline``'s value.
    ``unlike``: what differs between the two runs besides the model, in words, if the gate allows it.
    """

    row: Row
    judgement: Judgement
    difference: Difference | None = None
    baseline: float | None = None
    asks: Threshold | None = None
    unlike: tuple[str, ...] = ()


def check_gates(gates: Iterable[Gate], scorecard: Scorecard, baseline: Scorecard | None = None) -> tuple[GateResult, ...]:
    """Check all gates on a scorecard. ``baseline``: the run to compare with."""
    return tuple(check_gate(gate, scorecard, baseline) for gate in gates)


def check_gate(gate: Gate, scorecard: Scorecard, baseline: Scorecard | None = None, /) -> GateResult:
    """Check a gate on all of its rows; the worst verdict decides. A gate without any row is ``missing``.

    Raises `ConfigError` if no row can have the gate's number.
    """
    judged = _judge_rows(gate, scorecard, baseline)
    if not judged:
        what = gate.nothing((row.model, row.item, row.name) for row in scorecard.rows)
        return GateResult(gate.title, "missing", judge_outcome(gate, "missing"), what, gate.tier, entry=gate.to_entry())
    if gate.is_family:
        corrected = correct_family([each.judgement for each in judged])
        judged = [replace(each, judgement=judgement) for each, judgement in zip(judged, corrected, strict=True)]
    # By the outcome where the tier makes verdicts equal: the worst row is the one to name.
    order = [(VERDICTS.index(judge_outcome(gate, j.judgement.outcome)), _rank(j.judgement.outcome)) for j in judged]
    worst = judged[order.index(max(order))].judgement.outcome
    details = [f"{_name_row(gate, each.row)}{each.judgement.detail}" for each in _select_told(gate, judged, worst)]
    passed = sum(each.judgement.outcome == "pass" for each in judged)
    summary = [f"{passed:,} of {len(judged):,} rows pass"] if gate.is_family else []
    details += list_cautions(scorecard, dict.fromkeys(each.row.key.task for each in judged))
    rows = tuple(map(_describe_row, judged))
    found = (f"{each.row.model}/{each.row.item}: different {', '.join(each.unlike)}" for each in judged if each.unlike)
    mismatches = tuple(dict.fromkeys(found))
    detail = "; ".join(summary + details)
    return GateResult(gate.title, worst, judge_outcome(gate, worst), detail, gate.tier, rows, mismatches, gate.to_entry())


def list_cautions(scorecard: Scorecard, tasks: Iterable[str], /) -> list[str]:
    """Return the sentences about limits of the data of tasks, such as a part of a data set without one of its classes."""
    data = scorecard.manifest.get("data", {})
    return list(dict.fromkeys(caution for task in tasks for caution in data.get(task, {}).get("cautions", ())))


def _rank(outcome: str) -> int:
    return ("pass", "inconclusive", "no_data", "missing", "fail").index(outcome)


def _select_told(gate: Gate, judged: list[_Judged], worst: str) -> list[_Judged]:
    """Return the rows that the detail names: all, or those with the worst outcome among many."""
    told = [each for each in judged if each.judgement.outcome == worst] if gate.is_family else judged
    return told[:10]


def _judge_rows(gate: Gate, scorecard: Scorecard, baseline: Scorecard | None) -> list[_Judged]:
    rows = gate.find_rows(scorecard)
    rows += _make_absent_rows(gate, scorecard, {(row.model, row.item) for row in rows})
    for measure in (scorecard.measures[row.metric] for row in rows if row.metric in scorecard.measures and not row.control):
        gate.require_possible((measure.low, measure.high))
    if gate.threshold is not None:
        judged = [_judge_threshold(gate, row, scorecard) for row in rows]
    elif baseline is None:
        reason = "there is no baseline to compare with; pass one with --baseline, or name it in the suite"
        judged = [_Judged(row, Judgement("missing", reason)) for row in rows]
    else:
        counterparts = Counterparts(scorecard, baseline)
        judged = [_judge_drop(gate, row, counterparts, (baseline, scorecard)) for row in rows if not _is_passed_over(gate, row)]
        judged += [
            _Judged(row, Judgement("missing", "the baseline has this number, and the run has not"), baseline=row.estimate.value)
            for row in gate.find_rows(baseline)
            if not _is_passed_over(gate, row) and counterparts.lacks(row)
        ]
    return judged


def _judge_threshold(gate: Gate, row: Row, card: Scorecard) -> _Judged:
    asks, is_exact = gate.threshold, row.name in EXACT
    assert asks is not None
    judgement = asks.judge(row.estimate, is_exact=is_exact, is_share=not row.unit)
    if not asks.is_on_samples:
        judgement = require_scores(judgement, explain_shortfall(row, card, card.max_unscored), keeps_fail=is_exact or asks.part is None)
    return _Judged(row, require_samples(judgement, row.estimate.n, gate.min_n), asks=asks)


def _judge_drop(gate: Gate, row: Row, counterparts: Counterparts, cards: tuple[Scorecard, Scorecard]) -> _Judged:
    """Judge the change of a row. ``cards``: the baseline and the run."""
    assert gate.drop is not None
    other = counterparts.find(row)
    if other is None:
        return _Judged(row, Judgement("missing", counterparts.explain_lack(row)))
    base = other.estimate.value
    if row.estimate.value is None or base is None:
        where, e = ("", row.estimate) if row.estimate.value is None else ("the baseline is ", other.estimate)
        return _Judged(row, Judgement("no_data", f"{where}not scored: {e.reason or 'no samples'}"))
    if row.higher_is_better is None:
        return _Judged(row, Judgement("no_data", "neither direction of this number is better, so that it has no drop"))
    unlike = tuple(counterparts.list_differences(other, row))
    if unlike and not gate.allow_mismatch:
        reason = f"the baseline cannot be compared: different {', '.join(unlike)}; '{_ALLOW}' compares the samples that both have"
        return _Judged(row, Judgement("no_data", reason), baseline=base)
    difference = _compare(row, other)
    judgement = gate.drop.judge(difference, base, row.higher_is_better, is_exact=row.name in EXACT)
    most, (before, after) = cards[1].max_unscored, cards
    in_baseline = explain_shortfall(other, before, most)
    shortfall = explain_shortfall(row, after, most) or (in_baseline and f"in the baseline, {in_baseline}")
    judgement = require_scores(judgement, shortfall, keeps_fail=True)
    judgement = require_samples(judgement, difference.n, gate.min_n)
    return _Judged(row, judgement, difference, base, gate.drop.ask(base, row.higher_is_better), unlike)


def _compare(row: Row, other: Row) -> Difference:
    """Return the row's number minus the baseline's, paired by sample; that of counts as it is."""
    from ...statistics import Difference, compare_evidence, get_evidence

    first, second = get_evidence(row), get_evidence(other)
    if first is not None and second is not None:
        return compare_evidence(first, second)
    value, base = row.estimate.value, other.estimate.value
    if row.name in EXACT and value is not None and base is not None:
        return Difference(value - base, n=row.estimate.n)
    return Difference(None, reason="the samples behind this number are not known in both runs, so that they cannot be paired")


def _is_passed_over(gate: Gate, row: Row) -> bool:
    """Tell whether a pattern that matches many rows leaves out this one, which has no better direction."""
    return "*" in gate.metric and row.higher_is_better is None


def _make_absent_rows(gate: Gate, scorecard: Scorecard, present: set[tuple[str, str]]) -> list[Row]:
    """Return rows for items whose kind can have the row but that do not have it.

    A missing count is 0. Any other missing number has no value.
    """
    if "*" in gate.metric or gate.slice or gate.slices:
        return []
    estimate = Estimate(0.0) if gate.metric in COSTS else Estimate(None, reason="no sample of this item has this number")
    stem = gate.metric.partition("[")[0]
    return [
        Row(i["model"], ItemKey.from_json(i["key"]), stem, "efficiency",
            replace(estimate, n=i["num_samples"] if gate.metric in COSTS else 0))
        for i in scorecard.manifest.get("items", ())
        if gate.concerns(i["model"], i["item"])
        and (i["model"], i["item"]) not in present
        and stem in scorecard.row_names.get(i["kind"], () if "*" in gate.item else (stem,))
    ]  # fmt: skip


def _name_row(gate: Gate, row: Row) -> str:
    """Return the beginning of a row's detail: what distinguishes it from the gate's other rows."""
    if gate.is_family:
        return f"{row.model}/{row.item}.{row.name}: "
    return f"{row.model}: " if gate.model is None or "*" in gate.model else ""


def _describe_row(judged: _Judged) -> JudgedRow:
    row, d, e, asks = judged.row, judged.difference, judged.row.estimate, judged.asks
    numbers = (e.value, e.low, e.high, e.n) if d is None else (d.value, d.low, d.high, d.n)
    if d is None and judged.baseline is not None:
        numbers = (None, None, None, e.n)  # nothing was compared: the number of one side is no difference
    if asks is not None and asks.part in ("n", "n_unscored"):
        numbers = (float(e.n if asks.part == "n" else e.n_unscored), None, None, e.n)
    outcome, detail = judged.judgement.outcome, judged.judgement.detail
    threshold, op, part = (None, "", "") if asks is None else (asks.number, asks.op, asks.part or "")
    return JudgedRow(row.model, row.item, row.name, outcome, *numbers, threshold, detail, judged.baseline, op, part)
