"""Losses of image attacks, from logits [N, K] and true classes [N] to one number per row.

Shape legend: N rows, K classes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch


def cross_entropy(logits_NK: torch.Tensor, target_N: torch.Tensor, /) -> torch.Tensor:
    import torch

    return torch.nn.functional.cross_entropy(logits_NK, target_N, reduction="none")


def margin(logits_NK: torch.Tensor, target_N: torch.Tensor, /) -> torch.Tensor:
    """Return the largest other logit minus the true class's; above 0 if the row is misclassified."""
    others_NK = logits_NK.scatter(1, target_N[:, None], float("-inf"))
    return others_NK.amax(1) - _of(logits_NK, target_N)


def dlr(logits_NK: torch.Tensor, target_N: torch.Tensor, /) -> torch.Tensor:
    """Return the difference of logits ratio (Croce & Hein 2020, eq. 6): the `margin` divided by the largest
    logit's lead over the third.

    For two classes the ratio would be constant, so it is the margin alone. APGD's steps do not depend on the
    scale of a loss.
    """
    return margin(logits_NK, target_N) / _lead_on(logits_NK, 3)


def dlr_targeted(logits_NK: torch.Tensor, target_N: torch.Tensor, wanted_N: torch.Tensor, /) -> torch.Tensor:
    """Return the wanted class's logit minus the true one's, divided by the largest logit's lead over the mean
    of the third and fourth (eq. 7).

    With three classes it divides by the lead over the third; with two it is the difference alone, as in
    `dlr`.
    """
    return lead(logits_NK, target_N, wanted_N) / _lead_on(logits_NK, 3, 4)


def lead(logits_NK: torch.Tensor, target_N: torch.Tensor, wanted_N: torch.Tensor, /) -> torch.Tensor:
    """Return the wanted class's logit minus the true one's; 0 on the boundary between the two."""
    return _of(logits_NK, wanted_N) - _of(logits_NK, target_N)


def likeliest_others(logits_NK: torch.Tensor, target_N: torch.Tensor, most: int, /) -> torch.Tensor:
    """Return [N, M]: at most ``most`` classes other than the row's own, most likely first."""
    ranked_NK = logits_NK.scatter(1, target_N[:, None], float("-inf")).argsort(dim=1, descending=True, stable=True)
    return ranked_NK[:, : min(most, logits_NK.shape[1] - 1)]


def _of(logits_NK: torch.Tensor, class_N: torch.Tensor) -> torch.Tensor:
    return logits_NK.gather(1, class_N[:, None])[:, 0]


def _lead_on(logits_NK: torch.Tensor, *places: int) -> torch.Tensor:
    """Return the largest logit minus the mean of those at the given ranks, as far as they exist; 1 if none
    does."""
    import torch

    ordered_NK = logits_NK.sort(1, descending=True).values
    there = [place - 1 for place in places if place <= logits_NK.shape[1]]
    if not there:
        return torch.ones_like(ordered_NK[:, 0])
    return ordered_NK[:, 0] - ordered_NK[:, there].mean(1) + 1e-12
