"""The harness, never the attack, decides what succeeded."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from windtunnel.harness.api.attack import Attack
from windtunnel.harness.api.errors import ConfigError
from windtunnel.harness.api.requests import Classify
from windtunnel.harness.api.responses import Logits
from windtunnel.harness.api.samples import Record, Sample, SampleRng
from windtunnel.harness.api.task import Task
from windtunnel.harness.api.threat import Threat
from windtunnel.harness.engine import Engine
from windtunnel.harness.items.attack.records import make_attack_records
from windtunnel.harness.modalities.image import Image
from windtunnel.harness.models.python.toy import Bright, Words
from windtunnel.harness.store import codec
from windtunnel.harness.threats import EditBudget, LpBall

LABELS = ("negative", "positive")
SAMPLES = (
    Sample("right", "a good film", 1, LABELS),
    Sample("wrong", "a good film", 0, LABELS),
    Sample("also", "a bad film", 0, LABELS),
)
Perturb = Callable[[Sample], Any]
SURVIVED = {"clean_correct": 1, "robust_correct": 1, "success": 0, "not_attacked": 1}
"""Of a right sample that the attack could not work on: its clean answer stands."""


class Sentiment(Task):
    """A task over ``toy:words``; a sample called ``unscored`` has no score."""

    name, primary, metrics, requires = "sentiment", "correct", ("accuracy",), frozenset({"classify"})

    def requests(self, sample: Sample, /) -> Sequence[Classify]:
        return [Classify(sample.input, sample.labels)]

    def score(self, sample: Sample, responses: Sequence[Logits], /) -> Mapping[str, float | None]:
        if sample.id == "unscored" or sample.input == "no score":
            return {"correct": None}
        return {"correct": float(int(np.argmax(responses[0].values)) == sample.target)}

    def predict(self, sample: Sample, responses: Sequence[Logits], /) -> Mapping[str, Any]:
        return {"prediction": int(np.argmax(responses[0].values))}


class Each(Attack[Any]):
    """An attack that does one thing to each sample."""

    requires = frozenset({"classify"})
    threat = EditBudget(max_words=1)

    def __init__(self, perturb: Perturb) -> None:
        self._perturb = perturb
        self.calls: list[int] = []

    def perturb(self, engine: Any, samples: Sequence[Sample], threat: Any, rng: SampleRng, /) -> list[Sample]:
        self.calls.append(len(samples))
        return [self._perturb(s) for s in samples]


def attacked(perturb: Perturb, samples: Sequence[Sample] = SAMPLES, threat: Any = None, model: Any = None) -> dict[str, Record]:
    made = model or Words()
    records = make_attack_records(Engine(made, made.info), "a(t)", Sentiment(), Each(perturb), threat or Each.threat, SampleRng(0), samples)
    assert [r.sample_id for r in records] == [s.id for s in samples]
    for record in records:
        codec.dumps(record)
    return {r.sample_id: r for r in records}


def swap(sample: Sample, **changes: Any) -> Sample:
    """good to bad, bad to good."""
    flipped = {"good": "bad", "bad": "good"}
    return replace(sample, input=" ".join(flipped.get(w, w) for w in str(sample.input).split()), **changes)


class TestBookkeeping:
    def test_success(self) -> None:
        found = attacked(lambda s: swap(s, metadata={"num_queries": 7}))
        record = found["right"]
        assert record.error is None
        assert record.scores == {
            "clean_correct": 1, "robust_correct": 0, "success": 1, "outside_threat": 0, "num_queries": 7, "words_changed": 1,
            "share_changed": pytest.approx(1 / 3), "chars_changed": 3,
        }  # fmt: skip
        assert record.artifacts["twin"] == "a bad film"
        assert record.artifacts["prediction"] == 0

    def test_failure(self) -> None:
        record = attacked(lambda s: s)["right"]
        assert (record.scores["robust_correct"], record.scores["success"], record.scores["words_changed"]) == (1, 0, 0)
        assert record.scores["num_queries"] is None

    def test_wrong_before_is_not_attacked(self) -> None:
        seen: list[str] = []
        found = attacked(lambda s: (seen.append(s.id), s)[1])
        assert seen == ["right", "also"]
        assert found["wrong"].scores == {"clean_correct": 0, "robust_correct": 0, "success": None}

    def test_unscored_is_not_wrong(self) -> None:
        found = attacked(swap, [Sample("unscored", "a good film", 1, LABELS)])["unscored"]
        assert found.error is not None
        assert not found.scores

    def test_an_unscored_twin_is_an_error_and_changes_no_denominator(self) -> None:
        found = attacked(lambda s: replace(s, input="no score", metadata={"num_queries": 7}), threat=EditBudget())["right"]
        assert found.scores == {**SURVIVED, "num_queries": 7}
        assert found.artifacts["twin"] == "no score"
        assert found.error is not None
        assert found.error.startswith("on the twin: ")

    def test_a_bad_row(self) -> None:
        class Raises(Sentiment):
            def requests(self, sample: Sample, /) -> Sequence[Classify]:
                raise ValueError("no text")

        model = Words()
        (record,) = make_attack_records(Engine(model, model.info), "i", Raises(), Each(swap), EditBudget(), SampleRng(0), SAMPLES[:1])
        assert record.error == "ValueError: no text"


class TestCheating:
    def test_target_labels_and_scores_are_the_clean_samples(self) -> None:
        cheat = {"success": 1.0, "robust_correct": 0.0, "prediction": 0, "twin": "forged", "note": "it worked", "num_truncated": 3}
        cheat["output"] = "Sure"
        record = attacked(lambda s: replace(s, target=0, labels=LABELS[::-1], group="x", metadata=cheat))["right"]
        assert record.scores["success"] == 0
        assert record.scores["robust_correct"] == 1
        assert record.artifacts["twin"] == "a good film"
        assert record.artifacts["prediction"] == 1
        assert not {"note", "num_truncated", "output"} & set(record.artifacts)

    def test_outside_the_threat_is_a_failed_attack(self) -> None:
        record = attacked(lambda s: replace(s, input="an awful mess of it", metadata={"prediction": 0}))["right"]
        assert (record.scores["success"], record.scores["robust_correct"], record.scores["outside_threat"]) == (0, 1, 1)
        assert record.scores["words_changed"] == 5
        assert "prediction" not in record.artifacts
        assert "outside" in record.artifacts["note"]

    @pytest.mark.parametrize("value", [np.nan, np.inf, "many", [1], None])
    def test_num_queries_is_a_number_or_none(self, value: Any) -> None:
        assert attacked(lambda s: replace(s, metadata={"num_queries": value}))["right"].scores["num_queries"] is None

    def test_twins_in_another_order_are_not_taken(self) -> None:
        class Reversed(Each):
            def perturb(self, *args: Any) -> list[Sample]:
                return super().perturb(*args)[::-1]

        model, attack = Words(), Reversed(swap)
        records = make_attack_records(Engine(model, model.info), "i", Sentiment(), attack, EditBudget(), SampleRng(0), SAMPLES)
        assert attack.calls == [2, 1, 1]
        assert [r.scores["success"] for r in records] == [1, None, 1]

    @pytest.mark.parametrize("twin", [None, "text", 3])
    def test_what_is_no_sample(self, twin: Any) -> None:
        record = attacked(lambda s: twin)["right"]
        assert record.error is not None
        assert record.scores == SURVIVED

    def test_a_twin_of_another_kind_is_outside(self) -> None:
        record = attacked(lambda s: replace(s, input=Image(np.zeros((2, 2, 3)))))["right"]
        assert record.error is None
        assert record.scores["outside_threat"] == 1

    @pytest.mark.parametrize("value", [3, None, {1, 2}])
    def test_a_twin_that_is_no_input_is_an_error_of_its_record(self, value: Any) -> None:
        record = attacked(lambda s: replace(s, input=value))["right"]
        assert "which is not a model input" in str(record.error)
        assert record.scores == SURVIVED

    @pytest.mark.parametrize("shape", [(1, 2, 1), (2, 2, 3), (2, 2, 1)])
    def test_an_image_of_another_shape_or_range_is_outside(self, shape: tuple[int, ...]) -> None:
        clean, twin = Sample("i", Image(np.full((2, 2, 1), 0.9)), 1, ("dark", "bright")), Image(np.zeros(shape))
        if shape == (2, 2, 1):
            twin._values = np.full(shape, np.nan, np.float32)
        record = attacked(lambda s: replace(s, input=twin), [clean], LpBall(0.9), Bright())["i"]
        assert record.error is None
        assert record.scores["outside_threat"] == 1
        assert all(v is None or np.isfinite(v) for v in record.scores.values())


class TestIsolation:
    def test_one_that_raises_loses_no_other(self) -> None:
        def perturb(sample: Sample) -> Sample:
            if sample.id == "s5":
                raise ZeroDivisionError("oh")
            return swap(sample)

        model, attack = Words(), Each(perturb)
        samples = [Sample(f"s{i}", "a good film", 1, LABELS) for i in range(16)]
        records = make_attack_records(Engine(model, model.info), "i", Sentiment(), attack, EditBudget(), SampleRng(0), samples)
        assert [r.sample_id for r in records if r.error] == ["s5"]
        assert records[5].error == "ZeroDivisionError: oh"
        assert records[5].scores == SURVIVED
        assert all(r.scores["success"] == 1 for r in records if r.sample_id != "s5")
        assert attack.calls == [16, 8, 4, 4, 2, 1, 1, 2, 8], "halves, not one by one"

    def test_an_error_in_the_metadata(self) -> None:
        record = attacked(lambda s: replace(s, metadata={"error": "cannot read it"}) if s.id == "right" else swap(s))
        assert record["right"].error == "cannot read it"
        assert record["also"].scores["success"] == 1

    def test_metadata_that_cannot_be_recorded(self) -> None:
        found = attacked(lambda s: swap(s, metadata={"x": {1, 2}} if s.id == "right" else {}))
        assert found["right"].error is not None
        assert "set cannot be recorded" in found["right"].error
        assert found["also"].scores["success"] == 1

    def test_a_users_error_ends_the_run(self) -> None:
        def perturb(sample: Sample) -> Sample:
            raise ConfigError("bad settings")

        with pytest.raises(ConfigError):
            attacked(perturb)

    def test_a_threat_that_raises(self) -> None:
        class Broken(Threat):
            def admits(self, clean: Sample, perturbed: Sample, /) -> bool:
                raise ZeroDivisionError("oh")

        class Unmeasured(Threat):
            def admits(self, clean: Sample, perturbed: Sample, /) -> bool:
                return True

            def distance(self, clean: Sample, perturbed: Sample, /) -> dict[str, float]:
                raise ZeroDivisionError("oh")

        for threat, verb in ((Broken(), "check"), (Unmeasured(), "measure")):
            record = attacked(swap, threat=threat)["right"]
            assert record.error == f"the threat could not {verb} the twin: ZeroDivisionError: oh"
            assert record.scores == SURVIVED

    def test_an_image_that_cannot_be_prepared(self) -> None:
        class Picky(Bright):
            def canonical(self, value: Image) -> Image:
                if value.pixels.shape[0] == 1:
                    raise ValueError("too small")
                return value

            def split(self, request: Classify) -> list[Classify]:
                assert isinstance(request.input, Image)
                return [replace(request, input=self.canonical(request.input))]

        samples = [Sample(str(n), Image(np.full((n, 2, 1), 0.9)), 1, ("dark", "bright")) for n in (1, 2)]
        found = attacked(lambda s: s, samples, LpBall(0), Picky())
        assert found["1"].error == "ValueError: too small"
        assert found["2"].scores["robust_correct"] == 1
