"""Computes a scorecard from the records of a run folder, without any model."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from ..api.errors import ConfigError
from ..api.registry import Registry
from ..api.scorecard import Row, Scorecard
from ..items.kinds import list_kinds
from ..metrics.evaluate_module import PREFIX, add_module
from ..scorecard.gates import Gate, check_gates, decide_verdict
from ..scorecard.measures import MEASURES, add_direction
from ..store import FILE_NAME, Store, codec
from .baseline_answers import BaselineAnswers
from .baseline_file import read_kept_baseline
from .comparison import compare_models, compare_with_baseline, have_common_items
from .comparison.fidelity import FIDELITY
from .failures import list_failures
from .item_rows import parse_gates
from .manifest import list_changes, list_flags, make_manifest
from .run_rows import compute_run_rows
from .views import SampleViews


def summarise(
    folder: Path,
    *,
    gates: Sequence[Gate] | None = None,
    registry: Registry | None = None,
    keep_evidence: bool = False,
    baseline: Scorecard | None = None,
    allow_mismatch: bool = False,
) -> Scorecard:
    """Compute the scorecard of a run folder.

    ``folder``: the run folder.
    ``gates``: replace the gates of the suite.
    ``registry``: the metrics and the kinds of items; by default the installed ones, as records load no code (`load_registry`).
    ``keep_evidence``: keep `Row.evidence`, which takes memory for each sample, instead of comparing models and baseline.
    ``baseline``: the run to compare with (`baseline.load_baseline`); by default the one that the run folder keeps.
    ``allow_mismatch``: whether all gates compare with a baseline of other data, prompts, tasks or settings (`Gate.allow_mismatch`).
    Raises `StoreError` if the store cannot be read, and `ConfigError` if the folder's baseline cannot.
    """
    store = Store.open(folder / FILE_NAME, readonly=True)
    known = registry or Registry()
    try:
        planned_gates = parse_gates(codec.loads(store.suite))
        wanted = planned_gates if gates is None else gates
        wanted = [replace(gate, allow_mismatch=True) for gate in wanted] if allow_mismatch else wanted
        needs_baseline = any(gate.drop is not None for gate in wanted)
        ends_by_baseline = bool(codec.loads(store.suite).get("stop")) and any(gate.drop is not None for gate in planned_gates)
        is_wanted = baseline is None and (needs_baseline or not keep_evidence)
        kept = read_kept_baseline(folder, known) if ends_by_baseline or is_wanted else None
        baseline = kept if is_wanted else baseline
        compares_models = not keep_evidence and have_common_items(store.items())
        is_evidence_used = keep_evidence or compares_models or baseline is not None
        views = SampleViews(folder, list_kinds(known), sum(store.count(i) for i in store.items() if i.key.is_task))
        card = replace(_make_scorecard(store, known, planned_gates, kept, is_evidence_used), samples=views)
    finally:
        store.close()
    if needs_baseline and baseline is not None:
        known_as = {name: baseline.manifest.get(name, "") for name in ("name", "digest")}
        card = replace(card, manifest={**card.manifest, "baseline": known_as})
    gate_results = check_gates(wanted, card, baseline)
    verdict = decide_verdict(gate_results, complete=card.complete, mostly_failed=card.mostly_failed)
    if not keep_evidence:
        to_baseline = () if baseline is None else compare_with_baseline(card, folder, baseline, known)
        to_first = compare_models(card, folder, known) if compares_models else ()
        rows, times = (tuple(map(_drop_evidence, own)) for own in (card.rows, card.times))
        comparisons = (*to_baseline, *to_first)
        measures = {**card.measures, **FIDELITY} if comparisons else card.measures
        of_baseline = tuple(map(_drop_evidence, baseline.times)) if to_baseline and baseline is not None else ()
        card = replace(card, comparisons=comparisons, measures=measures, rows=rows, times=times, baseline_times=of_baseline)
        if to_baseline and baseline is not None:
            models = list(dict.fromkeys(facts["model"] for facts in card.manifest["items"]))
            card = replace(card, samples=replace(views, baseline=BaselineAnswers(baseline, models)))
    mismatches = [f"{mismatch}; gates compare it with the baseline all the same" for gate in gate_results for mismatch in gate.mismatches]
    flags = list(dict.fromkeys([*(f"DIFFERENT: {sentence}" for sentence in mismatches), *card.manifest["flags"]]))
    return replace(card, gates=gate_results, verdict=verdict, manifest={**card.manifest, "flags": flags})


def _make_scorecard(
    store: Store, registry: Registry, gates: Sequence[Gate], baseline: Scorecard | None, with_evidence: bool
) -> Scorecard:  # fmt: skip
    """Return the scorecard without gates, comparisons and samples.

    ``gates``, ``baseline``: those of the suite, and the one that the run folder keeps, which may have ended items early.
    ``with_evidence``: keep `Row.evidence`.
    """
    suite = codec.loads(store.suite)
    computed = compute_run_rows(store, registry, suite, gates, baseline, keep=_keep if with_evidence else _drop_evidence)
    results, items, kinds = computed.results, computed.results.items, computed.results.kinds
    flags = [*computed.flags, *list_flags(items, results.notes, kinds, suite["plugin_files"])]
    flags += list_changes(results.rows)
    flags += [flag for kind in kinds.values() for flag in kind.flags(results)]
    of_kinds = {name: measure for kind in kinds.values() for name, measure in kind.measures.items()}
    measures = {**results.measures, **of_kinds, **MEASURES}
    rows = tuple(add_direction(row, measures) for row in results.rows)
    manifest = make_manifest(store, suite, items, flags) | {"failures": list_failures(results, computed.failures)}
    return Scorecard(
        manifest=manifest, rows=rows, complete=computed.complete, num_failed=computed.num_failed,
        first_error=computed.first_error,
        num_samples=sum(i.num_samples for i in items if i.key.is_task),
        timing=computed.timing, times=tuple(computed.times),
        measures={row.metric: measures[row.metric] for row in (*rows, *computed.times) if row.metric in measures},
        row_names={name: kind.stems() for name, kind in kinds.items()}, max_unscored=suite["max_unscored"],
        figures=tuple(computed.figures), sessions=tuple(store.sessions.list()), mostly_failed=computed.mostly_failed,
    )  # fmt: skip


def _keep(row: Row) -> Row:
    return row


def _drop_evidence(row: Row) -> Row:
    return row if row.evidence is None else replace(row, evidence=None)


def load_registry(folder: Path, plugins: Sequence[str | Path], /) -> Registry:
    """Return the plugins for views of a run folder: the installed ones, and those of the run that are given.

    plugins: plugin files of the run, and modules of `evaluate` that are its metrics, as ``evaluate:MODULE``.
    Raises `ConfigError` if a file or module is not one of the run's.
    """
    if not plugins:
        return Registry()
    store = Store.open(folder / FILE_NAME, readonly=True)
    recorded = codec.loads(store.suite)["plugin_files"]
    store.close()
    modules = [plugin for plugin in map(str, plugins) if plugin.startswith(PREFIX)]
    registry = Registry.of_run(recorded, [plugin for plugin in map(str, plugins) if plugin not in modules])
    for name in modules:
        if (origin := add_module(name, registry)) not in recorded:
            raise ConfigError(f"the run used {', '.join(recorded) or 'no plugin'}, not {origin}; pass the module that the run used")
    return registry
