"""Base classes of wrappers around a model's port and its gradients. A subclass overrides what it changes."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, TypeVar

from ..api.lexicon import Lexicon
from ..api.model import Differentiable, Encoded, ModelInfo
from ..api.model_port import ModelPort
from ..api.requests import R, Request
from ..api.responses import Failure, Response
from ..api.samples import Sample
from ..modalities.inputs import Input
from .units import require_responses

if TYPE_CHECKING:
    import torch

T = TypeVar("T")


class WrappedPort:
    """A `ModelPort` that delegates to another one. `run` uses `try_run`, so a subclass overrides only the latter."""

    def __init__(self, inner: ModelPort) -> None:
        self._inner = inner
        self.info: ModelInfo = inner.info

    @property
    def roles(self) -> Mapping[str, ModelPort]:
        return self._inner.roles

    def run(self, requests: Sequence[Request[R]], /) -> list[R]:
        return require_responses(self.try_run(requests))

    def try_run(self, requests: Sequence[Request[R]], /) -> list[R | Failure]:
        return self._inner.try_run(requests)

    def asked(self, sample: Sample, /) -> Sequence[Request[Response]]:
        return self._inner.asked(sample)

    def canonical(self, value: Input, /) -> Input:
        return self._inner.canonical(value)

    def alike(self, request: Request[Response], /) -> Hashable:
        return self._inner.alike(request)

    def readings(self, requests: Sequence[Request[Response]], /) -> list[Hashable]:
        return self._inner.readings(requests)

    def groups(self, lengths: Sequence[int], /) -> list[list[int]]:
        return self._inner.groups(lengths)

    def in_memory(self, work: Callable[[], T], /) -> T:
        return self._inner.in_memory(work)

    @contextmanager
    def differentiable(self) -> Iterator[Differentiable]:
        with self._inner.differentiable() as net:
            yield self.wrap_gradients(net)

    def wrap_gradients(self, net: Differentiable, /) -> Differentiable:
        """Wrap the model's gradients; unchanged by default."""
        return net


class WrappedGradients(Differentiable):
    """The same gradients, of which a subclass changes something."""

    def __init__(self, inner: Differentiable) -> None:
        self._inner = inner
        self.module, self.tokenizer, self.resumes = inner.module, inner.tokenizer, inner.resumes

    def encode(self, requests: Sequence[Any], /) -> Encoded:
        return self._inner.encode(requests)

    def logits(self, features: torch.Tensor, encoded: Encoded, rows: torch.Tensor | None = None, /) -> torch.Tensor:
        return self._inner.logits(features, encoded, rows)

    def attentions(self, features: torch.Tensor, encoded: Encoded, rows: torch.Tensor | None = None, /) -> torch.Tensor:
        return self._inner.attentions(features, encoded, rows)

    def lexicon(self) -> Lexicon:
        return self._inner.lexicon()

    def readers(self, encoded: Encoded, rows: torch.Tensor | None = None, /) -> torch.Tensor | None:
        return self._inner.readers(encoded, rows)

    def take_beginnings(self) -> tuple[int, int]:
        return self._inner.take_beginnings()
