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
    """Base class of probes. A subclass defines ``requires`` and `attribute`. The harness scores the attributions and their controls.

    A probe that requires ``classify`` also runs on tasks of language models: the labels are then continuations, and the response to
    `Classify` holds their log-likelihoods (`continuations`).

    ``target``: the class that it explains, ``predicted`` or ``gold`` (the sample's target); None: the probe cannot choose. A control
    explains the same class: it runs a copy with ``gold`` on samples whose target is that class.
    ``needs_parts``: whether it attributes to the parts of inputs, so that the modality of the inputs must define ``parts``.
    ``starts_from``: a description of the neutral input that attributions are relative to; empty: there is none.
    """

    target: str | None = None
    needs_parts: bool = False
    starts_from: str = ""

    @abstractmethod
    def attribute(self, engine: ModelPort, samples: Sequence[Sample], /) -> Iterable[Attribution]:
        """Return one attribution per sample, in order."""
        raise NotImplementedError

    def trial(self) -> Probe | None:
        """Return a copy that explains with as few passes as possible, to check settings that depend on the weights (a layer's name).

        The harness runs it when the weights are loaded; a `ConfigError` ends the run. None: no setting depends on the weights.
        """
        return None
