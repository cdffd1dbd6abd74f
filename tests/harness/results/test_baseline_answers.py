"""What a baseline answered stands beside the answers of a run: from a run folder, and from files with and without texts."""

from __future__ import annotations

from pathlib import Path

import pytest
from windtunnel.harness.results.baseline import make_baseline
from windtunnel.harness.results.summarise import load_registry, summarise
from windtunnel.tests.planted import run_planted

TASK = {"num": 60}


@pytest.mark.parametrize("form", ["folder", "file", "file with texts"])
def test_each_sample_has_the_baselines_answer(tmp_path: Path, form: str) -> None:
    before = run_planted(tmp_path, "before", {}, TASK)
    registry = load_registry(before, [tmp_path / "planted_plugins.py"])
    source = before
    if form != "folder":
        source = tmp_path / "baseline.json"
        source.write_text(make_baseline(before, registry, texts=form == "file with texts"), encoding="ascii")
    after = run_planted(tmp_path, "after", {"baseline": str(source)}, TASK, seed=1, overall=0.3)
    first, second = ({view.id: view for view in summarise(folder, registry=registry).samples} for folder in (before, after))
    assert all(view.baseline is None for view in first.values())
    changes = set()
    for name, view in second.items():
        beside = view.baseline
        assert beside is not None
        assert (beside.model, beside.correct) == ("baseline: model", first[name].correct)
        assert beside.prediction == (None if form == "file" else first[name].prediction)
        changes.add((beside.correct, view.correct))
    assert {(True, True), (True, False)} <= changes
    (comparison,) = summarise(after, registry=registry).comparisons
    regressed = sum(view.baseline is not None and view.baseline.correct is True and view.correct is False for view in second.values())
    assert sum(flip.change == "regressed" and flip.key.is_task for flip in comparison.flips) == regressed > 5
