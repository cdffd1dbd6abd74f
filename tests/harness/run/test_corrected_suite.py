"""A suite that is corrected: what it says something else of is run again, all else keeps its records, and nothing is lost."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from windtunnel.harness.api.errors import ConfigError, IncompleteRun
from windtunnel.harness.results.frames import Run
from windtunnel.harness.results.summarise import summarise
from windtunnel.harness.run.runner import run_plan
from windtunnel.harness.store import FILE_NAME, Store
from windtunnel.tests.toys import planned, windtunnel

TASKS = ["notes", {"task": "notes", "name": "others"}]
ABLATION: dict[str, Any] = {"probe": "feature_ablation", "tasks": ["notes"], "scores": ["erasure", "words"]}
LIME: dict[str, Any] = {"probe": "lime", "tasks": ["others"], "scores": ["complexity"], "subsets": 8}
BASE: dict[str, Any] = {"tasks": TASKS, "probes": [ABLATION, LIME], "attacks": [], "limit": 6, "chunk": 3}


def given(folder: Path, **changes: Any) -> None:
    run_plan(planned(folder, **{**BASE, **changes}), folder / "run")


def ids(folder: Path) -> dict[str, int]:
    """The stored number of each item that the suite has now."""
    store = Store.open(folder / "run" / FILE_NAME, readonly=True)
    found = {item.item: item.id for item in store.items()}
    assert store.verify() == []
    store.close()
    return found


def aside(folder: Path) -> dict[str, tuple[str, int]]:
    store = Store.open(folder / "run" / FILE_NAME, readonly=True)
    found = {item.item: (why, store.count(item)) for item, why in store.set_aside()}
    store.close()
    return found


def same_as_alone(folder: Path, **changes: Any) -> None:
    """The corrected folder says what a new one does."""
    alone = folder / "alone"
    alone.mkdir(exist_ok=True)
    given(alone, **changes)
    one, other = (summarise(where / "run") for where in (folder, alone))
    exact = lambda card: {(r.item, r.name): r.estimate for r in card.rows if r.dimension != "efficiency"}  # noqa: E731
    assert exact(one) == exact(other)
    assert one.complete
    assert one.verdict == other.verdict


ITEMS = {"notes", "batch_invariance(notes)", "others", "batch_invariance(others)", "feature_ablation(notes)", "lime(others)",
         "word_reliance(feature_ablation(notes))"}  # fmt: skip


@pytest.mark.parametrize(
    ("changes", "anew"),
    [
        ({"probes": [ABLATION, {**LIME, "subsets": 9}]}, {"lime(others)"}),
        ({"probes": [{**ABLATION, "target": "gold"}, LIME]}, {"feature_ablation(notes)", "word_reliance(feature_ablation(notes))"}),
        ({"probes": [{**ABLATION, "scores": ["erasure", "complexity", "words"]}, LIME]},
         {"feature_ablation(notes)", "word_reliance(feature_ablation(notes))"}),
        ({"probes": [{**ABLATION, "limit": 4}, LIME]}, {"feature_ablation(notes)", "word_reliance(feature_ablation(notes))"}),
        ({"tasks": ["notes", {"task": "notes", "name": "others", "limit": 5}]},
         {"others", "batch_invariance(others)", "lime(others)"}),
        ({"tasks": ["notes", {"task": "notes", "name": "others", "fail": "score:n3"}]},
         {"others", "batch_invariance(others)", "lime(others)"}),
        ({"seed": 9}, ITEMS),
        ({"dtype": "float32"}, ITEMS),
        ({"chunk": 2}, set()),
        ({"gates": ["notes.accuracy >= 0.1"], "reports": ["json"]}, set()),
    ],
)  # fmt: skip
def test_only_what_changed_is_run_anew(tmp_path: Path, changes: dict[str, Any], anew: set[str]) -> None:
    given(tmp_path)
    before = ids(tmp_path)
    assert set(before) == ITEMS
    given(tmp_path, **changes)
    after = ids(tmp_path)
    assert {item for item in after if after[item] != before[item]} == anew
    kept = aside(tmp_path)
    assert set(kept) == anew
    assert all(num == 6 for _, num in kept.values()), "their records are there"
    same_as_alone(tmp_path, **changes)
    given(tmp_path, **changes)
    assert ids(tmp_path) == after, "and once more changes nothing"


def test_what_is_taken_back_is_not_run_again(tmp_path: Path) -> None:
    given(tmp_path)
    first = ids(tmp_path)
    given(tmp_path, probes=[ABLATION, {**LIME, "subsets": 9}])
    assert ids(tmp_path)["lime(others)"] != first["lime(others)"]
    given(tmp_path)
    assert ids(tmp_path) == first
    same_as_alone(tmp_path)


def test_what_the_suite_leaves_out_is_out_of_the_scorecard_and_kept(tmp_path: Path) -> None:
    given(tmp_path)
    given(tmp_path, probes=[LIME])
    assert set(ids(tmp_path)) == ITEMS - {"feature_ablation(notes)", "word_reliance(feature_ablation(notes))"}
    assert aside(tmp_path)["feature_ablation(notes)"] == ("it is no longer in the suite", 6)
    assert "feature_ablation(notes)" not in set(Run.load(tmp_path / "run").samples()["item"])
    card = summarise(tmp_path / "run")
    assert {s["item"]: s["num_records"] for s in card.manifest["set_aside"]}["feature_ablation(notes)"] == 6
    assert "set aside" in windtunnel("verify", tmp_path / "run").out
    same_as_alone(tmp_path, probes=[LIME])


def test_a_suite_that_is_corrected_in_the_middle_of_a_run(tmp_path: Path) -> None:
    with pytest.raises(IncompleteRun):
        run_plan(planned(tmp_path, **BASE), tmp_path / "run", should_stop=lambda: True)
    changes = {"probes": [ABLATION, {**LIME, "subsets": 9}], "chunk": 2}
    given(tmp_path, **changes)
    same_as_alone(tmp_path, **changes)


def test_nothing_of_before_is_shown_where_the_new_run_was_stopped(tmp_path: Path) -> None:
    given(tmp_path)
    with pytest.raises(IncompleteRun):
        run_plan(planned(tmp_path, **{**BASE, "seed": 9}), tmp_path / "run", should_stop=lambda: True)
    card = summarise(tmp_path / "run")
    assert not card.complete
    assert {i["item"] for i in card.manifest["items"]} == {"notes"}
    assert len(aside(tmp_path)) == len(ITEMS)


def test_another_run_is_not_pushed_aside(tmp_path: Path) -> None:
    """A folder that has none of the suite's items is somebody else's."""
    given(tmp_path)
    before = ids(tmp_path)
    with pytest.raises(ConfigError, match="contains the run of another suite"):
        given(tmp_path, models=[{"name": "else", "model": "toy:words"}])
    assert ids(tmp_path) == before
