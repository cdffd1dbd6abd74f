"""Requests to models and their responses.

A request's ``kind`` is the name of the `Model` method that answers it. To add a kind, define two frozen dataclasses, a `Request` and a
`Response`, here or in a plugin's file (they register themselves), and a method in a model adapter.
"""

from __future__ import annotations

import math
from collections.abc import Hashable, Sequence
from dataclasses import dataclass, fields
from typing import Any, ClassVar, Generic, TypeVar

from ..modalities.base import find_modality
from ..modalities.chat import Chat, as_chat, list_modalities_in
from ..modalities.inputs import Input, list_texts, measure_size
from ..modalities.text import TextPair

R_co = TypeVar("R_co", covariant=True, bound="Response")
R = TypeVar("R", bound="Response")
"""The class of the responses to a list of requests."""
_classes: dict[str, type[Any]] = {}
"""Requests and responses by the name of their class, which is also their name in records."""


RESERVED = frozenset({"Attribution", "Chat", "Failure", "Message", "Record", "Sample", "TextPair", "Usage"})
"""Further class names that records use."""


def register_message(cls: type[Any], /) -> None:
    """Register a request or response by its name, in place of another plugin's class.

    Raises `TypeError` if the harness itself has a class with this name.
    """
    known = _classes.get(cls.__name__)
    if cls.__name__ in RESERVED or (known is not None and known.__module__ == __name__ != cls.__module__):
        raise TypeError(f"the harness already has a class {cls.__name__!r}; rename the class")
    _classes[cls.__name__] = cls


@dataclass(frozen=True, slots=True)
class Usage:
    """What a service took for an answer.

    num_prompt_tokens, num_tokens: the billed tokens of the request and of the answer. cost: their price in US dollars; 0 without prices.
    """

    num_prompt_tokens: int
    num_tokens: int
    cost: float = 0.0


class Response:
    """Base class of responses to requests.

    ``num_truncated``: the number of positions that the model dropped for length. ``usage``: what a service took for it; None: the answer
    was computed here.
    """

    __slots__ = ()
    num_truncated: int = 0
    usage: Usage | None = None

    def __init_subclass__(cls) -> None:
        register_message(cls)

    def numbers(self) -> tuple[float, ...]:
        """Return the numbers that must be finite, and whose drift with the batch is measured."""
        return ()

    def spread(self) -> float:
        """Return the scale of the numbers, in their unit. Rounding errors are proportional to it."""
        return _compute_spread(self.numbers())


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
        """Return the nats per token, at least 1, times the square root of the number of tokens: their errors are independent."""
        num = max(1, self.num_tokens)
        return math.sqrt(num) * max(1.0, abs(self.value) / num)


@dataclass(frozen=True, slots=True)
class Completion(Response):
    """Generated text without the prompt and without the stop string. ``finish``: ``stop`` (a stop string or the end) or ``length``.

    ``num_tokens``: the number of generated tokens, including the end token and those of the stop string.
    """

    text: str
    num_tokens: int
    finish: str
    num_prompt_tokens: int = 0
    num_truncated: int = 0


@dataclass(frozen=True, slots=True)
class Reply(Completion):
    """A completion by an endpoint. ``finish`` can also be ``refusal`` (the provider's own) or ``tool_calls``.

    reasoning: the text in which the model reasoned before its answer. tool_calls: the calls it asked for, as JSON texts.
    others: the texts of further answers to the same request. log_probs: of the tokens, in nats; empty if they were not asked for.
    dropped: the names of what the request asked for and the endpoint did not give.
    """

    usage: Usage | None = None
    reasoning: str = ""
    tool_calls: tuple[str, ...] = ()
    others: tuple[str, ...] = ()
    log_probs: tuple[float, ...] = ()
    dropped: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class ServedLogProb(LogProb):
    """A log-likelihood computed by an endpoint."""

    usage: Usage | None = None


@dataclass(frozen=True, slots=True)
class Logits(Response):
    """Unnormalised scores [num_classes], in the order of the request's ``labels`` (else in the model's own).

    ``is_multi_label``: several classes can hold at once: each probability is the logistic function of its logit, not a softmax.
    """

    values: tuple[float, ...]
    num_truncated: int = 0
    is_multi_label: bool = False

    def numbers(self) -> tuple[float, ...]:
        return self.values

    def probability(self, index: int, /) -> float:
        """Return the probability of a class: by softmax, or by the logistic function if ``is_multi_label``."""
        if self.is_multi_label:
            return 0.5 * (1 + math.tanh(self.values[index] / 2))
        top = max(self.values)
        exps = [math.exp(value - top) for value in self.values]
        return exps[index] / math.fsum(exps)

    def holds(self, index: int, /) -> bool:
        """Tell whether the class is predicted: it is the most likely one, or has a probability of at least 0.5 if ``is_multi_label``."""
        if self.is_multi_label:
            return self.values[index] >= 0
        return max(range(len(self.values)), key=self.values.__getitem__) == index


@dataclass(frozen=True, slots=True)
class Tags(Response):
    """The most likely tag of each word, and its log-probability in nats."""

    tags: tuple[str, ...]
    log_probs: tuple[float, ...]

    def numbers(self) -> tuple[float, ...]:
        return self.log_probs


@dataclass(frozen=True, slots=True)
class Span(Response):
    """The part of a passage that answers a question best.

    text: its text. start, end: its characters in the passage. score, no_answer: the logits of the span, and of there being no answer.
    num_windows: the number of windows in which the passage was read.
    """

    text: str
    start: int
    end: int
    score: float
    no_answer: float
    num_windows: int = 1

    def numbers(self) -> tuple[float, ...]:
        return (self.score, self.no_answer)


@dataclass(frozen=True, slots=True)
class Embedding(Response):
    """A vector [D]."""

    values: tuple[float, ...]
    num_truncated: int = 0

    def numbers(self) -> tuple[float, ...]:
        return self.values


@dataclass(frozen=True, slots=True)
class ServedEmbedding(Embedding):
    """A vector computed by an endpoint."""

    usage: Usage | None = None


@dataclass(frozen=True, slots=True)
class Fillings(Response):
    """The predicted tokens of each masked position, most likely first.

    ``tokens``: as in the vocabulary (``##ing``, ``Ġthe``). ``log_probs``: their log-probabilities in nats. Both are empty if the mask
    lies beyond the model's longest input.
    """

    tokens: tuple[tuple[str, ...], ...]
    log_probs: tuple[tuple[float, ...], ...]

    def numbers(self) -> tuple[float, ...]:
        return tuple(value for place in self.log_probs for value in place)


@dataclass(frozen=True, slots=True)
class Failure:
    """Replaces the response of a failed request; other requests of its batch did not fail. ``error`` is ``Type: message``."""

    error: str


def _compute_spread(values: Sequence[float]) -> float:
    """Return the standard deviation; for a single number, its absolute value."""
    if len(values) < 2:
        return abs(values[0]) if values else 0.0
    mean = math.fsum(values) / len(values)
    return math.sqrt(math.fsum((value - mean) ** 2 for value in values) / len(values))


@dataclass(frozen=True, slots=True)
class Request(Generic[R_co]):
    """Base class of requests. ``kind``: the required capability, and the name of the model's method that answers a batch."""

    kind: ClassVar[str]

    def __init_subclass__(cls) -> None:
        if not isinstance(getattr(cls, "kind", None), str):
            raise TypeError(f"the request {cls.__name__} needs 'kind', the name of the model's method that answers it")
        register_message(cls)

    def batch_key(self) -> Hashable:
        """Return the key that the requests of one batch share."""
        return None

    def beginning(self) -> str:
        """Return the text that a left-to-right model reads; empty if there is none."""
        return ""

    def parts_in_chats(self) -> frozenset[str]:
        """Return the modalities of its chats' parts other than text. The model must accept them for this kind as well."""
        chats = [chat for f in fields(self) if (chat := as_chat(getattr(self, f.name))) is not None]
        return frozenset[str]().union(*map(list_modalities_in, chats))

    def size(self) -> int:
        """Estimate the number of positions that the answer takes, without a tokenizer."""
        values = [getattr(self, f.name) for f in fields(self)]
        return sum(measure_size(value) for value in values if find_modality(value) is not None)


@dataclass(frozen=True, slots=True)
class LogLikelihood(Request[LogProb]):
    """log p(continuation | context).

    ``context``: an empty context is the model's beginning-of-text token. After a chat, the continuation starts the assistant's answer, or
    continues it if the last message is the assistant's.
    ``delimiter``: the text between context and continuation, which is scored with the continuation; see `written`.
    """

    kind: ClassVar[str] = "loglikelihood"
    context: str | Chat
    continuation: str
    delimiter: str = ""

    def written(self, *, is_answer: bool = False) -> str:
        """Return the scored text: the continuation, after the delimiter if it continues a text.

        A new message has no delimiter: after a chat, or if the model applies its chat template to a text context (``is_answer``). A
        continuation of a partial answer that ends in whitespace has none either.
        """
        chat = as_chat(self.context)
        if chat is not None:
            is_answer = not chat.begun or chat.begun[-1].isspace()
        return self.continuation if is_answer else self.delimiter + self.continuation

    def beginning(self) -> str:
        texts = list_texts(self.context)
        return texts[0] + self.written() if texts else ""


@dataclass(frozen=True, slots=True)
class RollingLogLikelihood(Request[LogProb]):
    """log p(text) of a whole text, in windows of the model's maximum length.

    ``min_context``: the minimum number of context tokens per scored token, if the text is longer than one window. 1 scores disjoint
    windows (fast; as lm-evaluation-harness does); larger values use overlapping windows and are closer to the true value.
    """

    kind: ClassVar[str] = "rolling_loglikelihood"
    text: str
    min_context: int = 1

    def beginning(self) -> str:
        return self.text


@dataclass(frozen=True, slots=True)
class PseudoLogLikelihood(Request[LogProb]):
    """The sum, over a text's tokens, of log p(token | all the others), each masked separately (Salazar et al. 2020).

    ``other``: a similar text. Only the tokens that both texts share, in order, are then counted (Nangia et al. 2020).
    """

    kind: ClassVar[str] = "pseudo_loglikelihood"
    text: str
    other: str = ""

    def size(self) -> int:
        return measure_size(self.text) ** 2


MASK = "[MASK]"


@dataclass(frozen=True, slots=True)
class FillMask(Request[Fillings]):
    """The ``top_k`` most likely tokens at the first `MASK` in ``text``; the model replaces it with its own mask token.

    ``shown``: a text that the model reads there instead of the mask; each of its tokens is then predicted.
    """

    kind: ClassVar[str] = "fill_mask"
    text: str
    top_k: int = 10
    shown: str = ""


@dataclass(frozen=True, slots=True)
class Generate(Request[Completion]):
    """Continue the prompt until a stop string, the end-of-text token or ``max_tokens``.

    ``temperature`` 0 is greedy. Above 0, the sampled text depends only on ``seed``, not on the rest of the batch.
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
        return "".join(list_texts(self.prompt))

    def size(self) -> int:
        return measure_size(self.prompt) + self.max_tokens


@dataclass(frozen=True, slots=True)
class Classify(Request[Logits]):
    """Class scores for one input. ``labels``: the names of the classes, in the order of the response; empty: the model's order."""

    kind: ClassVar[str] = "classify"
    input: Input
    labels: tuple[str, ...] = ()

    def batch_key(self) -> Hashable:
        return self.labels


@dataclass(frozen=True, slots=True)
class Tag(Request[Tags]):
    """A tag for each word of a text, such as the beginning or the inside of a person's name. Spaces separate words."""

    kind: ClassVar[str] = "tag"
    input: str


@dataclass(frozen=True, slots=True)
class Answer(Request[Span]):
    """The answer to a question as a part of a passage. max_tokens: the largest number of tokens of the answer."""

    kind: ClassVar[str] = "answer"
    input: TextPair
    max_tokens: int = 30

    def batch_key(self) -> Hashable:
        return self.max_tokens


@dataclass(frozen=True, slots=True)
class Embed(Request[Embedding]):
    """An embedding of one input. ``layer``: the layer whose hidden states are pooled, -1 for the last."""

    kind: ClassVar[str] = "embed"
    input: Input
    layer: int = -1

    def batch_key(self) -> Hashable:
        return self.layer


def request_kinds() -> frozenset[str]:
    """Return the kinds of all requests that the harness and plugins define."""
    return frozenset(cls.kind for cls in _classes.values() if issubclass(cls, Request))


def list_classes() -> dict[str, type[Any]]:
    """Return all request and response classes, by name."""
    return dict(_classes)


def find_class(name: str, /) -> type[Any] | None:
    """Return the request or response class with this name; None if there is none."""
    return _classes.get(name)
