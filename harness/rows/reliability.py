"""How far an attack's numbers can be believed: the worst case over all attacks, the spread over seeds, and sentences that warn.

A robust accuracy is an upper bound: another attack may find what this one did not. The warnings follow A. Athalye, N. Carlini, D. Wagner,
Obfuscated Gradients Give a False Sense of Security (ICML 2018, arXiv:1802.00420), and N. Carlini et al., On Evaluating Adversarial
Robustness (2019, arXiv:1902.06705).
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .. import statistics
from ..metrics.scores import column_mean
from ..repetition import worst_case_name
from ..samples import seed_of
from ..scorecard import Estimate, Row
from ..store import StoredItem
from .columns import Table

UNKNOWN = -1
_SIGNIFICANT = 0.05
_EVERYTHING = 0.5
"""An L-infinity ball of this radius holds the plain grey image, whatever the clean one is: no class can be told there."""

Codes = NDArray[np.int8]


@dataclass(frozen=True, slots=True)
class Outcomes:
    """What an attack did to each sample, in the order of the task's samples: 1 right, 0 wrong, `UNKNOWN`."""

    item: StoredItem
    clean_N: Codes
    robust_N: Codes
    groups: Sequence[str | None]

    @classmethod
    def of(cls, item: StoredItem, table: Table) -> Outcomes:
        everything_N = np.ones(table.num, dtype=bool)
        return cls(item, _codes(table, "clean_correct"), _codes(table, "robust_correct"), table.groups(everything_N))


def _codes(table: Table, score: str) -> Codes:
    codes_N = np.full(table.num, UNKNOWN, dtype=np.int8)
    given_N = table.given(score)
    codes_N[given_N] = table.values(score, given_N) == 1
    return codes_N


def with_worst_cases(rows: Iterable[Row], outcomes: Sequence[Outcomes], /) -> Iterable[Row]:
    """The rows; and, before those of the first attack on a model and task that has several, what withstands all of them."""
    headlines = {
        (members[0].item.model, members[0].item.item): members
        for members in _alike(outcomes, lambda o: (o.item.model, o.item.task))
        if len(members) > 1
    }
    for row in rows:
        if members := headlines.pop((row.model, row.item), None):
            yield from _worst_case_rows(members)
        yield row


def _worst_case_rows(members: Sequence[Outcomes]) -> Iterable[Row]:
    """Over the samples that all of the attacks had."""
    first, num = members[0], min(len(o.robust_N) for o in members)
    robust_AN = np.stack([o.robust_N[:num] for o in members])
    # One attack that worked decides; robust is only who withstood all of them.
    worst_N = np.where((robust_AN == 0).any(0), 0, np.where((robust_AN == UNKNOWN).any(0), UNKNOWN, 1))
    success_N = np.where(worst_N == UNKNOWN, UNKNOWN, 1 - worst_N)
    clean_N, all_N = first.clean_N[:num], np.ones(num, dtype=bool)
    for metric, codes_N, over_N, higher in (
        ("robust_accuracy", worst_N, all_N, True),
        ("attack_success_rate", success_N, clean_N == 1, False),
        ("clean_accuracy", clean_N, all_N, True),
    ):
        estimate = _rate(codes_N, over_N, first.groups[:num], seed_of(first.item.seed, metric))
        yield Row(first.item.model, worst_case_name(first.item.task), metric, "robustness", estimate, higher)


def _rate(codes_N: NDArray[Any], over_N: NDArray[np.bool_], groups: Sequence[str | None], seed: int) -> Estimate:
    known_N = over_N & (codes_N != UNKNOWN)
    chosen = [groups[int(place)] for place in np.flatnonzero(known_N)] if groups else ()
    values = {"right": codes_N[known_N].astype(float)}
    missing = int((over_N & ~known_N).sum())
    return statistics.estimate(column_mean("right", rate=True), values, (), groups=chosen, n_unscored=missing, seed=seed)["right"]


def spread_rows(outcomes: Sequence[Outcomes], /) -> Iterable[Row]:
    """Of each attack that was repeated: largest minus smallest robust accuracy over its seeds. n: seeds."""
    for members in _alike(outcomes, lambda o: (o.item.model, o.item.facts["repeats"] or o.item.item)):
        rates = [float(o.robust_N[o.robust_N != UNKNOWN].mean()) for o in members if (o.robust_N != UNKNOWN).any()]
        if len(rates) > 1:
            item = members[0].item
            estimate = Estimate(max(rates) - min(rates), n=len(rates))
            yield Row(item.model, item.item, "robust_accuracy_spread", "robustness", estimate, False)


def warnings(outcomes: Sequence[Outcomes], rows: Sequence[Row], notes: Mapping[int, Mapping[str, int]], /) -> Iterable[str]:
    """A sentence each. ``notes``: by item, how many records it is about."""
    robust = {(r.model, r.item): r.estimate for r in rows if r.metric == "robust_accuracy"}
    for outcome in outcomes:
        item = outcome.item
        yield from _of_one(item, robust.get((item.model, item.item)), notes[item.id])
    for members in _alike(outcomes, lambda o: (o.item.model, o.item.task, str(o.item.facts.get("threat")))):
        yield from _black_box_wins(members)


def _of_one(item: StoredItem, robust: Estimate | None, noted: Mapping[str, int]) -> Iterable[str]:
    where, attacked = f"{item.model}/{item.item}", noted["attacked"]
    if 0 < attacked == noted["zero_gradient"]:
        yield f"{where}: the loss had zero gradient on every attacked sample, so a gradient attack says nothing about robustness here."
    elif noted["zero_gradient"] > attacked / 20:
        yield (
            f"{where}: the loss had zero gradient on {noted['zero_gradient']} of {attacked} attacked samples; "
            "on those a gradient attack says nothing about robustness."
        )
    if noted["exhausted"] > attacked / 2:
        yield (
            f"{where}: {noted['exhausted']} of {attacked} attacked samples used up the attack's budget; "
            "robust accuracy may fall further with a larger one."
        )
    if noted["outside"]:
        yield (
            f"{where}: {noted['outside']} proposed twins broke the threat model and count as failed attacks; "
            "robust accuracy may be too high."
        )
    threat, labels = item.facts.get("threat"), item.facts["labels"]
    unbounded = isinstance(threat, Mapping) and threat.get("norm") == "linf" and (threat.get("epsilon") or 0) >= _EVERYTHING
    if unbounded and labels and robust is not None and robust.low is not None and robust.low > 1 / len(labels):
        yield (
            f"{where}: robust accuracy stays above chance (1 in {len(labels)}) although epsilon allows any image to turn grey; "
            "the attack is too weak, and what it says of smaller epsilons is too good."
        )


def _black_box_wins(members: Sequence[Outcomes]) -> Iterable[str]:
    """A black-box attack knows less than a white-box one under the same threat: where it finds more, gradients mislead."""
    black = [o for o in members if not o.item.facts["uses_gradients"]]
    white = [o for o in members if o.item.facts["uses_gradients"]]
    for blind, seeing in product(black, white):
        num = min(len(blind.robust_N), len(seeing.robust_N))
        both_N = (blind.robust_N[:num] != UNKNOWN) & (seeing.robust_N[:num] != UNKNOWN)
        found = statistics.mcnemar(blind.robust_N[:num][both_N] == 1, seeing.robust_N[:num][both_N] == 1)
        if found.num_only_b > found.num_only_a and found.p_value < _SIGNIFICANT:
            yield (
                f"{blind.item.model}/{blind.item.item}: without gradients it fools the model on {found.num_only_b} samples that "
                f"{seeing.item.item} does not ({found.num_only_a} the other way, p = {found.p_value:.2g}); "
                "the model's gradients are masked, or that attack is set up badly."
            )


def _alike(outcomes: Sequence[Outcomes], key: Callable[[Outcomes], Hashable]) -> list[list[Outcomes]]:
    groups: dict[Hashable, list[Outcomes]] = {}
    for outcome in outcomes:
        groups.setdefault(key(outcome), []).append(outcome)
    return list(groups.values())
