"""Probes: programs that attribute a model's output to parts of its input."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from .plugins import Program

if TYPE_CHECKING:
    from .model_port import ModelPort
    from .samples import Attribution, Sample


class Probe(Program):
    """Base of probes. The harness scores the attributions beside its controls. A subclass gives ``requires`` and `attribute`.

    A probe that requires ``classify`` is asked about a language model's task as well: there the labels are texts of continuations, and
    `Classify` gives their log-likelihoods (`continuations`).

    ``target``: the class that it explains, ``predicted`` or ``gold`` (the sample's own); None: the probe has no choice. A control must
    explain the same class: it asks a copy with ``gold`` about samples whose target is that class.
    ``needs_parts``: whether its attributions are about the parts of inputs, so that the modality of a task's inputs must give them.
    ``starts_from``: the neutral input that its attributions are relative to, in words; empty: there is none.
    """

    target: str | None = None
    needs_parts: bool = False
    starts_from: str = ""

    @abstractmethod
    def attribute(self, engine: ModelPort, samples: Sequence[Sample], /) -> Iterable[Attribution]:
        """Return an attribution of each sample, in order."""
        raise NotImplementedError

    def trial(self) -> Probe | None:
        """Make a copy that explains with as few passes as it can, where a setting depends on the model's weights (a layer's name). It is
        tried as soon as the weights are loaded, and a `ConfigError` ends the run there. None: there is nothing to try."""
        return None
