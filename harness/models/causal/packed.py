"""Run a causal language model on packs of `prefix_trie.make_packs`: common prefixes once, no padding, and the output head for
scored rows only.

Whether a model can run packs is measured when it is loaded, by comparing logits with those of plain passes.
Shape legend: T tokens of a pack, S scored rows, V vocabulary, N (row, target) pairs, D hidden size.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import torch

from ...api.errors import describe_error, ends_run
from ...api.model import Pass
from ...api.responses import LogProb
from ..torch.attention_window import UNLIMITED, find_window, narrow_window
from ..torch.devices import to_device
from ..torch.flops import count_flops_per_token
from ..torch.logits import log_probs
from ..torch.signature import accepts
from .continuous_batching import generate
from .generation_state import Prompt
from .packed_attention import Attention, FlatPass, Stored, register, run_flat
from .prefix_trie import Ints, Pack, Scored, make_packs

_NARROW = 6
"""Tokens of the narrow window with which packs are tried: several of them lie in each of the lines."""

_LOGITS_BYTES = 24 * 2**20
"""Size of a chunk of logits: below the size that glibc returns to the system (32 MiB), to avoid page faults per chunk."""


class Flat:
    """Runs packs of a causal language model.

    max_length: maximum length of a sequence in tokens, limited by ``turns_at``, the length from which on position embeddings
        depend on the length of the pass, and by an attention window that packs cannot reproduce (`measure`).
    """

    def __init__(
        self, module: Any, tokenizer: Any, name: str, *, ends: Sequence[int], max_length: int, turns_at: int | None = None,
        rounded: bool = False,
    ) -> None:  # fmt: skip
        register()
        self._module, self._tokenizer, self._name, self._ends = module, tokenizer, name, ends
        self._turns_at = turns_at or UNLIMITED
        self.max_length = min(max_length, self._turns_at)
        self._windows: tuple[int, ...] = ()
        self._rounded = rounded
        body, head = module.base_model, module.get_output_embeddings()
        self._split = (body, head) if head is not None and body is not module else None
        self._keeps = accepts(module, "logits_to_keep")
        self._head_flops = count_flops_per_token(head)
        self._body_flops = count_flops_per_token(module) - self._head_flops
        text = module.config.get_text_config()
        # Per layer and pair of token and visible key, two products (scores, values) of two operations. Without `head_dim`, heads
        # share the hidden size.
        width = (getattr(text, "head_dim", None) or 0) * (getattr(text, "num_attention_heads", None) or 0) or text.hidden_size
        self._pair_flops = 4 * width

    def score(self, units: Sequence[Scored], tokens: int, /) -> Iterator[Pass]:
        """Score sequences in passes of at most ``tokens`` tokens."""
        totals, counts, greedy = [0.0] * len(units), [0] * len(units), [True] * len(units)
        path = Stored()
        for pack in make_packs(units, tokens):
            with torch.inference_mode():
                values, likeliest = self._log_probs(self.run(pack, path), pack)
            done: list[tuple[int, LogProb]] = []
            for owner, value, first in zip(pack.pair_owner_N.tolist(), values, likeliest, strict=True):
                totals[owner] += value
                counts[owner] += 1
                greedy[owner] &= first
                if counts[owner] == units[owner].num_scored:
                    done.append((owner, LogProb(totals[owner], counts[owner], greedy[owner], units[owner].num_truncated)))
            yield Pass(len(pack.ids_T), done, self.flops(pack.positions_T, len(pack.rows_S)))

    def flops(self, positions_T: Ints, rows: int, /) -> int:
        """Count the operations of a pass: of tokens at these positions in the layers, and of ``rows`` in the head."""
        seen = [int(np.minimum(positions_T + 1, window).sum()) for window in self._windows]
        return len(positions_T) * self._body_flops + rows * self._head_flops + sum(seen) * self._pair_flops

    def generate(self, prompts: Sequence[Prompt], tokens: int, rows: int, /) -> Iterator[Pass]:
        """Continue prompts, at most ``rows`` at a time, in passes of at most ``tokens`` tokens."""
        return generate(self, prompts, self._tokenizer, self._ends, self._name, tokens, rows)

    def run(self, pack: Pack, path: Stored, kept: Stored | None = None) -> torch.Tensor:
        """Run a pack and return the input of `head` for the scored rows, [S, ...].

        path: updated to the path of the next pack. kept: receives the keys and values of the pack.
        """
        device = self._module.device
        ids, positions, rows = (to_device(torch.from_numpy(a), device) for a in (pack.ids_T, pack.positions_T, pack.rows_S))
        attention = FlatPass(pack, path, device, kept)
        found = self.rows(ids, positions, rows, attention)
        self._windows = tuple(attention.windows)
        return found

    def rows(self, ids_T: torch.Tensor, positions_T: torch.Tensor, rows: torch.Tensor | slice, attention: Attention) -> torch.Tensor:
        """Run tokens with an attention function, and return the input of `head` for the selected rows."""
        options: dict[str, Any] = {"input_ids": ids_T[None], "position_ids": positions_T[None], "use_cache": False}
        with run_flat(self._module, attention):
            if self._split is not None:
                hidden: torch.Tensor = self._split[0](**options)[0][0]
                return hidden[rows]
            if self._keeps and isinstance(rows, torch.Tensor):
                logits: torch.Tensor = self._module(**options, logits_to_keep=rows).logits[0]
                return logits
            whole: torch.Tensor = self._module(**options).logits[0]
            return whole[rows]

    def head(self, hidden: torch.Tensor) -> torch.Tensor:
        """Return logits [S, V] from the result of `run`, which has logits already if the head cannot be called separately."""
        logits: torch.Tensor = self._split[1](hidden) if self._split is not None else hidden
        return logits

    def _split_chunks(self, num_rows: int) -> Iterator[tuple[int, int]]:
        most = max(1, _LOGITS_BYTES // (4 * self._module.config.get_text_config().vocab_size))
        size = -(-num_rows // max(1, -(-num_rows // most)))
        return ((start, min(num_rows, start + size)) for start in range(0, num_rows, max(1, size)))

    def _log_probs(self, hidden_SD: torch.Tensor, pack: Pack) -> tuple[list[float], list[bool]]:
        """Return for each pair the log-probability of its target, in nats, and whether it is the most likely token."""
        device = self._module.device
        rows, targets = to_device(torch.from_numpy(pack.pair_row_N), device), to_device(torch.from_numpy(pack.pair_target_N), device)
        found = []
        for start, end in self._split_chunks(len(pack.rows_S)):
            low, high = pack.pair_row_N.searchsorted((start, end))
            found.append(
                log_probs(self.head(hidden_SD[start:end]).float(), rows[low:high] - start, targets[low:high], rounded=self._rounded)
            )
        if not found:
            return [], []
        # The only synchronisation with the device.
        values, greedy = torch.stack([torch.cat([v for v, _ in found]), torch.cat([g for _, g in found]).double()]).tolist()
        return values, [bool(g) for g in greedy]

    # ── whether the model can ─────────────────────────────────────────────────────────────────────────────────────────

    def measure(self, ids: list[int]) -> str:
        """Return the reason why the model cannot run packs; empty if it can. Limits `max_length` to a window that it cannot.

        ids: 32 ordinary tokens.
        """
        if self._turns_at <= len(ids):
            return f"its position embeddings change with the length of a pass, from {self._turns_at} tokens on"
        lines = [ids[:20], ids[:9] + ids[20:], ids[20:23], ids[:9] + ids[20:24] + ids[:3]]
        tolerance = 1e-4 if self._module.dtype == torch.float32 else 5e-2
        try:
            gap = self._measure_gap(lines)
            if gap > tolerance and self._split is not None:
                # The model may do more than apply the head (scale, cap), so its own forward pass computes the logits.
                self._split = None
                gap = self._measure_gap(lines)
            window = find_window(self._module.config)
            if window < self.max_length and not self._reproduces_window(lines, tolerance):
                self.max_length = window
        except BaseException as error:
            if ends_run(error):
                raise
            # Any exception means that the module cannot run packs; it then uses padded batches.
            return describe_error(error)
        return "" if gap <= tolerance else f"its logits change by {gap:.2g} standard deviations when sequences share a row of tokens"

    def _reproduces_window(self, lines: Sequence[list[int]], tolerance: float) -> bool:
        """Tell whether packs have the model's own logits beyond its attention window, which is made narrow for that."""
        windows = self._windows
        with narrow_window(self._module, 2 * _NARROW):
            wide = self._run_plain(lines[0])
        with narrow_window(self._module, _NARROW):
            has_effect = float((self._run_plain(lines[0]) - wide)[_NARROW:].abs().max()) > tolerance * float(wide.std())
            gap = self._measure_gap(lines)
        self._windows = windows
        return has_effect and gap <= tolerance

    @torch.inference_mode()
    def _run_plain(self, line: list[int]) -> torch.Tensor:
        """Return the logits [T, V] of a plain pass."""
        logits: torch.Tensor = self._module(input_ids=torch.tensor([line], device=self._module.device), use_cache=False).logits[0]
        return logits.float()

    def _measure_gap(self, lines: Sequence[list[int]]) -> float:
        """Return the largest mean difference to the logits of plain passes, in standard deviations."""
        gap, path = 0.0, Stored()
        with torch.inference_mode():
            plain = [self._run_plain(line) for line in lines]
            for pack in make_packs([Scored([*line, 0], len(line)) for line in lines], 7):
                logits_SV = self.head(self.run(pack, path)).float()
                for row, owner in zip(pack.pair_row_N.tolist(), pack.pair_owner_N.tolist(), strict=True):
                    expected = plain[owner][int(pack.positions_T[pack.rows_S[row]])]
                    gap = max(gap, float((logits_SV[row] - expected).abs().mean() / expected.std()))
        return gap
