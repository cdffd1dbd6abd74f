"""Digests of everything that an item's records depend on. A resumed run compares them with the recorded digests."""

from __future__ import annotations

from dataclasses import is_dataclass
from typing import Any

from ...api.errors import DataError
from ...api.resources import digest_resources
from ...api.samples import Sample
from ...identity.code import collect_local_code
from ...identity.digests import digest_parts, is_unknown
from ...identity.values import digest_state
from ...store import codec
from ...threats import describe_threat
from .planned_item import PlannedItem, PlannedModel
from .portable import make_portable


def digest_ingredients(item: PlannedItem, /) -> dict[str, Any]:
    """Return the digests that are known before a model loads, by name. The runner adds the fingerprints of the models.

    They do not depend on folder names, batch sizes, devices, times, gates, reports or comments.
    """
    task = item.task
    # The data and metrics of a task are compared by content.
    settings = {k: v for k, v in item.settings.items() if not item.key.is_task or k not in ("data", "metrics")}
    digests: dict[str, Any] = {
        "definition of its task": task.definition,
        "samples": task.samples_digest,
        "code of its task": (task.origin, digest_code(task.task)),
        "settings": codec.digest(make_portable(settings)),
        "scores": (item.scores, item.each_word),
        "word data": digest_resources(item.plugin) | digest_resources(item.threat),
    }
    if kind_code := digest_code(item.kind):
        digests["code of its kind"] = kind_code
    if item.key.is_task:
        digests["metrics"] = task.metric_code
    if item.plugin is not None:
        digests["code"] = digest_code(item.plugin)
    if item.threat is not None:
        digests["threat"] = codec.digest(_describe_state(item.threat))
    if item.rests_on:
        bases = [(base.model.name, base.item, base.seed, digest_ingredients(base)) for base in item.rests_on]
        digests["items that it rests on"] = codec.digest(bases)
    return digests


def combine_fingerprint(planned: PlannedModel, model: Any, /) -> str:
    """Return the fingerprint of a loaded model, combined with the digest of its plugin's code for local plugins."""
    code = digest_code(planned.source)
    return str(model.fingerprint) if not code or is_unknown(model.fingerprint) else digest_parts((model.fingerprint, code))


def digest_code(part: Any, /) -> str:
    """Return a digest of the local files that define an object's class.

    Empty for a class of an installed library, which its version identifies.
    """
    code = collect_local_code(type(part))
    return code.digest if code is not None else ""


def sample_digest(task: str, sample: Sample, /) -> bytes:
    """Return the digest of a sample. Raises `DataError` if the sample cannot be recorded."""
    try:
        return codec.digest(sample).encode()
    except (TypeError, ValueError) as error:
        raise DataError(f"task {task!r}: the sample {sample.id!r} cannot be recorded: {error}") from error


def _describe_state(threat: Any) -> tuple[Any, ...]:
    """Describe a threat: a dataclass by its fields, any other object by its state."""
    state = [] if is_dataclass(threat) else digest_state(threat)
    return describe_threat(threat) if not state else type(threat).__name__, state, digest_code(threat)
