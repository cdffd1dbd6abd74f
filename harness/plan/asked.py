"""What a suite says of one item: where that is corrected, this item is run again, and the others keep their records."""

from __future__ import annotations

from ..items.base.planned_item import PlannedItem, PlannedModel
from ..store import codec
from ..suite.specs import Suite, portable_model, portable_task
from ..threats import describe_threat

_OF_TASKS_ENTRY = ("models", "limit", "name")
"""Keys of a task's entry that say which items there are, not what one of them is."""


def digest_declaration(item: PlannedItem, suite: Suite, /) -> str:
    """A digest of all that the suite decides about the item: its model, task, settings, threat, scores, roles, number of samples and seed,
    where and how it computes, and the same of the items that it rests on. Not of what lies in files: that is compared by fingerprints."""
    task = portable_task(item.task.spec.model_dump(mode="json"))
    return codec.digest(
        {
            "model": _model(item.model), "task": {key: value for key, value in task.items() if key not in _OF_TASKS_ENTRY},
            "settings": {} if item.key.is_task else dict(item.settings),
            "threat": describe_threat(item.threat) if item.threat is not None else None,
            "scores": (item.scores, item.each_word), "num_samples": len(item.samples), "seed": item.seed, "suite_seed": suite.seed,
            "roles": {role: _model(player) for role, player in item.roles.items()},
            "computes": (suite.device, suite.dtype, suite.batch.model_dump(mode="json")),
            "bases": [digest_declaration(base, suite) for base in item.rests_on],
        }
    )  # fmt: skip


def _model(planned: PlannedModel) -> dict[str, object]:
    return portable_model(planned.spec.model_dump(mode="json"))
