"""The protocols a plugin fulfils. None needs a base class: a class with these attributes is a plugin.

How it is found: by an entry point of the groups in `registry.GROUPS`, or by ``@plugin(group, name)`` in a file given with ``--plugin``.
Keyword parameters of its ``__init__`` are its settings in a suite file; its docstring is what ``windtunnel show`` prints.

A task that has ``run``, an attack, a threat or a probe may ask further models (a judge, a sentence encoder): in ``roles`` it names those
that it cannot do without, in ``optional_roles`` those that it can, each with what such a model must be able to do, e.g.
``roles = {"judge": frozenset({"generate"})}``. The suite says who plays them, and ``engine.roles["judge"]`` is that model's engine.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar, Protocol, TypeVar

from .inputs import Input
from .requests import Classify, LogLikelihood, Request
from .samples import Attribution, Sample, SampleRng

if TYPE_CHECKING:
    import torch

    from .scorecard import Scorecard

# ── models ────────────────────────────────────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True, slots=True)
class ModelInfo:
    """What can be known of a model before its weights load.

    ``capabilities``: request kinds it answers, modalities it takes (`inputs.modality`), and ``gradients`` where it is
    `Differentiable`, ``attention`` where that has ``attentions``. ``labels``: class names in the order of its logits. ``notes``: what a
    reader of the scorecard should know. ``is_multi_label``: the classes do not exclude each other, and its `Logits` say so, too.
    """

    capabilities: frozenset[str]
    labels: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    is_multi_label: bool = False


class ModelSource(Protocol):
    """What a ``models`` plugin makes: first `inspect`, cheap and without weights, then `load`."""

    def inspect(self) -> ModelInfo: ...

    def load(self, device: str, dtype: str, /) -> Model: ...


class Model(Protocol):
    """Something that answers requests. A capability is a method named for a request's kind: it takes a batch, returns a list in order.

    Optional refinements, used when they exist: ``prepare(requests)`` is told of requests before they are split, ``prepare_ahead(requests)``
    of those of the next call, to work on in the background,
    ``split(request) -> units`` breaks a request into pieces that are batched on their own, ``join(request, answers) -> response``
    puts their answers together, ``length(unit) -> int`` is a unit's size in tokens, ``batch_key(unit)`` what must be equal within its
    batch. ``streams(unit)`` says whether the model packs the unit by itself, and ``stream(units, budget)`` then yields an
    `engine.packing.Pass` after each pass. ``canonical(input) -> input`` is the input after the model's own deterministic resizing,
    ``readings(requests)`` what it reads of each, equal where it cannot tell two apart,
    ``differentiable() -> Differentiable``, ``randomised(seed, share=1.0) -> Model`` the model with its weights drawn anew, or those
    of this share of its layers from the last (controls of probes),
    ``mask_token`` the text that stands for a word that is not shown, ``flops_per_token`` (of products with its weights), ``flops(unit)``
    where a pass without gradients takes others than ``flops_per_token`` for each of its positions, ``notes`` what a reader of the scorecard
    should know, ``close()``.
    """

    name: str
    fingerprint: str


@dataclass(slots=True)
class Encoded:
    """A batch made ready for gradients.

    ``features``: embeddings_BLD of text, or pixels_BCHW in [0, 1] (normalisation is the model's affair). ``mask_BL``: 1 where a token is
    real. ``spans``: per sample, each position's (start, end) in the text (of a pair: `words.in_second`), (0, 0) for special tokens.
    ``baseline``: a neutral input of the same shape (neutral tokens' embeddings with the special tokens kept; black pixels). ``extra``:
    passed through to `logits`, rows aligned with the batch; ``input_ids`` in it are the tokens, where a text model has numbers for them.
    """

    features: torch.Tensor
    baseline: torch.Tensor
    mask_BL: torch.Tensor | None = None
    spans: Sequence[Sequence[tuple[int, int]]] = ()
    extra: Mapping[str, torch.Tensor] = field(default_factory=dict)


class Differentiable(Protocol):
    """What gradient attacks and attribution need of a torch model.

    A causal language model encodes `LogLikelihood` requests, and its `logits` are the log-probabilities [N, S] of the continuations'
    tokens, 0 where a continuation is shorter; the ``spans`` are places in the prompt (of a chat, in its last message), (0, 0) for all
    other tokens, which stand in ``baseline`` as they are, and ``extra["input_ids"]`` are the tokens. ``tokenizer``: of a text model, where
    it has one.

    Optional, ``resumes``: true where `logits` also takes features without their beginning, of positions that are as encoded and alike in
    all rows of the batch; what follows them is computed from what was kept of them.

    Optional, the capability ``attention``: ``attentions(features, encoded, rows) -> [N, M, L, L]``, how each of the M layers attends from
    position to position in such a pass, averaged over its heads. Where the answer is read from other positions than the first (of a
    decoder, the last), ``readers(encoded, rows) -> [N, L]`` says from which, in shares.
    """

    module: torch.nn.Module
    tokenizer: Any

    def encode(self, requests: Sequence[Classify] | Sequence[LogLikelihood], /) -> Encoded: ...

    def logits(self, features: torch.Tensor, encoded: Encoded, rows: torch.Tensor | None = None, /) -> torch.Tensor:
        """Logits [N, C] in the order of the requests' labels. ``rows`` [N]: the encoded row each row of ``features`` is a variant
        of (None: N = B, each its own), so that many variants of one sample share a pass."""
        ...


class ModelPort(Protocol):
    """The engine as a plugin sees it: the only way to run a model, so that every pass is batched, cached and counted."""

    info: ModelInfo

    @property
    def roles(self) -> Mapping[str, ModelPort]:
        """The models that play the plugin's roles (see the top of this module); an optional role that nobody plays is not in it."""
        ...

    def run(self, requests: Sequence[Request[Any]], /) -> list[Any]:
        """One response a request, in order. Raises `SampleError` when one of them fails."""
        ...

    def try_run(self, requests: Sequence[Request[Any]], /) -> list[Any]:
        """Like `run`, with a `requests.Failure` in the place of what failed."""
        ...

    def asked(self, sample: Sample, /) -> Sequence[Request[Any]]:
        """What the task that is attacked asks of the model about a sample (or a twin), as it is really sent: system message, header and
        all. Empty where no task is attacked, or one that decides as it goes."""
        ...

    def canonical(self, value: Input, /) -> Input: ...

    def differentiable(self) -> AbstractContextManager[Differentiable]: ...

    def alike(self, request: Request[Any], /) -> Hashable:
        """What inputs must share, beside their shape, to be put through the model together for gradients."""
        ...

    def readings(self, requests: Sequence[Request[Any]], /) -> list[Hashable]:
        """What the model reads of each request: two of one reading (letter case that a tokenizer drops) are one question to it, and
        only rounding would tell their answers apart."""
        ...

    def groups(self, lengths: Sequence[int], /) -> list[list[int]]:
        """Indices packed into batches under the token budget, longest first: for work that is not a request (gradients)."""
        ...


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
