"""Facts of a run that several formats need: its date, its models and tasks, and the rows with a value."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from ...harness.api.scorecard import Row, Scorecard
from ..display import list_unique, make_finite

_UNKNOWN = "1970-01-01T00:00:00+00:00"
"""The date of a run without recorded sessions."""


def get_date(scorecard: Scorecard, /) -> datetime:
    """Return when the last session of the run ended, in UTC. Exports of one run therefore have one date, whenever they are made."""
    return datetime.fromisoformat(max((session.ended or session.started for session in scorecard.sessions), default=_UNKNOWN))


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
