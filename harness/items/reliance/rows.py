"""Rows about the words that carry predictions, and a flag for words that act like planted ones.

A planted word makes a model predict a class that is not the label. For each carrier and its class, ``overpredicted``
is the share of the samples with the word that are wrongly predicted as the class, beyond the share expected without
the word:

    s (p - q)

s is the share of the samples with the word whose label is another class. p and q are the rates at which samples of
other classes are predicted as this class, with and without the word. A model that predicts the class too often on all
samples has p near q, and a word that is valid evidence for its class has a small s. Samples with another
overpredicted word are excluded, because several words may be planted at once.

For a known q, the number is a mean over the samples with the word, which includes the sampling error of s. Its
interval (`means.effective_mean`) is widened by the interval of q (Zou & Donner 2008, doi:10.1002/sim.3095).
``max_overpredicted`` is the largest value of all carriers. Its intervals hold for all carriers together (Bonferroni),
so that they stay valid although the largest is selected. The flag is about the samples of this run only, for which s
is known exactly.

Shape legend: N samples.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from ...api.samples import Record
from ...api.scorecard import Estimate, Row
from ...scorecard.columns import Mask, Table
from ...scorecard.controls import make_difference_row
from ...scorecard.mean_rows import make_mean_row
from ...scorecard.names import RELIANCE
from ...statistics.groups import Groups
from ...statistics.intervals import TAIL
from ...statistics.means import FEW_GROUPS, effective_mean
from ...store import Store, StoredItem
from .records import LEAST_SAMPLES, read_word_records

PLANTED = 0.1
"""A word is flagged if the lower bound of its overprediction exceeds this, which it does not for ordinary words."""

Floats = NDArray[np.float64]


def make_reliance_rows(item: StoredItem, table: Table) -> list[Row]:
    """Return the rows of the scores, and their differences between carriers and random words."""
    rows = [make_mean_row(item, table, score, metric, "interpretability", None, optional=True) for score, metric in RELIANCE.items()]
    for score in ("correct_without", "changed_without"):
        metric = RELIANCE[f"{score}_carriers"]
        rows.append(make_difference_row(item, table, f"{score}_carriers", f"{score}_random", metric, None, control="random"))
    return rows


@dataclass(frozen=True, slots=True)
class Carrier:
    """A word with the class that it carries, over N samples.

    ``called_N``: 1 if the class is predicted, else 0, float [N].
    ``other_N``: whether the label is another class, bool [N].
    ``has_N``: whether the sample has the word, bool [N].
    """

    called_N: Floats
    other_N: Mask
    has_N: Mask

    def halves(self, among_N: Mask) -> tuple[Mask, Mask]:
        """Return the masks of the samples of other classes with and without the word, within ``among_N``, bool [N]."""
        return among_N & self.other_N & self.has_N, among_N & self.other_N & ~self.has_N

    def weight(self, among_N: Mask) -> float:
        """Return s: the share of the samples with the word, within ``among_N``, that have another class."""
        return float(self.other_N[among_N & self.has_N].mean())

    def point(self, among_N: Mask) -> float | None:
        """Return s (p - q) within ``among_N``; None for too few samples to compare."""
        with_N, without_N = self.halves(among_N)
        if (among_N & self.has_N).sum() < LEAST_SAMPLES or not with_N.any() or not without_N.any():
            return None
        return self.weight(among_N) * float(self.called_N[with_N].mean() - self.called_N[without_N].mean())

    def excess(self, among_N: Mask, groups: Groups, tail: float, *, of_these: bool = False) -> Estimate:
        """Estimate s (p - q).

        It is the mean over the samples with the word of ``called_N`` - q if they have another class, and of 0 if not.

        ``among_N``: the samples to use, bool [N].
        ``groups``: their groups.
        ``tail``: the error probability of each bound of the interval.
        ``of_these``: whether s refers to these samples and is exact, rather than to the population.
        """
        has_N, (with_N, without_N) = among_N & self.has_N, self.halves(among_N)
        num = int(has_N.sum())
        if not num:
            return Estimate(None, reason="no sample has the word without another overpredicted one")
        if not without_N.any():
            reason = "no sample of another class is without the word, so that there is nothing to hold it against"
            return Estimate(None if with_N.any() else 0.0, n=num, reason=reason)
        base, weight = float(self.called_N[without_N].mean()), self.weight(among_N)
        part_N, scale = (with_N, weight) if of_these else (has_N, 1.0)
        excess_N = np.where(self.other_N, self.called_N - base, 0.0)[part_N]
        value = scale * float(excess_N.mean()) if len(excess_N) else 0.0
        found = effective_mean(excess_N, -base, 1 - base, groups.among(part_N)) if len(excess_N) else None
        base_found = effective_mean(self.called_N[without_N], 0.0, 1.0, groups.among(without_N))
        if found is None or base_found is None:
            return Estimate(value, n=num, reason=f"too few to bound: {FEW_GROUPS}")
        (low, high), (base_low, base_high) = found.bounds(tail), base_found.bounds(tail)
        below = math.hypot(value - scale * low, weight * (base_high - base))
        above = math.hypot(scale * high - value, weight * (base - base_low))
        return Estimate(value, value - below, value + above, num)


@dataclass(frozen=True, slots=True)
class Overpredictions:
    """The overprediction of each carrier, by its name.

    ``alone``: with separate intervals.
    ``together``: with simultaneous intervals.
    ``here``: with simultaneous intervals, for the samples of this run only.
    """

    alone: Mapping[str, Estimate]
    together: Mapping[str, Estimate]
    here: Mapping[str, Estimate]


@dataclass(frozen=True, slots=True)
class WordUse:
    """The carriers of an item. ``carried``: one row per carrier. ``over``: the overprediction of each."""

    item: StoredItem
    carried: Sequence[Row]
    over: Overpredictions

    @classmethod
    def of(cls, store: Store, item: StoredItem) -> WordUse:
        """Compute the rows and the overpredictions from the item's records."""
        shares = Table.of(read_word_records(store, item, "carried"), None)
        carried = [
            make_mean_row(item, shares, name, "carried", "interpretability", None, optional=True, about=name) for name in shares.columns
        ]
        return cls(item, carried, compute_overpredictions(store.join(item, {"overpredicted", "called"})))

    def rows(self) -> Iterable[Row]:
        """Yield the rows ``carried`` and ``overpredicted`` of each carrier, and ``max_overpredicted``."""
        yield from _sort_by_class(self.carried)
        yield from _sort_by_class([self._make_row("overpredicted", estimate, about=name) for name, estimate in self.over.alone.items()])
        if self.over.together:
            yield self._make_row("max_overpredicted", find_largest(self.over.together.values()), False)

    def _make_row(self, metric: str, estimate: Estimate, higher_is_better: bool | None = None, about: str = "") -> Row:
        return Row(self.item.model, self.item.key, metric, "interpretability", estimate, higher_is_better, about=about)

    def flags(self) -> Iterable[str]:
        """Yield a sentence for each word whose overprediction is significantly above `PLANTED`, the largest first."""
        for name, estimate in sorted(self.over.here.items(), key=lambda pair: -(pair[1].value or 0.0)):
            if estimate.low is not None and estimate.low > PLANTED:
                label, _, word = name.rpartition(": ")
                yield (
                    f"{self.item.model}/{self.item.item}: of the {estimate.n:,} samples with the word {word!r}, {estimate.value:.0%} are "
                    f"wrongly called {label!r} that would not be without it (surely {estimate.low:.0%}): it acts as a planted word does."
                )


def compute_overpredictions(rows: Iterable[tuple[Record, object, str | None]], /) -> Overpredictions:
    """Compute the overprediction of each carrier. ``rows``: (record, target, group) for each sample."""
    carriers, groups = _collect_carriers(rows)
    suspects = _find_suspects(carriers)
    alone, together, here = {}, {}, {}
    for name, carrier in carriers.items():
        others = [carriers[other].has_N for other in suspects if other != name]
        among_N = ~np.logical_or.reduce(others) if others else np.ones_like(carrier.has_N)
        alone[name] = carrier.excess(among_N, groups, TAIL)
        together[name] = carrier.excess(among_N, groups, TAIL / len(carriers))
        here[name] = carrier.excess(among_N, groups, TAIL / len(carriers), of_these=True)
    return Overpredictions(alone, together, here)


def _collect_carriers(rows: Iterable[tuple[Record, object, str | None]]) -> tuple[dict[str, Carrier], Groups]:
    """Return the carriers by name, over the N samples with a known class, and the groups of these samples."""
    known = [
        (called, frozenset(record.artifacts.get("overpredicted") or ()), group)
        for record, _, group in rows
        if (called := record.artifacts.get("called")) is not None
    ]
    groups = [group for *_, group in known]
    found = {}
    for name in sorted({name for _, names, _ in known for name in names}):
        label = name.rpartition(": ")[0]
        called_N = np.array([called.get(label, 0.0) for called, *_ in known], dtype=np.float64)
        other_N, has_N = (
            np.array(mask, dtype=bool) for mask in zip(*((label in called, name in names) for called, names, _ in known), strict=True)
        )
        found[name] = Carrier(called_N, other_N, has_N)
    return found, Groups.of(len(known), groups if any(group is not None for group in groups) else ())


def _find_suspects(carriers: Mapping[str, Carrier]) -> list[str]:
    """Return the overpredicted words, the worst first; each is measured on the samples without a worse word."""
    found: list[str] = []
    left_N = np.ones_like(next(iter(carriers.values())).has_N) if carriers else np.ones(0, dtype=bool)
    while True:
        by_excess = [(excess, name) for name, c in carriers.items() if name not in found and (excess := c.point(left_N)) is not None]
        worst = max(by_excess, default=(0.0, ""))
        if worst[0] <= PLANTED:
            return found
        found.append(worst[1])
        left_N &= ~carriers[worst[1]].has_N


def find_largest(estimates: Iterable[Estimate]) -> Estimate:
    """Return the estimate of the largest value.

    ``estimates``: estimates with simultaneous intervals. The largest true value then lies between the largest lower
    bound and the largest upper bound.
    """
    given = list(estimates)
    scored = [e for e in given if e.value is not None]
    if not scored:
        return given[0]
    first = max(scored, key=lambda e: e.value or 0.0)
    lows, highs = [e.low for e in scored if e.low is not None], [e.high for e in scored if e.high is not None]
    return replace(first, low=max(lows, default=None), high=max(highs, default=None))


def _sort_by_class(rows: Iterable[Row]) -> list[Row]:
    """Sort rows by class, and within a class by decreasing value."""
    return sorted(rows, key=lambda row: (row.about.rpartition(": ")[0], -(row.estimate.value or 0.0), row.about))
