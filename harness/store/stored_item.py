"""An item of the plan as a run store keeps it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


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
        """What must be the same when a run is resumed."""
        named = ("kind", "task", "num_samples", "model_fingerprint", "data_fingerprint", "plugin", "seed")
        players = {role: player["fingerprint"] for role, player in self.facts.get("roles", {}).items()}
        same = {**{name: getattr(self, name) for name in named}, "player of its roles": players, "word data": self.facts.get("resources")}
        # Stores from before it was kept go on without it.
        return same | ({"definition of its task": self.facts["definition"]} if "definition" in self.facts else {})

    @property
    def asked(self) -> object:
        """What the suite says of it, and which stored items it rests on. Where that changes, it is another item of the same name."""
        return self.facts.get("asked"), tuple(self.facts.get("rests_on", ()))

    def is_same(self, other: StoredItem, /) -> bool:
        """Whether records of one are records of the other."""
        name = (self.model, self.item, self.asked)
        return name == (other.model, other.item, other.asked) and self.identity == other.identity
