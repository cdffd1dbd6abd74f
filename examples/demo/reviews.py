"""Short product reviews written for this project, each with its label and the words that carry it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

_FILE = Path(__file__).parent / "data" / "reviews.jsonl"


def held_out() -> Iterator[dict[str, Any]]:
    """The quarter that the demo's model has not seen: ``id``, ``text``, ``label``, ``rationale`` (words)."""
    return _rows("test")


def training() -> Iterator[dict[str, Any]]:
    """The other three quarters."""
    return _rows("train")


def _rows(split: str) -> Iterator[dict[str, Any]]:
    for line in _FILE.read_text(encoding="utf-8").splitlines():
        row = json.loads(line)
        if row["split"] == split:
            yield row
