"""The interface of the engine to plugins."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Protocol, TypeVar

from ..modalities.inputs import Input
from .model import Differentiable, ModelInfo
from .requests import R, Request
from .responses import Failure, Response
from .samples import Sample

T = TypeVar("T")


class ModelPort(Protocol):
    """The interface of the engine to plugins. It is the only way to run a model, so that every pass is batched, cached and counted."""

    info: ModelInfo

    @property
    def roles(self) -> Mapping[str, ModelPort]:
        """The engines of the models in the plugin's roles (`Plugin.roles`), by role, without optional roles that the suite leaves out."""
        ...

    def run(self, requests: Sequence[Request[R]], /) -> list[R]:
        """Return one response per request, in order. Raises `SampleError` if a request fails."""
        ...

    def try_run(self, requests: Sequence[Request[R]], /) -> list[R | Failure]:
        """Return one response per request, in order, with a `requests.Failure` for each request that fails."""
        ...

    def asked(self, sample: Sample, /) -> Sequence[Request[Response]]:
        """Return the requests of the attacked task for a sample or a twin, exactly as they are sent, with system message and header.

        Empty if no task is attacked, or if its requests depend on earlier answers (`Task.is_sequential`).
        """
        ...

    def canonical(self, value: Input, /) -> Input:
        """Preprocess an input as the model does (`Model.canonical`)."""
        ...

    def differentiable(self) -> AbstractContextManager[Differentiable]:
        """Return a context with the model as a differentiable function. Raises `CapabilityError` if the model has no gradients."""
        ...

    def alike(self, request: Request[Response], /) -> Hashable:
        """Return the key that requests must share, in addition to their shape, to be batched for gradients."""
        ...

    def readings(self, requests: Sequence[Request[Response]], /) -> list[Hashable]:
        """Return what the model reads of each request. Requests with equal readings (a tokenizer may drop letter case) have equal
        answers up to rounding."""
        ...

    def groups(self, lengths: Sequence[int], /) -> list[list[int]]:
        """Pack indices into batches within the token budget, longest first, for passes without requests (gradients)."""
        ...

    def in_memory(self, work: Callable[[], T], /) -> T:
        """Call ``work``, whose passes use `groups`; call it again with smaller groups if memory runs out."""
        ...
