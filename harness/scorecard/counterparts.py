"""Which models, items and rows of two runs belong together, and what differs between them besides the model."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import replace
from typing import Any

from ..api.errors import ConfigError, suggest_name
from ..api.item_key import ItemKey
from ..api.scorecard import Row, Scorecard

Facts = Mapping[str, Any]
"""The facts about an item in the manifest of a scorecard."""

NAME_THE_MODEL = "choose one of the baseline's models with 'baseline_model' (--baseline-model)"

_FACTS = ("num_samples", "data_fingerprint", "seed", "plugin", "threat", "settings")

_WORDS: Mapping[str, str] = {
    "samples": "data", "definition of its task": "definition of the task, or its prompts", "code of its task": "code of the task",
    "metrics": "version of a metric", "scores": "list of scores", "code": "code of the attack or probe", "num_samples": "limit",
    "settings": "settings", "threat": "threat", "seed": "seed", "data_fingerprint": "data", "word data": "word data",
    "code of its kind": "code of the kind of item", "plugin": "version of the attack or probe",
}  # fmt: skip
"""What differs, in words, by the name of a fact of an item or of a part of its identity."""

_COUNTS = frozenset({"num_samples", "seed"})


def drop_models(key: ItemKey, /) -> ItemKey:
    """Return the key without the names of models, which differ between runs."""
    return replace(key, source_model="" if not key.source_model else "*", about=tuple(map(drop_models, key.about)))


def pair_models(baselines: Collection[str], candidates: Collection[str], /) -> dict[str, str]:
    """Return the baseline's model for each candidate: the only one, or the one of the same name. Others have none."""
    if len(baselines) == 1:
        return dict.fromkeys(candidates, next(iter(baselines)))
    return {name: name for name in candidates if name in baselines}


def choose_model(paired: Mapping[str, str], before: Collection[str], after: Collection[str], model: str, /) -> str | None:
    """Return the baseline's model of an item or row that belongs to that of the candidate's ``model``; None if none does.

    ``paired``: of `pair_models`. ``before``, ``after``: the models that have the item on each side: the only ones belong together.
    """
    if paired.get(model) in before:
        return paired[model]
    return next(iter(before)) if len(before) == len(after) == 1 else None


def describe_unpaired(baselines: Collection[str], candidates: Collection[str], /) -> str:
    """Return why no model of the candidate belongs to one of the baseline, and the fix."""
    known, asked = (", ".join(names) or "none" for names in (baselines, candidates))
    return f"no model is in both runs: the baseline has {known}, the candidate {asked}; {NAME_THE_MODEL}"


def select_model(card: Scorecard, model: str | None, source: str, /) -> Scorecard:
    """Return the part of a scorecard that is about one model. ``model``: its name; None for all. ``source``: for errors.

    Raises `ConfigError` if it has no such model.
    """
    if model is None:
        return card
    items = [facts for facts in card.manifest.get("items", ()) if facts["model"] == model]
    if not items:
        names = list(dict.fromkeys(facts["model"] for facts in card.manifest.get("items", ())))
        near = suggest_name(model, names)
        raise ConfigError(f"{source} has no model {model!r}.{near} Its models: {', '.join(names)}", argument="baseline_model")
    rows, times = (tuple(row for row in rows if row.model == model) for rows in (card.rows, card.times))
    return replace(card, manifest={**card.manifest, "items": items}, rows=rows, times=times)


def list_differences(before: Facts, after: Facts, /) -> list[str]:
    """Return in words what makes the numbers of two items measure different things: data, prompts, task, limit, metrics, threat.

    Models differ on purpose; and what an item rests on is compared by itself.
    """
    identities = before.get("identity", {}), after.get("identity", {})
    names = [name for name in _FACTS if before.get(name) != after.get(name)]
    names += [name for name in _WORDS if identities[0].get(name) != identities[1].get(name)]
    return list(dict.fromkeys(_WORDS[name] + (f" ({before[name]}, then {after[name]})" if name in _COUNTS else "") for name in names))


class Counterparts:
    """The rows of a baseline beside those of a run."""

    def __init__(self, card: Scorecard, baseline: Scorecard, /) -> None:
        self._sides = [_index(side) for side in (baseline, card)]
        self._items = [_index_items(side) for side in (baseline, card)]
        self.models = tuple(list(dict.fromkeys(row.model for row in (*side.rows, *side.times))) for side in (baseline, card))
        self._paired = pair_models(*self.models)

    def find(self, row: Row, /) -> Row | None:
        """Return the baseline's row for a row of the run; None if it has none.

        It is that of the model that belongs to the row's (`choose_model`).
        """
        before, after = (side.get((drop_models(row.key), row.name), {}) for side in self._sides)
        model = choose_model(self._paired, before, after, row.model)
        return None if model is None else before[model]

    def lacks(self, row: Row, /) -> bool:
        """Tell whether the run lacks a row of the baseline that it should have: that of a model which belongs to one of its own."""
        after = self._sides[1].get((drop_models(row.key), row.name), {})
        return not after and row.model in self._paired.values()

    def list_differences(self, other: Row, row: Row, /) -> list[str]:
        """Return in words what differs between the items of a baseline's row and a row of the run (`list_differences`)."""
        before, after = (side.get((r.model, drop_models(r.key)), {}) for side, r in zip(self._items, (other, row), strict=True))
        return list_differences(before, after)

    def explain_lack(self, row: Row, /) -> str:
        """Return why a row of the run has no counterpart."""
        if row.model in self._paired:
            return "the baseline has no such number"
        return f"the baseline has no model {row.model!r}, only {', '.join(self.models[0])}; {NAME_THE_MODEL}"


def _index(card: Scorecard) -> dict[tuple[ItemKey, str], dict[str, Row]]:
    """Return the rows by item and name, then by model."""
    found: dict[tuple[ItemKey, str], dict[str, Row]] = {}
    for row in (*card.rows, *card.times):
        found.setdefault((drop_models(row.key), row.name), {})[row.model] = row
    return found


def _index_items(card: Scorecard) -> dict[tuple[str, ItemKey], Facts]:
    return {(facts["model"], drop_models(ItemKey.from_json(facts["key"]))): facts for facts in card.manifest.get("items", ())}
