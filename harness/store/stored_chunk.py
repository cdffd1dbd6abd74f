"""A finished chunk of a work item: what it cost, and which samples it has."""

from __future__ import annotations

import json
import sqlite3
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, fields
from hashlib import sha256


@dataclass(frozen=True, slots=True)
class ChunkTimes:
    """Times of a chunk, which differ between equal runs; the columns of the table ``timing``.

    seconds: its duration. cpu_seconds: the CPU time of the process meanwhile, of all threads.
    matmul_flops_per_s: the measured matrix-product speed of the model's device; 0 if it was not measured.
    streamed_answers, first_token_s: the number of answers that services streamed, and the sum of the seconds until their first token.
    streamed_tokens, streaming_s: their tokens after the first, and the sum of the seconds in which those arrived.
    """

    seconds: float = 0.0
    cpu_seconds: float = 0.0
    matmul_flops_per_s: float = 0.0
    streamed_answers: int = 0
    first_token_s: float = 0.0
    streamed_tokens: int = 0
    streaming_s: float = 0.0


@dataclass(frozen=True, slots=True)
class StoredChunk:
    """A finished chunk of an item.

    samples: digest of the ids of its samples, in their order: equal for chunks of the same samples. num_samples: their number.
    counters: costs that do not depend on the speed of the machine. times: those that do.
    """

    number: int
    samples: str
    num_samples: int
    counters: Mapping[str, int]
    times: ChunkTimes


def read_chunks(connection: sqlite3.Connection, item: int, /) -> list[StoredChunk]:
    """Return the finished chunks of an item, in order. ``item``: its id."""
    ids: dict[int, list[str]] = defaultdict(list)
    for chunk, sample_id in connection.execute("SELECT chunk, sample_id FROM records WHERE item = ? ORDER BY ordinal", (item,)):
        ids[chunk].append(sample_id)
    columns = ", ".join(f.name for f in fields(ChunkTimes))
    query = f"SELECT chunk, counters, {columns} FROM chunks NATURAL JOIN timing WHERE item = ? ORDER BY chunk"
    return [
        StoredChunk(chunk, sha256(ascii(ids[chunk]).encode("ascii")).hexdigest(), len(ids[chunk]), json.loads(counters), ChunkTimes(*times))
        for chunk, counters, *times in connection.execute(query, (item,))
    ]
