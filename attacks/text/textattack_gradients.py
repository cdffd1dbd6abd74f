"""Compute the gradients by which TextAttack searches rank words, for many searches at once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ...harness.api.errors import CapabilityError
from ...harness.api.model_port import ModelPort
from ...harness.api.requests import Classify
from ...harness.api.responses import Failure
from ...harness.api.samples import Sample
from ...harness.engine.batching import group_batches, isolate_failures

GRADIENT = "token_gradients"


@dataclass(frozen=True, slots=True)
class TokenGradient:
    """``tokens`` [L] as in the vocabulary, and the ``gradient`` [L, D] by their embeddings."""

    text: str
    tokens: list[str]
    gradient: np.ndarray[Any, np.dtype[np.float32]]

    def strip_marks(self) -> list[str]:
        """Return the tokens without the marks of word pieces that TextAttack removes."""
        return [token.replace("##", "").replace("Ġ", "").replace("__", "") for token in self.tokens]


def compute_token_gradients(engine: ModelPort, requests: Sequence[Classify], /) -> list[TokenGradient | Failure]:
    """Compute gradients of the predicted class's cross-entropy. A failed text gets a `Failure`."""
    results = isolate_failures(lambda part: _compute_token_gradients(engine, part), requests)
    return [Failure(result) if isinstance(result, str) else result for result in results]


def _compute_token_gradients(engine: ModelPort, requests: Sequence[Classify]) -> list[TokenGradient]:
    import torch

    gradients: dict[int, TokenGradient] = {}
    samples = [Sample(str(i), request.input, None, request.labels) for i, request in enumerate(requests)]
    with engine.differentiable() as net:
        if net.tokenizer is None:
            raise CapabilityError("this attack needs the tokens of a transformers text classifier ('hf:...')")
        for indices in group_batches(engine, samples):
            encoded = net.encode([requests[i] for i in indices])
            features = encoded.features.detach().requires_grad_()
            logits_BC = net.logits(features, encoded)
            # The sum over texts keeps their gradients independent.
            loss = torch.nn.functional.cross_entropy(logits_BC.float(), logits_BC.argmax(1), reduction="sum")
            (gradient_BLD,) = torch.autograd.grad(loss, features)
            assert encoded.mask_BL is not None
            for row, index in enumerate(indices):
                length = int(encoded.mask_BL[row].sum())
                tokens = net.tokenizer.convert_ids_to_tokens(encoded.extra["input_ids"][row, :length].tolist())
                gradients[index] = TokenGradient(str(requests[index].input), tokens, gradient_BLD[row, :length].float().cpu().numpy())
    return [gradients[i] for i in range(len(requests))]
