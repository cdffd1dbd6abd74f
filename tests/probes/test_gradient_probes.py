"""Probes that average gradients: against Captum on one sample at a time with the same draws, and in closed form."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import captum.attr
import numpy as np
import pytest
import torch
from windtunnel.harness.api.errors import ConfigError
from windtunnel.harness.api.model import ModelInfo
from windtunnel.harness.api.requests import Classify
from windtunnel.harness.api.samples import Attribution, Sample, SampleRng
from windtunnel.harness.engine import Engine
from windtunnel.harness.engine.packing import Budget
from windtunnel.harness.items.probe.records import attribute_samples, make_probe_records
from windtunnel.harness.modalities.image import Image
from windtunnel.harness.modalities.words import gather, word_spans
from windtunnel.probes.feature_ablation import FeatureAblation
from windtunnel.probes.gradient_shap import GradientShap
from windtunnel.probes.gradients import GradientProbe
from windtunnel.probes.input_x_gradient import InputXGradient
from windtunnel.probes.integrated_gradients import IntegratedGradients
from windtunnel.probes.kernel_shap import KernelShap
from windtunnel.probes.lime import Lime
from windtunnel.probes.occlusion import Occlusion
from windtunnel.probes.saliency import Saliency
from windtunnel.probes.shapley_value_sampling import ShapleyValueSampling
from windtunnel.probes.smoothgrad import SmoothGrad
from windtunnel.tests import tiny
from windtunnel.tests.bag import Bag

LABELS = tuple(tiny.LABELS)
TEXTS = ("the cat sat on a table", "bad films, that were great!", "unable", "it's an able dog and a table", "that cat sat on one table")
METHODS: tuple[Callable[[], GradientProbe], ...] = (
    Saliency, InputXGradient, lambda: SmoothGrad(points=1), lambda: SmoothGrad(points=5), lambda: GradientShap(points=6, noise=0.1),
)  # fmt: skip


def texts() -> list[Sample]:
    return [Sample(f"s{i}", text, i % 3, LABELS) for i, text in enumerate(TEXTS)]


def images() -> list[Sample]:
    rng = np.random.default_rng(1)
    return [Sample(f"i{i}", Image(rng.random((32, 32, 3), dtype=np.float32)), i % 3, LABELS) for i in range(3)]


def engine_of(name: str, rows: int = 64) -> Engine:
    return Engine(tiny.shared(name), ModelInfo({}), budget=Budget(1 << 20, rows))


Captums = Callable[[Any, torch.Tensor, torch.Tensor, Attribution, Sample], torch.Tensor]


def noise_of(probe: GradientProbe, step: int, sample: Sample, x: torch.Tensor) -> torch.Tensor:
    """What the probe adds to the sample x [1, ...] at a step."""
    return torch.randn(tuple(x.shape[1:]), generator=torch.Generator().manual_seed(probe.rng(step).seed(sample.id)))


class TestAgainstCaptum:
    def check(self, probe: GradientProbe, captums: Captums) -> None:
        for name, given in (("bert", texts()), ("vit", images())):
            engine = engine_of(name)
            found = list(probe.attribute(engine, given))
            with engine.differentiable() as net:
                for sample, a in zip(given, found, strict=True):
                    encoded = net.encode([Classify(sample.input, sample.labels)])

                    def forward(x: torch.Tensor, encoded: Any = encoded, net: Any = net) -> torch.Tensor:
                        logits: torch.Tensor = net.logits(x, encoded, torch.zeros(len(x), dtype=torch.long))
                        return logits

                    assert a.target == int(forward(encoded.features)[0].argmax())
                    values = captums(forward, encoded.features.requires_grad_(), encoded.baseline, a, sample)[0].detach().double()
                    if name == "bert":
                        expected = gather(values.sum(-1).numpy(), encoded.spans[0], word_spans(str(sample.input)))
                    else:
                        expected = values.sum(0).numpy()
                    np.testing.assert_allclose(a.values, expected, atol=1e-5 * float(np.abs(expected).max()))

    def test_saliency(self) -> None:
        self.check(Saliency(), lambda f, x, b, a, s: captum.attr.Saliency(f).attribute(x, target=a.target))

    def test_input_x_gradient(self) -> None:
        self.check(InputXGradient(), lambda f, x, b, a, s: captum.attr.InputXGradient(f).attribute(x, target=a.target))

    def test_smoothgrad(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Captum's noise tunnel over its saliency, with the noise that the probe draws for the sample."""
        probe = SmoothGrad(points=5)

        def captums(f: Any, x: torch.Tensor, b: torch.Tensor, a: Attribution, sample: Sample) -> torch.Tensor:
            deviation = 0.15 * float((x.max() - x.min()).detach())
            noise = torch.stack([noise_of(probe, step, sample, x) for step in range(5)])
            monkeypatch.setattr(torch, "normal", lambda mean, std: std * noise)
            method = captum.attr.NoiseTunnel(captum.attr.Saliency(f))
            found: torch.Tensor = method.attribute(x, nt_samples=5, stdevs=deviation, target=a.target)
            return found

        self.check(probe, captums)

    @pytest.mark.parametrize("noise", [0.0, 0.1])
    def test_gradient_shap(self, noise: float, monkeypatch: pytest.MonkeyPatch) -> None:
        probe = GradientShap(points=6, noise=noise)

        def captums(f: Any, x: torch.Tensor, b: torch.Tensor, a: Attribution, sample: Sample) -> torch.Tensor:
            shares = [probe.rng(step).seed(sample.id) / 2**63 for step in range(6)]
            added = torch.stack([noise_of(probe, step, sample, x) for step in range(6)])
            monkeypatch.setattr(torch, "normal", lambda mean, std: std * added)
            monkeypatch.setattr(np.random, "uniform", lambda low, high, size: np.array(shares))
            method = captum.attr.GradientShap(f)
            found: torch.Tensor = method.attribute(x, baselines=b, n_samples=6, stdevs=noise, target=a.target)
            return found

        self.check(probe, captums)


@pytest.mark.parametrize(("tokens", "passes"), [(1 << 20, 1), (64, 2), (32, 2)])
def test_a_large_pass_that_is_the_only_one_is_cut_in_two(tokens: int, passes: int) -> None:
    """Three images of 16 positions: the second pass takes the memory of the first."""
    engine = Engine(tiny.shared("vit"), ModelInfo({}), budget=Budget(tokens, 64))
    found = list(Saliency().attribute(engine, images()))
    assert engine.counters.gradient_passes == passes
    for a, b in zip(found, Saliency().attribute(engine_of("vit"), images()), strict=True):
        np.testing.assert_allclose(a.values, b.values, atol=1e-5 * float(np.abs(b.values).max()))


class TestClosedForm:
    PLAIN = ("a good film", "an excellent picture of many people", "unremarkable")

    def given(self) -> list[Sample]:
        return [Sample(f"s{i}", text, i % 2, ("negative", "positive")) for i, text in enumerate(self.PLAIN)]

    def engine(self) -> Engine:
        return Engine(Bag(), Bag.info)

    def test_all_agree_on_a_linear_model(self) -> None:
        """A word is worth its tokens' embeddings times the weights: whatever else is shown, and wherever the gradient is taken."""
        model = Bag()
        probes = (
            IntegratedGradients(), FeatureAblation(), Occlusion(), ShapleyValueSampling(permutations=2), InputXGradient(),
            GradientShap(points=2), KernelShap(subsets=60), Lime(subsets=300, alpha=1e-9),
        )  # fmt: skip
        for probe in probes:
            for sample, found in zip(self.given(), probe.attribute(self.engine(), self.given()), strict=True):
                text, weight = str(sample.input), model.module.weight.detach()
                inside = [[text[a:b] for a, b in model.tokens(text) if start <= a < end] for start, end in word_spans(text)]
                expected = [float(sum(weight[found.target] @ model.embedding(t) for t in tokens)) for tokens in inside]
                # LIME's solver stops at about that.
                atol = 1e-4 if isinstance(probe, Lime) else 1e-5
                np.testing.assert_allclose(found.values, expected, atol=atol, err_msg=type(probe).__name__)
                assert (found.completeness_error or 0) < 1e-4

    def test_saliency_of_a_linear_model(self) -> None:
        """The weights' absolute sum for each token."""
        model = Bag()
        for probe in (Saliency(), SmoothGrad(points=3)):
            for sample, found in zip(self.given(), probe.attribute(self.engine(), self.given()), strict=True):
                text, size = str(sample.input), float(model.module.weight[found.target].detach().abs().sum())
                num = [sum(start <= a < end for a, _ in model.tokens(text)) for start, end in word_spans(text)]
                np.testing.assert_allclose(found.values, np.array(num) * size, rtol=1e-5)


def test_input_times_gradient_is_about_positions_before_a_layer_normalisation() -> None:
    """What the page says of BERT: minus the gradient times all that is added to the token's embedding."""
    engine, probe = engine_of("bert"), InputXGradient()
    embeddings: Any = engine.model.module.bert.embeddings  # type: ignore[attr-defined]
    for sample, found in zip(texts(), probe.attribute(engine, texts()), strict=True):
        with engine.differentiable() as net:
            encoded = net.encode([Classify(sample.input, sample.labels)])
            x = encoded.features.requires_grad_()
            (gradient,) = torch.autograd.grad(net.logits(x, encoded)[0, found.target], x)
            added = embeddings.position_embeddings.weight[: x.shape[1]] + embeddings.token_type_embeddings.weight[0]
        expected = gather(-(gradient[0] * added).sum(-1).numpy(), encoded.spans[0], found.spans)
        np.testing.assert_allclose(found.values, expected, atol=1e-4 * float(np.abs(expected).max()))


class TestBatches:
    @pytest.mark.parametrize("make", METHODS)
    @pytest.mark.parametrize("given", [texts(), images()])
    def test_neither_order_nor_company_counts(self, make: Callable[[], GradientProbe], given: list[Sample]) -> None:
        name = "bert" if isinstance(given[0].input, str) else "vit"
        together = list(make().attribute(engine_of(name), given))
        narrow = list(make().attribute(engine_of(name, rows=2), given[::-1]))[::-1]
        for sample, a, b in zip(given, together, narrow, strict=True):
            (alone,) = make().attribute(engine_of(name), [sample])
            for other in (b, alone):
                np.testing.assert_allclose(other.values, a.values, atol=1e-5 * float(np.abs(a.values).max()))

    def test_points_and_samples_share_passes(self) -> None:
        """Texts of 6 tokens beside special ones: their points fill passes of 64 rows together, without padding."""
        given = [Sample(f"s{i}", "the cat sat on a table", i % 3, LABELS) for i in range(8)]
        engine = engine_of("bert")
        SmoothGrad(points=20, target="gold").attribute(engine, given)
        assert engine.counters.gradient_passes == 3, "160 rows"
        assert engine.counters.tokens_padded == 0

    def test_integrated_gradients_pads_only_where_it_checks_the_sum(self) -> None:
        engine = engine_of("bert")
        IntegratedGradients(steps=50, max_steps=50, target="gold").attribute(engine, texts())
        lengths = [len(tiny.shared("bert").tokenizer(t)["input_ids"]) for t in TEXTS]
        assert engine.counters.tokens_computed == (50 + 2) * sum(lengths)
        assert engine.counters.tokens_padded == 2 * sum(max(lengths) - n for n in lengths)

    def test_the_draw_is_the_sample_ids_and_the_seeds(self) -> None:
        same = [Sample("a", TEXTS[0], 0, LABELS), Sample("b", TEXTS[0], 0, LABELS)]
        a, b = SmoothGrad(points=2).attribute(engine_of("bert"), same)
        (c,) = SmoothGrad(points=2, seed=1).attribute(engine_of("bert"), same[:1])
        assert not np.allclose(a.values, b.values)
        assert not np.allclose(a.values, c.values)


class TestFailures:
    @pytest.mark.parametrize("make", METHODS)
    def test_bad_texts_end_as_their_own_errors(self, make: Callable[[], GradientProbe]) -> None:
        bad: Sequence[str] = ("the cat sat", "", "lone \ud800 surrogate", "bad films")
        given = [Sample(f"s{i}", text, 0, LABELS) for i, text in enumerate(bad)]
        records = make_probe_records(engine_of("bert"), "p(t)", make(), SampleRng(0), given)
        assert [r.error is None for r in records] == [True, False, False, True]
        assert "no part" in str(records[1].error)
        assert records[0].scores["comprehensiveness"] is not None

    @pytest.mark.parametrize(
        ("make", "options"),
        [(Saliency, {"target": "best"}), (SmoothGrad, {"points": 0}), (SmoothGrad, {"noise": -1}), (GradientShap, {"noise": -0.1})],
    )
    def test_bad_settings(self, make: Any, options: dict[str, Any]) -> None:
        with pytest.raises(ConfigError):
            make(**options)

    @pytest.mark.parametrize("make", METHODS)
    def test_no_samples(self, make: Callable[[], GradientProbe]) -> None:
        assert list(make().attribute(engine_of("bert"), [])) == []


class TestMemory:
    """Law 5 of the engine, for passes that are no requests."""

    def crowded(self, monkeypatch: pytest.MonkeyPatch, fits: int) -> list[int]:
        """Passes of more rows than fit do not; the rows of those that did."""
        model = tiny.shared("bert")
        seen: list[int] = []
        plain = type(model).logits

        def logits(self: Any, features: torch.Tensor, encoded: Any, rows: Any = None) -> torch.Tensor:
            if len(features) > fits:
                raise RuntimeError("CUDA out of memory. Tried to allocate 2 GiB")
            seen.append(len(features))
            return plain(self, features, encoded, rows)

        monkeypatch.setattr(type(model), "logits", logits)
        return seen

    def test_gradient_passes_that_do_not_fit_are_made_smaller(self, monkeypatch: pytest.MonkeyPatch) -> None:
        probe, given = IntegratedGradients(steps=12, max_steps=12), texts()
        whole = attribute_samples(engine_of("bert"), probe, given)
        seen = self.crowded(monkeypatch, 5)
        engine = engine_of("bert")
        found = attribute_samples(engine, probe, given)
        for one, other in zip(found, whole, strict=True):
            assert isinstance(one, Attribution)
            assert isinstance(other, Attribution)
            np.testing.assert_allclose(one.values, other.values, rtol=0, atol=1e-5 * float(np.abs(other.values).max()))
        assert max(map(len, engine.groups([4] * 64))) == 4, "of 64 rows a pass four are left after as many halvings"
        assert max(seen) == 5
        assert engine.counters.oom_splits == 4
        attribute_samples(engine, probe, given)
        assert engine.counters.oom_splits == 4, "and it stays so"

    def test_what_never_fits_is_an_error_and_leaves_others_their_passes(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.crowded(monkeypatch, 0)
        engine = engine_of("bert")
        assert all("out of memory" in str(found) for found in attribute_samples(engine, IntegratedGradients(target="gold"), texts()))
        assert engine.groups([4] * 64) == engine_of("bert").groups([4] * 64)

    def test_another_error_is_not_tried_again(self) -> None:
        engine = engine_of("bert")
        with pytest.raises(RuntimeError, match="power cut"):
            engine.in_memory(lambda: (_ for _ in ()).throw(RuntimeError("power cut")))
        assert engine.counters.oom_splits == 0
