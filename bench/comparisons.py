"""Planted regressions and equal models: what `compare` and gates say of them.

    python -m windtunnel.bench.comparisons FOLDER --num 6000 --pairs 200

Runs a model of known faults (`tests/planted.py`) and prints, per fault, the rows that `compare` calls worse, and the outcome of each gate.
Then swaps the answers of two equal models at random, sample by sample, and counts the pairs that `compare` tells apart, and the pairs in
which a gate fails.
"""

from __future__ import annotations

import argparse
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from ..harness.api.comparison import WORSE
from ..harness.api.scorecard import GateResult, Row, Scorecard
from ..harness.results.baseline import load_baseline
from ..harness.results.compare import compare_paths
from ..harness.results.comparison import Side
from ..harness.results.comparison.rows import compare_rows
from ..harness.results.summarise import summarise
from ..harness.scorecard.gates import check_gates, parse_entry
from ..harness.statistics import Evidence, get_evidence, pair_evidence
from ..tests.planted import FAULTS, GATES, NOISE, ROUNDS, WHOLE, run_planted


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("folder", type=Path)
    parser.add_argument("--num", type=int, default=6000)
    parser.add_argument("--pairs", type=int, default=200)
    options = parser.parse_args()
    options.folder.mkdir(parents=True, exist_ok=True)
    task = {"num": options.num}

    def run(name: str, **settings: Any) -> Path:
        whole = {"noise": NOISE, "rounds": ROUNDS, **settings}
        folder: Path = options.folder / name.replace(" ", "_")
        if not (folder / "results.json").exists():
            run_planted(options.folder, folder.name, WHOLE, task, **whole)
        return folder

    baseline = run("baseline")
    for fault, settings in {"none": {}, **FAULTS}.items():
        candidate = run(fault, seed=1, **settings)
        (comparison,) = compare_paths(baseline, [candidate])
        worse = [f"{c.row.item}.{c.row.name} {c.difference.value:+.3g}" for c in comparison.of_verdict(WORSE)]
        outcomes = check(summarise(candidate, gates=(), keep_evidence=True), load_baseline(baseline))
        shown = ", ".join(f"{name} {gate.outcome}" for name, gate in zip(GATES, outcomes, strict=True))
        print(f"fault: {fault}\n  compare: {comparison.verdict}: {', '.join(worse[:6]) or 'no row is worse'}\n  gates: {shown}", flush=True)
    count_alarms(baseline, options.folder / "none", options.pairs)


def check(card: Scorecard, baseline: Scorecard) -> tuple[GateResult, ...]:
    return check_gates(map(parse_entry, GATES.values()), card, baseline)


def count_alarms(baseline: Path, candidate: Path, num_pairs: int) -> None:
    """Print how often two equal models are told apart, and how often each gate fails or is open."""
    rng, cards = np.random.default_rng(0), [load_baseline(path) for path in (baseline, candidate)]
    told_apart, outcomes = 0, Counter[tuple[str, str]]()
    for _ in range(num_pairs):
        pair = swap(cards[0], cards[1], int(rng.integers(2**32)))
        changes = compare_rows(Side("a", "model", pair[0]), Side("b", "model", pair[1]), with_times=False)
        told_apart += any(change.verdict in ("worse", "better") for change in changes)
        outcomes.update((name, gate.outcome) for name, gate in zip(GATES, check(pair[1], pair[0]), strict=True) if name != "latency")
    print(f"equal models: {told_apart} of {num_pairs} pairs are told apart by compare")
    for name in GATES:
        counts = ", ".join(f"{num} {outcome}" for (gate, outcome), num in sorted(outcomes.items()) if gate == name)
        print(f"  gate {name}: {counts or 'not simulated'}")


def swap(first: Scorecard, second: Scorecard, seed: int) -> tuple[Scorecard, Scorecard]:
    """Return two scorecards in which the answers of a random half of the samples are swapped, the same in every row."""
    others = {(row.item, row.name): row for row in second.rows}
    rows: list[tuple[Row, Row]] = []
    for row in first.rows:
        other = others.get((row.item, row.name))
        evidence = get_evidence(row), None if other is None else get_evidence(other)
        if other is not None and evidence[0] is not None and evidence[1] is not None:
            one, two = pair_evidence(evidence[0], evidence[1])
            swapped_N = (one.ids_N ^ np.uint64(seed)) * np.uint64(0x9E3779B97F4A7C15) >> np.uint64(63) == 1
            mixed = mix(one, two, swapped_N), mix(two, one, swapped_N)
            rows.append((replace(row, estimate=mixed[0].estimate(), evidence=mixed[0]),
                         replace(other, estimate=mixed[1].estimate(), evidence=mixed[1])))  # fmt: skip
    return replace(first, rows=tuple(one for one, _ in rows)), replace(second, rows=tuple(two for _, two in rows))


def mix(own: Evidence, other: Evidence, swapped_N: Any) -> Evidence:
    columns = {name: np.where(swapped_N.reshape(-1, *[1] * (values.ndim - 1)), other.columns[name], values)
               for name, values in own.columns.items()}  # fmt: skip
    return replace(own, columns=columns)


if __name__ == "__main__":
    main()
