"""Run a causal language model on padded batches, which every architecture supports.

Scoring pads on the right, which no causal architecture (attention, recurrent, convolutional) can see. Generation pads on
the left if the architecture masks it, and otherwise batches prompts of the same length.
Shape legend: B batch, L tokens, K kept positions, V vocabulary.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from transformers import GenerationConfig, LogitsProcessorList, StoppingCriteriaList

from ...api.responses import Completion, LogProb
from ..torch.devices import to_device
from ..torch.logits import log_probs, measure_shift
from ..torch.padding import mask_right, pad_right
from ..torch.signature import accepts
from .generation_state import NextScores, Prompt, StopWhenDone, Writing
from .prefix_trie import Scored, group_shared_rows


class Padded:
    """Runs padded batches.

    pad: any token id, as padding is masked, or to the right of all scored tokens. ends: tokens that end a text.
    rounded: as in `log_probs`.
    """

    def __init__(self, module: Any, tokenizer: Any, name: str, *, pad: int, ends: Sequence[int], rounded: bool = False) -> None:
        self._module, self._tokenizer, self._name = module, tokenizer, name
        self.pad, self._ends, self._rounded = pad, ends, rounded
        self._keeps_positions = accepts(module, "logits_to_keep")
        self._takes_mask = accepts(module, "attention_mask")

    def score(self, batch: Sequence[Scored], /) -> list[LogProb]:
        """Score sequences. Inputs are all ids but the last; targets are shifted by one. A row serves all its prefixes:

        input    b  c0 c1 t0 t1  P      targets are the last num_scored ids;
        target   c0 c1 t0 t1 t2         t0 is read off the logits of c1
                       ^^^^^^^^ scored
        """
        device = self._module.device
        rows = group_shared_rows(batch)
        read = [batch[row[0]].ids[:-1] for row in rows]
        first = min(len(unit.ids) - 1 - unit.num_scored for unit in batch)
        ids_BL = pad_right(read, self.pad, device)
        options: dict[str, Any] = {"input_ids": ids_BL, "use_cache": False}
        if self._takes_mask:
            options["attention_mask"] = mask_right(read, device)
        if self._keeps_positions:
            options["logits_to_keep"] = torch.arange(first, ids_BL.shape[1], device=device)
        with torch.inference_mode():
            logits_BKV = self._module(**options).logits
            if not self._keeps_positions:
                logits_BKV = logits_BKV[:, first:]
            scores = [self._read(logits_KV, [batch[i] for i in row], first) for logits_KV, row in zip(logits_BKV, rows, strict=True)]
            values = torch.cat(scores).cpu().tolist()
        by_unit = dict(zip((i for row in rows for i in row), values, strict=True))
        return [LogProb(by_unit[i][0], unit.num_scored, bool(by_unit[i][1]), unit.num_truncated) for i, unit in enumerate(batch)]

    def _read(self, logits_KV: torch.Tensor, units: Sequence[Scored], first: int) -> torch.Tensor:
        """Return log-likelihood and greediness of each unit of a row, [units, 2]. The logits start at position ``first``."""
        starts = [len(unit.ids) - 1 - unit.num_scored - first for unit in units]
        low, high = min(starts), max(start + unit.num_scored for start, unit in zip(starts, units, strict=True))
        places = [start + k - low for start, unit in zip(starts, units, strict=True) for k in range(unit.num_scored)]
        targets = [token for unit in units for token in unit.ids[-unit.num_scored :]]
        values_N, greedy_N = log_probs(
            logits_KV[low:high].float(), *torch.tensor([places, targets], device=logits_KV.device), rounded=self._rounded
        )
        sizes = [unit.num_scored for unit in units]
        pairs = [[v.sum(), g.all().double()] for v, g in zip(values_N.split(sizes), greedy_N.split(sizes), strict=True)]
        return torch.stack([torch.stack(pair) for pair in pairs])

    def generate(self, batch: Sequence[Prompt], /) -> list[Completion]:
        """Generate with left padding, so that the next token of every row is in the last column:

        ids    P P w w      mask   0 0 1 1
               w w w w             1 1 1 1
        """
        device = self._module.device
        width = max(len(unit.ids) for unit in batch)
        ids_BL = torch.tensor([[self.pad] * (width - len(unit.ids)) + unit.ids for unit in batch])
        mask_BL = torch.tensor([[0] * (width - len(unit.ids)) + [1] * len(unit.ids) for unit in batch])
        settings = GenerationConfig(
            max_new_tokens=max(unit.request.max_tokens for unit in batch), do_sample=False, num_beams=1,
            pad_token_id=self.pad, eos_token_id=self._ends or None, bos_token_id=self._tokenizer.bos_token_id,
        )  # fmt: skip
        writings = [Writing(unit, self._tokenizer, self._ends) for unit in batch]
        scores = NextScores(writings)
        masked = {"attention_mask": to_device(mask_BL, device)} if self._takes_mask else {}
        with torch.inference_mode():
            self._module.generate(
                to_device(ids_BL, device), generation_config=settings, logits_processor=LogitsProcessorList([scores]),
                stopping_criteria=StoppingCriteriaList([StopWhenDone(writings)]), **masked,
            )  # fmt: skip
        scores.check(self._name)
        return [writing.completion() for writing in writings]

    def measure_sharing(self, ids: list[int], /) -> str:
        """Measure which prompts may share a batch without changing their answers: "any", those of one "length", or "none".

        Some architectures ignore the mask, some count positions from the padding, and transformers' RWKV mixes the states
        of rows. ids: eight ordinary tokens.
        """
        settings = GenerationConfig(
            max_new_tokens=3, do_sample=False, num_beams=1, pad_token_id=self.pad, output_logits=True, return_dict_in_generate=True
        )

        def first_logits(*rows: list[int], mask: list[list[int]] | None = None) -> torch.Tensor:
            """Return the logits of the first row at its first step, and at two steps that use the cache."""
            ids_BL = torch.tensor(rows, device=self._module.device)
            mask_BL = torch.ones_like(ids_BL) if mask is None else torch.tensor(mask, device=self._module.device)
            masked = {"attention_mask": mask_BL} if self._takes_mask else {}
            with torch.inference_mode():
                return torch.stack(self._module.generate(ids_BL, generation_config=settings, **masked).logits)[:, 0]

        # Seeing other rows changes logits by about their standard deviation; half precision rounds by some hundredths of it.
        tolerance = 1e-3 if self._module.dtype == torch.float32 else 0.1
        # From one token on, because the state of a convolution includes padding before a prompt shorter than its kernel.
        shorts = [ids[:n] for n in (1, 2, 4)]
        try:
            alone = [first_logits(short) for short in shorts]
        except Exception:  # noqa: BLE001 - a model that can only score; requests to generate fail with the reason
            return "none"

        def beside(short: list[int]) -> torch.Tensor:
            padding = len(ids) - len(short)
            return first_logits([self.pad] * padding + short, ids, mask=[[0] * padding + [1] * len(short), [1] * len(ids)])

        if self._takes_mask and all(measure_shift(a, beside(short)) <= tolerance for a, short in zip(alone, shorts, strict=True)):
            return "any"
        same = all(measure_shift(a, first_logits(short, ids[-len(short) :])) <= tolerance for a, short in zip(alone, shorts, strict=True))
        return "length" if same else "none"
