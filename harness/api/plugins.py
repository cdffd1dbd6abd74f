"""The protocols a plugin fulfils. None needs a base class: a class with these attributes is a plugin.

How it is found: by an entry point of the groups in `registry.GROUPS`, or by ``@plugin(group, name)`` in a file given with ``--plugin``.
Keyword parameters of its ``__init__`` are its settings in a suite file; its docstring is what ``windtunnel show`` prints.

A task that has ``run``, an attack, a threat or a probe may ask further models (a judge, a sentence encoder): in ``roles`` it names those
that it cannot do without, in ``optional_roles`` those that it can, each with what such a model must be able to do, e.g.
``roles = {"judge": frozenset({"generate"})}``. The suite says who plays them, and ``engine.roles["judge"]`` is that model's engine.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar, Protocol, TypeVar

from .model_port import ModelPort
from .requests import Request
from .samples import Attribution, Sample, SampleRng

if TYPE_CHECKING:
    from .scorecard import Scorecard

# ── models ────────────────────────────────────────────────────────────────────────────────────────────────────────────


# ── tasks, attacks, probes, reports ───────────────────────────────────────────────────────────────────────────────────


class Task(Protocol):
    """Samples, the requests they make and the scores of the answers.

    ``primary``: the score whose 1 means right and 0 means wrong; attacks are judged by it ("" where there is none, e.g. perplexity).
    ``metrics``: names from the ``metrics`` group, computed over the set. A task whose next request depends on an answer gives
    ``run(engine, samples) -> responses per sample`` instead of ``requests``.
    """

    name: str
    requires: frozenset[str]
    metrics: Sequence[str]
    primary: str

    def samples(self) -> Iterable[Sample]: ...

    def requests(self, sample: Sample, /) -> Sequence[Request[Any]]: ...

    def score(self, sample: Sample, responses: Sequence[Any], /) -> Mapping[str, float | None]: ...

    def predict(self, sample: Sample, responses: Sequence[Any], /) -> Mapping[str, Any]:
        """Optional: what the record keeps beside the scores, e.g. ``prediction`` (class index or text) and ``probabilities``."""
        ...


class Threat(Protocol):
    """What an attacker may change. Checked by the runner, whatever the attack says.

    A threat that needs models to judge has ``measure(engine, pairs) -> numbers of each pair``, and ``roles`` where they are others than the
    one under attack: the runner asks it once for all twins, adds the numbers to the distances and gives them to ``admits`` as its third
    argument. What the model under attack has to answer for that stands in ``requires``, and what a user whose model cannot may do, in
    ``instead``. Where it cannot be about every sample, or may be set so wide that it forbids nothing, ``check_input(sample)`` raises
    `ConfigError`: the plan asks it about the first sample.
    """

    def admits(self, clean: Sample, perturbed: Sample, /) -> bool: ...

    def distance(self, clean: Sample, perturbed: Sample, /) -> Mapping[str, float]:
        """How far the twin is, by name and unit: ``linf``, ``l2``, ``words_changed``, ``chars_changed``."""
        ...


Th = TypeVar("Th", bound=Threat, contravariant=True)


class Attack(Protocol[Th]):
    """Proposes perturbed samples. The task's own scoring, run by the harness, decides whether one succeeded.

    ``threat``: the default threat; a suite may give another of the same type. What the harness reads of a twin's ``metadata``:
    ``num_queries`` of the model; ``budget_exhausted``, True where the search ended because its budget of steps or queries did;
    ``zero_gradient``, True where the loss had none. ``rng(sample.id)`` is the only source of randomness.

    Optional: ``reads``, what it needs of a sample's metadata, each with a sentence on the tasks that have it; ``asks_beyond``, what of
    ``requires`` the model must be able to do though the task does not ask it; ``covers_all``, True where samples that the model gets wrong
    are attacked as well; ``keeps_answer``, True where it looks for a twin that is answered as the sample was, so that the distance of all
    its twins is told and not of those alone that flipped the answer.
    """

    requires: ClassVar[frozenset[str]]
    threat: Threat

    def perturb(self, engine: ModelPort, samples: Sequence[Sample], threat: Th, rng: SampleRng, /) -> Sequence[Sample]: ...


class Probe(Protocol):
    """Attributes the model's output to parts of the input. The harness scores what it gives, beside its controls.

    ``target``, where a probe has it: ``predicted`` or ``gold``, the class it explains. A control must explain the same class: it asks a
    copy of the probe with ``gold`` about samples whose target is that class.
    ``inputs``, where a probe (or an attack) has it: the modalities it works on, of which a task needs one. ``caution``, where a plugin has
    it: what a reader must know before believing its numbers, a sentence; the scorecard flags it.
    ``trial() -> Probe | None``, where a probe has it: a copy that explains with as few passes as it can, where a setting depends on the
    model's weights (a layer's name). It is tried on a sample as soon as the weights are loaded, and a `ConfigError` ends the run there.
    A probe that requires ``classify`` is asked about a language model's task as well: there the labels are texts of continuations, and
    `Classify` gives their log-likelihoods (`continuations`).
    """

    requires: ClassVar[frozenset[str]]

    def attribute(self, engine: ModelPort, samples: Sequence[Sample], /) -> Sequence[Attribution]: ...


class Report(Protocol):
    """A view of a scorecard. ``suffix``: the file name it is written under in the run folder, e.g. ``summary.md``."""

    suffix: ClassVar[str]

    def render(self, scorecard: Scorecard, /) -> str: ...
