"""Requests to causal language models as tokens: prompts, continuations and whole texts."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from functools import lru_cache
from typing import Any

from jinja2 import TemplateError

from ...api.errors import SampleError, TooLong
from ...api.model import Model
from ...api.requests import Generate, LogLikelihood, Request, RollingLogLikelihood
from ...api.responses import Completion, LogProb, Response
from ...modalities.chat import Message, as_chat, list_messages
from ...modalities.inputs import Input
from ..checkpoint.tokens import find_special_ends
from ..common.text_prompts import make_text_messages, require_text
from ..common.token_window import Tokenised
from ..common.valid_text import refuse_lone_surrogates
from ..torch.logits import add_up
from .generation_state import Prompt
from .prefix_trie import Scored
from .rolling_windows import split_windows
from .seams import PlainTokenizer, Tokens

_CHATS = 1024
"""Size of the cache of rendered chats, which repeat for all choices of a prompt."""


class CausalTexts(Model):
    """Base of causal language models: splits `LogLikelihood`, `RollingLogLikelihood` and `Generate` into units of tokens.

    A subclass sets the attributes, and calls `_read_with` when it has its tokenizer.

    tokenizer: transformers' tokenizer. max_length: the longest input, in tokens.
    """

    tokenizer: Any
    max_length: int

    def _read_with(self, tokenizer: Any) -> None:
        """Set up the reading of texts with a tokenizer."""
        self._rendered = lru_cache(_CHATS)(self._render)
        self._plain = PlainTokenizer(tokenizer)
        self._tokenised: Tokenised[str, Tokens] = Tokenised(self._plain, PlainTokenizer.tokens)
        self._prefix = find_special_ends(tokenizer)[0]
        first = tokenizer.bos_token_id if tokenizer.bos_token_id is not None else tokenizer.eos_token_id
        self._start = self._prefix or ([first] if first is not None else [])

    # ── requests to units ─────────────────────────────────────────────────────────────────────────────────────────────────────

    def prepare(self, requests: Sequence[Request[Response]], /) -> None:
        """Tokenise the texts of the requests at once, on all cores."""
        self._rendered.cache_clear()
        self._tokenised.window(self._list_texts(requests))

    def prepare_ahead(self, requests: Callable[[], Sequence[Request[Response]]], /) -> None:
        self._tokenised.ahead(self._list_texts(requests()))

    def _list_texts(self, requests: Sequence[Request[Response]]) -> Iterator[str]:
        for request in requests:
            with suppress(SampleError):  # a chat that the template refuses fails in `split`
                if isinstance(request, RollingLogLikelihood):
                    yield request.text
                elif isinstance(request, LogLikelihood):
                    yield "".join(self.written(request))
                elif isinstance(request, Generate):
                    yield "".join(self.opened(request.prompt))

    def split(self, request: Request[Response], /) -> Sequence[Scored | Prompt]:
        if isinstance(request, LogLikelihood):
            return (self.scored(request),)
        if isinstance(request, RollingLogLikelihood):
            ids = self._remove_start_tokens(self.tokens(request.text).ids)
            if not ids or not self._start:
                raise SampleError("the text has no tokens to score" if not ids else "the tokenizer has no token that begins a text")
            return tuple(Scored(window, scored) for window, scored in split_windows(self._start, ids, self.max_length, request.min_context))
        assert isinstance(request, Generate)
        if request.max_tokens < 1 or not 0 <= request.temperature < math.inf:
            raise SampleError(
                f"max_tokens must be at least 1 and temperature at least 0, not {request.max_tokens} and {request.temperature}"
            )
        ids = self.prompt_ids(request.prompt)
        if not ids:
            raise SampleError("the prompt is empty and the tokenizer has no token that begins a text")
        room = self.max_length - request.max_tokens
        if room < 1:
            raise SampleError(f"max_tokens {request.max_tokens} leaves no room for a prompt in the model's {self.max_length:,} positions")
        return (Prompt(ids[-room:], request, max(0, len(ids) - room)),)

    def length(self, unit: Scored | Prompt, /) -> int:
        return len(unit.ids) - 1 if isinstance(unit, Scored) else len(unit.ids) + unit.request.max_tokens

    def join(self, request: Request[Response], answers: Sequence[Any], /) -> LogProb | Completion:
        if not isinstance(request, RollingLogLikelihood):
            return answers[0]
        return add_up(answers)

    # ── tokens ────────────────────────────────────────────────────────────────────────────────────────────────────────

    def tokens(self, text: str, /) -> Tokens:
        """Return the tokens of a text, without added special tokens."""
        known = self._tokenised.get(text)
        if known is not None:
            return known
        with refuse_lone_surrogates(text):
            (tokens,) = self._plain.tokens([text])
        return tokens

    def prompt_ids(self, prompt: Input) -> list[int]:
        """Return the tokens of a prompt, formatted by the chat template for a chat, or if the model uses it for all."""
        template, begun = self.opened(prompt)
        ids = self.tokens(template + begun).ids
        return self._choose_start_tokens(template, ids) + ids or self._start

    def opened(self, prompt: Input) -> tuple[str, str]:
        """Return the template's text up to the assistant's answer, and the text that the model continues.

        For plain text, these are nothing and the text; for a chat that ends with a message of the assistant, the second
        is that message. Concatenated, they are the whole prompt.
        """
        if as_chat(prompt) is None and not self.has_templated_prompts:
            return "", require_text(prompt)
        messages = list_messages(prompt)
        is_begun = bool(messages) and messages[-1].role == "assistant"
        begun = make_text_messages(messages[-1:])[0]["content"] if is_begun else ""
        return self._rendered(messages[:-1] if is_begun else messages), begun

    def written(self, request: LogLikelihood) -> tuple[str, str, str]:
        """Return `opened` of the context, and the continuation to score. Concatenated, the three are the whole text."""
        template, begun = self.opened(request.context)
        return template, begun, request.written(is_answer=self.has_templated_prompts)

    def _choose_start_tokens(self, template: str, ids: Sequence[int]) -> list[int]:
        """Return the special tokens to add before a text; none if the template or the text already has them."""
        return [] if template or ids[: len(self._prefix)] == self._prefix else self._prefix

    def _remove_start_tokens(self, ids: list[int]) -> list[int]:
        """Remove start tokens that the text itself contains, because they are given, not scored."""
        return ids[len(self._start) :] if self._start and ids[: len(self._start)] == self._start else ids

    def _render(self, chat: Sequence[Message]) -> str:
        messages = make_text_messages(chat)
        if not messages:
            raise SampleError("the chat has no message to answer")
        if not self.tokenizer.chat_template:
            raise SampleError(f"the tokenizer of {self.name!r} has no chat template; give text prompts or a chat model")
        try:
            text: str = self.tokenizer.apply_chat_template(messages, tokenize=False, add_generation_prompt=True)
        except TemplateError as error:
            roles = ", ".join(message["role"] for message in messages)
            raise SampleError(
                f"the chat template of {self.name!r} refuses these messages ({roles}): {error}. If it does not support system "
                "messages, leave the task's 'system' empty or move its text into the prompt"
            ) from error
        return text

    def scored(self, request: LogLikelihood) -> Scored:
        """Tokenise context and continuation as one text, and split the tokens at the boundary (`seams`)."""
        *opening, continuation = self.written(request)
        template = opening[0]
        tokens = self.tokens("".join(opening) + continuation)
        seam = tokens.num_before(sum(map(len, opening)))
        before, after = self._choose_start_tokens(template, tokens.ids) + tokens.ids[:seam], tokens.ids[seam:]
        if not before:
            before, after = self._start, self._remove_start_tokens(after)
        if not request.continuation or not after:
            raise SampleError("the continuation has no tokens, so there is nothing to score")
        if not before:
            raise SampleError("the context is empty and the tokenizer has no token that begins a text")
        if len(after) > self.max_length:
            raise TooLong(
                f"the continuation has {len(after):,} tokens, but the model takes only {self.max_length:,}; use RollingLogLikelihood"
            )
        ids = before + after
        dropped = max(0, len(ids) - self.max_length - 1)
        return Scored(ids[dropped:], len(after), dropped)
