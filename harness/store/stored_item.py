"""An item of the plan as a run store keeps it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class StoredItem:
    """One item of the plan as it was run. ``facts``: settings, threat, metrics, notes: what a scorecard needs beside the records."""

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
