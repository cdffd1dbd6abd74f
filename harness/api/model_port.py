"""The engine as a plugin sees it."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Any, Protocol, TypeVar

from ..modalities.inputs import Input
from .model import Differentiable, ModelInfo
from .requests import Request
from .samples import Sample

T = TypeVar("T")


class ModelPort(Protocol):
    """The engine as a plugin sees it: the only way to run a model, so that every pass is batched, cached and counted."""

    info: ModelInfo

    @property
    def roles(self) -> Mapping[str, ModelPort]:
        """The models that play the plugin's roles (see the top of this module); an optional role that nobody plays is not in it."""
        ...

    def run(self, requests: Sequence[Request[Any]], /) -> list[Any]:
        """One response a request, in order. Raises `SampleError` when one of them fails."""
        ...

    def try_run(self, requests: Sequence[Request[Any]], /) -> list[Any]:
        """Like `run`, with a `requests.Failure` in the place of what failed."""
        ...

    def asked(self, sample: Sample, /) -> Sequence[Request[Any]]:
        """What the task that is attacked asks of the model about a sample (or a twin), as it is really sent: system message, header and
        all. Empty where no task is attacked, or one that decides as it goes."""
        ...

    def canonical(self, value: Input, /) -> Input: ...

    def differentiable(self) -> AbstractContextManager[Differentiable]: ...

    def alike(self, request: Request[Any], /) -> Hashable:
        """What inputs must share, beside their shape, to be put through the model together for gradients."""
        ...

    def readings(self, requests: Sequence[Request[Any]], /) -> list[Hashable]:
        """What the model reads of each request: two of one reading (letter case that a tokenizer drops) are one question to it, and
        only rounding would tell their answers apart."""
        ...

    def groups(self, lengths: Sequence[int], /) -> list[list[int]]:
        """Indices packed into batches under the token budget, longest first: for work that is not a request (gradients)."""
        ...

    def in_memory(self, work: Callable[[], T], /) -> T:
        """Do work whose passes are made of `groups`, and do it again in smaller ones where memory runs out."""
        ...
