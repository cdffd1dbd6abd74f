"""What an item of a plan is made of. A resumed run compares each ingredient with that of the records that are there."""

from __future__ import annotations

from dataclasses import is_dataclass
from typing import Any

from ...api.errors import DataError
from ...api.resources import digests_of
from ...api.samples import Sample
from ...identity.code import local_code
from ...identity.digests import digest_parts, is_unknown
from ...identity.values import digest_state
from ...store import codec
from ...threats import describe_threat
from .planned_item import PlannedItem, PlannedModel
from .portable import portable


def ingredients(item: PlannedItem, /) -> dict[str, Any]:
    """All that is known before a model loads; the fingerprints of the models are added by who loads them.

    Not among them: names of folders, batch sizes, devices, times, gates, reports, comments.
    """
    task = item.task
    # A task's data and metrics are compared by what they hold.
    settings = {k: v for k, v in item.settings.items() if not item.key.is_task or k not in ("data", "metrics")}
    found: dict[str, Any] = {
        "definition of its task": task.definition,
        "samples": task.samples_digest,
        "code of its task": (task.origin, code_digest(task.task)),
        "settings": codec.digest(portable(settings)),
        "scores": (item.scores, item.each_word),
        "word data": digests_of(item.plugin) | digests_of(item.threat),
    }
    if own := code_digest(item.kind):
        found["code of its kind"] = own
    if item.key.is_task:
        found["metrics"] = task.metric_code
    if item.plugin is not None:
        found["code"] = code_digest(item.plugin)
    if item.threat is not None:
        found["threat"] = codec.digest(_threat(item.threat))
    if item.rests_on:
        bases = [(base.model.name, base.item, base.seed, ingredients(base)) for base in item.rests_on]
        found["items that it rests on"] = codec.digest(bases)
    return found


def model_fingerprint(planned: PlannedModel, model: Any, /) -> str:
    """The loaded model's own fingerprint, and with it the code of the file or package that made it, where that is not Windtunnel's."""
    code = code_digest(planned.source)
    return str(model.fingerprint) if not code or is_unknown(model.fingerprint) else digest_parts((model.fingerprint, code))


def code_digest(part: Any, /) -> str:
    """Of the local files that an object's class comes from; empty of a library's, whose version says it."""
    code = local_code(type(part))
    return code.digest if code is not None else ""


def sample_digest(task: str, sample: Sample, /) -> bytes:
    """Raises `DataError` for a sample of a task that cannot be recorded."""
    try:
        return codec.digest(sample).encode()
    except (TypeError, ValueError) as error:
        raise DataError(f"task {task!r}: the sample {sample.id!r} cannot be recorded: {error}") from error


def _threat(threat: Any) -> tuple[Any, ...]:
    """A dataclass by what its equality is made of; anything else by what it holds."""
    held = [] if is_dataclass(threat) else digest_state(threat)
    return describe_threat(threat) if not held else type(threat).__name__, held, code_digest(threat)
