"""What a model is to the harness: what is known before its weights load, how it loads, what it answers, its gradients."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Collection, Hashable, Iterable, Iterator, Mapping, Sequence, Set
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeAlias

from ..modalities.base import modality_named
from ..modalities.inputs import Input
from .errors import CapabilityError
from .requests import Failure, Request, Response, request_kinds

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True, slots=True)
class ModelInfo:
    """What is known of a model before its weights load.

    answers: the modalities that the model takes, for each request kind that it answers: ``{"classify": {"text", "pair"}}``.
    features: what it offers beside answers: ``gradients`` where it is `Differentiable`, ``attention`` where that has attention weights.
    labels: class names in the order of its logits.
    notes: what a reader of the scorecard should know.
    is_multi_label: the classes do not exclude each other, and its `Logits` say so, too.
    Raises `TypeError` where ``answers`` or ``features`` has another shape.
    """

    answers: Mapping[str, Collection[str]]
    features: Set[str] = frozenset()
    labels: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    is_multi_label: bool = False

    def __post_init__(self) -> None:
        if not isinstance(self.answers, Mapping) or any(isinstance(taken, str) for taken in self.answers.values()):
            raise TypeError(
                "ModelInfo.answers maps each request kind to the modalities that the model takes for it, e.g. {'classify': {'text'}}; "
                f"it is {self.answers!r}"
            )
        if not isinstance(self.features, Set):
            raise TypeError(f"ModelInfo.features is a set of names, e.g. {{'gradients'}}; it is {self.features!r} (classes are labels=...)")

    def takes(self, kind: str, modality: str, /) -> bool:
        """Whether the model answers requests of this kind about inputs of this modality."""
        return modality in self.answers.get(kind, ())

    def describe_lack(self, requires: Set[str], /) -> str:
        """Say which required capabilities the model lacks, as in "gives no gradients"; empty where it lacks none.

        requires: names of request kinds, modalities and features; each kind must be answered for each modality.
        """
        modalities = {name for name in requires if modality_named(name) is not None}
        missing = sorted(requires - modalities - self.features - set(self.answers))
        kinds, features = ([name for name in missing if (name in request_kinds()) == is_kind] for is_kind in (True, False))
        lacks = [f"does not answer {_joined(kinds, 'or')} (it answers {_joined(self.answers)})"] if kinds else []
        lacks += [f"gives no {_joined(features, 'or')}"] if features else []
        for kind in sorted(requires & set(self.answers)):
            if beyond := modalities - set(self.answers[kind]):
                lacks.append(f"answers {kind} for {_joined(self.answers[kind])}, not for {_joined(beyond)}")
        if requires <= modalities and (beyond := modalities.difference(*self.answers.values())):
            lacks.append(f"takes no {_joined(beyond)}")
        return " and ".join(lacks)

    def __str__(self) -> str:
        """As a plan shows it: "classify for pair and text, gradients"."""
        kinds = [f"{kind} for {_joined(self.answers[kind])}" for kind in sorted(self.answers)]
        return ", ".join([*kinds, *sorted(self.features)]) or "nothing"


def _joined(names: Iterable[str], word: str = "and") -> str:
    *first, last = sorted(names) or ["nothing"]
    return f"{', '.join(first)} {word} {last}" if first else last


class ModelSource:
    """What a plugin of the group ``models`` makes: tells what the model can do, and loads it."""

    @abstractmethod
    def inspect(self) -> ModelInfo:
        """Tell what the model answers, quickly and without its weights."""
        raise NotImplementedError

    @abstractmethod
    def load(self, device: str, dtype: str, /) -> Model:
        """Load the weights.

        device: ``auto``, ``cpu``, ``cuda`` or ``cuda:N``. dtype: ``auto``, ``float32``, ``bfloat16`` or ``float16``.
        """
        raise NotImplementedError


Unit: TypeAlias = Any
"""A part of a request that is batched on its own. What it holds is known to the model alone, which makes and reads it."""
Answer: TypeAlias = Any
"""What a model answers to a unit: a `Response`, a `Failure`, or what its own `Model.join` reads."""


@dataclass(frozen=True, slots=True)
class Pass:
    """One pass of a model that packs units by itself (`Model.stream`).

    tokens: positions that it computed. answers: (index of unit, answer) of the units that it finished. flops: floating-point operations,
    where the model counts them.
    """

    tokens: int
    answers: Sequence[tuple[int, Answer]]
    flops: int = 0


class Model:
    """Base of models, which answer requests. A subclass gives ``name``, ``fingerprint``, and one method for each kind of request that it
    answers, named for the kind: it takes a batch of units and returns one answer each, in order. By default a unit is the request itself.

    A `Failure` in an answer's place fails that request alone, and nothing of the batch is asked again. Where the method raises, the batch
    is halved until the request that fails is alone, so that the others are asked several times.

    name: what messages call it.
    fingerprint: of all that its answers depend on; answers are cached by it.
    device, dtype: where a torch model runs and its number format; None: it is no torch model.
    notes: what a reader of the scorecard should know.
    mask_token: the text that stands for a word that is not shown; None: there is none.
    has_templated_prompts: whether it puts prompts of plain text into its chat template.
    flops_per_token: floating-point operations of its products with weights for one position; 0: not counted.
    """

    name: str
    fingerprint: str
    device: torch.device | None = None
    dtype: torch.dtype | None = None
    notes: tuple[str, ...] = ()
    mask_token: str | None = None
    has_templated_prompts: bool = False
    flops_per_token: int = 0

    def method_for(self, kind: str, /) -> Callable[[Sequence[Unit]], Sequence[Answer]] | None:
        """Find the method that answers requests of this kind; None: the model has none."""
        return None if hasattr(Model, kind) else getattr(self, kind, None)

    def close(self) -> None:
        """Free what the model holds. It is asked nothing afterwards."""

    # ── requests to units ─────────────────────────────────────────────────────────────────────────────────────────────

    def prepare(self, requests: Sequence[Request[Any]], /) -> None:
        """Prepare for the requests that are split next, all at once."""

    def prepare_ahead(self, requests: Callable[[], Sequence[Request[Any]]], /) -> None:
        """Begin in the background to prepare for the requests of the next call. requests: makes them; call it only to use them."""

    def split(self, request: Request[Any], /) -> Sequence[Unit]:
        """Split a request into units. Raises `SampleError` where it cannot be answered."""
        return (request,)

    def length(self, unit: Unit, /) -> int:
        """Count a unit's positions (tokens, patches), including those that it generates."""
        return 1

    def batch_key(self, unit: Unit, /) -> Hashable:
        """Return what units must have in common, beside the key of their requests, to share a batch: a shape that cannot be padded."""
        return None

    def shared_rows(self, units: Sequence[Unit], /) -> Sequence[Sequence[int]]:
        """Group the indices of units by the row of a batch that answers them, the longest unit of each row first."""
        return [[index] for index in range(len(units))]

    def join(self, request: Request[Any], answers: Sequence[Answer], /) -> Response | Failure:
        """Make the response of a request from the answers to its units, in order."""
        joined: Response | Failure = answers[0]
        return joined

    def flops(self, unit: Unit, positions: int, /) -> int:
        """Count the floating-point operations of a unit's pass without gradients. positions: that were computed for it."""
        return positions * self.flops_per_token

    # ── units that the model packs by itself ──────────────────────────────────────────────────────────────────────────

    def streams(self, unit: Unit, /) -> bool:
        """Tell whether the model packs this unit by itself, with `stream`."""
        return False

    def stream(self, units: Sequence[Unit], tokens: int, rows: int, /) -> Iterator[Pass]:
        """Answer units of one kind and batch key that it `streams`; yield after each pass.

        tokens: positions that a pass may hold. rows: sequences that may be written at the same time.
        """
        raise NotImplementedError

    # ── inputs, controls, gradients ───────────────────────────────────────────────────────────────────────────────────

    def canonical(self, value: Input, /) -> Input:
        """Prepare an input as the model does by itself (resize an image), so that preparing it again changes nothing."""
        return value

    def readings(self, requests: Sequence[Request[Any]], /) -> Sequence[Hashable]:
        """Return what the model reads of each request: equal where it cannot tell two of them apart."""
        return requests

    def randomised(self, seed: int, share: float = 1.0, /) -> Model | None:
        """Make the model with weights drawn anew, a control of probes; None: it has no weights to draw.

        share: of its layers, counted from the last, that are drawn.
        """
        return None

    def differentiable(self) -> Differentiable:
        """Return the model as a function with gradients. Raises `CapabilityError` where it has none."""
        raise CapabilityError(f"model {self.name!r} gives no gradients; attacks and probes that need them want a torch model")


EMBEDDINGS, PIXELS = "embeddings", "pixels"
"""Domains of gradients: what the features of a `Differentiable` model are."""


@dataclass(slots=True)
class Encoded:
    """A batch made ready for gradients.

    features: what gradients are taken with respect to.
    baseline: a neutral input of the same shape: neutral tokens' embeddings with the special tokens kept; black pixels.
    mask_BL: of embeddings, 1 where a token is real.
    spans: of each sample, each position's (start, end) in the text (of a pair: `words.in_text`), (0, 0) for special tokens.
    extra: passed through to `Differentiable.logits`, rows aligned with the batch; ``input_ids`` are the tokens of a text model.
    domain: what the features are. ``embeddings``: [B, L, D]. ``pixels``: [B, C, H, W] in [0, 1] (normalisation is inside the model).
        Any other name: one number for each part of the input, [B, ...] in the shape of an attribution's values (`Modality.parts`).
    Raises `TypeError` where embeddings have no mask, or anything else has one.
    """

    features: torch.Tensor
    baseline: torch.Tensor
    mask_BL: torch.Tensor | None = None
    spans: Sequence[Sequence[tuple[int, int]]] = ()
    extra: Mapping[str, torch.Tensor] = field(default_factory=dict)
    domain: str = EMBEDDINGS

    def __post_init__(self) -> None:
        if (self.domain == EMBEDDINGS) != (self.mask_BL is not None):
            raise TypeError(
                f"Encoded: features of the domain {self.domain!r} come {'without' if self.mask_BL is None else 'with'} mask_BL; embeddings "
                "have one, and pixels (domain='pixels') and others (a name of your own) have none"
            )


class Differentiable:
    """Base of what gradient attacks and attribution need of a torch model. A subclass gives ``module``, `encode` and `logits`.

    A causal language model encodes `LogLikelihood` requests, and its `logits` are the log-probabilities [N, S] of the continuations'
    tokens, 0 where a continuation is shorter. The ``spans`` are places in the prompt (of a chat, in its last message), (0, 0) for all
    other tokens, which stand in ``baseline`` as they are, and ``extra["input_ids"]`` are the tokens.

    module: the network itself.
    tokenizer: that of transformers, whose types are its own; None: the model has none.
    resumes: whether `logits` also takes features without their beginning, of positions that are as encoded and alike in all rows of the
    batch; what follows them is computed from what was kept of them.
    """

    module: torch.nn.Module
    tokenizer: Any = None
    resumes: bool = False

    @abstractmethod
    def encode(self, requests: Sequence[Any], /) -> Encoded:
        """Make requests ready: `Classify`, or `LogLikelihood` of a causal language model.

        Raises `SampleError` where one of them cannot be answered.
        """
        raise NotImplementedError

    @abstractmethod
    def logits(self, features: torch.Tensor, encoded: Encoded, rows: torch.Tensor | None = None, /) -> torch.Tensor:
        """Compute logits [N, C] in the order of the requests' labels, differentiable by the features.

        features: [N, L, D] or [N, C, H, W]. rows: [N], the encoded row that each row of ``features`` is a variant of, so that many variants
        of one sample share a pass; None: N = B, each its own.
        """
        raise NotImplementedError

    def attentions(self, features: torch.Tensor, encoded: Encoded, rows: torch.Tensor | None = None, /) -> torch.Tensor:
        """Compute [N, M, L, L]: how each of the M layers attends from position to position in such a pass, averaged over its heads.

        Raises `CapabilityError` where the model has no attention weights (the feature ``attention``).
        """
        raise CapabilityError("the model gives no attention weights; a transformers checkpoint (hf) with attention layers does")

    def readers(self, encoded: Encoded, rows: torch.Tensor | None = None, /) -> torch.Tensor | None:
        """Return [N, L]: from which positions the answer is read, in shares; None: from the first, or from the last of a decoder."""
        return None

    def take_beginnings(self) -> tuple[int, int]:
        """Return how many tokens `logits` read of the beginnings that it keeps, and in how many passes, since the last call."""
        return 0, 0
