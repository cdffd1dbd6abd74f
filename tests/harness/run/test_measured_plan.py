"""How long a plan takes, from the first samples of each item."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
from windtunnel.harness.api.registry import Registry
from windtunnel.harness.cli.plan_text import plan_text
from windtunnel.harness.items.base.planned_item import PlannedItem
from windtunnel.harness.plan.planner import plan
from windtunnel.harness.plan.types import Plan
from windtunnel.harness.run.item_times import ItemTime, estimate_time, share_times
from windtunnel.harness.run.measured_plan import shorten_suite
from windtunnel.harness.store import ChunkTimes, StoredChunk
from windtunnel.harness.suite.load import load_suite
from windtunnel.tests.toys import windtunnel, write_suite


def planned(folder: Path, num: int) -> Plan:
    suite = load_suite(write_suite(folder, tasks=[{"task": "notes", "num": num}]))
    return plan(suite, Registry(suite.plugins))


def chunk(number: int, num: int, seconds: float) -> StoredChunk:
    return StoredChunk(number, "", num, {}, ChunkTimes(seconds, seconds))


def cut(folder: Path, num: int, positions: int = 10, requires: str = "classify") -> PlannedItem:
    """Return a task of so many samples of equal positions, which are asked in this way."""
    item = planned(folder, 2).items[0]
    task = replace(item.task, positions=[positions] * num, requires=frozenset({requires}))
    return replace(item, task=task, samples=[item.samples[0]] * num)


def seconds(item: PlannedItem, chunks: list[StoredChunk], most: int = 256, *, on_cpu: bool = False) -> float:
    time = estimate_time(item, chunks, most, on_cpu=on_cpu)
    assert time is not None
    assert time.num_measured == sum(chunk.num_samples for chunk in chunks)
    return time.seconds


def test_the_chunks_after_the_first_tell_the_pace(tmp_path: Path) -> None:
    item = cut(tmp_path, 100)
    assert seconds(item, [chunk(0, 2, 10.0), chunk(1, 10, 1.0), chunk(2, 4, 0.4)]) == pytest.approx(19.8), "the first loads libraries"
    assert seconds(item, [chunk(0, 2, 0.2)]) == pytest.approx(10.0), "its only chunk"
    assert seconds(cut(tmp_path, 16), [chunk(0, 2, 10.0), chunk(1, 14, 1.4)]) == pytest.approx(11.4), "all of it was measured"
    assert estimate_time(item, [], 256, on_cpu=False) is None


def test_a_chunk_of_generated_answers_has_a_time_of_its_own(tmp_path: Path) -> None:
    item = cut(tmp_path, 140, requires="generate")
    chunks = [chunk(0, 2, 10 + 2.0), chunk(1, 14, 10 + 14.0)]
    assert seconds(item, chunks) == pytest.approx(10 + 140), "one chunk of all samples"
    assert seconds(item, chunks, 70) == pytest.approx(2 * 10 + 140), "two chunks"
    assert seconds(item, [chunk(0, 2, 30.0), chunks[1]]) == pytest.approx(24), "a chunk costs at most what one took"
    assert seconds(item, [chunk(0, 2, 1.0), chunks[1]]) == pytest.approx(240), "its samples do so too"
    busy = [replace(one, times=replace(one.times, seconds=wall)) for one, wall in zip(chunks, (100.0, 48.0), strict=True)]
    assert seconds(item, busy, on_cpu=True) == pytest.approx(2 * 150), "a busy machine changes the clock, and not the ratio of CPU times"
    early = replace(chunks[0], times=ChunkTimes(3.0, 3.0), counters={"forward_passes": 10})
    brief = [early, replace(chunks[1], counters={"forward_passes": 40})]
    assert seconds(item, brief) == pytest.approx(150), "the first answers ended after a quarter of the passes"
    assert seconds(cut(tmp_path, 140), chunks) == pytest.approx(12 + 138 * 24 / 14), "other answers share no passes"


def test_shares_are_of_the_time_of_the_model() -> None:
    times = {("a", "x"): ItemTime(3.0, 3), ("a", "y"): ItemTime(1.0, 1), ("b", "x"): ItemTime(0.0, 1)}
    assert share_times(times) == {("a", "x"): 0.75, ("a", "y"): 0.25, ("b", "x"): 0.0}


def test_a_short_suite_has_the_first_samples_and_keeps_smaller_limits(tmp_path: Path) -> None:
    given = {"tasks": [{"task": "notes", "num": 40, "limit": 30}], "attacks": [{"attack": "swap", "limit": 5}], "chunk": 100}
    suite = load_suite(write_suite(tmp_path, **given, cache="answers.db", gates=["notes.accuracy > 0.1"], stop="decided"))
    short = shorten_suite(suite)
    assert [(item.item, len(item.samples)) for item in plan(short, Registry(suite.plugins)).items if item.plugin or item.key.is_task] == [
        ("notes", 16), ("swap(notes)", 5),
    ]  # fmt: skip
    assert (short.chunk, short.cache, short.gates, short.stop) == (16, None, (), None)


def test_plan_measures_and_keeps_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    suite = write_suite(tmp_path, tasks=[{"task": "notes", "num": 40}], attacks=["swap"], cache="answers.db")
    before = set(tmp_path.rglob("*"))
    monkeypatch.chdir(tmp_path)
    answer = windtunnel("plan", suite, "--measure", "--json")
    assert answer.code == 0
    items = json.loads(answer.out)["items"]
    assert [item["item"] for item in items] == ["notes", "batch_invariance(notes)", "swap(notes)"]
    assert all(item["seconds"] > 0 and item["seconds_per_sample"] > 0 for item in items)
    assert sum(item["share_of_time"] for item in items) == pytest.approx(1, abs=1e-3)
    assert {path for path in set(tmp_path.rglob("*")) - before if "__pycache__" not in path.parts} == set()


def test_the_text_of_a_measured_plan_says_seconds(tmp_path: Path) -> None:
    made = planned(tmp_path, 40)
    times = {(item.model.name, item.item): ItemTime(30.0, 16) for item in made.items}
    text = plan_text(made, times)
    assert "40 samples   40 requests              about 30 s (0.75 s per sample), 50 % of the time" in text
    assert text.splitlines()[-1] == "about 60 s in all, without loading weights; measured on the first 16 samples of each item"
    assert plan_text(made, {}).splitlines()[-1] == "times: unknown yet; --measure runs a few samples of each item, and estimates them"
