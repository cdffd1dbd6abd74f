"""Open SQLite files with errors that name a fix, and lock a run folder."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType

from ..api.errors import StoreError, WindtunnelError

LOCK_NAME = "run.lock"


def connect(path: Path, *, readonly: bool = False) -> sqlite3.Connection:
    """Open a connection without implicit transactions. Raises `StoreError`."""
    try:
        connection = sqlite3.connect(path, timeout=30, isolation_level=None)
        connection.execute("PRAGMA foreign_keys=ON")
        if readonly:
            connection.execute("PRAGMA query_only=ON")
            connection.execute("SELECT COUNT(*) FROM sqlite_master")
    except sqlite3.OperationalError as error:
        connection.close()
        if not readonly:
            fix = "make its folder writable, or choose another folder"
            raise StoreError(f"{path} cannot be written ({error}); {fix}", argument="folder") from error
        return _connect_immutable(path, error)
    except sqlite3.Error as error:
        connection.close()
        raise make_damaged_error(path, error) from error
    return connection


def _connect_immutable(path: Path, error: sqlite3.Error) -> sqlite3.Connection:
    """Open a run in a read-only folder as an immutable file, because SQLite cannot share its WAL there."""
    wal = path.with_name(f"{path.name}-wal")
    if wal.exists() and wal.stat().st_size:
        raise StoreError(f"{path} was not closed, and its folder cannot be written ({error}); copy the folder and read the copy") from error
    return sqlite3.connect(f"{path.resolve().as_uri()}?immutable=1", uri=True, isolation_level=None)


def make_damaged_error(path: Path, error: sqlite3.Error) -> StoreError:
    """Build the error for a file that SQLite cannot read."""
    return StoreError(f"{path} is not a run store or is damaged ({error}); restore it from a copy or run again", argument="folder")


@contextmanager
def lock_folder(folder: Path, /) -> Iterator[None]:
    """Lock a run folder for writing by this process. Raises `StoreError` at once if another process holds the lock.

    The lock is SQLite's own on an empty file. It works on every platform, and ends with its process.
    """
    lock = sqlite3.connect(folder / LOCK_NAME, timeout=0, isolation_level=None)
    try:
        try:
            lock.execute("BEGIN EXCLUSIVE")
        except sqlite3.OperationalError as error:
            if "locked" in str(error):
                fix = "wait for it, or choose another folder"
                raise StoreError(f"another process is running in {folder}; {fix}", argument="folder") from error
            raise StoreError(f"cannot write to {folder} ({error}); choose another folder", argument="folder") from error
        yield
    finally:
        lock.close()


def make_storable(text: str, /) -> str:
    """Escape lone surrogates, because SQLite stores text as UTF-8."""
    return text if text.isascii() else text.encode("utf-8", "backslashreplace").decode("utf-8")


def advise_on_missing(path: Path, /) -> str:
    """Return how to fix the path of a store that does not exist: the folder of a run is near, or there is no run yet.

    path: the store's file, in the folder that was given.
    """
    folder = path.parent
    if folder.is_file() and (folder.parent / path.name).is_file():
        return f"{folder} is a file: give its folder, {folder.parent}"
    if inner := sorted(found.parent for found in folder.glob(f"*/{path.name}")):
        return f"give one of its folders, e.g. {inner[-1]}"
    return "create one with 'windtunnel run' or windtunnel.evaluate"


class Reading:
    """A block that reads the store: its errors become those of a damaged store. A generator would take longer than to read a record."""

    __slots__ = ("_path",)

    def __init__(self, path: Path) -> None:
        self._path = path

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if isinstance(error, sqlite3.Error):
            raise make_damaged_error(self._path, error) from error
        if isinstance(error, Exception) and not isinstance(error, WindtunnelError):
            # Text that the codec did not write, or that a plugin's modality cannot read.
            raise StoreError(
                f"{self._path} has a value that cannot be decoded ({type(error).__name__}: {error}); see 'windtunnel verify'"
            ) from error
