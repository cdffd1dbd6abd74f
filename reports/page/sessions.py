"""When, how and where a run was computed, in words."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime

from ...harness.api.scorecard import Session
from ..display import format_count

_GIB = 2**30


def describe_sessions(sessions: Sequence[Session], /) -> Iterator[tuple[str, str]]:
    """Yield (name, fact) of the processes that computed a run: dates, command, and machine; nothing without sessions."""
    if not sessions:
        return
    first, last = sessions[0], sessions[-1]
    num = len(sessions)
    yield "date", f"{_format_span(first.started, last.ended)}{f', in {num:,} sessions' if num > 1 else ''}"
    yield "command", last.command
    yield "machine", "; ".join(dict.fromkeys(map(describe_host, sessions)))


def list_sessions(sessions: Sequence[Session], /) -> list[dict[str, str]]:
    """Return a row of a table per session."""
    return [
        {"date": _format_span(one.started, one.ended), "command": one.command, "machine": describe_host(one)} for one in sessions
    ]  # fmt: skip


def describe_host(session: Session, /) -> str:
    """Describe a machine: ``AMD EPYC 7R13, 2 cores, 16 GiB, 1 × NVIDIA H200, Linux x86_64``."""
    host = session.host
    cores, memory = host.get("cores"), host.get("memory")
    size = f"{memory / _GIB:.0f} GiB" if isinstance(memory, int) else ""
    count = format_count(cores, "core") if isinstance(cores, int) else ""
    return ", ".join(filter(None, [str(host.get("processor", "")), count, size, str(host.get("gpus", "")), str(host.get("system", ""))]))


def _format_span(started: str, ended: str) -> str:
    """Format a span of time: ``30 November 2026, 15:38 to 15:41 UTC``."""
    try:
        start = datetime.fromisoformat(started)
        end = datetime.fromisoformat(ended) if ended else None
    except ValueError:
        return " to ".join(filter(None, [started, ended]))
    if end is None:
        return f"{_format_day(start)}, {start:%H:%M} UTC; the end is not known, because the process was killed"
    until = f"{end:%H:%M}" if start.date() == end.date() else f"{_format_day(end)}, {end:%H:%M}"
    return f"{_format_day(start)}, {start:%H:%M} to {until} UTC"


def _format_day(time: datetime) -> str:
    return f"{time.day} {time:%B %Y}"
