"""Causal language models: log-likelihoods, rolling log-likelihoods and generation. Here requests become tokens.

Tokens are run in packs that share what they have in common (`flat`) where the architecture allows it, else in padded batches (`padded`).
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
from ...api.requests import Completion, Generate, LogLikelihood, LogProb, Request, RollingLogLikelihood
from ...modalities.chat import Message, chat_of, messages_of
from ...modalities.inputs import Input
from ..causal.generation_state import Prompt
from ..causal.packed import Flat
from ..causal.padded import Padded
from ..causal.prefix_trie import Scored, shared_rows
from ..causal.rolling_windows import rolling_windows
from ..causal.seams import PlainTokenizer, Tokens
from ..checkpoint.settings import generation_notes
from ..checkpoint.tokens import check_tokens, special_ends
from ..common.text_prompts import text_messages, text_of
from ..common.token_window import Tokenised
from ..common.valid_text import tokenising
from ..torch.kept_states import begin_each_pass_anew
from ..torch.logits import add_up, moved
from ..torch.randomised import randomised
from ..torch.signature import ordinary_ids
from .causal_gradients import CausalGradients
from .checkpoint_model import HFTextModel
from .source import HuggingFace

_CHATS = 1024
"""Chats that are kept as the template wrote them: the choices of one prompt, and it in a window and in its requests."""


class HFCausalLM(HFTextModel):
    """Answers `LogLikelihood`, `RollingLogLikelihood` and `Generate`."""

    def __init__(self, source: HuggingFace, device: str, dtype: str) -> None:
        super().__init__(source, device, dtype, AutoModelForCausalLM)
        asked = self.module.generation_config
        self.ends = list(dict.fromkeys([*_listed(asked.eos_token_id), *_listed(self.tokenizer.eos_token_id)]))
        self.notes += (*generation_notes(asked), *check_tokens(self.tokenizer, self.module, self.name))
        # A checkpoint's own sampling settings (temperature, repetition penalty, ...) must not mix into what a request asks for.
        self.module.generation_config = GenerationConfig()
        self.has_templated_prompts = source.chat_template
        self._rendered = lru_cache(_CHATS)(self._render)
        # A tokenizer's own limit is that of the encoders that it was made for.
        self.max_length = source.longest(self.module, self.config)
        self._plain = PlainTokenizer(self.tokenizer)
        self._tokenised: Tokenised[str, Tokens] = Tokenised(self._plain, PlainTokenizer.tokens)
        self._prefix = special_ends(self.tokenizer)[0]
        first = self.tokenizer.bos_token_id if self.tokenizer.bos_token_id is not None else self.tokenizer.eos_token_id
        self._start = self._prefix or ([first] if first is not None else [])
        self.neutral = _neutral(self.tokenizer, self.pad)
        self._rounded = source.rounded
        begin_each_pass_anew(self.module)
        self._check_causal()
        self._make_ways()
        self._shares = self.padded.measure_sharing(ordinary_ids(self.module, self.tokenizer, 8))
        if self.no_packs:
            self.notes += (f"runs in padded batches, each text whole: {self.no_packs}",)
        if self.flat is not None and self.flat.max_length < self.max_length:
            why = "where its position embeddings change" if self.flat.max_length == self.turns_at else "its attention window"
            self.notes += (f"texts of more than {self.flat.max_length} tokens, {why}, run in padded batches",)
        self.fingerprint = source.fingerprint(self.module, self.dtype)

    @property
    def turns_at(self) -> int | None:
        """The length of a pass from which on positions depend on it; None where they never do."""
        return self.turning.limit

    def _make_ways(self) -> None:
        """How the module is run: in padded batches, and in packs where its logits stay as they are."""
        self.padded = Padded(self.module, self.tokenizer, self.name, pad=self.pad, ends=self.ends, rounded=self._rounded)
        flat = Flat(
            self.module, self.tokenizer, self.name, ends=self.ends, max_length=self.max_length, turns_at=self.turns_at,
            rounded=self._rounded,
        )  # fmt: skip
        self.no_packs = flat.measure(ordinary_ids(self.module, self.tokenizer, 32))
        self.flat = flat if not self.no_packs else None

    def randomised(self, seed: int, share: float = 1.0, /) -> HFCausalLM:
        """The model with the weights of its last layers drawn anew: what an attribution is held against."""
        twin = randomised(self, seed, share)
        twin._make_ways()
        return twin

    # ── requests to units ─────────────────────────────────────────────────────────────────────────────────────────────

    def differentiable(self) -> CausalGradients:
        return CausalGradients(self)

    def prepare(self, requests: Sequence[Request[Any]], /) -> None:
        """Tokenise what the requests hold in one go, on all cores."""
        self._rendered.cache_clear()
        self._tokenised.window(self._texts(requests))

    def prepare_ahead(self, requests: Callable[[], Sequence[Request[Any]]], /) -> None:
        self._tokenised.ahead(self._texts(requests()))

    def _texts(self, requests: Sequence[Request[Any]]) -> Iterator[str]:
        for request in requests:
            with suppress(SampleError):  # a chat that the template refuses: `split` says so
                if isinstance(request, RollingLogLikelihood):
                    yield request.text
                elif isinstance(request, LogLikelihood):
                    yield "".join(self.written(request))
                elif isinstance(request, Generate):
                    yield "".join(self.opened(request.prompt))

    def split(self, request: Request[Any], /) -> Sequence[Scored | Prompt]:
        if isinstance(request, LogLikelihood):
            return (self.scored(request),)
        if isinstance(request, RollingLogLikelihood):
            ids = self._after_start(self.tokens(request.text).ids)
            if not ids or not self._start:
                raise SampleError("the text has no tokens to score" if not ids else "the tokenizer has no token that begins a text")
            return tuple(
                Scored(window, scored) for window, scored in rolling_windows(self._start, ids, self.max_length, request.min_context)
            )
        assert isinstance(request, Generate)
        if request.max_tokens < 1 or not 0 <= request.temperature < math.inf:
            raise SampleError(
                f"max_tokens is at least 1, temperature at least 0; the request has {request.max_tokens} and {request.temperature}"
            )
        ids = self.prompt_ids(request.prompt)
        if not ids:
            raise SampleError("the prompt is empty and the tokenizer has no token that begins a text")
        room = self.max_length - request.max_tokens
        if room < 1:
            raise SampleError(f"max_tokens {request.max_tokens} leaves no room for a prompt in the model's {self.max_length} positions")
        return (Prompt(ids[-room:], request, max(0, len(ids) - room)),)

    def batch_key(self, unit: Scored | Prompt, /) -> Hashable:
        """Prompts of one length only, or each on its own, where a model would see the padding at their left or each other."""
        turned = self.turning.alike(self.length(unit))
        if isinstance(unit, Scored) or (self._shares == "any" and turned is None):
            return turned
        return id(unit) if self._shares == "none" else len(unit.ids)

    def length(self, unit: Scored | Prompt, /) -> int:
        return len(unit.ids) - 1 if isinstance(unit, Scored) else len(unit.ids) + unit.request.max_tokens

    def shared_rows(self, units: Sequence[Scored | Prompt], /) -> list[list[int]]:
        """Which of them one row of a batch answers: the choices of one context, where they are single tokens."""
        scored = [unit for unit in units if isinstance(unit, Scored)]
        return shared_rows(scored) if len(scored) == len(units) else [[i] for i in range(len(units))]

    def join(self, request: Request[Any], answers: Sequence[Any], /) -> LogProb | Completion:
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
            # Rows that are done are read on to the end of the last answer: beyond a table of positions, which a GPU does not survive.
            raise SampleError(f"the longest prompt and the longest answer of this batch take {end} positions; the engine halves it")
        return self.padded.generate(batch)

    # ── what an architecture does, which its signature does not tell ──────────────────────────────────────────────────

    def _check_causal(self) -> None:
        """An encoder with a language model head reads the very token that it is asked to predict."""
        ids = ordinary_ids(self.module, self.tokenizer, 9)
        ids_BL = torch.tensor([ids[:3] + ids[3:6], ids[:3] + ids[6:]], device=self.device)
        try:
            with torch.inference_mode():
                logits_BLV = self.module(input_ids=ids_BL, use_cache=False).logits
        except Exception as error:  # whatever a module raises that does not run, in this number format or at all
            raise ModelError(f"{self.name!r} does not run in {self.module.dtype} on {self.device}: {error}") from error
        # Half precision: experts that get other numbers of tokens round otherwise. NaN is for the request that meets it to report.
        if moved(logits_BLV[0, :3], logits_BLV[1, :3]) > (1e-3 if self.module.dtype == torch.float32 else 3e-2):
            raise ModelError(
                f"{self.name!r} is no causal language model: later tokens change what {type(self.module).__name__} says of earlier ones, "
                "so its likelihoods would mean nothing. Give a decoder (BERT and its kin: a checkpoint trained with is_decoder=True)"
            )

    # ── tokens ────────────────────────────────────────────────────────────────────────────────────────────────────────

    def tokens(self, text: str, /) -> Tokens:
        """A text's tokens, without any special token that it does not hold itself."""
        known = self._tokenised.get(text)
        if known is not None:
            return known
        with tokenising(text):
            (found,) = self._plain.tokens([text])
        return found

    def prompt_ids(self, prompt: Input) -> list[int]:
        """A prompt's tokens, in the chat template where it is a chat or the model is set to use it for all."""
        template, begun = self.opened(prompt)
        ids = self.tokens(template + begun).ids
        return self._before(template, ids) + ids or self._start

    def opened(self, prompt: Input) -> tuple[str, str]:
        """What the chat template writes up to where the assistant begins, and the text that the model goes on from: all of a plain text,
        after nothing; of a chat, what the assistant has said so far, where the last message is its own. The two are one text."""
        if chat_of(prompt) is None and not self.has_templated_prompts:
            return "", text_of(prompt)
        messages = messages_of(prompt)
        is_begun = bool(messages) and messages[-1].role == "assistant"
        begun = text_messages(messages[-1:])[0]["content"] if is_begun else ""
        return self._rendered(messages[:-1] if is_begun else messages), begun

    def written(self, request: LogLikelihood) -> tuple[str, str, str]:
        """`opened` of the context, and what follows it and is scored. The three are one text."""
        template, begun = self.opened(request.context)
        return template, begun, request.written(is_answer=self.has_templated_prompts)

    def _before(self, template: str, ids: Sequence[int]) -> list[int]:
        """The special tokens to put before a text: none where the template writes them itself, or the text begins with them."""
        return [] if template or ids[: len(self._prefix)] == self._prefix else self._prefix

    def _after_start(self, ids: list[int]) -> list[int]:
        """What is scored of a text with nothing before it: a token that begins a text is given, also where the text writes it out."""
        return ids[len(self._start) :] if self._start and ids[: len(self._start)] == self._start else ids

    def _render(self, chat: Sequence[Message]) -> str:
        messages = text_messages(chat)
        if not messages:
            raise SampleError("the chat has no message that the assistant could answer")
        if not self.tokenizer.chat_template:
            raise SampleError(f"the tokenizer of {self.name!r} has no chat template; give text prompts or a chat model")
        try:
            text: str = self.tokenizer.apply_chat_template(messages, tokenize=False, add_generation_prompt=True)
        except TemplateError as error:
            roles = ", ".join(message["role"] for message in messages)
            raise SampleError(
                f"the chat template of {self.name!r} does not take these messages ({roles}): {error}. Where it knows no system message, "
                "set the task's 'system' to nothing or put what it says into the prompt"
            ) from error
        return text

    def scored(self, request: LogLikelihood) -> Scored:
        """The tokens of context and continuation as one text, cut at the `seams`."""
        *opening, continuation = self.written(request)
        template = opening[0]
        tokens = self.tokens("".join(opening) + continuation)
        seam = tokens.num_before(sum(map(len, opening)))
        before, after = self._before(template, tokens.ids) + tokens.ids[:seam], tokens.ids[seam:]
        if not before:
            before, after = self._start, self._after_start(after)
        if not request.continuation or not after:
            raise SampleError("the continuation has no tokens, so there is nothing to score")
        if not before:
            raise SampleError("the context is empty and the tokenizer has no token that begins a text")
        if len(after) > self.max_length:
            raise SampleError(
                f"the continuation has {len(after)} tokens, the model takes {self.max_length}: that is for RollingLogLikelihood"
            )
        ids = before + after
        dropped = max(0, len(ids) - self.max_length - 1)
        return Scored(ids[dropped:], len(after), dropped)


def _neutral(tokenizer: Any, pad: int) -> int:
    """The token that stands for "nothing here" in a baseline: the commonest word of English, where that is one token. Padding, often the
    token that ends a text, makes what follows the beginning of another one."""
    # As most vocabularies have a word inside a text, and as those do that put a space before it themselves.
    for ids in (tokenizer(text, add_special_tokens=False)["input_ids"] for text in (" the", "the")):
        if len(ids) == 1 and ids[0] != tokenizer.unk_token_id:
            return int(ids[0])
    return pad


def _listed(token: int | list[int] | None) -> list[int]:
    return [] if token is None else token if isinstance(token, list) else [token]
