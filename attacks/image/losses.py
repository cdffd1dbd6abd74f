"""Losses that image attacks climb, from logits [N, K] and true classes [N] to one number a row.

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
    """The largest other logit minus the true class's: above 0 where the row is misclassified."""
    others_NK = logits_NK.scatter(1, target_N[:, None], float("-inf"))
    return others_NK.amax(1) - _of(logits_NK, target_N)


def dlr(logits_NK: torch.Tensor, target_N: torch.Tensor, /) -> torch.Tensor:
    """Difference of logits ratio (Croce & Hein 2020, eq. 6): the `margin` over the largest logit's lead on the third.

    Of two classes there is no third, and the margin over itself would be constant: there it is the margin alone. Nothing is lost by that,
    for APGD's steps do not depend on a loss's scale.
    """
    return margin(logits_NK, target_N) / _lead_on(logits_NK, 3)


def dlr_targeted(logits_NK: torch.Tensor, target_N: torch.Tensor, wanted_N: torch.Tensor, /) -> torch.Tensor:
    """The wanted class's logit minus the true one's, over the largest logit's lead on the mean of the third and fourth (eq. 7).

    Of three classes, over its lead on the third, for there is no fourth; of two, the difference alone, as in `dlr`.
    """
    return lead(logits_NK, target_N, wanted_N) / _lead_on(logits_NK, 3, 4)


def lead(logits_NK: torch.Tensor, target_N: torch.Tensor, wanted_N: torch.Tensor, /) -> torch.Tensor:
    """The wanted class's logit minus the true one's: 0 on the boundary between the two."""
    return _of(logits_NK, wanted_N) - _of(logits_NK, target_N)


def likeliest_others(logits_NK: torch.Tensor, target_N: torch.Tensor, most: int, /) -> torch.Tensor:
    """[N, M]: the classes but the row's own, the likeliest first; at most so many."""
    ranked_NK = logits_NK.scatter(1, target_N[:, None], float("-inf")).argsort(dim=1, descending=True, stable=True)
    return ranked_NK[:, : min(most, logits_NK.shape[1] - 1)]


def _of(logits_NK: torch.Tensor, class_N: torch.Tensor) -> torch.Tensor:
    return logits_NK.gather(1, class_N[:, None])[:, 0]


def _lead_on(logits_NK: torch.Tensor, *places: int) -> torch.Tensor:
    """The largest logit minus the mean of those at these places, of those places that there are; 1 where there is none."""
    import torch

    ordered_NK = logits_NK.sort(1, descending=True).values
    there = [place - 1 for place in places if place <= logits_NK.shape[1]]
    if not there:
        return torch.ones_like(ordered_NK[:, 0])
    return ordered_NK[:, 0] - ordered_NK[:, there].mean(1) + 1e-12
