"""Which units share a batch: sorted by length, cut by the padded size."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

_SMALLEST_PACK = 64


@dataclass(frozen=True, slots=True)
class Budget:
    """A batch holds at most ``rows`` units and at most ``tokens`` positions after padding; a longer unit goes alone.

    ``padding``: positions of padding that cost as much as a pass of its own. A batch that would have to carry more is closed: a CPU
    pays for every position, a GPU for every pass. ``pack``: positions of a pass of a
    model that packs by itself, without padding and with what requests have in common computed once; 0: all is batched.
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
        """The budget after a batch of this padded size did not fit: half of its positions, or one fewer where it was a single unit.

        Memory goes with positions, so ``rows`` stays: one text that is too long must not leave every short one alone in its batch.
        """
        return replace(self, tokens=min(self.tokens, max(1, tokens // 2 if rows > 1 else tokens - 1)))

    def part(self, share: int, /) -> Budget:
        """One of so many parts of the budget, for passes that take more memory a position than an answer does."""
        return replace(self, tokens=max(1, self.tokens // share), rows=max(1, self.rows // share))

    def narrower(self) -> Budget:
        """The budget after a pass without padding did not fit. The same one where nothing is left to give up."""
        return replace(self, pack=max(min(_SMALLEST_PACK, self.pack), self.pack // 2))


def pack(lengths: Sequence[int], budget: Budget, /) -> list[list[int]]:
    """Indices of ``lengths`` in batches, longest first, so that neighbours are alike and running out of memory comes at once."""
    order = sorted(range(len(lengths)), key=lambda i: (-lengths[i], i))
    ordered = [lengths[i] for i in order]
    batches: list[list[int]] = []
    start = 0
    while start < len(order):
        end = start + first_batch(ordered, start, budget)
        batches.append(order[start:end])
        start = end
    return batches


def full(lengths: Sequence[int], tokens: int, /) -> list[list[int]]:
    """Indices of ``lengths`` in packs of at most so many positions without padding, longest first; a longer unit goes alone."""
    packs: list[list[int]] = []
    room = 0
    for i in sorted(range(len(lengths)), key=lambda i: (-lengths[i], i)):
        if not packs or lengths[i] > room:
            packs.append([])
            room = tokens
        packs[-1].append(i)
        room -= lengths[i]
    return packs


def first_batch(lengths: Sequence[int], start: int, budget: Budget, /) -> int:
    """How many of ``lengths``, sorted longest first, share the batch that begins at ``start``. Looks at no more than one beyond it."""
    # The first unit of a batch is its longest: it sets the padded width of the others.
    width, padding, size = lengths[start], 0, 1
    while start + size < len(lengths) and size < budget.rows and (size + 1) * width <= budget.tokens:
        padding += width - lengths[start + size]
        if padding > budget.padding:
            break
        size += 1
    return size
