"""The answers of a model while its items run."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from ..engine.cache import EarlierAnswers, MemoryCache, PaidAnswers, SqliteCache
from ..store import Store


class RunAnswers:
    """The answers of the running chunk, in front of those of the run and of the cache that runs share.

    ``cache``: the path of the shared cache, if there is one.
    """

    def __init__(self, store: Store, cache: str | None) -> None:
        self._shared = SqliteCache(Path(cache)) if cache else None
        self._earlier = EarlierAnswers(store, self._shared)
        self._paid = PaidAnswers(store.path.with_name(f"{store.path.name}.paid"))
        self.of_chunk = MemoryCache(self._earlier, self._paid)

    @contextmanager
    def take(self) -> Iterator[dict[str, Any]]:
        """Yield the answers to store with the chunk; then the chunk has none left.

        The shared cache receives them only after the chunk is stored: a killed and repeated chunk would find its answers and
        count too few passes.
        """
        self._earlier.check()
        new = self.of_chunk.take()
        yield self._earlier.borrowed | new
        self._paid.clear()
        self._earlier.borrowed.clear()
        if self._shared is not None:
            self._shared.put(new)

    def close(self) -> None:
        """Close the files."""
        self._paid.close()
        if self._shared is not None:
            self._shared.close()
