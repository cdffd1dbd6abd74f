"""Memory that a process keeps, so that the system need not give each page anew."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

FAULTS = """
import resource, torch
from windtunnel.harness.system.malloc import keep_freed_memory

kept = keep_freed_memory()
torch.set_num_threads(1)
def work():
    # Three at once are more than glibc keeps by itself, which is twice the largest that was freed.
    for _ in range(5):
        held = [torch.ones(7 * 2**20) for _ in range(3)]
        del held
work()
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
work()
print(kept, resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


def faults(**environment: str) -> tuple[bool, int]:
    plain = {name: value for name, value in os.environ.items() if not name.startswith(("MALLOC_", "GLIBC_"))}
    done = subprocess.run([sys.executable, "-c", FAULTS], stdout=subprocess.PIPE, text=True, check=True, env=plain | environment)
    kept, num = done.stdout.split()
    return kept == "True", int(num)


@pytest.mark.skipif(sys.platform != "linux", reason="the system's count of page faults is Linux's")
def test_freed_memory_is_kept() -> None:
    kept, num = faults()
    if not kept:
        pytest.skip("not glibc")
    # Without it they are some 400,000, unless something small happens to lie behind the blocks.
    assert num < 1000


def test_settings_of_the_environment_come_first() -> None:
    assert not faults(MALLOC_ARENA_MAX="2")[0]
