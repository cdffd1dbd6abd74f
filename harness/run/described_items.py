"""Descriptions of planned items for the store, and the items whose records no longer hold."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, replace
from typing import Any

from ..engine import Engine
from ..identity.libraries import run_versions
from ..items.base.ingredients import digest_ingredients
from ..items.base.planned_item import PlannedItem
from ..plan.asked import digest_declaration
from ..store import Store, StoredItem
from ..suite.specs import Suite
from ..threats import describe_threat


def describe_item(item: PlannedItem, engine: Engine | None, suite: Suite, store: Store, /) -> StoredItem:
    """Describe an item for the store: everything that the scorecard needs besides its records. ``engine``: None before loading."""
    task = item.task.task
    notes, dtype, device = (engine.model.notes, engine.model.dtype, engine.model.device) if engine is not None else ((), None, None)
    roles = engine.roles if engine is not None else {}
    facts: dict[str, Any] = {
        "chunk": suite.chunk, "looks": suite.num_looks, "asked": digest_declaration(item, suite), "rests_on": _find_base_ids(item, store),
        "identity": digest_ingredients(item), "versions": run_versions(), "labels": item.task.labels, "primary": task.primary,
        "dimension": task.dimension, "settings": dict(item.settings),
        "scores": item.scores,
        "model_notes": (*item.model.info.notes, *notes), "model": item.model.spec.model,
        "dtype": str(dtype or ""), "device": str(device or ""),
        "budget": asdict(engine.budget) if engine is not None else {},
        "roles": {role: {"model": item.roles[role].name, "fingerprint": player.fingerprint} for role, player in roles.items()},
    }  # fmt: skip
    facts |= item.kind.facts(item)
    if item.plugin is not None and item.plugin.caution:
        facts["caution"] = item.plugin.caution
    if item.threat is not None:
        facts["threat"] = describe_threat(item.threat)
    return StoredItem(
        0, item.model.name, item.key, len(item.samples), engine.fingerprint if engine is not None else "",
        item.task.data_fingerprint, item.origin, item.seed, facts,
    )  # fmt: skip


def _find_base_ids(item: PlannedItem, store: Store) -> tuple[int, ...]:
    """Return the ids of the stored items that the item depends on."""
    known = (store.current(base.model.name, base.item) for base in item.rests_on)
    return tuple(base.id for base in known if base is not None)


def describe_known_items(items: Sequence[PlannedItem], *, suite: Suite, store: Store, fingerprint: str | None = None) -> list[StoredItem]:
    """Describe the items that have records, as far as possible before the models of roles load.

    ``fingerprint``: that of the items' own model; None before it loads.
    """
    recorded = {(known.model, known.item): known for known in store.items()}
    described = []
    for item in items:
        known = recorded.get((item.model.name, item.item))
        if known is not None:
            now = describe_item(item, None, suite, store)
            facts = {**now.facts, "roles": known.facts["roles"]}
            described.append(replace(now, model_fingerprint=fingerprint or known.model_fingerprint, facts=facts))
    return described


def set_aside(store: Store, say: Callable[[str], None], now: Sequence[StoredItem]) -> None:
    """Set aside the records of changed items, and report the items and the reasons."""
    reasons: dict[str, list[str]] = {}
    for item, why in store.set_aside_changed(now):
        reasons.setdefault(why, []).append(f"{item.model}/{item.item}")
    for why, names in reasons.items():
        say(f"run again: {', '.join(names)}: {why}. The old records are set aside in {store.path}")
