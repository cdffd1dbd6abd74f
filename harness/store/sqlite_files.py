"""SQLite files opened, with errors that a user can do something about, and the lock of a run folder."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ..api.errors import StoreError

LOCK_NAME = "run.lock"


def connect(path: Path, *, readonly: bool = False) -> sqlite3.Connection:
    """A connection without implicit transactions. Raises `StoreError`."""
    try:
        connection = sqlite3.connect(path, timeout=30, isolation_level=None)
        connection.execute("PRAGMA foreign_keys=ON")
        if readonly:
            connection.execute("PRAGMA query_only=ON")
            connection.execute("SELECT COUNT(*) FROM sqlite_master")
    except sqlite3.OperationalError as error:
        connection.close()
        if not readonly:
            raise StoreError(f"{path} cannot be written ({error}); make its folder writable, or choose another with --out") from error
        return _connect_immutable(path, error)
    except sqlite3.Error as error:
        connection.close()
        raise damaged(path, error) from error
    return connection


def _connect_immutable(path: Path, error: sqlite3.Error) -> sqlite3.Connection:
    """A run in a folder that cannot be written, where SQLite cannot share its WAL: read as a file that nobody changes."""
    wal = path.with_name(f"{path.name}-wal")
    if wal.exists() and wal.stat().st_size:
        raise StoreError(f"{path} was not closed, and its folder cannot be written ({error}); copy the folder and read the copy") from error
    return sqlite3.connect(f"{path.resolve().as_uri()}?immutable=1", uri=True, isolation_level=None)


def damaged(path: Path, error: sqlite3.Error) -> StoreError:
    """What to tell of a file that SQLite cannot read."""
    return StoreError(f"{path} is not a run store or is damaged ({error}); restore it from a copy or run again with --out")


@contextmanager
def only_writer(folder: Path, /) -> Iterator[None]:
    """This process alone writes to the run folder. Raises `StoreError` at once where another does.

    The lock is SQLite's on an empty file: every platform has it, and a killed process cannot leave it behind.
    """
    lock = sqlite3.connect(folder / LOCK_NAME, timeout=0, isolation_level=None)
    try:
        try:
            lock.execute("BEGIN EXCLUSIVE")
        except sqlite3.OperationalError as error:
            if "locked" in str(error):
                raise StoreError(f"another process is running in {folder}; wait for it, or choose another folder with --out") from error
            raise StoreError(f"cannot write to {folder} ({error}); choose another folder with --out") from error
        yield
    finally:
        lock.close()
