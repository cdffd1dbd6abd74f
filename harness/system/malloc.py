"""Tune glibc's malloc for processes that belong to Windtunnel (the command line, a benchmark)."""

from __future__ import annotations

import ctypes
import os

_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3
"""Constants of glibc's malloc.h."""

_MMAP_THRESHOLD_BYTES = 32 * 2**20
"""The largest value that glibc accepts."""

_TRIM_THRESHOLD_BYTES = 512 * 2**20


def keep_freed_memory() -> bool:
    """Make malloc keep freed memory instead of returning it to the system. Returns whether it was set.

    Every layer of a model frees some megabytes and allocates the next. glibc may return them in between, and the system
    then zeroes each page again: up to a tenth of a run, and it varies between runs. The price is up to 512 MiB that the
    process keeps. Not for library use, because the heap belongs to the whole process. Does nothing without glibc, or if
    the environment has ``MALLOC_`` or ``GLIBC_TUNABLES`` settings.
    """
    if any(name.startswith(("MALLOC_", "GLIBC_TUNABLES")) for name in os.environ):
        return False
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError, TypeError):
        # musl, macOS, Windows.
        return False
    return bool(mallopt(_M_MMAP_THRESHOLD, _MMAP_THRESHOLD_BYTES) and mallopt(_M_TRIM_THRESHOLD, _TRIM_THRESHOLD_BYTES))
