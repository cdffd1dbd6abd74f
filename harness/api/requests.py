"""Requests to models.

A request's ``kind`` is the name of the `Model` method that answers it. To add a kind, define two frozen dataclasses, a `Request` and a
`Response` (`responses`), here or in a plugin's file (they register themselves), and a method in a model adapter.
"""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass, fields
from typing import ClassVar, Generic, TypeVar

from ..modalities.base import find_modality
from ..modalities.chat import Chat, as_chat, list_modalities_in
from ..modalities.inputs import Input, list_texts, measure_size
from ..modalities.text import TextPair
from .responses import Completion, Embedding, Fillings, Logits, LogProb, Response, Span, Tags, list_classes, register_message

R_co = TypeVar("R_co", covariant=True, bound="Response")
R = TypeVar("R", bound="Response")
"""The class of the responses to a list of requests."""


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
    return frozenset(cls.kind for cls in list_classes().values() if issubclass(cls, Request))
