"""Scores of attributions against Captum, scikit-learn, scipy and plain loops, and what their controls are."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Sequence
from typing import Any

import captum.metrics
import numpy as np
import pytest
import torch
from scipy.stats import entropy, spearmanr
from sklearn.metrics import auc, average_precision_score, f1_score
from windtunnel.harness.api.model import ModelInfo
from windtunnel.harness.api.requests import Classify
from windtunnel.harness.api.responses import Logits
from windtunnel.harness.api.samples import Attribution, Sample, SampleRng
from windtunnel.harness.engine import Engine
from windtunnel.harness.items.probe.faithfulness import sensitivity
from windtunnel.harness.items.probe.faithfulness.erasure import GRID
from windtunnel.harness.items.probe.faithfulness.infidelity import draw_hidden_sets
from windtunnel.harness.items.probe.faithfulness.noise import RADIUS
from windtunnel.harness.items.probe.faithfulness.plausibility import average_precision, compute_iou_f1, find_runs, mark_words
from windtunnel.harness.items.probe.faithfulness.ranks import compute_complexity, compute_top_overlap, rank_correlation
from windtunnel.harness.items.probe.faithfulness.scored_attribution import Subject, make_subject
from windtunnel.harness.items.probe.records import make_probe_records
from windtunnel.harness.modalities.image import Image, ImageModality, blur
from windtunnel.harness.modalities.inputs import list_parts
from windtunnel.harness.modalities.removal import keep_parts, remove_parts
from windtunnel.harness.modalities.text import TextPair
from windtunnel.harness.modalities.words import cut_out, gather, mask_spans, split_spans, word_spans
from windtunnel.harness.models.python.toy import Words
from windtunnel.harness.scorecard.names import FAITHFULNESS
from windtunnel.probes.feature_ablation import FeatureAblation
from windtunnel.probes.input_x_gradient import InputXGradient
from windtunnel.probes.integrated_gradients import IntegratedGradients
from windtunnel.tests import tiny
from windtunnel.tests.harness.items.probe.test_probing import SAMPLES, TEXTS, Planted

LABELS = tuple(tiny.LABELS)
SHORT = ("the cat sat on a table", "bad films, that were great!", "it's an able dog")
GIVEN = [Sample(f"s{i}", text, i % 3, LABELS) for i, text in enumerate(SHORT)]
RNG = SampleRng(0)


def engine_of(name: str) -> Engine:
    return Engine(tiny.load(name), ModelInfo({}, {"gradients"}))


def images(num: int = 2) -> list[Sample]:
    draws = np.random.default_rng(1)
    return [Sample(f"i{i}", Image(draws.random((32, 32, 3), dtype=np.float32)), i % 3, LABELS) for i in range(num)]


def subjects(engine: Engine, probe: Any, given: Sequence[Sample]) -> list[Subject]:
    return [make_subject(s, a, None, RNG, "[MASK]") for s, a in zip(given, probe.attribute(engine, given), strict=True)]


class TestCurves:
    """By the definitions, on the closed-form toy, with words put together by hand."""

    def by_hand(self, text: str, target: int, order: Sequence[int], show: Callable[[str, set[int]], str]) -> tuple[float, float, float]:
        def p(shown: str) -> float:
            s = Words.balance(shown) * (1 if target else -1)
            return 1 / (1 + math.exp(-2 * s))

        n = len(order)
        tops = [set(order[: math.ceil(share * n)]) if share else set() for share in GRID]
        deleted = [p(show(text, set(range(n)) - top)) for top in tops]
        inserted = [p(show(text, top)) for top in tops]
        return auc(GRID, deleted), auc(GRID, inserted), p(text) - float(np.mean(deleted[1:]))

    @pytest.mark.parametrize("way", ["cut", "mask"])
    def test_areas(self, way: str) -> None:
        def show(text: str, kept: set[int]) -> str:
            words = [text[a:b] for a, b in word_spans(text)]
            return " ".join(w if i in kept else "[MASK]" if way == "mask" else "" for i, w in enumerate(words))

        class Masking(Words):
            mask_token = "[MASK]"

        records = make_probe_records(Engine(Masking(), Words.info), "p(t)", Planted(), RNG, SAMPLES)
        for sample, record in zip(SAMPLES, records, strict=True):
            found = Planted().one(sample)
            own = sorted(range(len(found.spans)), key=lambda i: (-found.values[i], i))
            control = RNG(sample.id).permutation(len(own)).tolist()
            for ending, order in (("", own), ("_random", control)):
                deletion, insertion, aopc = self.by_hand(str(sample.input), found.target, order, show)
                assert record.scores[f"deletion_auc_{way}{ending}"] == pytest.approx(deletion)
                assert record.scores[f"insertion_auc_{way}{ending}"] == pytest.approx(insertion)
                if way == "cut":
                    assert record.scores[f"aopc{ending}"] == pytest.approx(aopc)

    def test_a_model_without_a_mask_is_not_asked_with_one(self) -> None:
        (record, *_) = make_probe_records(Engine(Words(), Words.info), "p(t)", Planted(), RNG, SAMPLES)
        assert not [name for name in record.scores if "_mask" in name]
        assert record.scores["deletion_auc_cut"] is not None

    def test_only_what_was_called_for(self) -> None:
        for family, names in FAITHFULNESS.items():
            (record, *_) = make_probe_records(Engine(Words(), Words.info), "p(t)", Planted(), RNG, SAMPLES, [family])
            own = {name.removesuffix("_random") for name in record.scores} - {"completeness_error"}
            assert own <= set(names), family


class TestAgainstCaptum:
    def test_infidelity(self) -> None:
        """Captum on the masks' own space: a perturbation is which words go, and the attributions are theirs."""
        engine = engine_of("bert")
        probe = FeatureAblation()
        records = make_probe_records(engine, "p(t)", probe, RNG, GIVEN, ["infidelity"])
        for subject, record in zip(subjects(engine, probe, GIVEN), records, strict=True):
            text, spans = str(subject.sample.input), subject.attribution.spans
            sets = torch.from_numpy(np.array(draw_hidden_sets(subject, RNG))).double()

            def forward(masks: torch.Tensor, text: str = text, spans: Any = spans) -> torch.Tensor:
                shown = [cut_out(text, [s for s, on in zip(spans, m, strict=True) if not on]) for m in masks.tolist()]
                logits: torch.Tensor = engine.model.module(**engine.model.tokenizer(shown, padding=True, return_tensors="pt")).logits  # type: ignore[attr-defined]
                return logits.double()

            for ending in ("", "_random"):
                # In float64: Captum multiplies the square out, and of the difference that is left float32 may hold no digit.
                values = torch.from_numpy(subject.rankings[ending].values).double()[None]
                expected = captum.metrics.infidelity(
                    forward, lambda x, sets=sets: (sets, x - sets), torch.ones(1, len(spans)).double(), values,
                    target=subject.attribution.target, n_perturb_samples=len(sets), normalize=True,
                )  # fmt: skip
                assert record.scores[f"infidelity{ending}"] == pytest.approx(float(expected), rel=1e-5, abs=1e-7)

    def test_max_sensitivity_of_images(self) -> None:
        engine, probe = engine_of("vit"), InputXGradient()
        records = make_probe_records(engine, "p(t)", probe, RNG, images(), ["max_sensitivity"])
        for sample, record in zip(images(), records, strict=True):
            target = probe.attribute(engine, [sample])[0].target
            assert isinstance(sample.input, Image)
            draws = [SampleRng("noise", RNG.seed(""), n)(sample.id) for n in range(sensitivity.NUM_COPIES)]
            copies = [ImageModality().noisy(sample.input, one, RADIUS) for one in draws]
            noisy = torch.stack([torch.tensor(c.pixels).permute(2, 0, 1) for c in copies])

            def explain(given: tuple[torch.Tensor], target: int = target) -> tuple[torch.Tensor]:
                x = given[0].detach().requires_grad_()
                with torch.enable_grad():
                    (gradient,) = torch.autograd.grad(engine.model.forward(x)[:, target].sum(), x)  # type: ignore[attr-defined]
                return ((gradient * x).sum(1).detach(),)

            own = torch.tensor(sample.input.pixels).permute(2, 0, 1)[None]
            expected = captum.metrics.sensitivity_max(
                explain, own, perturb_func=lambda x, radius, noisy=noisy: (noisy,), n_perturb_samples=len(noisy), norm_ord="fro"
            )
            assert record.scores["max_sensitivity"] == pytest.approx(float(expected), rel=1e-5)


class TestValues:
    @pytest.mark.parametrize("seed", range(5))
    def test_ranks_and_entropy(self, seed: int) -> None:
        draws = np.random.default_rng(seed)
        a, b = draws.integers(0, 6, 20).astype(float), draws.normal(size=20)
        assert rank_correlation(a, b) == pytest.approx(spearmanr(a, b).statistic)
        found = compute_complexity(b)
        assert found["complexity"] == pytest.approx(entropy(np.abs(b) / np.abs(b).sum()))
        assert compute_top_overlap(b, b) == 1
        assert compute_top_overlap(b, -b) == 0

    def test_what_has_no_value(self) -> None:
        assert rank_correlation(np.ones(4), np.arange(4.0)) is None
        assert rank_correlation(np.ones(1), np.ones(1)) is None
        assert set(compute_complexity(np.zeros(3)).values()) == {None}
        assert compute_complexity(np.ones(8))["effective_parts"] == pytest.approx(8)
        assert compute_complexity(np.array([0.0, -3.0, 0.0]))["effective_parts"] == pytest.approx(1)


class TestPlausibility:
    @pytest.mark.parametrize("seed", range(8))
    def test_as_scikit_learn_has_it(self, seed: int) -> None:
        draws = np.random.default_rng(seed)
        text = " ".join(f"w{i}" for i in range(12))
        spans = word_spans(text)
        is_marked = draws.random(12) < 0.4
        is_marked[seed] = True
        is_marked[(seed + 3) % 12] = False
        rationale = [[a + 1, b] for (a, b), on in zip(spans, is_marked, strict=True) if on]
        values = draws.integers(-2, 3, 12).astype(np.float32) if seed % 2 else draws.normal(size=12).astype(np.float32)
        sample = Sample("x", text, 1, ("no", "yes"), metadata={"rationale": rationale})

        class Drawn(Planted):
            def one(self, sample: Sample) -> Attribution:
                return Attribution(sample.id, 1, values, spans)

        (record,) = make_probe_records(Engine(Words(), Words.info), "p(t)", Drawn(), RNG, [sample], ["plausibility"])
        order = np.argsort(-values, kind="stable")
        top = np.isin(np.arange(12), order[: is_marked.sum()])
        assert record.scores["token_f1"] == pytest.approx(f1_score(is_marked, top))
        assert record.scores["auprc"] == pytest.approx(average_precision_score(is_marked, values))
        control = np.empty(12)
        control[RNG("x").permutation(12)] = -np.arange(12)
        assert record.scores["auprc_random"] == pytest.approx(average_precision_score(is_marked, control), abs=1e-6)

    def test_runs_that_match(self) -> None:
        assert find_runs(np.array([1, 1, 0, 1, 0, 0, 1], bool)) == [(0, 2), (3, 4), (6, 7)]
        assert compute_iou_f1([(0, 2)], [(0, 4)]) == 1, "half of the union is enough"
        assert compute_iou_f1([(0, 2)], [(0, 5)]) == 0
        assert compute_iou_f1([(0, 2), (7, 8)], [(0, 2)]) == pytest.approx(2 * 0.5 / 1.5)
        assert average_precision(np.array([3.0, 2.0, 1.0]), np.array([True, False, True])) == pytest.approx(0.5 + 0.5 * 2 / 3)

    @pytest.mark.parametrize(("target", "rationale"), [(0, [[2, 6]]), (1, []), (1, [[0, 11]])])
    def test_what_says_nothing_is_not_scored(self, target: int, rationale: list[list[int]]) -> None:
        sample = Sample("x", "a good film", target, ("no", "yes"), metadata={"rationale": rationale})
        (record,) = make_probe_records(Engine(Words(), Words.info), "p(t)", Planted(), RNG, [sample], ["plausibility"])
        assert "auprc" not in record.scores

    def test_a_word_that_touches_is_marked(self) -> None:
        sample = Sample("x", "a good film", 1, ("no", "yes"), metadata={"rationale": [[5, 6]]})
        assert mark_words(make_subject(sample, Planted().one(sample), None, RNG, None)).tolist() == [False, True, False]


class TestRandomisedModel:
    def test_weights_are_others_and_the_model_stays(self) -> None:
        for name, sample in (("bert", GIVEN[0]), ("vit", images(1)[0])):
            model = tiny.load(name)
            asked = Classify(sample.input, sample.labels)
            before = model.classify(model.split(asked))
            one, two, again = model.randomised(1), model.randomised(2), model.randomised(1)
            answers = [m.classify(m.split(asked))[0].values for m in (model, one, two, again)]
            assert len({m.fingerprint for m in (model, one, two, again)}) == 3
            assert answers[1] == answers[3]
            assert len({answers[0], answers[1], answers[2]}) == 3
            assert model.classify(model.split(asked)) == before
            for (key, old), (_, new) in zip(model.module.state_dict().items(), one.module.state_dict().items(), strict=True):
                if old.numel() > 500:
                    assert float(new.std()) == pytest.approx(float(old.std()), rel=0.2), key
                    assert abs(float(torch.corrcoef(torch.stack([old.flatten(), new.flatten()]))[0, 1])) < 0.2, key

    @pytest.mark.parametrize("make", [FeatureAblation, lambda: IntegratedGradients(steps=8, max_steps=8)])
    def test_the_control_explains_the_same_class_of_the_other_model(self, make: Callable[[], Any]) -> None:
        engine = engine_of("bert")
        records = make_probe_records(engine, "p(t)", make(), RNG, GIVEN, ["randomised", "complexity"], seed=3)
        own = make().attribute(engine, GIVEN)
        asked = [Sample(s.id, s.input, a.target, s.labels) for s, a in zip(GIVEN, own, strict=True)]
        probe = make()
        probe.target = "gold"
        other = probe.attribute(Engine(engine.model.randomised(3), engine.info), asked)  # type: ignore[attr-defined]
        for record, a, b in zip(records, own, other, strict=True):
            assert record.scores["randomised_rank_correlation"] == pytest.approx(spearmanr(a.values, b.values).statistic, abs=1e-6)
            assert record.scores["effective_parts_randomised"] == pytest.approx(compute_complexity(b.values)["effective_parts"], rel=1e-5)

    def test_the_copy_is_made_once_and_its_passes_are_counted(self) -> None:
        engine = engine_of("bert")
        twin = engine.randomised(0)
        assert twin is not None
        assert engine.randomised(0) is twin
        twin.run([Classify("the cat", LABELS)])
        assert engine.counters.forward_passes == 1
        assert Engine(Words(), Words.info).randomised(0) is None


class TestCascade:
    def test_top_layers_are_others_and_those_below_stay(self) -> None:
        model = tiny.load("bert")
        layers = list(dict.fromkeys(name.rpartition(".")[0] for name, _ in model.module.named_parameters()))
        for share in (0.25, 0.5, 0.75, 1.0):
            other = dict(model.randomised(1, share).module.named_parameters())
            changed = {n.rpartition(".")[0] for n, w in model.module.named_parameters() if not torch.equal(w, other[n])}
            # A bias of zeros has no spread to be drawn from, so that not every layer's every weight is another.
            assert changed <= set(layers[-math.ceil(share * len(layers)) :])
            assert layers[-math.ceil(share * len(layers))] in changed
            assert layers[-1] in changed

    def test_each_stage_is_the_method_on_that_model(self) -> None:
        engine, probe = engine_of("bert"), InputXGradient()
        records = make_probe_records(engine, "p(t)", probe, RNG, GIVEN, ["cascading"], seed=3)
        own = probe.attribute(engine, GIVEN)
        asked = [Sample(s.id, s.input, a.target, s.labels) for s, a in zip(GIVEN, own, strict=True)]
        gold = InputXGradient(target="gold")
        for percent in (25, 50, 75):
            model = engine.model.randomised(3, percent / 100)  # type: ignore[attr-defined]
            other = gold.attribute(Engine(model, engine.info), asked)
            for record, a, b in zip(records, own, other, strict=True):
                expected = spearmanr(a.values, b.values).statistic
                assert record.scores[f"cascading_rank_correlation_{percent}"] == pytest.approx(expected, abs=1e-6)

    def test_a_black_box_has_none(self) -> None:
        (record, *_) = make_probe_records(Engine(Words(), Words.info), "p(t)", Planted(), RNG, GIVEN, ["cascading"])
        assert not [name for name in record.scores if name.startswith("cascading")]


class TestRemoval:
    def test_a_pair_is_two_texts(self) -> None:
        pair = TextPair("a good film", "not bad")
        spans = list_parts(pair)
        whole = f"{pair.first}\n{pair.second}"
        assert [whole[a:b] for a, b in spans] == ["a", "good", "film", "not", "bad"]
        assert split_spans((pair.first, pair.second), spans) == [word_spans(pair.first), word_spans(pair.second)]
        hidden = np.array([False, True, False, True, False])
        assert remove_parts(pair, spans, hidden, "cut") == TextPair("a film", "bad")
        assert remove_parts(pair, spans, hidden, "mask", "<m>") == TextPair("a <m> film", "<m> bad")
        assert keep_parts(pair, spans, hidden, "cut") == TextPair("good", "not")
        assert keep_parts(pair, spans, hidden, "mask", "_") == TextPair("_ good _", "not _")
        assert mask_spans("(so) good!", word_spans("(so) good!"), "x") == "xxx xx"

    def test_blur_is_a_gaussians(self) -> None:
        pixels = np.zeros((33, 33, 1), np.float32)
        pixels[16, 16] = 1
        found = blur(Image(pixels), np.zeros((33, 33), bool)).pixels[:, :, 0]
        deviation = 33 / 16
        expected = [math.exp(-(d**2) / 2 / deviation**2) for d in range(6)]
        np.testing.assert_allclose(found[16, 16:22] / found[16, 16], expected, rtol=1e-3)
        assert float(found.sum()) == pytest.approx(1, abs=1e-3)
        flat = Image(np.full((8, 6, 3), 77, np.uint8))
        assert blur(flat, np.zeros((8, 6), bool)) == flat


class TestPairs:
    PAIRS = (TextPair("the cat sat", "a table, able"), TextPair("bad", "that films were great!"))

    def given(self) -> list[Sample]:
        return [Sample(f"p{i}", pair, i % 3, LABELS) for i, pair in enumerate(self.PAIRS)]

    def test_gradients_reach_both_texts(self) -> None:
        engine, probe = engine_of("bert"), InputXGradient()
        for sample, found in zip(self.given(), probe.attribute(engine, self.given()), strict=True):
            pair = sample.input
            assert isinstance(pair, TextPair)
            model: Any = engine.model
            given = model.tokenizer(pair.first, pair.second, return_tensors="pt", return_offsets_mapping=True)
            offsets, types = given.pop("offset_mapping")[0].tolist(), given.sequence_ids(0)
            x = model.module.get_input_embeddings()(given.pop("input_ids")).detach().requires_grad_()
            (gradient,) = torch.autograd.grad(model.module(inputs_embeds=x, **given).logits[0, found.target], x)
            each = (gradient * x).detach().double().sum(-1)[0].numpy()
            parts = []
            for part, text in enumerate((pair.first, pair.second)):
                chosen = [i for i, kind in enumerate(types) if kind == part]
                parts.append(gather(each[chosen], [tuple(offsets[i]) for i in chosen], word_spans(text)))
            assert found.spans == list_parts(pair)
            np.testing.assert_allclose(found.values, np.concatenate(parts), atol=1e-5)

    def test_integrated_gradients_sum_to_the_change(self) -> None:
        for found in IntegratedGradients().attribute(engine_of("bert"), self.given()):
            assert found.completeness_error is not None
            assert found.completeness_error < 0.05
            assert found.metadata["converged"]

    def test_ablation_and_scores(self) -> None:
        class Overlap(Words):
            """How many words of the second text are good, less those of the first."""

            info = ModelInfo({"classify": {"pair"}}, labels=("no", "yes"))

            def classify(self, batch: Sequence[Classify]) -> list[Logits]:
                pairs = [r.input for r in batch if isinstance(r.input, TextPair)]
                return [Logits((0.0, self.balance(p.second) - self.balance(p.first))) for p in pairs]

        sample = Sample("p", TextPair("a bad film", "a good and great one"), 1, ("no", "yes"))
        engine = Engine(Overlap(), Overlap.info)
        (found,) = FeatureAblation().attribute(engine, [sample])
        assert found.values.tolist() == [0, 1, 0, 0, 1, 0, 1, 0]
        (record,) = make_probe_records(engine, "p(t)", FeatureAblation(), RNG, [sample])
        assert record.error is None
        full = 1 / (1 + math.exp(-3))
        gone = [1 / (1 + math.exp(-s)) for s in (2, 1, 0, 0)]
        assert record.scores["comprehensiveness"] == pytest.approx(full - float(np.mean(gone)))


def test_a_planted_word_is_found() -> None:
    """The word decides alone; both methods that remove words rank it first, and the scores say that nothing else counts."""

    class Spurious(Words):
        def classify(self, batch: Sequence[Classify]) -> list[Logits]:
            return [Logits((0.0, 5.0 if "qx" in str(r.input) else -5.0)) for r in batch]

    draws = np.random.default_rng(0)
    texts = [" ".join(draws.permutation([*draws.choice(TEXTS[0].split(), 11), "qx"])) for _ in range(12)]
    given = [Sample(f"t{i}", text, 1, ("negative", "positive")) for i, text in enumerate(texts)]
    engine = Engine(Spurious(), Spurious.info)
    for sample, found in zip(given, FeatureAblation().attribute(engine, given), strict=True):
        start, end = found.spans[int(found.values.argmax())]
        assert str(sample.input)[start:end] == "qx"
    records = make_probe_records(engine, "p(t)", FeatureAblation(), RNG, given)
    for record in records:
        assert record.scores["effective_parts"] == pytest.approx(1)
        assert record.scores["comprehensiveness"] == pytest.approx(1, abs=0.02)
        assert record.scores["infidelity"] == pytest.approx(0, abs=1e-9)
    means = {name: np.mean([float(r.scores[name] or 0) for r in records]) for name in ("infidelity_random", "comprehensiveness_random")}
    assert means["infidelity_random"] > 5
    assert means["comprehensiveness_random"] < 0.6


def test_order_and_company_change_nothing() -> None:
    every = list(FAITHFULNESS)
    together = make_probe_records(engine_of("bert"), "p(t)", InputXGradient(), RNG, GIVEN, every)
    for sample, record in itertools.islice(zip(GIVEN, together, strict=True), 2):
        (alone_,) = make_probe_records(engine_of("bert"), "p(t)", InputXGradient(), RNG, [sample], every)
        assert set(alone_.scores) == set(record.scores)
        for name, value in record.scores.items():
            assert (alone_.scores[name] is None) == (value is None), name
            np.testing.assert_allclose(alone_.scores[name] or 0, value or 0, rtol=1e-3, atol=1e-5, err_msg=name)
