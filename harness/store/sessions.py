"""The sessions of a run: when, with which command and on which machine records were computed."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from datetime import UTC, datetime
from typing import Any

from ..api.scorecard import Session


class Sessions:
    """The tables ``sessions`` and ``session_ends`` of an open store.

    connection: the store's. write: opens a transaction that ends with a link of the chain. read: returns the rows of a query.
    """

    def __init__(
        self, connection: sqlite3.Connection, write: Callable[[], AbstractContextManager[None]], read: Callable[[str], list[Any]]
    ) -> None:  # fmt: skip
        self._db = connection
        self._write = write
        self._read = read

    def start(self, started: datetime, command: str, host: Mapping[str, str | int], /) -> int:
        """Add a session and return its number."""
        with self._write():
            row = (_to_text(started), command, json.dumps(dict(host), sort_keys=True))
            return self._db.execute("INSERT INTO sessions (started, command, host) VALUES (?, ?, ?)", row).lastrowid or 0

    def end(self, number: int, ended: datetime, /) -> None:
        """Note the end of a session."""
        with self._write():
            self._db.execute("INSERT INTO session_ends VALUES (?, ?)", (number, _to_text(ended)))

    def list(self) -> list[Session]:
        """Return the sessions in their order."""
        query = "SELECT started, ended, command, host FROM sessions LEFT JOIN session_ends ON session = number ORDER BY number"
        return [Session(started, ended or "", command, json.loads(host)) for started, ended, command, host in self._read(query)]


def _to_text(time: datetime) -> str:
    return time.astimezone(UTC).isoformat(timespec="milliseconds")
