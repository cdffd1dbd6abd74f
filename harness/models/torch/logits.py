"""Logits of language models: log-probabilities of tokens, their sum over a text, and differences of logits.

Shape legend: S rows of logits, V vocabulary, N (row, target) pairs.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch

from ...api.errors import NonFiniteError
from ...api.responses import LogProb


def make_nan_error(name: str) -> NonFiniteError:
    """Build the error for NaN logits."""
    return NonFiniteError(
        f"model {name!r} returned NaN logits while generating; the usual cause is overflow in half precision: set dtype to float32 or "
        "bfloat16"
    )


def log_probs(
    logits_SV: torch.Tensor, row_N: torch.Tensor, target_N: torch.Tensor, *, rounded: bool = False
) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the log-probability of each target in nats, float64 [N], and whether it is the most likely token, [N].

    Overwrites the logits. Log-sum-exp is exact to 1e-6 per token, while float32 log_softmax over a large vocabulary loses
    8e-6.

    logits_SV: rows of logits. row_N: row of each pair. target_N: target token of each pair.
    rounded: use float32 log_softmax, to compare with other implementations.
    """
    top_S, likeliest_S = logits_SV.max(1)
    greedy_N = likeliest_S[row_N] == target_N
    if rounded:
        return logits_SV.log_softmax(1)[row_N, target_N].double(), greedy_N
    chosen_N = logits_SV[row_N, target_N].double()
    sum_S = logits_SV.sub_(top_S[:, None]).exp_().sum(1)
    return chosen_N - (top_S.double() + sum_S.double().log())[row_N], greedy_N


def measure_shift(before: torch.Tensor, after: torch.Tensor) -> float:
    """Return the mean absolute difference of logits, in standard deviations."""
    before, after = before.float(), after.float()
    return float((before - after).abs().mean() / before.std())


def add_up(parts: Sequence[LogProb], /) -> LogProb:
    """Sum the log-probabilities of the parts of a text."""
    return LogProb(sum(part.value for part in parts), sum(part.num_tokens for part in parts), all(part.is_greedy for part in parts))
