"""Add a small amount of noise to inputs: to the pixels of images, and to the model's token embeddings of texts.

The noise is uniform in each coordinate. That of a pixel is within `RADIUS`. That of a token is within `RADIUS` times
the range (largest minus smallest value) of its embedding. It depends only on the token, not on its position or context.
So a text and its reduced forms see the same model, one whose embedding table has noise. The range of all values of a
text would change when words are removed, and with the range of the table a single outlier token would scale the noise
of all others. Special tokens have no noise.

Shape legend: B requests, L positions, T tokens with noise, D embedding size.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ....api.model import EMBEDDINGS, Differentiable, Encoded, ModelInfo
from ....api.model_port import ModelPort
from ....api.requests import Classify, LogLikelihood, Request
from ....api.responses import Failure, Logits, Response
from ....api.samples import Sample, SampleRng
from ....engine.batching import group_batches, isolate_failures
from ....engine.continuations import Likelihoods
from ....engine.wrapped_port import WrappedGradients, WrappedPort
from ....modalities.inputs import Input, list_texts

if TYPE_CHECKING:
    import torch

RADIUS = 0.02


class NoisyPort(WrappedPort):
    """A port to a model with noise in its token embeddings.

    It computes the class scores of texts itself and does not cache them, because the cache holds the answers of the
    original model. A model without gradients gives no access to its embeddings, and answers without noise.

    engine: port to the original model.
    rng: draws of the noise, by token.
    """

    def __init__(self, engine: ModelPort, rng: SampleRng) -> None:
        super().__init__(engine)
        self._noise = _Noise(rng)

    def try_run(self, requests: Sequence[Request[Response]], /) -> list[Any]:
        moved = list(dict.fromkeys(r for r in requests if isinstance(r, Classify) and has_noise(self.info, r.input)))
        answers = dict(zip(moved, self._answers(moved), strict=True)) if moved else {}
        others = iter(super().try_run([r for r in requests if r not in answers]))
        return [answers[r] if r in answers else next(others) for r in requests]

    def _answers(self, requests: Sequence[Classify]) -> list[Logits | Failure]:
        found: dict[int, Logits | Failure] = {}
        with self.differentiable() as net:
            for places in group_batches(self, [Sample("", r.input, labels=r.labels) for r in requests]):
                answers = isolate_failures(lambda some: _compute_logits(net, some), [requests[place] for place in places])
                found.update({p: Failure(a) if isinstance(a, str) else a for p, a in zip(places, answers, strict=True)})
        return [found[place] for place in range(len(requests))]

    def wrap_gradients(self, net: Differentiable, /) -> _Noisy:
        return _Noisy(net, self._noise)


def has_noise(info: ModelInfo, value: Input, /) -> bool:
    """Tell whether the value is text whose embeddings the model exposes."""
    return bool(list_texts(value)) and "gradients" in info.features


def _compute_logits(net: Differentiable, requests: Sequence[Classify]) -> list[Logits]:
    """Compute the class scores of one batch without gradients."""
    import torch

    encoded = net.encode(requests)
    with torch.no_grad():
        rows = net.logits(encoded.features, encoded).float().cpu().tolist()
    scored = encoded.extra.get("scored")
    if scored is None:
        return [Logits(tuple(row)) for row in rows]
    return [Likelihoods(tuple(row), num_tokens=(num,)) for row, num in zip(rows, scored.sum(1).tolist(), strict=True)]


class _Noise:
    """The noise of each token, in units of its radius. It is drawn once per token."""

    def __init__(self, rng: SampleRng) -> None:
        self._rng = rng
        self._drawn: dict[str, NDArray[np.float32]] = {}

    def of(self, token: str, size: int, /) -> NDArray[np.float32]:
        """Return the noise [D] of a token, in [-1, 1]. ``size``: D."""
        if token not in self._drawn:
            self._drawn[token] = self._rng(token).uniform(-1, 1, size).astype(np.float32)
        return self._drawn[token]


class _Noisy(WrappedGradients):
    """The gradients of a model with noise in its token embeddings."""

    def __init__(self, inner: Differentiable, noise: _Noise) -> None:
        super().__init__(inner)
        self._noise = noise

    def encode(self, requests: Sequence[Classify] | Sequence[LogLikelihood], /) -> Encoded:
        encoded = super().encode(requests)
        if encoded.domain != EMBEDDINGS:
            return encoded
        places = [(row, i) for row, spans in enumerate(encoded.spans) for i, span in enumerate(spans) if tuple(span) != (0, 0)]
        tokens = _list_tokens(requests, encoded, places)
        return replace(encoded, features=self._add_noise(encoded.features, places, tokens)) if places else encoded

    def _add_noise(self, features_BLD: torch.Tensor, places: Sequence[tuple[int, int]], tokens: Sequence[str]) -> torch.Tensor:
        """Return the embeddings [B, L, D] with noise at the given (row, column) places.

        tokens: the token at each place.
        """
        import torch

        rows, columns = torch.tensor(places, device=features_BLD.device).T
        own_TD = features_BLD[rows, columns]
        radius_T1 = RADIUS * (own_TD.amax(1, keepdim=True) - own_TD.amin(1, keepdim=True))
        noise_TD = torch.from_numpy(np.stack([self._noise.of(token, own_TD.shape[1]) for token in tokens])).to(own_TD)
        moved = features_BLD.clone()
        moved[rows, columns] = own_TD + radius_T1 * noise_TD
        return moved


def _list_tokens(requests: Sequence[Any], encoded: Encoded, places: Sequence[tuple[int, int]]) -> list[str]:
    """Return the token at each (row, column): its vocabulary id, or its text if the model does not expose ids."""
    ids = encoded.extra.get("input_ids")
    if ids is not None:
        numbers = ids.tolist()
        return [str(numbers[row][column]) for row, column in places]
    shown = ["\n".join(list_texts(request.input)) for request in requests]
    return [shown[row][slice(*encoded.spans[row][column])] for row, column in places]
