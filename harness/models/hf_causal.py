"""Causal language models: log-likelihoods, rolling log-likelihoods and generation.

Scoring pads on the right, where no causal architecture (attention, recurrent, convolutional) can see it; generation pads on the left.
Shape legend: B batch, L tokens, K kept positions, V vocabulary.
"""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from transformers import (
    AutoModelForCausalLM,
    AutoTokenizer,
    GenerationConfig,
    LogitsProcessor,
    LogitsProcessorList,
    StoppingCriteria,
    StoppingCriteriaList,
)

from ..errors import SampleError
from ..inputs import Chat
from ..requests import Completion, Generate, LogLikelihood, LogProb, Request, RollingLogLikelihood
from .devices import pick_device, pick_dtype, to_device
from .hf import HuggingFace
from .windows import rolling_windows


@dataclass(frozen=True, slots=True)
class Scored:
    """Token ids of which the last ``num_scored`` are scored, each given all before it. The very last is predicted, never read."""

    ids: list[int]
    num_scored: int
    num_truncated: int = 0


@dataclass(frozen=True, slots=True)
class Prompt:
    ids: list[int]
    request: Generate
    num_truncated: int = 0


class HFCausalLM:
    """Answers `LogLikelihood`, `RollingLogLikelihood` and `Generate`."""

    def __init__(self, source: HuggingFace, device: str, dtype: str) -> None:
        self.name = source.target
        self.device = pick_device(device)
        config = source.config()
        self.module = source.weights(AutoModelForCausalLM, self.device, pick_dtype(dtype, self.device, config.dtype))
        self._ends = _listed(self.module.generation_config.eos_token_id)
        # A checkpoint's own sampling settings (temperature, repetition penalty, ...) must not mix into what a request asks for.
        self.module.generation_config = GenerationConfig()
        self.tokenizer = source.pretrained(AutoTokenizer, use_fast=True)
        self._ends = list(dict.fromkeys([*self._ends, *_listed(self.tokenizer.eos_token_id)]))
        self.chat_template = source.chat_template
        self.max_length = source.max_length or getattr(config, "max_position_embeddings", None) or 2048
        self._prefix = _own_prefix(self.tokenizer)
        first = self.tokenizer.bos_token_id if self.tokenizer.bos_token_id is not None else self.tokenizer.eos_token_id
        self._start = self._prefix or ([first] if first is not None else [])
        # Padding is masked or to the right of everything scored, so any id will do where the tokenizer has none of its own.
        self._pad = next((i for i in (self.tokenizer.pad_token_id, self.tokenizer.eos_token_id) if i is not None), 0)
        self._keeps_positions = "logits_to_keep" in inspect.signature(self.module.forward).parameters
        self.fingerprint = source.fingerprint(self.module.dtype)

    # ── requests to units ─────────────────────────────────────────────────────────────────────────────────────────────

    def split(self, request: Request[Any]) -> Sequence[Scored | Prompt]:
        if isinstance(request, LogLikelihood):
            return (self._scored(request),)
        if isinstance(request, RollingLogLikelihood):
            ids = self._encode(request.text)
            if not ids or not self._start:
                raise SampleError("the text has no tokens to score" if not ids else "the tokenizer has no token that begins a text")
            return tuple(
                Scored(window, scored) for window, scored in rolling_windows(self._start, ids, self.max_length, request.min_context)
            )
        assert isinstance(request, Generate)
        ids = self._prompt(request.prompt)
        room = self.max_length - request.max_tokens
        if room < 1:
            raise SampleError(f"max_tokens {request.max_tokens} leaves no room for a prompt in the model's {self.max_length} positions")
        return (Prompt(ids[-room:], request, max(0, len(ids) - room)),)

    def length(self, unit: Scored | Prompt) -> int:
        return len(unit.ids) - 1 if isinstance(unit, Scored) else len(unit.ids) + unit.request.max_tokens

    def join(self, request: Request[Any], parts: Sequence[Any]) -> Any:
        if not isinstance(request, RollingLogLikelihood):
            return parts[0]
        return LogProb(sum(p.value for p in parts), sum(p.num_tokens for p in parts), all(p.is_greedy for p in parts))

    # ── scoring ───────────────────────────────────────────────────────────────────────────────────────────────────────

    def loglikelihood(self, batch: Sequence[Scored]) -> list[LogProb]:
        """Inputs are all ids but the last, shifted by one against the targets:

        input    b  c0 c1 t0 t1  P      targets are the last num_scored ids;
        target   c0 c1 t0 t1 t2         t0 is read off the logits of c1
                       ^^^^^^^^ scored
        """
        width = max(len(unit.ids) for unit in batch) - 1
        starts = [len(unit.ids) - 1 - unit.num_scored for unit in batch]
        first = min(starts)
        ids_BL = torch.tensor([unit.ids[:-1] + [self._pad] * (width + 1 - len(unit.ids)) for unit in batch])
        mask_BL = torch.tensor([[1] * (len(unit.ids) - 1) + [0] * (width + 1 - len(unit.ids)) for unit in batch])
        keep = {"logits_to_keep": torch.arange(first, width, device=self.device)} if self._keeps_positions else {}
        with torch.inference_mode():
            logits_BKV = self.module(
                input_ids=to_device(ids_BL, self.device), attention_mask=to_device(mask_BL, self.device), use_cache=False, **keep
            ).logits
            if not keep:
                logits_BKV = logits_BKV[:, first:]
            scores = []
            for row, (unit, start) in enumerate(zip(batch, starts, strict=True)):
                logits_KV = logits_BKV[row, start - first : start - first + unit.num_scored].float()
                target_K = torch.tensor(unit.ids[-unit.num_scored :], device=self.device)
                chosen_K = logits_KV.gather(1, target_K[:, None])[:, 0]
                # Log-sum-exp keeps 1e-6 a token where log_softmax over a large vocabulary loses 8e-6; sums are taken in float64.
                total = (chosen_K.double() - logits_KV.logsumexp(1).double()).sum()
                scores.append(torch.stack([total, (logits_KV.argmax(1) == target_K).all().double()]))
            values = torch.stack(scores).cpu().tolist()
        return [LogProb(value, u.num_scored, bool(greedy), u.num_truncated) for (value, greedy), u in zip(values, batch, strict=True)]

    rolling_loglikelihood = loglikelihood

    # ── generation ────────────────────────────────────────────────────────────────────────────────────────────────────

    def generate(self, batch: Sequence[Prompt]) -> list[Completion]:
        """Left padding, so that every row's next token stands in the last column:

        ids    P P w w      mask   0 0 1 1
               w w w w             1 1 1 1
        """
        width = max(len(unit.ids) for unit in batch)
        ids_BL = torch.tensor([[self._pad] * (width - len(unit.ids)) + unit.ids for unit in batch])
        mask_BL = torch.tensor([[0] * (width - len(unit.ids)) + [1] * len(unit.ids) for unit in batch])
        settings = GenerationConfig(
            max_new_tokens=max(unit.request.max_tokens for unit in batch), do_sample=False, num_beams=1,
            pad_token_id=self._pad, eos_token_id=self._ends or None, bos_token_id=self.tokenizer.bos_token_id,
        )  # fmt: skip
        processors = LogitsProcessorList([_GumbelNoise(batch)] if batch[0].request.temperature > 0 else [])
        stops = StoppingCriteriaList([_RowDone(self.tokenizer, batch, width)])
        with torch.inference_mode():
            out_BL = self.module.generate(
                to_device(ids_BL, self.device), attention_mask=to_device(mask_BL, self.device), generation_config=settings,
                logits_processor=processors, stopping_criteria=stops,
            )  # fmt: skip
        return [self._completion(unit, row[width:]) for unit, row in zip(batch, out_BL.cpu().tolist(), strict=True)]

    def _completion(self, unit: Prompt, new: list[int]) -> Completion:
        request = unit.request
        new = new[: request.max_tokens]
        stopped = next((i for i, token in enumerate(new) if token in self._ends or token == self._pad), None)
        kept = new if stopped is None else new[:stopped]
        text = self.tokenizer.decode(kept, skip_special_tokens=True)
        cuts = [at for at in (text.find(stop) for stop in request.stop if stop) if at >= 0]
        finish = "stop" if cuts or (stopped is not None) else "length"
        return Completion(text[: min(cuts)] if cuts else text, len(kept), finish, len(unit.ids), unit.num_truncated)

    # ── tokens ────────────────────────────────────────────────────────────────────────────────────────────────────────

    def _encode(self, text: str) -> list[int]:
        """Token ids without any special token."""
        try:
            ids: list[int] = self.tokenizer(text, add_special_tokens=False, verbose=False)["input_ids"]
        except (TypeError, UnicodeEncodeError) as error:
            if any("\ud800" <= c <= "\udfff" for c in text):
                raise SampleError("the text holds a lone surrogate, which is not valid Unicode and has no tokens") from error
            raise
        return ids

    def _prompt(self, prompt: str | Chat) -> list[int]:
        if isinstance(prompt, str) and not self.chat_template:
            return self._prefix + self._encode(prompt) or self._start
        messages = [{"role": "user", "content": prompt}] if isinstance(prompt, str) else [
            {"role": m.role, "content": m.content} for m in prompt.messages
        ]  # fmt: skip
        if not self.tokenizer.chat_template:
            raise SampleError(f"the tokenizer of {self.name!r} has no chat template; give text prompts or a chat model")
        # The template writes the special tokens itself.
        return self._encode(self.tokenizer.apply_chat_template(messages, tokenize=False, add_generation_prompt=True))

    def _scored(self, request: LogLikelihood) -> Scored:
        """Context and continuation are tokenised together, so that a token may span the seam as it would in running text.

        Spaces at the end of the context belong to the continuation: most vocabularies start a word with its space.
        """
        context, continuation = request.context, request.continuation
        bare = context.rstrip()
        continuation, context = context[len(bare) :] + continuation, bare
        if self.chat_template:
            before = self._prompt(context)
            after = self._encode(continuation)
        elif context:
            before = self._encode(context)
            after = self._encode(context + continuation)[len(before) :]
            before = self._prefix + before
        else:
            before, after = self._start, self._encode(continuation)
        if not after:
            raise SampleError("the continuation has no tokens, so there is nothing to score")
        if not before:
            raise SampleError("the context is empty and the tokenizer has no token that begins a text")
        ids = before + after
        dropped = max(0, len(ids) - self.max_length - 1)
        ids = ids[dropped:]
        return Scored(ids, min(len(after), len(ids) - 1), dropped)


class _RowDone(StoppingCriteria):
    """Rows that have said a stop string or all that they may say. Only the tail is decoded: a stop string is short."""

    def __init__(self, tokenizer: Any, batch: Sequence[Prompt], width: int) -> None:
        self._tokenizer, self._batch, self._width = tokenizer, batch, width
        self._tail = 8 + max((len(stop) for unit in batch for stop in unit.request.stop), default=0)

    def __call__(self, input_ids: torch.Tensor, scores: Any, **kwargs: Any) -> torch.Tensor:
        num_new = input_ids.shape[1] - self._width
        tails = input_ids[:, max(self._width, input_ids.shape[1] - self._tail) :].tolist()
        done = [
            num_new >= unit.request.max_tokens or (bool(unit.request.stop) and any(stop and stop in text for stop in unit.request.stop))
            for unit, text in zip(self._batch, self._tokenizer.batch_decode(tails, skip_special_tokens=True), strict=True)
        ]
        return torch.tensor(done, device=input_ids.device)


class _GumbelNoise(LogitsProcessor):
    """Sampling as an argmax: logits / temperature + Gumbel noise (Gumbel 1954; Maddison et al. 2014) is an exact draw from the softmax.

    Each row has its own generator, seeded by its own request: a row's draw does not depend on its neighbours.
    """

    def __init__(self, batch: Sequence[Prompt]) -> None:
        self._temperature = batch[0].request.temperature
        self._generators = [torch.Generator().manual_seed(unit.request.seed) for unit in batch]

    def __call__(self, input_ids: torch.Tensor, scores: torch.Tensor) -> torch.Tensor:
        uniform = torch.stack([torch.rand(scores.shape[1], generator=g, dtype=torch.float64) for g in self._generators])
        noise = -torch.log(-torch.log(uniform.clamp_min(1e-300)))
        return scores / self._temperature + noise.to(scores.device, scores.dtype)


def _listed(token: int | list[int] | None) -> list[int]:
    return [] if token is None else token if isinstance(token, list) else [token]


def _own_prefix(tokenizer: Any) -> list[int]:
    """The special tokens that the tokenizer itself puts before a text (Llama: one; GPT-2: none)."""
    bare, dressed = tokenizer("a", add_special_tokens=False)["input_ids"], tokenizer("a")["input_ids"]
    at = next((i for i in range(len(dressed)) if dressed[i : i + len(bare)] == bare), 0)
    prefix: list[int] = dressed[:at]
    return prefix
