"""A scorecard to the files of its run folder."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from . import codec
from .errors import StoreError
from .registry import Registry
from .scorecard import Scorecard
from .store import FILE_NAME, Store


def write_reports(folder: Path, card: Scorecard, /, names: Sequence[str] | None = None) -> list[Path]:
    """Write the views named (default: those of the suite) and return their paths. They are views: written anew each time."""
    store = Store.open(folder / FILE_NAME, readonly=True)
    suite = codec.loads(store.suite)
    store.close()
    registry = Registry(tuple(suite["plugins"]))
    written = []
    for name in names or suite["reports"]:
        view = registry.make("reports", name)
        path = folder / view.suffix
        fresh = path.with_name(path.name + ".new")
        try:
            # Written beside and moved over: a full disk leaves the former view as it was.
            fresh.write_text(view.render(card), encoding="utf-8")
            fresh.replace(path)
        except OSError as error:
            fresh.unlink(missing_ok=True)
            raise StoreError(
                f"cannot write {path} ({error.strerror}); the records are safe: 'windtunnel report {folder}' writes it again"
            ) from error
        written.append(path)
    return written
