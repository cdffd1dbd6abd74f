"""Samples to look at: joined by id, shared between tasks, hostile text untouched."""

from __future__ import annotations

import base64
import io
import wave
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from windtunnel.harness.api.item_key import ItemKey
from windtunnel.harness.api.samples import Record, Sample
from windtunnel.harness.api.scorecard import BaselineAnswer, EachWord, Opinion, SampleView
from windtunnel.harness.items.base import view
from windtunnel.harness.items.kinds import KINDS
from windtunnel.harness.modalities.audio import Audio
from windtunnel.harness.modalities.chat import Chat, Message
from windtunnel.harness.modalities.image import Image
from windtunnel.harness.modalities.inputs import Input
from windtunnel.harness.modalities.text import TextPair
from windtunnel.harness.modalities.words import word_spans
from windtunnel.harness.results.views import make_sample_views
from windtunnel.harness.store import ChunkTimes, Store, StoredItem

IG = ItemKey("probe", "t", "ig")
LABELS = ("negative", "positive")
HOSTILE = "</script><script>alert(1)</script> \ud800 \u202e \x00 {{7*7}} ${x}"


class Made:
    """A store filled by hand."""

    def __init__(self, folder: Path) -> None:
        self.store = Store.create(folder / "run.db", name="r", suite="{}", version="0")

    def add(
        self, kind: str, program: str, task: str, samples: Sequence[Sample], records: Sequence[Record], model: str = "m",
        about: Sequence[ItemKey] = (),
    ) -> None:  # fmt: skip
        key = ItemKey(kind, task, program, about=tuple(about))
        stored = StoredItem(0, model, key, len(samples), "f", "d", "p", 0, {"primary": "correct", "chunk": 64})
        stored = self.store.add_item(stored, samples)
        self.store.add_chunk(stored, 0, 0, records, counters={}, times=ChunkTimes(), answers={})

    def views(self) -> list[SampleView]:
        return list(make_sample_views(self.store, self.store.items(), {kind.name: kind for kind in KINDS}))


@pytest.fixture
def made(tmp_path: Path) -> Any:
    found = Made(tmp_path)
    yield found
    found.store.close()


def texts(num: int, task: str = "t") -> list[Sample]:
    return [Sample(f"{task}:{i}", f"text {i}", i % 2, LABELS) for i in range(num)]


def answers(samples: Sequence[Sample], item: str = "t", **artifacts: Any) -> list[Record]:
    return [Record(s.id, item, {"correct": 1.0}, artifacts={"prediction": 1, "probabilities": (0.25, 0.75), **artifacts}) for s in samples]


def heat(sample: Sample, values: np.ndarray, spans: Any = ()) -> Record:
    return Record(
        sample.id,
        "ig(t)",
        {"comprehensiveness": 0.5},
        artifacts={"attribution": {"values": values, "spans": spans, "target": 1, "parts": "words" if spans else "pixels"}},
    )


class TestJoin:
    def test_by_id_whatever_the_order(self, made: Made) -> None:
        samples = texts(4)
        made.add("task", "", "t", samples, answers(samples))
        twins = [
            Record("t:2", "a(t)", {"clean_correct": 1.0, "success": 1.0, "words_changed": 2.0}, artifacts={"twin": "two", "prediction": 0}),
            Record("t:1", "a(t)", {"success": None}, artifacts={"note": "already wrong"}),
        ]
        made.add("attack", "a", "t", samples, twins)
        made.add("probe", "ig", "t", samples, [heat(samples[2], np.array([1.0, -4.0]), ((0, 4), (5, 6)))])
        views = {v.id: v for v in made.views()}
        assert list(views) == ["t:0", "t:1", "t:2", "t:3"], "in the order of the data"
        (twin,) = views["t:2"].twins
        assert (twin.attack, twin.prediction, twin.success, dict(twin.facts)) == ("a", "negative", True, {"words_changed": 2.0})
        assert twin.input is not None
        assert twin.input.text == "two"
        (unattacked,) = views["t:1"].twins
        assert (unattacked.input, unattacked.success, unattacked.note) == (None, None, "already wrong")
        (shown,) = views["t:2"].heats
        assert (shown.probe, shown.target, shown.values, shown.spans) == ("ig", "positive", (0.25, -1.0), ((0, 4), (5, 6)))
        assert not views["t:0"].twins + views["t:0"].heats
        view = views["t:2"]
        assert (view.target, view.prediction, view.correct) == ("negative", "positive", True)
        assert view.probabilities == {"negative": 0.25, "positive": 0.75}

    def test_the_twins_attributions_and_slices(self, made: Made) -> None:
        samples = texts(2)
        made.add("task", "", "t", samples, answers(samples))
        made.add("attack", "a", "t", samples, [Record("t:0", "a(t)", {"success": 1.0}, artifacts={"twin": "new 0", "prediction": 0})])
        made.add("probe", "ig", "t", samples, [heat(s, np.array([1.0, -4.0]), ((0, 4), (5, 6))) for s in samples])
        made.add("probe", "occ", "t", samples, [heat(samples[0], np.array([1.0, 1.0]), ((0, 4), (5, 6)))])
        name = "explanation_shift(ig(t), a(t))"
        found = {"values": np.array([0.5, 0.25]), "spans": ((0, 3), (4, 5)), "target": 1, "parts": "words"}
        shift = Record(
            "t:0", name, {"flipped": 1.0, "rank_correlation": 0.9},
            artifacts={"attribution": found, "attribution_of_prediction": {**found, "target": 0}, "prediction": 0},
        )  # fmt: skip
        nothing = Record("t:1", name, {}, artifacts={"note": "the attack has no twin"})
        made.add("shift", "explanation_shift", "t", samples, [shift, nothing], about=[IG, ItemKey("attack", "t", "a")])
        views = {v.id: v for v in made.views()}
        moved, other = views["t:0"].heats
        assert [(attack, h.target, h.values, h.spans) for attack, h in moved.twins] == [
            ("a", "positive", (1.0, 0.5), ((0, 3), (4, 5))), ("a", "negative", (1.0, 0.5), ((0, 3), (4, 5))),
        ]  # fmt: skip
        assert [dict(h.scores) for _, h in moved.twins] == [{"rank_correlation": 0.9}, {}]
        assert (other.twins, views["t:1"].heats[0].twins) == ((), ())
        assert (moved.slices, other.slices) == ({"flipped_explanation_unmoved": True}, {}), "each probe has its own"
        assert views["t:1"].heats[0].slices == {}

    def test_the_words_of_an_answer(self, made: Made) -> None:
        """A row a word, each scaled by its own largest value; a text that is cut takes the columns of its hidden parts with it."""
        long = "word " * 5000
        samples = [Sample("t:0", "a key", "x"), Sample("t:1", long, "x")]
        made.add("task", "", "t", samples, answers(samples))
        parts = [((0, 1), (2, 5)), word_spans(long)]
        records = []
        for sample, spans in zip(samples, parts, strict=True):
            values = np.zeros((2, len(spans) + 2), np.float32)
            values[0, 1], values[1, 0], values[1, len(spans)] = -2, 1, 4
            kept = {"each_word": {"values": values, "spans": ((1, 4), (5, 8))}, "continuation": " two key"}
            found = heat(sample, np.ones(len(spans)), spans)
            records.append(replace(found, artifacts={**found.artifacts, **kept}))
        made.add("probe", "p", "t", samples, records)
        views = {v.id: v for v in made.views()}
        first, second = (views[key].heats[0].each_word for key in ("t:0", "t:1"))
        assert first == EachWord(" two key", ((1, 4), (5, 8)), ((0.0, -1.0, 0.0, 0.0), (0.25, 0.0, 1.0, 0.0)))
        assert second is not None
        assert {len(row) for row in second.values} == {len(views["t:1"].heats[0].values) + 2}
        assert second.values[1][-2:] == (1.0, 0.0)

    def test_with_several_attacks_a_sample_is_in_a_slice_by_any(self, made: Made) -> None:
        (sample,) = samples = texts(1)
        made.add("task", "", "t", samples, [Record("t:0", "t", {"correct": 0.0}, artifacts={"prediction": 1})])
        scores = {"comprehensiveness": 0.1, "comprehensiveness_random": 0.2}
        made.add("probe", "ig", "t", samples, [replace(heat(sample, np.array([1.0, -4.0]), ((0, 4), (5, 6))), scores=scores)])
        for attack, alike in (("a", 0.2), ("b", 0.9), ("c", 0.3)):
            name = f"explanation_shift(ig(t), {attack}(t))"
            record = Record("t:0", name, {"flipped": 1.0, "rank_correlation": alike})
            made.add("shift", "explanation_shift", "t", samples, [record], about=[IG, ItemKey("attack", "t", attack)])
        (view,) = made.views()
        assert view.heats[0].slices == {"wrong_and_unfaithful": True, "flipped_explanation_unmoved": True}

    def test_models_do_not_mix(self, made: Made) -> None:
        samples = texts(1)
        for model in ("m", "n"):
            made.add("task", "", "t", samples, answers(samples), model)
        made.add("attack", "a", "t", samples, [Record("t:0", "a(t)", {}, artifacts={"twin": "x"})], "n")
        assert [(v.model, len(v.twins)) for v in made.views()] == [("m", 0), ("n", 1)]

    def test_the_first_models_answer_stands_beside_those_of_the_others(self, made: Made) -> None:
        samples = texts(3)
        said = [
            Record("t:2", "t", {"correct": 0.0}, artifacts={"prediction": "no", "output": "so no"}),
            Record("t:0", "t", {}, "it broke"),
        ]  # fmt: skip
        made.add("task", "", "t", samples, said, "first")
        made.add("task", "", "u", texts(1, "u"), answers(texts(1, "u")), "second")
        made.add("task", "", "t", samples[::-1], answers(samples), "second")
        found = {(view.model, view.id): view.baseline for view in made.views()}
        assert found == {
            ("first", "t:0"): None, ("first", "t:2"): None, ("second", "u:0"): None, ("second", "t:1"): None,
            ("second", "t:0"): BaselineAnswer("first", None, None, error="it broke"),
            ("second", "t:2"): BaselineAnswer("first", "no", False, "so no"),
        }  # fmt: skip

    def test_a_sample_without_a_record_is_left_out(self, made: Made) -> None:
        samples = texts(3)
        made.add("task", "", "t", samples, answers(samples[:2]))
        assert [v.id for v in made.views()] == ["t:0", "t:1"]

    def test_errors(self, made: Made) -> None:
        samples = texts(1)
        made.add("task", "", "t", samples, [Record("t:0", "t", {}, "it broke")])
        made.add("probe", "ig", "t", samples, [Record("t:0", "ig(t)", {}, "no part")])
        (view,) = made.views()
        assert (view.error, view.correct, view.prediction) == ("it broke", None, None)
        assert view.heats[0].error == "no part"


class TestAll:
    def test_of_every_task_and_model(self, made: Made) -> None:
        for model, task in (("m", "a"), ("m", "b"), ("n", "a")):
            made.add("task", "", task, texts(5, task), answers(texts(5, task), task), model)
        expected = [(m, f"{t}:{i}") for m, t in (("m", "a"), ("m", "b"), ("n", "a")) for i in range(5)]
        assert [(v.model, v.id) for v in made.views()] == expected

    def test_one_record_of_each_item_at_a_time(self, made: Made, monkeypatch: pytest.MonkeyPatch) -> None:
        samples = texts(50)
        made.add("task", "", "t", samples, answers(samples))
        made.add("attack", "a", "t", samples, [Record(s.id, "a(t)", {}, artifacts={"twin": "x"}) for s in reversed(samples)])
        read: list[str] = []
        decode = Store._decode_record

        def noted(self: Store, *values: Any) -> Record:
            record = decode(self, *values)
            read.append(record.sample_id)
            return record

        monkeypatch.setattr(Store, "_decode_record", noted)
        views = make_sample_views(made.store, made.store.items(), {kind.name: kind for kind in KINDS})
        first = next(views)
        assert (first.id, len(first.twins), read) == ("t:0", 1, ["t:0", "t:0"])
        assert [len(view.twins) for view in views] == [1] * 49


class TestAnswered:
    def test_what_judges_say_and_why(self, made: Made) -> None:
        artifacts = {
            "output": "I cannot.", "harmful_by": {"model": None, "phrases": 0.0}, "harmful_grade_by": {"phrases": 0.25},
            "harmful_codes_by": {"phrases": ["S1", "S2"]}, "unscored": "model: no verdict in 'maybe'", "refused_by": {"phrases": 0.0},
            "neither_by": {"phrases": 1.0}, "human": 1.0, "cut_at_tokens": 32, "slice": "harmful",
        }  # fmt: skip
        sample = Sample("t:0", "a", group="g", metadata={"category": "fraud"})
        made.add("task", "", "t", [sample], [Record("t:0", "t", {}, artifacts=artifacts)])
        (view,) = made.views()
        assert view.opinions == (
            Opinion("refused", "phrases", False, "neither refused nor answered"),
            Opinion("harmful", "model", None, "model: no verdict in 'maybe'"),
            Opinion("harmful", "phrases", False, "grade 0.25; S1, S2"), Opinion("", "human", True),
        )  # fmt: skip
        assert (view.prediction, view.output, view.num_tokens) == ("I cannot.", None, 32)
        assert (view.slice, view.group, view.category) == ("harmful", "g", "fraud")

    def test_an_answer_that_is_read_out_of_the_output_leaves_the_output(self, made: Made) -> None:
        (sample,) = samples = texts(1)
        made.add("task", "", "t", samples, [Record(sample.id, "t", {}, artifacts={"prediction": "7", "output": "so it is 7"})])
        (view,) = made.views()
        assert (view.prediction, view.output) == ("7", "so it is 7")

    def test_reasoning_tool_calls_and_refusals(self, made: Made) -> None:
        deep = "[" * 100_000
        calls = ['{"name": "add", "arguments": "{\\"a\\": 1}"}', '{"name": "look", "arguments": {"at": "é"}}', '{"custom": 1}', deep, 7]
        artifacts = {"output": "", "reasoning": HOSTILE, "tool_calls": calls, "is_refused_by_provider": True}
        forged = {"output": "", "tool_calls": {"name": 1}, "is_refused_by_provider": "no", "reasoning": 7}
        samples = texts(2)
        records = [Record(s.id, "t", {}, artifacts=own) for s, own in zip(samples, (artifacts, forged), strict=True)]
        made.add("task", "", "t", samples, records)
        view, other = made.views()
        assert (view.reasoning, view.is_refused_by_provider) == (HOSTILE, True)
        assert view.tool_calls[:3] == (("add", '{"a": 1}'), ("look", '{"at": "é"}'), ("", '{"custom": 1}'))
        assert [name for name, _ in view.tool_calls[3:]] == ["", ""]
        assert (other.reasoning, other.tool_calls, other.is_refused_by_provider) == ("7", (), False)


class TestShown:
    def one(self, made: Made, value: Input, **artifacts: Any) -> SampleView:
        sample = Sample("t:0", value, 0, LABELS)
        made.add("task", "", "t", [sample], answers([sample], **artifacts))
        (view,) = made.views()
        return view

    def test_hostile_text_is_kept_as_it_is(self, made: Made) -> None:
        assert self.one(made, HOSTILE).input.text == HOSTILE

    @pytest.mark.parametrize(
        ("value", "kind", "parts"),
        [
            (TextPair("p", HOSTILE), "pair", (("first", "p"), ("second", HOSTILE))),
            (Chat((Message("user", HOSTILE),)), "chat", (("user", HOSTILE),)),
        ],
    )
    def test_parts(self, made: Made, value: Input, kind: str, parts: Any) -> None:
        shown = self.one(made, value).input
        assert (shown.kind, shown.parts) == (kind, parts)

    def test_audio(self, made: Made) -> None:
        shown = self.one(made, Audio(np.array([0, 0.5, -2] * 3000, np.float32), 18000)).input
        assert shown.text == "0.5 s at 18000 Hz"
        head, _, data = shown.audio.partition(",")
        assert head == "data:audio/wav;base64"
        with wave.open(io.BytesIO(base64.b64decode(data))) as file:
            assert (file.getframerate(), file.getnframes()) == (18000, 9000)
            assert np.frombuffer(file.readframes(3), "<i2").tolist() == [0, 16383, -32767]

    def test_a_long_sound_is_not_put_on_a_page(self, made: Made) -> None:
        assert self.one(made, Audio(np.zeros(31_000, np.float32), 1000)).input.audio == ""

    def test_a_long_text_is_cut_and_so_are_its_heats(self, made: Made) -> None:
        sample = Sample("t:0", "word " * 10_000, 0, LABELS)
        spans = tuple((5 * i, 5 * i + 4) for i in range(10_000))
        made.add("task", "", "t", [sample], answers([sample]))
        made.add("probe", "ig", "t", [sample], [heat(sample, np.linspace(0, 1, 10_000), spans)])
        (view,) = made.views()
        assert view.input.text.endswith("30,000 more characters are in the record]")
        (shown,) = view.heats
        assert len(shown.values) == len(shown.spans) == 4000
        assert shown.spans[-1][1] <= 20_000

    @pytest.mark.parametrize("values", [np.zeros(2), np.array([]), np.array([1e-8, -1e-8]), np.array([3e38, 1.0], np.float32)])
    def test_heats_are_scaled(self, made: Made, values: np.ndarray) -> None:
        sample = Sample("t:0", "a b", 0, LABELS)
        made.add("task", "", "t", [sample], answers([sample]))
        made.add("probe", "ig", "t", [sample], [heat(sample, values, ((0, 1), (2, 3))[: values.size])])
        (shown,) = made.views()[0].heats
        assert len(shown.values) == values.size
        assert max(map(abs, shown.values), default=0) == (1 if values.any() else 0)

    def test_a_heat_over_pixels(self, made: Made) -> None:
        sample = Sample("t:0", Image(np.zeros((2, 3, 1))), 0, LABELS)
        made.add("task", "", "t", [sample], answers([sample]))
        made.add("probe", "ig", "t", [sample], [heat(sample, np.arange(6, dtype=np.float16).reshape(2, 3))])
        (shown,) = made.views()[0].heats
        assert (shown.shape, shown.values, shown.spans) == ((2, 3), (0, 0.2, 0.4, 0.6, 0.8, 1), ())

    @pytest.mark.parametrize(
        ("labels", "artifacts", "names"),
        [
            (LABELS, {}, ["negative", "positive"]),
            (("x", "x"), {}, ["0: x", "1: x"]),
            ((), {"choices": ("yes", "no")}, ["yes", "no"]),
            ((), {}, ["0", "1"]),
            (("a", "b", "c"), {"choices": ("only",)}, ["0", "1"]),
        ],
    )
    def test_names_of_probabilities(self, made: Made, labels: tuple[str, ...], artifacts: Any, names: list[str]) -> None:
        sample = Sample("t:0", "a", 0, labels)
        made.add("task", "", "t", [sample], answers([sample], **artifacts))
        assert list(made.views()[0].probabilities) == names

    def test_of_a_thousand_classes_each_has_its_probability(self, made: Made) -> None:
        labels = tuple(f"class {i}" for i in range(1000))
        samples = [Sample("t:0", "a", 0, labels)]
        values = tuple(i / 499_500 for i in range(1000))
        made.add("task", "", "t", samples, answers(samples, probabilities=values))
        assert made.views()[0].probabilities == pytest.approx(dict(zip(labels, values, strict=True)))


@pytest.mark.parametrize(
    ("artifacts", "shown"),
    [
        ({"output": "I would rather not."}, "I would rather not."),
        ({"output": "so it is 7", "prediction": "7"}, "7"),
        ({"prediction": 1}, "positive"),
        ({}, None),
    ],
)
def test_what_the_model_wrote_is_shown_where_no_answer_is_read_out_of_it(artifacts: dict[str, Any], shown: str | None) -> None:
    assert view.answer(Record("s", "task", {}, artifacts=artifacts), ("negative", "positive")) == shown
