"""The clock of measured times: wall time, without the time in which other processes keep this thread from a CPU."""

from __future__ import annotations

import time
from pathlib import Path

_WAITS = Path("/proc/thread-self/schedstat")


def read_stopwatch(waits: Path = _WAITS) -> float:
    """Return the seconds of a clock that stands still while this thread is ready to run and waits for a CPU.

    Waiting for a disk, a server, an accelerator or another thread counts, because that is part of the work. Where the system
    does not tell how long a thread waits for a CPU, as Linux does, it is wall time.

    waits: the file in which the second number is the thread's time on a run queue, in nanoseconds (Linux, sched-stats.rst).
    """
    try:
        waited = int(waits.read_text().split()[1]) / 1e9
    except (OSError, ValueError, IndexError):
        waited = 0.0
    return time.perf_counter() - waited
