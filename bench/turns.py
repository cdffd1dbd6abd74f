"""Two or more sides in turns in one process, so that a busy machine slows all of them; what counts are the ratios of each round."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Spent:
    """Seconds of the wall clock, and of the processor: a busy machine changes those less, and they say nothing of a GPU."""

    wall: float
    cpu: float


def timed(run: Callable[[], Any], /) -> tuple[Any, Spent]:
    wall, cpu = time.perf_counter(), time.process_time()
    answer = run()
    return answer, Spent(time.perf_counter() - wall, time.process_time() - cpu)


def in_turns(sides: Mapping[str, Callable[[], Any]], rounds: int, /) -> tuple[dict[str, Any], dict[str, list[Spent]]]:
    """Each side's last answer, and what each of its rounds took."""
    answers: dict[str, Any] = {}
    spent: dict[str, list[Spent]] = {name: [] for name in sides}
    for _ in range(rounds):
        for name, run in sides.items():
            answers[name], took = timed(run)
            spent[name].append(took)
    return answers, spent


def faster(peer: list[Spent], ours: list[Spent], /) -> str:
    """How many times faster ``ours`` is: the median of the rounds, and their range."""
    said = []
    for clock in ("wall", "cpu"):
        ratios = [getattr(a, clock) / getattr(b, clock) for a, b in zip(peer, ours, strict=True)]
        said.append(f"{statistics.median(ratios):.2f} x {clock} ({min(ratios):.2f} to {max(ratios):.2f})")
    return f"{', '.join(said)}, {len(ours)} rounds"


def median_s(spent: list[Spent], /) -> float:
    return statistics.median(s.wall for s in spent)
