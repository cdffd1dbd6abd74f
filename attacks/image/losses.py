"""Losses of image attacks: functions of logits [N, K] and true classes [N] that return one number per row [N].

Shape legend: N rows, K classes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch


def cross_entropy(logits_NK: torch.Tensor, target_N: torch.Tensor, /) -> torch.Tensor:
    """Return the cross-entropy of each row."""
    import torch

    return torch.nn.functional.cross_entropy(logits_NK, target_N, reduction="none")


def compute_margin(logits_NK: torch.Tensor, target_N: torch.Tensor, /) -> torch.Tensor:
    """Return the largest other logit minus the true class's logit; above 0 if the row is misclassified."""
    others_NK = logits_NK.scatter(1, target_N[:, None], float("-inf"))
    return others_NK.amax(1) - _pick_class(logits_NK, target_N)


def compute_dlr(logits_NK: torch.Tensor, target_N: torch.Tensor, /) -> torch.Tensor:
    """Return the difference of logits ratio (Croce & Hein 2020, arXiv:2003.01690, eq. 6).

    It is the `compute_margin` divided by the difference between the largest and the third logit. For two classes the ratio
    would be constant, so the margin is returned; the steps of APGD do not depend on the scale of a loss.
    """
    return compute_margin(logits_NK, target_N) / _compute_lead_on(logits_NK, 3)


def compute_targeted_dlr(logits_NK: torch.Tensor, target_N: torch.Tensor, wanted_N: torch.Tensor, /) -> torch.Tensor:
    """Return the targeted difference of logits ratio (Croce & Hein 2020, arXiv:2003.01690, eq. 7).

    It is the `compute_lead` divided by the difference between the largest logit and the mean of the third and fourth. With
    three classes the third alone is used; with two classes the lead is returned, as in `compute_dlr`.
    """
    return compute_lead(logits_NK, target_N, wanted_N) / _compute_lead_on(logits_NK, 3, 4)


def compute_lead(logits_NK: torch.Tensor, target_N: torch.Tensor, wanted_N: torch.Tensor, /) -> torch.Tensor:
    """Return the target class's logit minus the true class's; 0 on the boundary between the two classes.

    logits_NK: logits.
    target_N: true classes.
    wanted_N: target classes of the attack.
    """
    return _pick_class(logits_NK, wanted_N) - _pick_class(logits_NK, target_N)


def find_likeliest_others(logits_NK: torch.Tensor, target_N: torch.Tensor, most: int, /) -> torch.Tensor:
    """Return at most ``most`` classes other than the true one, most likely first, [N, M]."""
    ranked_NK = logits_NK.scatter(1, target_N[:, None], float("-inf")).argsort(dim=1, descending=True, stable=True)
    return ranked_NK[:, : min(most, logits_NK.shape[1] - 1)]


def _pick_class(logits_NK: torch.Tensor, class_N: torch.Tensor) -> torch.Tensor:
    """Return the logit of each row's class."""
    return logits_NK.gather(1, class_N[:, None])[:, 0]


def _compute_lead_on(logits_NK: torch.Tensor, *places: int) -> torch.Tensor:
    """Return the largest logit minus the mean of the logits at the given ranks, counted from 1.

    Ranks above the number of classes are ignored; if none remains, the result is 1.
    """
    import torch

    ordered_NK = logits_NK.sort(1, descending=True).values
    there = [place - 1 for place in places if place <= logits_NK.shape[1]]
    if not there:
        return torch.ones_like(ordered_NK[:, 0])
    return ordered_NK[:, 0] - ordered_NK[:, there].mean(1) + 1e-12
