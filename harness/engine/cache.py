"""Caches of responses by content key: the model's fingerprint and the request, independent of batch, device and time."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Protocol

from ..api.errors import StoreError
from ..api.requests import Request
from ..api.responses import Response
from ..store import codec

_MAX_VARIABLES = 900
"""Number of ? in one statement; the limit of old versions of SQLite is 999."""


def make_key(fingerprint: str, request: Request[Response], /) -> str:
    """Return the content key of a request to the model with this fingerprint."""
    return codec.digest((fingerprint, request.kind, request))


class Answers(Protocol):
    """A read-only store of responses by content key."""

    def get(self, keys: Iterable[str], /) -> dict[str, Any]: ...


class AnswerCache(Answers, Protocol):
    """A store of responses by content key."""

    def put(self, answers: Mapping[str, Any], /) -> None: ...

    def keep(self, answers: Mapping[str, Any], /) -> None:
        """Store paid responses at once. They are not yet those of a finished chunk."""

    def recover(self, keys: Iterable[str], /) -> dict[str, Any]:
        """Return kept responses of a chunk that was never finished."""
        return {}


class MemoryCache:
    """Responses in memory, in front of an optional slower cache that is only read.

    ``journal``: a file of paid responses, for a process that is killed before it stores them with their records.
    """

    def __init__(self, behind: Answers | None = None, journal: PaidAnswers | None = None) -> None:
        self._answers: dict[str, Any] = {}
        self._behind, self._journal = behind, journal

    def get(self, keys: Iterable[str], /) -> dict[str, Any]:
        responses, missing = {}, []
        for key in keys:
            if key in self._answers:
                responses[key] = self._answers[key]
            else:
                missing.append(key)
        if self._behind is not None and missing:
            responses.update(self._behind.get(missing))
        return responses

    def put(self, answers: Mapping[str, Any], /) -> None:
        self._answers.update(answers)

    def keep(self, answers: Mapping[str, Any], /) -> None:
        if self._journal is not None:
            self._journal.put(answers)

    def recover(self, keys: Iterable[str], /) -> dict[str, Any]:
        return self._journal.get(keys) if self._journal is not None else {}

    def take(self) -> dict[str, Any]:
        """Return the responses in memory, and remove them."""
        taken, self._answers = self._answers, {}
        return taken


def select_answers(connection: sqlite3.Connection, keys: Iterable[str], /) -> dict[str, Any]:
    """Read responses by key from a table ``answers(key, response)``."""
    responses: dict[str, Any] = {}
    wanted = list(keys)
    for start in range(0, len(wanted), _MAX_VARIABLES):
        part = wanted[start : start + _MAX_VARIABLES]
        marks = ",".join("?" * len(part))
        rows = connection.execute(f"SELECT key, response FROM answers WHERE key IN ({marks})", part)
        responses.update((key, codec.loads(response)) for key, response in rows)
    return responses


def insert_answers(connection: sqlite3.Connection, answers: Mapping[str, Any], /) -> None:
    """Insert responses by key into a table ``answers(key, response)``."""
    rows = ((key, codec.dumps(response)) for key, response in answers.items())
    connection.executemany("INSERT OR IGNORE INTO answers (key, response) VALUES (?, ?)", rows)


class SqliteCache:
    """Responses in a file that runs can share (``--cache FILE``)."""

    def __init__(self, path: Path) -> None:
        self._path = path
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._connection = sqlite3.connect(path, timeout=60, isolation_level=None)
            self._connection.execute("PRAGMA journal_mode=WAL")
            self._connection.execute("PRAGMA synchronous=NORMAL")
            self._connection.execute("CREATE TABLE IF NOT EXISTS answers (key TEXT PRIMARY KEY, response TEXT NOT NULL) WITHOUT ROWID")
        except (sqlite3.Error, OSError) as error:
            raise StoreError(f"the answer cache {path} cannot be opened ({error}); name another file", argument="cache") from error

    def get(self, keys: Iterable[str], /) -> dict[str, Any]:
        try:
            return select_answers(self._connection, keys)
        except sqlite3.Error as error:
            raise StoreError(f"the answer cache {self._path} cannot be read ({error}); name another file", argument="cache") from error

    def put(self, answers: Mapping[str, Any], /) -> None:
        if not answers:
            return
        try:
            self._connection.execute("BEGIN IMMEDIATE")
            try:
                insert_answers(self._connection, answers)
            except BaseException:
                self._connection.execute("ROLLBACK")
                raise
            self._connection.execute("COMMIT")
        except sqlite3.Error as error:
            raise StoreError(f"the answer cache {self._path} cannot be written ({error}); name another file", argument="cache") from error

    def close(self) -> None:
        self._connection.close()


class PaidAnswers:
    """Paid responses of the chunk in flight, in a file of their own that exists only while a chunk is unfinished.

    A killed process loses no answer: the resumed run reads them here, and counts them as its own.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file: SqliteCache | None = None

    def get(self, keys: Iterable[str], /) -> dict[str, Any]:
        return self._open().get(keys) if self._file is not None or self._path.exists() else {}

    def put(self, answers: Mapping[str, Any], /) -> None:
        self._open().put(answers)

    def clear(self) -> None:
        """Forget the responses, after their chunk is stored."""
        if self._file is not None or self._path.exists():
            self.close()
            for suffix in ("", "-wal", "-shm"):
                self._path.with_name(self._path.name + suffix).unlink(missing_ok=True)

    def close(self) -> None:
        if self._file is not None:
            self._file.close()
            self._file = None

    def _open(self) -> SqliteCache:
        if self._file is None:
            self._file = SqliteCache(self._path)
        return self._file


class EarlierAnswers:
    """Responses from earlier in the run, or from the shared cache. Only read.

    borrowed: responses from the shared cache that are not yet stored in the run. They must be, together with the records
        that depend on them.
    """

    def __init__(self, store: Answers, shared: Answers | None) -> None:
        self._store, self._shared = store, shared
        self.borrowed: dict[str, Any] = {}
        self._broken: StoreError | None = None

    def get(self, keys: Iterable[str], /) -> dict[str, Any]:
        wanted = list(keys)
        try:
            responses = self._store.get(wanted)
            if self._shared is not None:
                borrowed = self._shared.get([key for key in wanted if key not in responses])
                self.borrowed |= borrowed
                responses |= borrowed
            return responses
        except StoreError as error:
            self._broken = error
            raise

    def check(self) -> None:
        """Raise the error of a broken store, which a plugin may have caught as the error of a sample."""
        if self._broken is not None:
            raise self._broken
