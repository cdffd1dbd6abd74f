"""The facts of a run that readers of its numbers need: what was run, on which data, and what to be careful about."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from ..api.errors import TooLong, Withheld
from ..api.scorecard import Row
from ..items.base.kind import ItemKind
from ..store import Store, StoredItem

_ABOUT_TASKS = ("title", "hub_task", "source")


def make_manifest(store: Store, suite: Mapping[str, Any], items: Sequence[StoredItem], flags: Sequence[str], /) -> dict[str, Any]:
    """Return what was run: models, items, data, versions and what readers must know.

    ``suite``: the recorded suite. ``items``: the current items. ``flags``: sentences that warn readers.
    """
    models = {
        i.model: {"model": i.facts["model"], "fingerprint": i.model_fingerprint, "notes": list(i.facts["model_notes"]),
                  "dtype": i.facts["dtype"], "device": i.facts["device"]}
        for i in items
    }  # fmt: skip
    return {
        "name": store.name, "version": store.version, "versions": _to_json(items[0].facts.get("versions", {})) if items else {},
        "digest": store.digest, "suite": suite["identity"], "seed": suite["seed"], "models": models,
        "items": list(map(describe_item, items)),
        "data": {i.task: notes for i in items if (notes := _list_data_notes(i))},
        "tasks": {i.task: {name: i.facts[name] for name in _ABOUT_TASKS if name in i.facts} for i in items if i.key.is_task},
        "skipped": [_to_json(s) for s in suite.get("skipped", ())], "flags": list(flags),
        "set_aside": [{"model": i.model, "item": i.item, "why": why, "num_records": store.count(i)} for i, why in store.set_aside()],
    }  # fmt: skip


def describe_item(i: StoredItem, /) -> dict[str, Any]:
    """Return the facts about an item that comparisons read."""
    return {
        "model": i.model, "item": i.item, "key": i.key.to_json(), "kind": i.kind, "task": i.task, "num_samples": i.num_samples,
        "data_fingerprint": i.data_fingerprint, "plugin": i.plugin, "seed": i.seed, "identity": _to_json(i.facts.get("identity", {})),
        "settings": _to_json(i.facts["settings"]), "threat": _to_json(i.facts.get("threat")), "roles": _to_json(i.facts["roles"]),
    }  # fmt: skip


def _list_data_notes(item: StoredItem) -> dict[str, list[str]]:
    """Return the sentences about a task's data: notes, and cautions about a part that does not represent the set."""
    found = {name: list(item.facts.get(f"data_{name}", ())) for name in ("notes", "cautions")}
    return {name: sentences for name, sentences in found.items() if sentences}


def _to_json(value: Any) -> Any:
    """Convert tuples to lists, as JSON does."""
    if isinstance(value, Mapping):
        return {k: _to_json(v) for k, v in value.items()}
    return [_to_json(v) for v in value] if isinstance(value, tuple | list) else value


_UNANSWERED = {
    TooLong.__name__: "are longer than the model's context and have no answer",
    Withheld.__name__: "have no answer, because the model's provider refused or withheld it",
    "refused": "were answered by a refusal of the model's provider",
}


def list_changes(rows: Iterable[Row], /) -> Iterable[str]:
    """Return sentences about models that changed during the run."""
    changed = {
        "model_changes": "the model behind the endpoint",
        "role_changes": "a model in a role (a judge, an attacker) behind an endpoint",
    }
    for row in rows:
        if row.metric in changed:
            yield (
                f"{row.model}/{row.key}: {changed[row.metric]} changed during the run: the answers to the same prompts differ from "
                "those at its start. The numbers mix several models; run again in a new folder, with an exact version as the name."
            )


def list_flags(
    items: Sequence[StoredItem], notes: Mapping[int, Mapping[str, int]], kinds: Mapping[str, ItemKind], plugin_files: Sequence[str], /
) -> Iterable[str]:  # fmt: skip
    """Return sentences that warn readers about the numbers of items of any kind. ``notes``: `RunResults.notes`."""
    for item in items:
        where, noted = f"{item.model}/{item.item}", notes[item.id]
        if item.kind not in kinds:
            files = f" ({', '.join(plugin_files)})" if plugin_files else ""
            yield f"{where}: records load no code, so that the item only has rows about costs: pass the run's plugin file{files}"
        if item.facts.get("caution"):
            yield f"{where}: {item.facts['caution']}"
        yield from (f"{where}: {caution}" for caution in item.facts.get("data_cautions", ()))
        for name, what in _UNANSWERED.items():
            if noted[name]:
                yield f"{where}: {noted[name]:,} of {noted['records']:,} samples {what}."
        if noted["truncated"]:
            yield f"{where}: {noted['truncated']:,} of {noted['records']:,} samples were longer than the model and were cut."
