"""What the words that carry predictions are worth, as rows and as a sentence that announces a planted one.

A planted word makes a model predict a class that is not the label. So of each carrier and its class, ``overpredicted`` is the share of the
samples with the word that are wrongly called the class, beyond what they would be without it: s (p - q), with s the share of its samples
that are of another class, and p and q the rates at which samples of other classes are called this one, with the word and without. A model
that says "positive" too often of everything does not say it of the word, and a word that is right to speak for its class has a small s.
Samples that have another overpredicted word are left out on both sides, for several words may be planted at once.

Were q known, the number would be a mean over the samples with the word, whose s varies, too; its interval (`means.bounded_mean`) is widened
by that of q (Zou & Donner 2008, doi:10.1002/sim.3095). ``max_overpredicted`` is the largest of all carriers', with intervals that hold for
all of them together (Bonferroni), so that picking the largest deceives nobody. A flag speaks of these very samples, whose s is no guess.

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
from .records import LEAST_SAMPLES, of_words

PLANTED = 0.1
"""A word is announced that is overpredicted by surely more than this: honest models lean on a word by less."""

Floats = NDArray[np.float64]


def make_reliance_rows(item: StoredItem, table: Table) -> list[Row]:
    rows = [make_mean_row(item, table, score, metric, "interpretability", None, optional=True) for score, metric in RELIANCE.items()]
    for score in ("correct_without", "changed_without"):
        metric = RELIANCE[f"{score}_carriers"]
        rows.append(make_difference_row(item, table, f"{score}_carriers", f"{score}_random", metric, None, control="random"))
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

    def excess(self, among_N: Mask, groups: Groups, tail: float, *, of_these: bool = False) -> Estimate:
        """The mean over the samples that have the word of: predicted less q where they are of another class, else 0.

        ``tail``: the share of draws in which the interval may lie wholly on one side of the truth. ``of_these``: s is that of these very
        samples, and not one that they are drawn from."""
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
    """How far each carrier is overpredicted, by its name. ``alone``: with an interval of its own. ``together``: with intervals that hold
    for all at once. ``here``: these too, of these very samples."""

    alone: Mapping[str, Estimate]
    together: Mapping[str, Estimate]
    here: Mapping[str, Estimate]


@dataclass(frozen=True, slots=True)
class WordUse:
    """An item's words. ``carried``: a row a carrier. ``over``: how far each is overpredicted."""

    item: StoredItem
    carried: Sequence[Row]
    over: Overpredictions

    @classmethod
    def of(cls, store: Store, item: StoredItem) -> WordUse:
        shares = Table.of(of_words(store, item, "carried"), None)
        carried = [
            make_mean_row(item, shares, name, "carried", "interpretability", None, optional=True, about=name) for name in shares.columns
        ]
        return cls(item, carried, overpredictions(store.join(item, {"overpredicted", "called"})))

    def rows(self) -> Iterable[Row]:
        yield from _by_class(self.carried)
        yield from _by_class([self._row("overpredicted", estimate, about=name) for name, estimate in self.over.alone.items()])
        if self.over.together:
            yield self._row("max_overpredicted", largest(self.over.together.values()), False)

    def _row(self, metric: str, estimate: Estimate, higher_is_better: bool | None = None, about: str = "") -> Row:
        return Row(self.item.model, self.item.key, metric, "interpretability", estimate, higher_is_better, about=about)

    def flags(self) -> Iterable[str]:
        """A sentence for each word that is surely overpredicted by more than `PLANTED`, the worst first."""
        for name, estimate in sorted(self.over.here.items(), key=lambda pair: -(pair[1].value or 0.0)):
            if estimate.low is not None and estimate.low > PLANTED:
                label, _, word = name.rpartition(": ")
                yield (
                    f"{self.item.model}/{self.item.item}: of the {estimate.n} samples with the word {word!r}, {estimate.value:.0%} are "
                    f"wrongly called {label!r} that would not be without it (surely {estimate.low:.0%}): it acts as a planted word does."
                )


def overpredictions(rows: Iterable[tuple[Record, object, str | None]], /) -> Overpredictions:
    """``rows``: records of word reliance with their samples' target and group."""
    carriers, groups = _carriers(rows)
    suspects = _suspects(carriers)
    alone, together, here = {}, {}, {}
    for name, carrier in carriers.items():
        others = [carriers[other].has_N for other in suspects if other != name]
        among_N = ~np.logical_or.reduce(others) if others else np.ones_like(carrier.has_N)
        alone[name] = carrier.excess(among_N, groups, TAIL)
        together[name] = carrier.excess(among_N, groups, TAIL / len(carriers))
        here[name] = carrier.excess(among_N, groups, TAIL / len(carriers), of_these=True)
    return Overpredictions(alone, together, here)


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


def largest(estimates: Iterable[Estimate]) -> Estimate:
    """Of intervals that hold together: the largest truth lies between the largest lower and the largest upper bound."""
    given = list(estimates)
    scored = [e for e in given if e.value is not None]
    if not scored:
        return given[0]
    first = max(scored, key=lambda e: e.value or 0.0)
    lows, highs = [e.low for e in scored if e.low is not None], [e.high for e in scored if e.high is not None]
    return replace(first, low=max(lows, default=None), high=max(highs, default=None))


def _by_class(rows: Iterable[Row]) -> list[Row]:
    return sorted(rows, key=lambda row: (row.about.rpartition(": ")[0], -(row.estimate.value or 0.0), row.about))
