"""The process of a verb: what it may tell and fetch, and how its libraries behave."""

from __future__ import annotations

import os

from ..system.offline import disable_telemetry, go_offline


def prepare(offline: bool) -> None:
    """Set up the process before anything heavy is imported. offline: keep Hugging Face off the network."""
    disable_telemetry()
    if offline:
        go_offline()
    # OpenMP threads that spin while they wait make a tiny model 20 times slower on a busy machine.
    os.environ.setdefault("OMP_WAIT_POLICY", "passive")
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")
    os.environ.setdefault("HF_HUB_DISABLE_PROGRESS_BARS", "1")
