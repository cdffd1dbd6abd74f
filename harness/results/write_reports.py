"""A scorecard to the files of its run folder."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from ..api.errors import ConfigError, StoreError, WindtunnelError
from ..api.registry import Registry
from ..api.scorecard import Scorecard
from ..store import FILE_NAME, Store, codec
from ..system.interrupts import is_interrupt


def write_reports(folder: Path, card: Scorecard, /, names: Sequence[str] | None = None, registry: Registry | None = None) -> list[Path]:
    """Write the views named (default: those of the suite) and return their paths. They are views: written anew each time.

    ``registry``: who knows the reports; without it those that are installed, for records load no code (`summary.registry_of`).

    One that cannot be rendered does not keep the others from being written; the error comes after them.
    """
    store = Store.open(folder / FILE_NAME, readonly=True, checked=False)  # the scorecard was made of a checked one
    suite = codec.loads(store.suite)
    store.close()
    known = registry or Registry()
    written: list[Path] = []
    failed: list[WindtunnelError] = []
    for name in names or suite["reports"]:
        try:
            if suite["plugin_files"] and name not in known.names("reports"):
                files = ", ".join(suite["plugin_files"])
                raise ConfigError(
                    f"the report {name!r} is not written: records load no code; give the run's file ({files})", argument="plugins"
                )
            written.append(_write(folder, known.make("reports", name), name, card))
        except WindtunnelError as error:
            failed.append(error)
    if failed:
        raise failed[0]
    return written


def _write(folder: Path, view: Any, name: str, card: Scorecard) -> Path:
    safe = f"the records are safe: 'windtunnel report {folder}' writes it again"
    try:
        path: Path = folder / view.suffix
        text: str = view.render(card)
    except BaseException as error:
        if is_interrupt(error):
            raise
        raise ConfigError(f"the report {name!r} cannot be made ({type(error).__name__}: {error}); {safe}") from error
    fresh = path.with_name(path.name + ".new")
    try:
        # Written beside and moved over: a full disk leaves the former view as it was. A lone surrogate is written as its escape.
        fresh.write_bytes(text.encode("utf-8", "backslashreplace"))
        fresh.replace(path)
    except OSError as error:
        with suppress(OSError):
            fresh.unlink(missing_ok=True)
        raise StoreError(f"cannot write {path} ({error.strerror}); {safe}") from error
    return path
