"""Probes that remove parts: against Captum on the same perturbations, closed forms, and the work they make."""

from __future__ import annotations

import itertools
import re
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import captum.attr
import numpy as np
import pytest
import torch
from captum._utils.models.linear_model import SkLearnLasso
from captum.attr._core.lime import get_exp_kernel_similarity_function
from windtunnel.harness.api.errors import ConfigError, SampleError
from windtunnel.harness.api.model import ModelInfo
from windtunnel.harness.api.requests import Classify
from windtunnel.harness.api.responses import Logits
from windtunnel.harness.api.samples import Attribution, Sample, SampleRng
from windtunnel.harness.engine import Engine
from windtunnel.harness.engine.packing import Budget
from windtunnel.harness.items.probe.records import make_probe_records
from windtunnel.harness.modalities.base import require_modality
from windtunnel.harness.modalities.image import Image
from windtunnel.harness.modalities.regions import make_grid
from windtunnel.harness.modalities.words import cut_out, word_spans
from windtunnel.harness.models.python.toy import Bright
from windtunnel.probes import perturbation
from windtunnel.probes.feature_ablation import FeatureAblation
from windtunnel.probes.kernel_shap import KernelShap
from windtunnel.probes.lime import Lime
from windtunnel.probes.occlusion import Occlusion
from windtunnel.probes.perturbation import Parts, Perturbation
from windtunnel.probes.shapley_value_sampling import ShapleyValueSampling
from windtunnel.tests import tiny

LABELS = tuple(tiny.LABELS)
TEXTS = (
    "the cat sat on a table",
    "bad films, that were great!",
    "unable",
    "it's a table; a table and an able dog read the un-remarkable good films in paris",
)
METHODS: tuple[Callable[[], Perturbation], ...] = (
    FeatureAblation, Occlusion, lambda: Occlusion(words=3), ShapleyValueSampling, lambda: KernelShap(subsets=40), lambda: Lime(subsets=40),
)  # fmt: skip


def samples(texts: Sequence[str] = TEXTS) -> list[Sample]:
    return [Sample(f"s{i}", text, i % 3, LABELS) for i, text in enumerate(texts)]


def images(num: int = 4, height: int = 32, width: int = 32) -> list[Sample]:
    rng = np.random.default_rng(1)
    return [Sample(f"i{i}", Image(rng.random((height, width, 3), dtype=np.float32)), i % 3, LABELS) for i in range(num)]


class Additive:
    """Logits (-s, s), s the sum of the words' weights: removing words changes it by exactly theirs. Counts what it is asked."""

    info = ModelInfo({"classify": {"text"}}, labels=("no", "yes"))
    name = fingerprint = "additive"

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.batches: list[int] = []

    @staticmethod
    def weight(word: str) -> float:
        return float(SampleRng("weight")(word).normal())

    def classify(self, batch: Sequence[Classify]) -> list[Logits]:
        self.asked += [str(request.input) for request in batch]
        self.batches.append(len(batch))
        return [Logits((-s, s)) for s in (sum(map(self.weight, re.findall(r"\w+", str(r.input)))) for r in batch)]


def ask(model: Any, probe: Any, given: Sequence[Sample]) -> list[Attribution]:
    info = getattr(model, "info", ModelInfo({}))
    return list(probe.attribute(Engine(model, info, budget=Budget(1 << 20, 64)), given))


class TestAgainstCaptum:
    """Captum one text at a time, on the masks' own space: 1 for a word that is shown. Its answers come from transformers alone."""

    def forward(self, text: str) -> Callable[[torch.Tensor], torch.Tensor]:
        model, spans = tiny.shared("bert"), word_spans(text)

        def run(mask_NP: torch.Tensor) -> torch.Tensor:
            shown = [cut_out(text, [s for s, on in zip(spans, mask, strict=True) if not on]) for mask in mask_NP.tolist()]
            logits: torch.Tensor = model.module(**model.tokenizer(shown, padding=True, return_tensors="pt")).logits
            return logits

        return run

    def check(self, probe: Perturbation, captums: Callable[[Any, torch.Tensor, Attribution, Sample], torch.Tensor]) -> None:
        for sample, found in zip(samples(), ask(tiny.shared("bert"), probe, samples()), strict=True):
            text = str(sample.input)
            ones = torch.ones(1, len(word_spans(text)))
            expected = captums(self.forward(text), ones, found, sample)[0].numpy()
            assert found.target == int(self.forward(text)(ones)[0].argmax())
            assert found.spans == word_spans(text)
            np.testing.assert_allclose(found.values, expected, atol=1e-5 * float(np.abs(expected).max()))

    def test_feature_ablation(self) -> None:
        self.check(FeatureAblation(), lambda f, ones, a, _: captum.attr.FeatureAblation(f).attribute(ones, target=a.target))

    @pytest.mark.parametrize("words", [1, 2, 5])
    def test_occlusion(self, words: int) -> None:
        def captums(f: Any, ones: torch.Tensor, a: Attribution, _: Sample) -> torch.Tensor:
            window = (min(words, ones.shape[1]),)
            found: torch.Tensor = captum.attr.Occlusion(f).attribute(ones, sliding_window_shapes=window, target=a.target)
            return found

        self.check(Occlusion(words=words), captums)

    def test_shapley_value_sampling(self) -> None:
        probe = ShapleyValueSampling(permutations=7)

        def captums(f: Any, ones: torch.Tensor, a: Attribution, sample: Sample) -> torch.Tensor:
            method = captum.attr.ShapleyValueSampling(f)
            method.permutation_generator = lambda *_: probe.orders(Parts(str(sample.input)), probe.rng(sample.id))
            found: torch.Tensor = method.attribute(ones, target=a.target, perturbations_per_eval=4)
            return found

        self.check(probe, captums)

    def test_kernel_shap(self) -> None:
        probe = KernelShap(subsets=40)

        def captums(f: Any, ones: torch.Tensor, a: Attribution, sample: Sample) -> torch.Tensor:
            if ones.shape[1] == 1:  # Captum has no distribution over the sizes of subsets of one part
                return (f(ones) - f(0 * ones))[:, a.target, None].detach()
            masks = list(probe.masks(Parts(str(sample.input)), probe.rng(sample.id)))

            def perturb(original: torch.Tensor, **_: Any) -> Iterator[torch.Tensor]:
                for mask in masks:
                    yield torch.tensor(mask)[None].long()

            method = captum.attr.KernelShap(f)
            method.perturb_func = perturb
            found: torch.Tensor = method.attribute(ones, target=a.target, n_samples=len(masks), perturbations_per_eval=8)
            return found

        self.check(probe, captums)

    @pytest.mark.parametrize(("width", "alpha"), [(1.0, 0.01), (0.25, 0.1)])
    def test_lime(self, width: float, alpha: float) -> None:
        probe = Lime(subsets=40, kernel_width=width, alpha=alpha)

        def captums(f: Any, ones: torch.Tensor, a: Attribution, sample: Sample) -> torch.Tensor:
            masks = iter(list(probe.masks(Parts(str(sample.input)), probe.rng(sample.id))))
            method = captum.attr.Lime(
                f,
                interpretable_model=SkLearnLasso(alpha=alpha),
                similarity_func=get_exp_kernel_similarity_function("cosine", width),
                perturb_func=lambda original, **_: torch.tensor(next(masks))[None].long(),
            )
            found: torch.Tensor = method.attribute(ones, target=a.target, n_samples=40, perturbations_per_eval=8)
            return found

        self.check(probe, captums)

    def on_images(self, probe: Perturbation, method: Any, **options: Any) -> None:
        model = tiny.shared("vit")
        for sample, found in zip(images(), ask(model, probe, images()), strict=True):
            assert isinstance(sample.input, Image)
            pixels = np.asarray(sample.input.pixels)
            x, colour = torch.tensor(pixels.transpose(2, 0, 1))[None], torch.tensor(pixels.mean((0, 1), dtype=np.float64)).float()
            given = {name: value(sample) if callable(value) else value for name, value in options.items()}
            if "permutations" in given:
                orders = given.pop("permutations")
                method.permutation_generator = lambda *_, orders=orders: orders
            baseline = colour[None, :, None, None].expand_as(x).contiguous()
            each = method.attribute(x, baselines=baseline, target=found.target, perturbations_per_eval=8, **given)[0]
            assert torch.equal(each[0], each[2]), "channels come and go together"
            np.testing.assert_allclose(found.values, each[0].numpy(), atol=1e-5 * float(each.abs().max()))

    def test_patches(self) -> None:
        mask = torch.tensor(make_grid((32, 32), 5))[None, None]
        self.on_images(FeatureAblation(grid=5), captum.attr.FeatureAblation(tiny.shared("vit").forward), feature_mask=mask)

    @pytest.mark.parametrize(("pixels", "stride"), [(8, 4), (10, 7), (32, 1), (5, 5)])
    def test_windows(self, pixels: int, stride: int) -> None:
        method = captum.attr.Occlusion(tiny.shared("vit").forward)
        options = {"sliding_window_shapes": (3, pixels, pixels), "strides": (3, stride, stride)}
        self.on_images(Occlusion(pixels=pixels, stride=stride), method, **options)

    def test_shapley_value_sampling_of_patches(self) -> None:
        probe = ShapleyValueSampling(permutations=3, grid=3)
        mask = torch.tensor(make_grid((32, 32), 3))[None, None]
        orders = lambda sample: list(probe.orders(probe.parts(sample.input), probe.rng(sample.id)))  # noqa: E731
        self.on_images(probe, captum.attr.ShapleyValueSampling(tiny.shared("vit").forward), feature_mask=mask, permutations=orders)


class TestClosedForm:
    @pytest.mark.parametrize("probe", [FeatureAblation(), Occlusion(), ShapleyValueSampling(), KernelShap()])
    @pytest.mark.parametrize("target", ["predicted", "gold"])
    def test_words_that_add_up(self, probe: Perturbation, target: str) -> None:
        given = [Sample(f"a{i}", text, i % 2, ("no", "yes")) for i, text in enumerate(TEXTS)]
        probe = type(probe)(target=target)  # type: ignore[call-arg]
        for sample, found in zip(given, ask(Additive(), probe, given), strict=True):
            text = str(sample.input)
            words = [text[a:b] for a, b in found.spans]
            each = [sum(map(Additive.weight, re.findall(r"\w+", word))) for word in words]
            assert found.target == (sample.target if target == "gold" else int(sum(each) > 0))
            np.testing.assert_allclose(found.values, np.array(each) * (1 if found.target else -1), atol=1e-6)

    def test_a_window_is_shared_by_its_words(self) -> None:
        """Windows of 2 over 3 words: the middle one is in both."""
        (found,) = ask(Additive(), Occlusion(words=2, target="gold"), [Sample("a", "cat sat table", 1, ("no", "yes"))])
        a, b, c = (Additive.weight(word) for word in ("cat", "sat", "table"))
        np.testing.assert_allclose(found.values, [a + b, (a + 2 * b + c) / 2, b + c], atol=1e-6)

    def test_lime_without_penalty_finds_what_adds_up(self) -> None:
        (found,) = ask(Additive(), Lime(alpha=1e-9, target="gold"), [Sample("a", "cat sat table", 1, ("no", "yes"))])
        np.testing.assert_allclose(found.values, [Additive.weight(word) for word in ("cat", "sat", "table")], atol=1e-4)

    def test_limes_penalty_leaves_the_strongest(self) -> None:
        words = [f"w{i}" for i in range(30)]
        (found,) = ask(Additive(), Lime(alpha=0.2, target="gold"), [Sample("a", " ".join(words), 1, ("no", "yes"))])
        weights = np.array([Additive.weight(word) for word in words])
        assert 3 < np.count_nonzero(found.values) < 25
        assert np.abs(weights[found.values != 0]).min() > 0.3 > np.abs(weights).min()

    def test_kernel_shap_of_all_subsets_is_the_shapley_value(self) -> None:
        """A game of three words that do not add up; 3000 draws of its six proper subsets come near the kernel."""
        worth = {"": 0.0, "a": 1.0, "b": 2.0, "c": 0.0, "a b": 7.0, "a c": 1.0, "b c": 5.0, "a b c": 12.0}

        class Game(Additive):
            def classify(self, batch: Sequence[Classify]) -> list[Logits]:
                return [Logits((0.0, worth[str(r.input)])) for r in batch]

        (found,) = ask(Game(), KernelShap(subsets=3000), [Sample("game", "a b c", 1, ("no", "yes"))])
        gain = lambda part, before: worth[" ".join(sorted({*before, part}))] - worth[" ".join(sorted(before))]  # noqa: E731
        orders = list(itertools.permutations("abc"))
        exact = [sum(gain(part, order[: order.index(part)]) for order in orders) / len(orders) for part in "abc"]
        np.testing.assert_allclose(found.values, exact, atol=0.25)
        assert sum(exact) == pytest.approx(float(found.values.sum()), abs=1e-2)
        assert found.completeness_error == pytest.approx(0, abs=1e-2)

    def test_shapley_values_of_a_game_of_two(self) -> None:
        """Logit 6 where both words stand, 1 with the first alone, 2 with the second alone: by order (1, 5) or (4, 2)."""

        class Pair(Additive):
            def classify(self, batch: Sequence[Classify]) -> list[Logits]:
                return [Logits((0.0, {"a b": 6.0, "a": 1.0, "b": 2.0, "": 0.0}[str(r.input)])) for r in batch]

        probe = ShapleyValueSampling(permutations=9)
        (found,) = ask(Pair(), probe, [Sample("pair", "a b", 1, ("no", "yes"))])
        first = sum(order[0] == 0 for order in probe.orders(Parts("a b"), probe.rng("pair")))
        assert 0 < first < 9
        np.testing.assert_allclose(found.values, [(first + 4 * (9 - first)) / 9, (5 * first + 2 * (9 - first)) / 9], atol=1e-6)
        assert found.completeness_error == pytest.approx(0, abs=1e-12)

    @pytest.mark.parametrize(
        "probe", [FeatureAblation(target="gold", grid=2), Occlusion(target="gold", pixels=2), ShapleyValueSampling(target="gold", grid=2)]
    )
    def test_patches_of_an_image(self, probe: Perturbation) -> None:
        """`Bright` answers 8 * mean of the pixels: a patch moves that by its distance from the mean colour."""
        (sample,) = images(1, 4, 4)
        assert isinstance(sample.input, Image)
        (found,) = ask(Bright(), probe, [Sample("i", sample.input, 1, ("dark", "bright"))])
        pixels = np.asarray(sample.input.pixels, dtype=np.float64)
        change_HW = 8 * (pixels - pixels.mean((0, 1))).mean(-1) / 16
        windows = {(top, left): change_HW[top : top + 2, left : left + 2].sum() for top in range(3) for left in range(3)}
        for (y, x), value in np.ndenumerate(found.values):
            over = [w for (top, left), w in windows.items() if top <= y < top + 2 and left <= x < left + 2]
            expected = np.mean(over) if isinstance(probe, Occlusion) else windows[y // 2 * 2, x // 2 * 2]
            assert value == pytest.approx(expected, abs=1e-5)


class TestWork:
    def test_no_perturbation_is_computed_twice(self) -> None:
        for make in METHODS:
            model = Additive()
            ask(model, make(), [Sample(f"a{i}", text, 1, ("no", "yes")) for i, text in enumerate([*TEXTS, TEXTS[0]])])
            assert len(set(model.asked)) == len(model.asked)

    def test_all_samples_share_batches(self) -> None:
        model = Additive()
        found = ask(model, FeatureAblation(), [Sample(f"a{i}", f"w{i} x{i} y{i} z{i}", 1, ("no", "yes")) for i in range(32)])
        assert model.batches == [32, 64, 64], "the whole texts, then 32 x 4 without a word"
        assert {a.metadata["num_evaluations"] for a in found} == {5}

    def test_the_orders_beginnings_are_shared(self) -> None:
        """Of 25 orders of 5 words there are at most 2**5 sets, whole and empty among them."""
        model = Additive()
        engine = Engine(model, model.info)
        (found,) = ShapleyValueSampling().attribute(engine, [Sample("a", "a b c d e", 1, ("no", "yes"))])
        assert len(model.asked) == found.metadata["num_evaluations"] <= 32
        assert engine.counters.requests <= 32 + 1, "not even made, but the one that says which class is explained"

    @pytest.mark.parametrize("make", METHODS)
    def test_what_waits_for_an_answer_is_bounded(self, make: Callable[[], Perturbation], monkeypatch: pytest.MonkeyPatch) -> None:
        given = [Sample(f"a{i}", text, 1, ("no", "yes")) for i, text in enumerate(TEXTS)]
        at_once, held = ask(Additive(), make(), given), []
        monkeypatch.setattr(perturbation, "_BYTES_AT_ONCE", 3 * require_modality("").num_bytes(""))
        answer = perturbation._answer
        monkeypatch.setattr(perturbation, "_answer", lambda *a: (held.append(len(a[2])), answer(*a)))
        for a, b in zip(at_once, ask(Additive(), make(), given), strict=True):
            np.testing.assert_array_equal(a.values, b.values)
        assert max(held) == 3

    @pytest.mark.parametrize("make", METHODS)
    def test_neither_order_nor_company_counts(self, make: Callable[[], Perturbation]) -> None:
        together = ask(tiny.shared("bert"), make(), samples())
        for sample, a in zip(reversed(samples()), ask(tiny.shared("bert"), make(), samples()[::-1]), strict=True):
            (alone,) = ask(tiny.shared("bert"), make(), [sample])
            (b,) = [t for t in together if t.sample_id == sample.id]
            np.testing.assert_allclose(a.values, b.values, atol=1e-5 * float(np.abs(b.values).max()))
            np.testing.assert_allclose(alone.values, b.values, atol=1e-5 * float(np.abs(b.values).max()))

    def test_the_draw_is_the_sample_ids_and_the_seeds(self) -> None:
        parts = Parts(TEXTS[3])
        first, other, seeded = ShapleyValueSampling(), ShapleyValueSampling(), ShapleyValueSampling(seed=1)
        draw = lambda probe, name: list(probe.orders(parts, probe.rng(name)))  # noqa: E731
        assert draw(first, "x") == draw(other, "x")
        assert draw(first, "x") != draw(first, "y")
        assert draw(first, "x") != draw(seeded, "x")


class TestParts:
    def test_a_word_goes_with_all_its_tokens(self) -> None:
        text = TEXTS[3]
        parts = Parts(text)
        tokens = tiny.shared("bert").tokenizer.tokenize
        for index, (start, end) in enumerate(parts.spans):
            mask = np.arange(parts.size) != index
            left = parts.showing(mask)
            assert tokens(left) == tokens(text[:start]) + tokens(text[end:])

    def test_all_and_nothing(self) -> None:
        parts = Parts(TEXTS[3])
        assert parts.showing(np.ones(parts.size, dtype=bool)) == TEXTS[3]
        assert parts.showing(np.zeros(parts.size, dtype=bool)) == ""

    def test_a_grid(self) -> None:
        assert make_grid((4, 6), 2).tolist() == [[0, 0, 0, 1, 1, 1]] * 2 + [[2, 2, 2, 3, 3, 3]] * 2
        assert make_grid((2, 3), 8).tolist() == [[0, 1, 2], [3, 4, 5]], "no smaller than a pixel"
        sizes = np.bincount(make_grid((33, 50), 8).ravel())
        assert len(sizes) == 64
        assert sizes.min() >= 4 * 6

    def test_patches_in_the_mean_colour(self) -> None:
        (sample,) = images(1, 4, 4)
        assert isinstance(sample.input, Image)
        pixels = np.asarray(sample.input.pixels)
        shown = np.asarray(Parts(sample.input, 2).showing(np.array([True, False, True, True])).pixels)
        np.testing.assert_array_equal(shown[:2, :2], pixels[:2, :2])
        np.testing.assert_allclose(shown[:2, 2:], np.broadcast_to(pixels.mean((0, 1), dtype=np.float64), (2, 2, 3)), atol=1e-6)


class TestFailures:
    @pytest.mark.parametrize("make", METHODS)
    def test_bad_texts_end_as_their_own_errors(self, make: Callable[[], Perturbation]) -> None:
        given = samples(["the cat sat", "", "lone \ud800 surrogate", "  ", "bad films"])
        records = make_probe_records(tiny.engine("bert"), "p(t)", make(), SampleRng(0), given)
        assert [r.error is None for r in records] == [True, False, False, False, True]
        assert "no part" in str(records[1].error)
        assert "surrogate" in str(records[2].error)
        assert records[0].scores["comprehensiveness"] is not None

    def test_a_model_that_cannot_read_an_empty_text(self) -> None:
        """GPT-2 adds no token of its own: removing the only word leaves nothing to ask. Another sample is not touched."""
        engine = Engine(tiny.shared("gpt2_classifier"), ModelInfo({}))
        records = make_probe_records(engine, "p(t)", FeatureAblation(), SampleRng(0), samples(["cat", "the cat sat"]))
        assert "no tokens" in str(records[0].error)
        assert records[1].error is None

    def test_no_gold_class(self) -> None:
        with pytest.raises(SampleError, match="gold"):
            ask(Additive(), FeatureAblation(target="gold"), [Sample("a", "cat", None, ("no", "yes"))])

    @pytest.mark.parametrize(
        ("make", "options"),
        [
            (FeatureAblation, {"target": "best"}), (FeatureAblation, {"grid": 0}), (Occlusion, {"words": 0}), (Occlusion, {"pixels": 0}),
            (Occlusion, {"pixels": 4, "stride": 5}), (Occlusion, {"stride": 0}), (ShapleyValueSampling, {"permutations": 0}),
            (KernelShap, {"subsets": 0}), (Lime, {"subsets": 0}), (Lime, {"kernel_width": 0}), (Lime, {"alpha": 0}),
        ],
    )  # fmt: skip
    def test_bad_settings(self, make: Any, options: dict[str, Any]) -> None:
        with pytest.raises(ConfigError):
            make(**options)

    @pytest.mark.parametrize("make", METHODS)
    def test_no_samples(self, make: Callable[[], Perturbation]) -> None:
        assert ask(Additive(), make(), []) == []
