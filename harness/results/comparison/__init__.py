"""Comparisons of models of one or several runs: paired by sample, for every kind of row."""

from __future__ import annotations

from .compare import compare_models, compare_sides
from .sides import Side, pair_sides, split_sides

__all__ = ["Side", "compare_models", "compare_sides", "pair_sides", "split_sides"]
