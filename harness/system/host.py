"""Facts about this machine that explain how long a run took. They contain no name of the machine, its user or its network."""

from __future__ import annotations

import os
import platform
import subprocess
import sys
from collections import Counter
from contextlib import suppress
from pathlib import Path


def describe_host() -> dict[str, str | int]:
    """Return the system, the processor, its cores, the memory in bytes, and the GPUs that this process uses.

    A fact that cannot be found is left out. No library is imported for it.
    """
    facts: dict[str, str | int | None] = {
        "system": f"{platform.system()} {platform.machine()}".strip(),
        "processor": _find_processor(),
        "cores": _count_cores(),
        "memory": _measure_memory(),
        "gpus": _list_gpus(),
    }
    return {name: fact for name, fact in facts.items() if fact}


def _find_processor() -> str:
    with suppress(OSError):
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines()
        if names := [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]:
            return names[0]
    if sys.platform == "darwin":
        with suppress(OSError, subprocess.SubprocessError):
            asked = ["/usr/sbin/sysctl", "-n", "machdep.cpu.brand_string"]
            return subprocess.run(asked, capture_output=True, text=True, timeout=5, check=True).stdout.strip()
    return platform.processor()


def _count_cores() -> int | None:
    """The cores that this process may use."""
    if sys.platform == "linux":
        return len(os.sched_getaffinity(0))
    return os.cpu_count()


def _measure_memory() -> int | None:
    """The machine's memory in bytes."""
    if sys.platform == "win32":
        return None
    with suppress(OSError, ValueError):
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return None


def _list_gpus() -> str:
    """The GPUs that torch can see, if this process has used one: '2 × NVIDIA H200'."""
    torch = sys.modules.get("torch")
    if torch is None or not torch.cuda.is_initialized():
        return ""
    names = Counter(str(torch.cuda.get_device_name(index)) for index in range(torch.cuda.device_count()))
    return ", ".join(f"{num} × {name}" for name, num in names.items())
