"""Rows of token ids as one rectangle, padded on the right: positions count from the left in every architecture.

ids    w w w P P      mask   1 1 1 0 0
       w w w w w             1 1 1 1 1

Shape legend: B rows, L tokens of the longest.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch

from .devices import to_device


def pad_right(rows: Sequence[Sequence[int]], value: int, device: torch.device, /) -> torch.Tensor:
    """[B, L] on the device, at least one column wide. value: stands behind the end of each row."""
    width = max([1, *map(len, rows)])
    return to_device(torch.tensor([[*row, *[value] * (width - len(row))] for row in rows]), device)


def mask_right(rows: Sequence[Sequence[int]], device: torch.device, /) -> torch.Tensor:
    """[B, L] on the device: 1 where `pad_right` has a row's own values."""
    return pad_right([[1] * len(row) for row in rows], 0, device)
