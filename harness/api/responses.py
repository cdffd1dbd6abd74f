"""Responses of models to requests, and the names of both kinds of classes in records.

A `Response` or `Request` registers itself by the name of its class.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

_classes: dict[str, type[Any]] = {}
"""Requests and responses by the name of their class, which is also their name in records."""
RESERVED = frozenset({"Attribution", "Chat", "Failure", "Message", "Record", "Sample", "TextPair", "Usage"})
"""Further class names that records use."""


def register_message(cls: type[Any], /) -> None:
    """Register a request or response by its name, in place of another plugin's class.

    Raises `TypeError` if the harness itself has a class with this name.
    """
    known = _classes.get(cls.__name__)
    is_ours = known is not None and _get_package(known) == __package__ != _get_package(cls)
    if cls.__name__ in RESERVED or is_ours:
        raise TypeError(f"the harness already has a class {cls.__name__!r}; rename the class")
    _classes[cls.__name__] = cls


def _get_package(cls: type[Any]) -> str:
    return cls.__module__.rpartition(".")[0]


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


def list_classes() -> dict[str, type[Any]]:
    """Return all request and response classes, by name."""
    return dict(_classes)


def find_class(name: str, /) -> type[Any] | None:
    """Return the request or response class with this name; None if there is none."""
    return _classes.get(name)
