"""The verdict of a run is one, wherever it is read: terminal, exit code, page, summary, JSON, JUnit and pytest."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from html.parser import HTMLParser
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import pytest
import yaml
from windtunnel.harness.api.errors import IncompleteRun
from windtunnel.harness.run.runner import run_plan
from windtunnel.harness.suite.load import load_suite
from windtunnel.testing import assert_gates
from windtunnel.tests.toys import Answer, made, windtunnel

PASS, FAIL, OPEN = "moods.accuracy >= 0.5", "moods.accuracy >= 0.99", "moods.accuracy >= 0.9"
MODEL = """
def scores(texts):
    if any("BOOM" in text for text in texts):
        raise RuntimeError("the model fell over")
    return [[text.count("bad"), text.count("good")] for text in texts]
"""
ANSWERS = {
    "pass": "Yes, by its gates", "warn": "Yes, with a warning", "fail": "No", "no_data": "Cannot say", "missing": "Cannot say",
    "incomplete": "Not finished", "none": "Nothing was asked",
}  # fmt: skip
LABELS = {
    "pass": "Pass", "warn": "Warn", "fail": "Fail", "no_data": "No data", "missing": "Missing", "incomplete": "Incomplete",
    "none": "No gates",
}  # fmt: skip


class Seen(HTMLParser):
    """The text of the page's verdict, as a reader sees it: its heading, and all of it."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.inside: list[str] = []
        self.answer, self.text = "", ""
        self.feed(re.search(r'<section id="verdict".*?</section>', page, re.DOTALL)[0])  # type: ignore[index]

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.inside.append(tag)

    def handle_endtag(self, tag: str) -> None:
        while self.inside and self.inside.pop() != tag:
            pass

    def handle_data(self, data: str) -> None:
        self.text += data
        self.answer += data if "h1" in self.inside else ""


def write_files(folder: Path, gates: Sequence[Any], word: str = "", **keys: Any) -> Path:
    """Write a suite about 40 moods, of which 36 are recognised. ``word``: ends the texts of 30 of them."""
    (folder / "mood.py").write_text(MODEL)
    rows = [
        {"text": f"{'good' if (i % 2) ^ (i % 10 == 9) else 'bad'} {i} {word if i < 30 else ''}", "mood": ("sad", "glad")[i % 2]}
        for i in range(40)
    ]
    (folder / "moods.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    (folder / "glad.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows if row["mood"] == "glad"))
    task = {"family": "text_classification", "text": "{{ text }}", "label": "mood", "labels": ["sad", "glad"]}
    (folder / "moods.yaml").write_text(yaml.safe_dump({**task, "data": {"files": "moods.jsonl"}, "metrics": ["accuracy"]}))
    (folder / "glad.yaml").write_text(yaml.safe_dump({**task, "data": {"files": "glad.jsonl"}, "metrics": ["accuracy", "matthews"]}))
    suite = {
        "models": [{"name": "mood", "model": "callable:mood.py:scores", "labels": ["sad", "glad"]}], "tasks": ["moods.yaml", "glad.yaml"],
        "gates": list(gates), **keys,
    }  # fmt: skip
    (folder / "suite.yaml").write_text(yaml.safe_dump(suite))
    return folder / "suite.yaml"


def check_agreement(folder: Path, answer: Answer, verdict: str, code: int) -> None:
    """Check that all that a run says of its verdict is this verdict."""
    assert answer.code == code, answer.err
    assert answer.out.startswith(f"{verdict.upper()}: ")
    results = json.loads((folder / "results.json").read_text())
    assert (results["verdict"], results["exit_code"]) == (verdict, code)
    junit = ET.fromstring((folder / "junit.xml").read_text())
    cases = {(case.get("classname"), case.get("name")): case for case in junit.iter("testcase")}
    tags = [child.tag for child in cases["run", "verdict"]]
    assert tags == [{0: "system-out", 1: "failure", 3: "error"}[code]]
    stops = int(junit.get("failures", "0")) + int(junit.get("errors", "0"))
    assert (stops > 0) == (code > 0)
    for gate in results["gates"]:
        found = [child.tag for child in cases["gates", gate["gate"]]]
        assert (found[0] in ("failure", "error")) == (gate["verdict"] in ("fail", "no_data", "missing"))
        assert (found == ["system-out"]) == (gate["outcome"] == gate["verdict"] == "pass")
    predicate = json.loads((folder / "verdict.json").read_text())["predicate"]
    assert (predicate["windtunnel"]["verdict"], predicate["windtunnel"]["exit_code"]) == (verdict, code)
    assert (predicate["result"] == "FAILED", bool(predicate["failedTests"])) == (code > 0, code > 0)
    page = (folder / "scorecard.html").read_text()
    seen = Seen(page)
    is_open = verdict == "warn" and any(gate["outcome"] == "inconclusive" for gate in results["gates"])
    assert seen.answer.strip().endswith("Not decided yet" if is_open else ANSWERS[verdict])
    assert re.findall(r"exit code (\d)", seen.text) == ([str(code)] if results["gates"] or code else [])
    assert f"<title>{LABELS[verdict]}: " in page
    assert (folder / "summary.md").read_text().startswith("# ")
    assert (folder / "summary.md").read_text().partition("\n")[0].endswith(f": {LABELS[verdict]}")
    for again in (windtunnel("report", folder), windtunnel("gate", folder)):
        assert (again.code, again.out.partition("\n")[0]) == (code, answer.out.partition("\n")[0])
    verified = windtunnel("verify", folder)
    assert verified.code == 0, verified.err
    if results["gates"]:
        with pytest.raises(AssertionError) if code else _nothing():
            assert_gates(folder)


class _nothing:
    def __enter__(self) -> None: ...
    def __exit__(self, *error: object) -> None: ...


@pytest.mark.parametrize(
    ("gates", "verdict", "code"),
    [
        ([], "none", 0),
        ([PASS], "pass", 0),
        ([FAIL, PASS], "fail", 1),
        ([OPEN], "fail", 1),
        ([PASS, {"check": OPEN, "inconclusive": "warn"}], "warn", 0),
        ([PASS, {"check": OPEN, "inconclusive": "pass"}], "pass", 0),
        ([PASS, {"check": FAIL, "tier": "advisory"}], "pass", 0),
        ([{"check": FAIL, "tier": "advisory"}], "pass", 0),
        ([PASS, {"check": FAIL, "tier": "supporting"}], "warn", 0),
        ([PASS, "glad.matthews >= 0.1"], "no_data", 3),
        ([PASS, {"check": PASS, "slice": "night"}], "missing", 3),
        ([PASS, {"check": PASS, "slice": "night", "missing": "warn"}], "warn", 0),
        (["glad.matthews >= 0.1", FAIL], "fail", 1),
    ],
)
def test_the_verdict_is_one(tmp_path: Path, gates: list[Any], verdict: str, code: int) -> None:
    answer = windtunnel("run", write_files(tmp_path, gates), "--out", tmp_path / "run", "-q")
    check_agreement(tmp_path / "run", answer, verdict, code)


@pytest.mark.parametrize(("drop", "verdict", "code"), [(0.3, "pass", 0), (0.001, "fail", 1)])
def test_the_verdict_against_a_baseline_is_one(tmp_path: Path, drop: float, verdict: str, code: int) -> None:
    assert windtunnel("run", write_files(tmp_path, []), "--out", tmp_path / "before", "-q").code == 0
    worse = MODEL.replace('text.count("bad")', '(text.count("bad") - ("1" in text))')
    suite = write_files(tmp_path, [{"check": "moods.accuracy", "drop": drop}], baseline="before")
    (tmp_path / "mood.py").write_text(worse if drop < 0.1 else MODEL)
    answer = windtunnel("run", suite, "--out", tmp_path / "after", "-q")
    check_agreement(tmp_path / "after", answer, verdict, code)


def test_the_verdict_of_a_run_that_mostly_failed_is_one(tmp_path: Path) -> None:
    suite = write_files(tmp_path, ["moods.accuracy.n >= 1"], word="BOOM")
    answer = windtunnel("run", suite, "--out", tmp_path / "run", "-q")
    check_agreement(tmp_path / "run", answer, "no_data", 3)


def test_the_verdict_of_a_run_with_few_failed_samples_is_one(tmp_path: Path) -> None:
    suite = write_files(tmp_path, ["moods.accuracy.n >= 1"])
    rows = (tmp_path / "moods.jsonl").read_text().replace("good 1 ", "BOOM 1 ")
    (tmp_path / "moods.jsonl").write_text(rows)
    answer = windtunnel("run", suite, "--out", tmp_path / "run", "-q")
    check_agreement(tmp_path / "run", answer, "pass", 0)
    assert "fell over" in (tmp_path / "run/junit.xml").read_text()


@pytest.mark.parametrize(("gate", "verdict", "code"), [(PASS, "incomplete", 3), (FAIL, "fail", 1)])
def test_the_verdict_of_an_unfinished_run_is_one(tmp_path: Path, gate: str, verdict: str, code: int) -> None:
    plan = made(load_suite(write_files(tmp_path, [gate], chunk=20)))
    with pytest.raises(IncompleteRun):
        run_plan(plan, tmp_path / "run", should_stop=lambda: True)
    check_agreement(tmp_path / "run", windtunnel("report", tmp_path / "run"), verdict, code)
