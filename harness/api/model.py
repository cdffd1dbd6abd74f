"""What a model is to the harness: what is known before its weights load, how it loads, what it answers, its gradients."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence, Set
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

from ..modalities.base import modality_named
from .requests import Classify, LogLikelihood, request_kinds

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


class ModelSource(Protocol):
    """What a ``models`` plugin makes: first `inspect`, cheap and without weights, then `load`."""

    def inspect(self) -> ModelInfo: ...

    def load(self, device: str, dtype: str, /) -> Model: ...


class Model(Protocol):
    """Something that answers requests. A capability is a method named for a request's kind: it takes a batch, returns a list in order.
    A `Failure` may stand in an answer's place: that request alone has failed, and nothing of the batch is asked again. Where the method
    raises instead, the batch is halved until the request that fails is alone, so that others are asked several times.

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
    real. ``spans``: per sample, each position's (start, end) in the text (of a pair: `words.in_text`), (0, 0) for special tokens.
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
