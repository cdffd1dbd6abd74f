"""Causal language models: log-likelihoods, rolling log-likelihoods and generation. This module tokenises requests.

Tokens run in packs that share common prefixes (`packed`) if the architecture allows it, else in padded batches (`padded`).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Hashable, Iterator, Sequence
from contextlib import suppress
from functools import lru_cache
from typing import Any

import torch
from jinja2 import TemplateError
from transformers import AutoModelForCausalLM, GenerationConfig

from ...api.errors import ModelError, SampleError
from ...api.model import Pass
from ...api.requests import Completion, Generate, LogLikelihood, LogProb, Request, Response, RollingLogLikelihood
from ...modalities.chat import Message, as_chat, list_messages
from ...modalities.inputs import Input
from ..causal.generation_state import Prompt
from ..causal.packed import Flat
from ..causal.padded import Padded
from ..causal.prefix_trie import Scored, group_shared_rows
from ..causal.rolling_windows import split_windows
from ..causal.seams import PlainTokenizer, Tokens
from ..checkpoint.settings import list_generation_notes
from ..checkpoint.tokens import check_tokens, find_special_ends, list_ends
from ..common.text_prompts import make_text_messages, require_text
from ..common.token_window import Tokenised
from ..common.valid_text import refuse_lone_surrogates
from ..torch.kept_states import reset_states_before_passes
from ..torch.logits import add_up, measure_shift
from ..torch.randomised import randomise
from ..torch.signature import choose_ordinary_ids
from .causal_gradients import CausalGradients
from .checkpoint_model import HFTextModel
from .source import HuggingFace

_CHATS = 1024
"""Size of the cache of rendered chats, which repeat for all choices of a prompt."""


class HFCausalLM(HFTextModel):
    """Answers `LogLikelihood`, `RollingLogLikelihood` and `Generate`."""

    def __init__(self, source: HuggingFace, device: str, dtype: str) -> None:
        super().__init__(source, device, dtype, AutoModelForCausalLM)
        generation = self.module.generation_config
        self.ends = list_ends(generation.eos_token_id, self.tokenizer.eos_token_id)
        self.notes += (*list_generation_notes(generation), *check_tokens(self.tokenizer, self.module, self.name))
        # The checkpoint's sampling settings (temperature, repetition penalty, ...) must not affect requests.
        self.module.generation_config = GenerationConfig()
        self.has_templated_prompts = source.chat_template
        self._rendered = lru_cache(_CHATS)(self._render)
        # A tokenizer's limit comes from the encoders for which it was written.
        self.max_length = source.longest(self.module, self.config)
        self._plain = PlainTokenizer(self.tokenizer)
        self._tokenised: Tokenised[str, Tokens] = Tokenised(self._plain, PlainTokenizer.tokens)
        self._prefix = find_special_ends(self.tokenizer)[0]
        first = self.tokenizer.bos_token_id if self.tokenizer.bos_token_id is not None else self.tokenizer.eos_token_id
        self._start = self._prefix or ([first] if first is not None else [])
        self.neutral = _choose_neutral_token(self.tokenizer, self.pad)
        self._rounded = source.rounded
        reset_states_before_passes(self.module)
        self._check_causal()
        self._choose_ways()
        self._shares = self.padded.measure_sharing(choose_ordinary_ids(self.module, self.tokenizer, 8))
        if self.no_packs:
            self.notes += (f"runs in padded batches, without sharing prefixes: {self.no_packs}",)
        if self.flat is not None and self.flat.max_length < self.max_length:
            why = "where its position embeddings change" if self.flat.max_length == self.turns_at else "its attention window"
            self.notes += (f"texts of more than {self.flat.max_length:,} tokens, {why}, run in padded batches",)
        self.fingerprint = source.fingerprint(self.module, self.dtype)

    @property
    def turns_at(self) -> int | None:
        """The length of a pass from which on positions depend on it; None if they never do."""
        return self.turning.limit

    def _choose_ways(self) -> None:
        """Set up padded batches, and packs if they do not change the logits."""
        self.padded = Padded(self.module, self.tokenizer, self.name, pad=self.pad, ends=self.ends, rounded=self._rounded)
        flat = Flat(
            self.module, self.tokenizer, self.name, ends=self.ends, max_length=self.max_length, turns_at=self.turns_at,
            rounded=self._rounded,
        )  # fmt: skip
        self.no_packs = flat.measure(choose_ordinary_ids(self.module, self.tokenizer, 32))
        self.flat = flat if not self.no_packs else None

    def randomised(self, seed: int, share: float = 1.0, /) -> HFCausalLM:
        """Return the model with random weights in its last layers, a control for attributions."""
        twin = randomise(self, seed, share)
        twin._choose_ways()
        return twin

    # ── requests to units ─────────────────────────────────────────────────────────────────────────────────────────────

    def differentiable(self) -> CausalGradients:
        return CausalGradients(self)

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

    def batch_key(self, unit: Scored | Prompt, /) -> Hashable:
        """Group prompts by length, or run each alone, if the model is affected by left padding or by other rows."""
        turned = self.turning.alike(self.length(unit))
        if isinstance(unit, Scored) or (self._shares == "any" and turned is None):
            return turned
        return id(unit) if self._shares == "none" else len(unit.ids)

    def length(self, unit: Scored | Prompt, /) -> int:
        return len(unit.ids) - 1 if isinstance(unit, Scored) else len(unit.ids) + unit.request.max_tokens

    def shared_rows(self, units: Sequence[Scored | Prompt], /) -> list[list[int]]:
        """Group units that one row of a batch answers: the choices of a context if they are single tokens."""
        scored = [unit for unit in units if isinstance(unit, Scored)]
        return group_shared_rows(scored) if len(scored) == len(units) else [[i] for i in range(len(units))]

    def join(self, request: Request[Response], answers: Sequence[Any], /) -> LogProb | Completion:
        if not isinstance(request, RollingLogLikelihood):
            return answers[0]
        return add_up(answers)

    # ── units to answers ──────────────────────────────────────────────────────────────────────────────────────────────

    def streams(self, unit: Scored | Prompt, /) -> bool:
        return self.flat is not None and self.length(unit) <= self.flat.max_length

    def stream(self, units: Sequence[Any], tokens: int, rows: int, /) -> Iterator[Pass]:
        assert self.flat is not None
        return self.flat.score(units, tokens) if isinstance(units[0], Scored) else self.flat.generate(units, tokens, rows)

    def loglikelihood(self, batch: Sequence[Scored]) -> list[LogProb]:
        return self.padded.score(batch)

    rolling_loglikelihood = loglikelihood

    def generate(self, batch: Sequence[Prompt]) -> list[Completion]:
        lengths = [len(prompt.ids) for prompt in batch]
        end = max(lengths) + max(prompt.request.max_tokens for prompt in batch)
        if min(lengths) < max(lengths) and end > min(self.max_length, self.turning.limit or self.max_length):
            # Finished rows continue to the end of the longest answer; beyond the position table, this would crash a GPU.
            raise SampleError(f"the longest prompt and the longest answer of this batch take {end} positions; the engine halves it")
        return self.padded.generate(batch)

    # ── properties of an architecture that must be measured ───────────────────────────────────────────────────────────

    def _check_causal(self) -> None:
        """Raise `ModelError` if later tokens affect earlier logits, as in an encoder with a language model head."""
        ids = choose_ordinary_ids(self.module, self.tokenizer, 9)
        ids_BL = torch.tensor([ids[:3] + ids[3:6], ids[:3] + ids[6:]], device=self.device)
        try:
            with torch.inference_mode():
                logits_BLV = self.module(input_ids=ids_BL, use_cache=False).logits
        except Exception as error:  # a module that does not run, in this dtype or at all, may raise anything
            raise ModelError(f"{self.name!r} does not run in {self.module.dtype} on {self.device}: {error}") from error
        # In half precision, experts with different numbers of tokens round differently. NaN is reported by requests.
        if measure_shift(logits_BLV[0, :3], logits_BLV[1, :3]) > (1e-3 if self.module.dtype == torch.float32 else 3e-2):
            raise ModelError(
                f"{self.name!r} is no causal language model: in {type(self.module).__name__}, later tokens change the logits of earlier "
                "ones, so its likelihoods are meaningless. Give a decoder (for BERT-like models, one trained with is_decoder=True)"
            )

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
            raise SampleError(
                f"the continuation has {len(after):,} tokens, but the model takes only {self.max_length:,}; use RollingLogLikelihood"
            )
        ids = before + after
        dropped = max(0, len(ids) - self.max_length - 1)
        return Scored(ids[dropped:], len(after), dropped)


def _choose_neutral_token(tokenizer: Any, pad: int) -> int:
    """Return the neutral token of a baseline: the most common English word if that is one token, else padding.

    Padding is often the token that ends a text, after which the model expects a new text.
    """
    # With a space, as most vocabularies have words inside a text, or without, for those that add it themselves.
    for ids in (tokenizer(text, add_special_tokens=False)["input_ids"] for text in (" the", "the")):
        if len(ids) == 1 and ids[0] != tokenizer.unk_token_id:
            return int(ids[0])
    return pad
