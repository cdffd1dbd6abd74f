"""Pack units into batches: sorted by length, limited by padded size."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

_SMALLEST_PACK = 64


@dataclass(frozen=True, slots=True)
class Budget:
    """Limits of a batch.

    tokens: maximum number of positions after padding; a longer unit has its own batch.
    rows: maximum number of units.
    padding: maximum number of padding positions, which cost as much as a further pass. A CPU pays for each position, a
        GPU for each pass.
    pack: number of positions in a pass without padding, in which common prefixes are computed once, for models that
        support it; 0 for batches only.
    """

    tokens: int = 4096
    rows: int = 64
    padding: int = 128
    pack: int = 1024

    @classmethod
    def of(cls, device: str, /) -> Budget:
        """Small batches fill a CPU; a ``cuda`` device (``cuda:1``) wants many rows."""
        return cls(65_536, 512, 8_192, 4_096) if device.startswith("cuda") else cls()

    def below(self, tokens: int, rows: int, /) -> Budget:
        """Return the budget after a batch ran out of memory: half of its positions, or one fewer for a single unit.

        tokens, rows: padded size of that batch.

        Memory depends on positions, so ``rows`` stays: one text that is too long must not put every short one into its
        own batch.
        """
        return replace(self, tokens=min(self.tokens, max(1, tokens // 2 if rows > 1 else tokens - 1)))

    def part(self, share: int, /) -> Budget:
        """Return the budget divided by ``share``, for passes that take more memory per position than a request."""
        return replace(self, tokens=max(1, self.tokens // share), rows=max(1, self.rows // share))

    def narrower(self) -> Budget:
        """Return the budget after a pass without padding ran out of memory; the same budget if it is already minimal."""
        return replace(self, pack=max(min(_SMALLEST_PACK, self.pack), self.pack // 2))


def pack(lengths: Sequence[int], budget: Budget, /) -> list[list[int]]:
    """Group indices of ``lengths`` into batches, longest first: lengths in a batch are similar, and OOM occurs at once."""
    order = sorted(range(len(lengths)), key=lambda i: (-lengths[i], i))
    ordered = [lengths[i] for i in order]
    batches: list[list[int]] = []
    start = 0
    while start < len(order):
        end = start + size_first_batch(ordered, start, budget)
        batches.append(order[start:end])
        start = end
    return batches


def fill_packs(lengths: Sequence[int], tokens: int, /) -> list[list[int]]:
    """Group indices of ``lengths`` into packs of at most ``tokens`` positions without padding, longest first.

    A longer unit has its own pack.
    """
    packs: list[list[int]] = []
    room = 0
    for i in sorted(range(len(lengths)), key=lambda i: (-lengths[i], i)):
        if not packs or lengths[i] > room:
            packs.append([])
            room = tokens
        packs[-1].append(i)
        room -= lengths[i]
    return packs


def size_first_batch(lengths: Sequence[int], start: int, budget: Budget, /) -> int:
    """Return the size of the batch that begins at ``start``. Reads at most one length beyond it.

    lengths: sorted, longest first.
    """
    # The first unit of a batch is the longest, and sets the padded width.
    width, padding, size = lengths[start], 0, 1
    while start + size < len(lengths) and size < budget.rows and (size + 1) * width <= budget.tokens:
        padding += width - lengths[start + size]
        if padding > budget.padding:
            break
        size += 1
    return size
