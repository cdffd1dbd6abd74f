"""The last runs of a name as a trend of each headline row."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from ..api.errors import ConfigError, StoreError
from ..api.numerals import format_number
from ..api.registry import Registry
from ..api.scorecard import Estimate, Row
from ..store import FILE_NAME, Store
from .summarise import summarise


@dataclass(frozen=True)
class Trend:
    """The values of one row over runs. ``estimates``: one per run, in order; None for a run without the row."""

    model: str
    item: str
    metric: str
    higher_is_better: bool | None
    estimates: tuple[Estimate | None, ...]


@dataclass(frozen=True)
class History:
    """The runs of a name, oldest first: ``folders``, the ``times`` at which they started, and the ``trends`` of headline rows."""

    name: str
    folders: tuple[str, ...]
    times: tuple[datetime, ...]
    trends: tuple[Trend, ...]


def read_history(
    folder: Path, /, *, last: int = 20, registry: Registry | None = None, say: Callable[[str], None] = lambda sentence: None
) -> list[History]:  # fmt: skip
    """Return the histories of all runs in a folder, by the name of the run.

    ``folder``: contains run folders. ``last``: the largest number of runs of a name, the newest ones.
    ``say``: receives a sentence for each run that cannot be read, such as one of another version, and is left out.
    Raises `ConfigError` if the folder contains no run that can be read.
    """
    paths = sorted(path.parent for path in folder.glob(f"*/{FILE_NAME}"))
    if not paths:
        raise ConfigError(f"{folder} contains no run folder; pass the folder in which runs lie, such as 'runs'")
    runs: dict[str, list[tuple[datetime, Path]]] = {}
    for path in paths:
        try:
            store = Store.open(path / FILE_NAME, readonly=True, checked=False)
        except StoreError as error:
            say(f"note: {path.name} is left out: {error}")
            continue
        runs.setdefault(store.name, []).append((_find_start(store, path), path))
        store.close()
    if not runs:
        raise ConfigError(f"{folder} contains no run that this version can read")
    return [_read(name, sorted(found)[-last:], registry) for name, found in sorted(runs.items())]


def _find_start(store: Store, path: Path) -> datetime:
    """Return when the first session of a run started; for a run without one, when its file changed."""
    starts = [datetime.fromisoformat(session.started) for session in store.sessions.list()]
    return min(starts, default=datetime.fromtimestamp((path / FILE_NAME).stat().st_mtime, tz=UTC))


def _read(name: str, runs: Sequence[tuple[datetime, Path]], registry: Registry | None) -> History:
    cards = [summarise(path, gates=(), registry=registry).rows for _, path in runs]
    headlines: dict[tuple[str, str], Row] = {}
    for rows in reversed(cards):
        for row in rows:
            if row.higher_is_better is not None and row.dimension != "efficiency" and not (row.slice or row.control or row.about):
                headlines.setdefault((row.model, row.item), row)
    known = [{(row.model, row.item, row.name): row.estimate for row in rows} for rows in cards]
    trends = tuple(
        Trend(row.model, row.item, row.name, row.higher_is_better, tuple(each.get((row.model, row.item, row.name)) for each in known))
        for row in headlines.values()
    )
    return History(name, tuple(path.name for _, path in runs), tuple(time for time, _ in runs), trends)


def list_values(trend: Trend, /) -> list[str]:
    """Return the values of a trend as text, one per run; a dash for a run without a value."""
    return [format_number(None if e is None else e.value) for e in trend.estimates]
