"""Baseline files hold what a run folder does, and nothing in one is trusted."""

from __future__ import annotations

import base64
import json
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from windtunnel.harness.api.errors import ConfigError
from windtunnel.harness.results import baseline_file
from windtunnel.harness.results.baseline import load_baseline, make_baseline
from windtunnel.harness.results.baseline_file import read_baseline
from windtunnel.harness.results.packed_arrays import ArrayWriter, read_arrays
from windtunnel.harness.statistics import get_evidence
from windtunnel.tests.toys import windtunnel, write_suite


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("baseline")
    suite = write_suite(folder, attacks=["swap"], probes=[{"probe": "by_length", "limit": 5}])
    assert windtunnel("run", suite, "--out", folder / "run", "-q").code == 0
    assert windtunnel("baseline", folder / "run", "--out", folder / "baseline.json").code == 0
    return folder


def test_a_file_says_what_the_run_folder_does(folder: Path) -> None:
    whole, file = load_baseline(folder / "run"), load_baseline(folder / "baseline.json")
    assert (file.rows, file.manifest, file.complete) == (whole.rows, whole.manifest, whole.complete)
    for row, other in zip(whole.rows, file.rows, strict=True):
        kept, read = get_evidence(row), get_evidence(other)
        assert (kept is None) == (read is None)
        if kept is not None and read is not None:
            assert read.estimate() == kept.estimate()
            assert read.ids_N.tolist() == kept.ids_N.tolist()


def test_texts_are_written_on_request_alone(folder: Path) -> None:
    plain, told = windtunnel("baseline", folder / "run").out, windtunnel("baseline", folder / "run", "--texts").out
    assert plain == (folder / "baseline.json").read_text()
    assert "note number" not in plain
    assert '"n3"' not in plain
    views = read_baseline(told, "file").samples
    assert [(view.id, view.input.text) for view in views][:1] == [("n0", "a bad note number 0")]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "this is no baseline file"),
        ("[" * 100_000, "this is no baseline file"),
        ("[]", "this is no baseline file; write"),
        ('{"format": "windtunnel baseline", "schema": 1}', "this baseline was changed after it was written: it holds no SHA-256"),
        ('{"format": "windtunnel baseline", "schema": 1, "verdict": NaN}', "this baseline file is broken"),
        ('{"format": "windtunnel baseline", "schema": 99, "windtunnel": "7.0"}',
         r"a newer version of windtunnel \(7.0\) wrote this baseline \(schema 99, this version reads 1\); update windtunnel"),
        ('{"format": "windtunnel baseline", "schema": "1"}', "a newer version"),
    ],
)  # fmt: skip
def test_what_is_no_baseline(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "b.json").write_text(text)
    with pytest.raises(ConfigError, match=f"b.json: {message}"):
        load_baseline(tmp_path / "b.json")


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="neither a run folder nor a baseline file"):
        load_baseline(tmp_path / "nowhere.json")


def sign(whole: dict[str, Any]) -> str:
    """Return the text of a changed baseline as a program would write it that recomputes the digest."""
    return json.dumps({**whole, "sha256": baseline_file._compute_digest(whole)})


@pytest.mark.parametrize(
    "change",
    [
        lambda whole: whole["rows"][0]["estimate"].update(value=0.1),
        lambda whole: whole.update(verdict="pass"),
        lambda whole: whole["manifest"].update(digest="0" * 64),
        lambda whole: whole["arrays"][0].__setitem__(3, whole["arrays"][1][3]),
        lambda whole: whole["rows"].pop(),
        lambda whole: whole.update(remark="looks good"),
        lambda whole: whole.update(sha256="0" * 64),
        lambda whole: whole.pop("sha256"),
    ],
)
def test_a_changed_file_is_noticed_by_all_that_read_it(folder: Path, tmp_path: Path, change: Any) -> None:
    file, run = tmp_path / "baseline.json", folder / "run"
    whole = json.loads((folder / "baseline.json").read_text())
    change(whole)
    file.write_text(json.dumps(whole))
    gate = "{check: notes.accuracy, drop: 0.9}"
    for arguments, code in ((["gate", run, gate, "--baseline", file], 2), (["compare", file, run], 2), (["verify", file], 3)):
        answer = windtunnel(*arguments)
        assert answer.code == code, answer.out
        assert "this baseline was changed after it was written" in answer.err
        assert "'windtunnel baseline RUN'" in answer.err


def test_how_a_file_is_written_does_not_matter(folder: Path, tmp_path: Path) -> None:
    text = (folder / "baseline.json").read_text()
    (tmp_path / "pretty.json").write_text(json.dumps(json.loads(text), indent=4).replace("\n", "\r\n"))
    answer = windtunnel("verify", tmp_path / "pretty.json")
    digest = json.loads(text)["manifest"]["digest"]
    assert (answer.code, f"digest: {digest}" in answer.out, "of the run 'toys'" in answer.out) == (0, True, True)
    assert windtunnel("verify", tmp_path / "pretty.json", "--digest", digest).code == 0
    assert windtunnel("verify", tmp_path / "pretty.json", "--digest", "0" * 64).code == 3


def test_a_kept_baseline_is_verified_with_its_run(folder: Path, tmp_path: Path) -> None:
    suite = write_suite(tmp_path)
    assert windtunnel("run", suite, "--baseline", folder / "baseline.json", "--out", tmp_path / "run", "-q").code == 0
    plugins = ("--plugin", tmp_path / "toy_plugins.py")
    assert "baseline.json: " in windtunnel("verify", tmp_path / "run", *plugins).out
    kept = tmp_path / "run" / "baseline.json"
    kept.write_text(kept.read_text().replace('"value":0.', '"value":0.0', 1))
    for verb, code in (("verify", 3), ("report", 2), ("gate", 2)):
        answer = windtunnel(verb, tmp_path / "run", *plugins)
        assert (answer.code, "run/baseline.json: this baseline was changed" in answer.err) == (code, True), answer.err


@pytest.mark.parametrize(
    "damage",
    [
        lambda whole: whole.update(rows=[3]),
        lambda whole: whole.update(rows={"a": 1}),
        lambda whole: whole["arrays"].clear(),
        lambda whole: whole.update(manifest=7),
        lambda whole: whole["rows"][0]["estimate"].update(value="0.9"),
        lambda whole: whole["rows"][0]["evidence"].update(ids=10_000),
        lambda whole: whole["rows"][0]["evidence"].update(columns={"correct": 0}),
        lambda whole: whole["rows"][0].update(model=["m"]),
        lambda whole: whole["rows"][0].update(higher_is_better="yes"),
        lambda whole: whole["rows"][0].update(key={"kind": "task", "task": "t", "command": "rm"}),
        lambda whole: whole["arrays"][0].__setitem__(3, "!"),
        lambda whole: whole["arrays"][0].__setitem__(0, "O"),
        lambda whole: whole["arrays"][0].__setitem__(2, [10**12]),
        lambda whole: whole["arrays"][0].__setitem__(2, [-1]),
    ],
)
def test_a_broken_file_is_an_error_and_no_traceback(folder: Path, damage: Any) -> None:
    whole = json.loads((folder / "baseline.json").read_text())
    damage(whole)
    with pytest.raises(ConfigError, match="this baseline file is broken"):
        read_baseline(sign(whole), "file")


def test_a_metric_that_is_not_installed_leaves_a_row_without_evidence(folder: Path) -> None:
    text = make_baseline(folder / "run").replace('"metric":"accuracy"},"seed', '"metric":"not_there"},"seed')
    text = text.replace('{"metric":"accuracy"}', '{"metric":"not_there"}')
    rows = read_baseline(sign(json.loads(text)), "file").rows
    assert rows == load_baseline(folder / "run").rows
    assert [get_evidence(row) for row in rows if row.name == "accuracy" and row.item == "notes"] == [None]


@pytest.mark.parametrize(
    ("values", "stored"),
    [([0.0, 1.0, 1.0], "u1"), ([-1.0, 0.5], "f4"), ([0.1, 0.2], "f8"), ([-0.0, 1.0], "f4"), ([1e300], "f8"), ([-300.0], "i2")],
)
def test_an_array_is_stored_in_the_smallest_exact_type(values: list[float], stored: str) -> None:
    writer, array = ArrayWriter(), np.array(values)
    assert (writer.add(array), writer.add(array.copy())) == (0, 0)
    assert writer.entries[0][1] == stored
    (again,) = read_arrays(writer.entries)
    assert again.dtype == array.dtype
    assert again.tobytes() == array.tobytes()


def test_an_array_that_unpacks_to_more_than_it_claims_is_refused() -> None:
    bomb = base64.b64encode(zlib.compress(bytes(50_000_000))).decode()
    with pytest.raises(ConfigError, match="it does not hold 10 numbers"):
        read_arrays([["f8", "u1", [10], bomb]])
    with pytest.raises(ConfigError, match="at most 256 MiB"):
        read_arrays([["f8", "u1", [50_000_000], bomb]])


def test_texts_are_no_array() -> None:
    with pytest.raises(TypeError, match="cannot be packed"):
        ArrayWriter().add(np.array(["a"], dtype=object))
