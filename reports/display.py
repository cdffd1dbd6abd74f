"""What every report needs to show a scorecard: hostile text made visible, numbers as text, the verdict and the summary in words."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping
from dataclasses import replace
from itertools import groupby
from typing import Any

from ..harness.api.scorecard import DIMENSIONS, Estimate, Row, Scorecard
from ..harness.scorecard.measures import explain as explain
from ..harness.scorecard.measures import title_of as title_of
from ..harness.scorecard.names import CONTROLS


def clip(text: str, limit: int, /) -> str:
    """At most ``limit`` characters of the text, and a note of how many there were."""
    return text if len(text) <= limit else f"{text[:limit]}… [first {limit:,} of {len(text):,} characters]"


def number(value: float, /, *, whole: bool = False) -> str:
    """A number as people read it: three decimals below one, four digits below a thousand, then thousands. ``whole``: a count."""
    size = abs(value)
    if size >= 999.95 or (whole and size == int(size)):
        text = f"{size:,.0f}"
    elif 0 < size < 0.0005:
        text = f"{size:.1e}"
    else:
        text = f"{size:.3f}" if size <= 1 else f"{size:#.4g}"
    return f"−{text}" if value < 0 else text


def score(value: float | None, /) -> str:
    """A sample's score; what could not be scored is said to be so."""
    return "not scored" if value is None or not math.isfinite(value) else number(value, whole=True)


def finite(estimate: Estimate, /) -> Estimate:
    """The estimate without NaN and infinity: such a value is no value, and the reason says what it was."""
    if estimate.value is not None and not math.isfinite(estimate.value):
        reason = "; ".join(filter(None, [f"the value is {estimate.value}, which is not a finite number", estimate.reason]))
        return replace(estimate, value=None, low=None, high=None, reason=reason)
    low, high = (bound if bound is None or math.isfinite(bound) else None for bound in (estimate.low, estimate.high))
    return replace(estimate, low=low, high=high)


def value(row: Row, /) -> str:
    """The row's value in words, with its unit: ``0.912``, ``24.31 queries``, ``not scored``."""
    estimate = finite(row.estimate)
    if estimate.value is None:
        return "not scored"
    text = number(estimate.value, whole=estimate.low is None)
    return f"{text} {row.unit}" if row.unit else text


def reason(row: Row, /) -> str:
    """Why there is no value, or what is to be said about the one there is."""
    estimate = finite(row.estimate)
    return estimate.reason or ("no reason was recorded" if estimate.value is None else "")


def interval(row: Row, /) -> str:
    """The 95 % interval, ``[0.899, 0.923]``, or nothing where there is none."""
    estimate = finite(row.estimate)
    if estimate.low is None or estimate.high is None:
        return ""
    return f"[{number(estimate.low)}, {number(estimate.high)}]"


def arrow(row: Row, /) -> str:
    """Which way is better."""
    return {True: "↑", False: "↓", None: ""}[row.higher_is_better]


def scale(row: Row, /) -> str:
    """What rows that are drawn on one scale share: their metric, a score's controls included."""
    return row.metric if f"_{row.control}" in CONTROLS else f"{row.metric} {row.control}".strip()


def by_dimension(scorecard: Scorecard, /) -> dict[str, list[Row]]:
    """Dimension to its rows, dimensions in their usual order and any other after them, rows of one model and item together."""
    dimensions = unique([*DIMENSIONS, *(row.dimension for row in scorecard.rows)])
    groups = list(dict.fromkeys((row.model, row.item) for row in scorecard.rows))
    rows = sorted(scorecard.rows, key=lambda row: (dimensions.index(row.dimension), groups.index((row.model, row.item))))
    return {dimension: list(found) for dimension, found in groupby(rows, key=lambda row: row.dimension)}


_VERDICTS = {
    "pass": ("Pass", "Every gate holds."),
    "warn": ("Warn", "No gate fails, and at least one asks for attention."),
    "fail": ("Fail", "At least one gate fails."),
    "inconclusive": ("Inconclusive", "The samples do not decide every gate."),
    "no_data": ("No data", "A gate has no number to judge, or more than half of an item's samples failed."),
    "none": ("No gates", "Nothing was asked of these numbers."),
}
_INCOMPLETE = "Not every planned sample has a record, so these numbers speak only of what was run."


def verdict(scorecard: Scorecard, /) -> tuple[str, str, str]:
    """The verdict as a key, a label and a sentence. An incomplete run never shows a pass; a gate that fails still fails it."""
    label, sentence = _VERDICTS.get(scorecard.verdict, (scorecard.verdict, ""))
    if scorecard.complete:
        return scorecard.verdict, label, sentence
    if scorecard.verdict == "fail":
        return "fail", label, f"{sentence} {_INCOMPLETE}"
    return "incomplete", "Incomplete", _INCOMPLETE


def unique(names: Iterable[str], /) -> list[str]:
    """The names once each, in the order they first came."""
    return list(dict.fromkeys(names))


def models(scorecard: Scorecard, /) -> list[str]:
    return unique([*(row.model for row in scorecard.rows), *(sample.model for sample in scorecard.samples)])


def items(scorecard: Scorecard, /) -> list[tuple[str, str]]:
    """(model, item) of everything that was run."""
    rows = [(row.model, row.item) for row in scorecard.rows]
    return list(dict.fromkeys([*rows, *((sample.model, sample.task) for sample in scorecard.samples)]))


def tasks_and_programs(scorecard: Scorecard, /) -> tuple[list[str], list[str]]:
    """Tasks, and the attacks and probes that ran over them: ``deepwordbug(sst2)`` is the program deepwordbug on the task sst2."""
    run = [entry for entry in scorecard.manifest.get("items", ()) if isinstance(entry, Mapping) and "kind" in entry]
    if run:
        programs = [str(e["item"]).removesuffix(f"({e.get('task')})") for e in run if e["kind"] in ("attack", "probe")]
        return unique(str(e["item"]) for e in run if e["kind"] == "task"), unique(programs)
    names = [re.findall(r"[^()]+", item) or [item] for _, item in items(scorecard)]
    return unique(name[-1] for name in names), unique(program for name in names for program in name[:-1])


def named_rows(entries: Any, name: str, /) -> list[dict[str, Any]]:
    """A list of mappings, or a mapping of names to mappings with the name as first column, as rows of a table; else nothing."""
    if isinstance(entries, Mapping) and entries and all(isinstance(entry, Mapping) for entry in entries.values()):
        return [{name: key, **entry} for key, entry in entries.items()]
    if isinstance(entries, list | tuple) and entries and all(isinstance(entry, Mapping) for entry in entries):
        return [dict(entry) for entry in entries]
    return []


def columns(rows: list[dict[str, Any]], /) -> list[str]:
    """The keys that any row has something under, in the order they first came."""
    return unique(str(key) for row in rows for key in row if row[key] not in (None, "", [], (), {}))


def compact(value: Any, /) -> str:
    """A fact in one line: ``epsilon 0.03; norm linf``. Fingerprints are shown by their first twelve digits; the records have the rest."""
    if isinstance(value, Mapping):
        return "; ".join(f"{key} {compact(part)}" for key, part in value.items() if part is not None)
    if isinstance(value, list | tuple):
        return ", ".join(map(compact, value))
    if isinstance(value, str) and re.fullmatch(r"[0-9a-f]{64}", value):
        return value[:12]
    return "" if value is None else str(value)


def listing(names: list[str], /, most: int = 5) -> str:
    """``a``, ``a and b``, ``a, b and c``, ``a, b, c, d, e and 4 more``."""
    shown = [clip(name, 80) for name in names[:most]] + ([f"{len(names) - most} more"] if len(names) > most else [])
    return " and ".join([", ".join(shown[:-1]), shown[-1]]) if len(shown) > 1 else "".join(shown)


def summary(scorecard: Scorecard, /) -> str:
    """What was run, in one sentence."""
    tasks, programs = tasks_and_programs(scorecard)
    if not tasks:
        return f"Nothing was scored: {counted(scorecard.num_samples, 'sample')}, {scorecard.num_failed:,} failed."
    under = f", with {listing(programs)}" if programs else ""
    run = f"{listing(models(scorecard))} on {listing(tasks)}{under}"
    return f"{run}: {counted(scorecard.num_samples, 'sample')}, {scorecard.num_failed:,} failed."


def counted(n: int, noun: str, /) -> str:
    return f"{n:,} {noun}" if n == 1 else f"{n:,} {noun}s"


def statements(entries: Any, /) -> list[tuple[str, str]]:
    """The manifest's ``flags`` and ``skipped`` as (what it is about, the sentence).

    An entry is a sentence, or a mapping whose ``sentence``, ``reason`` or ``note`` is the sentence and whose rest says what it is about.
    A mapping of names to sentences is read as such.
    """
    if isinstance(entries, Mapping):
        return [(str(name), _sentence(entry)) for name, entry in entries.items()]
    if isinstance(entries, str):
        return [("", entries)]
    return [_statement(entry) for entry in entries or ()]


def _statement(entry: Any) -> tuple[str, str]:
    if not isinstance(entry, Mapping):
        return "", _sentence(entry)
    said = next((key for key in ("sentence", "reason", "note") if key in entry), None)
    about = " · ".join(str(part) for key, part in entry.items() if key != said)
    return about, _sentence(entry[said]) if said else ""


def _sentence(entry: Any) -> str:
    return "; ".join(map(_sentence, entry)) if isinstance(entry, list | tuple) else str(entry)
