"""How a process of Windtunnel's own (the command line, a bench) keeps its memory."""

from __future__ import annotations

import ctypes
import os

_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3
"""Of glibc's malloc.h."""

_LARGEST_KEPT = 32 * 2**20
"""What glibc admits at most."""

_MOST_KEPT = 512 * 2**20


def keep_freed_memory() -> bool:
    """Have malloc keep what is freed instead of handing it back to the system; whether it could be told.

    Every layer of a model frees its results, of some megabytes, and asks for the next ones. glibc may hand them back in between, and the
    system then gives each page anew, filled with zeros: up to a tenth of a run, and it varies from run to run. The price: up to 512 MiB
    stay with the process. Not for a library, as the heap is the whole process's. Elsewhere than on glibc, or where the environment has
    ``MALLOC_`` settings of its own, nothing happens.
    """
    if any(name.startswith(("MALLOC_", "GLIBC_TUNABLES")) for name in os.environ):
        return False
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError, TypeError):
        # musl, macOS, Windows.
        return False
    return bool(mallopt(_M_MMAP_THRESHOLD, _LARGEST_KEPT) and mallopt(_M_TRIM_THRESHOLD, _MOST_KEPT))
