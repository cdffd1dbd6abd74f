"""``results.json``: the scorecard for programs. Samples are not included; they are in the run store."""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from ..harness.api.report import Report
from ..harness.api.scorecard import Row, Scorecard
from ..harness.scorecard.gates import exit_code
from .display import make_finite

FORMAT = 1
"""Version of the format; it increases when a key changes its meaning or is removed."""


class ResultsJson(Report):
    """Write the scorecard as JSON. Two equal runs write equal files, except for the top-level keys ``timing`` and ``sessions``.

    Floats use Python's shortest repr, mappings are sorted by key, and non-finite numbers are null.
    """

    suffix = "results.json"

    def render(self, scorecard: Scorecard, /) -> str:
        outcomes = Counter(gate.verdict for gate in scorecard.gates)
        results = {
            "format": FORMAT,
            "verdict": scorecard.verdict,
            "exit_code": exit_code(scorecard.verdict),
            "complete": scorecard.complete,
            "counts": {"samples": scorecard.num_samples, "failed": scorecard.num_failed, "gates": dict(outcomes)},
            "gates": [asdict(gate) for gate in scorecard.gates],
            "rows": [convert_row(row) for row in scorecard.rows],
            "comparisons": [_sort_values(comparison.to_json()) for comparison in scorecard.comparisons],
            "manifest": _sort_values(scorecard.manifest),
            "timing": {"rates": _sort_values(scorecard.timing), "rows": [convert_row(row) for row in scorecard.times]},
            "sessions": [asdict(session) for session in scorecard.sessions],
        }
        return json.dumps(results, indent=2, allow_nan=False) + "\n"


def convert_row(row: Row, /) -> dict[str, Any]:
    """Convert a row to JSON.

    ``item`` and ``metric`` are the names that people and gates use; ``key`` and ``parts`` are their components.
    """
    return {
        "model": row.model, "item": row.item, "metric": row.name, "dimension": row.dimension, "estimate": asdict(make_finite(row.estimate)),
        "higher_is_better": row.higher_is_better, "unit": row.unit, "key": row.key.to_json(),
        "parts": {"metric": row.metric, "control": row.control, "about": row.about, "slice": row.slice},
    }  # fmt: skip


def _sort_values(value: Any) -> Any:
    """Return the value with sorted mappings, and with None in place of NaN and infinity, which JSON lacks."""
    if isinstance(value, Mapping):
        return {str(key): _sort_values(value[key]) for key in sorted(value, key=str)}
    if isinstance(value, list | tuple):
        return [_sort_values(part) for part in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value
