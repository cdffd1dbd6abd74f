"""An item of the plan as a run store keeps it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ..identity.digests import is_unknown


@dataclass(frozen=True, slots=True)
class StoredItem:
    """One item of the plan as it was run. ``facts``: settings, threat, metrics, notes: what a scorecard needs beside the records.
    ``sample_set``: where its task's samples are in the store."""

    id: int
    model: str
    item: str
    kind: str
    task: str
    num_samples: int
    model_fingerprint: str
    data_fingerprint: str
    plugin: str
    seed: int
    facts: Mapping[str, Any]
    sample_set: int = 0

    @property
    def program(self) -> str:
        """The attack's or probe's own name: ``deepwordbug`` of ``deepwordbug(sst2)``."""
        return self.item.removesuffix(f"({self.task})")

    @property
    def probe(self) -> str | None:
        """The own name of the probe that made the attributions, or whose attributions the item is about."""
        item = self.item if self.kind == "probe" else self.facts.get("probe")
        return None if item is None else str(item).removesuffix(f"({self.task})")

    @property
    def identity(self) -> dict[str, object]:
        """What must be the same when a run is resumed, by the words for it (`identity.ingredients`)."""
        named = ("kind", "task", "num_samples", "model_fingerprint", "data_fingerprint", "plugin", "seed")
        return {
            **{name: getattr(self, name) for name in named},
            "player of its roles": {role: (player["model"], player["fingerprint"]) for role, player in self.facts.get("roles", {}).items()},
            **self.facts.get("identity", {}),
            **{_VERSION + name: version for name, version in self.facts.get("versions", {}).items()},
        }

    @property
    def asked(self) -> object:
        """What the suite says of it, and which stored items it rests on. Where that changes, it is another item of the same name."""
        return self.facts.get("asked"), tuple(self.facts.get("rests_on", ()))

    def is_same(self, other: StoredItem, /) -> bool:
        """Whether records of one are records of the other."""
        name = (self.model, self.item, self.asked)
        return name == (other.model, other.item, other.asked) and not (obstacle(self, other) or difference(self, other))


_VERSION = "version of "
"""What the versions among the ingredients begin with."""

_WORDS = {"model_fingerprint": "model", "data_fingerprint": "data", "num_samples": "number of samples"}
"""For people, where the name of an ingredient is not theirs."""


def obstacle(known: StoredItem, now: StoredItem, /) -> str:
    """Why records of ``known`` can be neither kept for ``now`` nor replaced, to follow 'records of ...': a model or
    a program cannot be known, or versions are others, which touch all items. Empty where there is no such thing."""
    for item in (known, now):
        players = {f"player of the role {role!r}": player["fingerprint"] for role, player in item.facts.get("roles", {}).items()}
        for what, fingerprint in ({"model": item.model_fingerprint, "program": item.plugin} | players).items():
            if is_unknown(fingerprint):
                return f"whose {what} is {fingerprint}: whether it still is the same cannot be told"
    before, after = known.identity, now.identity
    versions = [name for name in _changed(before, after) if name.startswith(_VERSION)]
    said = ", ".join(f"{name} ({before.get(name) or 'none'}, now {after.get(name) or 'none'})" for name in versions)
    return f"made with another {said}; results of both cannot be one run" if said else ""


def difference(known: StoredItem, now: StoredItem, /) -> str:
    """What the records of one are made of and those of the other are not, to follow 'it was ...'; empty where nothing."""
    changed = _changed(known.identity, now.identity)
    return f"made with another {', '.join(_WORDS.get(name, name) for name in changed)}" if changed else ""


def _changed(before: Mapping[str, object], after: Mapping[str, object]) -> list[str]:
    return [name for name in {**before, **after} if before.get(name) != after.get(name)]
