"""What a run is of: its suite, and the items of it, of which some were set aside because what they depend on changed."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Sequence
from pathlib import Path

from ..api.errors import ConfigError
from ..api.samples import Sample
from . import codec
from .sample_sets import SampleSets
from .store_file import LATEST, StoreFile
from .stored_item import StoredItem, describe_change, describe_conflict
from .tables import SCHEMA_VERSION


class WorkList(StoreFile):
    """The suite and the items of an open run store."""

    def __init__(self, connection: sqlite3.Connection, path: Path) -> None:
        super().__init__(connection, path)
        self._sample_sets = SampleSets(connection)

    @property
    def name(self) -> str:
        return str(self._read_rows(f"SELECT name FROM run {LATEST}")[0][0])

    @property
    def suite(self) -> str:
        """The suite of the run, as canonical JSON."""
        return str(self._read_rows(f"SELECT suite FROM run {LATEST}")[0][0])

    @property
    def version(self) -> str:
        return str(self._read_rows(f"SELECT version FROM run {LATEST}")[0][0])

    def amend(self, suite: str, version: str, /) -> None:
        """Add the suite's current text as a further row."""
        name = self.name
        with self._write():
            self._db.execute("INSERT INTO run VALUES (?, ?, ?, ?)", (SCHEMA_VERSION, name, suite, version))

    def items(self) -> list[StoredItem]:
        """Return the items of the current suite, in order of declaration."""
        standing, planned = self._find_standing(), self._list_planned()
        return [item for item in self._list_items() if item.is_current(standing, planned)]

    def current(self, model: str, item: str, /) -> StoredItem | None:
        return next((i for i in self.items() if (i.model, i.item) == (model, item)), None)

    def set_aside(self) -> list[tuple[StoredItem, str]]:
        """Return the items that are no longer part of the suite, each with the reason. Their records are kept."""
        standing, planned = self._find_standing(), self._list_planned()
        gone = "it is no longer in the suite"
        return [
            (item, gone if standing.get(item.id, (True, ""))[0] else standing[item.id][1])
            for item in self._list_items()
            if not item.is_current(standing, planned)
        ]

    def add_item(self, item: StoredItem, samples: Sequence[Sample], /) -> StoredItem:
        """Declare an item and its samples before its first record, and return the stored item.

        An item with the same identity is reused, even if it was set aside. An item with the same name and another
        identity is set aside as in `set_aside_changed`.
        """
        self.set_aside_changed([item])
        known = self.current(item.model, item.item)
        if known is not None:
            return known
        before = next((i for i, _ in self.set_aside() if i.is_same(item)), None)
        with self._write():
            if before is not None:
                self._set_standing(before, True, "its identity is the stored one again")
                return before
            sample_set = self._sample_sets.declare(item.task, samples)
            row = (item.model, item.item, codec.dumps(item.key.to_json()), item.num_samples, item.model_fingerprint, item.data_fingerprint,
                   item.plugin, item.seed, codec.dumps(item.facts), sample_set)  # fmt: skip
            cursor = self._db.execute(
                "INSERT INTO items (model, item, key, num_samples, model_fingerprint, data_fingerprint, plugin, seed, facts, sample_set)"
                " VALUES (?,?,?,?,?,?,?,?,?,?)", row)  # fmt: skip
        return next(i for i in self._list_items() if i.id == cursor.lastrowid)

    def set_aside_changed(self, now: Iterable[StoredItem], /) -> list[tuple[StoredItem, str]]:
        """Set aside the stored items that differ from ``now``'s items of the same name, and all that depend on them.

        An item differs if its entry in the suite, its model, its data or its code changed. Returns each item with the
        reason. Their records are kept.

        Raises `ConfigError`, and sets nothing aside, if records can be neither kept nor replaced
        (`stored_item.describe_conflict`).
        """
        stored = {(known.model, known.item): known for known in self.items()}
        pairs = [(stored[key], item) for item in now if (key := (item.model, item.item)) in stored]
        changed: list[tuple[StoredItem, str]] = []
        for known, item in pairs:
            if known.declaration != item.declaration:
                changed.append((known, "its entry in the suite changed"))
            elif why := describe_conflict(known, item):
                what = f"{self.path.parent} holds records of {known.item!r} on {known.model!r} {why}"
                raise ConfigError(f"{what}. Choose a new folder", argument="folder")
            elif why := describe_change(known, item):
                changed.append((known, f"it was {why}"))
        if not changed:
            return []
        with self._write():
            return self._set_aside_with_dependents(changed)

    def _set_aside_with_dependents(self, changed: Iterable[tuple[StoredItem, str]]) -> list[tuple[StoredItem, str]]:
        waiting, current, gone = list(changed), self.items(), dict[int, tuple[StoredItem, str]]()
        while waiting:
            item, why = waiting.pop(0)
            if item.id not in gone:
                gone[item.id] = item, why
                self._set_standing(item, False, why)
                dependents = [other for other in current if item.id in other.facts.get("rests_on", ())]
                waiting += [(other, f"it depends on {item.item}, which was set aside") for other in dependents]
        return list(gone.values())

    def _set_standing(self, item: StoredItem, is_current: bool, why: str) -> None:
        self._db.execute("INSERT INTO standing VALUES (?, ?, ?)", (item.id, int(is_current), why))

    def _list_items(self) -> list[StoredItem]:
        columns = "id, model, key, num_samples, model_fingerprint, data_fingerprint, plugin, seed, facts, sample_set"
        rows = self._read_rows(f"SELECT {columns} FROM items ORDER BY id")
        with self._read():
            return [StoredItem.from_row(row) for row in rows]

    def _find_standing(self) -> dict[int, tuple[bool, str]]:
        rows = self._read_rows("SELECT item, is_current, why FROM standing ORDER BY rowid")
        return {item: (bool(is_current), why) for item, is_current, why in rows}

    def _list_planned(self) -> set[tuple[str, str]] | None:
        """Return the (model, item) pairs of the suite; None if the stored suite does not list them."""
        with self._read():
            planned = codec.loads(self.suite).get("planned")
        return {(model, item) for model, item, _ in planned} if planned else None
