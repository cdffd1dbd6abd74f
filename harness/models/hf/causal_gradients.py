"""Log-likelihoods of a causal language model, differentiable by its token embeddings.

Shape legend: B batch, L tokens, D embedding, N rows, S tokens of the longest continuation, V vocabulary.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import torch

from ...api.errors import SampleError
from ...api.model import Differentiable, Encoded
from ...api.requests import LogLikelihood
from ...modalities.chat import Chat, Message, list_messages
from ...modalities.words import MARK, clip_span, shift_spans
from ..causal.prefix_cache import Beginnings
from ..causal.prefix_trie import Scored
from ..checkpoint.lexicon import TokenizerLexicon
from ..torch.attention_weights import average_heads
from ..torch.devices import to_device
from ..torch.signature import accepts

if TYPE_CHECKING:
    from .causal_lm import HFCausalLM


class CausalGradients(Differentiable):
    """A `Differentiable` for `LogLikelihood` requests; see there for the meaning of `logits`."""

    def __init__(self, model: HFCausalLM) -> None:
        self._model = model
        self.module = model.module
        self.tokenizer = model.tokenizer
        self._keeps_positions = accepts(model.module, "logits_to_keep")
        self._beginnings = Beginnings(model.module)
        # If packs give the logits of a plain pass at any length, attention covers all positions, and none depends on length.
        sees_all = model.flat is not None and model.flat.max_length >= model.max_length and model.turns_at is None
        self.resumes = sees_all and self._beginnings.is_possible

    def lexicon(self) -> TokenizerLexicon:
        return TokenizerLexicon(self.tokenizer, self._model.module.get_input_embeddings())

    def encode(self, requests: Sequence[LogLikelihood], /) -> Encoded:
        """Encode requests with right padding, which a causal model does not see. In the baseline, prompt tokens are neutral.

        ids      t0 t1 t2 t3 t4        the last two are the continuation
        read     t0 t1 t2 t3
        places          2  3           of the log-probabilities of t3 and t4
        """
        units = [self._model.scored(request) for request in requests]
        width, most = max(len(unit.ids) for unit in units) - 1, max(unit.num_scored for unit in units)
        ids = torch.zeros(len(units), width, dtype=torch.long)
        mask, places = torch.zeros_like(ids), torch.zeros(len(units), most, dtype=torch.long)
        targets, scored = torch.zeros_like(places), torch.zeros_like(places)
        for row, unit in enumerate(units):
            read, num = len(unit.ids) - 1, unit.num_scored
            ids[row, :read], mask[row, :read] = torch.tensor(unit.ids[:-1]), 1
            places[row, :num] = torch.arange(read - num, read)
            targets[row, :num], scored[row, :num] = torch.tensor(unit.ids[-num:]), 1
        named = {"input_ids": ids, "places": places, "targets": targets, "scored": scored}
        extra = {name: to_device(value, self._model.device) for name, value in named.items()}
        spans = [self._find_spans(request, unit, width) for request, unit in zip(requests, units, strict=True)]
        in_prompt = to_device(torch.tensor([[tuple(span) != (0, 0) for span in row] for row in spans]), self._model.device)
        with torch.no_grad():
            embed = self._get_embeddings()
            features, neutral = embed(extra["input_ids"]), embed(torch.full_like(extra["input_ids"], self._model.neutral))
        baseline = torch.where(in_prompt[:, :, None], neutral, features)
        return Encoded(features, baseline, to_device(mask, self._model.device), spans, extra)

    def _get_embeddings(self) -> torch.nn.Module:
        module: Any = self.module  # transformers' methods are not among those of a torch module
        embeddings: torch.nn.Module = module.get_input_embeddings()
        return embeddings

    def logits(self, features: torch.Tensor, encoded: Encoded, rows: torch.Tensor | None = None, /) -> torch.Tensor:
        extra = _choose_rows(rows, encoded.extra)
        options = self._make_options(features, encoded, rows)
        past = encoded.features.shape[1] - features.shape[1]
        if past:
            options |= self._beginnings.of(encoded.extra["input_ids"][0, :past], len(features))
        # The output head is a large part of a small model, so it runs from the first scored position on.
        first = int(extra["places"].masked_fill(extra["scored"] == 0, encoded.features.shape[1]).min()) - past
        if self._keeps_positions:
            options["logits_to_keep"] = torch.arange(first, features.shape[1], device=features.device)
        logits_NLV = self.module(**options).logits
        logits_NLV = logits_NLV if self._keeps_positions else logits_NLV[:, first:]
        places_NS = (extra["places"] - past - first).clamp(min=0)
        # For the backward pass, log-sum-exp stores nothing of the vocabulary's size except the logits.
        chosen_NS = logits_NLV[torch.arange(len(places_NS), device=places_NS.device)[:, None], places_NS, extra["targets"]].float()
        scored: torch.Tensor = (chosen_NS - logits_NLV.float().logsumexp(-1).gather(1, places_NS)) * extra["scored"]
        return scored

    def attentions(self, features: torch.Tensor, encoded: Encoded, rows: torch.Tensor | None = None, /) -> torch.Tensor:
        options = self._make_options(features, encoded, rows)
        return average_heads(self.module, lambda: self.module(**options, output_attentions=True), self._model.name)

    def readers(self, encoded: Encoded, rows: torch.Tensor | None = None, /) -> torch.Tensor:
        """Return weights [N, L]: equal at the positions that predict the continuation's tokens, 0 elsewhere."""
        extra = _choose_rows(rows, encoded.extra)
        scored_NS = extra["scored"].float()
        weights = torch.zeros(len(scored_NS), encoded.features.shape[1], device=scored_NS.device)
        return weights.scatter_add(1, extra["places"], scored_NS / scored_NS.sum(1, keepdim=True))

    def take_beginnings(self) -> tuple[int, int]:
        return self._beginnings.take()

    def _make_options(self, features: torch.Tensor, encoded: Encoded, rows: torch.Tensor | None) -> dict[str, Any]:
        assert encoded.mask_BL is not None
        mask = encoded.mask_BL if rows is None else encoded.mask_BL[rows]
        return {"inputs_embeds": features, "attention_mask": mask, "use_cache": False}

    def _find_spans(self, request: LogLikelihood, unit: Scored, width: int) -> list[tuple[int, int]]:
        """Return the span in the prompt of each input token. Raises `SampleError` if it cannot be determined."""
        template, begun, continuation = self._model.written(request)
        offsets = self._model.tokens(template + begun + continuation).spans
        spans = [clip_span(span, len(template), len(begun)) for span in offsets]
        if template:
            message = _find_last_message(request.context)
            spans = [span if span == (0, 0) else shift_spans((message, begun), 1, [span])[0] for span in spans]
            in_message = self._find_spans_in_template(request.context, template, message, offsets)
            spans = [span if span != (0, 0) else known for span, known in zip(spans, in_message, strict=True)]
        before = len(unit.ids) + unit.num_truncated - len(spans)
        whole = ([(0, 0)] * before + spans)[unit.num_truncated :]
        return (whole[:-1] + [(0, 0)] * width)[:width]

    def _find_spans_in_template(
        self, context: str | Chat, template: str, message: str, offsets: Sequence[tuple[int, int]]
    ) -> list[tuple[int, int]]:  # fmt: skip
        """Return the span of each token in the last message, which the template may strip, or write more than once."""
        around = self._model.opened(_with_last_message(context, MARK))[0].split(MARK)
        written = next(
            (text for text in (message, message.strip(), message.rstrip(), message.lstrip()) if text.join(around) == template), None
        )
        if written is None or len(around) == 1:
            raise SampleError("the chat template changes the text of the message, so its tokens cannot be found")
        skipped, at = message.find(written), 0
        spans = [(0, 0)] * len(offsets)
        for piece in around[:-1]:
            at += len(piece)
            places = [clip_span(span, at, len(written)) for span in offsets]
            spans = [(a + skipped, b + skipped) if a < b else known for known, (a, b) in zip(spans, places, strict=True)]
            at += len(written)
        return spans


def _choose_rows(rows: torch.Tensor | None, extra: Mapping[str, torch.Tensor]) -> Mapping[str, torch.Tensor]:
    return extra if rows is None else {name: value[rows] for name, value in extra.items()}


def _find_last_message(context: str | Chat) -> str:
    """Return the text of the last message before the start of the answer."""
    messages = list_messages(context)
    return messages[_place_of_last_said(messages)].text


def _with_last_message(context: str | Chat, content: str) -> Chat:
    messages = list(list_messages(context))
    place = _place_of_last_said(messages)
    messages[place] = messages[place].with_text(content)
    return Chat(tuple(messages))


def _place_of_last_said(messages: Sequence[Message]) -> int:
    return -2 if messages[-1].role == "assistant" else -1
