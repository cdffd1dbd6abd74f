"""Causal language models: log-likelihoods, rolling log-likelihoods and generation. `causal.texts` tokenises requests.

Tokens run in packs that share common prefixes (`packed`) if the architecture allows it, else in padded batches (`padded`).
"""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Sequence
from typing import Any, Self

import torch
from transformers import AutoModelForCausalLM, GenerationConfig

from ...api.errors import ModelError, SampleError
from ...api.model import Pass
from ...api.responses import Completion, LogProb
from ..causal.generation_state import Prompt
from ..causal.packed import Flat
from ..causal.padded import Padded
from ..causal.prefix_trie import Scored, group_shared_rows
from ..causal.texts import CausalTexts
from ..checkpoint.settings import list_generation_notes
from ..checkpoint.tokens import check_tokens, list_ends
from ..torch.kept_states import reset_states_before_passes
from ..torch.logits import measure_shift
from ..torch.signature import choose_ordinary_ids
from .causal_gradients import CausalGradients
from .checkpoint_model import HFTextModel
from .source import HuggingFace


class HFCausalLM(CausalTexts, HFTextModel):
    """Answers `LogLikelihood`, `RollingLogLikelihood` and `Generate`."""

    def __init__(self, source: HuggingFace, device: str, dtype: str) -> None:
        super().__init__(source, device, dtype, AutoModelForCausalLM)
        generation = self.module.generation_config
        self.ends = list_ends(generation.eos_token_id, self.tokenizer.eos_token_id)
        self.notes += (*list_generation_notes(generation), *check_tokens(self.tokenizer, self.module, self.name))
        # The checkpoint's sampling settings (temperature, repetition penalty, ...) must not affect requests.
        self.module.generation_config = GenerationConfig()
        self.has_templated_prompts = source.chat_template
        # A tokenizer's limit comes from the encoders for which it was written.
        self.max_length = source.longest(self.module, self.config)
        self._read_with(self.tokenizer)
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

    def randomised(self, seed: int, share: float = 1.0, /) -> Self | None:
        twin = super().randomised(seed, share)
        if twin is not None:
            twin._choose_ways()
        return twin

    # ── requests to units ─────────────────────────────────────────────────────────────────────────────────────────────

    def differentiable(self) -> CausalGradients:
        return CausalGradients(self)

    def batch_key(self, unit: Scored | Prompt, /) -> Hashable:
        """Group prompts by length, or run each alone, if the model is affected by left padding or by other rows."""
        turned = self.turning.alike(self.length(unit))
        if isinstance(unit, Scored) or (self._shares == "any" and turned is None):
            return turned
        return id(unit) if self._shares == "none" else len(unit.ids)

    def shared_rows(self, units: Sequence[Scored | Prompt], /) -> list[list[int]]:
        """Group units that one row of a batch answers: the choices of a context if they are single tokens."""
        scored = [unit for unit in units if isinstance(unit, Scored)]
        return group_shared_rows(scored) if len(scored) == len(units) else [[i] for i in range(len(units))]

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


def _choose_neutral_token(tokenizer: Any, pad: int) -> int:
    """Return the neutral token of a baseline: the most common English word if that is one token, else padding.

    Padding is often the token that ends a text, after which the model expects a new text.
    """
    # With a space, as most vocabularies have words inside a text, or without, for those that add it themselves.
    for ids in (tokenizer(text, add_special_tokens=False)["input_ids"] for text in (" the", "the")):
        if len(ids) == 1 and ids[0] != tokenizer.unk_token_id:
            return int(ids[0])
    return pad
