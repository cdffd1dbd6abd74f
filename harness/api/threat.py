"""Threats: the allowed changes of an attacker."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from .plugins import Plugin

if TYPE_CHECKING:
    from .model_port import ModelPort
    from .samples import Sample


class Threat(Plugin):
    """Base class of threats. A subclass defines `admits` and `distance`. The harness checks each twin against the threat of its attack.

    ``requires``: the capabilities that `measure` needs from the model under attack.
    ``instead``: advice for users whose model lacks these capabilities.
    """

    __slots__ = ()
    requires: frozenset[str] = frozenset()
    instead: str = ""

    @abstractmethod
    def admits(self, clean: Sample, perturbed: Sample, measured: Mapping[str, float] | None = None, /) -> bool:
        """Decide whether the perturbed sample is allowed.

        ``measured``: the result of `measure`, by name. A threat that does not define `measure` may leave this parameter out.
        """
        raise NotImplementedError

    @abstractmethod
    def distance(self, clean: Sample, perturbed: Sample, /) -> Mapping[str, float]:
        """Return distances between sample and twin, by name: ``linf``, ``l2``, ``words_changed``, ``chars_changed``."""
        raise NotImplementedError

    def measure(self, engine: ModelPort, pairs: Sequence[tuple[Sample, Sample]], /) -> Sequence[Mapping[str, float]]:
        """Measure pairs of sample and twin with models. Records keep the numbers as distances, and `admits` receives them."""
        return [{} for _ in pairs]

    def check_input(self, clean: Sample, /) -> None:
        """Raise `ConfigError` if the threat does not apply to a task's first sample, or is so wide that it allows every change."""
