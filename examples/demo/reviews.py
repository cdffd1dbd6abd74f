"""Load the demo's product reviews: short texts, written for this project, with a label and the words that support it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

_FILE = Path(__file__).parent / "data" / "reviews.jsonl"


def held_out() -> Iterator[dict[str, Any]]:
    """Yield the test split, a quarter of the rows: ``id``, ``text``, ``label``, ``rationale`` (words)."""
    return _read_rows("test")


def training() -> Iterator[dict[str, Any]]:
    """Yield the training split."""
    return _read_rows("train")


def _read_rows(split: str) -> Iterator[dict[str, Any]]:
    for line in _FILE.read_text(encoding="utf-8").splitlines():
        row = json.loads(line)
        if row["split"] == split:
            yield row
