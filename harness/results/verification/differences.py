"""Differences between what stands in a file, which may hold anything, and what the records give."""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import takewhile
from typing import Any

_LONGEST = 80
_AROUND = 20
"""The number of characters before a difference in a line, for people to find it."""
_NAMES = (("model", "item", "metric"), ("model", "item"), ("gate",), ("name",), ("check",))
"""The keys that name an entry of a list, and do so for rows, gates and items; the first ones that an entry has."""
_TOLERANCE = 1e-9
"""The relative difference that machines may give to the last digits of a number."""


def compare_values(found: Any, expected: Any, /, where: tuple[str, ...] = ()) -> Iterator[str]:
    """Yield a sentence per difference of two JSON values. ``found``: the file's. ``where``: the names of the place."""
    if isinstance(found, Mapping) and isinstance(expected, Mapping):
        yield from _compare_entries(found, expected, where)
    elif isinstance(found, list) and isinstance(expected, list):
        yield from _compare_entries(_label_entries(found), _label_entries(expected), where)
    elif not _is_equal(found, expected):
        yield f"{_name_place(where)}: the file has {_show(found)}, the records give {_show(expected)}"


def compare_lines(found: str, expected: str, /, first: int = 1) -> Iterator[str]:
    """Yield a sentence per line that differs, or one about all of them if their number does. ``first``: the number of the first line."""
    theirs, ours = found.split("\n"), expected.split("\n")
    start = sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], zip(theirs, ours, strict=False)))
    rest = min(len(theirs), len(ours)) - start
    end = sum(1 for _, _ in zip(range(rest), takewhile(_is_pair, zip(reversed(theirs), reversed(ours), strict=False)), strict=False))
    theirs, ours = theirs[start : len(theirs) - end], ours[start : len(ours) - end]
    if len(theirs) == len(ours):
        pairs = enumerate(zip(theirs, ours, strict=True), first + start)
        yield from (f"line {number}: {_tell_line(line, own)}" for number, (line, own) in pairs if line != own)
    else:
        line, own = next(iter(theirs), ""), next(iter(ours), "")
        yield f"line {first + start}: the file has {len(theirs):,} lines where the records give {len(ours):,}; {_tell_line(line, own)}"


def label_uniquely(labels: Sequence[str], /) -> list[str]:
    """Return the labels, in which each repetition has its number."""
    counts: Counter[str] = Counter()
    unique = []
    for label in labels:
        counts[label] += 1
        unique.append(label if counts[label] == 1 else f"{label} (number {counts[label]})")
    return unique


def _compare_entries(found: Mapping[str, Any], expected: Mapping[str, Any], where: tuple[str, ...]) -> Iterator[str]:
    for name, value in expected.items():
        if name in found:
            yield from compare_values(found[name], value, (*where, name))
        else:
            yield f"{_name_place((*where, name))}: it is not in the file; the records give {_show(value)}"
    for name in found:
        if name not in expected:
            yield f"{_name_place((*where, name))}: the file has {_show(found[name])}, and the records give no such entry"


def _label_entries(entries: Sequence[Any]) -> dict[str, Any]:
    """Return the entries of a list by their names: those of `_NAMES`, a text itself, else the place."""
    labels = [_name_entry(entry) or f"entry {place}" for place, entry in enumerate(entries, 1)]
    return dict(zip(label_uniquely(labels), entries, strict=True))


def _name_entry(entry: Any) -> str:
    if isinstance(entry, str):
        return entry
    if not isinstance(entry, Mapping):
        return ""
    keys = next((keys for keys in _NAMES if all(isinstance(entry.get(key), str) for key in keys)), ())
    return "/".join(entry[key] for key in keys)


def _is_pair(pair: tuple[str, str]) -> bool:
    return pair[0] == pair[1]


def _is_equal(found: Any, expected: Any) -> bool:
    if _is_number(found) and _is_number(expected):
        try:
            return found == expected or math.isclose(found, expected, rel_tol=_TOLERANCE, abs_tol=0.0)
        except OverflowError:
            return False
    return type(found) is type(expected) and bool(found == expected)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _name_place(where: Sequence[str]) -> str:
    return " > ".join(map(_clip, where)) or "its content"


def _show(value: Any) -> str:
    if isinstance(value, Mapping | list):
        return f"{'a mapping' if isinstance(value, Mapping) else 'a list'} of {len(value):,} entries"
    return "a very large number" if isinstance(value, int) and abs(value) > 10**40 else _clip(json.dumps(value))


def _clip(text: str) -> str:
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}…"


def _tell_line(line: str, own: str) -> str:
    """Return both lines from a little before the place where they begin to differ."""
    same = sum(1 for _ in takewhile(_is_pair, zip(line, own, strict=False)))
    cut: Callable[[str], str] = lambda text: json.dumps(_clip(text[max(0, same - _AROUND) :]), ensure_ascii=False)  # noqa: E731
    return f"the file has {cut(line)}, the records give {cut(own)}"
