"""Whether the network may be used."""

from __future__ import annotations

import os

_TRUE = {"1", "on", "true", "yes"}


def is_offline() -> bool:
    """True under ``--offline`` and where any of Hugging Face's own switches says so."""
    names = ("HF_HUB_OFFLINE", "HF_DATASETS_OFFLINE", "TRANSFORMERS_OFFLINE")
    return any(os.environ.get(name, "").lower() in _TRUE for name in names)


def go_offline() -> None:
    """Set Hugging Face's switches for this process. They are read when its libraries are imported: call this first."""
    os.environ["HF_HUB_OFFLINE"] = os.environ["HF_DATASETS_OFFLINE"] = "1"
