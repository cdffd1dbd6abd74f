"""Faithfulness scores against a plain re-computation from their definition, and the control beside them."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from windtunnel.harness.api.errors import ConfigError
from windtunnel.harness.api.probe import Probe
from windtunnel.harness.api.requests import Classify
from windtunnel.harness.api.responses import Logits
from windtunnel.harness.api.samples import Attribution, Record, Sample, SampleRng
from windtunnel.harness.engine import Engine
from windtunnel.harness.items.probe.records import make_probe_records
from windtunnel.harness.modalities.chat import Chat, Message
from windtunnel.harness.modalities.image import Image
from windtunnel.harness.modalities.words import cut_out, word_spans
from windtunnel.harness.models.python.toy import BAD, GOOD, Bright, Words
from windtunnel.harness.store import codec

LABELS = ("negative", "positive")
TEXTS = (
    "a good film with a great cast and one wonderful scene at the end of it",
    "it was an awful and boring evening, and the worst of all was the sad music.",
    "perfect",
    "The plot, the jokes and the people are what they are; I love it!",
)
SAMPLES = tuple(Sample(f"s{i}", text, i % 2, LABELS) for i, text in enumerate(TEXTS))


class Planted(Probe):
    """The true attribution of ``toy:words``: 1 for a word that counts for the predicted class, -1 for one against it, 0 else."""

    requires = frozenset({"classify"})

    def attribute(self, engine: Any, samples: Sequence[Sample], /) -> list[Attribution]:
        return [self.one(s) for s in samples]

    def one(self, sample: Sample) -> Attribution:
        text = str(sample.input)
        sign = 1.0 if Words.balance(text) > 0 else -1.0
        spans = word_spans(text)
        values = [sign * ((text[a:b].lower() in GOOD) - (text[a:b].lower() in BAD)) for a, b in spans]
        return Attribution(sample.id, int(sign > 0), np.array(values, np.float32), spans, 0.25)


class Each(Planted):
    """A probe that does one thing to each sample."""

    def __init__(self, one: Callable[[Sample], Any]) -> None:
        self._one = one
        self.calls: list[int] = []

    def attribute(self, engine: Any, samples: Sequence[Sample], /) -> list[Any]:
        self.calls.append(len(samples))
        return [self._one(s) for s in samples]


def probed(probe: Any, samples: Sequence[Sample] = SAMPLES, model: Any = None, seed: int = 0) -> dict[str, Record]:
    made = model or Words()
    records = make_probe_records(Engine(made, made.info), "p(t)", probe, SampleRng(seed), samples)
    assert [r.sample_id for r in records] == [s.id for s in samples]
    for record in records:
        codec.dumps(record)
        assert all(v is None or math.isfinite(v) for v in record.scores.values())
    return {r.sample_id: r for r in records}


def by_the_definition(text: str, target: int, spans: Sequence[tuple[int, int]], order: Sequence[int]) -> tuple[float, float]:
    """ERASER section 4: p(x) - p(x without r) and p(x) - p(r), r the first k words of the order, averaged over k."""

    def p(shown: str) -> float:
        s = Words.balance(shown)
        logits = (-s, s)
        return math.exp(logits[target]) / (math.exp(logits[0]) + math.exp(logits[1]))

    drops: list[tuple[float, float]] = []
    for share in (0.1, 0.2, 0.3, 0.5):
        k = max(1, math.ceil(share * len(spans)))
        chosen = set(list(order)[:k])
        words = [text[a:b] for a, b in spans]
        rest = " ".join(w for i, w in enumerate(words) if i not in chosen)
        drops.append((p(text) - p(rest), p(text) - p(" ".join(w for i, w in enumerate(words) if i in chosen))))
    comprehensiveness, sufficiency = (sum(d[i] for d in drops) / len(drops) for i in (0, 1))
    return comprehensiveness, sufficiency


class TestText:
    def test_scores_are_erasers(self) -> None:
        found = probed(Planted())
        for sample in SAMPLES:
            attribution = Planted().one(sample)
            order = sorted(range(len(attribution.spans)), key=lambda i: (-attribution.values[i], i))
            expected = by_the_definition(str(sample.input), attribution.target, attribution.spans, order)
            scores = found[sample.id].scores
            assert (scores["comprehensiveness"], scores["sufficiency"]) == pytest.approx(expected)
            control = SampleRng(0)(sample.id).permutation(len(order)).tolist()
            expected = by_the_definition(str(sample.input), attribution.target, attribution.spans, control)
            assert (scores["comprehensiveness_random"], scores["sufficiency_random"]) == pytest.approx(expected)

    def test_the_true_words_are_told_from_random_ones(self) -> None:
        rng = np.random.default_rng(0)
        filler = ["the", "a", "of", "film", "plot", "it", "was", "and", "scene", "with", "cast", "then"]
        samples = []
        for i in range(40):
            words = [*rng.choice(filler, 17), *rng.choice(sorted(GOOD), 3)]
            samples.append(Sample(f"p{i}", " ".join(rng.permutation(words)), 1, LABELS))
        scores = [r.scores for r in probed(Planted(), samples).values()]
        mean = {name: float(np.mean([s[name] for s in scores])) for name in scores[0]}  # type: ignore[arg-type]
        assert mean["comprehensiveness"] > 0.35
        assert mean["comprehensiveness_random"] < 0.15
        assert abs(mean["sufficiency"]) < 0.02
        assert mean["sufficiency_random"] > 0.1

    def test_values_in_reverse_score_the_reverse(self) -> None:
        def reverse(sample: Sample) -> Attribution:
            true = Planted().one(sample)
            return replace(true, values=-true.values)

        true, false = probed(Planted())["s0"].scores, probed(Each(reverse))["s0"].scores
        assert true["comprehensiveness"] > 0.1 > 0.01 > false["comprehensiveness"]  # type: ignore[operator]

    def test_the_control_knows_the_sample_id_alone(self) -> None:
        whole, alone = probed(Planted()), probed(Planted(), SAMPLES[3:])
        assert whole["s3"].scores == alone["s3"].scores
        other = probed(Planted(), seed=1)
        assert other["s0"].scores["comprehensiveness_random"] != whole["s0"].scores["comprehensiveness_random"]
        assert other["s0"].scores["comprehensiveness"] == whole["s0"].scores["comprehensiveness"]
        reverse = Each(lambda s: replace(Planted().one(s), values=-Planted().one(s).values))
        assert probed(reverse)["s0"].scores["sufficiency_random"] == whole["s0"].scores["sufficiency_random"]

    def test_one_word(self) -> None:
        scores = probed(Planted())["s2"].scores
        gone = math.exp(1) / (math.exp(1) + math.exp(-1)) - 0.5
        assert scores["comprehensiveness"] == scores["comprehensiveness_random"] == pytest.approx(gone)
        assert scores["sufficiency"] == scores["sufficiency_random"] == 0

    def test_ties_go_by_the_texts_order(self) -> None:
        seen: list[str] = []

        class Listening(Words):
            def classify(self, batch: Sequence[Classify]) -> list[Logits]:
                seen.extend(str(r.input) for r in batch)
                return super().classify(batch)

        text = " ".join(f"w{i}" for i in range(40))
        values = np.tile(np.array([0, 1], np.float32), 20)
        probed(Each(lambda s: Attribution(s.id, 1, values, word_spans(text))), [Sample("x", text, 1, LABELS)], Listening())
        # The 20 words of value 1 are the odd ones; of these the first come first.
        for num in (4, 8, 12, 20):
            assert " ".join(f"w{i}" for i in range(1, 2 * num, 2)) in seen

    def test_an_answer_that_is_missing_leaves_no_score(self) -> None:
        class NoEmpty(Words):
            def classify(self, batch: Sequence[Classify]) -> list[Logits]:
                if any(not r.input for r in batch):
                    raise ValueError("empty text")
                return super().classify(batch)

        found = probed(Planted(), SAMPLES, NoEmpty())
        assert found["s2"].scores["comprehensiveness"] is None
        assert "empty text" in found["s2"].artifacts["note"]
        assert found["s0"].scores["comprehensiveness"] is not None

    def test_what_is_kept(self) -> None:
        record = probed(Each(lambda s: replace(Planted().one(s), metadata={"steps": 3, "attribution": "forged"})))["s0"]
        assert record.scores["completeness_error"] == 0.25
        assert record.artifacts["steps"] == 3
        kept = record.artifacts["attribution"]
        assert (kept["target"], kept["spans"]) == (1, word_spans(TEXTS[0]))
        np.testing.assert_array_equal(kept["values"], Planted().one(SAMPLES[0]).values)

    @pytest.mark.parametrize("scale", [1e-9, 1.0, 1e9])
    def test_values_of_any_size_are_kept(self, scale: float) -> None:
        record = probed(Each(lambda s: replace(Planted().one(s), values=Planted().one(s).values * scale)))["s0"]
        assert float(record.artifacts["attribution"]["values"].max()) == pytest.approx(scale, rel=2**-11)


class TestCuts:
    @pytest.mark.parametrize(
        ("text", "cut", "left"),
        [
            ("a good film", ["good"], "a film"),
            ("good film", ["good"], "film"),
            ("film good", ["good"], "film"),
            ("a good, film", ["good"], "a , film"),
            ("a\n\ngood  film\tnow", ["good"], "a\n\nfilm\tnow"),
            ("two  spaces stay good", ["good"], "two  spaces stay"),
            ("(mostly) fine", ["mostly"], "() fine"),
            ("a(b", ["("], "a b"),
            ("good", ["good"], ""),
            ("a good great film", ["good", "great"], "a film"),
            ("好电影", ["电"], "好影"),
            ("  led by space good", ["led"], "  by space good"),
        ],
    )
    def test_examples(self, text: str, cut: list[str], left: str) -> None:
        assert cut_out(text, [(a, b) for a, b in word_spans(text) if text[a:b] in cut]) == left

    @given(st.text("ab .!\n\t'é好", max_size=24), st.data())
    def test_the_other_words_stay_as_they_were(self, text: str, data: st.DataObject) -> None:
        spans = word_spans(text)
        cut = data.draw(st.sets(st.sampled_from(range(len(spans))))) if spans else set()
        left = cut_out(text, [s for i, s in enumerate(spans) if i in cut])
        kept = [text[a:b] for i, (a, b) in enumerate(spans) if i not in cut]
        assert re.sub(r"\s", "", left) == "".join(kept)
        if not cut:
            assert left == text

    def test_no_two_words_grow_together(self) -> None:
        assert Words.balance(cut_out("good-ish, bad", [(4, 5)])) == 0


class TestImages:
    rng = np.random.default_rng(3)

    def image(self, dtype: Any = np.float32) -> Sample:
        pixels = self.rng.random((5, 4, 3))
        return Sample(
            "i", Image((pixels * 255).astype(np.uint8) if dtype == np.uint8 else pixels.astype(np.float32)), 1, ("dark", "bright")
        )

    @pytest.mark.parametrize("dtype", [np.uint8, np.float32])
    def test_pixels_become_the_mean_colour(self, dtype: Any) -> None:
        sample = self.image(dtype)
        assert isinstance(sample.input, Image)
        pixels = np.asarray(sample.input.pixels)
        values = self.rng.random((5, 4)).astype(np.float32)
        record = probed(Each(lambda s: Attribution(s.id, 1, values)), [sample], Bright())["i"]

        def p(shown: np.ndarray) -> float:
            mean = shown.mean(dtype=np.float64) / (255 if dtype == np.uint8 else 1)
            return float(1 / (1 + np.exp(-8 * (mean - 0.5))))

        colour = pixels.mean((0, 1), dtype=np.float64)
        colour = colour.round() if dtype == np.uint8 else colour
        drops = []
        for share in (0.1, 0.2, 0.3, 0.5):
            top = np.zeros(20, bool)
            top[np.argsort(-values.ravel())[: math.ceil(share * 20)]] = True
            mask = top.reshape(5, 4, 1)
            drops.append((p(pixels) - p(np.where(mask, colour, pixels)), p(pixels) - p(np.where(mask, pixels, colour))))
        expected = np.mean(drops, axis=0)
        assert [record.scores["comprehensiveness"], record.scores["sufficiency"]] == pytest.approx(expected.tolist(), abs=1e-6)
        assert "image" not in record.artifacts, "it is the sample's own"

    def test_the_image_that_the_model_saw_is_kept_where_it_is_another(self) -> None:
        class Half(Bright):
            def canonical(self, value: Any) -> Any:
                return Image(np.asarray(value.pixels)[:4, :4])

        sample = self.image()
        assert isinstance(sample.input, Image)
        values = self.rng.random((4, 4)).astype(np.float32)
        record = probed(Each(lambda s: Attribution(s.id, 1, values)), [sample], Half())["i"]
        expected = (np.asarray(sample.input.pixels)[:4, :4] * 255).round()
        np.testing.assert_array_equal(record.artifacts["image"].pixels, expected.astype(np.uint8))

    def test_more_images_than_are_held_at_once(self) -> None:
        samples = [replace(self.image(), id=str(i)) for i in range(35)]
        probe = Each(lambda s: Attribution(s.id, 1, SampleRng("v")(s.id).random((5, 4)).astype(np.float32)))
        together = probed(probe, samples, Bright())
        for sample in samples[::7]:
            assert probed(probe, [sample], Bright())[sample.id].scores == together[sample.id].scores

    def test_a_map_of_another_shape(self) -> None:
        found = probed(Each(lambda s: Attribution(s.id, 1, np.zeros((5, 4, 3), np.float32))), [self.image()], Bright())["i"]
        assert found.error is not None
        assert "[5, 4] pixels" in found.error


class TestIsolation:
    def test_one_that_raises_loses_no_other(self) -> None:
        def one(sample: Sample) -> Attribution:
            if sample.id == "s1":
                raise ZeroDivisionError("oh")
            return Planted().one(sample)

        probe = Each(one)
        found = probed(probe)
        assert found["s1"].error == "ZeroDivisionError: oh"
        assert not found["s1"].scores
        assert [found[i].error for i in ("s0", "s2", "s3")] == [None] * 3
        assert probe.calls == [4, 2, 1, 1, 2]

    @pytest.mark.parametrize(
        "change",
        [
            {"values": np.array([np.nan] * 16)}, {"values": np.array([np.inf] * 16)}, {"values": np.zeros(0), "spans": ()},
            {"values": np.zeros(15)}, {"spans": ((0, 1),) * 16}, {"spans": tuple((i, i + 9999) for i in range(16))}, {"target": 2},
            {"target": -1}, {"sample_id": "other"}, {"metadata": {"x": {1}}}, {"spans": None}, {"values": "many"},
        ],
    )  # fmt: skip
    def test_what_is_no_attribution(self, change: dict[str, Any]) -> None:
        assert len(word_spans(TEXTS[0])) == 16
        found = probed(Each(lambda s: replace(Planted().one(s), **(change if s.id == "s0" else {}))))
        assert found["s0"].error
        assert not found["s0"].scores
        assert found["s1"].error is None

    def test_an_infinite_completeness_error_is_none(self) -> None:
        found = probed(Each(lambda s: replace(Planted().one(s), completeness_error=float("nan"))))["s0"]
        assert found.scores["completeness_error"] is None

    def test_a_bad_row(self) -> None:
        found = probed(Planted(), [replace(SAMPLES[0], id="bad", metadata={"error": "no text"}), *SAMPLES])
        assert found["bad"].error == "no text"
        assert found["s0"].error is None

    def test_an_empty_text_has_no_part(self) -> None:
        found = probed(Planted(), [Sample("e", "", 0, LABELS)])["e"]
        assert found.error is not None
        assert "no part" in found.error

    def test_a_chat_has_no_faithfulness(self) -> None:
        given = [Sample("p", Chat((Message("user", "a"),)), 0, LABELS)]
        found = probed(Each(lambda s: Attribution(s.id, 0, np.ones(1), ((0, 1),))), given)
        assert found["p"].error is None
        assert found["p"].scores["comprehensiveness"] is None
        assert "the input's modality" in found["p"].artifacts["note"]

    def test_a_users_error_ends_the_run(self) -> None:
        def one(sample: Sample) -> Attribution:
            raise ConfigError("bad settings")

        with pytest.raises(ConfigError):
            probed(Each(one))
