"""Attacks: programs that propose perturbed samples."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Generic, TypeAlias, TypeVar

from .plugins import Program
from .threat import Threat

if TYPE_CHECKING:
    from .model_port import ModelPort
    from .samples import Sample, SampleRng

Th = TypeVar("Th", bound=Threat)


class Attack(Program, Generic[Th]):
    """Base of attacks. The task's own scoring, run by the harness, decides whether a twin succeeded. A subclass gives ``requires`` and
    `perturb`.

    ``threat``: the default threat; a suite may give another of the same type. None: a suite must give one.
    ``covers_all``: True: samples that the model gets wrong are attacked as well.
    ``keeps_answer``: True: it looks for a twin with the same answer, so that the distances of all its twins count, and not only of those
    that changed the answer.
    """

    threat: Th | None = None
    covers_all: bool = False
    keeps_answer: bool = False

    @abstractmethod
    def perturb(self, engine: ModelPort, samples: Sequence[Sample], threat: Th, rng: SampleRng, /) -> Sequence[Sample]:
        """Return a twin of each sample, in order.

        ``rng(sample.id)``: the only source of randomness. What the harness reads of a twin's ``metadata``: ``num_queries`` of the model;
        ``budget_exhausted``, True where the search ended because its budget of steps or queries did; ``zero_gradient``, True where the
        loss had none; ``error``, why this sample could not be attacked.
        """
        raise NotImplementedError


AnyAttack: TypeAlias = Attack[Any]
"""An attack under whatever threat it takes, which its suite entry was checked against."""
