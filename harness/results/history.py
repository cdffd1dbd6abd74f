"""The last runs of a name as a trend of each headline row."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from html import escape
from pathlib import Path

from ..api.errors import ConfigError
from ..api.registry import Registry
from ..api.scorecard import Estimate, Row
from ..api.visible_text import make_visible
from ..store import FILE_NAME, Store
from .summarise import summarise

_WIDTH, _HEIGHT = 240, 40


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


def read_history(folder: Path, /, *, last: int = 20, registry: Registry | None = None) -> list[History]:
    """Return the histories of all runs in a folder, by the name of the run.

    ``folder``: contains run folders. ``last``: the largest number of runs of a name, the newest ones.
    Raises `ConfigError` if it contains none, and `StoreError` for a run that cannot be read.
    """
    paths = sorted(path.parent for path in folder.glob(f"*/{FILE_NAME}"))
    if not paths:
        raise ConfigError(f"{folder} contains no run folder; pass the folder in which runs lie, such as 'runs'")
    runs: dict[str, list[tuple[datetime, Path]]] = {}
    for path in paths:
        store = Store.open(path / FILE_NAME, readonly=True, checked=False)
        runs.setdefault(store.name, []).append((_find_start(store, path), path))
        store.close()
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


def render_history(histories: Sequence[History], /) -> str:
    """Return the histories as one self-contained HTML page without scripts. All text is escaped."""
    sections = "".join(_render(history) for history in histories)
    style = (
        "body{font:15px/1.5 system-ui,sans-serif;margin:2rem auto;max-width:70rem;padding:0 1rem;color-scheme:light dark}"
        "table{border-collapse:collapse}td,th{padding:.3rem .8rem;text-align:left;border-bottom:1px solid #8884}"
        "svg{stroke:currentColor;fill:none;stroke-width:1.5}"
    )
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8"><title>History of runs</title>'
        '<meta name="viewport" content="width=device-width"><meta http-equiv="Content-Security-Policy" '
        f"content=\"default-src 'none'; style-src 'unsafe-inline'\"><style>{style}</style></head>"
        f"<body><main><h1>History of runs</h1>{sections}</main></body></html>\n"
    )


def _render(history: History) -> str:
    runs = ", ".join(f"{name} ({time:%Y-%m-%d %H:%M})" for name, time in zip(history.folders, history.times, strict=True))
    lines = "".join(
        f"<tr><td>{_show(trend.model)}</td><td>{_show(trend.item)}</td><td>{_show(trend.metric)}</td><td>{_draw(trend)}</td>"
        f"<td>{_show(list_values(trend)[-1])}</td></tr>"
        for trend in history.trends
    )
    head = "".join(f"<th>{name}</th>" for name in ("model", "item", "metric", "trend", "last"))
    return f"<section><h2>{_show(history.name)}</h2><p>{_show(runs)}</p><table><tr>{head}</tr>{lines}</table></section>"


def _show(text: str) -> str:
    return escape(make_visible(text))


def list_values(trend: Trend, /) -> list[str]:
    """Return the values of a trend as text, one per run; a dash for a run without a value."""
    return ["–" if e is None or e.value is None else f"{e.value:.4g}" for e in trend.estimates]


def _draw(trend: Trend) -> str:
    """Return a line through the values, with a bar per interval, as SVG."""
    points = [(place, e) for place, e in enumerate(trend.estimates) if e is not None and e.value is not None]
    bounds = [b for _, e in points for b in (e.value, e.low, e.high) if b is not None]
    if not points:
        return ""
    low, span = min(bounds), (max(bounds) - min(bounds)) or 1.0

    def locate(place: int, value: float) -> str:
        across = 6 + (_WIDTH - 12) * place / max(1, len(trend.estimates) - 1)
        return f"{across:.1f},{4 + (_HEIGHT - 8) * (1 - (value - low) / span):.1f}"

    line = " ".join(locate(place, e.value) for place, e in points if e.value is not None)
    bars = "".join(
        f'<polyline opacity=".4" points="{locate(place, e.low)} {locate(place, e.high)}"/>'
        for place, e in points
        if e.low is not None and e.high is not None
    )
    label = _show(f"{trend.metric}: {', '.join(list_values(trend))}")
    return f'<svg role="img" aria-label="{label}" width="{_WIDTH}" height="{_HEIGHT}">{bars}<polyline points="{line}"/></svg>'
