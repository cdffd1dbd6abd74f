"""Helpers of the exports: write files, list rows with a value, and find models, tasks and dates."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from ...harness.api.report import RunFrames
from ...harness.api.scorecard import Row, Scorecard
from ...harness.api.visible_text import escape_surrogates
from ..display import list_unique, make_finite

RECORDS = "run.db"


def get_date(run: RunFrames, /) -> datetime:
    """Return when the last record was written, in UTC. Exports of one run therefore have one date, whenever they are made."""
    return datetime.fromtimestamp((run.path / RECORDS).stat().st_mtime, UTC)


def write_text(path: Path, text: str, /) -> None:
    """Write a text file, its folder included. Lone surrogates, which UTF-8 cannot hold, become escapes."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(escape_surrogates(text).encode())


def write_json(path: Path, value: Any, /) -> None:
    """Write a value as JSON (`to_plain`)."""
    write_text(path, json.dumps(to_plain(value), indent=2, ensure_ascii=False, allow_nan=False) + "\n")


def to_plain(value: Any, /) -> Any:
    """Return a value of JSON: mappings with text as keys, lists, texts and finite numbers; NaN and infinity become None."""
    if isinstance(value, Mapping):
        return {escape_surrogates(str(key)): to_plain(part) for key, part in value.items()}
    if isinstance(value, list | tuple):
        return [to_plain(part) for part in value]
    if isinstance(value, str):
        return escape_surrogates(value)
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value if value is None or isinstance(value, bool | int | float) else str(value)


def list_valued_rows(scorecard: Scorecard, model: str, /) -> list[Row]:
    """Return the rows of a model that have a finite value."""
    return [row for row in scorecard.rows if row.model == model and make_finite(row.estimate).value is not None]


def list_primary_rows(scorecard: Scorecard, model: str, /) -> list[Row]:
    """Return the first row of each task of a model that has a finite value; it is the task's first metric over all samples."""
    rows: dict[str, Row] = {}
    for row in list_valued_rows(scorecard, model):
        if row.key.is_task and not row.slice and not row.about and row.dimension != "efficiency":
            rows.setdefault(row.key.task, row)
    return list(rows.values())


def list_models(scorecard: Scorecard, /) -> list[str]:
    """Return the names of the models that have rows."""
    return list_unique(row.model for row in scorecard.rows)


def get_model_facts(scorecard: Scorecard, model: str, /) -> Mapping[str, Any]:
    """Return what the manifest says of a model: fingerprint, dtype, device, ``model`` (its address in the suite)."""
    facts = scorecard.manifest.get("models", {}).get(model, {})
    return facts if isinstance(facts, Mapping) else {}


def get_model_id(scorecard: Scorecard, model: str, /) -> str:
    """Return the model's id on the Hub, ``owner/name``, or ``local/NAME`` for a model from elsewhere."""
    address = str(get_model_facts(scorecard, model).get("model", ""))
    target = address.removeprefix("hf:")
    is_on_hub = address.startswith("hf:") and target.count("/") == 1 and target[0] not in "./~"
    return target if is_on_hub else f"local/{model.replace('/', '_')}"


def get_task_facts(scorecard: Scorecard, task: str, /) -> Mapping[str, Any]:
    """Return what the manifest says of a task: ``title``, ``hub_task``, ``source``; empty values where it says nothing."""
    facts = scorecard.manifest.get("tasks", {}).get(task, {})
    return {"title": facts.get("title") or task, "hub_task": facts.get("hub_task") or "other", "source": facts.get("source") or {}}


def is_slice_or_detail(row: Row, /) -> bool:
    """Tell whether a row is about a slice, a class, a word, a judge or a control rather than about all samples of its item."""
    return bool(row.slice or row.about or row.control)
