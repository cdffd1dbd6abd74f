"""What an item costs: rows that do not depend on the machine's speed, and times that do."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import astuple

import numpy as np

from ..api.scorecard import Estimate, Row
from ..scorecard.names import COSTS, TIMES
from ..statistics import Evidence
from ..statistics.evidence import hash_id
from ..statistics.geometric import geometric_mean
from ..store import ChunkTimes, StoredChunk, StoredItem


def make_cost_rows(item: StoredItem, counters: Mapping[str, int], /) -> list[Row]:
    """Return rows with the item's costs, which do not depend on the machine's speed. Zero counts have no row, except passes."""
    shown = {name: unit for name, unit in COSTS.items() if counters.get(name) or name == "forward_passes"}
    return [
        Row(item.model, item.key, name, "efficiency", Estimate(float(counters.get(name, 0)), n=item.num_samples), None, unit)
        for name, unit in shown.items()
    ]


def make_time_rows(item: StoredItem, chunks: Sequence[StoredChunk], /) -> list[Row]:
    """Return rows with the item's times, which differ between two equal runs; none about tokens if none were counted.

    On a CPU, the times are CPU seconds: they depend less on what else the machine does. Elsewhere the CPU only waits.
    The evidence pairs chunks of the same samples.
    """
    is_cpu = item.facts["device"] == "cpu"
    spent = [(chunk, chunk.times.cpu_seconds if is_cpu else chunk.times.seconds) for chunk in chunks]
    measured = [(chunk, seconds) for chunk, seconds in spent if seconds > 0 and chunk.num_samples]
    per_sample = {chunk.samples: seconds / chunk.num_samples for chunk, seconds in measured}
    tokens = {chunk.samples: count / seconds for chunk, seconds in measured if (count := chunk.counters.get("tokens_computed", 0))}
    clock = "CPU" if is_cpu else "wall"
    found = [("seconds_per_sample", False, per_sample), ("tokens_per_second", True, tokens)]
    return [_make_time_row(item, name, clock, higher_is_better, values) for name, higher_is_better, values in found if values]


def _make_time_row(item: StoredItem, name: str, clock: str, higher_is_better: bool, values: Mapping[str, float]) -> Row:
    """Return a row about time. ``values``: the number of each chunk, by the digest of its samples."""
    column = f"{name} ({clock})"
    ids_K = np.array([hash_id(samples) for samples in values], dtype=np.uint64)
    evidence = Evidence(geometric_mean(column), column, {column: np.array(list(values.values()))}, (), ids_K)
    return Row(item.model, item.key, name, "efficiency", evidence.estimate(), higher_is_better, TIMES[name], evidence=evidence)


def compute_rates(num_records: int, counters: Mapping[str, int], chunks: Sequence[StoredChunk], /) -> dict[str, float]:
    """Compute rates over the item's whole time.

    ``num_records``: the number of the item's records. ``counters``: its counters. ``chunks``: its finished chunks.
    """
    times = ChunkTimes(*(sum(values) for values in zip(*(astuple(chunk.times) for chunk in chunks), strict=True)))
    seconds, peak = times.seconds, max((chunk.times.matmul_flops_per_s for chunk in chunks), default=0.0)
    rate = (lambda count: round(count / seconds, 3)) if seconds > 0 else (lambda count: 0.0)
    timing = {
        "seconds": round(seconds, 3),
        "cpu_seconds": round(times.cpu_seconds, 3),
        "samples_per_s": rate(num_records),
        "requests_per_s": rate(counters.get("requests", 0)),
        "tokens_per_s": rate(counters.get("tokens_computed", 0)),
    }
    if times.streamed_answers:
        timing["first_token_s"] = round(times.first_token_s / times.streamed_answers, 3)
    if times.streaming_s > 0:
        timing["streamed_tokens_per_s"] = round(times.streamed_tokens / times.streaming_s, 3)
    if peak and counters.get("flops"):
        timing |= {"gflop_per_s": rate(counters["flops"] / 1e9), "share_of_matmul_peak": rate(counters["flops"] / peak)}
    return timing
