"""Pages in a real browser."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest
from windtunnel.harness.api.scorecard import Scorecard
from windtunnel.reports.html import Html
from windtunnel.tests.scorecards import rich

CHROMIUM = shutil.which("chromium") or shutil.which("google-chrome")
Open = Callable[..., Any]


@pytest.fixture(scope="session")
def browser() -> Iterator[Any]:
    sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    if CHROMIUM is None:
        pytest.skip("there is no chromium")
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"])
        yield browser
        browser.close()


@pytest.fixture(scope="session")
def pages(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Path]:
    """The file of a scorecard, rendered once."""
    folder = tmp_path_factory.mktemp("pages")

    def page(make: Callable[[], Scorecard], **settings: float) -> Path:
        file = folder / f"{make.__name__}.html"
        if not file.exists():
            file.write_text(Html(**settings).render(make()), encoding="utf-8")
        return file

    return page


@pytest.fixture
def visit(browser: Any, pages: Callable[..., Path]) -> Iterator[Open]:
    """Opens a scorecard's page, at a sample or with other values in its address, and waits for its samples.

    Whatever the test does, the console stays silent, no policy is hit and nothing is fetched.
    """
    complaints: list[str] = []
    contexts = []

    def fetched(request: Any) -> None:
        if not request.url.startswith(("file:", "data:", "blob:")):
            complaints.append(f"fetched {request.url}")

    def visit(
        make: Callable[[], Scorecard] = rich, sample: str = "", width: int = 1280, state: Mapping[str, Any] | None = None,
        settings: Mapping[str, float] | None = None, without: str = "", **options: Any,
    ) -> Any:  # fmt: skip
        context = browser.new_context(viewport={"width": width, "height": 844}, **options)
        contexts.append(context)
        page = context.new_page()
        page.on("console", lambda message: complaints.append(f"{message.type}: {message.text}"))
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.on("request", fetched)
        page.add_init_script("addEventListener('securitypolicyviolation', (e) => console.error('policy: ' + e.violatedDirective))")
        if without:
            page.add_init_script(f"delete window.{without}")
        wanted = {**({"sample": sample} if sample else {}), **(state or {})}
        page.goto(pages(make, **(settings or {})).as_uri() + (f"#{urlencode(wanted, doseq=True)}" if wanted else ""))
        if not without and options.get("java_script_enabled", True) and page.locator(".explorer").count():
            page.wait_for_selector(".explorer[data-ready]")
            page.wait_for_selector(".detail > *")
        return page

    yield visit
    for context in contexts:
        context.close()
    assert complaints == []
