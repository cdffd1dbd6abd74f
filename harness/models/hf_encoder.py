"""Text encoders: one vector a text, pooled as sentence-transformers pools.

Shape legend: B batch, L tokens, D embedding.
"""

from __future__ import annotations

import json
from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from transformers import AutoModel

from ..errors import ModelError, SampleError
from ..offline import is_offline
from ..requests import Embed, Embedding
from .devices import pick_device, pick_dtype, to_device
from .flops import per_token
from .hf import HuggingFace, accepts
from .rope import TurningPositions


@dataclass(frozen=True, slots=True)
class Text:
    """One tokenised text of a layer's embedding."""

    ids: list[int]
    num_truncated: int
    layer: int


class HFEncoder:
    """Answers `Embed` for text. ``Embed.layer``: which layer's hidden states, -1 the last.

    Where the checkpoint carries sentence-transformers' files, its pooling (mean or first token), length, case and normalisation hold;
    without them a text's vector is the mean over its tokens.
    """

    def __init__(self, source: HuggingFace, device: str, dtype: str) -> None:
        self.name = source.target
        self.device = pick_device(device)
        config = source.config()
        self.module = source.weights(AutoModel, self.device, pick_dtype(dtype, self.device, config.dtype))
        self.dtype = self.module.dtype
        self._turning = TurningPositions(self.module)
        self.tokenizer = source.tokenizer()
        self._pad = self.tokenizer.pad_token_id if accepts(self.module, "attention_mask") else None
        pooling, modules = _read(source, "1_Pooling/config.json") or {}, _read(source, "modules.json") or []
        self._first = bool(pooling.get("pooling_mode_cls_token")) or pooling.get("pooling_mode") == "cls"
        odd = [name for name, on in pooling.items() if on is True and name not in _POOLING]
        if odd or (self._first and pooling.get("pooling_mode_mean_tokens")):
            both = ", ".join(odd) or "the mean and the first token, one after the other"
            raise ModelError(f"{self.name!r} pools by {both}; this adapter knows the mean or the first token")
        kinds = [str(part.get("type", "")).rpartition(".")[2] for part in modules]
        if strange := [kind for kind in kinds if kind not in _MODULES]:
            raise ModelError(
                f"{self.name!r} has the sentence-transformers module {strange[0]}, which this adapter does not run: its "
                "vectors would be others. Give a checkpoint without it, or a Python function: callable:FILE.py:function with answers: embed"
            )
        self._normalises = "Normalize" in kinds
        longest = source.longest(self.module, config, self.tokenizer.model_max_length)
        own = _read(source, "sentence_bert_config.json") or {}
        self._lowers = bool(own.get("do_lower_case"))
        given = own.get("max_seq_length")
        self.max_length = min(longest, given) if given and source.max_length is None else longest
        self.flops_per_token = per_token(self.module)
        self.fingerprint = source.fingerprint(self.dtype, self._first, self._normalises, self._lowers, self.max_length)

    def split(self, request: Embed) -> Sequence[Text]:
        if not isinstance(request.input, str):
            raise SampleError(f"a text encoder takes text, not {type(request.input).__name__}")
        text = request.input.lower() if self._lowers else request.input
        try:
            whole = self.tokenizer(text, verbose=False)["input_ids"]
        except (TypeError, UnicodeEncodeError) as error:
            if any("\ud800" <= c <= "\udfff" for c in request.input):
                raise SampleError("the text holds a lone surrogate, which is not valid Unicode and has no tokens") from error
            raise
        if not whole:
            raise SampleError("the text has no tokens, so there is nothing to embed")
        ids = whole
        if len(whole) > self.max_length:
            ids = self.tokenizer(text, truncation=True, max_length=self.max_length)["input_ids"]
        return (Text(ids, len(whole) - len(ids), request.layer),)

    def length(self, unit: Text) -> int:
        return len(unit.ids)

    def batch_key(self, unit: Text) -> Hashable:
        """Texts of one length only, where the model would see the padding."""
        return self._turning.alike(len(unit.ids)) if self._pad is not None else len(unit.ids)

    def embed(self, batch: Sequence[Text]) -> list[Embedding]:
        width = max(len(unit.ids) for unit in batch)
        ids_BL = to_device(torch.tensor([unit.ids + [self._pad or 0] * (width - len(unit.ids)) for unit in batch]), self.device)
        mask_BL = to_device(torch.tensor([[1] * len(unit.ids) + [0] * (width - len(unit.ids)) for unit in batch]), self.device)
        options: dict[str, Any] = {"attention_mask": mask_BL} if self._pad is not None else {}
        layer = batch[0].layer
        with torch.inference_mode():
            output = self.module(input_ids=ids_BL, output_hidden_states=layer != -1, **options)
            hidden_BLD = (output.last_hidden_state if layer == -1 else output.hidden_states[layer]).float()
            weights_BL1 = mask_BL.unsqueeze(-1).float()
            vectors_BD = hidden_BLD[:, 0] if self._first else (hidden_BLD * weights_BL1).sum(1) / weights_BL1.sum(1)
            if self._normalises:
                vectors_BD = torch.nn.functional.normalize(vectors_BD, dim=1)
        return [Embedding(tuple(row), unit.num_truncated) for row, unit in zip(vectors_BD.cpu().tolist(), batch, strict=True)]


_MODULES = frozenset({"Transformer", "Pooling", "Normalize"})
_POOLING = frozenset({"pooling_mode_cls_token", "pooling_mode_mean_tokens", "include_prompt"})


def _read(source: HuggingFace, name: str) -> Any:
    """A JSON file of the checkpoint, or None where it has no such file."""
    path = Path(source.target, name)
    if not Path(source.target).is_dir():
        from huggingface_hub import hf_hub_download
        from huggingface_hub.errors import EntryNotFoundError, LocalEntryNotFoundError

        try:
            path = Path(hf_hub_download(source.target, name, revision=source.revision, local_files_only=is_offline()))
        except (EntryNotFoundError, LocalEntryNotFoundError):
            return None
    return json.loads(path.read_text(encoding="utf-8")) if path.is_file() else None
