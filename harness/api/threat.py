"""Threats: what an attacker may change."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from .plugins import Plugin

if TYPE_CHECKING:
    from .model_port import ModelPort
    from .samples import Sample


class Threat(Plugin):
    """Base of threats. The harness checks every twin against its attack's threat, whatever the attack says. A subclass gives `admits` and
    `distance`.

    ``requires``: the capabilities that `measure` needs of the model under attack.
    ``instead``: what a user can do whose model has not these capabilities, in words.
    """

    __slots__ = ()
    requires: frozenset[str] = frozenset()
    instead: str = ""

    @abstractmethod
    def admits(self, clean: Sample, perturbed: Sample, measured: Mapping[str, float] | None = None, /) -> bool:
        """Decide whether the perturbed sample is allowed. ``measured``: the numbers of `measure`, where it gives any; it may be left out
        of the signature of a threat that does not measure."""
        raise NotImplementedError

    @abstractmethod
    def distance(self, clean: Sample, perturbed: Sample, /) -> Mapping[str, float]:
        """Measure how far the twin is, by name and unit: ``linf``, ``l2``, ``words_changed``, ``chars_changed``."""
        raise NotImplementedError

    def measure(self, engine: ModelPort, pairs: Sequence[tuple[Sample, Sample]], /) -> Sequence[Mapping[str, float]]:
        """Ask models about all pairs of a sample and its twin; the numbers are kept as distances, and passed to `admits`."""
        return [{} for _ in pairs]

    def check_input(self, clean: Sample, /) -> None:
        """Raise `ConfigError` where it cannot be about a task's first sample, or is so wide that it forbids nothing."""
