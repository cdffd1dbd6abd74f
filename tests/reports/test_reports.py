"""The reports: what they say, and that hostile text stays text in every one of them."""

from __future__ import annotations

import base64
import hashlib
import json
import math
import re
from collections.abc import Callable
from dataclasses import replace
from html.parser import HTMLParser
from xml.etree import ElementTree as ET

import numpy as np
import pytest
from markdown_it import MarkdownIt
from windtunnel.harness.api.comparison import WORSE, Comparison, FlipCount, RowChange
from windtunnel.harness.api.item_key import ItemKey
from windtunnel.harness.api.report import Report
from windtunnel.harness.api.scorecard import Estimate, GateResult, Heat, JudgedRow, Row, SampleView, Scorecard, Shown, Twin
from windtunnel.harness.api.visible_text import make_visible
from windtunnel.reports import display, explorer
from windtunnel.reports.html import Html
from windtunnel.reports.junit import JUnit
from windtunnel.reports.markdown import MOST_LINES, Markdown, escape, format_code
from windtunnel.reports.results_json import ResultsJson
from windtunnel.tests.scorecards import ATTACKS, empty, hostile, key, rich

REPORTS: list[Report] = [Html(), Markdown(), JUnit(), ResultsJson()]
SCORECARDS = [rich, hostile, empty]

each_report = pytest.mark.parametrize("report", REPORTS, ids=lambda report: type(report).__name__)
each_scorecard = pytest.mark.parametrize("make", SCORECARDS, ids=lambda make: make.__name__)


# ── every report ──────────────────────────────────────────────────────────────────────────────────────────────────────


@each_report
@each_scorecard
def test_equal_scorecards_give_equal_bytes(report: Report, make: Callable[[], Scorecard]) -> None:
    text = report.render(make())
    assert text.encode("utf-8") == report.render(make()).encode("utf-8")
    assert "\r" not in text
    assert text.endswith("\n")


@each_report
def test_timing_changes_nothing_but_timing(report: Report) -> None:
    slow = replace(rich(), timing={"wall_s": 9_999.125})
    if isinstance(report, ResultsJson):
        first, second = json.loads(report.render(rich())), json.loads(report.render(slow))
        assert first.pop("timing") != second.pop("timing")
        assert first == second
    elif not isinstance(report, Html):
        assert report.render(rich()) == report.render(slow)


@each_report
def test_nothing_hidden_reaches_the_file(report: Report) -> None:
    """Controls, bidirectional overrides, zero-width characters and surrogates are spelled out, so that no viewer can be fooled."""
    text = report.render(hostile())
    hidden = re.compile("[\0-\x08\x0b-\x1f\x7f-\x9f\xad\u200b-\u200f\u2028-\u202e\u2066-\u2069\ufeff\ud800-\udfff\ufffe\uffff]")
    assert not hidden.search(text)


def test_suffixes_are_file_names() -> None:
    assert [report.suffix for report in REPORTS] == ["scorecard.html", "summary.md", "junit.xml", "results.json"]


# ── what is shown of a text and a number ──────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain\n\ttext é 日本 שלום", "plain\n\ttext é 日本 שלום"),
        ("a\x00\x1b\x7f\x85", "a␀␛⟨U+007F⟩⟨U+0085⟩"),
        ("\u202eabc\u2066", "⟨U+202E⟩abc⟨U+2066⟩"),
        ("zero\u200bwidth\ufeff", "zero⟨U+200B⟩width⟨U+FEFF⟩"),
        ("\ud83d lone", "\\ud83d lone"),
        ("👩\u200d👧 ❤\ufe0f\u200d🔥 می\u200cخواهم क्\u200dष", "👩\u200d👧 ❤\ufe0f\u200d🔥 می\u200cخواهم क्\u200dष"),
        ("می\u200c\u200cم م\u200c م\u200cx a\u200cb 👩\u200d", "می⟨U+200C⟩⟨U+200C⟩م م⟨U+200C⟩ م⟨U+200C⟩x a⟨U+200C⟩b 👩⟨U+200D⟩"),
        ("م\u202eم", "م⟨U+202E⟩م"),
        ("\u3164\u2800", "⟨U+3164⟩⟨U+2800⟩"),
    ],
)
def test_visible(text: str, shown: str) -> None:
    assert make_visible(text) == shown


@pytest.mark.parametrize(
    ("value", "shown"),
    [(0.0, "0.000"), (1.0, "1.000"), (0.9123, "0.912"), (-0.12, "−0.120"), (0.00012, "1.2e-04"), (24.313, "24.31"), (100.0, "100.0"),
     (999.97, "1,000"), (12_480.0, "12,480")],
)  # fmt: skip
def test_number(value: float, shown: str) -> None:
    assert display.number(value) == shown


def test_counts_are_whole_numbers() -> None:
    assert [display.number(value, whole=True) for value in (0.0, 1.0, 34.0, 0.5)] == ["0", "1", "34", "0.500"]


@pytest.mark.parametrize(
    ("verdict", "label"),
    [("pass", "Pass"), ("incomplete", "Incomplete"), ("fail", "Fail"), ("missing", "Missing"), ("none", "No gates")],
)
def test_a_verdict_has_a_label(verdict: str, label: str) -> None:
    card = replace(empty(), verdict=verdict)
    assert display.describe_verdict(verdict)[0] == label
    for report in (Html(), Markdown()):
        assert label in report.render(card)


def test_summary_names_what_ran() -> None:
    assert display.summarise(rich()) == (
        "distilbert-sst2, bag-of-words and digits-cnn on sst2, digits and refusals, with deepwordbug, occlusion and pgd: "
        "1,744 samples, 1 failed."
    )


def test_dimensions_keep_their_order_and_strangers_come_last() -> None:
    stranger = Row("m", key("t"), "x", "fairness", Estimate(0.5))
    card = replace(rich(), rows=(stranger, *rich().rows))
    assert list(display.group_by_dimension(card)) == [
        "quality", "calibration", "robustness", "safety", "interpretability", "efficiency", "fairness",
    ]  # fmt: skip


# ── results.json ──────────────────────────────────────────────────────────────────────────────────────────────────────


def test_results_say_everything_but_samples() -> None:
    card = rich()
    results = json.loads(ResultsJson().render(card))
    assert list(results) == [
        "format",
        "verdict",
        "exit_code",
        "complete",
        "counts",
        "gates",
        "rows",
        "comparisons",
        "manifest",
        "timing",
        "sessions",
    ]
    assert results["counts"] == {"samples": 1_744, "failed": 1, "gates": {"pass": 1, "fail": 1, "warn": 1, "no_data": 1}}
    assert results["manifest"] == card.manifest
    assert results["timing"]["rates"] == card.timing
    gates = (
        GateResult(**gate | {"rows": tuple(JudgedRow(**row) for row in gate["rows"]), "mismatches": tuple(gate["mismatches"])})
        for gate in results["gates"]
    )
    assert tuple(gates) == card.gates
    for row, own in zip(results["rows"], card.rows, strict=True):
        parts = {**row.pop("parts"), "key": ItemKey.from_json(row.pop("key")), "estimate": Estimate(**row.pop("estimate"))}
        assert (row.pop("item"), row.pop("metric")) == (own.item, own.name)
        assert Row(**row, **parts) == own


def test_results_have_no_nan_and_say_why() -> None:
    text = ResultsJson().render(hostile())
    results = json.loads(text, parse_constant=pytest.fail)
    assert results["manifest"]["temperature"] is None
    estimate = results["rows"][0]["estimate"]
    assert (estimate["value"], estimate["low"], estimate["high"]) == (None, None, None)
    assert estimate["reason"].startswith("the value is nan, which is not a finite number")


def test_floats_are_written_in_full() -> None:
    row = Row("m", key("t"), "x", "quality", Estimate(0.1 + 0.2, 1 / 3, math.pi))
    text = ResultsJson().render(Scorecard({}, (row,)))
    assert all(number in text for number in ("0.30000000000000004", "0.3333333333333333", "3.141592653589793"))


# ── summary.md ────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_summary_is_short_and_complete() -> None:
    text = Markdown().render(rich())
    assert text.startswith("# sentiment-release: Fail\n")
    assert "| `deepwordbug(sst2).robust_accuracy.low >= 0.30` | fail | fail | 0.214 \\[0.187, 0.243\\]: below 0.30. |" in text
    assert "| `distilbert-sst2` | `sst2` | `accuracy` ↑ | 0.911 | [0.892, 0.930] | 872 | 1 |" in text
    assert "not scored (every target is the same)" in text
    assert "- **digits-cnn · pgd(digits) · zero\\_gradients**: Gradients vanish" in text
    assert "- **bag-of-words · pgd(sst2)**: the model gives no gradients" in text
    assert len(text) < 8_000


def compared(baseline: str, candidate: str) -> Comparison:
    """Return a comparison with six rows that are worse, the last one the headline, and flips."""
    task = key("sst2")
    rows = [Row(candidate, task, f"accuracy[{part}]" if part else "accuracy", "quality", Estimate(0.8), True) for part in (*"abcde", "")]
    changes = [
        RowChange(row, Estimate(0.9), Estimate(-0.1, -0.12, -0.08, 50), 0.001, 0.01, WORSE, is_headline=row.metric == "accuracy")
        for row in rows
    ]
    return Comparison(baseline, candidate, tuple(changes), counts=(FlipCount(task, "all", "", 1200, 3, 9000),))


def test_the_summary_says_what_changed() -> None:
    text = Markdown().render(replace(rich(), comparisons=(compared("base: minilm", "minilm"),)))
    (line,) = [line for line in text.splitlines() if line.startswith("- `minilm`")]
    assert line.startswith("- `minilm` against `base: minilm`: worse. Worse: `sst2.accuracy` -0.1 [-0.12, -0.08], `sst2.accuracy[a]` -0.1")
    assert line.endswith(", 1 more. 1,200 of 9,000 answers of `sst2` regressed, 3 are fixed.")


@pytest.mark.parametrize("name", ATTACKS)
def test_the_names_of_a_comparison_are_hostile(name: str) -> None:
    text = Markdown().render(replace(rich(), comparisons=(compared(name, name),)))
    tokens = MarkdownIt("commonmark", {"html": True}).enable("table").parse(text)
    inline = {child.type for token in tokens if token.type == "inline" for child in token.children or ()}
    assert not {"html_inline", "image", "link_open"} & inline


def test_a_large_summary_has_few_visible_lines() -> None:
    card = rich()
    large = replace(
        card,
        rows=tuple(replace(row, model=f"{row.model}-{i}") for i in range(30) for row in card.rows),
        gates=card.gates * 10,
        manifest={**card.manifest, "flags": [f"flag {i}" for i in range(40)]},
        comparisons=(compared("today", "next"),) * 9,
    )
    text = Markdown().render(large)
    visible = re.sub(r"<details>.*?</details>", "", text, flags=re.DOTALL)
    assert len(visible.splitlines()) < MOST_LINES
    assert visible.count("| `deepwordbug(sst2).robust_accuracy.low >= 0.30` | fail |") == 10, "the failed gates come first"
    assert text.count("| `deepwordbug(sst2).robust_accuracy.low >= 0.30` |") == 10
    assert text.count("| `sst2.accuracy.low >= 0.88` |") == 10
    assert text.count("forward_passes") == 30, "no row is lost"
    assert "- **Flag**: flag 39" in text


def test_each_item_has_one_visible_line() -> None:
    visible = re.sub(r"<details>.*?</details>", "", Markdown().render(rich()), flags=re.DOTALL)
    items = [line.split(" | ")[:3] for line in visible.splitlines() if line.startswith("| `") and "`sst2`" in line]
    assert items == [["| `distilbert-sst2`", "`sst2`", "`accuracy` ↑"], ["| `bag-of-words`", "`sst2`", "`accuracy` ↑"]]


@pytest.mark.parametrize("text", ATTACKS)
def test_markdown_shows_hostile_text_as_it_is(text: str) -> None:
    """A CommonMark parser with tables and bare links on finds two cells of plain text, whatever is put into them."""
    parser = MarkdownIt("commonmark", {"html": True}).enable("table")
    tokens = parser.parse(f"| a | b |\n|---|---|\n| {escape(text)} | {format_code(text)} |\n")
    cells = [token for token in tokens if token.type == "inline"][2:]
    assert len(cells) == 2
    kinds = {child.type for cell in cells for child in cell.children or ()}
    assert kinds <= {"text", "text_special", "code_inline"}
    shown = "".join(child.content for child in cells[0].children or ())
    assert shown == " ".join(display.clip(make_visible(text), 300).split())


def test_bare_links_and_mentions_are_broken() -> None:
    assert escape("http://a.b www.a.b @user") == "http\\://a.b www\\.a.b \\@user"


def test_hostile_summary_has_no_html() -> None:
    tokens = MarkdownIt("commonmark", {"html": True}).enable("table").parse(Markdown().render(hostile()))
    inline = {child.type for token in tokens for child in token.children or ()}
    assert not {"fence", "hr"} & {token.type for token in tokens}
    blocks = {line for token in tokens if token.type == "html_block" for line in token.content.splitlines()}
    assert all(re.fullmatch(r"<details><summary>[\d,]+ [\w ,]+</summary>|</details>", line) for line in blocks)
    assert not {"html_inline", "image", "link_open"} & inline


# ── junit.xml ─────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_junit_counts_gates_and_sample_errors() -> None:
    root = ET.fromstring(JUnit().render(rich()))
    run, gates, samples = root.findall("testsuite")
    assert [(case.get("name"), child.tag, child.get("type")) for case in run for child in case] == [("verdict", "failure", "fail")]
    assert [[child.tag for child in case] for case in gates] == [["system-out"], ["failure"], ["skipped"], ["error"]]
    (errors,) = samples.findall("testcase/skipped/..")
    assert (errors.get("classname"), errors.get("name")) == ("distilbert-sst2", "sst2")
    error = errors.find("skipped")
    assert error is not None
    assert error.get("message") == "1 sample failed"
    assert error.text == "sst2/0999: SampleError: the text has 2,113 tokens and the model takes 512"
    assert (root.get("failures"), root.get("errors"), root.get("skipped")) == ("2", "1", "2")
    assert int(root.get("tests", "0")) == len(root.findall("*/testcase"))


def test_junit_says_what_is_missing() -> None:
    root = ET.fromstring(JUnit().render(replace(empty(), verdict="incomplete", complete=False, num_failed=3)))
    (error,), (skipped,) = root.iter("error"), root.iter("skipped")
    assert error.get("type") == "incomplete"
    assert "Some planned samples have no record" in error.get("message", "")
    assert skipped.get("message") == "3 failed, 0 named above"


def test_a_long_id_leaves_the_error_its_room() -> None:
    card = rich()
    sample = next(s for s in card.samples if s.error is not None)
    root = ET.fromstring(JUnit().render(replace(card, samples=(replace(sample, id="w" * 5000, error="SampleError: no text"),))))
    (body,) = [e.text or "" for e in root.iter("skipped") if "w" * 50 in (e.text or "")]
    assert "SampleError: no text" in body


def test_hostile_junit_is_xml() -> None:
    root = ET.fromstring(JUnit().render(hostile()))
    assert {element.tag for element in root.iter()} == {"testsuites", "testsuite", "testcase", "failure", "error", "skipped", "system-out"}


# ── scorecard.html ────────────────────────────────────────────────────────────────────────────────────────────────────


class Page(HTMLParser):
    """The page as a browser's parser sees it: elements, attributes, and the text of each script and style."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.raw: dict[str, list[str]] = {"script": [], "style": []}
        self.text = ""
        self._inside = ""
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        self._inside = tag if tag in self.raw else ""
        if self._inside:
            self.raw[tag].append("")

    def handle_endtag(self, tag: str) -> None:
        self._inside = ""

    def handle_data(self, data: str) -> None:
        if self._inside:
            self.raw[self._inside][-1] += data
        else:
            self.text += data


@each_scorecard
def test_page_can_run_and_load_nothing_but_its_own(make: Callable[[], Scorecard]) -> None:
    page = Page(Html().render(make()))
    (policy,) = [attrs["content"] for tag, attrs in page.elements if tag == "meta" and "http-equiv" in attrs]
    (style,), (data, script) = page.raw["style"], page.raw["script"]
    style_hash, script_hash = (base64.b64encode(hashlib.sha256(text.encode()).digest()).decode() for text in (style, script))
    assert policy == (
        f"default-src 'none'; style-src 'sha256-{style_hash}'; script-src 'sha256-{script_hash}'; img-src data:; "
        "media-src data:; base-uri 'none'; form-action 'none'"
    )
    assert re.fullmatch(r"[A-Za-z0-9+/=\n]*", data), "it cannot leave its element"
    for tag, attrs in page.elements:
        assert tag not in ("iframe", "object", "embed", "base", "form", "img", "link")
        assert not [name for name in attrs if name.startswith("on") or name in ("style", "src", "action")]
        assert (attrs.get("href") or "#").startswith("#")


def test_hostile_text_adds_no_element() -> None:
    harmless = {tag for tag, _ in Page(Html().render(rich())).elements}
    assert {tag for tag, _ in Page(Html().render(hostile())).elements} <= harmless


def test_controls_stand_beside_their_score() -> None:
    scores = {"a": 0.4, "a_random": 0.1, "a_randomised": None, "b": 2.0, "c_random": 0.5}
    assert explorer._with_controls(scores) == [
        ["a", "0.400", "0.100", "not scored"], ["b", "2", "–", "–"], ["c_random", "0.500", "–", "–"],
    ]  # fmt: skip


def test_the_twins_map_lies_on_the_twins_text() -> None:
    moved = Heat("ig", "bad", (1.0,), ((2, 6),), scores={"rank_correlation": 0.5}, parts="words")
    heat = Heat("ig", "good", (1.0,), ((2, 6),), twins=(("swap", moved), ("gone", moved)), parts="words")
    sample = SampleView(
        "m",
        "t",
        "1",
        Shown("text", "a good film"),
        None,
        None,
        None,
        twins=(Twin("swap", Shown("text", "a g00d film"), "bad", True),),
        heats=(heat,),
    )
    (shown,) = explorer.draw_sample(sample)["heats"]
    assert shown["segments"][1] == [9, "good", 1.0]
    (twin,) = shown["twins"]
    assert (twin["attack"], twin["target"], twin["segments"][1]) == ("swap", "bad", [9, "g00d", 1.0])
    assert twin["scores"] == [["rank_correlation", "0.500", "–", "–"]]


def test_a_map_of_pixels_travels_as_signed_bytes() -> None:
    heat = Heat("ig", "good", (1.0, -1.0, 0.5, 0.0, math.nan, -0.001), shape=(2, 3), parts="pixels")
    (shown,) = explorer.draw_sample(SampleView("m", "t", "1", Shown("image"), None, None, None, heats=(heat,)))["heats"]
    assert (shown["grid"]["rows"], shown["grid"]["columns"]) == (2, 3)
    assert np.frombuffer(base64.b64decode(shown["grid"]["cells"]), np.int8).tolist() == [127, -127, 64, 0, 0, 0]


# ── segments ──────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("", ""),
        ("a b c", "a b c"),
        ("a b c", "x b y"),
        ("a  b\n", "a b"),
        ("", "new text"),
        ("old", ""),
        ("a 👩 b", "a 👨 b c"),
        ("a a a", "a a"),
    ],
)
def test_a_diff_holds_both_texts(before: str, after: str) -> None:
    segments = list(explorer.diff_words(before, after))
    assert "".join(text for mark, text in segments if mark != "+") == before
    assert "".join(text for mark, text in segments if mark != "-") == after


def test_a_diff_of_hundred_thousand_words_is_bounded() -> None:
    segments = list(explorer.diff_words("a " * 100_000, "b " + "a c " * 50_000))
    assert sum(len(text) for mark, text in segments if mark != "+") <= explorer.TEXT_LIMIT


def test_heat_lies_on_code_points() -> None:
    text = "a 👩 good\u200b film"
    assert list(explorer.split_heat(text, [(0, 0), (4, 8), (2, 3)], [0.9, -1.0, 0.04])) == [
        ["=", "a "], [0, "👩", 0.04], ["=", " "], [-9, "good", -1.0], ["=", "⟨U+200B⟩ film"],
    ]  # fmt: skip


def test_spans_that_do_not_fit_lose_no_text() -> None:
    segments = list(explorer.split_heat("abcdef", [(-3, 2), (1, 4), (5, 99), (9, 12)], [1.0, math.nan, -7.0, 0.5]))
    assert segments == [[9, "ab", 1.0], [0, "cd", 0.0], ["=", "e"], [-9, "f", -1.0]]


def test_long_texts_are_cut_and_it_is_said() -> None:
    sample = SampleView("m", "t", "1", Shown("text", "word " * 100_000), None, None, None)
    shown = explorer.draw_sample(sample)
    assert len(shown["input"]["texts"][0][1][0][1]) == explorer.TEXT_LIMIT
    assert shown["input"]["note"] == "Cut for display: the first 10,000 of 500,000 characters."


@pytest.mark.parametrize("uri", ["https://example.com/a.png", "data:image/svg+xml,<svg/>", "data:text/html,x", "data:audio/wav;base64,<>"])
def test_only_pixels_are_an_image_and_only_wave_data_a_sound(uri: str) -> None:
    shown = Shown("image", image=uri, audio=uri)  # type: ignore[arg-type]
    shown = explorer.draw_sample(SampleView("m", "t", "1", shown, None, None, None))
    assert (shown["input"]["image"], "audio" in shown["input"]) == ("", False)
