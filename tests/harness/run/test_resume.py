"""A run may be killed at any moment: the same command finishes it, and the result is that of a run that nobody killed."""

from __future__ import annotations

import collections
import json
import os
import random
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from windtunnel.harness.api.errors import ConfigError, IncompleteRun, StoreError
from windtunnel.harness.results.summarise import summarise
from windtunnel.harness.run.runner import run_plan
from windtunnel.harness.store import FILE_NAME, codec
from windtunnel.tests.toys import COMMAND, child_environment, opened, planned, records_of, results_of, windtunnel, write_suite

NUM, CHUNK, DRIFT = 40, 2, 8


def _start(suite: Path, out: Path, *more: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [*COMMAND, "run", str(suite), "--out", str(out), "--quiet", *more],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=child_environment(), cwd=suite.parent,
    )  # fmt: skip


def _suite(folder: Path, sleep_s: float = 0.01, **keys: Any) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    model = {"model": "slow:words", "name": "words", "sleep_s": sleep_s, "log": str(folder / "log")}
    return write_suite(folder, **{"models": [model], "tasks": [{"task": "notes", "num": NUM}], "chunk": CHUNK, **keys})


def _finished_texts(out: Path) -> set[str]:
    """Inputs of the task's finished chunks, but for those that are asked again to measure the drift between batches."""
    if not (out / FILE_NAME).exists():
        return set()
    with opened(out) as store:
        items = [i for i in store.items() if i.kind == "task"]
        done = {r.sample_id for i in items for r in store.records(i)}
        return {str(s.input) for i in items for n, s in enumerate(store.samples(i.task)) if s.id in done and n >= DRIFT}


def _log(folder: Path) -> list[str]:
    path = folder / "log"
    # A killed process may leave half a line at the end.
    return [json.loads(line) for line in path.read_text().splitlines() if line.endswith('"')] if path.exists() else []


def _reference(folder: Path, **keys: Any) -> tuple[Path, list[str]]:
    """The same suite (its file and plugins are the same files), run at once."""
    suite = _suite(folder, **keys)
    assert windtunnel("run", suite, "--out", folder / "whole", "-q").code == 0
    asked = _log(folder)
    (folder / "log").unlink()
    for path in folder.glob("answers.db*"):
        path.unlink()
    return suite, asked


def _assert_equal_runs(out: Path, whole: Path) -> None:
    assert results_of(out) == results_of(whole)
    ours, theirs = ((f / "results.json").read_text().partition('"timing"')[0] for f in (out, whole))
    assert ours == theirs
    assert codec.dumps(records_of(out)) == codec.dumps(records_of(whole))
    answer = windtunnel("verify", out)
    assert (answer.code, "still to be made" in answer.out) == (0, False)


@pytest.mark.skipif(os.name == "nt", reason="needs SIGKILL")
@pytest.mark.parametrize("num_kills", [4, pytest.param(24, marks=pytest.mark.long)])
def test_kill_minus_nine_at_any_moment(tmp_path: Path, num_kills: int) -> None:
    """Kills from before the first line of the run to after its last question: tasks, drift, attack, probe, and a shared cache.

    A process is killed after a number of questions to the model, not after a time, so that each gets on however busy the machine is.
    """
    keys: dict[str, Any] = {"attacks": ["swap"], "probes": ["by_length"], "cache": "answers.db", "gates": ["notes.accuracy > 0"]}
    suite, asked_at_once = _reference(tmp_path, **keys)
    out = tmp_path / "run"
    rng = random.Random(20_251_124)
    first, last = [0], [len(asked_at_once)]
    most = 2 * len(asked_at_once) // num_kills
    reached: list[int] = []
    for num_asked in [*first, *(rng.randint(1, most) for _ in range(num_kills - 2)), *last]:
        finished = _finished_texts(out)
        before = len(_log(tmp_path))
        child = _start(suite, out)
        while child.poll() is None and len(_log(tmp_path)) < before + num_asked:
            time.sleep(0.01)
        time.sleep(rng.uniform(0, 0.02))
        child.kill()
        child.communicate()
        assert not finished & set(_log(tmp_path)[before:]), "a finished chunk was computed again"
        reached.append(sum(map(len, records_of(out).values())) if (out / FILE_NAME).exists() else 0)
        if reached[-1]:
            assert windtunnel("verify", out).code == 0
    assert reached[-1]
    assert reached == sorted(reached), "records are never lost"
    child = _start(suite, out)
    _, err = child.communicate()
    assert child.returncode == 0, err
    _assert_equal_runs(out, tmp_path / "whole")
    # Each kill loses at most the chunk under way; what was asked otherwise was asked once.
    extra = collections.Counter(_log(tmp_path)) - collections.Counter(asked_at_once)
    assert max(extra.values(), default=0) <= num_kills
    assert windtunnel("report", out).code == 0
    _assert_equal_runs(out, tmp_path / "whole")


class _Killed(BaseException):
    """As good as a kill to all that is written in Python: nothing catches it."""


@pytest.mark.parametrize("where", ["before the commit", "after the commit"])
@pytest.mark.parametrize("cache", [None, "answers.db"])
@pytest.mark.parametrize("number", [0, 9, 24])
def test_stopped_around_any_commit_counts_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, where: str, cache: str | None, number: int
) -> None:
    """The costs in the scorecard are those of an uninterrupted run, to the last pass and cache hit."""
    from windtunnel.harness.store import Store

    keys: dict[str, Any] = {"attacks": ["swap"], "probes": ["by_length"], "tasks": [{"task": "notes", "num": 14}], "sleep_s": 0.0}
    plan = planned_with(tmp_path, cache=cache, **keys)
    run_plan(plan, tmp_path / "whole")
    for path in tmp_path.glob("answers.db*"):
        path.unlink()
    commit, calls = Store.add_chunk, 0

    def interrupted(self: Store, *args: Any, **more: Any) -> None:
        nonlocal calls
        calls += 1
        if calls == number + 1 and where == "before the commit":
            raise _Killed
        commit(self, *args, **more)
        if calls == number + 1:
            raise _Killed

    monkeypatch.setattr(Store, "add_chunk", interrupted)
    with pytest.raises(_Killed):
        run_plan(plan, tmp_path / "run")
    monkeypatch.undo()
    run_plan(plan, tmp_path / "run")
    ours, theirs = summarise(tmp_path / "run"), summarise(tmp_path / "whole")
    assert ours.rows == theirs.rows
    assert ours.manifest == theirs.manifest
    assert codec.dumps(records_of(tmp_path / "run")) == codec.dumps(records_of(tmp_path / "whole"))


def planned_with(folder: Path, *, sleep_s: float, **keys: Any) -> Any:
    model = {"model": "slow:words", "name": "words", "sleep_s": sleep_s}
    return planned(folder, models=[model], chunk=CHUNK, **keys)


def test_an_unfinished_run_says_so(tmp_path: Path) -> None:
    """Also where all that was begun is done: the store knows what was planned."""
    plan = planned(tmp_path, attacks=["swap"], gates=["notes.accuracy > 0"], chunk=64)
    with pytest.raises(IncompleteRun, match="all finished chunks are kept"):
        run_plan(plan, tmp_path / "run", should_stop=lambda: True)
    card = summarise(tmp_path / "run")
    assert not card.complete
    answer = windtunnel("report", tmp_path / "run")
    assert answer.code == 3
    assert answer.out.startswith("INCOMPLETE: ")
    run_plan(plan, tmp_path / "run")
    assert summarise(tmp_path / "run").complete


# ── Ctrl-C ────────────────────────────────────────────────────────────────────────────────────────────────────────────


def _wait(condition: Any, child: subprocess.Popen[str]) -> None:
    while not condition():
        assert child.poll() is None, child.communicate()
        time.sleep(0.02)


@pytest.fixture
def started(tmp_path: Path) -> Iterator[Any]:
    children: list[subprocess.Popen[str]] = []

    def start(sleep_s: float) -> tuple[subprocess.Popen[str], Path]:
        child = _start(_suite(tmp_path, sleep_s=sleep_s), tmp_path / "run")
        children.append(child)
        return child, tmp_path / "run"

    yield start
    for child in children:
        if child.poll() is None:
            child.kill()
        child.communicate()


@pytest.mark.skipif(os.name == "nt", reason="needs SIGINT")
def test_ctrl_c_finishes_the_chunk_and_says_how_to_go_on(tmp_path: Path, started: Any) -> None:
    child, out = started(0.1)
    _wait(lambda: len(_log(tmp_path)) >= 2 * CHUNK, child)
    child.send_signal(signal.SIGINT)
    _, err = child.communicate()
    assert child.returncode == 3
    assert "stopping after this chunk; press Ctrl-C again to stop at once" in err
    assert f"Give the same command again to go on; records so far are in {out}" in err
    assert "Traceback" not in err
    (records,) = records_of(out).values()
    assert len(records) == len(_log(tmp_path)), "the chunk under way was finished"


@pytest.mark.skipif(os.name == "nt", reason="needs SIGINT")
def test_the_second_ctrl_c_stops_at_once(tmp_path: Path, started: Any) -> None:
    """The model sleeps for a day, in its first batch: that the command ends at all is the proof."""
    child, out = started(86_400.0)
    _wait(lambda: (tmp_path / "log.begun").exists(), child)
    child.send_signal(signal.SIGINT)
    assert child.stderr is not None
    while "press Ctrl-C again to stop at once" not in (line := child.stderr.readline()):
        assert line, "the child ended without a word"
    child.send_signal(signal.SIGINT)
    _, err = child.communicate()
    assert child.returncode == 3
    assert "stopped at once; the chunk under way is lost, all before it are kept" in err
    assert "Traceback" not in err
    assert sum(map(len, records_of(out).values())) == 0


@pytest.mark.skipif(os.name == "nt", reason="needs SIGKILL")
def test_two_processes_on_one_folder(tmp_path: Path, started: Any) -> None:
    child, out = started(0.2)
    _wait(lambda: len(_log(tmp_path)) >= CHUNK, child)
    answer = windtunnel("run", tmp_path / "toys.yaml", "--out", out)
    assert answer.code == 3
    assert "another process is running in" in answer.err
    assert windtunnel("verify", out).code == 0, "reading is allowed meanwhile"
    assert child.poll() is None
    child.kill()
    child.communicate()
    assert windtunnel("verify", out).code == 0
    plan = planned(tmp_path, models=[{"name": "others", "model": "toy:words"}])
    with pytest.raises(ConfigError, match="another suite"):  # the lock went with the process
        run_plan(plan, out)


def test_a_store_that_is_locked_by_a_stranger(tmp_path: Path) -> None:
    import sqlite3

    plan = planned(tmp_path)
    run_plan(plan, tmp_path / "run")
    other = sqlite3.connect(tmp_path / "run" / "run.lock", isolation_level=None)
    other.execute("BEGIN EXCLUSIVE")
    with pytest.raises(StoreError, match="another process"):
        run_plan(plan, tmp_path / "run")
    other.close()
    run_plan(plan, tmp_path / "run")


def test_a_run_goes_on_where_everything_was_moved_to(tmp_path: Path) -> None:
    """Models, data, task, plugins and the run folder, in another place: the same files are the same suite. Other content is not."""
    home = tmp_path / "home"
    home.mkdir()
    (home / "rows.jsonl").write_text("".join(json.dumps({"text": f"a good film {i}", "label": "positive"}) + "\n" for i in range(6)))
    (home / "mine.yaml").write_text(
        "family: text_classification\ndata: {files: rows.jsonl}\ntext: text\nlabel: label\nlabels: [negative, positive]\n"
    )
    (home / "model.py").write_text("def go(texts):\n    return [[0.0, float(len(t))] for t in texts]\n")
    keys: dict[str, Any] = {
        "models": [{"model": "callable:model.py:go", "labels": ["negative", "positive"]}], "tasks": ["mine.yaml", "notes"], "chunk": 2,
    }  # fmt: skip
    with pytest.raises(IncompleteRun):
        run_plan(planned(home, **keys), home / "run", should_stop=lambda: True)
    begun = {name: len(records) for name, records in records_of(home / "run").items()}
    moved = home.rename(tmp_path / "moved")
    answer = windtunnel("run", moved / "toys.yaml", "--out", moved / "run", "-q")
    assert answer.code == 0, answer.err
    assert sum(begun.values()) < sum(map(len, records_of(moved / "run").values()))
    assert windtunnel("verify", moved / "run").code == 0
    again = moved.rename(tmp_path / "again")
    (again / "model.py").write_text("def go(texts):\n    return [[1.0, 0.0] for t in texts]\n")
    answer = windtunnel("run", again / "toys.yaml", "--out", again / "run", "-q")
    assert answer.code == 0
    assert "it was made with another model" in answer.err
