"""Compares two sides: what can be compared, the rows, the flips, the fidelity."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np

from ...api.comparison import BASELINE, Comparison
from ...api.errors import ConfigError
from ...api.registry import Registry
from ...api.scorecard import Scorecard
from ...items.kinds import list_kinds
from ...scorecard.counterparts import drop_models
from ...statistics import get_evidence
from ...statistics.evidence import hash_id
from ...store import StoredItem
from .checks import list_lone_items, list_mismatches
from .fidelity import compare_outputs
from .rows import compare_rows
from .samples import Records, find_flips, open_records
from .sides import Side, pair_sides, split_sides

_FEW_IDS = 5


def have_common_items(items: Iterable[StoredItem], /) -> bool:
    """Tell whether two models of a run have an item in common."""
    counts = Counter(drop_models(item.key) for item in items)
    return any(count > 1 for count in counts.values())


def compare_models(card: Scorecard, folder: Path, registry: Registry | None = None, /) -> tuple[Comparison, ...]:
    """Compare the models of one run that share items with its first model; not their times, which are no part of a scorecard's rows.

    ``card``: the scorecard, which keeps its evidence. ``folder``: the run folder.
    """
    first, *others = split_sides("", card, folder)
    shared = [side for side in others if any(key in first.items for key in side.items)]
    return tuple(compare_sides(first, side, allow_mismatch=True, with_times=False, registry=registry) for side in shared)


def compare_with_baseline(
    card: Scorecard, folder: Path, baseline: Scorecard, registry: Registry | None = None, /
) -> tuple[Comparison, ...]:
    """Compare the models of a run with those of its baseline; not their times, which are no part of a scorecard's rows.

    ``card``, ``baseline``: scorecards, which keep their evidence. ``folder``: the run folder.
    Returns nothing for models that the baseline does not have.
    """
    try:
        pairs = pair_sides(split_sides(BASELINE, baseline), split_sides("", card, folder))
    except ConfigError:
        return ()
    alike = [(before, after) for before, after in pairs if any(key in before.items for key in after.items)]
    return tuple(compare_sides(*pair, allow_mismatch=True, with_times=False, registry=registry) for pair in alike)


def compare_sides(
    baseline: Side, candidate: Side, /, *, allow_mismatch: bool = False, with_times: bool = True, registry: Registry | None = None
) -> Comparison:  # fmt: skip
    """Compare two sides.

    ``allow_mismatch``: compare different data, tasks or settings, and say so in `Comparison.mismatches`.
    ``with_times``: whether to compare seconds per sample, the only number that differs between two equal runs.
    Raises `ConfigError` for sides that have nothing in common, or that differ where they must not.
    """
    if not any(key in baseline.items for key in candidate.items):
        raise ConfigError(f"{baseline.name} and {candidate.name} have no item in common, so that nothing can be compared")
    mismatches = list_mismatches(baseline, candidate)
    if mismatches and not allow_mismatch:
        raise ConfigError(
            f"{baseline.name} and {candidate.name} cannot be compared; they differ in more than the model:\n  "
            + "\n  ".join(mismatches)
            + "\nRun the candidate with the baseline's suite, or compare the samples that both have",
            argument="allow_mismatch",
        )
    changes = compare_rows(baseline, candidate, with_times=with_times)
    with open_records(baseline) as before, open_records(candidate) as after:
        flips, counts = find_flips((baseline, candidate), (before, after), changes, list_kinds(registry or Registry()))
        fidelity, moved = ([], []) if before is None or after is None else compare_outputs(before, after, candidate.model)
        notes = [*list_lone_items(baseline, candidate), *_list_lone_samples(baseline, candidate, before, after)]
    if before is None or after is None:
        notes.append("a baseline file has no outputs: the flips show those of the run folder, and there is no fidelity")
    return Comparison(
        baseline.name, candidate.name, tuple(changes), (*flips, *moved), tuple(counts), tuple(fidelity), tuple(mismatches), tuple(notes)
    )


def _list_lone_samples(baseline: Side, candidate: Side, before: Records | None, after: Records | None) -> Iterator[str]:
    """Yield one sentence per side and task about the samples that only it has scored."""
    seen = set()
    for (key, name), row in candidate.rows.items():
        if not key.is_task or key in seen or row.slice or (other := baseline.rows.get((key, name))) is None:
            continue
        first, second = get_evidence(other), get_evidence(row)
        if first is None or second is None:
            continue
        seen.add(key)
        for side, records, own, others in ((baseline, before, first, second), (candidate, after, second, first)):
            if len(lone := np.setdiff1d(own.ids_N, others.ids_N)):
                named = _name_samples(records, row.item, set(lone.tolist()))
                yield f"{row.item}: only {side.name} has a score of {len(lone):,} samples{named}"


def _name_samples(records: Records | None, task: str, hashes: set[int]) -> str:
    """Return the first ids in brackets; empty if they are not known."""
    if records is None:
        return ""
    ids = [sample.id for sample in records.store.samples(task) if hash_id(sample.id) in hashes]
    return f" ({', '.join(ids[:_FEW_IDS])}{', …' if len(ids) > _FEW_IDS else ''})" if ids else ""
