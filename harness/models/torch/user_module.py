"""A torch module of the user's: load it, and convert its scores to logits.

Shape legend: B batch, K scores.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from ...api.errors import ModelError, UserError
from ...identity.programs import fingerprint_program
from ...system.interrupts import is_interrupt
from ..common.outputs import Outputs
from .devices import pick_device, pick_dtype
from .named_scores import NamedScores

if TYPE_CHECKING:
    from .module_source import ModuleSource


class UserModule(NamedScores):
    """Base of classifiers with a module of the user's. A subclass calls `load_module` in its constructor."""

    module: torch.nn.Module
    device: torch.device
    dtype: torch.dtype

    def load_module(self, source: ModuleSource, device: str, dtype: str) -> None:
        """Build the module, and set the attributes. Raises `ModelError` if the target gives none."""
        self.name, self.labels = source.target, source.labels
        self.device = pick_device(device)
        own = source.has_own_dtype and dtype not in ("auto", "float32")
        self.dtype = pick_dtype("float32" if own else dtype, self.device, None)
        try:
            module = source.build()
        except UserError:
            raise
        except BaseException as error:
            if is_interrupt(error):
                raise
            raise ModelError(f"{source.target} raised {type(error).__name__}: {error}") from error
        if not isinstance(module, torch.nn.Module):
            raise ModelError(f"{source.target} returned a {type(module).__name__}, not a torch.nn.Module")
        self.module = module.eval().to(self.device, self.dtype)
        self._outputs, self.is_multi_label = Outputs(self.name, source.outputs, source.multi_label), source.multi_label
        settings = (self.dtype, *source.settings())
        parts = [*source.parts(self.module), *([source.encode] if source.encode is not None else [])]
        self.fingerprint, self._unknown = fingerprint_program(source.target, parts, settings, source.version, source.libraries)
        if own:
            self._unknown += (f"its framework computes in the number format of its weights, so dtype {dtype} is not applied",)
        self.notes = self._unknown

    def to_logits(self, scores_BK: torch.Tensor, /) -> torch.Tensor:
        """Convert the module's output to logits, differentiably."""
        if not isinstance(scores_BK, torch.Tensor) or scores_BK.ndim != 2:
            return scores_BK  # the caller checks the shape
        logits = self._outputs.of_tensor(scores_BK, len(self.labels) or max(2, scores_BK.shape[1]))
        self.notes = (*self._unknown, *self._outputs.notes)
        return logits
