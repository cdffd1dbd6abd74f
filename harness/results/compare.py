"""Comparisons of run folders and baseline files."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from ..api.comparison import Comparison
from ..api.registry import Registry
from .baseline import load_baseline
from .comparison import Side, compare_sides, pair_sides, split_sides


def compare_paths(
    baseline: Path, candidates: Sequence[Path], /, *, allow_mismatch: bool = False, registry: Registry | None = None
) -> list[Comparison]:
    """Compare run folders or baseline files with a baseline: one comparison per candidate and model.

    ``allow_mismatch``: compare runs of different data, tasks or settings, and say so in `Comparison.mismatches`.
    ``registry``: the plugins of the runs; by default the installed ones, as records load no code.
    Raises `ConfigError` for runs that have nothing in common, or that differ where they must not, and `StoreError` for a
    folder that is no run.
    """
    sides = load_sides(baseline, registry)
    pairs = [pair for path in candidates for pair in pair_sides(sides, load_sides(path, registry))]
    return [compare_sides(*pair, allow_mismatch=allow_mismatch, registry=registry) for pair in pairs]


def load_sides(path: Path, /, registry: Registry | None = None) -> list[Side]:
    """Load one side per model of a run folder or a baseline file. Raises `ConfigError` or `StoreError` if it is neither."""
    folder = path if path.is_dir() else None
    return split_sides(path.name or str(path), load_baseline(path, registry), folder)
