"""A language model's logits: log-probabilities of tokens, their sum over a text, and how far logits moved.

Shape legend: S rows of logits, V vocabulary, N (row, target) pairs.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch

from ...api.errors import NonFiniteError
from ...api.requests import LogProb


def nan_logits(name: str) -> NonFiniteError:
    return NonFiniteError(
        f"model {name!r} gave NaN logits while generating; half precision overflowing is the usual cause: set dtype to float32 or bfloat16"
    )


def log_probs(
    logits_SV: torch.Tensor, row_N: torch.Tensor, target_N: torch.Tensor, *, rounded: bool = False
) -> tuple[torch.Tensor, torch.Tensor]:
    """Log-probability of each row's target in nats [N], float64, and whether it is the likeliest token [N]. Overwrites the logits.

    Log-sum-exp keeps 1e-6 a token where float32 log_softmax over a large vocabulary loses 8e-6. ``rounded``: take the latter all the
    same, to compare with what was computed so.
    """
    top_S, likeliest_S = logits_SV.max(1)
    greedy_N = likeliest_S[row_N] == target_N
    if rounded:
        return logits_SV.log_softmax(1)[row_N, target_N].double(), greedy_N
    chosen_N = logits_SV[row_N, target_N].double()
    sum_S = logits_SV.sub_(top_S[:, None]).exp_().sum(1)
    return chosen_N - (top_S.double() + sum_S.double().log())[row_N], greedy_N


def moved(before: torch.Tensor, after: torch.Tensor) -> float:
    """How far logits moved, as a share of their spread (which an offset common to all of them does not enter)."""
    before, after = before.float(), after.float()
    return float((before - after).abs().mean() / before.std())


def add_up(parts: Sequence[LogProb], /) -> LogProb:
    """The log-probability of a text from those of its parts."""
    return LogProb(sum(part.value for part in parts), sum(part.num_tokens for part in parts), all(part.is_greedy for part in parts))
