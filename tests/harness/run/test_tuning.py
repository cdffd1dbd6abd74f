"""Batches found by measuring, on models whose cost is known: a clock that only the model moves."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pytest
from windtunnel.harness.api.errors import IncompleteRun, StoreError
from windtunnel.harness.api.model import Model, ModelInfo
from windtunnel.harness.api.requests import Classify
from windtunnel.harness.api.responses import Logits
from windtunnel.harness.engine.packing import Budget
from windtunnel.harness.engine.saved_budgets import find_budgets_file, load_saved_budget, save_budget
from windtunnel.harness.run import model_run, tuning
from windtunnel.harness.run.loading import choose_budget
from windtunnel.harness.run.runner import run_plan
from windtunnel.harness.run.tuning import WORTH, climb, tune
from windtunnel.tests.toys import opened, planned, windtunnel, write_suite

INFO = ModelInfo({"classify": {"text"}})


class Priced(Model):
    """A pass costs ``of_pass`` and ``of_position`` seconds for each of its positions; ``fits`` positions, else out of memory."""

    def __init__(self, *, of_pass: float, of_position: float, fits: int = 1 << 30) -> None:
        self.name, self.fingerprint, self.now = "priced", "priced", 0.0
        self._of_pass, self._of_position, self._fits = of_pass, of_position, fits

    def length(self, request: Classify) -> int:
        return len(str(request.input))

    def classify(self, batch: Sequence[Classify]) -> list[Logits]:
        positions = len(batch) * max(map(self.length, batch))
        if positions > self._fits:
            raise RuntimeError("CUDA out of memory")
        self.now += self._of_pass + self._of_position * positions
        return [Logits((1.0, 0.0)) for _ in batch]


def _climbed(monkeypatch: pytest.MonkeyPatch, model: Priced, start: Budget) -> Budget:
    monkeypatch.setattr(tuning.time, "perf_counter", lambda: model.now)
    requests = [Classify(f"{number:0100d}") for number in range(1024)]
    best = start
    for trial in climb(model, INFO, requests, start):
        if trial.faster is not None and trial.faster >= WORTH:
            best = trial.budget
    return best


START = Budget(tokens=3200, rows=1 << 20, padding=100, pack=0)


def test_batches_grow_while_passes_cost(monkeypatch: pytest.MonkeyPatch) -> None:
    """Twice the batch saves (n / 2) passes of 1 s: of n = 128 it is 1.9 times faster, of 2 no more than 5 % are left."""
    found = _climbed(monkeypatch, Priced(of_pass=1.0, of_position=1e-4), START)
    cost = {tokens: 102_400 * 1e-4 + -(-1024 // (tokens // 100)) for tokens in (3200 << n for n in range(8))}
    expected = next(tokens for tokens in cost if cost[tokens] / cost.get(tokens * 2, cost[tokens]) < WORTH)
    assert found == replace(START, tokens=expected)
    assert expected > START.tokens


def test_batches_stay_where_positions_cost(monkeypatch: pytest.MonkeyPatch) -> None:
    assert _climbed(monkeypatch, Priced(of_pass=1e-6, of_position=1e-3), START) == START


def test_batches_end_below_what_does_not_fit(monkeypatch: pytest.MonkeyPatch) -> None:
    assert _climbed(monkeypatch, Priced(of_pass=1.0, of_position=0.0, fits=10_000), START).tokens == 6400


def test_batches_shrink_where_large_ones_are_slow(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of n texts a pass takes 0.64 + n² / 100 seconds: a text costs least at n = 8."""
    model = Priced(of_pass=0.64, of_position=0.0)
    plain = model.classify

    def quadratic(batch: Sequence[Classify]) -> list[Logits]:
        answers = plain(batch)
        model.now += len(batch) ** 2 / 100
        return answers

    monkeypatch.setattr(model, "classify", quadratic)
    assert _climbed(monkeypatch, model, START).tokens == 800


def test_the_work_is_the_tasks_own(tmp_path: Path) -> None:
    plan = planned(tmp_path)
    ((model, tuned),) = tune(plan, lambda _: START, lambda m: m.source.load("cpu", "float32"))
    assert (tuned.model, tuned.start, model.name) == ("words", START, "slow")
    assert tuned.num_requests == 12
    assert {trial.budget for trial in tuned.trials} >= {replace(START, tokens=6400)}


# ── kept ──────────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_budget_is_kept_by_model(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("WINDTUNNEL_CACHE", str(tmp_path / "new"))
    one, other = Priced(of_pass=0, of_position=0), Priced(of_pass=0, of_position=0)
    other.fingerprint = "other"
    assert load_saved_budget(one) is None
    assert save_budget(one, START) == tmp_path / "new" / "budgets.json" == find_budgets_file()
    save_budget(other, Budget(1, 2, 3, 4))
    assert (load_saved_budget(one), load_saved_budget(other)) == (START, Budget(1, 2, 3, 4))
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["budgets.json"]


@pytest.mark.parametrize("text", ["{", "[]", '{"a": {"tokens": 1, "more": 2}}', '{"a": 3}'])
def test_a_broken_file_names_the_remedy(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, text: str) -> None:
    monkeypatch.setenv("WINDTUNNEL_CACHE", str(tmp_path))
    find_budgets_file().write_text(text)
    with pytest.raises(StoreError, match="remove it, and measure again with 'windtunnel tune'"):
        load_saved_budget(Priced(of_pass=0, of_position=0))


def test_a_run_takes_what_was_kept_and_goes_on_with_it(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """What was measured in between is for new runs: one that is resumed packs as it began."""
    monkeypatch.setenv("WINDTUNNEL_CACHE", str(tmp_path / "kept"))
    plan = planned(tmp_path)
    adapter: Any = plan.models[0].source.load("cpu", "float32")
    save_budget(adapter, START)
    assert choose_budget(plan.suite, adapter) == START
    narrow = plan.suite.model_copy(update={"batch": plan.suite.batch.model_copy(update={"rows": 3})})
    assert choose_budget(narrow, adapter) == replace(START, rows=3)
    budgets = []

    class Noted(model_run.Engine):
        def __init__(self, *args: Any, **options: Any) -> None:
            super().__init__(*args, **options)
            budgets.append(self.budget)

    monkeypatch.setattr(model_run, "Engine", Noted)
    with pytest.raises(IncompleteRun):
        run_plan(plan, tmp_path / "run", should_stop=lambda: True)
    save_budget(adapter, Budget(7, 7, 7, 7))
    run_plan(plan, tmp_path / "run")
    run_plan(plan, tmp_path / "another")
    assert budgets == [START, START, Budget(7, 7, 7, 7)]
    with opened(tmp_path / "run") as store:
        assert all(item.facts["budget"] == asdict(START) for item in store.items())


def test_the_verb_says_what_it_found_and_keeps_it(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("WINDTUNNEL_CACHE", str(tmp_path / "kept"))
    answer = windtunnel("tune", write_suite(tmp_path))
    assert answer.code == 0, answer.err
    assert "words: 12 requests" in answer.out
    assert f"saved in {tmp_path / 'kept' / 'budgets.json'}" in answer.out
    (budget,) = json.loads((tmp_path / "kept" / "budgets.json").read_text()).values()
    assert set(budget) == set(asdict(START))
