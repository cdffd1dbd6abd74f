"""Histories of runs as a page."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from html import escape

from ..api.numerals import format_count, format_number
from ..api.scorecard import Estimate
from ..api.visible_text import make_visible
from .history import History, Trend, list_values

_WIDTH, _HEIGHT, _EDGE = 240, 48, 8
_COLUMNS = ("model", "number", "trend", "first", "last", "95 % interval", "change from the run before")

_STYLE = """
:root { color-scheme: light dark; --ink: #14181d; --paper: #fff; --muted: #545e69; --line: #d9dfe5; }
@media (prefers-color-scheme: dark) { :root { --ink: #e8ecf0; --paper: #0f1317; --muted: #a3aeba; --line: #2c353e; } }
body { font: 15px/1.5 system-ui, sans-serif; color: var(--ink); background: var(--paper); margin: 0; font-variant-numeric: tabular-nums; }
main { max-width: 76rem; margin-inline: auto; padding: 1rem clamp(1rem, 3vw, 2rem) 4rem; overflow-wrap: anywhere; }
h2 { margin: 2.5rem 0 .25rem; }
p, summary, ol, caption, td small { color: var(--muted); }
.scroll { overflow-x: auto; }
table { border-collapse: collapse; }
caption { text-align: left; }
td, th { padding: .35rem .9rem .35rem 0; text-align: left; vertical-align: middle; border-bottom: 1px solid var(--line); }
table { overflow-wrap: normal; }
th[scope=row] { font-weight: 400; }
svg { stroke: currentColor; fill: none; stroke-width: 1.5; display: block; }
circle { fill: var(--ink); stroke: none; }
"""


def render_history(histories: Sequence[History], /) -> str:
    """Return the histories as one self-contained HTML page without scripts. All text is escaped."""
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8"><title>History of runs</title>'
        '<meta name="viewport" content="width=device-width"><meta http-equiv="Content-Security-Policy" '
        f"content=\"default-src 'none'; style-src 'unsafe-inline'\"><style>{_STYLE}</style></head>"
        f"<body><main><h1>History of runs</h1>{''.join(map(_render, histories))}</main></body></html>\n"
    )


def _render(history: History) -> str:
    name, num = _show(history.name), format_count(len(history.folders), "run")
    runs = "".join(
        f"<li>{_show(folder)}, {time:%Y-%m-%d %H:%M} UTC</li>" for folder, time in zip(history.folders, history.times, strict=True)
    )
    head = "".join(f'<th scope="col">{column}</th>' for column in _COLUMNS)
    lines = "".join(_render_trend(trend, history) for trend in history.trends)
    return (
        f"<section><h2>{name}</h2><details><summary>{num}, {history.times[0]:%Y-%m-%d} to "
        f'{history.times[-1]:%Y-%m-%d}</summary><ol>{runs}</ol></details><div class="scroll" role="region" tabindex="0" '
        f'aria-label="Trends of {name}"><table><caption>Headline rows, the oldest run on the left. Bars are 95 % intervals.</caption>'
        f"<thead><tr>{head}</tr></thead><tbody>{lines}</tbody></table></div></section>"
    )


def _render_trend(trend: Trend, history: History) -> str:
    values, last = list_values(trend), trend.estimates[-1]
    cells = (_draw(trend, history), values[0], values[-1], _show_interval(last), _compare_last(trend))
    shown = "".join(f"<td>{cell}</td>" for cell in cells)
    return f'<tr><th scope="row">{_show(trend.model)}</th><td>{_show(f"{trend.item}.{trend.metric}")}</td>{shown}</tr>'


def _show_interval(e: Estimate | None) -> str:
    return f"{format_number(e.low)} to {format_number(e.high)}" if e is not None and e.low is not None and e.high is not None else "–"


def _compare_last(trend: Trend) -> str:
    """Return the change from the run before the last, and which way it is; a dash without both values."""
    known = [e.value if e is not None else None for e in trend.estimates[-2:]]
    before, last = known if len(known) == 2 else (None, None)
    if before is None or last is None:
        return "–"
    word = "equal" if last == before else "higher is better" if trend.higher_is_better else "lower is better"
    return f"{format_number(last - before, '+')} <small>{word}</small>"


def _show(text: str) -> str:
    return escape(make_visible(text))


def _draw(trend: Trend, history: History) -> str:
    """Return a line through the values, with a point and a bar per interval, as SVG."""
    points = [(place, e, e.value) for place, e in enumerate(trend.estimates) if e is not None and e.value is not None]
    bounds = [bound for _, e, _ in points for bound in (e.value, e.low, e.high) if bound is not None]
    if not points:
        return "–"
    low, span = min(bounds), (max(bounds) - min(bounds)) or 1.0

    def locate(place: int, value: float) -> tuple[float, float]:
        across = _EDGE + (_WIDTH - 2 * _EDGE) * place / max(1, len(trend.estimates) - 1)
        return across, _EDGE + (_HEIGHT - 2 * _EDGE) * (1 - (value - low) / span)

    def draw_points() -> Iterator[str]:
        for place, e, value in points:
            if e.low is not None and e.high is not None:
                yield f'<polyline opacity=".5" points="{_join(locate(place, e.low))} {_join(locate(place, e.high))}"/>'
            x, y = locate(place, value)
            told = f"{history.folders[place]}: {format_number(value)} ({_show_interval(e)})"
            yield f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3"><title>{_show(told)}</title></circle>'

    line = " ".join(_join(locate(place, value)) for place, _, value in points)
    label = _show(f"{trend.item}.{trend.metric}: {', '.join(list_values(trend))}")
    svg = f'<svg role="img" aria-label="{label}" width="{_WIDTH}" height="{_HEIGHT}">'
    return f'{svg}<polyline points="{line}"/>{"".join(draw_points())}</svg>'


def _join(point: tuple[float, float]) -> str:
    return f"{point[0]:.1f},{point[1]:.1f}"
