"""The command line: what each verb prints, and what each exit code means."""

from __future__ import annotations

import json
import os
import re
import socket
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from windtunnel.harness.api.registry import GROUPS, Registry
from windtunnel.harness.suite.load import load_suite
from windtunnel.harness.system.offline import is_offline
from windtunnel.tests.toys import COMMAND, child_environment, records_of, results_of, windtunnel, write_suite


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("cli")
    answer = windtunnel("run", write_suite(folder, attacks=["swap"]), "--out", folder / "run")
    assert answer.code == 0
    assert "\r" not in answer.err, "no progress bar without a terminal"
    return folder / "run"


@pytest.mark.parametrize(
    ("gates", "code"),
    [
        ("- notes.accuracy.value >= 0.8\n", 0), ("- notes.accuracy >= 0.99\n", 1), ("- notes.accuracy >= 0.8\n", 1),
        ("- {check: notes.accuracy >= 0.8, inconclusive: warn}\n", 0), ("- swap(notes).mean_linf < 1\n", 3), ("- nots.accuracy > 0.5\n", 3),
        ("- {check: notes.accuracy >= 0.99}\n- swap(notes).mean_linf < 1\n", 1), ("- notes.accuracy\n", 2),
    ],
)  # fmt: skip
def test_exit_codes(finished: Path, tmp_path: Path, gates: str, code: int) -> None:
    (tmp_path / "gates.yaml").write_text(gates)
    answer = windtunnel("gate", finished, tmp_path / "gates.yaml")
    assert answer.code == code
    assert ("error: " in answer.err) == (code == 2)


@pytest.mark.parametrize(
    "arguments",
    [[], ["runn"], ["run", "--bogus"], ["run", "--limit", "0"], ["run", "--limit", "x"], ["run"], ["run", "--model", "toy:words"], ["show"],
     ["list", "task"], ["gate", "x"], ["run", "--model", "toy:words", "--tasks", "nots"], ["show", "toyy"]],
)  # fmt: skip
def test_wrong_arguments_are_two(arguments: list[str]) -> None:
    answer = windtunnel(*arguments)
    assert answer.code == 2
    assert answer.err
    assert "Traceback" not in answer.err


@pytest.mark.parametrize("verb", ["report", "verify"])
def test_a_folder_without_a_run_is_two(tmp_path: Path, verb: str) -> None:
    answer = windtunnel(verb, tmp_path)
    assert answer.code == 2
    assert "there is no run at" in answer.err
    assert not list(tmp_path.iterdir())


def test_a_family_is_shown_with_its_keys() -> None:
    answer = windtunnel("show", "text_classification")
    assert answer.code == 0
    assert "a task file has the key 'family: text_classification'" in answer.out
    assert "label_map: names for values of the data set." in answer.out
    for key in ("rationale", "metrics", "shuffle"):
        assert re.search(rf"^    {key}: ", answer.out, re.MULTILINE), key
    answer = windtunnel("show", "text_clasification")
    assert answer.code == 2
    assert "Did you mean 'text_classification'" in answer.err


def test_a_path_beside_a_run_names_the_run(tmp_path: Path, finished: Path) -> None:
    for path, fix in ((finished / "results.json", f"is a file: give its folder, {finished}"),
                      (finished.parent, "give one of its folders, e.g."), (tmp_path, "create one")):  # fmt: skip
        answer = windtunnel("verify", path)
        assert answer.code == 2
        assert fix in answer.err


def test_a_task_file_runs_on_the_model_of_the_command_line(tmp_path: Path) -> None:
    (tmp_path / "rows.csv").write_text("text,label\na good film,positive\na bad film,negative\n")
    content = {"family": "text_classification", "data": {"files": "rows.csv"}, "text": "text", "label": "label",
               "labels": ["negative", "positive"], "metrics": ["accuracy"]}  # fmt: skip
    for name, text in (("mine.yaml", json.dumps(content)), ("mine.json", json.dumps(content, indent="\t"))):
        (tmp_path / name).write_text(text)
        answer = windtunnel("plan", tmp_path / name)
        assert answer.code == 2
        assert "is a task file, not a suite: add the model that it tests with --model" in answer.err
        answer = windtunnel("plan", tmp_path / name, "--model", "toy:words")
        assert answer.code == 0
        assert re.search(r"mine +2 samples", answer.out)
    path = write_suite(tmp_path, tasks=["notes"])
    answer = windtunnel("plan", "--model", "toy:words", "--tasks", path)
    assert answer.code == 2
    assert "is a suite, not a task file; give it as windtunnel run" in answer.err


def test_a_crash_is_not_mistaken_for_a_failed_gate(monkeypatch: pytest.MonkeyPatch, finished: Path) -> None:
    from windtunnel.harness.results import summarise

    monkeypatch.setattr(summarise, "summarise", lambda *args, **more: 1 / 0)
    answer = windtunnel("report", finished)
    assert answer.code == 3
    assert "ZeroDivisionError" in answer.err
    assert "this is a bug" in answer.err


def test_an_interrupt_before_the_run_is_three(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    from windtunnel.harness.plan import planner

    def interrupted(*args: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(planner, "plan", interrupted)
    answer = windtunnel("run", write_suite(tmp_path), "--out", tmp_path / "run")
    assert (answer.code, "Traceback" in answer.err) == (3, False)


def test_json_is_all_that_is_printed(finished: Path, tmp_path: Path) -> None:
    (tmp_path / "gates.yaml").write_text("- notes.accuracy > 0\n")
    suite = finished.parent / "toys.yaml"
    for arguments in (
        ["run", suite, "--out", finished, "--json"], ["report", finished, "--json"], ["gate", finished, tmp_path / "gates.yaml", "--json"],
        ["plan", suite, "--json"], ["list", "--json"], ["list", "models", "--json"],
    ):  # fmt: skip
        answer = windtunnel(*arguments)
        assert answer.code == 0
        assert isinstance(json.loads(answer.out), dict)
        assert answer.err == ""
    card = json.loads(windtunnel("report", finished, "--json").out)
    assert card["verdict"] == "none"
    assert card["rows"][0]["estimate"]["n"] == 12
    assert card == json.loads((finished / "results.json").read_text()), "programs learn one shape"


def test_list_and_show(tmp_path: Path) -> None:
    listed = json.loads(windtunnel("list", "--json").out)
    assert list(listed) == list(GROUPS)
    assert {"name": "toy", "origin": Registry().get("models", "toy").origin} in listed["models"]
    text = windtunnel("list", "attacks", "--plugin", write_suite(tmp_path).with_name("toy_plugins.py"))
    assert "  swap  (toy_plugins.py sha256:" in text.out
    shown = windtunnel("show", "swap", "--plugin", tmp_path / "toy_plugins.py")
    assert "Turns good into bad" in shown.out
    assert "max_words: int = 1" in shown.out
    assert "required capabilities: classify, text" in shown.out
    assert "Did you mean 'toy'" in windtunnel("show", "toyy").err


def test_version_and_help() -> None:
    from windtunnel import __version__

    assert windtunnel("--version").out == f"{__version__}\n"
    text = windtunnel("--help").out
    assert all(verb in text for verb in ("run", "demo", "plan", "list", "show", "report", "gate", "verify"))
    assert "0 pass, 1 a gate failed, 2 your input needs a change, 3" in " ".join(text.split())


# ── overrides ─────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_options_stand_in_place_of_the_suites_keys(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    suite = write_suite(tmp_path, gates=["notes.accuracy >= 0.99"], attacks=["swap"])
    monkeypatch.chdir(tmp_path)
    answer = windtunnel("run", suite, "--limit", 5, "--gate", "notes.accuracy.value >= 0.5", "--model", "slow:other", "--seed", 3, "-q")
    assert answer.code == 0, answer.err
    (folder,) = (tmp_path / "runs").iterdir()
    assert folder.name.startswith("toys-")
    results = results_of(folder)
    assert results["counts"]["samples"] == 5
    assert list(results["manifest"]["models"]) == ["other"]
    assert results["manifest"]["seed"] == 3
    assert [g["gate"] for g in results["gates"]] == ["notes.accuracy.value >= 0.5"]
    assert {i["item"] for i in results["manifest"]["items"]} == {"notes", "batch_invariance(notes)", "swap(notes)"}
    again = load_suite(folder / "suite.yaml")
    assert again.limit == 5
    assert windtunnel("run", folder / "suite.yaml", "--out", folder, "-q").code == 0, "the suite in the folder is that of the run"


def test_no_suite_file_is_needed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_suite(tmp_path)
    monkeypatch.chdir(tmp_path)
    answer = windtunnel(
        "run", "--model", "slow:a", "--model", "slow:b", "--tasks", "notes", "--attacks", "swap", "--plugin", "toy_plugins.py",
        "--gate", "a/notes.accuracy > 0", "--gate", "notes.accuracy > 0", "-q",
    )  # fmt: skip
    assert answer.code == 0, answer.err
    (folder,) = (tmp_path / "runs").iterdir()
    assert {key.partition("/")[0] for key in records_of(folder)} == {"a", "b"}


def test_the_same_suite_has_the_same_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    suite = write_suite(tmp_path, name="../../evil name", tasks=[{"task": "notes", "num": 3}])
    monkeypatch.chdir(tmp_path)
    for _ in range(2):
        assert windtunnel("run", suite, "-q").code == 0
    assert windtunnel("run", suite, "--gate", "notes.accuracy > 0", "-q").code in (0, 1)
    assert len(list((tmp_path / "runs").iterdir())) == 1
    assert windtunnel("run", suite, "--limit", 2, "-q").code == 0
    assert len(list((tmp_path / "runs").iterdir())) == 2
    assert {p.name for p in tmp_path.iterdir()} >= {"runs"}
    assert all(p.name.startswith("evil-name-") for p in (tmp_path / "runs").iterdir())


# ── terminals and networks ────────────────────────────────────────────────────────────────────────────────────────────


def test_progress_bars_only_for_a_person(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from windtunnel.harness.run import progress_bars

    shown: list[str] = []

    class Bars(progress_bars.Bars):
        def __init__(self, describe: Callable[[str, str], str]) -> None:
            super().__init__(describe)
            shown.append("bars")

    monkeypatch.setattr(progress_bars, "Bars", Bars)
    monkeypatch.delenv("CI", raising=False)
    suite = write_suite(tmp_path, tasks=[{"task": "notes", "num": 3}])
    for number, (arguments, env, expected) in enumerate(
        [([], {}, 1), (["--quiet"], {}, 1), (["--json"], {}, 1), ([], {"CI": "true"}, 1), ([], {}, 2)]
    ):
        answer = windtunnel("run", suite, "--out", tmp_path / f"run{number}", *arguments, env=env, terminal=True)
        assert answer.code == 0
        assert len(shown) == expected, (arguments, env)
        assert ("samples done in" in answer.err) == (not arguments), "bars and lines say when an item ends"
        assert ("0/3" in answer.err) == (not arguments and not env)


def test_a_log_says_when_items_start_and_end(tmp_path: Path) -> None:
    suite = write_suite(tmp_path, tasks=[{"task": "notes", "num": 6}], attacks=["swap"], chunk=4)
    answer = windtunnel("run", suite, "--out", tmp_path / "run")
    lines = [re.sub(r"\d[\d.]* (s|min|h)\b", "T", line) for line in answer.err.splitlines()]
    assert lines[:5] == [
        "loading words",
        "[1/3] words  notes: 6 samples; time left unknown yet",
        "[1/3] words  notes: 4 of 6 samples; about T left + 1 item unknown yet",
        "[1/3] words  notes: 6 samples done in T; accuracy 0.8333 [0.3588, 0.9958], n = 6",
        "[2/3] words  batch_invariance(notes): 6 samples; about T left + 1 item unknown yet",
    ]
    assert lines[-1].startswith("[3/3] words  swap(notes): 6 samples done in T; robust_accuracy ")
    again = windtunnel("run", suite, "--out", tmp_path / "run").err.splitlines()
    assert "[1/3] words  notes: 6 samples, 6 of them done before" in again
    assert not any("done in" in line for line in again)


def test_no_name_gives_the_log_of_a_ci_system_a_command(tmp_path: Path) -> None:
    names = ["::error::x", " ::add-mask::x", "##[group]x", "##vso[task.complete]x"]
    suite = write_suite(tmp_path, tasks=[{"task": "notes", "num": 3, "name": name} for name in names])
    run = windtunnel("run", suite, "--out", tmp_path / "run")
    shown = [
        run,
        windtunnel("report", tmp_path / "run", "--rows"),
        windtunnel("plan", suite),
        windtunnel("report", tmp_path / "run", "--json"),
    ]
    for answer in shown:
        lines = (answer.out + answer.err).splitlines()
        assert not [line for line in lines if line.lstrip().startswith("::") or "##[" in line or "##vso[" in line]
    assert {row["item"] for row in json.loads(shown[-1].out)["rows"]} >= set(names), "the JSON has the names as they are"


def test_a_traceback_is_no_command(monkeypatch: pytest.MonkeyPatch, finished: Path) -> None:
    from windtunnel.harness.results import summarise

    def crash(*args: object, **more: object) -> None:
        raise RuntimeError("no\n::error::x")

    monkeypatch.setattr(summarise, "summarise", crash)
    assert "\n\\::error::x" in windtunnel("report", finished).err


def test_offline_opens_no_socket(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    opened: list[Any] = []

    class Watched(socket.socket):
        def connect(self, address: Any) -> None:
            opened.append(address)
            raise OSError("no network in this test")

    monkeypatch.setattr(socket, "socket", Watched)
    for name in ("HF_HUB_OFFLINE", "HF_DATASETS_OFFLINE", "TRANSFORMERS_OFFLINE"):
        monkeypatch.delenv(name, raising=False)
    assert not is_offline()
    assert windtunnel("run", write_suite(tmp_path), "--out", tmp_path / "run", "--offline").code == 0
    assert not is_offline(), "the environment is put back by the test"
    answer = windtunnel("plan", "--model", "toy:words", "--tasks", "sst2", "--offline")
    assert answer.code == 2
    assert "not in the local cache" in answer.err
    assert not opened


def test_a_users_own_folders_do_not_collide(tmp_path: Path) -> None:
    """As the console script does it: from a folder with a tasks.py and reports/ of the user's own, JSON on stdout, nothing on stderr."""
    suite = write_suite(tmp_path, tasks=[{"task": "notes", "num": 3}])
    here = tmp_path / "here"
    for name in ("tasks.py", "harness.py", "attacks/__init__.py", "reports/__init__.py", "probes.py"):
        (here / name).parent.mkdir(parents=True, exist_ok=True)
        (here / name).write_text("raise RuntimeError('the wrong module was imported')\n")
    done = subprocess.run(
        [*COMMAND, "run", str(suite), "--json", "--offline"], cwd=here, env=child_environment(CI="1"), capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["complete"]
    assert done.stderr == ""
    assert [p.name for p in (here / "reports").iterdir() if p.name != "__pycache__"] == ["__init__.py"]
    assert list((here / "runs").iterdir())


def test_a_pipe_that_closes_early_is_no_traceback() -> None:
    reader, writer = os.pipe()
    os.close(reader)
    done = subprocess.run([*COMMAND, "list"], stdout=writer, stderr=subprocess.PIPE, text=True, env=child_environment())
    os.close(writer)
    assert "Traceback" not in done.stderr


def test_a_terminal_that_cannot_show_it_gets_an_escape(tmp_path: Path) -> None:
    done = subprocess.run(
        [*COMMAND, "show", "日本"], capture_output=True, env=child_environment(PYTHONIOENCODING="latin-1:strict", PYTHONUTF8="1")
    )
    assert done.returncode == 2
    assert rb"\u65e5\u672c" in done.stderr


def test_export_writes_one_format_and_names_others(finished: Path, tmp_path: Path) -> None:
    answer = windtunnel("export", finished, "csv", "--out", tmp_path / "notes.csv")
    assert (answer.code, answer.out) == (0, f"{tmp_path / 'notes.csv'}\n")
    assert len((tmp_path / "notes.csv").read_text().splitlines()) > 24
    answer = windtunnel("export", finished, "lm_eval", "--out", tmp_path / "folder")
    assert answer.code == 0
    assert len(list((tmp_path / "folder").rglob("*.json*"))) == 2
    answer = windtunnel("export", finished, "sarfi", "--out", tmp_path / "x")
    assert (answer.code, "'sarfi'" in answer.err) == (2, True)
