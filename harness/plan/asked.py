"""Digests of the part of a suite that defines one item. If that part changes, only this item runs again."""

from __future__ import annotations

from ..items.base.planned_item import PlannedItem, PlannedModel
from ..store import codec
from ..suite.specs import Suite, make_portable_model, make_portable_task
from ..threats import describe_threat

_OF_TASKS_ENTRY = ("models", "limit", "name")
"""Keys of a task's entry that select items and do not change the records of an item."""


def digest_declaration(item: PlannedItem, suite: Suite, /) -> str:
    """Return a digest of everything in the suite that an item's records depend on.

    It covers the item's model, task, settings, threat, scores, roles, number of samples and seed, the device, dtype and
    batch settings, and the same values of the items that this item depends on. It does not cover the content of files,
    which fingerprints compare.
    """
    task = make_portable_task(item.task.spec.model_dump(mode="json"))
    return codec.digest(
        {
            "model": _describe_model(item.model), "task": {key: value for key, value in task.items() if key not in _OF_TASKS_ENTRY},
            "settings": {} if item.key.is_task else dict(item.settings),
            "threat": describe_threat(item.threat) if item.threat is not None else None,
            "scores": (item.scores, item.each_word), "num_samples": len(item.samples), "seed": item.seed, "suite_seed": suite.seed,
            "roles": {role: _describe_model(player) for role, player in item.roles.items()},
            "computes": (suite.device, suite.dtype, suite.batch.model_dump(mode="json")),
            "bases": [digest_declaration(base, suite) for base in item.rests_on],
        }
    )  # fmt: skip


def _describe_model(planned: PlannedModel) -> dict[str, object]:
    return make_portable_model(planned.spec.model_dump(mode="json"))
