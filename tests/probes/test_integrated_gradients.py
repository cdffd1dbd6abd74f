"""Integrated gradients against closed forms and Captum called on one sample at a time."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from captum.attr import IntegratedGradients as Captum
from windtunnel.examples.demo import digits
from windtunnel.harness.api.errors import ConfigError, SampleError
from windtunnel.harness.api.model import Encoded
from windtunnel.harness.api.requests import Classify
from windtunnel.harness.api.samples import Attribution, Sample, SampleRng
from windtunnel.harness.engine import Engine
from windtunnel.harness.engine.packing import Budget
from windtunnel.harness.items.probe.records import make_probe_records
from windtunnel.harness.modalities.image import Image
from windtunnel.harness.modalities.words import gather, word_spans
from windtunnel.harness.models.hf.source import HuggingFace
from windtunnel.harness.models.torch.source import TorchModule
from windtunnel.probes.integrated_gradients import IntegratedGradients
from windtunnel.probes.layer_conductance import LayerConductance
from windtunnel.probes.layer_integrated_gradients import LayerIntegratedGradients
from windtunnel.tests.bag import Bag

LABELS = ("negative", "positive")
TEXTS = (
    "a good film",
    "The worst phone I have ever owned, and I have owned many of them since the nineties: broken in a week.",
    "Excellent!",
    "it's okay but un-remarkable",
    "I am so happy with this product that I bought it again for my mother",
)
MODELS = Path(digits.__file__).parent / "models"


def samples(texts: Sequence[str] = TEXTS) -> list[Sample]:
    return [Sample(f"s{i}", text, i % 2, LABELS) for i, text in enumerate(texts)]


def engine_of(model: Any, rows: int = 64) -> Engine:
    return Engine(model, model.info, budget=Budget(1 << 20, rows))


def attributed(engine: Engine, given: Sequence[Sample], **options: Any) -> list[Attribution]:
    return list(IntegratedGradients(**options).attribute(engine, given))


@pytest.fixture(scope="module")
def reviews() -> Engine:
    source = HuggingFace(str(MODELS / "reviews-bert"))
    return Engine(source.load("cpu", "float32"), source.inspect())


class Cliff(Bag):
    """3 after seven tenths of the way from the neutral input, by the sum of the tokens, and -3 before."""

    def logits(self, features: torch.Tensor, encoded: Encoded, rows: torch.Tensor | None = None, /) -> torch.Tensor:
        assert encoded.mask_BL is not None
        rows = torch.arange(len(features)) if rows is None else rows
        mask = encoded.mask_BL[rows][:, :, None]
        here, start, end = (self.module((x * mask).sum(1)) for x in (features, encoded.baseline[rows], encoded.features[rows]))
        return 3 * torch.tanh(2000 * ((here - start) / (end - start) - 0.7))


def tokens_of(sample: Sample) -> list[tuple[int, int]]:
    return Bag().tokens(str(sample.input))


class TestClosedForm:
    @pytest.mark.parametrize("target", ["predicted", "gold"])
    def test_linear_text(self, target: str) -> None:
        model = Bag()
        for sample, found in zip(samples(), attributed(engine_of(model), samples(), target=target), strict=True):
            text, weight = str(sample.input), model.module.weight.detach()
            tokens = model.tokens(text)
            each = torch.stack([weight @ model.embedding(text[a:b]) for a, b in tokens])
            total = weight @ model.embedding("[CLS]") + each.sum(0)
            assert found.target == (sample.target if target == "gold" else int(total.argmax()))
            assert found.spans == word_spans(text)
            for value, (start, end) in zip(found.values, found.spans, strict=True):
                share = [max(0, min(b, end) - max(a, start)) / (b - a) for a, b in tokens]
                assert value == pytest.approx(float((each[:, found.target] * torch.tensor(share)).sum()), abs=1e-5)
            assert found.values.sum() == pytest.approx(float(each[:, found.target].sum()), abs=1e-5), "words sum to what tokens do"
            assert found.completeness_error == pytest.approx(0, abs=1e-5)
            assert found.metadata == {"converged": True, "num_steps": 32}

    def test_the_special_token_is_in_both_inputs(self) -> None:
        """Its attribution is 0 whatever its weight, so words lose nothing and completeness holds over all tokens."""
        model = Bag("tanh")
        (found,) = attributed(engine_of(model), samples()[:1])
        logits = [model.classify([Classify(text, LABELS)])[0].values[found.target] for text in (TEXTS[0], "")]
        assert float(found.values.sum()) == pytest.approx(logits[0] - logits[1], abs=1e-4)

    def test_linear_image(self, tmp_path: Path) -> None:
        path = tmp_path / "models.py"
        path.write_text(
            "import torch\nfrom torch import nn\n\ndef load():\n    torch.manual_seed(0)\n"
            "    return nn.Sequential(nn.Flatten(), nn.Linear(60, 3))\n"
        )
        source = TorchModule(f"{path}:load", labels=["a", "b", "c"])
        model: Any = source.load("cpu", "float32")
        rng = np.random.default_rng(0)
        given = [Sample(str(i), Image(rng.random((4, 5, 3), dtype=np.float32)), i, ("b", "c", "a")) for i in range(3)]
        weight = model.module[1].weight.detach().view(3, 3, 4, 5).numpy()
        for sample, found in zip(given, attributed(Engine(model, source.inspect()), given, target="gold"), strict=True):
            assert isinstance(sample.input, Image)
            # Black is the neutral input: w * (x - 0), summed over channels; target i counts through (b, c, a).
            expected = (weight[(i := (sample.target + 1) % 3)] * sample.input.pixels.transpose(2, 0, 1)).sum(0)
            np.testing.assert_allclose(found.values, expected, atol=1e-5)
            assert found.target == sample.target
            assert found.completeness_error is not None
            assert found.completeness_error < 1e-5
            assert i != sample.target

    def test_permuted_labels(self) -> None:
        turned = [replace(s, labels=LABELS[::-1], target=1 - s.target) for s in samples()]
        model = Bag()
        for a, b in zip(attributed(engine_of(model), samples()), attributed(engine_of(model), turned), strict=True):
            assert a.target == 1 - b.target
            np.testing.assert_allclose(a.values, b.values, atol=1e-6)


class TestConvergence:
    def test_completeness_on_a_smooth_model(self) -> None:
        assert all((a.completeness_error or 0) < 1e-4 for a in attributed(engine_of(Bag("tanh")), samples()))

    def test_the_way_is_halved_where_the_model_saturates(self) -> None:
        found = attributed(engine_of(Bag("saturated")), samples(), steps=4, max_steps=1024)
        steps = [a.metadata["num_steps"] for a in found]
        assert len(set(steps)) > 1, "each sample takes its own number"
        assert all(s == 4 or (s - 4) % 16 == 0 for s in steps), "halves of 8 points each"
        assert all(a.metadata["converged"] for a in found)

    def test_a_change_on_a_thousandth_of_the_way_is_found(self) -> None:
        """Of a logit that depends on the tokens' sum alone each has its share of the change, wherever on the way that is."""
        model = Cliff()
        for sample, a in zip(samples(), attributed(engine_of(model), samples(), max_steps=512), strict=True):
            weight, text = model.module.weight.detach()[a.target], str(sample.input)
            each = np.array([float(weight @ model.embedding(text[x:y])) for x, y in tokens_of(sample)])
            assert a.metadata["converged"]
            assert a.metadata["num_steps"] < 256
            np.testing.assert_allclose(a.values.sum(), 6, atol=0.12)
            expected = gather(6 * each / each.sum(), tokens_of(sample), a.spans)
            np.testing.assert_allclose(a.values, expected, atol=0.02 * float(np.abs(expected).max()))
        assert not any(a.metadata["converged"] for a in attributed(engine_of(model), samples(), max_steps=40))

    def test_samples_that_need_different_pieces_share_passes(self) -> None:
        together = attributed(engine_of(Cliff()), samples(), max_steps=512)
        for sample, a in zip(samples(), together, strict=True):
            (alone,) = attributed(engine_of(Cliff(), rows=3), [sample], max_steps=512)
            np.testing.assert_allclose(a.values, alone.values, atol=1e-4 * float(np.abs(a.values).max()))

    def test_the_tolerance_is_a_share_of_the_change(self) -> None:
        model, between = Bag("saturated"), 0
        for steps in (4, 16, 64):
            for sample, a in zip(
                samples(), attributed(engine_of(model), samples(), steps=steps, max_steps=steps, tolerance=0.5), strict=True
            ):
                full, empty = (model.classify([Classify(text, LABELS)])[0].values[a.target] for text in (str(sample.input), ""))
                assert a.completeness_error is not None
                assert a.metadata["converged"] is (a.completeness_error <= max(0.01, 0.5 * abs(full - empty)))
                between += 0.01 < a.completeness_error <= 0.5 * abs(full - empty)
        assert between, "the case that tells the two bounds apart"

    def test_what_does_not_converge_says_so(self) -> None:
        found = attributed(engine_of(Bag("saturated")), samples(), steps=4, max_steps=37, tolerance=0)
        loose = [a for a in found if not a.metadata["converged"]]
        assert loose
        for a in loose:
            assert a.metadata["num_steps"] == 4 + 16 * 2, "no more than it may"
            assert a.completeness_error is not None
            assert a.completeness_error > 0.01

    def test_the_error_is_against_the_models_own_change(self) -> None:
        model = Bag("saturated")
        for sample, a in zip(samples(), attributed(engine_of(model), samples(), steps=3, max_steps=3), strict=True):
            full, empty = (model.classify([Classify(text, LABELS)])[0].values[a.target] for text in (str(sample.input), ""))
            assert a.completeness_error == pytest.approx(abs(float(a.values.sum()) - (full - empty)), abs=1e-3)


STEEP = """
import torch
from torch import nn

def load():
    torch.manual_seed(1)
    net = nn.Sequential(nn.Conv2d(3, 4, 3, padding=1), nn.Hardtanh(), nn.Flatten(), nn.Linear(64, 8), nn.ReLU6(), nn.Linear(8, 3))
    with torch.no_grad():
        for part in net.parameters():
            part.mul_(9)
    return net
"""


@pytest.mark.parametrize(
    ("make", "sizes"),
    [
        (IntegratedGradients, (4, 20, 36, 52, 100)),
        (partial(LayerIntegratedGradients, layer="0"), (4, 20, 36, 52)),
        (partial(LayerConductance, layer="0"), (4, 6, 8, 12, 20)),
    ],
)
def test_more_points_never_end_in_a_worse_sum(tmp_path: Path, make: Callable[..., Any], sizes: Sequence[int]) -> None:
    """Of a net with many kinks a piece's 8 points can be worse than the whole's: the best sum is kept, however many points follow."""
    (tmp_path / "models.py").write_text(STEEP)
    source = TorchModule(f"{tmp_path / 'models.py'}:load", labels=["a", "b", "c"])
    engine = Engine(source.load("cpu", "float32"), source.inspect())
    rng = np.random.default_rng(0)
    given = [Sample(str(i), Image(rng.random((4, 4, 3), dtype=np.float32)), 0, ("a", "b", "c")) for i in range(6)]
    errors = np.array([[a.completeness_error for a in make(steps=4, max_steps=most).attribute(engine, given)] for most in sizes])
    assert (np.diff(errors, axis=0) <= 1e-3).all()
    assert errors[-1].mean() < errors[0].mean()


@pytest.mark.parametrize("make", [IntegratedGradients, lambda **more: LayerIntegratedGradients(layer="bert.encoder.layer.0", **more)])
def test_pieces_are_the_integral(reviews: Engine, make: Callable[..., Any]) -> None:
    halved = make(steps=1, tolerance=1e-4, max_steps=2000).attribute(reviews, samples())
    for a, whole in zip(halved, make(steps=1000, max_steps=1000).attribute(reviews, samples()), strict=True):
        assert a.metadata["num_steps"] > 1
        np.testing.assert_allclose(a.values, whole.values, atol=5e-3 * float(np.abs(whole.values).max()))


class TestOnTransformers:
    def test_captum_one_at_a_time(self, reviews: Engine) -> None:
        """Same steps, same baseline, one text a call: 1e-5 of the largest attribution."""
        found = attributed(reviews, samples(), max_steps=32)
        with reviews.differentiable() as net:
            for sample, a in zip(samples(), found, strict=True):
                encoded = net.encode([Classify(sample.input, LABELS)])
                method = Captum(lambda x, encoded=encoded: net.logits(x, encoded, torch.zeros(len(x), dtype=torch.long)))
                values = method.attribute(encoded.features, baselines=encoded.baseline, target=a.target, n_steps=32, method="gausslegendre")
                tokens = values.sum(-1)[0].detach().numpy()
                assert float(np.abs(tokens[[s == (0, 0) for s in encoded.spans[0]]]).max()) == 0, "special tokens are neutral"
                assert float(a.values.sum()) == pytest.approx(float(tokens.sum()), abs=1e-5 * float(np.abs(tokens).max()) + 1e-6)
                for value, (start, end) in zip(a.values, a.spans, strict=True):
                    inside = [v for v, (x, y) in zip(tokens, encoded.spans[0], strict=True) if start <= x < y <= end]
                    assert value == pytest.approx(sum(inside), abs=1e-5 * float(np.abs(tokens).max()) + 1e-6)

    def test_padding_is_invisible(self, reviews: Engine) -> None:
        together = attributed(reviews, samples())
        for sample, a in zip(samples(), together, strict=True):
            (alone,) = attributed(reviews, [sample])
            np.testing.assert_allclose(a.values, alone.values, atol=1e-5 * max(1.0, float(np.abs(a.values).max())))
            assert (a.target, a.metadata, a.spans) == (alone.target, alone.metadata, alone.spans)

    def test_bad_texts_end_as_their_own_errors(self, reviews: Engine) -> None:
        given = samples(["a good film", "", "lone \ud800 surrogate", "  ", "a bad film"])
        records = make_probe_records(reviews, "ig(t)", IntegratedGradients(), SampleRng(0), given)
        assert [r.error is None for r in records] == [True, False, False, False, True]
        assert "no part" in str(records[1].error)
        assert "surrogate" in str(records[2].error)
        assert records[0].scores["comprehensiveness"] is not None

    def test_a_text_longer_than_the_model(self, reviews: Engine) -> None:
        text = "a good film and " * 200
        (found,) = attributed(reviews, samples([text]), max_steps=32)
        assert len(found.values) == 800
        assert found.values[0] != 0
        assert not found.values[-50:].any(), "what was cut moved nothing"

    def test_digits(self) -> None:
        source = HuggingFace(str(MODELS / "digits-vit"))
        engine = Engine(source.load("cpu", "float32"), source.inspect())
        given = [
            Sample(str(i), Image(r["image"]), r["label"], tuple(digits.NAMES)) for i, r in zip(range(12), digits.held_out(), strict=False)
        ]
        records = make_probe_records(engine, "ig(t)", IntegratedGradients(), SampleRng(0), given)
        assert all(r.error is None for r in records)
        mean = {n: float(np.mean([r.scores[n] for r in records])) for n in records[0].scores}  # type: ignore[arg-type]
        assert mean["comprehensiveness"] > mean["comprehensiveness_random"] + 0.2
        assert mean["sufficiency"] < mean["sufficiency_random"] - 0.2
        assert records[0].artifacts["attribution"]["values"].shape == (8, 8)


class TestFailures:
    def test_everything_is_as_before_after_a_crash(self) -> None:
        model = Bag()
        engine = engine_of(model)
        attributed(engine, samples())
        model.module.train()
        model.break_at = 2
        with pytest.raises(RuntimeError, match="power cut"):
            attributed(engine, samples())
        assert model.module.training
        assert not model.module._forward_hooks
        assert model.module.weight.requires_grad
        assert model.module.weight.grad is None

    @pytest.mark.parametrize("target", [None, "positive"])
    def test_no_gold_class(self, target: Any) -> None:
        with pytest.raises(SampleError, match="gold"):
            attributed(engine_of(Bag()), [replace(samples()[0], target=target)], target="gold")

    def test_gold_asks_the_model_nothing_more(self) -> None:
        engine = engine_of(Bag())
        attributed(engine, samples(), target="gold")
        assert engine.counters.forward_passes == 0

    @pytest.mark.parametrize("options", [{"steps": 0}, {"steps": 8, "max_steps": 4}, {"target": "best"}])
    def test_bad_settings(self, options: Any) -> None:
        with pytest.raises(ConfigError):
            IntegratedGradients(**options)

    def test_no_samples(self) -> None:
        assert attributed(engine_of(Bag()), []) == []

    def test_small_batches_give_the_same(self) -> None:
        wide, narrow = (attributed(engine_of(Bag("tanh"), rows), samples()) for rows in (64, 2))
        for a, b in zip(wide, narrow, strict=True):
            np.testing.assert_allclose(a.values, b.values, atol=1e-6)
