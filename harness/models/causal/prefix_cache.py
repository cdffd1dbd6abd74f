"""Compute the common prefix of texts once, and continue from its cached keys and values.

Shape legend: P tokens of the prefix, N rows.
"""

from __future__ import annotations

from typing import Any

import torch
from transformers import DynamicCache

from ..torch.signature import accepts


class Beginnings:
    """Cached prefixes of a causal language model. ``is_possible``: whether its module accepts a cache."""

    def __init__(self, module: Any) -> None:
        self._module = module
        # The first name is that of transformers 5.
        self._name = next((name for name in ("cache", "past_key_values") if accepts(module, name)), "")
        self.is_possible = bool(self._name)
        self._ids: list[int] = []
        self._layers: list[tuple[torch.Tensor, torch.Tensor]] = []
        self._num_tokens = self._num_passes = 0

    def of(self, ids_P: torch.Tensor, num: int, /) -> dict[str, Any]:
        """Return the module's arguments for a pass of ``num`` rows that continue from a prefix.

        The last prefix is cached, and with it all of its own prefixes.
        """
        ids = ids_P.tolist()
        if ids != self._ids[: len(ids)]:
            with torch.no_grad():
                read = getattr(self._module(input_ids=ids_P[None], use_cache=True), self._name)
            self._ids, self._layers = ids, [(layer.keys, layer.values) for layer in read.layers]
            self._num_tokens, self._num_passes = self._num_tokens + len(ids), self._num_passes + 1
        cache = DynamicCache()
        for index, (keys, values) in enumerate(self._layers):
            own = [part[:, :, : len(ids)].expand(num, -1, -1, -1) for part in (keys, values)]
            cache.update(own[0], own[1], index)
        return {self._name: cache, "use_cache": True}

    def take(self) -> tuple[int, int]:
        """Return the numbers of tokens and passes computed for prefixes, and reset them."""
        taken = self._num_tokens, self._num_passes
        self._num_tokens = self._num_passes = 0
        return taken
