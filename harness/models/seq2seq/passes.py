"""Run an encoder-decoder. The encoder reads each distinct source of a batch once, for all of its targets.

    sources   s0  s1              the encoder's batch
    targets   t0  t1  t2          the decoder's batch: choices of s0, s0, s1
    row       0   0   1

Shape legend: U distinct sources, B targets, L source tokens, T target tokens, D hidden size, V vocabulary.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from transformers import LogitsProcessorList, StoppingCriteriaList
from transformers.modeling_outputs import BaseModelOutput

from ...api.responses import Completion, LogProb
from ..causal.generation_state import NextScores, Prompt, StopWhenDone, Writing
from ..torch.logits import log_probs
from ..torch.padding import mask_right, pad_right
from .decoding import make_greedy
from .reader import Source


@dataclass(frozen=True, slots=True)
class Target:
    """A text to score after its source: ``ids`` follow the decoder's start."""

    source: Source
    ids: list[int]


class EncoderDecoder:
    """Scores and generates texts.

    module: transformers' module. tokenizer: transformers' tokenizer. name: name of the model, for errors.
    start: tokens that the decoder is given before a target. decoding: transformers' generation settings. ends: tokens that end an answer.
    rounded: as in `log_probs`.
    """

    def __init__(
        self, module: Any, tokenizer: Any, name: str, *, start: Sequence[int], decoding: Any, ends: Sequence[int], rounded: bool = False
    ) -> None:
        self._module, self._tokenizer, self._name = module, tokenizer, name
        self._start, self._decoding, self._ends, self._rounded = list(start), decoding, list(ends), rounded

    def encode(self, sources: Sequence[Source], /) -> tuple[torch.Tensor, torch.Tensor]:
        """Return the encoder's states [U, L, D] and the mask [U, L] of padded sources."""
        ids, device = [source.ids for source in sources], self._module.device
        mask_UL = mask_right(ids, device)
        states: torch.Tensor = self._module.get_encoder()(
            input_ids=pad_right(ids, self._decoding.pad_token_id, device), attention_mask=mask_UL
        ).last_hidden_state
        return states, mask_UL

    def decode(self, states_BLD: torch.Tensor, mask_BL: torch.Tensor, targets: Sequence[Sequence[int]], /) -> torch.Tensor:
        """Return the logits [B, T, V] that predict the tokens of the targets."""
        rows = [[*self._start, *ids[:-1]] for ids in targets]
        states: Any = states_BLD  # transformers names the classes of tensors of old torch releases
        logits_BTV: torch.Tensor = self._module(
            encoder_outputs=BaseModelOutput(states), attention_mask=mask_BL,
            decoder_input_ids=pad_right(rows, self._decoding.pad_token_id, states_BLD.device), use_cache=False,
        ).logits  # fmt: skip
        return logits_BTV[:, len(self._start) - 1 :]

    def score(self, batch: Sequence[Target], /) -> list[LogProb]:
        """Return the log-likelihood of each target."""
        places = {source: place for place, source in enumerate(dict.fromkeys(unit.source for unit in batch))}
        with torch.inference_mode():
            states_ULD, mask_UL = self.encode(list(places))
            rows_B = torch.tensor([places[unit.source] for unit in batch], device=states_ULD.device)
            logits_BTV = self.decode(states_ULD[rows_B], mask_UL[rows_B], [unit.ids for unit in batch])
            answers = []
            for unit, logits_TV in zip(batch, logits_BTV, strict=True):
                place_N, target_N = torch.arange(len(unit.ids)), torch.tensor(unit.ids)
                values_N, greedy_N = log_probs(
                    logits_TV[: len(unit.ids)].float(), place_N.to(logits_TV.device), target_N.to(logits_TV.device), rounded=self._rounded
                )
                answers.append(LogProb(float(values_N.sum()), len(unit.ids), bool(greedy_N.all()), unit.source.num_truncated))
        return answers

    def generate(self, batch: Sequence[Prompt], /) -> list[Completion]:
        """Answer prompts of one temperature; with beams, also of one maximum length."""
        sources = [prompt.ids for prompt in batch]
        most = max(prompt.request.max_tokens for prompt in batch)
        settings: dict[str, Any] = {"max_new_tokens": most, "min_length": min(self._decoding.min_length or 0, most)}
        decoding = make_greedy(copy.deepcopy(self._decoding)) if batch[0].request.temperature else self._decoding
        has_beams = decoding.num_beams > 1
        writings = [Writing(prompt, self._tokenizer, self._ends) for prompt in batch]
        scores = NextScores(writings, has_beams=has_beams)
        device = self._module.device
        with torch.inference_mode():
            written = self._module.generate(
                pad_right(sources, self._decoding.pad_token_id, device), attention_mask=mask_right(sources, device),
                generation_config=decoding, logits_processor=LogitsProcessorList([scores]),
                stopping_criteria=StoppingCriteriaList([] if has_beams else [StopWhenDone(writings)]), **settings,
            ).sequences  # fmt: skip
        scores.check(self._name)
        if has_beams:
            for writing, ids in zip(writings, written[:, 1:].tolist(), strict=True):
                writing.add_all(ids)
        return [writing.completion() for writing in writings]

    def measure_padding(self, ids: Sequence[int], /) -> bool:
        """Measure whether a source's logits stay the same beside a longer source. They do not where blocks or convolutions read padding.

        ids: ordinary tokens, more than eight.
        """
        short, long, target = Source(tuple(ids[:4])), Source(tuple(ids)), list(ids[:3])
        tolerance = 1e-3 if self._module.dtype == torch.float32 else 5e-2
        with torch.inference_mode():
            alone, beside = (self.decode(*self.encode(some), [target] * len(some))[0].float() for some in ([short], [short, long]))
        return bool((alone - beside).abs().max() <= tolerance * max(1.0, float(alone.std())))


def fill_passes(units: Sequence[Target], tokens: int, rows: int, /) -> Iterator[list[int]]:
    """Yield passes as indices of units, those of one source together, the longest sources first.

    tokens: maximum number of positions of a pass, padding included; a single unit may have more.
    rows: maximum number of units of a pass.
    """
    order = sorted(range(len(units)), key=lambda i: (-len(units[i].source.ids), units[i].source.ids, -len(units[i].ids), i))
    batch: list[int] = []
    sources: set[Source] = set()
    width = height = 0
    for i in order:
        unit = units[i]
        longest, widest = max(height, len(unit.ids)), max(width, len(unit.source.ids))
        positions = widest * (len(sources | {unit.source})) + longest * (len(batch) + 1)
        if batch and (positions > tokens or len(batch) >= rows):
            yield batch
            batch, sources, longest, widest = [], set(), len(unit.ids), len(unit.source.ids)
        batch.append(i)
        sources.add(unit.source)
        width, height = widest, longest
    if batch:
        yield batch
