"""Where the time of a run of a language model goes. Run by hand:

    python bench/profile.py MODEL TEXTS [--work choices] [--questions 48] [--device cpu] [--dtype float32] [--pack N]

Operators are timed by torch's profiler, by themselves and without what they call. ``outside`` is what no operator took: Python, tokenising,
waiting. Work: see `questions.py`.
"""

from __future__ import annotations

import argparse
import os
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

# This file is named as a module of Python's that torch imports.
sys.path.append(sys.path.pop(0))

os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("OMP_WAIT_POLICY", "passive")

from questions import WORKS, paragraphs_of
from torch.profiler import ProfilerActivity, profile
from turns import timed
from windtunnel.harness.engine import Engine
from windtunnel.harness.engine.packing import Budget
from windtunnel.harness.models.hf.source import HuggingFace
from windtunnel.harness.models.torch.flops import measure_flops_per_s
from windtunnel.harness.system.malloc import keep_freed_memory

GROUPS = {
    "products": ("::mm", "::addmm", "::bmm", "linear", "gemm", "cutlass"),
    "attention": ("attention", "fmha", "flash"),
    "data moved": ("copy", "::cat", "index", "clone", "fill", "Memcpy"),
}


def main() -> None:
    keep_freed_memory()
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model")
    parser.add_argument("texts", type=Path)
    parser.add_argument("--work", choices=WORKS, default="choices")
    parser.add_argument("--questions", type=int, default=48)
    parser.add_argument("--device", default="auto")
    parser.add_argument("--dtype", default="float32")
    parser.add_argument("--pack", type=int)
    given = parser.parse_args()
    source = HuggingFace(given.model)
    model: Any = source.load(given.device, given.dtype)
    work = WORKS[given.work](paragraphs_of(given.texts), given.questions)
    budget = Budget.of(model.device.type)
    budget = budget if given.pack is None else replace(budget, pack=given.pack)
    engine = Engine(model, source.inspect(), budget=budget)
    engine.run(work.requests[:4])
    engine.counters.take()
    # A new engine for each run: no answer comes from a cache.
    _, plain = timed(lambda: Engine(model, source.inspect(), budget=budget).run(work.requests))
    engine = Engine(model, source.inspect(), budget=budget)
    on_gpu = model.device.type == "cuda"
    with profile(activities=[ProfilerActivity.CUDA if on_gpu else ProfilerActivity.CPU]) as recorded:
        _, spent = timed(lambda: engine.run(work.requests))
    groups = dict.fromkeys([*GROUPS, "other operators"], 0.0)
    for event in recorded.key_averages():
        seconds = (event.self_device_time_total if on_gpu else event.self_cpu_time_total) / 1e6
        name = next((g for g, parts in GROUPS.items() if any(part in event.key for part in parts)), "other operators")
        groups[name] += seconds
    groups["outside"] = spent.wall - sum(groups.values())
    c = engine.counters
    print(f"{given.work}: {len(work.requests)} requests, {c.tokens_computed:,} tokens computed, {c.tokens_shared:,} shared")
    for name, seconds in groups.items():
        print(f"  {name:<16} {seconds:8.2f} s  {seconds / spent.wall:6.1%}")
    rate = c.flops / plain.wall
    share = rate / measure_flops_per_s(model.device, model.dtype)
    print(f"  without the profiler {plain.wall:.2f} s: {rate / 1e9:.0f} GFLOP/s, {share:.0%} of a plain product's")


if __name__ == "__main__":
    main()
