"""How far answers move with what else is asked: what measuring it may cost, and as a share of what."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from windtunnel.harness.api.model import ModelInfo
from windtunnel.harness.api.requests import Classify, LogLikelihood
from windtunnel.harness.api.responses import Embedding, Fillings, Logits, LogProb
from windtunnel.harness.api.samples import Record, Sample
from windtunnel.harness.api.task import Task
from windtunnel.harness.engine import Engine
from windtunnel.harness.items.drift.records import make_drift_records
from windtunnel.harness.items.task.records import make_task_records
from windtunnel.harness.scorecard.names import DRIFT_TOLERANCE
from windtunnel.harness.store import FILE_NAME, Store
from windtunnel.tests.toys import row, run

_LABELS = ("a", "b", "c")


class Scaled:
    """Logits of a text's length times ``scale``, as float32 has them; ``moves``: what a batch of so many adds, in units of the scale."""

    name = fingerprint = "scaled"

    def __init__(self, scale: float, moves: Callable[[int], float] = lambda rows: 0.0) -> None:
        self.scale, self.moves, self.asked = scale, moves, 0

    def length(self, unit: Classify) -> int:
        return len(str(unit.input))

    def classify(self, batch: Sequence[Classify]) -> list[Logits]:
        self.asked += len(batch)
        sums = [np.float32(self.scale) * np.float32(len(str(r.input)) + self.moves(len(batch))) for r in batch]
        # One unit in the last place more in company than alone.
        rounded = [float(np.nextafter(s, np.float32(np.inf)) if len(batch) > 1 else s) for s in sums]
        return [Logits((s, 0.0, -s)) for s in rounded]


class Lengths(Task):
    name, metrics, primary, labels = "lengths", ("accuracy",), "correct", _LABELS
    requires = frozenset({"classify", "text"})

    def requests(self, sample: Sample, /) -> list[Classify]:
        return [Classify(str(sample.input), _LABELS)]

    def score(self, sample: Sample, responses: Sequence[Any], /) -> dict[str, float]:
        return {"correct": 1.0}


def measured(model: Any, num: int = 8, most_tokens: float = 1e9) -> tuple[list[Record], Engine]:
    engine = Engine(model, ModelInfo({"classify": {"text"}}))
    samples = [Sample(str(i), "x" * (i + 1)) for i in range(num)]
    make_task_records(engine, "lengths", Lengths(), samples)
    engine.counters.take()
    return make_drift_records(engine, "drift", Lengths(), samples, most_tokens), engine


@pytest.mark.parametrize("scale", [1e-4, 1.0, 1e3, 1e6])
def test_rounding_is_no_drift_whatever_the_unit(scale: float) -> None:
    records, _ = measured(Scaled(scale))
    gaps = [r.scores["batch_drift"] or 0.0 for r in records]
    assert 0 < max(gaps) < 1e-6
    assert max(r.scores["repeat_drift"] or 0.0 for r in records) < DRIFT_TOLERANCE


@pytest.mark.parametrize("scale", [1e-4, 1.0, 1e3, 1e6])
def test_a_model_that_mixes_its_batch_is_told_from_a_random_one(scale: float) -> None:
    mixing, _ = measured(Scaled(scale, lambda rows: 0.1 * rows))
    assert all((r.scores["batch_drift"] or 0) > 0.05 and r.scores["repeat_drift"] == 0 for r in mixing)
    draw = random.Random(0)
    noisy, _ = measured(Scaled(scale, lambda rows: draw.random()))
    assert all((r.scores["batch_drift"] or 0) > 1e-3 for r in noisy)
    assert max(r.scores["repeat_drift"] or 0 for r in noisy) > 1e-2


def test_as_many_are_asked_as_the_tokens_allow_cheapest_first() -> None:
    model = Scaled(1.0)
    for most, wanted in ((0, 0), (0.9, 0), (1, 1), (5.9, 2), (6, 3), (36, 8)):
        model.asked = 0
        records, engine = measured(model, most_tokens=most)
        assert [bool(r.scores) for r in records] == [True] * wanted + [False] * (8 - wanted)
        assert engine.counters.tokens_computed <= most
        assert model.asked == 8 + wanted
        assert all("more than 5% of the task's tokens" in r.artifacts["unscored"] for r in records[wanted:])


def test_what_was_not_answered_is_not_asked_again() -> None:
    engine = Engine(Scaled(1.0), ModelInfo({"classify": {"text"}}))
    (record,) = make_drift_records(engine, "drift", Lengths(), [Sample("0", "x")], 100)
    assert record.artifacts["unscored"] == "there is no answer to compare with"
    assert engine.counters.tokens_computed == 0


@pytest.mark.parametrize(
    ("answer", "spread"),
    [
        (Logits((3.0, 1.0)), 1.0), (Logits((5.0,)), 5.0), (Embedding((0.0, 0.0)), 0.0), (LogProb(-8.0, 4), 4.0), (LogProb(-0.1, 4), 2.0),
        (Fillings((("a", "b"),), ((-1.0, -3.0),)), 1.0),
    ],
)  # fmt: skip
def test_the_scale_of_an_answer(answer: Any, spread: float) -> None:
    assert answer.spread() == pytest.approx(spread)


@pytest.mark.parametrize("num", [3, 20, 100])
def test_a_run_spends_a_twentieth_of_its_tasks_tokens(tmp_path: Path, num: int) -> None:
    card = run(tmp_path, models=["toy:words"], tasks=[{"task": "notes", "num": num}])
    store = Store.open(tmp_path / "run" / FILE_NAME, readonly=True)
    task, drift = (store.counters(item)["tokens_computed"] for item in store.items())
    store.close()
    assert drift <= 0.05 * task
    found = row(card, "batch_invariance(notes)", "max_batch_drift").estimate
    assert (found.value is not None) == (num >= 20)
    assert num >= 20 or "more than 5% of the task's tokens" in str(found.reason)


def test_a_setting_turns_it_off(tmp_path: Path) -> None:
    card = run(tmp_path, models=["toy:words"], tasks=["notes"], check_drift=False)
    assert {r.item for r in card.rows} == {"notes"}


def test_several_likelihoods_are_in_the_samples(tmp_path: Path) -> None:
    from windtunnel.harness.results.frames import Run

    (tmp_path / "rows.jsonl").write_text('{"q": "a", "options": ["bb", "c"], "t": 1}\n')
    task = "family: multiple_choice\ntitle: T\ndata: {files: rows.jsonl}\ncontext: q\nchoices: options\ntarget: t\n"
    (tmp_path / "t.yaml").write_text(task)
    run(tmp_path, models=["toy:bytes"], tasks=[str(tmp_path / "t.yaml")])
    (found,) = Run.load(tmp_path / "run").samples().query("kind == 'task'")["loglikelihoods"]
    assert found == pytest.approx([-3 * np.log(256), -2 * np.log(256)])
    assert LogLikelihood("a", "bb", " ").written() == " bb"
