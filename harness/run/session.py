"""Notes in a run folder that this process computed records of it."""

from __future__ import annotations

from contextlib import suppress
from datetime import UTC, datetime
from types import TracebackType
from typing import Self

from ..api.errors import StoreError
from ..store import Store
from ..system.command_line import describe_command
from ..system.host import describe_host


class RunSession:
    """A context that is this process's session of a run. A process that computes nothing leaves the store as it is.

    store: the run's store, open for writing.
    """

    def __init__(self, store: Store) -> None:
        self._store = store
        self._started = datetime.now(UTC)
        self._number = 0

    def note(self) -> None:
        """Add the session before its first record. The model is loaded by then, so that its GPU is known."""
        if not self._number:
            self._number = self._store.sessions.start(self._started, describe_command(), describe_host())

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if self._number:
            with suppress(StoreError):  # a full disk, which has been reported
                self._store.sessions.end(self._number, datetime.now(UTC))
