"""A finished chunk of a work item: what it cost, and which samples it has."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class StoredChunk:
    """A finished chunk of an item.

    samples: digest of the ids of its samples, in their order: equal for chunks of the same samples. num_samples: their number.
    counters: costs that do not depend on the speed of the machine.
    seconds: its duration. cpu_seconds: the CPU time of the process meanwhile, of all threads.
    matmul_flops_per_s: the measured matrix-product speed of the model's device; 0 if it was not measured.
    """

    number: int
    samples: str
    num_samples: int
    counters: Mapping[str, int]
    seconds: float
    cpu_seconds: float
    matmul_flops_per_s: float
