"""Comparisons of models of one or several runs: paired by sample, for every kind of row."""

from __future__ import annotations

from .compare import compare_models, compare_sides, compare_with_baseline, have_common_items
from .sides import Side, pair_sides, split_sides

__all__ = ["Side", "compare_models", "compare_sides", "compare_with_baseline", "have_common_items", "pair_sides", "split_sides"]
