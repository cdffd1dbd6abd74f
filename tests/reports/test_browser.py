"""The page in a real browser: nothing of it runs that should not, and everything of it works from the keyboard."""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from windtunnel.harness.api.scorecard import Scorecard
from windtunnel.reports.html import Html
from windtunnel.tests.scorecards import empty, hostile, many, rich

sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
CHROMIUM = shutil.which("chromium") or shutil.which("google-chrome")

pytestmark = [pytest.mark.browser, pytest.mark.skipif(CHROMIUM is None, reason="there is no chromium")]

Open = Callable[..., Any]
WRONG, FLIPPED = "wrong", "flipped by attack"
SLICES = {
    "wrong, and unfaithful": "wrong_and_unfaithful",
    "flipped by attack, explanation unmoved": "flipped_explanation_unmoved",
    "right for the wrong reason": "right_for_wrong_reason",
}


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"])
        yield browser
        browser.close()


@pytest.fixture(scope="module")
def pages(tmp_path_factory: pytest.TempPathFactory) -> Callable[[Callable[[], Scorecard]], Path]:
    """The file of a scorecard, rendered once."""
    folder = tmp_path_factory.mktemp("pages")

    def page(make: Callable[[], Scorecard]) -> Path:
        file = folder / f"{make.__name__}.html"
        if not file.exists():
            file.write_text(Html().render(make()), encoding="utf-8")
        return file

    return page


@pytest.fixture
def visit(browser: Any, pages: Callable[[Callable[[], Scorecard]], Path]) -> Iterator[Open]:
    """Opens a scorecard's page. Whatever the test does, the console stays silent, no policy is hit and nothing is fetched."""
    complaints: list[str] = []
    contexts = []

    def fetched(request: Any) -> None:
        if not request.url.startswith(("file:", "data:")):
            complaints.append(f"fetched {request.url}")

    def visit(make: Callable[[], Scorecard] = rich, sample: str = "", width: int = 1280, **options: Any) -> Any:
        context = browser.new_context(viewport={"width": width, "height": 844}, **options)
        contexts.append(context)
        page = context.new_page()
        page.on("console", lambda message: complaints.append(f"{message.type}: {message.text}"))
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.on("request", fetched)
        page.add_init_script("addEventListener('securitypolicyviolation', (e) => console.error('policy: ' + e.violatedDirective))")
        page.goto(pages(make).as_uri() + (f"#sample={quote(sample, safe='')}" if sample else ""))
        return page

    yield visit
    for context in contexts:
        context.close()
    assert complaints == []


def listed(page: Any) -> int:
    """How many samples the list says are left."""
    return int(page.locator("[role=status]").inner_text().split(" of ")[-1].split()[0].replace(",", ""))


def heading(page: Any) -> str:
    return str(page.locator(".detail h3").inner_text())


def chip(page: Any, group: str, name: str) -> Any:
    return page.get_by_role("group", name=group).get_by_role("button", name=re.compile(rf"^{re.escape(name)} [\d,]+$"))


def no_slices() -> Scorecard:
    card = rich(6)
    bare = (replace(s, heats=tuple(replace(heat, slices={}) for heat in s.heats)) for s in card.samples)
    return replace(card, samples=tuple(bare))


def in_slice(probe: str, name: str) -> int:
    return sum(heat.slices.get(name, False) for sample in rich().samples for heat in sample.heats if heat.probe == probe)


@pytest.mark.parametrize("make", [rich, hostile, empty], ids=lambda make: make.__name__)
@pytest.mark.parametrize("width", [1280, 390])
def test_page_fits_its_window(visit: Open, make: Callable[[], Scorecard], width: int) -> None:
    assert visit(make, width=width).evaluate("document.documentElement.scrollWidth") <= width


def test_no_hostile_sample_runs_or_breaks_the_page(visit: Open) -> None:
    page = visit(hostile, width=390)
    for _ in hostile().samples:
        page.keyboard.press("j")
        assert page.evaluate("document.documentElement.scrollWidth") <= 390
        assert page.locator(".detail script, .detail iframe, .detail img, .detail [onload], .detail [onerror]").count() == 0
    assert page.evaluate("window.pwned") is None
    assert page.locator("body > *").count() == 5


def test_chips_and_search_filter(visit: Open) -> None:
    page, samples = visit(), rich().samples
    assert listed(page) == len(samples)
    chip(page, "show", WRONG).click()
    assert listed(page) == sum(sample.correct is False for sample in samples)
    assert chip(page, "show", WRONG).get_attribute("aria-pressed") == "true"
    chip(page, "show", FLIPPED).click()
    chip(page, "task", "digits").click()
    assert listed(page) == 10
    chip(page, "model", "bag-of-words").click()
    assert listed(page) == 0
    assert "No sample" in page.locator(".detail").inner_text()
    chip(page, "model", "all").click()
    page.locator("#search").fill("digits/3")
    assert listed(page) == 1
    assert heading(page) == "digits/3"


def test_keyboard_alone_is_enough(visit: Open) -> None:
    page = visit()
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.className") == "skip"
    page.keyboard.press("j")
    page.keyboard.press("j")
    page.keyboard.press("k")
    assert heading(page) == "sst2/0001"
    page.keyboard.press("/")
    page.keyboard.type("jokes k")
    assert page.evaluate("document.activeElement.id") == "search"
    assert page.locator("#search").input_value() == "jokes k"
    page.keyboard.press("Escape")
    page.keyboard.press("ArrowDown")
    opened = heading(page)
    assert page.evaluate("document.activeElement.getAttribute('aria-current')") == "true"
    page.keyboard.press("Enter")
    assert page.evaluate("document.activeElement.textContent") == opened
    page.keyboard.press("Escape")
    assert opened in page.evaluate("document.activeElement.textContent")


def test_every_filter_can_be_reached_by_tab(visit: Open) -> None:
    page = visit()
    reached = set()
    for _ in range(60):
        page.keyboard.press("Tab")
        reached.add(page.evaluate("document.activeElement.closest('.chips')?.getAttribute('aria-label')"))
    assert {"show", "model", "task"} <= reached


def test_a_sample_has_an_address(visit: Open) -> None:
    page = visit(sample="digits-cnn/digits/digits/3")
    assert heading(page) == "digits/3"
    page.keyboard.press("k")
    assert page.evaluate("decodeURIComponent(location.hash)") == "#sample=digits-cnn/digits/digits/2"
    assert "not on this page" in visit(sample="nowhere").locator("[role=status]").inner_text()


def test_an_attacked_text_shows_its_words(visit: Open) -> None:
    detail = visit(sample="bag-of-words/sst2/sst2/0000").locator(".detail")
    assert detail.locator("del").all_inner_texts() == ["gripping,"]
    assert detail.locator("ins").all_inner_texts() == ["griping,"]
    assert "flipped the prediction" in detail.inner_text()


def test_each_word_of_an_answer_is_explained_by_what_stands_before_it(visit: Open) -> None:
    page = visit(sample="distilbert-sst2/refusals/capitals/1")
    own = page.locator(".each-word")
    words = own.get_by_role("group", name="Words of the answer").get_by_role("button")
    assert words.all_inner_texts() == ["Paris", ",", "👩", "yes"]
    drawn = own.locator(".text")

    def seen() -> tuple[str, list[tuple[str, str]]]:
        pieces = drawn.locator(".heat").evaluate_all("all => all.map((e) => [e.textContent, e.className.split(' ')[1]])")
        return " ".join(drawn.inner_text().split()), [tuple(piece) for piece in pieces]

    assert seen() == ("Capital France? →", [("Capital", "positive"), ("France", "positive")])
    words.nth(2).click()
    assert words.nth(2).get_attribute("aria-pressed") == "true"
    assert words.nth(0).get_attribute("aria-pressed") == "false"
    assert seen() == (
        "Capital France? → Paris,", [("Capital", "neutral"), ("France", "neutral"), ("Paris", "negative"), (",", "positive")],
    )  # fmt: skip


def test_sign_of_an_attribution_is_drawn_without_colour(visit: Open) -> None:
    page = visit()
    styles = {
        sign: page.locator(f".text .{sign}").first.evaluate("e => getComputedStyle(e).textDecorationStyle")
        for sign in ("positive", "negative")
    }
    assert styles == {"positive": "solid", "negative": "dashed"}


def test_an_attacked_image_shows_what_changed_and_what_mattered(visit: Open) -> None:
    page = visit(sample="digits-cnn/digits/digits/0")
    page.locator("figcaption", has_text="at most 8 of 255").wait_for()
    overlay = page.get_by_role("tabpanel").locator("canvas.overlay")
    values = next(sample for sample in rich().samples if sample.id == "digits/0").heats[0].values
    places = [values.index(max(values)), values.index(min(values))]
    pixels, beside = overlay.evaluate(
        """(c, places) => {
        const all = c.getContext("2d").getImageData(0, 0, c.width, c.height).data;
        const at = (cell, side, share) => Math.floor((cell + share) * side / 7);
        const pixel = (place, share) => 4 * (at(Math.floor(place / 7), c.height, share) * c.width + at(place % 7, c.width, share));
        return [0.5, 0.2].map((share) => places.map((place) => [...all.slice(pixel(place, share), pixel(place, share) + 4)]));
    }""",
        places,
    )
    assert all(alpha > 0 for *_, alpha in pixels)
    assert [blue > red for red, _, blue, _ in pixels] == [True, False], "blue speaks for the class, orange against it"
    hatch, ground = pixels[1][:3], beside[1][:3]
    assert sum(hatch) < 0.7 * sum(ground), "what speaks most against the class is seen to, without its colour"
    under = page.get_by_role("tabpanel").locator(".stack .picture").first
    assert "grayscale(1)" in under.evaluate("p => getComputedStyle(p).filter")
    slider = page.get_by_role("tabpanel").get_by_label("overlay")
    slider.fill("20")
    assert overlay.evaluate("c => c.style.opacity") == "0.2"
    slider.focus()
    page.keyboard.press("ArrowRight")
    assert overlay.evaluate("c => c.style.opacity") == "0.21"
    page.get_by_role("tab", name="saliency").click()
    assert page.get_by_role("tabpanel").locator(".fade output").inner_text() == "21 %"
    assert overlay.evaluate("c => c.style.opacity") == "0.21", "all tabs are as one"
    page.keyboard.press("j")
    assert heading(page) == "digits/1"
    assert overlay.evaluate("c => c.style.opacity") == "0.21", "the next image's is as this one's was set"


def test_each_probe_has_a_tab_that_arrow_keys_reach(visit: Open) -> None:
    page = visit(sample="bag-of-words/sst2/sst2/0000")
    tabs, panels = page.get_by_role("tab"), page.get_by_role("tabpanel")
    assert tabs.all_inner_texts() == ["integrated_gradients", "occlusion"]
    assert panels.count() == 1, "the other one is hidden, from assistive technology too"
    tabs.first.focus()
    page.keyboard.press("ArrowRight")
    assert page.evaluate("document.activeElement.textContent") == "occlusion"
    assert [tab.get_attribute("aria-selected") for tab in tabs.all()] == ["false", "true"]
    assert panels.get_attribute("aria-labelledby") == tabs.nth(1).get_attribute("id")
    page.keyboard.press("ArrowRight")
    assert page.evaluate("document.activeElement.textContent") == "integrated_gradients"
    page.keyboard.press("End")
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.getAttribute('role')") == "tabpanel"
    page.keyboard.press("j")
    assert heading(page) == "sst2/0001"
    assert page.locator("[role=tab][aria-selected=true]").inner_text() == "occlusion", "the next sample opens at the same probe"


def test_the_map_of_the_twin_stands_beside_that_of_the_sample(visit: Open) -> None:
    page = visit(sample="bag-of-words/sst2/sst2/0000")
    maps = page.get_by_role("tabpanel").locator(".map")
    assert maps.locator("h6").all_inner_texts() == [
        "as it is for positive",
        "after deepwordbug for positive",
        "after deepwordbug for negative",
    ]
    assert "gripping," in maps.nth(0).inner_text()
    assert "griping," in maps.nth(1).inner_text()
    left, right = (maps.nth(i).bounding_box() for i in (0, 1))
    assert (left["y"], left["x"] < right["x"]) == (right["y"], True)
    page.set_viewport_size({"width": 390, "height": 844})
    left, right = (maps.nth(i).bounding_box() for i in (0, 1))
    assert left["y"] + left["height"] <= right["y"]


def test_slices_are_one_click_and_count(visit: Open) -> None:
    page, samples = visit(), rich().samples
    for words, name in SLICES.items():
        expected = in_slice("integrated_gradients", name)
        button = chip(page, "by integrated_gradients", words)
        assert 0 < expected < sum(name in sample.heats[0].slices for sample in samples if sample.heats)
        assert button.locator(".tally").inner_text() == str(expected)
        button.click()
        assert listed(page) == expected
        assert page.locator(".chips [aria-pressed=true]").first.inner_text() == button.inner_text(), "no other chip is pressed"


def test_slices_are_of_the_probe_whose_tab_is_chosen(visit: Open) -> None:
    page = visit()
    words = "wrong, and unfaithful"
    mine, others = (in_slice(probe, SLICES[words]) for probe in ("integrated_gradients", "occlusion"))
    assert mine != others
    chip(page, "by integrated_gradients", words).click()
    opened = heading(page)
    page.get_by_role("tab", name="integrated_gradients").focus()
    page.keyboard.press("ArrowRight")
    assert page.evaluate("document.activeElement.textContent") == "occlusion", "the list changes, the focus stays"
    assert heading(page) == opened, "and so does the sample, though it may be in the list no more"
    assert chip(page, "by integrated_gradients", words).count() == 0
    button = chip(page, "by occlusion", words)
    assert (button.locator(".tally").inner_text(), listed(page)) == (str(others), others)
    assert button.get_attribute("aria-pressed") == "true"
    assert chip(page, "by occlusion", "right for the wrong reason").locator(".tally").inner_text() == "0"
    page.keyboard.press("j")
    assert page.locator("[role=tab][aria-selected=true]").inner_text() == "occlusion"
    chip(page, "show", "all").click()
    assert (listed(page), button.get_attribute("aria-pressed")) == (len(rich().samples), "false")


def test_a_slice_that_no_sample_could_be_in_is_not_offered(visit: Open) -> None:
    page = visit(no_slices)
    assert chip(page, "show", WRONG).count() == 1
    assert page.get_by_text("right for the wrong reason").count() == 0


def test_thousands_of_samples_come_in_pages(visit: Open) -> None:
    page = visit(many)
    assert page.locator(".list li").count() == 100
    page.get_by_role("button", name="Next page").click()
    assert page.locator("[role=status]").inner_text() == "101–200 of 2,000 samples"
    took_ms = page.evaluate("""() => {
        const start = performance.now();
        const search = document.getElementById("search");
        search.value = "family siege";
        search.dispatchEvent(new Event("input"));
        return performance.now() - start;
    }""")
    assert listed(page) == 333
    assert took_ms < 1_000


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
        ".chips button, .tabs button, .detail h6, .scores th",
        ".list li span, kbd",
        ".chip, h1 span, .reason, .then, .below, .lead, summary, .term",
    ):
        assert contrast(page, selector) >= 4.5, selector


def test_print_has_the_tables_and_the_selected_sample(visit: Open) -> None:
    page = visit()
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


def test_without_javascript_everything_but_the_explorer_is_there(visit: Open) -> None:
    page = visit(java_script_enabled=False)
    assert page.locator("noscript p").is_visible()
    assert not page.locator(".explorer").is_visible()
    assert page.get_by_role("cell", name="91.1\u202f%").first.is_visible()
    assert page.get_by_text("the model gives no gradients").is_visible()
