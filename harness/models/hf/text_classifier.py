"""Sequence classification with a transformers encoder or decoder.

Shape legend: B batch, L tokens, D embedding, C classes.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

import torch
from transformers import AutoModelForSequenceClassification

from ...api.model import Differentiable, Encoded, Pass
from ...api.requests import Classify
from ...api.responses import Logits
from ...engine.packing import fill_packs
from ..checkpoint.lexicon import TokenizerLexicon
from ..checkpoint.text_reader import TextReader, Tokens, choose_padding
from ..checkpoint.tokens import check_tokens
from ..common.labels import find_columns
from ..encoder.first_position import FirstPosition, find_first_positions
from ..encoder.packed import FlatEncoder
from ..torch.attention_weights import average_heads
from ..torch.devices import to_device
from ..torch.padding import mask_right, pad_right
from ..torch.signature import accepts, choose_ordinary_ids
from ..torch.swapped_embeddings import swap_embeddings
from .checkpoint_model import HFTextModel
from .source import HuggingFace


class HFTextClassifier(HFTextModel, TextReader, Differentiable):
    """Answers `Classify` for text and text pairs; differentiable by the token embeddings."""

    def __init__(self, source: HuggingFace, device: str, dtype: str) -> None:
        super().__init__(source, device, dtype, AutoModelForSequenceClassification)
        self._head = source.head(self.config)
        self.labels = self._head.labels
        self.pad = choose_padding(self.tokenizer, source.pad_token, self.name)
        self.module.config.pad_token_id = self.pad
        self.read_with(self.tokenizer, self.max_length, accepts(self.module, "token_type_ids"))
        self.notes += check_tokens(self.tokenizer, self.module, self.name, self.pad)
        ids = choose_ordinary_ids(self.module, self.tokenizer, 24)
        self.takes_padding = self.takes_mask and self._overlooks_padding(ids)
        batches = [(ids[:2], ids[2:11], ids[11:16]), (ids[8:22], ids[22:])] if self.takes_padding else []
        self._first = FirstPosition(self.module, [lambda texts=texts: self._run_padded(texts) for texts in batches])  # type: ignore[misc]
        self._flat = FlatEncoder(self.module, self._first, self._run_padded, ids)
        self.fingerprint = source.fingerprint(self.module, self.dtype)

    # ── passes ────────────────────────────────────────────────────────────────────────────────────────────────────────

    def flops(self, unit: Tokens, positions: int, /) -> int:
        """Count operations: some products are computed for the first token only."""
        return positions * self.flops_per_token - (positions - 1) * self._first.flops

    def classify(self, batch: Sequence[Tokens]) -> list[Logits]:
        arguments = self._pad(batch)
        first_B = to_device(find_first_positions(*arguments["input_ids"].shape), self.device)
        # Not inference_mode, whose tensors could not be differentiated later if a module keeps them.
        with torch.no_grad(), self._first.only(self.module, first_B):
            return self._answers(batch, self.module(**arguments).logits)

    def streams(self, unit: Tokens, /) -> bool:
        # RoBERTa's positions skip tokens that equal its padding.
        return self._flat.works and self.pad not in unit.ids

    def stream(self, units: Sequence[Tokens], tokens: int, rows: int, /) -> Iterator[Pass]:
        lengths = [self.length(unit) for unit in units]
        for places in fill_packs(lengths, tokens):
            batch = [units[place] for place in places]
            with torch.no_grad():
                answers = self._answers(batch, self._flat.logits(self.module, [unit.ids for unit in batch], [unit.types for unit in batch]))
            flops = sum(self.flops(units[place], lengths[place]) for place in places)
            yield Pass(sum(lengths[place] for place in places), list(zip(places, answers, strict=True)), flops)

    def _answers(self, batch: Sequence[Tokens], logits_BC: torch.Tensor) -> list[Logits]:
        logits_BC = self._head.logits(logits_BC.float().cpu())
        columns, is_multi_label = find_columns(self.labels, batch[0].labels), self._head.is_multi_label
        rows = logits_BC[:, columns].tolist()
        return [Logits(tuple(row), unit.num_truncated, is_multi_label) for row, unit in zip(rows, batch, strict=True)]

    # ── gradients ─────────────────────────────────────────────────────────────────────────────────────────────────────

    def differentiable(self) -> HFTextClassifier:
        return self

    def lexicon(self) -> TokenizerLexicon:
        return TokenizerLexicon(self.tokenizer, self.module.get_input_embeddings())

    def encode(self, requests: Sequence[Classify], /) -> Encoded:
        batch = [self.split(request)[0] for request in requests]
        arguments = self._pad(batch)
        ids_BL = arguments["input_ids"]
        width = ids_BL.shape[1]
        special_BL = torch.tensor([unit.special + [1] * (width - len(unit.ids)) for unit in batch], device=self.device, dtype=torch.bool)
        neutral_BL = torch.where(special_BL, ids_BL, torch.full_like(ids_BL, self.pad))
        embed = self.module.get_input_embeddings()
        spans = [unit.spans + [(0, 0)] * (width - len(unit.ids)) for unit in batch]
        columns = torch.tensor([find_columns(self.labels, unit.labels) for unit in batch], device=self.device)
        with torch.no_grad():
            features, baseline = embed(ids_BL), embed(neutral_BL)
        mask_BL = mask_right([unit.ids for unit in batch], self.device)
        return Encoded(features, baseline, mask_BL, spans, {**arguments, "columns": columns})

    def logits(self, features: torch.Tensor, encoded: Encoded, rows: torch.Tensor | None = None, /) -> torch.Tensor:
        """Run the pass of `classify` with ``features`` instead of the output of the embedding layer."""
        assert encoded.mask_BL is not None
        rows = torch.arange(len(features), device=self.device) if rows is None else rows
        lengths_N = encoded.mask_BL.sum(1)[rows]
        if self.takes_padding or int(lengths_N.min()) == features.shape[1]:
            logits: torch.Tensor = self._run_with_features(features, encoded, rows).logits
        else:
            # If the model is affected by padding, only texts of the same length share a pass.
            alike = [(lengths_N == length).nonzero()[:, 0] for length in lengths_N.unique()]
            parts = [self._cut(features[some], encoded, rows[some], int(lengths_N[some[0]])) for some in alike]
            logits = torch.cat(parts)[torch.cat(alike).argsort()]
        return self._head.logits(logits).gather(1, encoded.extra["columns"][rows])

    def _cut(self, features: torch.Tensor, encoded: Encoded, rows: torch.Tensor, length: int) -> torch.Tensor:
        """Return logits of rows of the same length, without padding."""
        assert encoded.mask_BL is not None
        extra = {name: value if name == "columns" else value[:, :length] for name, value in encoded.extra.items()}
        logits: torch.Tensor = self._run_with_features(
            features[:, :length], replace(encoded, mask_BL=encoded.mask_BL[:, :length], extra=extra), rows
        ).logits
        return logits

    def attentions(self, features: torch.Tensor, encoded: Encoded, rows: torch.Tensor | None = None, /) -> torch.Tensor:
        """Return the attention weights of the M layers, averaged over heads, [N, M, L, L]; 0 for padding."""
        return average_heads(self.module, lambda: self._run_with_features(features, encoded, rows, output_attentions=True), self.name)

    def _run_with_features(self, features: torch.Tensor, encoded: Encoded, rows: torch.Tensor | None, **options: Any) -> Any:
        arguments = {name: value if rows is None else value[rows] for name, value in encoded.extra.items() if name != "columns"}
        with swap_embeddings(self.module, features, self.name):
            return self.module(**arguments, **options)

    def _overlooks_padding(self, ids: list[int]) -> bool:
        """Whether a text's logits do not change in a batch with a longer text.

        They do if a convolution reads the padding (ConvBERT), or if the model reads the last position (XLNet).
        """
        tolerance = 1e-4 if self.dtype == torch.float32 else 5e-2
        with torch.no_grad():
            alone, beside = self._run_padded([ids[:5]]), self._run_padded([ids[:5], ids[5:]])[:1]
        return bool(torch.allclose(alone, beside, rtol=tolerance, atol=tolerance * float(alone.abs().max())))

    def _run_padded(self, texts: Sequence[list[int]]) -> torch.Tensor:
        """Return logits of a padded batch, computed at all positions."""
        units = [Tokens(ids, [0] * len(ids) if self._takes_types else None, [], [], (), 0) for ids in texts]
        logits: torch.Tensor = self.module(**self._pad(units)).logits
        return logits

    def _pad(self, batch: Sequence[Tokens]) -> dict[str, torch.Tensor]:
        """Return the module's arguments, with token types if all units have them."""
        arguments = self.arguments([unit.ids for unit in batch])
        types = [unit.types for unit in batch if unit.types is not None]
        return arguments | {"token_type_ids": pad_right(types, 0, self.device)} if len(types) == len(batch) else arguments
