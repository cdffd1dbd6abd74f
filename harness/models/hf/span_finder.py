"""Extractive question answering: the span of a passage with the largest sum of its start's and its end's logit.

A passage that is longer than the model is read in overlapping windows.

Shape legend: B batch, L tokens.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from transformers import AutoModelForQuestionAnswering

from ...api.errors import SampleError
from ...api.requests import Answer, Request
from ...api.responses import Response, Span
from ..checkpoint.tokens import check_tokens
from ..common.valid_text import refuse_lone_surrogates
from ..torch.padding import pad_right
from ..torch.signature import accepts
from .checkpoint_model import HFTextModel
from .source import HuggingFace

_OVERLAP = 128
"""Number of tokens that neighbouring windows share, at most a half of the room for the passage."""


@dataclass(frozen=True, slots=True)
class Window:
    """A question and a part of its passage.

    spans: characters in the passage of each token; None for tokens that are not of the passage. no_answer: index of the token whose
    logits say that there is no answer. max_tokens: of the answer.
    """

    ids: list[int]
    types: list[int] | None
    spans: list[tuple[int, int] | None]
    no_answer: int
    max_tokens: int


@dataclass(frozen=True, slots=True)
class Found:
    """The best span of a window, in characters of the passage, and the logits of the span and of no answer."""

    start: int
    end: int
    score: float
    no_answer: float


class HFSpanFinder(HFTextModel):
    """Answers `Answer`."""

    def __init__(self, source: HuggingFace, device: str, dtype: str) -> None:
        super().__init__(source, device, dtype, AutoModelForQuestionAnswering)
        self.notes += check_tokens(self.tokenizer, self.module, self.name)
        self._takes_types = accepts(self.module, "token_type_ids")
        self.fingerprint = source.fingerprint(self.module, self.dtype)

    def split(self, request: Request[Response], /) -> Sequence[Window]:
        assert isinstance(request, Answer)
        question, passage = request.input.first, request.input.second
        if not passage.strip():
            raise SampleError("the passage is empty, so it has no answer")
        with refuse_lone_surrogates(question + passage):
            room = self.max_length - len(self.tokenizer(question, "", verbose=False)["input_ids"])
            if room < 1:
                raise SampleError(f"the question leaves no room for a passage in the {self.max_length:,} tokens that the model reads")
            encoded = self.tokenizer(
                question, passage, truncation="only_second", max_length=self.max_length, stride=min(_OVERLAP, room // 2),
                return_overflowing_tokens=True, verbose=False,
            )  # fmt: skip
        typed = self._takes_types and "token_type_ids" in encoded
        return [self._make_window(one, typed, request.max_tokens) for one in encoded.encodings]

    def _make_window(self, one: Any, typed: bool, max_tokens: int) -> Window:
        spans = [tuple(span) if part == 1 else None for span, part in zip(one.offsets, one.sequence_ids, strict=True)]
        first = self.tokenizer.cls_token_id
        return Window(one.ids, one.type_ids if typed else None, spans, one.ids.index(first) if first in one.ids else 0, max_tokens)

    def batch_key(self, unit: Window, /) -> Hashable:
        return super().batch_key(unit), unit.types is None

    def answer(self, batch: Sequence[Window]) -> list[Found]:
        arguments = self.arguments([unit.ids for unit in batch])
        types = [unit.types for unit in batch if unit.types is not None]
        if types:
            arguments["token_type_ids"] = pad_right(types, 0, self.device)
        with torch.inference_mode():
            output = self.module(**arguments)
            starts_BL, ends_BL = output.start_logits.double().cpu(), output.end_logits.double().cpu()
        return [_find_best(unit, *logits) for unit, *logits in zip(batch, starts_BL, ends_BL, strict=True)]

    def join(self, request: Request[Response], answers: Sequence[Any], /) -> Span:
        """Return the best span of all windows. There is no answer only if no window has one, so the smallest of its logits counts."""
        assert isinstance(request, Answer)
        best = max(answers, key=lambda found: found.score)
        text = request.input.second[best.start : best.end]
        return Span(text, best.start, best.end, best.score, min(found.no_answer for found in answers), len(answers))


def _find_best(unit: Window, starts_L: torch.Tensor, ends_L: torch.Tensor) -> Found:
    num = len(unit.ids)
    in_passage_L = torch.tensor([span is not None for span in unit.spans])
    sums_LL = starts_L[:num, None] + ends_L[None, :num]
    order_LL = torch.arange(num)[None, :] - torch.arange(num)[:, None]
    allowed_LL = in_passage_L[:, None] & in_passage_L[None, :] & (order_LL >= 0) & (order_LL < unit.max_tokens)
    # NaN counts as the best span, so that the answer has it and is refused as any other that is not finite.
    ranked_LL = sums_LL.nan_to_num(torch.inf, torch.inf, -torch.inf).masked_fill(~allowed_LL, -torch.inf)
    place = int(ranked_LL.argmax())
    start, end = unit.spans[place // num], unit.spans[place % num]
    assert start is not None
    assert end is not None
    return Found(start[0], end[1], float(sums_LL.view(-1)[place]), float(starts_L[unit.no_answer] + ends_L[unit.no_answer]))
