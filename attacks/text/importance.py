"""How much a classifier leans on each word, by its gradients: what a search can rank words by in place of answers without each of them.

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
from ...harness.api.requests import Classify, Failure
from ...harness.api.samples import Sample
from ...harness.engine.batching import batches, isolated
from ...harness.modalities.words import Spans, gather

if TYPE_CHECKING:
    import torch

NUM_PASSES = {"gradient": 1, "integrated_gradients": 8}
"""Gradient passes that each way takes of a text."""


def checked(importance: str, /) -> str:
    if importance not in ("recipe", *NUM_PASSES):
        raise ConfigError(f"importance is 'recipe', {', '.join(map(repr, NUM_PASSES))}, not {importance!r}")
    return importance


@dataclass(frozen=True, slots=True)
class TokenImportance:
    """``values`` [L] of the tokens at these ``spans`` in the text."""

    values: NDArray[np.float32]
    spans: Sequence[tuple[int, int]]

    def of_words(self, words: Spans, /) -> NDArray[np.float32]:
        """A word's is the sum of its tokens'."""
        return gather(self.values, self.spans, words)


def token_importance(engine: ModelPort, requests: Sequence[Classify], way: str, /) -> list[TokenImportance | Failure]:
    """For the class that the model says: many texts a batch. What fails is a `Failure` of its own.

    ``gradient``: the L1 norm of the loss's gradient by the token's embedding. ``integrated_gradients``: what the token adds to the class's
    log-probability on the straight way from a text of padding (Sundararajan et al. 2017, https://arxiv.org/abs/1703.01365), in 8 steps.
    """
    found = isolated(lambda some: _token_importance(engine, some, way), requests)
    return [Failure(answer) if isinstance(answer, str) else answer for answer in found]


def _token_importance(engine: ModelPort, requests: Sequence[Classify], way: str) -> list[TokenImportance]:
    found: dict[int, TokenImportance] = {}
    samples = [Sample(str(i), request.input, None, request.labels) for i, request in enumerate(requests)]
    with engine.differentiable() as net:
        for indices in batches(engine, samples):
            encoded = net.encode([requests[i] for i in indices])
            values_BL = _values(net, encoded, way).float().cpu().numpy()
            for row, index in enumerate(indices):
                found[index] = TokenImportance(values_BL[row], encoded.spans[row])
    return [found[i] for i in range(len(requests))]


def _values(net: Differentiable, encoded: Encoded, way: str) -> torch.Tensor:
    import torch

    end_BLD, start_BLD = encoded.features.detach(), encoded.baseline.detach()
    total_BLD, said_B = torch.zeros_like(end_BLD), None
    steps = NUM_PASSES[way]
    for step in range(steps, 0, -1):
        # The text itself comes first, and says which class it is about.
        point_BLD = (start_BLD + (step / steps) * (end_BLD - start_BLD)).requires_grad_()
        log_probs_BC = net.logits(point_BLD, encoded).float().log_softmax(1)
        said_B = log_probs_BC.argmax(1) if said_B is None else said_B
        (gradient_BLD,) = torch.autograd.grad(log_probs_BC.gather(1, said_B[:, None]).sum(), point_BLD)
        total_BLD += gradient_BLD / steps
    return total_BLD.abs().sum(2) if way == "gradient" else ((end_BLD - start_BLD) * total_BLD).sum(2)


@cache
def ranked_by(textattack: Any, /) -> Any:
    """TextAttack's greedy search in the order of ``rank(text) -> a score a word``, made with it first; how the recipe ranks is unused."""

    class RankedWordSwap(textattack.search_methods.GreedyWordSwapWIR):  # type: ignore[misc]
        def __init__(self, rank: Any, *own: Any, **settings: Any) -> None:
            super().__init__()
            self._rank = rank

        def _get_index_order(self, initial_text: Any, max_len: int = -1) -> tuple[Any, bool]:
            _, places = self.get_indices_to_order(initial_text)
            scores = self._rank(initial_text)
            return np.array(sorted(places, key=lambda place: (-scores[place], place)), dtype=int), False

    return RankedWordSwap
