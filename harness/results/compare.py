"""Comparisons of run folders and baseline files."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from ..api.comparison import Comparison
from ..api.registry import Registry
from ..api.scorecard import Scorecard
from ..scorecard.measures import MEASURES
from .baseline import load_baseline
from .comparison import Side, compare_sides, pair_sides, split_sides
from .comparison.fidelity import FIDELITY


def compare_paths(
    baseline: Path, candidates: Sequence[Path], /, *, baseline_model: str | None = None, allow_mismatch: bool = False,
    registry: Registry | None = None,
) -> list[Comparison]:  # fmt: skip
    """Compare run folders or baseline files with a baseline: one comparison per candidate and model.

    ``baseline_model``: the only model of the baseline to compare with; by default that of the same name.
    ``allow_mismatch``: compare runs of different data, tasks or settings, and say so in `Comparison.mismatches`.
    ``registry``: the plugins of the runs; by default the installed ones, as records load no code.
    Raises `ConfigError` for runs that have nothing in common, or that differ where they must not, and `StoreError` for a
    folder that is no run.
    """
    pairs = pair_paths(baseline, candidates, registry, baseline_model)
    return [compare_sides(*pair, allow_mismatch=allow_mismatch, registry=registry) for pair in pairs]


def pair_paths(
    baseline: Path, candidates: Sequence[Path], /, registry: Registry | None = None, baseline_model: str | None = None
) -> list[tuple[Side, Side]]:  # fmt: skip
    """Return (baseline, candidate) for each model of the candidates. Parameters and errors as of `compare_paths`."""
    sides = load_sides(baseline, registry, baseline_model)
    return [pair for path in candidates for pair in pair_sides(sides, load_sides(path, registry))]


def render_comparisons(comparisons: Sequence[Comparison], pairs: Sequence[tuple[Side, Side]], registry: Registry, /) -> str:
    """Return comparisons as a page of their own. ``pairs``: the compared sides, whose rows it names."""
    measures = {
        **MEASURES,
        **FIDELITY,
        **{name: measure for pair in pairs for side in pair for name, measure in side.card.measures.items()},
    }
    title = ", ".join(dict.fromkeys(f"{comparison.candidate} against {comparison.baseline}" for comparison in comparisons))
    card = Scorecard({"name": title}, (), measures=measures, comparisons=tuple(comparisons))
    return str(registry.make("reports", "html").render(card))


def load_sides(path: Path, /, registry: Registry | None = None, model: str | None = None) -> list[Side]:
    """Load one side per model of a run folder or a baseline file. Raises `ConfigError` or `StoreError` if it is neither.

    ``model``: the only model to load; by default all.
    """
    folder = path if path.is_dir() else None
    return split_sides(path.name or str(path), load_baseline(path, registry, model), folder)
