"""Checks a suite's baseline against its plan before weights load, and keeps a copy of it with the run."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from ..api.errors import ConfigError
from ..api.item_key import ItemKey
from ..api.registry import Registry
from ..api.scorecard import Scorecard
from ..items.base.ingredients import digest_ingredients
from ..items.base.planned_item import PlannedItem
from ..plan.types import Plan
from ..scorecard.counterparts import choose_model, describe_unpaired, drop_models, list_differences, pair_models
from ..scorecard.gates import Gate
from ..threats import describe_threat

REMEDY = "compare with a run of the same data and settings, or leave the gate out"


def load_planned_baseline(plan: Plan, registry: Registry | None = None) -> Scorecard | None:
    """Load the baseline of a plan's suite, and check that the gates can compare with it; None if the suite has none.

    ``registry``: the metrics; by default those of the suite's plugins.
    Raises `ConfigError` if the baseline cannot be read, lacks the number of a gate, or holds it for other data or settings.
    """
    suite = plan.suite
    if suite.baseline_path is None:
        return None
    from ..results.baseline import load_baseline

    try:
        baseline = load_baseline(suite.baseline_path, registry or Registry(suite.plugins), suite.baseline_model)
    except ConfigError as error:
        raise ConfigError(f"{suite.place('baseline')}{error}") from error
    for index, spec in enumerate(suite.gates):
        gate = spec.parse()
        if gate.drop is not None and (problem := _find_problem(gate, plan.items, baseline)):
            raise ConfigError(f"{suite.place('gates', index)}gate {gate.title!r}: {problem}; {REMEDY}")
    return baseline


def keep_baseline(baseline: Scorecard | None, plan: Plan, folder: Path, registry: Registry | None = None) -> None:
    """Keep a copy of a plan's baseline in the run folder. ``baseline``: as loaded. Raises `ConfigError`."""
    from ..results.baseline import keep_baseline as keep

    keep(baseline, plan.suite.baseline_path, folder, registry)


def _find_problem(gate: Gate, items: Sequence[PlannedItem], baseline: Scorecard) -> str:
    """Return why a gate cannot compare its planned items with those of a baseline; empty if it can."""
    about = [item for item in items if gate.concerns(item.model.name, item.item)]
    pairs = [(item, _find_counterpart(item, items, baseline)) for item in about]
    for item, other in pairs:
        if other is not None and not gate.allow_mismatch and (unlike := list_differences(other, _describe(item))):
            common = _count_common(item, other, baseline)
            return f"the baseline's {item.item} has different {', '.join(unlike)}{common}"
    if gate.missing != "missing":
        return ""
    found = any(other is not None and any(_list_rows(gate, other, baseline)) for _, other in pairs)
    models = [list(dict.fromkeys(names)) for names in (_list_models(baseline), (item.model.name for item in items))]
    if about and not pair_models(*models) and all(other is None for _, other in pairs):
        return describe_unpaired(*models)
    if about and not found:
        return f"the baseline has no such number; it has {', '.join(sorted({row.item for row in baseline.rows})) or 'none'}"
    lacking = [item.item for item, other in pairs if other is None and item.kind.can_have_row(item, gate.metric)]
    return f"the baseline has no {', '.join(lacking)}" if lacking else ""


def _find_counterpart(item: PlannedItem, items: Sequence[PlannedItem], baseline: Scorecard) -> Mapping[str, Any] | None:
    """Return the baseline's facts about an item, of the model that belongs to the item's; None if it has none."""
    key = drop_models(item.key)
    before = {other["model"]: other for other in baseline.manifest.get("items", ()) if drop_models(ItemKey.from_json(other["key"])) == key}
    after = [other.model.name for other in items if drop_models(other.key) == key]
    paired = pair_models(dict.fromkeys(_list_models(baseline)), dict.fromkeys(other.model.name for other in items))
    model = choose_model(paired, before, after, item.model.name)
    return None if model is None else before[model]


def _list_models(baseline: Scorecard) -> Iterator[str]:
    return (facts["model"] for facts in baseline.manifest.get("items", ()))


def _describe(item: PlannedItem) -> dict[str, Any]:
    """Return the facts of an item as the manifest of its run will have them."""
    facts = {
        "data_fingerprint": item.task.data_fingerprint, "num_samples": len(item.samples), "settings": dict(item.settings),
        "threat": describe_threat(item.threat) if item.threat is not None else None, "seed": item.seed, "plugin": item.origin,
        "identity": digest_ingredients(item),
    }  # fmt: skip
    return dict(json.loads(json.dumps(facts, default=str)))


def _list_rows(gate: Gate, other: Mapping[str, Any], baseline: Scorecard) -> Iterator[object]:
    rows = (row for row in (*baseline.rows, *baseline.times) if (row.model, row.item) == (other["model"], other["item"]))
    return (row for row in rows if gate.names(row.name, row.slice))


def _count_common(item: PlannedItem, other: Mapping[str, Any], baseline: Scorecard) -> str:
    """Return how many of an item's samples the baseline has, in words; empty if it does not say."""
    from ..statistics import get_evidence
    from ..statistics.evidence import hash_id

    of_item = (row for row in baseline.rows if (row.model, row.item) == (other["model"], other["item"]))
    known = {key for row in of_item if (evidence := get_evidence(row)) is not None for key in evidence.ids_N.tolist()}
    if not known:
        return ""
    num = sum(hash_id(sample.id) in known for sample in item.samples)
    return f"; {num:,} of the {len(item.samples):,} samples are in both"
