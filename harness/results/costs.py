"""What an item costs: rows that do not depend on the machine's speed, and times that do."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from ..api.scorecard import Estimate, Row
from ..scorecard.names import COSTS, TIMES
from ..statistics import Evidence
from ..statistics.evidence import hash_id
from ..statistics.geometric import geometric_mean
from ..store import StoredChunk, StoredItem


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
    spent = [(chunk, chunk.cpu_seconds if is_cpu else chunk.seconds) for chunk in chunks]
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
    seconds, peak = sum(chunk.seconds for chunk in chunks), max((chunk.matmul_flops_per_s for chunk in chunks), default=0.0)
    rate = (lambda count: round(count / seconds, 3)) if seconds > 0 else (lambda count: 0.0)
    timing = {
        "seconds": round(seconds, 3),
        "cpu_seconds": round(sum(chunk.cpu_seconds for chunk in chunks), 3),
        "samples_per_s": rate(num_records),
        "requests_per_s": rate(counters.get("requests", 0)),
        "tokens_per_s": rate(counters.get("tokens_computed", 0)),
    }
    if num_streamed := counters.get("streamed_answers", 0):
        timing["first_token_s"] = round(counters["first_token_s"] / num_streamed, 3)
    if (streaming_s := counters.get("streaming_s", 0)) > 0:
        timing["streamed_tokens_per_s"] = round(counters["streamed_tokens"] / streaming_s, 3)
    if peak and counters.get("flops"):
        timing |= {"gflop_per_s": rate(counters["flops"] / 1e9), "share_of_matmul_peak": rate(counters["flops"] / peak)}
    return timing
