"""The base class of plugins for models."""

from __future__ import annotations

from abc import abstractmethod
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .model import Model, ModelInfo


class ModelSource:
    """Base class of plugins of the group ``models``: describes a model and loads it."""

    @abstractmethod
    def inspect(self) -> ModelInfo:
        """Return the model's metadata, quickly and without loading its weights."""
        raise NotImplementedError

    @abstractmethod
    def load(self, device: str, dtype: str, /) -> Model:
        """Load the weights.

        device: ``auto``, ``cpu``, ``cuda`` or ``cuda:N``. dtype: ``auto``, ``float32``, ``bfloat16`` or ``float16``.
        """
        raise NotImplementedError
