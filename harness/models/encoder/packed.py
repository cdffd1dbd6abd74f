"""Run texts of different lengths in one row of tokens without padding, through an unmodified encoder.

    batch   a a a a        row        a a a a b b c c        attention is computed within each text,
            b b . .        positions  0 1 2 3 0 1 0 1        for texts of the same length in one call
            c c . .

The model must read only first positions. Its calls of torch's scaled dot-product attention are intercepted. Whether a
model can run this way is measured when it is loaded, by comparing logits with those of padded batches. On a GPU, calls
cost more than padding, so packing is not used there.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import groupby
from typing import Any

import torch
from torch.nn import functional
from torch.overrides import TorchFunctionMode

from ..torch.attention_window import UNLIMITED, find_window
from ..torch.signature import accepts
from .first_position import FirstPosition, close


class FlatEncoder:
    """Runs an encoder on packed texts. ``works``: whether the model can run this way."""

    def __init__(self, module: Any, first: FirstPosition, padded: Callable[[Sequence[list[int]]], torch.Tensor], ids: list[int]) -> None:
        """Measure a module. ``padded``: returns the logits of a padded batch. ``ids``: 24 ordinary tokens."""
        self._first = first
        self._offset = 0
        self._takes_types = accepts(module, "token_type_ids")
        # A sliding window would be a mask over the whole row.
        is_candidate = (
            first.is_possible
            and module.device.type == "cpu"
            and accepts(module, "position_ids")
            and find_window(module.config) == UNLIMITED
        )
        self.works = is_candidate and self._measure(module, padded, ids)

    def logits(self, module: Any, texts: Sequence[list[int]], types: Sequence[list[int] | None]) -> torch.Tensor:
        """Return logits [N, C] of texts, given as token ids, longest first. ``module``: the measured one, or a copy."""
        positions = [p for ids in texts for p in range(self._offset, self._offset + len(ids))]
        lengths = torch.tensor([len(ids) for ids in texts])
        arguments = {"input_ids": [i for ids in texts for i in ids], "position_ids": positions, "attention_mask": [1] * len(positions)}
        if self._takes_types:
            arguments["token_type_ids"] = [t for ids, own in zip(texts, types, strict=True) for t in own or [0] * len(ids)]
        with self._first.only(module, lengths.cumsum(0) - lengths), _WithinTexts(lengths.tolist()):
            logits: torch.Tensor = module(**{name: torch.tensor([row]) for name, row in arguments.items()}).logits
        return logits

    def _measure(self, module: Any, padded: Callable[[Sequence[list[int]]], torch.Tensor], ids: list[int]) -> bool:
        texts = [ids[:11], ids[11:17], ids[5:11], ids[17:20], ids[20:21]]
        with torch.no_grad():
            wanted = padded(texts)

            def stays() -> bool:
                return close(self.logits(module, texts, [None] * len(texts)), wanted)

            # RoBERTa's positions start after the id of its padding token.
            for offset in (0, (module.config.pad_token_id or 0) + 1):
                self._offset = offset
                if self._first.shorten(stays):
                    return True
        return False


class _WithinTexts(TorchFunctionMode):
    """Restricts scaled dot-product attention over a row of texts to tokens of the same text."""

    def __init__(self, lengths: Sequence[int]) -> None:
        super().__init__()
        self._groups = [(length, sum(1 for _ in same)) for length, same in groupby(lengths)]

    def __torch_function__(self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None) -> Any:
        kwargs = kwargs or {}
        return self._attend(*args, **kwargs) if func is functional.scaled_dot_product_attention else func(*args, **kwargs)

    def _attend(
        self, query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, attn_mask: torch.Tensor | None = None, dropout_p: float = 0.0,
        is_causal: bool = False, scale: float | None = None, enable_gqa: bool = False,
    ) -> torch.Tensor:  # fmt: skip
        """Compute attention of [1, H, T, D] tensors within each text."""
        if attn_mask is not None or is_causal or enable_gqa:
            raise ValueError("packed texts do not support an attention mask of the model")
        _, heads, num, size = query.shape
        out = query.new_empty(1, num, heads, size)
        for (start, end), (length, texts) in self._list_spans():
            q, k, v = (t[0, :, start:end].unflatten(1, (texts, length)).transpose(0, 1) for t in (query, key, value))
            attended = functional.scaled_dot_product_attention(q, k, v, scale=scale)
            out[0, start:end].view(texts, length, heads, size).copy_(attended.transpose(1, 2))
        return out.transpose(1, 2)

    def _list_spans(self) -> Iterator[tuple[tuple[int, int], tuple[int, int]]]:
        start = 0
        for length, texts in self._groups:
            yield (start, start + length * texts), (length, texts)
            start += length * texts
