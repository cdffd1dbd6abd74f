"""Pad rows of token ids on the right, because positions count from the left in every architecture.

ids    w w w P P      mask   1 1 1 0 0
       w w w w w             1 1 1 1 1

Shape legend: B rows, L tokens of the longest.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch

from .devices import to_device


def pad_right(rows: Sequence[Sequence[int]], value: int, device: torch.device, /) -> torch.Tensor:
    """Return rows padded with ``value``, [B, L] on the device, at least one column wide."""
    width = max([1, *map(len, rows)])
    return to_device(torch.tensor([[*row, *[value] * (width - len(row))] for row in rows]), device)


def mask_right(rows: Sequence[Sequence[int]], device: torch.device, /) -> torch.Tensor:
    """Return the mask of `pad_right`, [B, L] on the device: 1 for values of the row, 0 for padding."""
    return pad_right([[1] * len(row) for row in rows], 0, device)
