"""The page by axe-core's rules: WCAG 2.2 up to level AA, and its best practices."""

from __future__ import annotations

from collections.abc import Callable
from importlib.resources import files
from typing import Any

import pytest
from windtunnel.harness.api.scorecard import Scorecard
from windtunnel.tests.scorecards import empty, hostile, rich, with_baseline

pytestmark = pytest.mark.browser

_RULES = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]


@pytest.fixture(scope="module")
def axe() -> str:
    """The script of axe-core."""
    pytest.importorskip("axe_playwright_python", reason="axe-playwright-python is not installed")
    return (files("axe_playwright_python") / "axe.min.js").read_text("utf-8")


@pytest.mark.parametrize("make", [rich, with_baseline, hostile, empty], ids=lambda make: make.__name__)
@pytest.mark.parametrize("width", [1280, 360])
def test_axe_finds_nothing(visit: Callable[..., Any], axe: str, make: Callable[[], Scorecard], width: int) -> None:
    page = visit(make, width=width, bypass_csp=True)
    page.evaluate("document.querySelectorAll('details').forEach((each) => (each.open = true))")
    page.evaluate(axe)
    found = page.evaluate("(rules) => axe.run(document, { runOnly: rules })", _RULES)
    assert len(found["passes"]) > 20
    assert [(each["id"], [node["html"][:200] for node in each["nodes"]]) for each in found["violations"]] == []
