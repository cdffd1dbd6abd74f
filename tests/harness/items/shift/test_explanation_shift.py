"""How far an explanation moves under attack: against a plain computation, with words matched as a person would."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import spearmanr
from windtunnel.harness.api.probe import Probe
from windtunnel.harness.api.samples import Attribution, Record, Sample, SampleRng
from windtunnel.harness.engine import Engine
from windtunnel.harness.items.probe.faithfulness.alignment import align_parts
from windtunnel.harness.items.probe.kind import ProbeItems
from windtunnel.harness.items.probe.records import make_probe_records
from windtunnel.harness.items.shift.kind import UNMOVED, ShiftItems
from windtunnel.harness.items.shift.records import make_shift_records
from windtunnel.harness.modalities.image import Image
from windtunnel.harness.modalities.inputs import Input, list_parts, list_texts
from windtunnel.harness.modalities.text import TextPair
from windtunnel.harness.modalities.words import word_spans
from windtunnel.harness.models.python.toy import BAD, GOOD, Bright, Words
from windtunnel.harness.results.frames import Run
from windtunnel.tests.toys import planned, records_of, row, run

LABELS = ("negative", "positive")
RNG = SampleRng(0)
TASK = SimpleNamespace(requires=frozenset({"classify", "text"}))


def matched(before: Input, after: Input) -> list[tuple[str, str]]:
    spans = [list_parts(value) if list_texts(value) else () for value in (before, after)]
    texts = [f"{value.first}\n{value.second}" if isinstance(value, TextPair) else str(value) for value in (before, after)]
    places = align_parts(before, spans[0], after, spans[1])
    one, two = ([text[a:b] for a, b in (own[i] for i in at)] for text, own, at in zip(texts, spans, places, strict=True))
    return list(zip(one, two, strict=True))


class TestAlignment:
    @pytest.mark.parametrize(
        ("before", "after", "pairs"),
        [
            ("a good film", "a fine film", [("a", "a"), ("good", "fine"), ("film", "film")]),
            ("a good film", "a very good film", [("a", "a"), ("good", "good"), ("film", "film")]),
            ("a good film here", "good movie here", [("good", "good"), ("film", "movie"), ("here", "here")]),
            ("good", "", []),
            (TextPair("a b", "c"), TextPair("a x b", "d"), [("a", "a"), ("b", "b"), ("c", "d")]),
        ],
    )
    def test_words(self, before: Input, after: Input, pairs: list[tuple[str, str]]) -> None:
        assert matched(before, after) == pairs

    def test_pixels(self) -> None:
        small, large = Image(np.zeros((2, 3, 1), np.uint8)), Image(np.zeros((3, 3, 1), np.uint8))
        assert [places.tolist() for places in align_parts(small, (), small, ())] == [[0, 1, 2, 3, 4, 5]] * 2
        assert [places.size for places in align_parts(small, (), large, ())] == [0, 0]

    @given(st.lists(st.sampled_from(["a", "b", "c", "d"])), st.lists(st.sampled_from(["a", "b", "c", "d"])))
    def test_every_part_at_most_once_and_in_order(self, before: list[str], after: list[str]) -> None:
        one, two = " ".join(before), " ".join(after)
        i, j = align_parts(one, word_spans(one), two, word_spans(two))
        assert all(np.diff(i) > 0)
        assert all(np.diff(j) > 0)
        if len(before) != len(after):
            assert len(i) <= min(len(before), len(after))


class Speaks(Probe):
    """What a word says for ``target``, and a little by where it stands: `toy:words` with no two values alike."""

    requires = frozenset({"classify"})

    def __init__(self, fail: Callable[[str], bool] = lambda text: False) -> None:
        self.target, self.fail = "predicted", fail

    def attribute(self, engine: Any, samples: Sequence[Sample], /) -> list[Attribution]:
        return [self.one(s) for s in samples]

    def one(self, sample: Sample) -> Attribution:
        text = str(sample.input)
        if self.fail(text):
            raise ValueError("cannot read this")
        target = int(sample.target if self.target == "gold" else Words.balance(text) > 0)
        spans = word_spans(text)
        values = [(1 if target else -1) * ((text[a:b] in GOOD) - (text[a:b] in BAD)) + a / 1000 for a, b in spans]
        return Attribution(sample.id, target, np.array(values, np.float32), spans)


CLEAN = {
    "flip": "a good film this was",
    "kept": "one good and great film here",
    "same": "good",
    "missed": "bad start",
    "longer": "great fun for all here",
}
TWINS = {"flip": "a bad film this was", "kept": "one good and bad great film here", "same": "good", "longer": "awful so fun for all here"}
SAMPLES = [Sample(key, text, int(key != "missed"), LABELS) for key, text in CLEAN.items()]


def attacked() -> dict[str, Record]:
    found = {"missed": Record("missed", "a(t)", {"clean_correct": 0.0, "robust_correct": 0.0, "success": None})}
    for key, twin in TWINS.items():
        prediction = int(Words.balance(twin) > 0)
        kept = {"twin": twin, "prediction": prediction, "output": "whatever else a task keeps"}
        found[key] = Record(key, "a(t)", {"success": 1.0 - prediction}, artifacts=kept)
    return found


def shifted(probe: Any, model: Any = None) -> dict[str, Record]:
    engine = Engine(model or Words(), Words.info)
    explained = {r.sample_id: r for r in make_probe_records(engine, "p(t)", Speaks(), RNG, SAMPLES, ())}
    return {r.sample_id: r for r in make_shift_records(engine, "s", TASK, probe, RNG, SAMPLES, explained, attacked(), ("twins",))}


class TestRecords:
    def test_as_computed_by_hand(self) -> None:
        found = shifted(Speaks())
        assert list(found) == list(CLEAN)
        for key, flips in (("flip", True), ("kept", False), ("longer", True)):
            scores, artifacts = found[key].scores, found[key].artifacts
            before, after = Speaks(), Speaks()
            before.target = after.target = "gold"
            own = before.one(Sample(key, CLEAN[key], 1, LABELS))
            same, new = (after.one(Sample(key, TWINS[key], c, LABELS)) for c in (1, 0))
            i, j = align_parts(CLEAN[key], own.spans, TWINS[key], same.spans)
            assert scores["flipped"] == flips
            assert scores["rank_correlation"] == pytest.approx(spearmanr(own.values[i], same.values[j]).statistic)
            assert scores["aligned_share"] == pytest.approx(len(i) / max(len(own.spans), len(same.spans)))
            assert (artifacts["attribution"]["target"], artifacts["attribution"]["spans"]) == (1, same.spans)
            np.testing.assert_allclose(artifacts["attribution"]["values"], same.values, rtol=1e-3)
            assert ("attribution_of_prediction" in artifacts) is flips
            if flips:
                assert artifacts["attribution_of_prediction"]["target"] == artifacts["prediction"] == 0
                assert scores["rank_correlation_of_prediction"] == pytest.approx(spearmanr(own.values[i], new.values[j]).statistic)

    def test_what_has_no_twin(self) -> None:
        found = shifted(Speaks())
        assert "no twin" in found["missed"].artifacts["note"]
        assert "changed nothing" in found["same"].artifacts["note"]
        assert not found["missed"].scores
        assert found["missed"].error is None

    def test_a_twin_that_cannot_be_explained_is_an_error(self) -> None:
        found = shifted(Speaks(lambda text: "bad film" in text))
        assert "cannot read this" in str(found["flip"].error)
        assert found["kept"].error is None

    def test_an_unmoved_map_of_an_image(self) -> None:
        pixels = np.random.default_rng(0).integers(0, 255, (6, 5, 3)).astype(np.uint8)
        sample = Sample("i", Image(pixels), 0, Bright.info.labels)

        class Map(Speaks):
            def one(self, sample: Sample) -> Attribution:
                assert isinstance(sample.input, Image)
                return Attribution(sample.id, int(sample.target), sample.input.pixels.sum(2).astype(np.float32))

        engine, twin = Engine(Bright(), Bright.info), Image(pixels // 2)
        explained = {r.sample_id: r for r in make_probe_records(engine, "p(t)", Map(), RNG, [sample], ())}
        done = {"i": Record("i", "a(t)", {"success": 0.0}, artifacts={"twin": twin, "prediction": 0})}
        (record,) = make_shift_records(engine, "s", TASK, Map(), RNG, [sample], explained, done)
        expected = spearmanr(pixels.sum(2).reshape(-1), (pixels // 2).sum(2).reshape(-1)).statistic
        assert record.scores["rank_correlation"] == pytest.approx(expected, abs=1e-3)
        assert abs(record.scores["rank_correlation_random"] or 1) < 0.5
        assert "attribution_of_prediction" not in record.artifacts


class TestSlices:
    def test_definitions(self) -> None:
        faithful = {"comprehensiveness": 0.4, "comprehensiveness_random": 0.1}
        assert ProbeItems().slices(True, {"token_f1": 0.0, **faithful}) == {"right_for_wrong_reason": True}
        assert ProbeItems().slices(True, {"token_f1": 0.2}) == {"right_for_wrong_reason": False}
        assert ProbeItems().slices(False, {"token_f1": 0.0, **faithful}) == {"wrong_and_unfaithful": False}
        assert ProbeItems().slices(False, {"comprehensiveness": 0.1, "comprehensiveness_random": 0.1}) == {"wrong_and_unfaithful": True}
        assert ProbeItems().slices(None, {"token_f1": 0.0, **faithful}) == {}
        assert ShiftItems().slices(True, {"flipped": 1.0, "rank_correlation": UNMOVED}) == {"flipped_explanation_unmoved": True}
        assert ShiftItems().slices(True, {"flipped": 1.0, "rank_correlation": None}) == {}
        assert ShiftItems().slices(True, {"flipped": 0.0, "rank_correlation": 1.0}) == {}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("shift")
    run(folder, attacks=[{"attack": "swap", "seeds": 2}], probes=["by_length", {"probe": "feature_ablation", "limit": 9}])
    return folder


class TestRun:
    def test_an_item_for_each_probe_and_attack(self, folder: Path) -> None:
        shifts = [
            i for i in planned(folder, attacks=[{"attack": "swap", "seeds": 2}], probes=["by_length"]).items if i.kind.name == "shift"
        ]
        assert [i.item for i in shifts] == ["explanation_shift(by_length(notes), swap(notes))"]
        assert not [
            i
            for i in planned(folder, attacks=["swap"], probes=[{"probe": "by_length", "scores": ["erasure"]}]).items
            if i.kind.name == "shift"
        ]
        records = records_of(folder / "run")["words/explanation_shift(feature_ablation(notes), swap(notes))"]
        assert len(records) == 9, "as many as the smaller of the two has"

    def test_rows_are_means_of_the_records(self, folder: Path) -> None:
        from windtunnel.harness.results.summarise import summarise

        card, item = summarise(folder / "run"), "explanation_shift(feature_ablation(notes), swap(notes))"
        records = records_of(folder / "run")[f"words/{item}"]
        values = [r.scores["rank_correlation"] for r in records if r.scores.get("flipped") == 1]
        found = row(card, item, "rank_correlation[label_flipped]").estimate
        assert len(values) >= 4
        assert (found.value, found.n) == (pytest.approx(np.mean(values)), len(values))  # type: ignore[arg-type]
        assert row(card, item, "rank_correlation[label_kept]").estimate.value is None
        unmoved = row(card, item, "flipped_explanation_unmoved").estimate
        assert (unmoved.value, unmoved.n) == (np.mean([v >= UNMOVED for v in values]), len(values))  # type: ignore[operator]

    def test_slices_are_columns(self, folder: Path) -> None:
        samples = Run.load(folder / "run").samples()
        shifts = samples[samples["kind"] == "shift"]
        alike = shifts["score.rank_correlation"]
        assert alike.notna().sum() == shifts["flipped_explanation_unmoved"].notna().sum() > 0, "all of them are flipped"
        assert (shifts["flipped_explanation_unmoved"].fillna(False) == (alike >= UNMOVED)).all()
        wrong = samples.query("wrong_and_unfaithful")
        right = dict(samples[samples["kind"] == "task"][["sample_id", "score.correct"]].to_numpy())
        probes = samples[samples["kind"] == "probe"]
        expected = probes[
            (probes["sample_id"].map(right) == 0) & (probes["score.comprehensiveness"] <= probes["score.comprehensiveness_random"])
        ]
        assert list(wrong.index) == list(expected.index)
        for probe in ("by_length", "feature_ablation"):
            own = samples.query(f"wrong_and_unfaithful and probe == '{probe}'")
            assert list(own.index) == list(expected[expected["item"] == f"{probe}(notes)"].index)
        assert set(shifts["probe"]) == {"by_length", "feature_ablation"}
        assert samples[samples["kind"].isin(["task", "attack"])]["probe"].isna().all()
        assert samples["wrong_and_unfaithful"].notna().sum() == (probes["sample_id"].map(right) == 0).sum() > 0
