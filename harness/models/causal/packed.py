"""A causal language model run on packs of `engine.forest`: each different token once, no padding, and the output head on scored rows only.

Whether a model can is measured when it is loaded: its logits in packs are held against those of its own plain pass.
Shape legend: T tokens of a pack, S scored rows, V vocabulary, N (row, target) pairs, D hidden size.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import torch

from ...api.errors import ends_run, sentence
from ...api.model import Pass
from ...api.requests import LogProb
from ..torch.attention_window import UNLIMITED, window
from ..torch.devices import to_device
from ..torch.flops import per_token
from ..torch.logits import log_probs
from ..torch.signature import accepts
from .continuous_batching import generate
from .generation_state import Prompt
from .packed_attention import Attention, FlatPass, Stored, flat, register
from .prefix_trie import Pack, Scored, forest

_LOGITS_BYTES = 24 * 2**20
"""Logits that are held at a time: below what glibc's malloc hands back to the system (32 MiB), or every chunk faults its pages in anew."""


class Flat:
    """``max_length``: tokens of the longest sequence that it is right for, which ends with the attention window, and where positions turn
    (``turns_at``)."""

    def __init__(
        self, module: Any, tokenizer: Any, name: str, *, ends: Sequence[int], max_length: int, turns_at: int | None = None,
        rounded: bool = False,
    ) -> None:  # fmt: skip
        register()
        self._module, self._tokenizer, self._name, self._ends = module, tokenizer, name, ends
        self._turns_at = turns_at or UNLIMITED
        self.max_length = min(max_length, window(module.config), self._turns_at)
        self._rounded = rounded
        body, head = module.base_model, module.get_output_embeddings()
        self._split = (body, head) if head is not None and body is not module else None
        self._keeps = accepts(module, "logits_to_keep")
        self._head_flops = per_token(head)
        self._body_flops = per_token(module) - self._head_flops
        text = module.config.get_text_config()
        # Scores and values: two products of two operations each, a layer. A head's size is its share where nothing else is said.
        width = (getattr(text, "head_dim", None) or 0) * (getattr(text, "num_attention_heads", None) or 0) or text.hidden_size
        self._pair_flops = 4 * width * text.num_hidden_layers

    def score(self, units: Sequence[Scored], tokens: int, /) -> Iterator[Pass]:
        """Score sequences in passes of so many tokens."""
        totals, counts, greedy = [0.0] * len(units), [0] * len(units), [True] * len(units)
        path = Stored()
        for pack in forest(units, tokens):
            with torch.inference_mode():
                values, likeliest = self._log_probs(self.run(pack, path), pack)
            done: list[tuple[int, LogProb]] = []
            for owner, value, first in zip(pack.pair_owner_N.tolist(), values, likeliest, strict=True):
                totals[owner] += value
                counts[owner] += 1
                greedy[owner] &= first
                if counts[owner] == units[owner].num_scored:
                    done.append((owner, LogProb(totals[owner], counts[owner], greedy[owner], units[owner].num_truncated)))
            yield Pass(len(pack.ids_T), done, self.flops(len(pack.ids_T), len(pack.rows_S), pack.num_pairs))

    def flops(self, tokens: int, rows: int, pairs: int, /) -> int:
        """Of a pass: ``tokens`` through the layers, ``rows`` of them through the head, ``pairs`` of a token and a key that it sees."""
        return tokens * self._body_flops + rows * self._head_flops + pairs * self._pair_flops

    def generate(self, prompts: Sequence[Prompt], tokens: int, rows: int, /) -> Iterator[Pass]:
        """Continue prompts, so many at a time, in passes of at most so many tokens."""
        return generate(self, prompts, self._tokenizer, self._ends, self._name, tokens, rows)

    def run(self, pack: Pack, path: Stored, kept: Stored | None = None) -> torch.Tensor:
        """What `head` makes logits of, for the scored rows [S, ...]. ``path`` goes on to the next pack's; ``kept`` gets this one's keys."""
        device = self._module.device
        ids, positions, rows = (to_device(torch.from_numpy(a), device) for a in (pack.ids_T, pack.positions_T, pack.rows_S))
        return self.rows(ids, positions, rows, FlatPass(pack, path, device, kept))

    def rows(self, ids_T: torch.Tensor, positions_T: torch.Tensor, rows: torch.Tensor | slice, attention: Attention) -> torch.Tensor:
        options: dict[str, Any] = {"input_ids": ids_T[None], "position_ids": positions_T[None], "use_cache": False}
        with flat(self._module, attention):
            if self._split is not None:
                found: torch.Tensor = self._split[0](**options)[0][0]
                return found[rows]
            if self._keeps and isinstance(rows, torch.Tensor):
                kept: torch.Tensor = self._module(**options, logits_to_keep=rows).logits[0]
                return kept
            whole: torch.Tensor = self._module(**options).logits[0]
            return whole[rows]

    def head(self, hidden: torch.Tensor) -> torch.Tensor:
        """Logits [S, V] of rows: the output head's, where the pass did not give logits already."""
        found: torch.Tensor = self._split[1](hidden) if self._split is not None else hidden
        return found

    def _chunks(self, num_rows: int) -> Iterator[tuple[int, int]]:
        most = max(1, _LOGITS_BYTES // (4 * self._module.config.get_text_config().vocab_size))
        size = -(-num_rows // max(1, -(-num_rows // most)))
        return ((start, min(num_rows, start + size)) for start in range(0, num_rows, max(1, size)))

    def _log_probs(self, hidden_SD: torch.Tensor, pack: Pack) -> tuple[list[float], list[bool]]:
        """Of each pair: the log-probability of its target in nats, and whether it is the most likely token."""
        device = self._module.device
        rows, targets = to_device(torch.from_numpy(pack.pair_row_N), device), to_device(torch.from_numpy(pack.pair_target_N), device)
        found = []
        for start, end in self._chunks(len(pack.rows_S)):
            low, high = pack.pair_row_N.searchsorted((start, end))
            found.append(
                log_probs(self.head(hidden_SD[start:end]).float(), rows[low:high] - start, targets[low:high], rounded=self._rounded)
            )
        if not found:
            return [], []
        # The only wait for the device.
        values, greedy = torch.stack([torch.cat([v for v, _ in found]), torch.cat([g for _, g in found]).double()]).tolist()
        return values, [bool(g) for g in greedy]

    # ── whether the model can ─────────────────────────────────────────────────────────────────────────────────────────

    def measure(self, ids: list[int]) -> str:
        """Why the model cannot be run on packs, or nothing. ``ids``: 32 ordinary tokens."""
        if self._turns_at <= len(ids):
            return f"its position embeddings change with the length of a pass, from {self._turns_at} tokens on"
        lines = [ids[:20], ids[:9] + ids[20:], ids[20:23], ids[:9] + ids[20:24] + ids[:3]]
        tolerance = 1e-4 if self._module.dtype == torch.float32 else 5e-2
        try:
            gap = self._gap(lines)
            if gap > tolerance and self._split is not None:
                # The head may do more than the matrix that it is named for (scale, cap): the model's own forward pass knows.
                self._split = None
                gap = self._gap(lines)
        except BaseException as error:
            if ends_run(error):
                raise
            # Whatever a module raises that cannot run so; padded batches are there for it.
            return sentence(error)
        return "" if gap <= tolerance else f"its logits move by {gap:.2g} of their spread when sequences share a row of tokens"

    def _gap(self, lines: Sequence[list[int]]) -> float:
        """How far logits are from those of plain passes, one line each, as a share of their spread."""
        gap, path = 0.0, Stored()
        with torch.inference_mode():
            plain = [self._module(input_ids=torch.tensor([line], device=self._module.device), use_cache=False).logits[0] for line in lines]
            for pack in forest([Scored([*line, 0], len(line)) for line in lines], 7):
                logits_SV = self.head(self.run(pack, path)).float()
                for row, owner in zip(pack.pair_row_N.tolist(), pack.pair_owner_N.tolist(), strict=True):
                    expected = plain[owner][int(pack.positions_T[pack.rows_S[row]])].float()
                    gap = max(gap, float((logits_SV[row] - expected).abs().mean() / expected.std()))
        return gap
