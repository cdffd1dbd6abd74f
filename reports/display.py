"""Helpers of all reports: format numbers, names and facts, and describe the verdict and the run in sentences."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping
from dataclasses import replace
from itertools import groupby
from typing import Any

from ..harness.api.numerals import format_count as format_count
from ..harness.api.scorecard import DIMENSIONS, Estimate, Row, Scorecard
from ..harness.scorecard.measures import explain as explain
from ..harness.scorecard.measures import title_of as title_of
from ..harness.scorecard.names import CONTROLS


def clip(text: str, limit: int, /) -> str:
    """Return at most ``limit`` characters of the text, with a note of the full length if it is longer."""
    return text if len(text) <= limit else f"{text[:limit]}… [first {limit:,} of {len(text):,} characters]"


def number(format_value: float, /, *, whole: bool = False) -> str:
    """Format a number with three decimals up to 1, four digits below 1,000, and thousands separators above.

    value: a finite number.
    whole: whether the number is a count, which has no decimals.
    """
    size = abs(format_value)
    if size >= 999.95 or (whole and size == int(size)):
        text = f"{size:,.0f}"
    elif 0 < size < 0.0005:
        text = f"{size:.1e}"
    else:
        text = f"{size:.3f}" if size <= 1 else f"{size:#.4g}"
    return f"−{text}" if format_value < 0 else text


def score(format_value: float | None, /) -> str:
    """Format a sample's score, or ``not scored``."""
    return "not scored" if format_value is None or not math.isfinite(format_value) else number(format_value, whole=True)


def make_finite(estimate: Estimate, /) -> Estimate:
    """Return the estimate without NaN and infinity; such a value becomes None with a reason."""
    if estimate.value is not None and not math.isfinite(estimate.value):
        reason = "; ".join(filter(None, [f"the value is {estimate.value}, which is not a finite number", estimate.reason]))
        return replace(estimate, value=None, low=None, high=None, reason=reason)
    low, high = (bound if bound is None or math.isfinite(bound) else None for bound in (estimate.low, estimate.high))
    return replace(estimate, low=low, high=high)


def format_value(row: Row, /) -> str:
    """Format the row's value with its unit: ``0.912``, ``24.31 queries``, ``not scored``."""
    estimate = make_finite(row.estimate)
    if estimate.value is None:
        return "not scored"
    text = number(estimate.value, whole=estimate.low is None)
    return f"{text} {row.unit}" if row.unit else text


def get_reason(row: Row, /) -> str:
    """Return why there is no value, or a remark about the value."""
    estimate = make_finite(row.estimate)
    return estimate.reason or ("no reason was recorded" if estimate.value is None else "")


def format_interval(row: Row, /) -> str:
    """Format the 95 % interval, ``[0.899, 0.923]``; empty if there is none."""
    estimate = make_finite(row.estimate)
    if estimate.low is None or estimate.high is None:
        return ""
    return f"[{number(estimate.low)}, {number(estimate.high)}]"


def choose_arrow(row: Row, /) -> str:
    """Return an arrow for the direction in which the value is better."""
    return {True: "↑", False: "↓", None: ""}[row.higher_is_better]


def scale(row: Row, /) -> str:
    """Return the key of the scale on which a row is drawn. A score and its controls share one scale."""
    return row.metric if f"_{row.control}" in CONTROLS else f"{row.metric} {row.control}".strip()


def group_by_dimension(scorecard: Scorecard, /) -> dict[str, list[Row]]:
    """Group the rows by dimension, in the order of `DIMENSIONS`. Rows of one model and item are adjacent."""
    dimensions = list_unique([*DIMENSIONS, *(row.dimension for row in scorecard.rows)])
    groups = list(dict.fromkeys((row.model, row.item) for row in scorecard.rows))
    rows = sorted(scorecard.rows, key=lambda row: (dimensions.index(row.dimension), groups.index((row.model, row.item))))
    return {dimension: list(found) for dimension, found in groupby(rows, key=lambda row: row.dimension)}


_VERDICTS = {
    "pass": ("Pass", "Every gate holds."),
    "warn": ("Warn", "No gate fails, but at least one needs attention."),
    "fail": ("Fail", "At least one gate fails."),
    "no_data": ("No data", "A gate has no value to compare, or more than half of an item's samples failed."),
    "missing": ("Missing", "The run lacks an item or a number that a gate requires."),
    "incomplete": ("Incomplete", "No gate fails, but some planned samples have no record."),
    "none": ("No gates", "The suite has no gates."),
}


def describe_verdict(verdict: str, /) -> tuple[str, str]:
    """Return a verdict as a label and a sentence."""
    return _VERDICTS.get(verdict, (verdict, ""))


def list_unique(names: Iterable[str], /) -> list[str]:
    """Return each name once, in the order of its first occurrence."""
    return list(dict.fromkeys(names))


def list_models(scorecard: Scorecard, /) -> list[str]:
    """Return the names of the models."""
    return list_unique(row.model for row in scorecard.rows)


def list_items(scorecard: Scorecard, /) -> list[tuple[str, str]]:
    """Return (model, item) of every item with a row."""
    return list(dict.fromkeys((row.model, row.item) for row in scorecard.rows))


def list_tasks_and_programs(scorecard: Scorecard, /) -> tuple[list[str], list[str]]:
    """Return the names of the tasks, and of the attacks and probes that ran on them.

    The item ``deepwordbug(sst2)`` is the attack ``deepwordbug`` on the task ``sst2``.
    """
    run = [entry for entry in scorecard.manifest.get("items", ()) if isinstance(entry, Mapping) and "kind" in entry]
    if run:
        programs = [str(e["item"]).removesuffix(f"({e.get('task')})") for e in run if e["kind"] in ("attack", "probe")]
        return list_unique(str(e["item"]) for e in run if e["kind"] == "task"), list_unique(programs)
    names = [re.findall(r"[^()]+", item) or [item] for _, item in list_items(scorecard)]
    return list_unique(name[-1] for name in names), list_unique(program for name in names for program in name[:-1])


def make_named_rows(entries: Any, name: str, /) -> list[dict[str, Any]]:
    """Convert mappings to rows of a table.

    entries: a list of mappings, or a mapping of names to mappings; anything else gives no rows.
    name: first column, which has the names.
    """
    if isinstance(entries, Mapping) and entries and all(isinstance(entry, Mapping) for entry in entries.values()):
        return [{name: key, **entry} for key, entry in entries.items()]
    if isinstance(entries, list | tuple) and entries and all(isinstance(entry, Mapping) for entry in entries):
        return [dict(entry) for entry in entries]
    return []


def list_columns(rows: list[dict[str, Any]], /) -> list[str]:
    """Return the keys with a non-empty value in any row, in the order of their first occurrence."""
    return list_unique(str(key) for row in rows for key in row if row[key] not in (None, "", [], (), {}))


def format_fact(format_value: Any, /) -> str:
    """Format a fact in one line: ``epsilon 0.03; norm linf``. Fingerprints are shortened to twelve digits."""
    if isinstance(format_value, Mapping):
        return "; ".join(f"{key} {format_fact(part)}" for key, part in format_value.items() if part is not None)
    if isinstance(format_value, list | tuple):
        return ", ".join(map(format_fact, format_value))
    if isinstance(format_value, str) and re.fullmatch(r"[0-9a-f]{64}", format_value):
        return format_value[:12]
    return "" if format_value is None else str(format_value)


def join_names(names: list[str], /, most: int = 5) -> str:
    """Join names in words: ``a``, ``a and b``, ``a, b and c``, ``a, b, c, d, e and 4 more``.

    names: the names.
    most: maximum number of names to list.
    """
    shown = [clip(name, 80) for name in names[:most]] + ([f"{len(names) - most:,} more"] if len(names) > most else [])
    return " and ".join([", ".join(shown[:-1]), shown[-1]]) if len(shown) > 1 else "".join(shown)


def summarise(scorecard: Scorecard, /) -> str:
    """Describe in one sentence which models, tasks, attacks and probes ran, and on how many samples."""
    tasks, programs = list_tasks_and_programs(scorecard)
    if not tasks:
        return f"Nothing was scored: {format_count(scorecard.num_samples, 'sample')}, {scorecard.num_failed:,} failed."
    under = f", with {join_names(programs)}" if programs else ""
    run = f"{join_names(list_models(scorecard))} on {join_names(tasks)}{under}"
    return f"{run}: {format_count(scorecard.num_samples, 'sample')}, {scorecard.num_failed:,} failed."


def list_statements(entries: Any, /) -> list[tuple[str, str]]:
    """Convert the manifest's ``flags`` or ``skipped`` to pairs of subject and sentence.

    entries: a sentence, a mapping of subjects to sentences, or a list. An entry of a list is a sentence, or a mapping
        with the sentence in ``sentence``, ``reason`` or ``note`` and the subject in its other keys.
    """
    if isinstance(entries, Mapping):
        return [(str(name), _make_sentence(entry)) for name, entry in entries.items()]
    if isinstance(entries, str):
        return [("", entries)]
    return [_make_statement(entry) for entry in entries or ()]


def _make_statement(entry: Any) -> tuple[str, str]:
    """Return the subject and the sentence of an entry."""
    if not isinstance(entry, Mapping):
        return "", _make_sentence(entry)
    sentence_key = next((key for key in ("sentence", "reason", "note") if key in entry), None)
    about = " · ".join(str(part) for key, part in entry.items() if key != sentence_key)
    return about, _make_sentence(entry[sentence_key]) if sentence_key else ""


def _make_sentence(entry: Any) -> str:
    """Return an entry as text, lists joined by semicolons."""
    return "; ".join(map(_make_sentence, entry)) if isinstance(entry, list | tuple) else str(entry)
