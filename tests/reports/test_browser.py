"""The page in a real browser: nothing of it runs that should not, and everything of it works from the keyboard."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from typing import Any

import pytest
from windtunnel.harness.api.scorecard import Scorecard
from windtunnel.tests.scorecards import BERT, LINEAR, empty, hostile, rich

pytestmark = pytest.mark.browser

Open = Callable[..., Any]


@pytest.mark.parametrize("make", [rich, hostile, empty], ids=lambda make: make.__name__)
@pytest.mark.parametrize("width", [1280, 390])
def test_page_fits_its_window(visit: Open, make: Callable[[], Scorecard], width: int) -> None:
    assert visit(make, width=width).evaluate("document.documentElement.scrollWidth") <= width


def contrast(page: Any, selector: str) -> float:
    """The lowest WCAG contrast of the text of these elements with what lies under it."""
    return float(
        page.evaluate(
            """(selector) => {
        const canvas = Object.assign(document.createElement("canvas"), { width: 1, height: 1 }).getContext("2d", { willReadFrequently: true });
        const luminance = (colours) => {
            canvas.clearRect(0, 0, 1, 1);
            for (const colour of colours) { canvas.fillStyle = colour; canvas.fillRect(0, 0, 1, 1); }
            const [r, g, b] = [...canvas.getImageData(0, 0, 1, 1).data].map((v) => v / 255).map((v) => v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4);
            return 0.2126 * r + 0.7152 * g + 0.0722 * b;
        };
        const grounds = (e) => e ? [...grounds(e.parentElement), getComputedStyle(e).backgroundColor] : [];
        return Math.min(...[...document.querySelectorAll(selector)].map((e) => {
            const [a, b] = [luminance(grounds(e)), luminance([...grounds(e), getComputedStyle(e).color])].sort((x, y) => x - y);
            return (b + 0.05) / (a + 0.05);
        }));
    }""",  # noqa: E501
            selector,
        )
    )


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_has_contrast_in_light_and_dark(visit: Open, scheme: str) -> None:
    page = visit(color_scheme=scheme)
    ground = page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert ground == {"light": "rgb(255, 255, 255)", "dark": "rgb(15, 19, 23)"}[scheme]
    for selector in (
        "p, td, th, dd, dt, a, .badge",
        "ins, del",
        ".heat",
        ".facets button span, .tools button, .tabs button, .detail .subtitle, .scores th",
        ".row:not([hidden]) span, kbd",
        ".chip, h1 span, .reason, .then, .below, .lead, summary, .term",
    ):
        assert contrast(page, selector) >= 4.5, selector


def test_print_has_the_tables_and_the_selected_sample(visit: Open) -> None:
    page = visit(sample="bag-of-words/sst2/sst2/0000")
    page.emulate_media(media="print")
    assert page.locator(".detail h3").is_visible()
    assert page.locator(".print-note").is_visible()
    assert page.locator("table.rows").first.is_visible()
    assert page.locator("details > noscript").count() == 0
    assert page.locator("details > .folded").last.is_visible()
    assert not page.locator(".list").is_visible()
    assert not page.locator("nav").is_visible()
    assert page.locator(".attribution .paper").all_inner_texts() == ["integrated_gradients", "occlusion"]
    assert page.locator(".attribution.closed .scores").is_visible()
    assert page.pdf().startswith(b"%PDF")


def test_folded_parts_enter_the_document_when_they_are_opened(visit: Open) -> None:
    page = visit()
    assert page.locator(".folded").count() == 0
    assert page.evaluate("document.querySelectorAll('*').length") < 2_500
    page.get_by_text("Cost of 2 items").click()
    assert page.locator(".folded").count() == 1
    assert page.locator("details[open]").get_by_role("cell", name="83.2").is_visible()


def test_a_metric_explains_itself_from_the_keyboard(visit: Open) -> None:
    page = visit()
    button = page.locator(".card").get_by_role("button", name="Accuracy on sst2").first
    button.focus()
    page.keyboard.press("Enter")
    popover = page.locator(":popover-open")
    assert "Share of samples whose predicted class is the target." in popover.inner_text()
    popover.get_by_role("link", name="how it is computed").click()
    assert page.locator("#how-accuracy").evaluate("e => e.matches(':target')")
    page.keyboard.press("Escape")
    assert popover.count() == 0


def test_headings_are_in_order_and_sections_can_be_reached(visit: Open) -> None:
    page = visit()
    levels = page.evaluate(
        "[...document.querySelectorAll('main :is(h1, h2, h3, h4)')].filter((h) => !h.closest('.detail')).map((h) => +h.tagName[1])"
    )
    assert levels[0] == 1
    assert levels.count(1) == 1
    assert all(after <= before + 1 for before, after in pairwise(levels))
    for link in page.get_by_role("navigation", name="Sections").get_by_role("link").all():
        assert page.locator(str(link.get_attribute("href"))).count() == 1


def test_without_javascript_everything_but_the_explorer_is_there(visit: Open) -> None:
    page = visit(java_script_enabled=False)
    assert page.locator("noscript p").is_visible()
    assert not page.locator(".explorer").is_visible()
    assert page.get_by_role("cell", name="91.1\u202f%").first.is_visible()
    assert page.get_by_text("the model gives no gradients").is_visible()
    page.get_by_text("Cost of 2 items").click()
    assert page.locator(".folded").get_by_role("cell", name="83.2").is_visible()


def test_a_text_that_scrolls_can_be_scrolled_from_the_keyboard(visit: Open) -> None:
    page = visit(sample=f"{BERT}/sst2/sst2/0999")
    long = page.locator(".detail .text").first
    assert long.evaluate("e => e.scrollHeight > e.clientHeight && e.tabIndex === 0")
    short = visit(sample=f"{LINEAR}/sst2/sst2/0000").locator(".detail .text").first
    assert short.evaluate("e => e.tabIndex") == -1
