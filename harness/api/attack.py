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
    """Base class of attacks. A subclass defines ``requires`` and `perturb`.

    The harness scores each twin with the task's own scoring, which decides whether the attack succeeded.

    ``threat``: the default threat; a suite may set another of the same type. None: a suite must set one.
    ``covers_all``: whether samples that the model gets wrong are attacked as well.
    ``keeps_answer``: whether the attack searches for a twin with the same answer. The mean distances then cover all twins, not only
    those that changed the answer.
    """

    threat: Th | None = None
    covers_all: bool = False
    keeps_answer: bool = False

    @abstractmethod
    def perturb(self, engine: ModelPort, samples: Sequence[Sample], threat: Th, rng: SampleRng, /) -> Sequence[Sample]:
        """Return a twin of each sample, in order.

        engine: runs the model under attack.
        samples: the clean samples.
        threat: the allowed changes.
        rng: ``rng(sample.id)`` is the only source of randomness.

        The harness reads these keys of a twin's ``metadata``: ``num_queries`` (queries to the model), ``budget_exhausted`` (True if the
        search used up its steps or queries), ``zero_gradient`` (True if the loss had a zero gradient) and ``error`` (why this sample
        could not be attacked).
        """
        raise NotImplementedError


AnyAttack: TypeAlias = Attack[Any]
"""An attack with a threat of any type. The plan has checked the type of the threat against the attack."""
