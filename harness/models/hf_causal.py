"""Causal language models: log-likelihoods, rolling log-likelihoods and generation.

Scoring pads on the right, where no causal architecture (attention, recurrent, convolutional) can see it; generation pads on the left
where the architecture hides that, and else batches prompts of one length.
Shape legend: B batch, L tokens, K kept positions, V vocabulary.
"""

from __future__ import annotations

import math
from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from transformers import (
    AutoModelForCausalLM,
    GenerationConfig,
    LogitsProcessor,
    LogitsProcessorList,
    StoppingCriteria,
    StoppingCriteriaList,
)

from ..errors import ModelError, NonFiniteError, SampleError
from ..inputs import Chat
from ..requests import Completion, Generate, LogLikelihood, LogProb, Request, RollingLogLikelihood
from .devices import pick_device, pick_dtype, to_device
from .hf import HuggingFace, accepts
from .stops import cut
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
        self.tokenizer = source.tokenizer()
        self._ends = list(dict.fromkeys([*self._ends, *_listed(self.tokenizer.eos_token_id)]))
        self.chat_template = source.chat_template
        self.max_length = source.longest(self.module, config)
        self._prefix = _own_prefix(self.tokenizer)
        first = self.tokenizer.bos_token_id if self.tokenizer.bos_token_id is not None else self.tokenizer.eos_token_id
        self._start = self._prefix or ([first] if first is not None else [])
        # Padding is masked or to the right of everything scored, so any id will do where the tokenizer has none of its own.
        self._pad = next((i for i in (self.tokenizer.pad_token_id, self.tokenizer.eos_token_id) if i is not None), 0)
        self._keeps_positions = accepts(self.module, "logits_to_keep")
        self._takes_mask = accepts(self.module, "attention_mask")
        self._check_causal()
        self._shares = self._measure_sharing()
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
        if request.max_tokens < 1 or not 0 <= request.temperature < math.inf:
            raise SampleError(
                f"max_tokens is at least 1, temperature at least 0; the request has {request.max_tokens} and {request.temperature}"
            )
        ids = self._prompt(request.prompt)
        if not ids:
            raise SampleError("the prompt is empty and the tokenizer has no token that begins a text")
        room = self.max_length - request.max_tokens
        if room < 1:
            raise SampleError(f"max_tokens {request.max_tokens} leaves no room for a prompt in the model's {self.max_length} positions")
        return (Prompt(ids[-room:], request, max(0, len(ids) - room)),)

    def batch_key(self, unit: Scored | Prompt) -> Hashable:
        """Prompts of one length only, or each on its own, where a model would see the padding at their left or each other."""
        if isinstance(unit, Scored) or self._shares == "any":
            return None
        return len(unit.ids) if self._shares == "length" else id(unit)

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
        options: dict[str, Any] = {"use_cache": False}
        if self._takes_mask:
            mask_BL = torch.tensor([[1] * (len(unit.ids) - 1) + [0] * (width + 1 - len(unit.ids)) for unit in batch])
            options["attention_mask"] = to_device(mask_BL, self.device)
        if self._keeps_positions:
            options["logits_to_keep"] = torch.arange(first, width, device=self.device)
        with torch.inference_mode():
            logits_BKV = self.module(input_ids=to_device(ids_BL, self.device), **options).logits
            if not self._keeps_positions:
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
        finite = _Finite()
        noise = [_GumbelNoise(batch)] if batch[0].request.temperature > 0 else []
        done = _RowDone(self.tokenizer, batch, width)
        masked = {"attention_mask": to_device(mask_BL, self.device)} if self._takes_mask else {}
        with torch.inference_mode():
            out_BL = self.module.generate(
                to_device(ids_BL, self.device), generation_config=settings, logits_processor=LogitsProcessorList([finite, *noise]),
                stopping_criteria=StoppingCriteriaList([done]), **masked,
            )  # fmt: skip
        finite.check(self.name)
        return [
            self._completion(unit, row[width : width + num_new], said_stop)
            for unit, row, num_new, said_stop in zip(batch, out_BL.cpu().tolist(), done.num_new, done.said_stop, strict=True)
        ]

    def _completion(self, unit: Prompt, new: list[int], said_stop: bool) -> Completion:
        """``new``: up to the step at which the row was done by a stop string or its length; an end token may come before."""
        ended = next((i for i, token in enumerate(new) if token in self._ends), None)
        if ended is not None:
            new = new[: ended + 1]
        text = self.tokenizer.decode(new if ended is None else new[:ended], skip_special_tokens=True)
        kept = cut(text, unit.request.stop)
        finish = "stop" if said_stop or ended is not None or kept != text else "length"
        return Completion(kept, len(new), finish, len(unit.ids), unit.num_truncated)

    # ── what an architecture does, which its signature does not tell ──────────────────────────────────────────────────

    def _check_causal(self) -> None:
        """An encoder with a language model head reads the very token that it is asked to predict."""
        ids = self._sample_ids(9)
        ids_BL = torch.tensor([ids[:3] + ids[3:6], ids[:3] + ids[6:]], device=self.device)
        try:
            with torch.inference_mode():
                logits_BLV = self.module(input_ids=ids_BL, use_cache=False).logits
        except Exception as error:  # whatever a module raises that does not run, in this number format or at all
            raise ModelError(f"{self.name!r} does not run in {self.module.dtype} on {self.device}: {error}") from error
        # Half precision: experts that get other numbers of tokens round otherwise. NaN is for the request that meets it to report.
        if _moved(logits_BLV[0, :3], logits_BLV[1, :3]) > (1e-3 if self.module.dtype == torch.float32 else 3e-2):
            raise ModelError(
                f"{self.name!r} is no causal language model: later tokens change what {type(self.module).__name__} says of earlier ones, "
                "so its likelihoods would mean nothing. Give a decoder (BERT and its kin: a checkpoint trained with is_decoder=True)"
            )

    def _measure_sharing(self) -> str:
        """Which prompts may share a batch and each go on as it does alone: "any", those of one "length", or "none".

        Some architectures ignore the mask, some count positions from the padding; transformers' RWKV mixes rows once it has a state.
        """
        ids = self._sample_ids(8)
        short, padding = ids[:3], len(ids) - 3
        settings = GenerationConfig(
            max_new_tokens=2, do_sample=False, num_beams=1, pad_token_id=self._pad, output_logits=True, return_dict_in_generate=True
        )

        def said(*rows: list[int], mask: list[list[int]] | None = None) -> torch.Tensor:
            """Logits of the first row, at its first step and at one that reads the cache."""
            ids_BL = torch.tensor(rows, device=self.device)
            mask_BL = torch.ones_like(ids_BL) if mask is None else torch.tensor(mask, device=self.device)
            masked = {"attention_mask": mask_BL} if self._takes_mask else {}
            with torch.inference_mode():
                return torch.stack(self.module.generate(ids_BL, generation_config=settings, **masked).logits)[:, 0]

        # What a row sees of others moves logits by about their spread; half precision rounds by some hundredths of it.
        tolerance = 1e-3 if self.module.dtype == torch.float32 else 0.1
        try:
            alone = said(short)
        except Exception:  # noqa: BLE001 - a model may score that cannot generate; a request to generate is told why
            return "none"
        mask = [[0] * padding + [1] * len(short), [1] * len(ids)]
        if self._takes_mask and _moved(alone, said([self._pad] * padding + short, ids, mask=mask)) <= tolerance:
            return "any"
        return "length" if _moved(alone, said(short, ids[-3:])) <= tolerance else "none"

    def _sample_ids(self, num: int) -> list[int]:
        """Ordinary tokens from all over the vocabulary, whose ends are often bytes or words that were never trained."""
        rows, special = self.module.get_input_embeddings().num_embeddings, set(self.tokenizer.all_special_ids)
        ids = sorted(i for i in self.tokenizer.get_vocab().values() if i < rows and i not in special) or [0]
        return [ids[len(ids) * k // (num + 1)] for k in range(1, num + 1)]

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

            context "an ab", continuation "le"     "an" " ab" | "le"       is scored as   "an" | " able"

        A token across the seam is scored whole. (lm-evaluation-harness drops as many tokens as the context alone has, and with them
        a part of the continuation; where no token spans the seam the two agree.)
        """
        context, continuation = request.context, request.continuation
        if self.chat_template:
            # The template ends the context's message: nothing spans that seam.
            before, after = self._prompt(context), self._encode(continuation)
        else:
            bare = context.rstrip()
            continuation, context = context[len(bare) :] + continuation, bare
            whole = self._encode(context + continuation)
            seam = _num_common(self._encode(context), whole) if context else 0
            before, after = (self._prefix + whole[:seam]) or self._start, whole[seam:]
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


class _RowDone(StoppingCriteria):
    """Rows that have said a stop string or all that they may say, and after how many new tokens (what follows is padding).

    Only the tail is decoded: a token is a byte at least, so a stop string of n bytes lies within the last n tokens.
    """

    def __init__(self, tokenizer: Any, batch: Sequence[Prompt], width: int) -> None:
        self._tokenizer, self._batch, self._width = tokenizer, batch, width
        self._tails = [8 + max((len(s.encode("utf-8", "replace")) for s in unit.request.stop), default=0) for unit in batch]
        self.num_new = [unit.request.max_tokens for unit in batch]
        self.said_stop = [False] * len(batch)
        self._done = [False] * len(batch)

    def __call__(self, input_ids: torch.Tensor, scores: Any, **kwargs: Any) -> torch.Tensor:
        num_new = input_ids.shape[1] - self._width
        looked_at = [i for i, unit in enumerate(self._batch) if any(unit.request.stop) and not self._done[i]]
        if looked_at:
            recent = input_ids[:, max(self._width, input_ids.shape[1] - max(self._tails)) :].tolist()
            texts = self._tokenizer.batch_decode([recent[i][-self._tails[i] :] for i in looked_at], skip_special_tokens=True)
            for i, text in zip(looked_at, texts, strict=True):
                self.said_stop[i] = any(stop and stop in text for stop in self._batch[i].request.stop)
        for i, unit in enumerate(self._batch):
            if not self._done[i] and (self.said_stop[i] or num_new >= unit.request.max_tokens):
                self._done[i], self.num_new[i] = True, num_new
        return torch.tensor(self._done, device=input_ids.device)


class _Finite(LogitsProcessor):
    """Notes NaN among the logits, of which an argmax would make a token. One look at the end, so that no step waits for the device."""

    def __init__(self) -> None:
        self._nan: torch.Tensor | None = None

    def __call__(self, input_ids: torch.Tensor, scores: torch.Tensor) -> torch.Tensor:
        nan = scores.isnan().any()
        self._nan = nan if self._nan is None else self._nan | nan
        return scores

    def check(self, name: str) -> None:
        if self._nan is not None and bool(self._nan):
            raise NonFiniteError(
                f"model {name!r} gave NaN logits while generating; half precision overflowing is the usual cause: "
                "try --dtype float32 or bfloat16"
            )


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


def _moved(before: torch.Tensor, after: torch.Tensor) -> float:
    """How far logits moved, as a share of their spread (which an offset common to all of them does not enter)."""
    before, after = before.float(), after.float()
    return float((before - after).abs().mean() / before.std())


def _num_common(first: Sequence[int], second: Sequence[int]) -> int:
    """Length of the longest common beginning."""
    return next((i for i, (a, b) in enumerate(zip(first, second, strict=False)) if a != b), min(len(first), len(second)))


def _listed(token: int | list[int] | None) -> list[int]:
    return [] if token is None else token if isinstance(token, list) else [token]


def _own_prefix(tokenizer: Any) -> list[int]:
    """The special tokens that the tokenizer itself puts before a text (Llama: one; GPT-2: none)."""
    bare, dressed = tokenizer("a", add_special_tokens=False)["input_ids"], tokenizer("a")["input_ids"]
    # A vocabulary that has no "a" and drops what it has not: nothing to tell the prefix from a suffix by.
    at = next((i for i in range(len(dressed)) if bare and dressed[i : i + len(bare)] == bare), 0)
    prefix: list[int] = dressed[:at]
    return prefix
