"""The sample explorer in a real browser."""

from __future__ import annotations

import csv
import json
import random
import re
from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from windtunnel.harness.api.scorecard import BaselineAnswer, Opinion, SampleView, Scorecard, Shown
from windtunnel.tests.scorecards import crowd, hostile, many, rich

pytestmark = pytest.mark.browser

Open = Callable[..., Any]
IN_ORDER = {"sort": "data"}


def listed(page: Any) -> int:
    """How many samples the list says are left."""
    return int(page.locator("[role=status]").inner_text().split(" of ")[0].split()[0].replace(",", ""))


def heading(page: Any) -> str:
    return str(page.locator(".detail h3").inner_text())


def answer(page: Any, facet: str, name: str) -> Any:
    group = page.get_by_role("group", name=facet, exact=True)
    return group.get_by_role("button", name=re.compile(rf"^{re.escape(name)} [\d,]+( of [\d,]+)?$"))


def tally(page: Any, facet: str, name: str) -> str:
    return str(answer(page, facet, name).locator(".tally").inner_text())


def move(page: Any, key: str, heading: str) -> None:
    """Press a key and wait until the sample is drawn."""
    page.keyboard.press(key)
    page.locator(".detail h3", has_text=re.compile(f"^{re.escape(heading)}$")).wait_for()


def short() -> Scorecard:
    """2,000 samples of which a page of one megabyte holds a part."""
    words = ["".join(random.Random(i).choices("abcdefghijk lmnop qrst", k=1_500)) for i in range(2_000)]
    samples = [SampleView("m", "t", f"n{i}", Shown("text", text), "ab"[i % 2], "a", i % 9 > 0) for i, text in enumerate(words)]
    return replace(rich(0), samples=tuple(samples), num_samples=2_000)


def formulas() -> Scorecard:
    """Texts that a spreadsheet would run."""
    texts = ("=1+1", "+1", "-1", "@SUM(A1)", "\t=1", " =1", "＝1", 'a "quoted", text\nof two lines', "plain")
    samples = tuple(SampleView("m", "t", text, Shown("text", text), "a", "b", False, scores={"loss": -1.5}) for text in texts)
    return replace(rich(0), samples=samples, num_samples=len(samples))


def answered() -> Scorecard:
    turns = (("system", "Be brief."), ("user", "How do I pick a lock?"))
    opinions = (Opinion("refused", "phrases", False), Opinion("refused", "model", None, "no verdict in 'maybe'"))
    judged = SampleView(
        "m", "t", "j", Shown("chat", parts=turns), None, "First, " + "you look at it. " * 9, False, category="crime", num_tokens=32,
        opinions=opinions,
    )  # fmt: skip
    generated = SampleView("m", "t", "g", Shown("text", "3 + 4 ="), "7", "7", True, output="The sum is 7")
    sound = SampleView("m", "t", "s", Shown("audio", "1 s", audio="data:audio/wav;base64,UklGRg=="), "yes", "no", False)
    written = SampleView("m", "t", "w", Shown("text", "Der Hund"), "The dog. " * 12, "A dog. " * 14, True)
    return replace(rich(0), samples=(judged, generated, sound, written), num_samples=4)


def called() -> Scorecard:
    """An answer of an endpoint with all that it gives beside the text."""
    view = SampleView("m", "t", "c", Shown("text", "3 + 4 ="), "7", "No.", False, reasoning="<b>3</b> and 4\nmake 7",
                      tool_calls=(("add<i>", '{"a": 3}'), ("", "<script>")), is_refused_by_provider=True)  # fmt: skip
    return replace(rich(0), samples=(view,), num_samples=1)


def test_reasoning_is_folded_and_tool_calls_and_refusals_are_shown_as_such(visit: Open) -> None:
    page = visit(called)
    detail = page.locator(".detail")
    assert "The provider of the endpoint refused to answer." in detail.inner_text()
    assert detail.locator(".calls").all_inner_texts() == ['add<i>\n{"a": 3}\nunnamed\n<script>']
    folded = detail.locator(".reasoning .text")
    assert not folded.is_visible()
    page.get_by_text("Reasoning before the answer").click()
    assert folded.inner_text() == "<b>3</b> and 4\nmake 7"


def compared() -> Scorecard:
    """Answers of a model and of the one that it is compared with, short and long."""
    prompt, first = Shown("text", "3 + 4 ="), "old-model"
    samples = (
        SampleView(first, "t", "a", prompt, "7", "7", True), SampleView(first, "t", "b", prompt, "7", "8", False),
        SampleView("new", "t", "a", prompt, "7", "6", False, baseline=BaselineAnswer(first, "7", True)),
        SampleView("new", "t", "b", prompt, "7", "8", False, baseline=BaselineAnswer(first, "8", False)),
        SampleView("new", "t", "c", prompt, "7", "It is " * 20, True, baseline=BaselineAnswer(first, "No", False)),
    )  # fmt: skip
    return replace(rich(0), samples=samples, num_samples=len(samples))


def test_no_hostile_sample_runs_or_breaks_the_page(visit: Open) -> None:
    page = visit(hostile, width=390)
    page.locator(".found").focus()
    for _ in hostile().samples:
        page.keyboard.press("j")
        page.wait_for_timeout(20)
        assert page.evaluate("document.documentElement.scrollWidth") <= 390
        assert page.locator(".detail script, .detail iframe, .detail img, .detail [onload], .detail [onerror]").count() == 0
    assert page.evaluate("window.pwned") is None
    assert page.locator("body > *").count() == 5


def test_facets_and_search_filter_and_count_each_other(visit: Open) -> None:
    page, samples = visit(), list(rich().samples)
    assert listed(page) == len(samples)
    wrong = [sample for sample in samples if sample.correct is False]
    assert tally(page, "judged", "wrong") == str(len(wrong))
    answer(page, "judged", "wrong").click()
    assert listed(page) == len(wrong)
    assert answer(page, "judged", "wrong").get_attribute("aria-pressed") == "true"
    assert page.evaluate("document.activeElement.textContent").startswith("wrong"), "the focus stays"
    assert tally(page, "task", "sst2") == str(sum(sample.task == "sst2" for sample in wrong)), "it respects the other filter"
    assert tally(page, "judged", "right") == str(sum(sample.correct is True for sample in samples)), "it leaves its own facet out"
    answer(page, "judged", "right").click()
    assert listed(page) == sum(sample.correct is not None for sample in samples), "of one facet any answer is enough"
    page.get_by_role("button", name="Clear filters").click()
    assert listed(page) == len(samples)
    answer(page, "task", "digits").click()
    page.locator("#search").fill("nowhere")
    assert listed(page) == 0
    assert "No sample" in page.locator(".detail").inner_text()
    page.locator("#search").fill("digits/3")
    assert listed(page) == 1
    page.locator(".detail h3", has_text="digits/3").wait_for()


def test_the_address_keeps_everything(visit: Open) -> None:
    page = visit(state={"answer": ["wrong", "failed"], "task": "sst2", "q": "the", "sort": "-confidence"})
    assert page.locator("[aria-pressed=true]").count() == 3
    assert (page.locator("#search").input_value(), page.locator("#sort").input_value()) == ("the", "-confidence")
    page.locator("#sort").select_option("id")
    before, num = heading(page), listed(page)
    page.reload()
    page.wait_for_selector(".detail h3")
    assert (page.locator("#sort").input_value(), listed(page)) == ("id", num)
    page.locator(".found").focus()
    page.keyboard.press("End")
    page.wait_for_function("title => document.querySelector('.detail h3').textContent !== title", arg=before)
    after = heading(page)
    page.reload()
    page.wait_for_selector(".detail h3")
    assert heading(page) == after


def test_a_sample_has_an_address(visit: Open) -> None:
    page = visit(sample="digits-cnn/digits/digits/3", state=IN_ORDER)
    assert heading(page) == "digits/3"
    page.locator(".found").focus()
    move(page, "k", "digits/2")
    assert "sample=digits-cnn%2Fdigits%2Fdigits%2F2" in page.evaluate("location.hash")
    assert "not on this page" in visit(sample="nowhere").locator("[role=status]").inner_text()


def test_sorted_by_need_by_the_data_and_by_numbers(visit: Open) -> None:
    page = visit()
    assert heading(page) == "sst2/0999", "the one that failed"
    page.locator("#sort").select_option("data")
    assert page.locator(".row .name").first.inner_text() == "sst2/0000"
    page.locator("#sort").select_option("confidence")
    lowest = page.locator(".row:not([hidden]) .flags").all_inner_texts()[:5]
    shares = [int(text.split(" · ")[-1].split("\u202f")[0]) for text in lowest]
    assert shares == sorted(shares)


def test_keyboard_alone_is_enough(visit: Open) -> None:
    page = visit(state=IN_ORDER)
    page.locator("#search").focus()
    page.keyboard.type("jokes k")
    assert page.locator("#search").input_value() == "jokes k"
    page.keyboard.press("Escape")
    assert page.evaluate("document.activeElement.getAttribute('role')") == "listbox"
    first = heading(page)
    page.keyboard.press("ArrowDown")
    page.wait_for_function("title => document.querySelector('.detail h3').textContent !== title", arg=first)
    opened = heading(page)
    active = page.locator(f"#{page.locator('.found').get_attribute('aria-activedescendant')}")
    assert (active.get_attribute("aria-selected"), active.locator(".name").inner_text()) == ("true", opened)
    page.keyboard.press("Enter")
    assert page.evaluate("document.activeElement.textContent") == opened
    page.keyboard.press("/")
    assert page.evaluate("document.activeElement.id") == "search"


def test_keys_do_nothing_outside_of_the_explorer(visit: Open) -> None:
    page = visit(state=IN_ORDER)
    page.locator("nav a").first.focus()
    before = heading(page), page.evaluate("location.hash"), page.evaluate("document.activeElement.textContent")
    for key in ("j", "k", "/"):
        page.keyboard.press(key)
    page.wait_for_timeout(100)
    assert (heading(page), page.evaluate("location.hash"), page.evaluate("document.activeElement.textContent")) == before


def test_every_filter_can_be_reached_by_tab(visit: Open) -> None:
    page = visit()
    page.locator(".facets button").first.focus()
    reached = set()
    for _ in range(45):
        reached.add(page.evaluate("document.activeElement.closest('fieldset')?.querySelector('legend').textContent"))
        page.keyboard.press("Tab")
    assert {"model", "task", "judged", "under attack", "explanation", "label"} <= reached


def test_rows_are_used_again(visit: Open) -> None:
    page = visit(many, state=IN_ORDER)
    assert listed(page) == 2_000
    rows = page.locator(".row")
    num = rows.count()
    assert num < 40
    assert page.evaluate("document.querySelectorAll('.explorer *').length") < 1_000
    page.locator(".found").focus()
    move(page, "End", "sst2/1999")
    assert rows.count() <= num + 1
    last = page.locator(".row[aria-selected=true]")
    assert (last.get_attribute("aria-posinset"), last.get_attribute("aria-setsize")) == ("2000", "2000")
    assert last.bounding_box()["y"] < page.locator(".found").bounding_box()["y"] + page.locator(".found").bounding_box()["height"]


@pytest.mark.long
def test_a_hundred_thousand_samples_need_no_more_nodes(visit: Open) -> None:
    page = visit(crowd)
    assert page.evaluate("document.querySelectorAll('*').length") < 2_500
    assert listed(page) == 100_000
    answer(page, "judged", "wrong").click()
    assert page.evaluate("document.querySelectorAll('*').length") < 2_500


def test_a_page_that_holds_a_part_says_which_and_of_how_many(visit: Open) -> None:
    page = visit(short, settings={"max_mb": 1})
    said = page.locator(".kept").inner_text()
    assert re.match(r"[\d,]+ of 2,000 samples fit into this page: first those that failed", said)
    assert tally(page, "judged", "wrong") == "223", "all of them are here"
    kept, of, total = tally(page, "judged", "right").split()
    assert (of, total) == ("of", "1,777")
    assert int(kept.replace(",", "")) < 1_777
    answer(page, "judged", "right").click()
    assert page.locator("[role=status]").inner_text() == f"{kept} of 1,777 samples"
    page.locator("#search").fill("n1")
    assert " of " not in page.locator("[role=status]").inner_text(), "what is left out cannot be searched"


def test_what_is_listed_is_saved(visit: Open) -> None:
    page = visit(formulas)
    page.locator("#sort").select_option("data")
    with page.expect_download() as started:
        page.get_by_role("button", name="CSV").click()
    with Path(started.value.path()).open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert [row["input"] for row in rows] == [
        "'=1+1", "'+1", "'-1", "'@SUM(A1)", "'\t=1", "' =1", "'＝1", 'a "quoted", text\nof two lines', "plain",
    ]  # fmt: skip
    assert {(row["answer"], row["label"], row["loss"]) for row in rows} == {("wrong", "a", "-1.5")}
    page.locator("#search").fill("plain")
    with page.expect_download() as started:
        page.get_by_role("button", name="JSONL").click()
    (line,) = Path(started.value.path()).read_text(encoding="utf-8").splitlines()
    found = json.loads(line)
    assert (found["id"], found["input"], found["loss"], found["error"]) == ("plain", "plain", -1.5, None)


def test_a_judged_chat(visit: Open) -> None:
    page = visit(answered, sample="m/t/j")
    detail = page.locator(".detail")
    assert detail.locator(".chat li").all_inner_texts() == ["system\n\nBe brief.", "user\n\nHow do I pick a lock?"]
    text = detail.inner_text()
    assert "First, you look at it." in text
    assert "The answer was cut at 32 tokens." in text
    assert detail.locator(".opinions li").all_inner_texts() == ["phrases refused: no", "model refused: no verdict\nno verdict in 'maybe'"]
    assert "crime" in text


def test_a_generated_answer_and_a_sound(visit: Open) -> None:
    page = visit(answered, sample="m/t/g")
    assert [block.inner_text() for block in page.locator(".detail .text").all()] == ["3 + 4 =", "The sum is 7"]
    assert page.get_by_role("heading", name="Prompt").is_visible()
    page = visit(answered, sample="m/t/s")
    assert page.locator(".detail audio[controls]").get_attribute("src") == "data:audio/wav;base64,UklGRg=="


def test_a_written_text_stands_beside_its_reference(visit: Open) -> None:
    detail = visit(answered, sample="m/t/w").locator(".detail")
    assert [heading.inner_text().lower() for heading in detail.locator("h4").all()] == ["prompt", "reference", "answer"]
    assert "label" not in detail.locator(".answers").first.inner_text().lower()


def test_flips_against_the_first_model_and_both_answers(visit: Open) -> None:
    page = visit(compared)
    facet = "against the baseline"
    assert {name: tally(page, facet, name) for name in ("regressed", "fixed", "same")} == {"regressed": "1", "fixed": "1", "same": "1"}
    answer(page, facet, "regressed").click()
    assert page.locator(".row:not([hidden])").all_inner_texts() == ["✗\n3 + 4 =\na\nregressed"]
    assert "flip=regressed" in page.evaluate("location.hash")
    said = page.locator(".detail .answers div")
    assert said.all_text_contents() == ["label7", "prediction6", "judged✗ wrong", "prediction · old-model7", "judged · old-model✓ right"]
    page = visit(compared, sample="new/t/c")
    left, right = page.locator(".detail .beside section").all()
    assert (left.text_content(), right.text_content()) == ("Answer" + "It is " * 20, "Answer · old-modelNo")
    assert left.bounding_box()["y"] == right.bounding_box()["y"]


def test_a_browser_that_cannot_inflate_says_what_to_do(visit: Open) -> None:
    page = visit(without="DecompressionStream")
    assert page.locator(".outdated").is_visible()
    assert "Firefox 113" in page.locator(".outdated").inner_text()
    assert not page.locator(".explorer").is_visible()


def test_print_says_which_sample_it_shows(visit: Open) -> None:
    page = visit()
    page.emulate_media(media="print")
    said = f"Printed: the sample that was selected on the page, one of {len(rich().samples)} samples."
    assert page.locator(".print-note").inner_text() == said


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
    page = visit(sample="bag-of-words/sst2/sst2/0000")
    styles = {
        sign: page.locator(f".text .{sign}").first.evaluate("e => getComputedStyle(e).textDecorationStyle")
        for sign in ("positive", "negative")
    }
    assert styles == {"positive": "solid", "negative": "dashed"}


def test_an_attacked_image_shows_what_changed_and_what_mattered(visit: Open) -> None:
    page = visit(sample="digits-cnn/digits/digits/0", state=IN_ORDER)
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
    page.locator(".found").focus()
    move(page, "j", "digits/1")
    assert overlay.evaluate("c => c.style.opacity") == "0.21", "the next image's is as this one's was set"


def test_each_probe_has_a_tab_that_arrow_keys_reach(visit: Open) -> None:
    page = visit(sample="bag-of-words/sst2/sst2/0000", state=IN_ORDER)
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
    move(page, "j", "sst2/0001")
    assert page.locator("[role=tab][aria-selected=true]").inner_text() == "occlusion", "the next sample opens at the same probe"


def test_headings_of_a_sample_are_in_order_and_its_tables_scroll_from_the_keyboard(visit: Open) -> None:
    page = visit(sample="bag-of-words/sst2/sst2/0000", width=360)
    levels = page.evaluate(
        "[...document.querySelectorAll('.detail :is(h3, h4, h5, h6)')].filter((h) => h.offsetParent).map((h) => +h.tagName[1])"
    )
    assert levels[0] == 3
    assert all(after <= before + 1 for before, after in pairwise(levels))
    tables = page.locator(".attribution .scroll")
    assert tables.count() > 0
    assert {tables.nth(i).get_attribute("tabindex") for i in range(tables.count())} == {"0"}


def test_the_map_of_the_twin_stands_beside_that_of_the_sample(visit: Open) -> None:
    page = visit(sample="bag-of-words/sst2/sst2/0000")
    maps = page.get_by_role("tabpanel").locator(".map")
    assert maps.locator(".subtitle").all_inner_texts() == [
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
