"""Measure a classifier's dependence on each word by gradients, as an alternative to queries without each
word.

Shape legend: B texts, L tokens, D embedding, W words of a text.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ...harness.api.errors import ConfigError
from ...harness.api.model import Differentiable, Encoded
from ...harness.api.model_port import ModelPort
from ...harness.api.requests import Classify
from ...harness.api.responses import Failure
from ...harness.api.samples import Sample
from ...harness.engine.batching import group_batches, isolate_failures
from ...harness.modalities.words import Spans, gather

if TYPE_CHECKING:
    import torch

NUM_PASSES = {"gradient": 1, "integrated_gradients": 8}
"""Gradient passes per text of each measure."""


def check_importance(importance: str, /) -> str:
    """Return the name of an importance measure. Raises `ConfigError` for an unknown one."""
    if importance not in ("recipe", *NUM_PASSES):
        raise ConfigError(f"importance must be 'recipe' or {' or '.join(map(repr, NUM_PASSES))}, not {importance!r}")
    return importance


@dataclass(frozen=True, slots=True)
class TokenImportance:
    """Importance ``values`` [L] of the tokens at ``spans`` in the text."""

    values: NDArray[np.float32]
    spans: Sequence[tuple[int, int]]

    def sum_words(self, words: Spans, /) -> NDArray[np.float32]:
        """Return the importance of each word, the sum over its tokens."""
        return gather(self.values, self.spans, words)


def compute_token_importance(engine: ModelPort, requests: Sequence[Classify], way: str, /) -> list[TokenImportance | Failure]:
    """Compute the importance of tokens for the predicted class, in batches. A failed text gets a `Failure`.

    way: ``gradient``, the L1 norm of the loss's gradient by the token's embedding; ``integrated_gradients``,
        the token's contribution to the class's log-probability on the straight path from a text of padding,
        in 8 steps (Sundararajan et al. 2017, https://arxiv.org/abs/1703.01365).
    """
    results = isolate_failures(lambda part: _compute_token_importance(engine, part, way), requests)
    return [Failure(result) if isinstance(result, str) else result for result in results]


def _compute_token_importance(engine: ModelPort, requests: Sequence[Classify], way: str) -> list[TokenImportance]:
    importance: dict[int, TokenImportance] = {}
    samples = [Sample(str(i), request.input, None, request.labels) for i, request in enumerate(requests)]
    with engine.differentiable() as net:
        for indices in group_batches(engine, samples):
            encoded = net.encode([requests[i] for i in indices])
            values_BL = _compute_values(net, encoded, way).float().cpu().numpy()
            for row, index in enumerate(indices):
                importance[index] = TokenImportance(values_BL[row], encoded.spans[row])
    return [importance[i] for i in range(len(requests))]


def _compute_values(net: Differentiable, encoded: Encoded, way: str) -> torch.Tensor:
    import torch

    end_BLD, start_BLD = encoded.features.detach(), encoded.baseline.detach()
    total_BLD, predicted_B = torch.zeros_like(end_BLD), None
    steps = NUM_PASSES[way]
    for step in range(steps, 0, -1):
        # The first point is the text itself, which decides the class.
        point_BLD = (start_BLD + (step / steps) * (end_BLD - start_BLD)).requires_grad_()
        log_probs_BC = net.logits(point_BLD, encoded).float().log_softmax(1)
        predicted_B = log_probs_BC.argmax(1) if predicted_B is None else predicted_B
        (gradient_BLD,) = torch.autograd.grad(log_probs_BC.gather(1, predicted_B[:, None]).sum(), point_BLD)
        total_BLD += gradient_BLD / steps
    return total_BLD.abs().sum(2) if way == "gradient" else ((end_BLD - start_BLD) * total_BLD).sum(2)


@cache
def make_ranked_search_class(textattack: Any, /) -> Any:
    """Return TextAttack's greedy search as a class that orders words by ``rank(text)``, one score per word."""

    class RankedWordSwap(textattack.search_methods.GreedyWordSwapWIR):  # type: ignore[misc]
        def __init__(self, rank: Any, *args: Any, **settings: Any) -> None:
            super().__init__()
            self._rank = rank

        def _get_index_order(self, initial_text: Any, max_len: int = -1) -> tuple[Any, bool]:
            _, places = self.get_indices_to_order(initial_text)
            scores = self._rank(initial_text)
            return np.array(sorted(places, key=lambda place: (-scores[place], place)), dtype=int), False

    return RankedWordSwap
