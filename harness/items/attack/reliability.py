"""The reliability of an attack's numbers: the spread over seeds, and warnings.

Robust accuracy is an upper bound: another attack may succeed where this one fails. The warnings follow A. Athalye, N. Carlini, D. Wagner,
Obfuscated Gradients Give a False Sense of Security (ICML 2018, arXiv:1802.00420), and N. Carlini et al., On Evaluating Adversarial
Robustness (2019, arXiv:1902.06705).
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from itertools import product

from ... import statistics
from ...api.scorecard import Estimate, Row
from ...threats import title_of
from .outcomes import UNKNOWN, Outcomes

_SIGNIFICANT = 0.05
_EVERYTHING = 0.5
"""An L-infinity ball of this radius contains the uniform grey image for any clean image, so that no class is recognisable."""


def make_spread_rows(outcomes: Sequence[Outcomes], /) -> Iterable[Row]:
    """Return a row per repeated attack: the range of its robust accuracy over the seeds. ``n`` is the number of seeds."""
    for members in _group_outcomes(outcomes, lambda o: (o.item.model, o.item.key.first)):
        rates = [float(o.robust_N[o.robust_N != UNKNOWN].mean()) for o in members if (o.robust_N != UNKNOWN).any()]
        if len(rates) > 1:
            item = members[0].item
            estimate = Estimate(max(rates) - min(rates), n=len(rates))
            yield Row(item.model, item.key, "robust_accuracy_spread", "robustness", estimate, False)


def list_warnings(outcomes: Sequence[Outcomes], rows: Sequence[Row], notes: Mapping[int, Mapping[str, int]], /) -> Iterable[str]:
    """Return sentences that warn about attacks. ``notes``: by item id, counts of records (`Table.notes`)."""
    robust = {(r.model, r.key): r.estimate for r in rows if r.name == "robust_accuracy"}
    for outcome in outcomes:
        item = outcome.item
        yield from _warn_about_attack(outcome, robust.get((item.model, item.key)), notes[item.id])
    for members in _group_outcomes(outcomes, lambda o: (o.item.model, o.item.task, title_of(o.item.facts.get("threat")))):
        yield from _warn_about_masking(members)


def _warn_about_attack(outcome: Outcomes, robust: Estimate | None, noted: Mapping[str, int]) -> Iterable[str]:
    item, attacked = outcome.item, noted["attacked"]
    where = f"{item.model}/{item.item}"
    if noted["not_attacked"]:
        yield (
            f"{where}: {noted['not_attacked']:,} of {attacked + noted['not_attacked']:,} samples could not be attacked and keep their "
            f"clean answer, so that robust accuracy may be too high; the first error was: {outcome.why_not_attacked}"
        )
    if 0 < attacked == noted["zero_gradient"]:
        yield f"{where}: the loss had zero gradient on every attacked sample, so a gradient attack says nothing about robustness here."
    elif noted["zero_gradient"] > attacked / 20:
        yield (
            f"{where}: the loss had zero gradient on {noted['zero_gradient']:,} of {attacked:,} attacked samples; "
            "on those a gradient attack says nothing about robustness."
        )
    if noted["exhausted"] > attacked / 2:
        yield (
            f"{where}: {noted['exhausted']:,} of {attacked:,} attacked samples used up the attack's budget; "
            "robust accuracy may fall further with a larger one."
        )
    if noted["outside"]:
        yield (
            f"{where}: {noted['outside']:,} proposed twins broke the threat model and count as failed attacks; "
            "robust accuracy may be too high."
        )
    threat, labels = item.facts.get("threat"), item.facts["labels"]
    unbounded = isinstance(threat, Mapping) and threat.get("norm") == "linf" and (threat.get("epsilon") or 0) >= _EVERYTHING
    if unbounded and labels and robust is not None and robust.low is not None and robust.low > 1 / len(labels):
        yield (
            f"{where}: robust accuracy stays above chance (1 in {len(labels)}) although epsilon allows any image to turn grey; "
            "the attack is too weak, and what it says of smaller epsilons is too good."
        )


def _warn_about_masking(members: Sequence[Outcomes]) -> Iterable[str]:
    """Warn if a black-box attack succeeds where a white-box attack under the same threat fails: gradients may be masked."""
    black = [o for o in members if not o.item.facts["uses_gradients"]]
    white = [o for o in members if o.item.facts["uses_gradients"]]
    for blind, seeing in product(black, white):
        num = min(len(blind.robust_N), len(seeing.robust_N))
        both_N = (blind.robust_N[:num] != UNKNOWN) & (seeing.robust_N[:num] != UNKNOWN)
        test = statistics.mcnemar(blind.robust_N[:num][both_N] == 1, seeing.robust_N[:num][both_N] == 1)
        if test.num_only_b > test.num_only_a and test.p_value < _SIGNIFICANT:
            yield (
                f"{blind.item.model}/{blind.item.item}: without gradients it fools the model on {test.num_only_b:,} samples that "
                f"{seeing.item.item} does not ({test.num_only_a:,} the other way, p = {test.p_value:.2g}); "
                "the model's gradients are masked, or that attack is set up badly."
            )


def _group_outcomes(outcomes: Sequence[Outcomes], key: Callable[[Outcomes], Hashable]) -> list[list[Outcomes]]:
    groups: dict[Hashable, list[Outcomes]] = {}
    for outcome in outcomes:
        groups.setdefault(key(outcome), []).append(outcome)
    return list(groups.values())
