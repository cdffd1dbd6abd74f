"""The gradients that a TextAttack search ranks words by, of many searches at once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ...harness.api.errors import CapabilityError
from ...harness.api.model_port import ModelPort
from ...harness.api.requests import Classify, Failure
from ...harness.api.samples import Sample
from ...harness.engine.batching import batches, isolated

GRADIENT = "token_gradients"


@dataclass(frozen=True, slots=True)
class TokenGradient:
    """``tokens`` [L] as the vocabulary has them, and the ``gradient`` [L, D] by their embeddings."""

    text: str
    tokens: list[str]
    gradient: np.ndarray[Any, np.dtype[np.float32]]

    def stripped(self) -> list[str]:
        """Without the marks by which TextAttack knows pieces of words."""
        return [token.replace("##", "").replace("Ġ", "").replace("__", "") for token in self.tokens]


def token_gradients(engine: ModelPort, requests: Sequence[Classify], /) -> list[TokenGradient | Failure]:
    """Of the cross-entropy of the class that the model says. What fails is a `Failure` of its own."""
    found = isolated(lambda some: _token_gradients(engine, some), requests)
    return [Failure(answer) if isinstance(answer, str) else answer for answer in found]


def _token_gradients(engine: ModelPort, requests: Sequence[Classify]) -> list[TokenGradient]:
    import torch

    found: dict[int, TokenGradient] = {}
    samples = [Sample(str(i), request.input, None, request.labels) for i, request in enumerate(requests)]
    with engine.differentiable() as net:
        if net.tokenizer is None:
            raise CapabilityError("this attack reads the tokens of its model, which a transformers text classifier has ('hf:...')")
        for indices in batches(engine, samples):
            encoded = net.encode([requests[i] for i in indices])
            features = encoded.features.detach().requires_grad_()
            logits_BC = net.logits(features, encoded)
            # A sum over texts: each one's gradient is its own.
            loss = torch.nn.functional.cross_entropy(logits_BC.float(), logits_BC.argmax(1), reduction="sum")
            (gradient_BLD,) = torch.autograd.grad(loss, features)
            assert encoded.mask_BL is not None
            for row, index in enumerate(indices):
                length = int(encoded.mask_BL[row].sum())
                tokens = net.tokenizer.convert_ids_to_tokens(encoded.extra["input_ids"][row, :length].tolist())
                found[index] = TokenGradient(str(requests[index].input), tokens, gradient_BLD[row, :length].float().cpu().numpy())
    return [found[i] for i in range(len(requests))]
