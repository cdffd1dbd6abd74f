"""A work item as the run store keeps it."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ..api.item_key import ItemKey
from ..identity.digests import is_unknown
from . import codec


@dataclass(frozen=True, slots=True)
class StoredItem:
    """A work item as it was run.

    facts: settings, threat, metrics, notes: all that a scorecard needs besides the records.
    sample_set: id of the set of its task's samples in the store.
    """

    id: int
    model: str
    key: ItemKey
    num_samples: int
    model_fingerprint: str
    data_fingerprint: str
    plugin: str
    seed: int
    facts: Mapping[str, Any]
    sample_set: int = 0

    @classmethod
    def from_row(cls, row: Sequence[Any], /) -> StoredItem:
        """The item of a row of the table ``items``, its columns in the order of the fields."""
        number, model, key, num_samples, fingerprint, data, plugin, seed, facts, sample_set = row
        known = ItemKey.from_json(codec.loads(key))
        return cls(number, model, known, num_samples, fingerprint, data, plugin, seed, codec.loads(facts), sample_set)

    def is_current(self, standing: Mapping[int, tuple[bool, str]], planned: Collection[tuple[str, str]] | None, /) -> bool:
        """Whether the suite still has the item, and it was not set aside.

        standing: whether each item stands, by id. planned: models and items of the suite; None if unknown.
        """
        return standing.get(self.id, (True, ""))[0] and (planned is None or (self.model, self.item) in planned)

    @property
    def item(self) -> str:
        """The item's name for people."""
        return str(self.key)

    @property
    def kind(self) -> str:
        return self.key.kind

    @property
    def task(self) -> str:
        return self.key.task

    @property
    def identity(self) -> dict[str, object]:
        """All that must be unchanged when a run is resumed, by its name in messages (`identity.ingredients`)."""
        named = ("kind", "task", "num_samples", "model_fingerprint", "data_fingerprint", "plugin", "seed")
        return {
            **{name: getattr(self, name) for name in named},
            "player of its roles": {role: (player["model"], player["fingerprint"]) for role, player in self.facts.get("roles", {}).items()},
            **self.facts.get("identity", {}),
            **{_VERSION + name: version for name, version in self.facts.get("versions", {}).items()},
        }

    @property
    def declaration(self) -> object:
        """The suite's entry for the item, and the stored items it depends on. If they change, so does the item."""
        return self.facts.get("asked"), tuple(self.facts.get("rests_on", ()))

    def is_same(self, other: StoredItem, /) -> bool:
        """Whether the records of one item are valid for the other."""
        name = (self.model, self.key, self.declaration)
        if name != (other.model, other.key, other.declaration):
            return False
        return not (describe_conflict(self, other) or describe_change(self, other))


_VERSION = "version of "
"""Prefix of the names of library versions in `StoredItem.identity`."""

_WORDS = {"model_fingerprint": "model", "data_fingerprint": "data", "num_samples": "number of samples"}
"""Names in messages for parts of the identity that users do not know by their field."""


def describe_conflict(known: StoredItem, now: StoredItem, /) -> str:
    """Say why records of ``known`` can be neither kept for ``now`` nor replaced; empty if there is no such reason.

    Either a model or program has no fingerprint, or library versions differ, which affects all items. The text
    follows 'records of ...'.
    """
    for item in (known, now):
        players = {f"player of the role {role!r}": player["fingerprint"] for role, player in item.facts.get("roles", {}).items()}
        for what, fingerprint in ({"model": item.model_fingerprint, "program": item.plugin} | players).items():
            if is_unknown(fingerprint):
                return f"whose {what} is {fingerprint}: whether it has changed is not known"
    before, after = known.identity, now.identity
    versions = [name for name in _list_changed(before, after) if name.startswith(_VERSION)]
    changes = ", ".join(f"{name} ({before.get(name) or 'none'}, now {after.get(name) or 'none'})" for name in versions)
    return f"made with another {changes}; one run cannot hold results of both" if changes else ""


def describe_change(known: StoredItem, now: StoredItem, /) -> str:
    """Say which parts of the identity differ; empty if none does. The text follows 'it was ...'."""
    changed = _list_changed(known.identity, now.identity)
    return f"made with another {', '.join(_WORDS.get(name, name) for name in changed)}" if changed else ""


def _list_changed(before: Mapping[str, object], after: Mapping[str, object]) -> list[str]:
    return [name for name in {**before, **after} if before.get(name) != after.get(name)]
