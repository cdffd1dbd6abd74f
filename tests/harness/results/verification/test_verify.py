"""``windtunnel verify``: every number of a run's reports is computed again, and each difference is named."""

from __future__ import annotations

import base64
import gzip
import json
import re
import shutil
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import yaml
from windtunnel.harness.store import FILE_NAME
from windtunnel.tests.toys import Answer, windtunnel, write_suite

GATES = ["tickets.accuracy >= 0.1", {"check": "tickets.accuracy >= 0.99", "tier": "advisory"}]
ROW = "toy/tickets/accuracy"


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a run of a model that needs no plugin file, with all reports."""
    folder = tmp_path_factory.mktemp("verified")
    rows = [{"text": f"a {('bad', 'good')[i % 2]} lamp {i}", "label": ("negative", "positive")[(i + (i % 5 == 4)) % 2]} for i in range(20)]
    (folder / "tickets.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    task = {"family": "text_classification", "data": {"files": "tickets.jsonl"}, "text": "text", "label": "label"}
    (folder / "tickets.yaml").write_text(yaml.safe_dump({**task, "labels": ["negative", "positive"], "metrics": ["accuracy", "brier"]}))
    suite = {"models": [{"name": "toy", "model": "toy:words"}], "tasks": ["tickets.yaml"], "gates": GATES}
    (folder / "suite.yaml").write_text(yaml.safe_dump(suite))
    answer = windtunnel("run", folder / "suite.yaml", "--out", folder / "run", "-q")
    assert answer.code == 0, answer.err
    return folder / "run"


@pytest.fixture
def run(original: Path, tmp_path: Path) -> Path:
    shutil.copytree(original, tmp_path / "run")
    return tmp_path / "run"


def change_json(name: str, change: Callable[[Any], None]) -> Callable[[Path], None]:
    def tamper(run: Path) -> None:
        whole = json.loads((run / name).read_text())
        change(whole)
        (run / name).write_text(json.dumps(whole, indent=2))

    return tamper


def change_text(name: str, pattern: str, text: str) -> Callable[[Path], None]:
    def tamper(run: Path) -> None:
        before = (run / name).read_text()
        after, num = re.subn(pattern, text, before, count=1, flags=re.DOTALL)
        assert num == 1
        (run / name).write_text(after)

    return tamper


def change_samples(before: str, after: str) -> Callable[[Path], None]:
    """Change a text in each compressed line of the page, so that a reader sees other samples."""

    def tamper(run: Path) -> None:
        def change(match: re.Match[str]) -> str:
            content = gzip.decompress(base64.b64decode(match[0])).replace(before.encode(), after.encode())
            return base64.b64encode(gzip.compress(content)).decode()

        page = run / "scorecard.html"
        page.write_text(re.sub(r"H4sI[A-Za-z0-9+/=]+", change, page.read_text()))

    return tamper


def _pass(gate: dict[str, Any]) -> None:
    gate["outcome"] = "pass"


def test_a_run_as_it_was_written_is_verified(run: Path) -> None:
    answer = windtunnel("verify", run)
    assert answer.code == 0, answer.err
    for name in ("results.json", "junit.xml", "verdict.json", "summary.md", "scorecard.html"):
        assert name in answer.out
    assert "not written" not in answer.out


@pytest.mark.parametrize(
    ("tamper", "sentences"),
    [
        (change_json("results.json", lambda r: r["rows"][0]["estimate"].update(value=0.99)),
         [f"results.json: rows > {ROW} > estimate > value: the file has 0.99, the records give 0.8"]),
        (change_json("results.json", lambda r: r["rows"][0]["estimate"].update(n=21)), ["n: the file has 21, the records give 20"]),
        (change_json("results.json", lambda r: r["rows"][0]["estimate"].update(value=True)), ["value: the file has true"]),
        (change_json("results.json", lambda r: r["rows"][0]["estimate"].update(value="0.8")), ['value: the file has "0.8"']),
        (change_json("results.json", lambda r: r["rows"].pop(0)),
         [f"results.json: rows > {ROW}: it is not in the file; the records give a mapping"]),
        (change_json("results.json", lambda r: r["rows"].append(r["rows"][0])), [f"{ROW} (number 2): the file has a mapping"]),
        (change_json("results.json", lambda r: r["rows"].append({**r["rows"][0], "metric": "charm"})),
         ["rows > toy/tickets/charm: the file has a mapping of 9 entries, and the records give no such entry"]),
        (change_json("results.json", lambda r: _pass(r["gates"][1])),
         ['gates > tickets.accuracy >= 0.99 > outcome: the file has "pass", the records give "fail"']),
        (change_json("results.json", lambda r: r.update(verdict="fail", exit_code=1)),
         ['results.json: verdict: the file has "fail", the records give "pass"', "exit_code: the file has 1"]),
        (change_json("results.json", lambda r: r["manifest"].update(digest="0" * 64)), ["manifest > digest"]),
        (change_json("verdict.json", lambda v: v["predicate"].update(result="WARNED")),
         ['verdict.json: predicate > result: the file has "WARNED", the records give "PASSED"']),
        (change_json("verdict.json", lambda v: v["predicate"]["warnedTests"].clear()), ["warnedTests > tickets.accuracy >= 0.99: it"]),
        (change_json("verdict.json", lambda v: v["predicate"]["windtunnel"]["computed"]["numbers"].update({"toy/tickets.accuracy": 1})),
         ["numbers > toy/tickets.accuracy: the file has 1, the records give 0.8"]),
        (change_json("verdict.json", lambda v: v["subject"][0]["digest"].update(sha256="0")), ["subject > model toy > digest > sha256"]),
        (change_text("junit.xml", "0.8 ", "0.9 "), ["junit.xml: testsuite run > testcase run verdict > system-out > text: the file has"]),
        (change_text("junit.xml", '<testcase classname="toy" name="tickets" />', ""), ["junit.xml: testsuite samples"]),
        (change_text("junit.xml", 'failures="0"', 'failures="1"'), ['attributes > failures: the file has "1", the records give "0"']),
        (change_text("junit.xml", "</testsuites>", '<testsuite name="x"/></testsuites>'), ["testsuite x: the file has a mapping"]),
        (change_text("summary.md", ": Pass", ": Fail"), ["summary.md: line 1: the file has", "Fail"]),
        (change_text("summary.md", r"\| 0\.8[^|]*\|", "| 0.9 |"), ["summary.md: line ", "0.9"]),
        (change_text("summary.md", "\n## Headlines\n", "\n"), ["summary.md: line "]),
        (change_text("scorecard.html", "Yes, by its gates", "Yes, of course"), ["scorecard.html: line ", "of course"]),
        (change_text("scorecard.html", "(?<=</script>\n)</body>", "<p>All is well</p></body>"), ["scorecard.html: line ", "All is well"]),
        (change_text("scorecard.html", '(?<=id="samples">)', "</script><p>All is well</p>"), ["scorecard.html: line "]),
        (change_text("scorecard.html", 'id="samples"', 'id="Samples"'), ["scorecard.html: line ", "Samples"]),
        (change_samples("lamp 3", "lamp 8"), ["scorecard.html: line ", "lamp 8", "lamp 3"]),
    ],
)  # fmt: skip
def test_each_change_is_named(run: Path, tamper: Callable[[Path], None], sentences: list[str]) -> None:
    tamper(run)
    answer = windtunnel("verify", run)
    assert answer.code == 3, answer.out
    assert "other files differ" in answer.err
    for sentence in sentences:
        assert sentence in answer.err


def test_all_differences_are_listed(run: Path) -> None:
    change_json("results.json", lambda r: r["rows"][0]["estimate"].update(value=1.0, low=0.9, high=1.0))(run)
    change_text("junit.xml", "0.8 ", "1.0 ")(run)
    lines = windtunnel("verify", run).err.splitlines()
    assert len([line for line in lines if line.startswith("  results.json: rows > ")]) == 3
    assert len([line for line in lines if line.startswith("  junit.xml: ")]) == 1


def test_a_changed_record_is_found_first(run: Path) -> None:
    change_json("results.json", lambda r: r["rows"].clear())(run)
    connection = sqlite3.connect(run / FILE_NAME)
    connection.execute("DROP TRIGGER records_update")
    connection.execute("UPDATE records SET scores = replace(scores, '0.0', '1.0')")
    connection.commit()
    connection.close()
    answer = windtunnel("verify", run)
    assert answer.code == 3
    assert "results.json" not in answer.err


def test_a_file_that_is_not_there_is_said(run: Path) -> None:
    for name in ("results.json", "verdict.json"):
        (run / name).unlink()
    answer = windtunnel("verify", run)
    assert answer.code == 0
    assert "results.json is not written" in answer.out
    assert "verdict.json is not written" in answer.out


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (b"", "it cannot be read (Expecting value"),
        (b"not json", "it cannot be read (Expecting value"),
        (b'{"verdict": NaN}', "it cannot be read (NaN is not JSON"),
        (b"[" * 100_000, "it cannot be read (its values are nested too deeply)"),
        (b'{"a": ' * 50_000 + b"1" + b"}" * 50_000, "it cannot be read (its values are nested too deeply)"),
        (b'{"verdict": "fail", "verdict": "pass"}', "it cannot be read (the key 'verdict' is there twice)"),
        (b'{"verdict": 1' + b"0" * 5_000 + b"}", "it cannot be read (Exceeds the limit"),
        (b'{"format": 1' + b"0" * 400 + b"}", "format: the file has a very large number, the records give 1"),
        (b"[1, 2]", "results.json: its content: the file has a list of 2 entries, the records give a mapping"),
        (b'"\\ud800\\u202e\\u0000"', "the records give a mapping"),
        (b'{"rows": {"a": 1}, "gates": "none", "manifest": null}', "rows: the file has a mapping of 1 entries, the records give a list"),
        (b"\xff\xfe\x00", "it is not UTF-8"),
        (b"x" * 20_000_000, "it has 20,000,000 bytes, and the records give at most"),
    ],
)  # fmt: skip
def test_a_hostile_file_is_a_difference(run: Path, content: bytes, sentence: str) -> None:
    (run / "results.json").write_bytes(content)
    answer = windtunnel("verify", run)
    assert answer.code == 3
    assert sentence in answer.err
    assert "Traceback" not in answer.err
    assert len(answer.err) < 8_000
    assert not set(answer.err) & set("\u202e\x00\ud800")


@pytest.mark.parametrize(
    "content",
    ["", "<a>", "<a/>", '<!DOCTYPE a [<!ENTITY b "c">]><a>&b;</a>', "<a>" * 50_000 + "</a>" * 50_000, "<a><![CDATA[x]]></a>"],
)  # fmt: skip
def test_hostile_xml_is_a_difference(run: Path, content: str) -> None:
    (run / "junit.xml").write_text(content)
    answer = windtunnel("verify", run)
    assert (answer.code, "junit.xml: " in answer.err, "Traceback" in answer.err) == (3, True, False)


def test_a_folder_or_a_broken_link_in_place_of_a_file_is_a_difference(run: Path) -> None:
    (run / "results.json").unlink()
    (run / "results.json").mkdir()
    (run / "junit.xml").unlink()
    (run / "junit.xml").symlink_to(run / "nowhere")
    answer = windtunnel("verify", run)
    assert answer.code == 3
    assert "results.json: it is not a regular file" in answer.err
    assert "junit.xml: it is not a regular file" in answer.err


def test_a_file_that_says_the_same_in_another_way_is_no_difference(run: Path) -> None:
    whole = json.loads((run / "results.json").read_text())
    (run / "results.json").write_text(json.dumps(whole, sort_keys=True))
    answer = windtunnel("verify", run)
    assert answer.code == 0, answer.err
    assert "results.json: it is written in another way" in answer.out


def test_last_digits_may_differ(run: Path) -> None:
    change_json("results.json", lambda r: r["rows"][0]["estimate"].update(value=r["rows"][0]["estimate"]["value"] * (1 + 1e-13)))(run)
    assert windtunnel("verify", run).code == 0


def test_a_report_that_was_written_later_is_compared(run: Path) -> None:
    (run / "results.json").unlink()
    assert windtunnel("export", run, "json").code == 0
    change_json("results.json", lambda r: r.update(verdict="fail"))(run)
    assert windtunnel("verify", run).code == 3


def test_samples_that_are_compressed_otherwise_are_the_same(run: Path) -> None:
    change_samples("no such text", "")(run)
    assert "scorecard.html: it is written in another way" in windtunnel("verify", run).out


@pytest.mark.parametrize("name", ["scorecard.html", "findings.sarif", "samples.csv"])
def test_a_stream_that_inflates_without_end_is_cut(run: Path, name: str) -> None:
    bomb = base64.b64encode(gzip.compress(bytes(300_000_000))).decode()
    if name != "scorecard.html":
        assert windtunnel("export", run, {"findings.sarif": "sarif", "samples.csv": "csv"}[name]).code == 0
    (run / name).write_text(bomb)
    answer = windtunnel("verify", run)
    assert (answer.code, f"{name}: " in answer.err, len(answer.err) < 8_000) == (3, True, True)


FORMATS = ["sarif", "csv", "parquet", "every_eval_ever", "model_index", "lm_eval"]


@pytest.fixture(scope="module")
def exported(original: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the run with all formats of other tools that can say something of it."""
    folder = tmp_path_factory.mktemp("exported") / "run"
    shutil.copytree(original, folder)
    for name in FORMATS:
        answer = windtunnel("export", folder, name)
        assert answer.code == 0, answer.err
    return folder


def list_exported(exported: Path) -> dict[str, list[str]]:
    written = json.loads((exported / ".reports").read_text())
    return {name: written[name]["files"] for name in FORMATS}


def test_formats_of_other_tools_are_made_again(exported: Path, tmp_path: Path) -> None:
    """In a copy of the folder, whose files have other times."""
    shutil.copytree(exported, tmp_path / "run", copy_function=shutil.copyfile)
    answer = windtunnel("verify", tmp_path / "run")
    assert answer.code == 0, answer.err
    for files in list_exported(exported).values():
        assert all(file in answer.out for file in files), files


@pytest.mark.parametrize("name", FORMATS)
def test_a_change_of_a_format_is_named(exported: Path, tmp_path: Path, name: str) -> None:
    shutil.copytree(exported, tmp_path / "run")
    file = list_exported(exported)[name][0]
    path = tmp_path / "run" / file
    if name == "parquet":
        frame = pd.read_parquet(path)
        frame.loc[3, "input"] = "a fine lamp"
        frame.to_parquet(path, index=False)
    else:
        text = path.read_text()
        number = re.search(r"0\.8|toy|tickets|Windtunnel", text)
        assert number is not None, text
        path.write_text(text.replace(number[0], f"1{number[0]}", 1))
    answer = windtunnel("verify", tmp_path / "run")
    assert (answer.code, f"{file}: " in answer.err) == (3, True), answer.out


def test_a_report_is_made_again_with_its_own_settings(run: Path) -> None:
    assert windtunnel("report", run, "{report: html, max_mb: 1}").code == 0
    assert windtunnel("verify", run).code == 0
    known = json.loads((run / ".reports").read_text())
    assert (known["html"]["settings"], known["json"]["settings"]) == ({"max_mb": 1}, {})
    for text in ("[" * 100_000, '{"html": {"settings": {"max_mb": "all"}, "files": ["../../else"]}}'):
        (run / ".reports").write_text(text)
        assert "scorecard.html" in windtunnel("verify", run).out.partition("note: ")[0]


def test_a_file_that_its_report_does_not_give_is_a_difference(run: Path) -> None:
    known = json.loads((run / ".reports").read_text())
    known["json"]["files"].append("more.json")
    (run / ".reports").write_text(json.dumps(known))
    (run / "more.json").write_text("{}")
    assert "more.json: the records give no such file" in windtunnel("verify", run).err


def test_a_run_with_plugins_is_compared_with_them(tmp_path: Path) -> None:
    assert windtunnel("run", write_suite(tmp_path, reports=["json", "ids"]), "--out", tmp_path / "run", "-q").code == 0
    (tmp_path / "run" / "ids.txt").write_text("n0\n")
    without, given = windtunnel("verify", tmp_path / "run"), windtunnel("verify", tmp_path / "run", "--plugin", tmp_path / "toy_plugins.py")
    assert (without.code, "reports are not compared" in without.out, "--plugin" in without.out) == (0, True, True)
    assert (given.code, "ids.txt: line 2: the file has" in given.err) == (3, True)


def gate(run: Path, *arguments: object) -> Answer:
    return windtunnel("gate", run, *arguments, "--verdict", run.parent / "release.json")


def test_a_record_of_other_gates_is_verified(run: Path) -> None:
    assert windtunnel("baseline", run, "--out", run.parent / "baseline.json").code == 0
    record = run.parent / "release.json"
    assert (
        gate(run, "tickets.accuracy >= 0.97", "{check: tickets.accuracy, drop: 0.5}", "--baseline", run.parent / "baseline.json").code == 1
    )
    options = ("--verdict", record, "--baseline", run.parent / "baseline.json")
    assert windtunnel("verify", run, *options).code == 0
    change_json("release.json", lambda v: v["predicate"].update(result="PASSED"))(run.parent)
    answer = windtunnel("verify", run, *options)
    assert answer.code == 3
    assert 'release.json: predicate > result: the file has "PASSED", the records give "FAILED"' in answer.err
    easier = "tickets.accuracy >= 0.07"
    change_json("release.json", lambda v: v["predicate"]["configuration"][0]["annotations"]["gates"][0].update(check=easier))(run.parent)
    assert "configuration > gates > digest > sha256" in windtunnel("verify", run, *options).err


@pytest.mark.parametrize(
    "content", ["", "[]", "{}", '{"predicate": {"configuration": [{"name": "gates", "annotations": {"gates": [7]}}]}}']
)
def test_a_file_that_is_no_record_is_an_error(run: Path, content: str) -> None:
    (run.parent / "release.json").write_text(content)
    answer = windtunnel("verify", run, "--verdict", run.parent / "release.json")
    assert (answer.code, "this is no record of a verdict" in answer.err) == (2, True)
