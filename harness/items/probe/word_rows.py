"""What the words that carry predictions are worth, as rows and as a sentence that announces a planted one.

A planted word makes a model predict a class that is not the label. So of each carrier and its class, ``overpredicted`` is the share of the
samples with the word that are wrongly called the class, beyond what they would be without it: s (p - q), with s the share of its samples
that are of another class, and p and q the rates at which samples of other classes are called this one, with the word and without. A model
that says "positive" too often of everything does not say it of the word, and a word that is right to speak for its class has a small s.
Samples that have another overpredicted word are left out on both sides, for several words may be planted at once.

The two rates are of different samples; their difference has the interval that Zou & Donner (2008, doi:10.1002/sim.3095) make of both rates'
own. ``max_overpredicted`` is the largest of all carriers', with intervals that hold for all of them together (Bonferroni), so that picking
the largest deceives nobody.

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
from ...scorecard.controls import difference_row
from ...scorecard.mean_rows import mean_row
from ...scorecard.names import RELIANCE, minus
from ...statistics.groups import Groups
from ...statistics.intervals import TAIL
from ...statistics.means import FEW_GROUPS, effective_mean
from ...store import Store, StoredItem
from .reliance import LEAST_SAMPLES, of_words

PLANTED = 0.1
"""A word is announced that is overpredicted by surely more than this: honest models lean on a word by less."""

Floats = NDArray[np.float64]


def reliance_rows(item: StoredItem, table: Table) -> list[Row]:
    rows = [mean_row(item, table, score, metric, "interpretability", None, optional=True) for score, metric in RELIANCE.items()]
    for score in ("correct_without", "changed_without"):
        metric = minus(RELIANCE[f"{score}_carriers"], "_random")
        rows.append(difference_row(item, table, f"{score}_carriers", f"{score}_random", metric, None))
    return rows


@dataclass(frozen=True, slots=True)
class Carrier:
    """A word with the class that it carries. ``called_N``: whether the class is predicted. ``other_N``: whether the label is another one.
    ``has_N``: whether the sample has the word."""

    called_N: Floats
    other_N: Mask
    has_N: Mask

    def halves(self, among_N: Mask) -> tuple[Mask, Mask]:
        """The samples of other classes, among these, that have the word, and that have it not."""
        return among_N & self.other_N & self.has_N, among_N & self.other_N & ~self.has_N

    def weight(self, among_N: Mask) -> float:
        """Which share of the samples that have the word is of other classes."""
        return float(self.other_N[among_N & self.has_N].mean())

    def point(self, among_N: Mask) -> float | None:
        with_N, without_N = self.halves(among_N)
        if (among_N & self.has_N).sum() < LEAST_SAMPLES or not with_N.any() or not without_N.any():
            return None
        return self.weight(among_N) * float(self.called_N[with_N].mean() - self.called_N[without_N].mean())

    def excess(self, among_N: Mask, groups: Groups, tail: float) -> Estimate:
        """``tail``: the share of draws in which the interval may lie wholly on one side of the truth."""
        num, halves = int((among_N & self.has_N).sum()), self.halves(among_N)
        if not num:
            return Estimate(None, reason="no sample has the word without another overpredicted one")
        if not halves[0].any():
            return Estimate(0.0, n=num, reason="no interval: all samples that have the word are of the class")
        if not halves[1].any():
            return Estimate(
                None, n=num, reason="no sample of another class is without the word, so that there is nothing to hold it against"
            )
        rate, base = (float(self.called_N[half_N].mean()) for half_N in halves)
        weight = self.weight(among_N)
        found = [effective_mean(self.called_N[half_N], 0.0, 1.0, groups.among(half_N)) for half_N in halves]
        if found[0] is None or found[1] is None:
            return Estimate(weight * (rate - base), n=num, reason=f"too few to bound: {FEW_GROUPS}")
        (low, high), (base_low, base_high) = found[0].bounds(tail), found[1].bounds(tail)
        below, above = math.hypot(rate - low, base_high - base), math.hypot(high - rate, base - base_low)
        return Estimate(weight * (rate - base), weight * (rate - base - below), weight * (rate - base + above), num)


@dataclass(frozen=True, slots=True)
class WordUse:
    """An item's words. ``carried``: a row a carrier. ``alone``, ``together``: how far each is overpredicted, with an interval of its own,
    and with intervals that hold for all of them at once."""

    item: StoredItem
    carried: Sequence[Row]
    alone: Mapping[str, Estimate]
    together: Mapping[str, Estimate]

    @classmethod
    def of(cls, store: Store, item: StoredItem) -> WordUse:
        shares = Table.of(of_words(store, item, "carried"), None)
        carried = [mean_row(item, shares, name, f"carried[{name}]", "interpretability", None, optional=True) for name in shares.columns]
        return cls(item, carried, *overpredictions(store.joined(item, {"overpredicted", "called"})))

    def rows(self) -> Iterable[Row]:
        yield from _by_class(self.carried)
        yield from _by_class([self._row(f"overpredicted[{name}]", estimate) for name, estimate in self.alone.items()])
        if self.together:
            yield self._row("max_overpredicted", _largest(self.together.values()), False)

    def _row(self, metric: str, estimate: Estimate, higher_is_better: bool | None = None) -> Row:
        return Row(self.item.model, self.item.item, metric, "interpretability", estimate, higher_is_better)

    def flags(self) -> Iterable[str]:
        """A sentence for each word that is surely overpredicted by more than `PLANTED`, the worst first."""
        for name, estimate in sorted(self.together.items(), key=lambda pair: -(pair[1].value or 0.0)):
            if estimate.low is not None and estimate.low > PLANTED:
                label, _, word = name.rpartition(": ")
                yield (
                    f"{self.item.model}/{self.item.item}: of the {estimate.n} samples with the word {word!r}, {estimate.value:.0%} are "
                    f"wrongly called {label!r} that would not be without it (surely {estimate.low:.0%}): it acts as a planted word does."
                )


def overpredictions(rows: Iterable[tuple[Record, object, str | None]], /) -> tuple[dict[str, Estimate], dict[str, Estimate]]:
    """How far each carrier is overpredicted, by its name: with intervals of their own, and with intervals that hold for all at once.

    ``rows``: records of word reliance with their samples' target and group."""
    carriers, groups = _carriers(rows)
    suspects = _suspects(carriers)
    alone, together = {}, {}
    for name, carrier in carriers.items():
        others = [carriers[other].has_N for other in suspects if other != name]
        among_N = ~np.logical_or.reduce(others) if others else np.ones_like(carrier.has_N)
        alone[name] = carrier.excess(among_N, groups, TAIL)
        together[name] = carrier.excess(among_N, groups, TAIL / len(carriers))
    return alone, together


def _carriers(rows: Iterable[tuple[Record, object, str | None]]) -> tuple[dict[str, Carrier], Groups]:
    """Over the samples of which it is known what they should be called, and their groups."""
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


def _suspects(carriers: Mapping[str, Carrier]) -> list[str]:
    """The overpredicted words, the worst first; each as it is without the samples that have a worse one."""
    found: list[str] = []
    left_N = np.ones_like(next(iter(carriers.values())).has_N) if carriers else np.ones(0, dtype=bool)
    while True:
        by_excess = [(excess, name) for name, c in carriers.items() if name not in found and (excess := c.point(left_N)) is not None]
        worst = max(by_excess, default=(0.0, ""))
        if worst[0] <= PLANTED:
            return found
        found.append(worst[1])
        left_N &= ~carriers[worst[1]].has_N


def _largest(estimates: Iterable[Estimate]) -> Estimate:
    """Of intervals that hold together: the largest truth lies between the largest lower and the largest upper bound."""
    given = list(estimates)
    scored = [e for e in given if e.value is not None]
    if not scored:
        return given[0]
    first = max(scored, key=lambda e: e.value or 0.0)
    lows, highs = [e.low for e in scored if e.low is not None], [e.high for e in scored if e.high is not None]
    return replace(first, low=max(lows, default=None), high=max(highs, default=None))


def _by_class(rows: Iterable[Row]) -> list[Row]:
    return sorted(rows, key=lambda row: (row.metric.rpartition(": ")[0], -(row.estimate.value or 0.0), row.metric))
