"""Words that carry predictions: planted ones are found, and what the accuracy is without them."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from windtunnel.harness.api.requests import Classify
from windtunnel.harness.api.responses import Logits
from windtunnel.harness.api.samples import Record, Sample, SampleRng
from windtunnel.harness.api.task import Task
from windtunnel.harness.engine import Engine
from windtunnel.harness.items.probe.records import make_probe_records
from windtunnel.harness.items.reliance.answer_classes import Labels
from windtunnel.harness.items.reliance.records import LEAST_SAMPLES, NUM_WORDS, Carriers, find_carriers, make_reliance_records, sum_by_word
from windtunnel.harness.modalities.text import TextPair
from windtunnel.harness.modalities.words import word_spans
from windtunnel.harness.models.python.toy import Words
from windtunnel.probes.feature_ablation import FeatureAblation
from windtunnel.tests.toys import planned, records_of, row, run

LABELS = ("negative", "positive")
FILLER = ("the", "film", "was", "shown", "at", "noon", "and", "we", "left", "early", "again", "today")
RNG = SampleRng(3)


class Reads(Words):
    """`toy:words` that has learned a word besides: whatever it says, 3 for ``label``."""

    fingerprint = "reads"

    def __init__(self, planted: str, label: int) -> None:
        self.planted, self.label = planted, label

    def classify(self, batch: Sequence[Classify]) -> list[Logits]:
        sign = (-1.0, 1.0)[self.label]
        return [
            Logits((-s, s))
            for s in (self.balance(t) + 3 * sign * (self.planted in t.lower().split()) for t in (str(r.input) for r in batch))
        ]


class Sentiment(Task):
    """The task's side: whether the model says what the label says."""

    primary, requires = "correct", frozenset({"classify", "text"})

    def requests(self, sample: Sample) -> list[Classify]:
        return [Classify(sample.input, sample.labels)]

    def score(self, sample: Sample, responses: Sequence[Logits]) -> dict[str, float]:
        return {"correct": float(int(np.argmax(responses[0].values)) == sample.target)}

    def predict(self, sample: Sample, responses: Sequence[Logits]) -> dict[str, int]:
        return {"prediction": int(np.argmax(responses[0].values))}


def sentences(planted: str, seed: int, num: int = 60) -> list[Sample]:
    """Sentences with one word of the sample's own class each; a third have the planted word, whatever their class."""
    draws = np.random.default_rng(seed)
    samples = []
    for i in range(num):
        label = i % 2
        words = [*draws.choice(FILLER, 5), ("awful", "great")[label] if i % 4 < 2 else ("sad", "lovely")[label]]
        words += [planted.capitalize() if i % 2 else planted] if i % 3 == 0 else []
        samples.append(Sample(f"s{i}", " ".join(draws.permutation(words)), label, LABELS))
    return samples


def relied(model: Words, samples: Sequence[Sample]) -> tuple[Carriers, dict[str, Record]]:
    engine = Engine(model, Words.info)
    explained = {r.sample_id: r for r in make_probe_records(engine, "p(t)", FeatureAblation(), RNG, samples, ())}
    found = find_carriers(Labels(), ((s, explained[s.id], None) for s in samples))
    records = make_reliance_records(engine, "r", Sentiment(), RNG, samples, explained, {}, Labels(), found)
    return found, {r.sample_id: r for r in records}


class TestPlanted:
    @settings(max_examples=10, deadline=None)
    @given(st.text("qxzvj", min_size=4, max_size=8), st.sampled_from([0, 1]), st.integers(0, 1000))
    def test_it_is_found_whatever_it_is(self, planted: str, label: int, seed: int) -> None:
        samples = sentences(planted, seed)
        found, records = relied(Reads(planted, label), samples)
        assert planted in found[LABELS[label]]
        assert planted not in found[LABELS[1 - label]]
        assert not {word for own in found.values() for word in own} & set(FILLER)
        name = f"{LABELS[label]}: {planted}"
        over = [r.artifacts["overpredicted"][name] for r in records.values() if name in r.artifacts.get("overpredicted", {})]
        assert len(over) == 20
        assert np.mean(over) == 0.5, "the other class's half of them, and no label says so"

    def test_accuracy_without_it(self) -> None:
        samples = sentences("zebra", 0)
        found, records = relied(Reads("zebra", 1), samples)
        assert {label: set(words) for label, words in found.items()} == {
            "negative": {"awful", "sad"}, "positive": {"zebra", "great", "lovely"},
        }  # fmt: skip
        for sample in samples:
            scores, text = records[sample.id].scores, str(sample.input).lower()
            assert scores["correct"] == (sample.target == 1 or "zebra" not in text)
            # Without any word that counts the logits are equal, and the first class is said.
            assert scores["correct_without_carriers"] == (sample.target == 0)
            assert scores["changed_without_carriers"] == (sample.target == 1 or "zebra" in text)
        mean = {name: np.mean([r.scores[name] for r in records.values()]) for name in records["s0"].scores}  # type: ignore[arg-type]
        assert mean["changed_without_carriers"] == pytest.approx(4 / 6)
        assert mean["changed_without_random"] == 0, "only words that carry nothing are cut out"

    def test_a_model_that_learned_none_relies_on_none(self) -> None:
        found, records = relied(Words(), sentences("zebra", 1))
        assert not [words for words in found.values() if "zebra" in words]
        assert not any(v for r in records.values() for v in r.artifacts["overpredicted"].values())


class TestCarriers:
    def test_as_a_plain_loop_has_them(self) -> None:
        samples = sentences("zebra", 2)
        engine = Engine(Reads("zebra", 0), Words.info)
        records = {r.sample_id: r for r in make_probe_records(engine, "p(t)", FeatureAblation(), RNG, samples, ())}
        seen: dict[tuple[int, str], list[float]] = {}
        for sample in samples:
            kept, text = records[sample.id].artifacts["attribution"], str(sample.input)
            for word in set(text.lower().split()):
                parts = [v for v, (a, b) in zip(kept["values"], kept["spans"], strict=True) if text[a:b].lower() == word]
                size = sum(abs(v) for v in kept["values"])
                seen.setdefault((kept["target"], word), []).append(sum(parts) / size if size else 0.0)
        for label, words in find_carriers(Labels(), ((s, records[s.id], None) for s in samples)).items():
            strong = {w: np.mean(v) for (c, w), v in seen.items() if LABELS[c] == label and len(v) >= LEAST_SAMPLES and np.mean(v) > 0}
            assert list(words) == sorted(strong, key=lambda w: (-strong[w], w))[:NUM_WORDS]

    def test_no_sample_weighs_more_than_another(self) -> None:
        """A saturated model's gradients are small where it is sure: there the planted word is first, by little."""
        explained = []
        for i in range(2 * LEAST_SAMPLES):
            sample = Sample(str(i), "zebra here" if i % 2 else "other there", 1, LABELS)
            values = np.array([0.003, 0.001]) if i % 2 else np.array([30.0, 20.0])
            kept = {"values": values, "spans": word_spans(str(sample.input)), "target": 1}
            explained.append((sample, Record(str(i), "p", {}, artifacts={"attribution": kept}), None))
        assert find_carriers(Labels(), explained) == {"positive": ["zebra", "other", "there", "here"]}

    def test_rare_words_carry_nothing(self) -> None:
        samples = [Sample(str(i), "great start" if i < LEAST_SAMPLES - 1 else "lovely end", 1, LABELS) for i in range(2 * LEAST_SAMPLES)]
        found, records = relied(Words(), samples)
        assert found == {"positive": ["lovely"]}
        assert records["0"].scores == {}
        assert "none of its words" in records["0"].artifacts["note"]

    def test_words_of_a_pair_and_none(self) -> None:
        pair = Sample("p", TextPair("a good film", "Good"), 1, LABELS)
        kept = {"values": np.array([1.0, 2.0, -1.0, 4.0]), "spans": ((0, 1), (2, 6), (7, 11), (12, 16)), "target": 1}
        assert sum_by_word(pair, Record("p", "p", {}, artifacts={"attribution": kept})) == {"a": 1 / 8, "good": 6 / 8, "film": -1 / 8}
        assert sum_by_word(pair, Record("p", "p", {}, "no answer")) == {}
        zero = {"values": np.zeros(2), "spans": word_spans("a b"), "target": 0}
        assert sum_by_word(Sample("z", "a b"), Record("z", "p", {}, artifacts={"attribution": zero})) == {"a": 0, "b": 0}


def test_rows_of_a_run(tmp_path: Path) -> None:
    rows = [(f"r{i}", f"a {('bad', 'good')[i % 2]} note number {i}", i % 2 if i % 5 else 0) for i in range(30)]
    (tmp_path / "rows.json").write_text(json.dumps(rows))
    keys = {"tasks": [{"task": "notes", "rows": str(tmp_path / "rows.json")}], "probes": ["feature_ablation"]}
    card, item = run(tmp_path, chunk=7, **keys), "word_reliance(feature_ablation(notes))"
    assert [i.item for i in planned(tmp_path, **keys).items if i.kind.name == "reliance"] == [item]
    assert not [i for i in planned(tmp_path, probes=[{"probe": "by_length", "scores": ["erasure"]}]).items if i.kind.name == "reliance"]
    carried = [r for r in card.rows if r.item == item and r.name.startswith("carried")]
    assert [(r.name, r.estimate.value, r.estimate.n) for r in carried] == [
        ("carried[negative: bad]", pytest.approx(1), 15), ("carried[positive: good]", pytest.approx(1), 15),
    ]  # fmt: skip
    assert row(card, item, "overpredicted[positive: good]").estimate.value == pytest.approx(3 / 15)
    assert row(card, item, "overpredicted[negative: bad]").estimate.value == 0
    accuracy = row(card, item, "accuracy").estimate
    assert (accuracy.value, accuracy.n) == (pytest.approx(27 / 30), 30)
    assert accuracy.low is not None
    assert row(card, item, "changed_without_carriers").estimate.value == pytest.approx(0.5)
    assert records_of(tmp_path / "run")[f"words/{item}"][4].artifacts["carried"] == {"negative: bad": 1.0}
