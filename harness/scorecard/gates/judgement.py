"""Judges one number against a threshold, or its change against a baseline."""

from __future__ import annotations

import math
import operator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from ...api.numerals import format_interval, format_number
from ...api.scorecard import Estimate

if TYPE_CHECKING:
    from ...statistics import Difference

_OPERATORS = {">=": operator.ge, "<=": operator.le, ">": operator.gt, "<": operator.lt}


@dataclass(frozen=True, slots=True)
class Judgement:
    """The outcome of a gate on one number.

    ``outcome``: pass, fail, inconclusive, no_data or missing. ``detail``: a sentence with the numbers.
    ``p_value``: of a fail, the probability of a number this bad if the truth were at the threshold, computed from the
        bound next to the threshold as if errors were normal; 0 for a number that is compared as it is.
    """

    outcome: str
    detail: str
    p_value: float = 0.0


@dataclass(frozen=True, slots=True)
class Threshold:
    """A condition ``OP NUMBER`` on an estimate or a part of it.

    ``part``: value, low, high, n or n_unscored; None for the whole interval. ``op``: ``>=``, ``<=``, ``>`` or ``<``.
    """

    part: str | None
    op: str
    number: float

    @property
    def is_on_samples(self) -> bool:
        """Whether it is about the number of samples, not about their scores."""
        return self.part in ("n", "n_unscored")

    def judge(self, e: Estimate, /, *, is_exact: bool = False, is_share: bool = True) -> Judgement:
        """Judge an estimate. ``is_exact``: whether it is a count, whose value is compared. ``is_share``: whether scores lie in [0, 1]."""
        if self.is_on_samples:
            count = e.n if self.part == "n" else e.n_unscored
            return Judgement("pass" if self._holds(count) else "fail", f"{self.part} is {count:,}")
        if e.value is None:
            return Judgement("no_data", f"not scored: {e.reason or 'no samples'}")
        shown = _describe(e)
        if self.part is not None or is_exact:
            value = {"low": e.low, "high": e.high}.get(self.part or "", e.value)
            if value is None:
                reason = f", {e.reason}" if e.reason else ""
                return Judgement("no_data", f"{shown}: there is no {self.part} bound{reason}")
            return Judgement("pass" if self._holds(value) else "fail", shown)
        if e.low is None or e.high is None:
            reason = e.reason or "there is no interval"
            return Judgement("inconclusive", f"{shown}: {reason}; .value compares the number alone")
        sides = {self._holds(e.low), self._holds(e.high)}
        with_unscored = {self._holds(bound) for bound in _with_unscored(e)} if is_share else set()
        if len(sides) == 1 and len(sides | with_unscored) == 2:
            return Judgement("inconclusive", f"{shown}, and these could change it: samples that fail are seldom like the others")
        if sides == {True}:
            return Judgement("pass", shown)
        if sides == {False}:
            near = e.high if self.op in (">=", ">") else e.low
            return Judgement("fail", shown, find_p_value(e.value, near, self.number))
        from ...statistics import samples_to_decide

        more = samples_to_decide(e, self.number)
        advice = f"about {more:,} samples would decide it" if more else "no number of samples decides it while the value is just that"
        return Judgement("inconclusive", f"{shown}: {self.number:g} lies inside the interval; {advice}")

    def _holds(self, value: float) -> bool:
        return bool(_OPERATORS[self.op](value, self.number))


@dataclass(frozen=True, slots=True)
class Drop:
    """The largest allowed change for the worse against a baseline: a decrease, or a rise where lower is better.

    ``most``: in the unit of the number. ``relative``: as a share of the baseline's value. With both, the smaller counts.
    """

    most: float | None = None
    relative: float | None = None

    def allow(self, baseline: float, /) -> float:
        """Return the allowed change. ``baseline``: the baseline's value."""
        shares = [] if self.relative is None else [self.relative * abs(baseline)]
        return min([*shares, *([] if self.most is None else [self.most])])

    def ask(self, baseline: float, higher_is_better: bool, /) -> Threshold:
        """Return what it asks of the difference to a baseline's value."""
        allowed = self.allow(baseline)
        return Threshold(None, ">=", -allowed) if higher_is_better else Threshold(None, "<=", allowed)

    def judge(self, difference: Difference, baseline: float, higher_is_better: bool, /, *, is_exact: bool = False) -> Judgement:
        """Judge a paired difference to the baseline: pass if its whole interval is better than the allowed change.

        ``difference``: candidate minus baseline. ``baseline``: the baseline's value.
        ``is_exact``: whether it is a difference of counts, whose value is compared.
        """
        d, allowed = difference, self.allow(baseline)
        if d.value is None:
            return Judgement("no_data", d.reason or "there is no difference to the baseline")
        verb = "drop" if higher_is_better else "rise"
        changed = " ".join(filter(None, [format_number(d.value, "+"), format_interval(d.low, d.high, "+")]))
        shown = f"{changed} against the baseline's {format_number(baseline)}, may {verb} by {format_number(allowed)}, n = {d.n:,}"
        value, low, high = (d.value, d.low, d.high) if higher_is_better else (-d.value, _negate(d.high), _negate(d.low))
        if is_exact:
            return Judgement("pass" if value >= -allowed else "fail", shown)
        if low is None or high is None:
            return Judgement("inconclusive", f"{shown}: {d.reason or 'there is no interval'}")
        if low >= -allowed:
            return Judgement("pass", shown)
        if high < -allowed:
            return Judgement("fail", shown, find_p_value(value, high, -allowed))
        from ...statistics import samples_to_decide

        more = samples_to_decide(Estimate(value, low, high, d.n), -allowed)
        advice = f"; about {more:,} samples would decide it" if more else ""
        return Judgement("inconclusive", f"{shown}: the interval holds both more and less than that{advice}")


def require_samples(judgement: Judgement, n: int, least: int, /) -> Judgement:
    """Leave a gate open that has fewer scored samples than its ``min_n``. ``n``: the samples. ``least``: the required ones."""
    if n >= least or judgement.outcome == "no_data":
        return judgement
    return replace(judgement, outcome="inconclusive", detail=f"{judgement.detail}: 'min_n' requires {least:,} samples")


def find_p_value(value: float, near: float, threshold: float, /) -> float:
    """Return the one-sided p-value of a value whose interval excludes the threshold.

    ``near``: the bound of the 95 % interval next to the threshold, at which the p-value is 2.5 %.
    """
    from ...statistics.intervals import Z

    if near == value:
        return 0.0
    return 0.5 * math.erfc(Z * (threshold - value) / (near - value) / math.sqrt(2))


def _describe(e: Estimate) -> str:
    shown = " ".join(filter(None, [format_number(e.value), format_interval(e.low, e.high)]))
    return f"{shown}, n = {e.n:,}" + (f", {e.n_unscored:,} not scored" if e.n_unscored else "")


def _with_unscored(e: Estimate) -> tuple[float, ...]:
    """Return the bounds of a share if all unscored samples counted 0, and if all counted 1; empty for other numbers."""
    if not e.n_unscored or e.low is None or e.high is None or e.low < 0 or e.high > 1:
        return ()
    total = e.n + e.n_unscored
    return e.low * e.n / total, (e.high * e.n + e.n_unscored) / total


def _negate(bound: float | None) -> float | None:
    return None if bound is None else -bound
