"""The base classes of models: their metadata, their answers and their gradients."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Collection, Hashable, Iterable, Iterator, Mapping, Sequence, Set
from dataclasses import dataclass, field, fields
from typing import TYPE_CHECKING, Any, TypeAlias

from ..modalities.base import find_modality_by_name
from ..modalities.inputs import Input
from .errors import CapabilityError
from .lexicon import Lexicon
from .requests import Request, request_kinds
from .responses import Failure, Response

if TYPE_CHECKING:
    import torch


FEATURES = frozenset({"gradients", "attention", "vocabulary"})
"""Capabilities beyond the kinds of requests; `ModelInfo.features` explains them."""


@dataclass(frozen=True, slots=True)
class ModelInfo:
    """The metadata of a model, available before its weights load.

    answers: the modalities that the model accepts, by request kind: ``{"classify": {"text", "pair"}}``.
    features: further capabilities: ``gradients`` if the model is `Differentiable`, ``attention`` if it also has attention weights,
        ``vocabulary`` if it has a `Lexicon`.
    labels: class names in the order of its logits.
    notes: sentences for readers of the scorecard.
    is_multi_label: whether several classes can hold for one input; `Logits.is_multi_label` must agree.
    instead: what to do where the model lacks a request kind or feature, by its name: ``{"gradients": "give the checkpoint"}``.
    is_paid: whether answers cost money: `Model.stream` answers all requests, its answers are stored as they arrive, and nothing is asked
        again only to check it.
    Raises `TypeError` if ``answers`` is not a mapping or ``features`` is not a set.
    """

    answers: Mapping[str, Collection[str]]
    features: Set[str] = frozenset()
    labels: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    is_multi_label: bool = False
    instead: Mapping[str, str] = field(default_factory=dict)
    is_paid: bool = False

    def __post_init__(self) -> None:
        if not isinstance(self.answers, Mapping) or any(isinstance(taken, str) for taken in self.answers.values()):
            raise TypeError(
                "ModelInfo.answers maps each request kind to the modalities that the model takes for it, e.g. {'classify': {'text'}}; "
                f"it is {self.answers!r}"
            )
        if not isinstance(self.features, Set):
            raise TypeError(f"ModelInfo.features is a set of names, e.g. {{'gradients'}}; it is {self.features!r} (classes are labels=...)")

    def takes(self, kind: str, modality: str, /) -> bool:
        """Tell whether the model answers requests of this kind for inputs of this modality."""
        return modality in self.answers.get(kind, ())

    def describe_lack(self, requires: Set[str], /) -> str:
        """Describe the required capabilities that the model lacks, as in "gives no gradients"; empty if it lacks none.

        requires: names of request kinds, modalities and features; each kind must be answered for each modality.
        """
        modalities = {name for name in requires if find_modality_by_name(name) is not None}
        missing = sorted(requires - modalities - self.features - set(self.answers))
        kinds, features = ([name for name in missing if (name in request_kinds()) == is_kind] for is_kind in (True, False))
        lacks = [f"does not answer {_join_names(kinds, 'or')} (it answers {_join_names(self.answers)})"] if kinds else []
        lacks += [f"gives no {_join_names(features, 'or')}"] if features else []
        for kind in sorted(requires & set(self.answers)):
            if unsupported := modalities - set(self.answers[kind]):
                lacks.append(f"answers {kind} for {_join_names(self.answers[kind])}, not for {_join_names(unsupported)}")
        if requires <= modalities and (unsupported := modalities.difference(*self.answers.values())):
            lacks.append(f"takes no {_join_names(unsupported)}")
        return "; ".join([" and ".join(lacks), *dict.fromkeys(self.instead[name] for name in missing if name in self.instead)])

    def __str__(self) -> str:
        """Return the capabilities as a plan shows them: "classify for pair and text, gradients"."""
        kinds = [f"{kind} for {_join_names(self.answers[kind])}" for kind in sorted(self.answers)]
        return ", ".join([*kinds, *sorted(self.features)]) or "nothing"


def _join_names(names: Iterable[str], word: str = "and") -> str:
    *first, last = sorted(names) or ["nothing"]
    return f"{', '.join(first)} {word} {last}" if first else last


Unit: TypeAlias = Any
"""A part of a request that is batched on its own. Only the model creates and reads it."""
Answer: TypeAlias = Any
"""The model's answer to a unit: a `Response`, a `Failure`, or a value that its `Model.join` reads."""


@dataclass(slots=True)
class Streamed:
    """Times of answers that arrived token by token, added up.

    answers: their number. first_token_s: seconds until the first token. tokens: their tokens after the first. seconds: in which those
    arrived.
    """

    answers: int = 0
    first_token_s: float = 0.0
    tokens: int = 0
    seconds: float = 0.0

    def add(self, other: Streamed, /) -> None:
        for f in fields(self):
            setattr(self, f.name, getattr(self, f.name) + getattr(other, f.name))


@dataclass(frozen=True, slots=True)
class Pass:
    """One pass of a model that packs its own batches (`Model.stream`).

    tokens: the number of computed positions. answers: (index of unit, answer) for each finished unit. flops: floating-point operations;
    0: not counted. streamed: the times of answers that a service streamed.
    """

    tokens: int
    answers: Sequence[tuple[int, Answer]]
    flops: int = 0
    streamed: Streamed = field(default_factory=Streamed)


class Model:
    """Base class of models, which answer requests. A subclass defines ``name``, ``fingerprint``, and one method per request kind.

    Such a method has the name of the kind, takes a batch of units and returns one answer per unit, in order. By default a unit is the
    request itself. If an answer is a `Failure`, only that request fails. If the method raises, the engine halves the batch until it has
    isolated the failing request, so that it computes the others several times.

    name: the model's name in messages.
    fingerprint: a digest of everything that its answers depend on; the key of the answer cache.
    device, dtype: the device and the number format of a torch model; None: it is not a torch model.
    notes: sentences for readers of the scorecard.
    mask_token: the text that replaces a hidden word; None: there is none.
    has_templated_prompts: whether it applies its chat template to plain-text prompts.
    flops_per_token: floating-point operations of its weight multiplications per position; 0: not counted.
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
        """Return the method that answers requests of this kind; None if the model has none."""
        return None if hasattr(Model, kind) else getattr(self, kind, None)

    def close(self) -> None:
        """Free the model's resources. No method is called afterwards."""

    def identity_requests(self) -> Sequence[Request[Response]]:
        """Return requests whose answers tell this model from others, for a model that can change while it runs (behind an endpoint)."""
        return ()

    # ── requests to units ─────────────────────────────────────────────────────────────────────────────────────────────

    def prepare(self, requests: Sequence[Request[Response]], /) -> None:
        """Prepare for a batch of requests before they are split."""

    def prepare_ahead(self, requests: Callable[[], Sequence[Request[Response]]], /) -> None:
        """Start preparing the next call's requests in the background. requests: creates them; call it only if they are used."""

    def split(self, request: Request[Response], /) -> Sequence[Unit]:
        """Split a request into units. Raises `SampleError` if it cannot be answered."""
        return (request,)

    def length(self, unit: Unit, /) -> int:
        """Return a unit's number of positions (tokens, patches), including generated ones."""
        return 1

    def batch_key(self, unit: Unit, /) -> Hashable:
        """Return the key that units must share to be batched, in addition to that of their requests: a shape that cannot be padded."""
        return None

    def shared_rows(self, units: Sequence[Unit], /) -> Sequence[Sequence[int]]:
        """Group the indices of units by the row of a batch that answers them, the longest unit of each row first."""
        return [[index] for index in range(len(units))]

    def join(self, request: Request[Response], answers: Sequence[Answer], /) -> Response | Failure:
        """Build the response of a request from the answers to its units, in order."""
        joined: Response | Failure = answers[0]
        return joined

    def flops(self, unit: Unit, positions: int, /) -> int:
        """Return the floating-point operations of a unit's forward pass. positions: the number of computed positions."""
        return positions * self.flops_per_token

    # ── units that the model packs by itself ──────────────────────────────────────────────────────────────────────────

    def streams(self, unit: Unit, /) -> bool:
        """Tell whether `stream` answers this unit."""
        return False

    def stream(self, units: Sequence[Unit], tokens: int, rows: int, /) -> Iterator[Pass]:
        """Answer units of one kind and batch key, and yield after each pass. The model packs the batches itself.

        tokens: the largest number of positions in a pass. rows: the largest number of sequences generated at the same time.
        """
        raise NotImplementedError

    # ── inputs, controls, gradients ───────────────────────────────────────────────────────────────────────────────────

    def canonical(self, value: Input, /) -> Input:
        """Preprocess an input as the model does (resize an image), so that preprocessing it again changes nothing."""
        return value

    def readings(self, requests: Sequence[Request[Response]], /) -> Sequence[Hashable]:
        """Return what the model reads of each request; equal for requests that it cannot distinguish."""
        return requests

    def randomised(self, seed: int, share: float = 1.0, /) -> Model | None:
        """Return a copy of the model with reinitialised weights, a control for probes; None if it has no weights.

        seed: the seed of the new weights.
        share: the share of layers to reinitialise, counted from the last, in (0, 1].
        """
        return None

    def differentiable(self) -> Differentiable:
        """Return the model as a differentiable function. Raises `CapabilityError` if it has no gradients."""
        raise CapabilityError(f"model {self.name!r} gives no gradients; use a torch model for attacks and probes that need them")


EMBEDDINGS, PIXELS = "embeddings", "pixels"
"""Domains of gradients: the kinds of features of a `Differentiable` model."""


@dataclass(slots=True)
class Encoded:
    """A batch encoded for gradients.

    features: the tensor that gradients are taken with respect to.
    baseline: a neutral input of the same shape: neutral tokens' embeddings with the special tokens kept; black pixels.
    mask_BL: for embeddings, 1 for real tokens and 0 for padding.
    spans: per sample, the (start, end) of each position in the text (for a pair: `words.shift_spans`), (0, 0) for special tokens.
    extra: further tensors for `Differentiable.logits`, one row per sample; ``input_ids`` holds the tokens of a text model.
    domain: the kind of features. ``embeddings``: [B, L, D]. ``pixels``: [B, C, H, W] in [0, 1] (normalisation is inside the model).
        Any other name: one number per part of the input, [B, ...] with the shape of an attribution's values (`Modality.parts`).
    Raises `TypeError` if embeddings have no mask, or if other features have one.
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
    """Base class of differentiable torch models, for gradient attacks and attribution. A subclass defines ``module``, `encode`, `logits`.

    A causal language model encodes `LogLikelihood` requests, and its `logits` are the log-probabilities [N, S] of the continuations'
    tokens, padded with 0. The ``spans`` are positions in the prompt (for a chat, in its last message), and (0, 0) for all other tokens,
    which ``baseline`` leaves unchanged; ``extra["input_ids"]`` holds the tokens.

    module: the network.
    tokenizer: the transformers tokenizer; None: the model has none.
    resumes: whether `logits` accepts features without a prefix that is unchanged and equal in all rows of the batch; the model reuses
        its cached states of the prefix.
    """

    module: torch.nn.Module
    tokenizer: Any = None
    resumes: bool = False

    @abstractmethod
    def encode(self, requests: Sequence[Any], /) -> Encoded:
        """Encode a batch of requests: `Classify`, or `LogLikelihood` for a causal language model.

        Raises `SampleError` if one of them cannot be answered.
        """
        raise NotImplementedError

    @abstractmethod
    def logits(self, features: torch.Tensor, encoded: Encoded, rows: torch.Tensor | None = None, /) -> torch.Tensor:
        """Compute logits [N, C] in the order of the requests' labels, differentiable with respect to the features.

        features: [N, L, D] or [N, C, H, W].
        encoded: the result of `encode` for a batch of B requests.
        rows: [N], the index of the encoded row that each row of ``features`` is a variant of, so that variants of one sample share a
            pass; None: N = B, in order.
        """
        raise NotImplementedError

    def attentions(self, features: torch.Tensor, encoded: Encoded, rows: torch.Tensor | None = None, /) -> torch.Tensor:
        """Compute the attention weights [N, M, L, L] of the M layers, averaged over their heads, for a pass as in `logits`.

        Raises `CapabilityError` if the model has no attention weights (the feature ``attention``).
        """
        raise CapabilityError("the model gives no attention weights; use a transformers checkpoint (hf) with attention layers")

    def lexicon(self) -> Lexicon:
        """Return the tokens of a text model. Raises `CapabilityError` if they are not known (the feature ``vocabulary``)."""
        raise CapabilityError("the model does not tell its tokens; use an attack that only needs answers, e.g. deepwordbug")

    def readers(self, encoded: Encoded, rows: torch.Tensor | None = None, /) -> torch.Tensor | None:
        """Return the weight [N, L] of each position in the model's output; None: the first position, or the last one of a decoder."""
        return None

    def take_beginnings(self) -> tuple[int, int]:
        """Return the number of tokens that `logits` read from cached prefixes since the last call, and the number of passes."""
        return 0, 0
