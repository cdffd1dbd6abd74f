"""Inputs with a little noise: of images in the pixels, of texts in the model's token embeddings.

Noise is uniform in each coordinate. A pixel's lies within `RADIUS`. A token's lies within `RADIUS` times the range (largest minus smallest
value) of its own embedding, and belongs to the token: wherever it stands, and whatever stands beside it, it is moved alike. So the whole
text and what is left of it without some words are asked of one model, whose embedding table has noise. The range of a whole text's values
would change with the words that go, and that of the table would let one odd token decide how far all others move. Special tokens stay as
they are.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ....api.model import EMBEDDINGS, Differentiable, Encoded, ModelInfo
from ....api.model_port import ModelPort
from ....api.requests import Classify, Failure, Logits, LogLikelihood, Request
from ....api.samples import Sample, SampleRng
from ....engine.batching import batches, isolated
from ....engine.continuations import Likelihoods
from ....engine.wrapped_port import WrappedGradients, WrappedPort
from ....modalities.inputs import Input, texts_of

if TYPE_CHECKING:
    import torch

RADIUS = 0.02


class NoisyPort(WrappedPort):
    """A model whose token embeddings have noise. Class scores of texts are computed by it, and never cached: the model's own answers
    are other ones. Where it gives no gradients its embeddings are out of reach, and it answers as it is."""

    def __init__(self, engine: ModelPort, rng: SampleRng) -> None:
        super().__init__(engine)
        self._noise = _Noise(rng)

    def try_run(self, requests: Sequence[Request[Any]], /) -> list[Any]:
        moved = list(dict.fromkeys(r for r in requests if isinstance(r, Classify) and has_noise(self.info, r.input)))
        answers = dict(zip(moved, self._answers(moved), strict=True)) if moved else {}
        others = iter(super().try_run([r for r in requests if r not in answers]))
        return [answers[r] if r in answers else next(others) for r in requests]

    def _answers(self, requests: Sequence[Classify]) -> list[Logits | Failure]:
        found: dict[int, Logits | Failure] = {}
        with self.differentiable() as net:
            for places in batches(self, [Sample("", r.input, labels=r.labels) for r in requests]):
                answers = isolated(lambda some: _logits(net, some), [requests[place] for place in places])
                found.update({p: Failure(a) if isinstance(a, str) else a for p, a in zip(places, answers, strict=True)})
        return [found[place] for place in range(len(requests))]

    def wrap_gradients(self, net: Differentiable, /) -> _Noisy:
        return _Noisy(net, self._noise)


def has_noise(info: ModelInfo, value: Input, /) -> bool:
    """Whether a text's embeddings are within reach."""
    return bool(texts_of(value)) and "gradients" in info.features


def _logits(net: Differentiable, requests: Sequence[Classify]) -> list[Logits]:
    import torch

    encoded = net.encode(requests)
    with torch.no_grad():
        rows = net.logits(encoded.features, encoded).float().cpu().tolist()
    scored = encoded.extra.get("scored")
    if scored is None:
        return [Logits(tuple(row)) for row in rows]
    return [Likelihoods(tuple(row), num_tokens=(num,)) for row, num in zip(rows, scored.sum(1).tolist(), strict=True)]


class _Noise:
    """Of each token the same, in units of its radius."""

    def __init__(self, rng: SampleRng) -> None:
        self._rng = rng
        self._drawn: dict[str, NDArray[np.float32]] = {}

    def of(self, token: str, size: int, /) -> NDArray[np.float32]:
        """[D]"""
        if token not in self._drawn:
            self._drawn[token] = self._rng(token).uniform(-1, 1, size).astype(np.float32)
        return self._drawn[token]


class _Noisy(WrappedGradients):
    def __init__(self, inner: Differentiable, noise: _Noise) -> None:
        super().__init__(inner)
        self._noise = noise

    def encode(self, requests: Sequence[Classify] | Sequence[LogLikelihood], /) -> Encoded:
        encoded = super().encode(requests)
        if encoded.domain != EMBEDDINGS:
            return encoded
        places = [(row, i) for row, spans in enumerate(encoded.spans) for i, span in enumerate(spans) if tuple(span) != (0, 0)]
        tokens = _tokens(requests, encoded, places)
        return replace(encoded, features=self._moved(encoded.features, places, tokens)) if places else encoded

    def _moved(self, features_BLD: torch.Tensor, places: Sequence[tuple[int, int]], tokens: Sequence[str]) -> torch.Tensor:
        import torch

        rows, columns = torch.tensor(places, device=features_BLD.device).T
        own_TD = features_BLD[rows, columns]
        radius_T1 = RADIUS * (own_TD.amax(1, keepdim=True) - own_TD.amin(1, keepdim=True))
        noise_TD = torch.from_numpy(np.stack([self._noise.of(token, own_TD.shape[1]) for token in tokens])).to(own_TD)
        moved = features_BLD.clone()
        moved[rows, columns] = own_TD + radius_T1 * noise_TD
        return moved


def _tokens(requests: Sequence[Any], encoded: Encoded, places: Sequence[tuple[int, int]]) -> list[str]:
    """Which token stands at each place: its number in the vocabulary or, where the model does not say, its text."""
    ids = encoded.extra.get("input_ids")
    if ids is not None:
        numbers = ids.tolist()
        return [str(numbers[row][column]) for row, column in places]
    shown = ["\n".join(texts_of(request.input)) for request in requests]
    return [shown[row][slice(*encoded.spans[row][column])] for row, column in places]
