"""Log-likelihoods of an encoder-decoder, differentiable by the embeddings of its source.

Shape legend: B batch, L source tokens, D embedding, N rows, S tokens of the longest target.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import torch

from ...api.model import Differentiable, Encoded
from ...api.requests import LogLikelihood
from ..checkpoint.lexicon import TokenizerLexicon
from ..common.text_prompts import require_text
from ..torch.padding import mask_right, pad_right
from ..torch.swapped_embeddings import swap_embeddings

if TYPE_CHECKING:
    from .seq2seq_lm import HFSeq2SeqLM


class Seq2SeqGradients(Differentiable):
    """A `Differentiable` for `LogLikelihood` requests: attributions tell which words of the source a target rests on."""

    def __init__(self, model: HFSeq2SeqLM) -> None:
        self._model = model
        self.module = model.module
        self.tokenizer = model.tokenizer

    def lexicon(self) -> TokenizerLexicon:
        return TokenizerLexicon(self.tokenizer, self._get_encoder().get_input_embeddings())

    def encode(self, requests: Sequence[LogLikelihood], /) -> Encoded:
        """Encode the requests with right padding. In the baseline, the tokens of the text are padding tokens, which are attended to."""
        units = [self._model.scored(request) for request in requests]
        ids = [unit.source.ids for unit in units]
        device, width = self._model.device, max(map(len, ids))
        mask_BL = mask_right(ids, device)
        named = [self._model.reader.spans(require_text(r.context), unit.source) for r, unit in zip(requests, units, strict=True)]
        spans = [own + [(0, 0)] * (width - len(own)) for own in named]
        in_text_BL = torch.tensor([[start < end for start, end in own] for own in spans], device=device)
        ids_BL = pad_right(ids, self._model.pad, device)
        targets = [unit.ids for unit in units]
        extra = {
            "input_ids": ids_BL, "targets": pad_right(targets, 0, device), "scored": mask_right(targets, device),
        }  # fmt: skip
        embed = self._get_encoder().get_input_embeddings()
        with torch.no_grad():
            features, baseline = embed(ids_BL), embed(torch.where(in_text_BL, self._model.pad, ids_BL))
        return Encoded(features, baseline, mask_BL, spans, extra)

    def logits(self, features: torch.Tensor, encoded: Encoded, rows: torch.Tensor | None = None, /) -> torch.Tensor:
        assert encoded.mask_BL is not None
        rows = torch.arange(len(features), device=features.device) if rows is None else rows
        mask_NL, encoder = encoded.mask_BL[rows], self._get_encoder()
        ids_NL, targets_NS, scored_NS = (encoded.extra[name][rows] for name in ("input_ids", "targets", "scored"))
        with swap_embeddings(encoder, features, self._model.name):
            states_NLD = encoder(input_ids=ids_NL, attention_mask=mask_NL).last_hidden_state
        logits_NSV = self._model.passes.decode(states_NLD, mask_NL, targets_NS.tolist()).float()
        chosen_NS = logits_NSV.gather(2, targets_NS[:, :, None])[:, :, 0] - logits_NSV.logsumexp(-1)
        scored: torch.Tensor = chosen_NS * scored_NS
        return scored

    def _get_encoder(self) -> Any:
        module: Any = self.module  # transformers' methods are not among those of a torch module
        return module.get_encoder()
