"""Numbers as people read them."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

import pytest
import windtunnel
from windtunnel.harness.api.numerals import format_count, format_interval, format_number

ROOT = Path(str(windtunnel.__file__)).parent
DATA = "samples|records|rows|requests|tokens|texts|lines|values|files|queries|draws|characters|attributions|answers"
BEFORE_DATA = re.compile(rf" (?:[a-z]+ )?(?:{DATA})\b")


@pytest.mark.parametrize(
    ("value", "sign", "text"),
    [
        (0.91254, "-", "0.9125"), (24.0, "-", "24"), (999.94, "-", "999.9"), (999.96, "-", "1,000"), (267552.0, "-", "267,552"),
        (-1234.5, "-", "-1,234"), (0.01, "+", "+0.01"), (2000.0, "+", "+2,000"), (1e20, "-", "1e+20"), (None, "-", "–"),
    ],
)  # fmt: skip
def test_numbers(value: float | None, sign: Literal["-", "+"], text: str) -> None:
    assert format_number(value, sign) == text


def test_intervals_and_counts() -> None:
    assert format_interval(0.25, 12000.0) == "[0.25, 12,000]"
    assert format_interval(None, 1.0) == ""
    assert (format_count(1, "sample"), format_count(1200, "sample")) == ("1 sample", "1,200 samples")


def list_bare_counts(path: Path) -> Iterator[str]:
    """Yield the places of a file where a count of data is part of a sentence without thousands separators."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        for part, following in zip(node.values, node.values[1:], strict=False) if isinstance(node, ast.JoinedStr) else ():
            if isinstance(part, ast.FormattedValue) and isinstance(following, ast.Constant) and BEFORE_DATA.match(str(following.value)):
                name = ast.unparse(part.value)
                is_count = re.fullmatch(r"(?:len|sum)\(.*\)|(?:.*\.)?_?n(?:um)?(?:_\w+)?|.*\['\w+'\]", name)
                if is_count and (part.format_spec is None or "," not in ast.unparse(part.format_spec)):
                    yield f"{path.relative_to(ROOT)}, line {part.lineno}: {{{name}}}"


def test_counts_of_data_have_thousands_separators() -> None:
    files = [file for folder in ("harness", "tasks", "attacks", "probes", "reports") for file in (ROOT / folder).rglob("*.py")]
    assert [place for file in sorted(files) for place in list_bare_counts(file)] == [], "write {num:,}"
