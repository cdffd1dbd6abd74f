"""Sentences about the first samples of a data set that do not represent it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

SHOWN = 8
"""The number of names in a sentence; of more, only their number is given."""

_PLURALS = {"class": "classes", "slice": "slices"}
_SURPRISING = 1e-3
_REMEDY = "the setting shuffle (--shuffle SEED) takes a random part"


def describe_part(kind: str, taken: Mapping[str, int], whole: Mapping[str, int], num: int, total: int, /) -> str:
    """Return a sentence about the first samples of a data set if they do not represent it; empty if they do.

    kind: ``class`` or ``slice``. taken: the number of samples of each in the part. whole: that in the data set.
    num: the number of samples in the part. total: that in the data set.
    """
    absent = [name for name in whole if name not in taken]
    if absent:
        return (
            f"the first {num:,} of {total:,} samples are of {len(taken):,} of {len(whole):,} {_PLURALS[kind]} "
            f"({join_names(list(taken))}), so the numbers say nothing of {join_names(absent)}; {_REMEDY}"
        )
    name, p_value = _find_odd(taken, whole)
    if p_value >= _SURPRISING:
        return ""
    shares = taken[name] / sum(taken.values()), whole[name] / sum(whole.values())
    return (
        f"of the first {num:,} of {total:,} samples, {shares[0]:.0%} are of the {kind} {name}, and of all {shares[1]:.0%}, "
        f"so the numbers are not those of the whole; {_REMEDY}"
    )


def _find_odd(taken: Mapping[str, int], whole: Mapping[str, int]) -> tuple[str, float]:
    """Return the name whose share in the part is the least likely one for a random part, and its two-sided p-value.

    The p-value is an exact binomial one, Bonferroni-corrected for the number of names. A part is drawn without replacement, which
    makes large differences even less likely (Hoeffding, Probability inequalities for sums of bounded random variables, 1963).
    """
    from scipy.special import bdtr, bdtrc

    num, total = sum(taken.values()), sum(whole.values())
    tails: dict[str, float] = {}
    for name, count in whole.items():
        found, share = taken[name], count / total
        above = float(bdtrc(found - 1, num, share)) if found else 1.0
        tails[name] = min(1.0, 2 * len(whole) * min(above, float(bdtr(found, num, share))))
    odd = min(tails, key=lambda name: tails[name])
    return odd, tails[odd]


def join_names(names: Sequence[str], /) -> str:
    """Return names in a list, of many the first ones and their number."""
    return ", ".join(names[:SHOWN]) + (f", … ({len(names)})" if len(names) > SHOWN else "")
