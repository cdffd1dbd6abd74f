"""What can be asked of a model, and what comes back.

A request's ``kind`` is the name of the `Model` method that answers it. A new kind is two frozen dataclasses, a `Request` and a `Response`,
which are known as soon as they are defined, here or in a plugin's file, and a method in an adapter.
"""

from __future__ import annotations

import math
from collections.abc import Hashable, Sequence
from dataclasses import dataclass, fields
from typing import Any, ClassVar, Generic, TypeVar

from ..modalities.base import modality_of
from ..modalities.chat import Chat, chat_of, modalities_in
from ..modalities.inputs import Input, size_of, texts_of

R_co = TypeVar("R_co", covariant=True)
_classes: dict[str, type[Any]] = {}
"""Requests and responses by the name that records give them: that of their class."""


RESERVED = frozenset({"Attribution", "Chat", "Failure", "Message", "Record", "Sample", "TextPair"})
"""Other classes of the harness that records name."""


def _register(cls: type[Any]) -> None:
    """Raises `TypeError` where the name is taken by another class of the harness's own."""
    known = _classes.get(cls.__name__)
    if cls.__name__ in RESERVED or (known is not None and known.__module__ == __name__ != cls.__module__):
        raise TypeError(f"the harness has a {cls.__name__!r} already; give the class another name")
    _classes[cls.__name__] = cls


class Response:
    """What answers a request."""

    __slots__ = ()

    def __init_subclass__(cls) -> None:
        _register(cls)

    def numbers(self) -> tuple[float, ...]:
        """What must be finite, and what may drift with its batch."""
        return ()

    def spread(self) -> float:
        """The numbers' scale: rounding moves them by a share of it, whatever their unit."""
        return _spread(self.numbers())


@dataclass(frozen=True, slots=True)
class LogProb(Response):
    """Log-likelihood in nats, summed over ``num_tokens`` scored tokens.

    ``is_greedy``: every scored token was the model's most likely one. ``num_truncated``: context tokens dropped for length.
    """

    value: float
    num_tokens: int
    is_greedy: bool = False
    num_truncated: int = 0

    def numbers(self) -> tuple[float, ...]:
        return (self.value,)

    def spread(self) -> float:
        """Nats a token, or one where they are fewer, as independent errors of the tokens add up."""
        num = max(1, self.num_tokens)
        return math.sqrt(num) * max(1.0, abs(self.value) / num)


@dataclass(frozen=True, slots=True)
class Completion(Response):
    """Generated text without the prompt and without the stop string. ``finish``: ``stop`` (a stop string or the end) or ``length``.

    ``num_tokens``: all that were generated, the end token and those of the stop string with them.
    """

    text: str
    num_tokens: int
    finish: str
    num_prompt_tokens: int = 0
    num_truncated: int = 0


@dataclass(frozen=True, slots=True)
class Logits(Response):
    """Unnormalised scores [num_classes], in the order of the request's ``labels`` (else in the model's own).

    ``is_multi_label``: the classes do not exclude each other, so that each logit has a logistic function of its own instead of a softmax
    over all.
    """

    values: tuple[float, ...]
    num_truncated: int = 0
    is_multi_label: bool = False

    def numbers(self) -> tuple[float, ...]:
        return self.values

    def probability(self, index: int, /) -> float:
        """Of a class: among all of them by softmax, or on its own."""
        if self.is_multi_label:
            return 0.5 * (1 + math.tanh(self.values[index] / 2))
        top = max(self.values)
        exps = [math.exp(value - top) for value in self.values]
        return exps[index] / math.fsum(exps)

    def holds(self, index: int, /) -> bool:
        """Whether the class is the answer: the likeliest of all, or on its own at least as likely as not."""
        if self.is_multi_label:
            return self.values[index] >= 0
        return max(range(len(self.values)), key=self.values.__getitem__) == index


@dataclass(frozen=True, slots=True)
class Embedding(Response):
    """A vector [D]."""

    values: tuple[float, ...]
    num_truncated: int = 0

    def numbers(self) -> tuple[float, ...]:
        return self.values


@dataclass(frozen=True, slots=True)
class Fillings(Response):
    """For each predicted place, ``tokens`` as the vocabulary has them (``##ing``, ``Ġthe``), likeliest first, and their ``log_probs``.

    No place where the mask lies beyond the longest text that the model takes.
    """

    tokens: tuple[tuple[str, ...], ...]
    log_probs: tuple[tuple[float, ...], ...]

    def numbers(self) -> tuple[float, ...]:
        return tuple(value for place in self.log_probs for value in place)


@dataclass(frozen=True, slots=True)
class Failure:
    """Stands where a response would: this one request failed, its batch neighbours did not. ``error`` is ``Type: message``."""

    error: str


def _spread(values: Sequence[float]) -> float:
    """Standard deviation; of a lone number its size."""
    if len(values) < 2:
        return abs(values[0]) if values else 0.0
    mean = math.fsum(values) / len(values)
    return math.sqrt(math.fsum((value - mean) ** 2 for value in values) / len(values))


@dataclass(frozen=True, slots=True)
class Request(Generic[R_co]):
    """What is asked of a model. ``kind``: the capability that a model needs, and the name of its method that answers a batch of these."""

    kind: ClassVar[str]

    def __init_subclass__(cls) -> None:
        if not isinstance(getattr(cls, "kind", None), str):
            raise TypeError(f"the request {cls.__name__} needs 'kind', the name of the model's method that answers it")
        _register(cls)

    def batch_key(self) -> Hashable:
        """What must be equal within one batch."""
        return None

    def beginning(self) -> str:
        """The text that a model which reads from left to right reads; empty where there is none."""
        return ""

    def parts_in_chats(self) -> frozenset[str]:
        """Return the modalities of the parts, beside text, of the chats in it: what a model must take for this kind as well."""
        chats = [chat for f in fields(self) if (chat := chat_of(getattr(self, f.name))) is not None]
        return frozenset[str]().union(*map(modalities_in, chats))

    def size(self) -> int:
        """A rough number of positions that answering takes, before any tokenizer has seen it."""
        values = [getattr(self, f.name) for f in fields(self)]
        return sum(size_of(value) for value in values if modality_of(value) is not None)


@dataclass(frozen=True, slots=True)
class LogLikelihood(Request[LogProb]):
    """log p(continuation | context). An empty context is the model's own beginning-of-text token; after a chat, the continuation is the
    beginning of the assistant's answer, or goes on from a last message of its own.

    ``delimiter``: stands between a text and its continuation, and is scored with it; see `written`.
    """

    kind: ClassVar[str] = "loglikelihood"
    context: str | Chat
    continuation: str
    delimiter: str = ""

    def written(self, *, is_answer: bool = False) -> str:
        """What is scored: the continuation, behind the delimiter where it goes on from a text.

        An answer of its own has no delimiter before it: after a chat, and where the model puts a context of text into its chat template
        (``is_answer``). Nor has one that goes on from a begun answer which ends in a space.
        """
        chat = chat_of(self.context)
        if chat is not None:
            is_answer = not chat.begun or chat.begun[-1].isspace()
        return self.continuation if is_answer else self.delimiter + self.continuation

    def beginning(self) -> str:
        texts = texts_of(self.context)
        return texts[0] + self.written() if texts else ""


@dataclass(frozen=True, slots=True)
class RollingLogLikelihood(Request[LogProb]):
    """log p(text), all of it, in windows as long as the model allows.

    ``min_context``: tokens of context that each scored token has at least, once the text is longer than one window. 1 scores
    disjoint windows (fast; what lm-evaluation-harness does); larger slides with overlap and comes nearer the true value.
    """

    kind: ClassVar[str] = "rolling_loglikelihood"
    text: str
    min_context: int = 1

    def beginning(self) -> str:
        return self.text


@dataclass(frozen=True, slots=True)
class PseudoLogLikelihood(Request[LogProb]):
    """The sum, over a text's tokens, of log p(token | all the others), each masked on its own (Salazar et al. 2020).

    ``other``: a text that is nearly the same. Then only those tokens count that the two have in common, in order (Nangia et al. 2020).
    """

    kind: ClassVar[str] = "pseudo_loglikelihood"
    text: str
    other: str = ""

    def size(self) -> int:
        return size_of(self.text) ** 2


MASK = "[MASK]"


@dataclass(frozen=True, slots=True)
class FillMask(Request[Fillings]):
    """The ``top_k`` most likely tokens where ``text`` says `MASK` (the first time it does), whatever the model's own mask is called.

    ``shown``: what the model reads there instead, if anything; then each of its tokens is predicted as it stands.
    """

    kind: ClassVar[str] = "fill_mask"
    text: str
    top_k: int = 10
    shown: str = ""


@dataclass(frozen=True, slots=True)
class Generate(Request[Completion]):
    """Continue the prompt until a stop string, the end-of-text token or ``max_tokens``.

    ``temperature`` 0 is greedy. Above 0, ``seed`` alone decides the draw, whatever else is in the batch.
    """

    kind: ClassVar[str] = "generate"
    prompt: Input
    max_tokens: int
    stop: tuple[str, ...] = ()
    temperature: float = 0.0
    seed: int = 0

    def batch_key(self) -> Hashable:
        return (self.temperature,)

    def beginning(self) -> str:
        return "".join(texts_of(self.prompt))

    def size(self) -> int:
        return size_of(self.prompt) + self.max_tokens


@dataclass(frozen=True, slots=True)
class Classify(Request[Logits]):
    """Class scores for one input. ``labels``: the names, and the order, in which the asker wants them."""

    kind: ClassVar[str] = "classify"
    input: Input
    labels: tuple[str, ...] = ()

    def batch_key(self) -> Hashable:
        return self.labels


@dataclass(frozen=True, slots=True)
class Embed(Request[Embedding]):
    kind: ClassVar[str] = "embed"
    input: Input
    layer: int = -1

    def batch_key(self) -> Hashable:
        return self.layer


def request_kinds() -> frozenset[str]:
    """The kinds of all requests that are defined, the harness's own and those of plugins."""
    return frozenset(cls.kind for cls in _classes.values() if issubclass(cls, Request))


def list_classes() -> dict[str, type[Any]]:
    """Return the requests and responses that are defined, by name."""
    return dict(_classes)


def class_named(name: str, /) -> type[Any] | None:
    """The request or response of this name."""
    return _classes.get(name)
