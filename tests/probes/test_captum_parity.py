"""Every method that Captum has, beside Captum called directly on one sample at a time: a convolutional network and a text encoder.

Where a method draws, Captum is given the same draws. Equal is within 1e-5 of the largest value, in float32.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple

import captum.attr as ca
import numpy as np
import pytest
import torch
from captum._utils.models.linear_model import SkLearnLasso, SkLearnLinearRegression
from captum.attr._core.lime import get_exp_kernel_similarity_function
from windtunnel.harness.api.model import ModelInfo
from windtunnel.harness.api.registry import Registry
from windtunnel.harness.api.requests import Classify
from windtunnel.harness.api.samples import Sample
from windtunnel.harness.engine import Engine
from windtunnel.harness.modalities.image import Image
from windtunnel.harness.modalities.regions import make_grid
from windtunnel.harness.modalities.words import cut_out, gather, word_spans
from windtunnel.harness.models.torch.source import TorchModule
from windtunnel.probes.deep_lift import DeepLift
from windtunnel.probes.feature_ablation import FeatureAblation
from windtunnel.probes.grad_cam import GradCam
from windtunnel.probes.gradient_shap import GradientShap
from windtunnel.probes.input_x_gradient import InputXGradient
from windtunnel.probes.integrated_gradients import IntegratedGradients
from windtunnel.probes.kernel_shap import KernelShap
from windtunnel.probes.layer_conductance import LayerConductance
from windtunnel.probes.layer_integrated_gradients import LayerIntegratedGradients
from windtunnel.probes.lime import Lime
from windtunnel.probes.neuron_conductance import NeuronConductance
from windtunnel.probes.occlusion import Occlusion
from windtunnel.probes.perturbation import Perturbation
from windtunnel.probes.saliency import Saliency
from windtunnel.probes.shapley_value_sampling import ShapleyValueSampling
from windtunnel.probes.smoothgrad import SmoothGrad
from windtunnel.tests import tiny

LABELS = tuple(tiny.LABELS)
NET = """
import torch
from torch import nn

def load():
    torch.manual_seed(0)
    made = nn.Sequential(
        nn.Conv2d(3, 4, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(4, 5, 3), nn.Tanh(), nn.Flatten(), nn.Linear(80, 6), nn.ReLU(),
        nn.Linear(6, 3),
    )
    made[-1].weight.data *= 30
    return made
"""
LAYER = {"net": "3", "bert": "bert.embeddings"}
NEURON = {"net": (2, 1, 3), "bert": (1, 5)}
GRID = 3


@dataclass
class Asked:
    """One sample as Captum is asked about it. ``forward``: of features; ``game``: of masks [N, P] over words or patches."""

    model: str
    sample: Sample
    target: int
    probe: Any
    forward: Callable[[torch.Tensor], torch.Tensor]
    x: torch.Tensor
    baseline: torch.Tensor
    layer: torch.nn.Module
    patch: pytest.MonkeyPatch

    def game(self, masks: torch.Tensor) -> torch.Tensor:
        if isinstance(self.sample.input, Image):
            pixels = np.asarray(self.sample.input.pixels)
            colour, cells = pixels.mean((0, 1), dtype=np.float64).astype(np.float32), make_grid(pixels.shape[:2], GRID)
            shown = [np.where((mask.numpy() > 0)[cells][:, :, None], pixels, colour) for mask in masks]
            return self.forward(torch.tensor(np.stack(shown)).permute(0, 3, 1, 2))
        adapter, text = tiny.shared("bert"), str(self.sample.input)
        spans = word_spans(text)
        kept = [cut_out(text, [s for s, on in zip(spans, mask, strict=True) if not on]) for mask in masks.tolist()]
        logits: torch.Tensor = adapter.module(**adapter.tokenizer(kept, padding=True, return_tensors="pt")).logits
        return logits

    @property
    def ones(self) -> torch.Tensor:
        is_image = isinstance(self.sample.input, Image)
        return torch.ones(1, GRID * GRID if is_image else len(word_spans(str(self.sample.input))))

    def masks(self) -> list[np.ndarray]:
        return [mask.copy() for mask in self.probe.masks(self.probe.parts(self.sample.input), self.probe.rng(self.sample.id))]

    def same_draws(self, num: int) -> None:
        """The noise and the shares of the way that the probe draws, for Captum."""
        shape, seeds = tuple(self.x.shape[1:]), [self.probe.rng(step).seed(self.sample.id) for step in range(num)]
        noise = torch.stack([torch.randn(shape, generator=torch.Generator().manual_seed(seed)) for seed in seeds])
        self.patch.setattr(torch, "normal", lambda mean, std: std * noise)
        self.patch.setattr(np.random, "uniform", lambda low, high, size: np.array(seeds) / 2**63)


def smoothgrad(a: Asked) -> Any:
    a.same_draws(5)
    deviation = 0.15 * float((a.x.max() - a.x.min()).detach())
    return ca.NoiseTunnel(ca.Saliency(a.forward)).attribute(a.x, nt_samples=5, stdevs=deviation, target=a.target)


def gradient_shap(a: Asked) -> Any:
    a.same_draws(6)
    return ca.GradientShap(a.forward).attribute(a.x, baselines=a.baseline, n_samples=6, stdevs=0.1, target=a.target)


def occlusion(a: Asked) -> Any:
    if a.model == "bert":
        return ca.Occlusion(a.game).attribute(a.ones, sliding_window_shapes=(2,), target=a.target)
    colour = a.x.double().mean((2, 3), keepdim=True).float().expand_as(a.x).contiguous()
    window, stride = (3, 4, 4), (3, 2, 2)
    return ca.Occlusion(a.forward).attribute(a.x, window, stride, baselines=colour, target=a.target)[:, :1]


def shapley(a: Asked) -> Any:
    method = ca.ShapleyValueSampling(a.game)
    method.permutation_generator = lambda *_: a.probe.orders(a.probe.parts(a.sample.input), a.probe.rng(a.sample.id))
    return method.attribute(a.ones, target=a.target)


def kernel_shap(a: Asked) -> Any:
    def perturb(original: torch.Tensor, **_: Any) -> Iterator[torch.Tensor]:
        for mask in a.masks():
            yield torch.tensor(mask)[None].long()

    method = ca.KernelShap(a.game)
    method.perturb_func = perturb
    return method.attribute(a.ones, target=a.target, n_samples=len(a.masks()))


def lime(a: Asked) -> Any:
    masks = iter(a.masks())
    method = ca.Lime(
        a.game, interpretable_model=SkLearnLasso(alpha=0.01), similarity_func=get_exp_kernel_similarity_function("cosine", 0.5),
        perturb_func=lambda original, **_: torch.tensor(next(masks))[None].long(),
    )  # fmt: skip
    return method.attribute(a.ones, target=a.target, n_samples=40)


def grad_cam(a: Asked) -> Any:
    small = ca.LayerGradCam(a.forward, a.layer).attribute(a.x, target=a.target, relu_attributions=True)
    return ca.LayerAttribution.interpolate(small, a.x.shape[-2:], "bilinear")


def layer(a: Asked, found: torch.Tensor) -> Any:
    """A layer's maps at the size of the pixels."""
    return found if a.model == "bert" else ca.LayerAttribution.interpolate(found.sum(1, keepdim=True), a.x.shape[-2:], "bilinear")


class Case(NamedTuple):
    """``make``: the probe for a model. ``captum``: a tensor of features, or of ``parts``. ``only``: the model that it is for."""

    make: Callable[[str], Any]
    captum: Callable[[Asked], Any]
    parts: bool = False
    only: str = ""


TABLE = {
    "saliency": Case(lambda m: Saliency(), lambda a: ca.Saliency(a.forward).attribute(a.x, target=a.target)),
    "input_x_gradient": Case(lambda m: InputXGradient(), lambda a: ca.InputXGradient(a.forward).attribute(a.x, target=a.target)),
    "smoothgrad": Case(lambda m: SmoothGrad(points=5), smoothgrad),
    "gradient_shap": Case(lambda m: GradientShap(points=6, noise=0.1), gradient_shap),
    "integrated_gradients": Case(
        lambda m: IntegratedGradients(steps=20, max_steps=20),
        lambda a: ca.IntegratedGradients(a.forward).attribute(a.x, a.baseline, target=a.target, n_steps=20),
    ),
    "deep_lift": Case(lambda m: DeepLift(), lambda a: ca.DeepLift(a.forward).attribute(a.x, a.baseline, target=a.target), only="net"),
    "grad_cam": Case(lambda m: GradCam(layer=LAYER[m]), grad_cam, only="net"),
    "layer_integrated_gradients": Case(
        lambda m: LayerIntegratedGradients(layer=LAYER[m], steps=20, max_steps=20),
        lambda a: layer(a, ca.LayerIntegratedGradients(a.forward, a.layer).attribute(a.x, a.baseline, target=a.target, n_steps=20)),
    ),
    "layer_conductance": Case(
        lambda m: LayerConductance(layer=LAYER[m], steps=20, max_steps=20),
        lambda a: layer(a, ca.LayerConductance(a.forward, a.layer).attribute(a.x, a.baseline, target=a.target, n_steps=20)),
    ),
    "neuron_conductance": Case(
        lambda m: NeuronConductance(layer=LAYER[m], neuron=NEURON[m], steps=20),
        lambda a: ca.NeuronConductance(a.forward, a.layer).attribute(
            a.x, NEURON[a.model], a.baseline, target=a.target, n_steps=20, method="gausslegendre"
        ),
    ),
    "feature_ablation": Case(
        lambda m: FeatureAblation(grid=GRID), lambda a: ca.FeatureAblation(a.game).attribute(a.ones, target=a.target), parts=True
    ),
    "occlusion": Case(lambda m: Occlusion(words=2, pixels=4, stride=2), occlusion, parts=True),
    "shapley_value_sampling": Case(lambda m: ShapleyValueSampling(permutations=4, grid=GRID), shapley, parts=True),
    "kernel_shap": Case(lambda m: KernelShap(subsets=40, grid=GRID), kernel_shap, parts=True),
    "lime": Case(lambda m: Lime(subsets=40, kernel_width=0.5, grid=GRID), lime, parts=True),
}  # fmt: skip
NOT_CAPTUMS = {"attention", "attention_rollout"}


@pytest.fixture(scope="module")
def engines(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Engine]:
    path = tmp_path_factory.mktemp("nets") / "nets.py"
    path.write_text(NET)
    source = TorchModule(f"{path}:load", labels=list(LABELS))
    return {
        "net": Engine(source.load("cpu", "float32"), source.inspect()),
        "bert": Engine(tiny.shared("bert"), ModelInfo({})),
    }


def given(model: str) -> list[Sample]:
    draws = np.random.default_rng(3)
    if model == "net":
        return [Sample(f"i{i}", Image(draws.random((12, 12, 3), dtype=np.float32)), i % 3, LABELS) for i in range(3)]
    texts = ("the cat sat on a table", "bad films, that were great!", "it's an able dog and a table")
    return [Sample(f"s{i}", text, i % 3, LABELS) for i, text in enumerate(texts)]


@pytest.mark.parametrize(
    ("name", "model"), [(name, model) for name, case in TABLE.items() for model in ("net", "bert") if case.only in ("", model)]
)
def test_as_captum_has_it(name: str, model: str, engines: dict[str, Engine], monkeypatch: pytest.MonkeyPatch) -> None:
    case, engine = TABLE[name], engines[model]
    probe = case.make(model)
    module: Any = engine.model.module  # type: ignore[attr-defined]
    for sample, found in zip(given(model), probe.attribute(engine, given(model)), strict=True):
        with engine.differentiable() as net, warnings.catch_warnings(), monkeypatch.context() as patch:
            warnings.simplefilter("ignore")
            encoded = net.encode([Classify(sample.input, sample.labels)])

            class Forward(torch.nn.Module):
                def forward(self, x: torch.Tensor, encoded: Any = encoded, net: Any = net) -> torch.Tensor:
                    return net.logits(x, encoded, torch.zeros(len(x), dtype=torch.long))

            forward = module if model == "net" else Forward()
            assert found.target == int(forward(encoded.features)[0].argmax())
            asked = Asked(
                model, sample, found.target, probe, forward, encoded.features.requires_grad_(), encoded.baseline,
                module.get_submodule(LAYER[model]), patch,
            )  # fmt: skip
            values = case.captum(asked)[0].detach().double()
            expected = as_shown(values, model, case, encoded, sample, probe)
        assert float(np.abs(expected).max()) > 0
        np.testing.assert_allclose(found.values, expected, rtol=0, atol=1e-5 * float(np.abs(expected).max()))


def as_shown(values: torch.Tensor, model: str, case: Case, encoded: Any, sample: Sample, probe: Any) -> np.ndarray:
    if case.parts and isinstance(probe, Perturbation) and values.ndim == 1:
        return values.numpy() if model == "bert" else values.numpy()[make_grid((12, 12), GRID)]
    return gather(values.sum(-1).numpy(), encoded.spans[0], word_spans(str(sample.input))) if model == "bert" else values.sum(0).numpy()


class Float64Regression(SkLearnLinearRegression):  # type: ignore[misc]
    """Captum's fit in float64: numpy's least squares with weights and an intercept."""

    def fit(self, train_data: Any, **_: Any) -> dict[str, float]:
        x, y, weights = (torch.cat(column).double().numpy() for column in zip(*train_data, strict=True))
        root = np.sqrt(weights)
        design = np.hstack([x, np.ones((len(x), 1))])
        self.found, *_ = np.linalg.lstsq(design * root[:, None], y.reshape(-1) * root, rcond=1e-14)
        return {}

    def representation(self) -> torch.Tensor:
        return torch.from_numpy(self.found[None, :-1])


def test_kernel_shap_of_many_patches_is_captums_in_float64(engines: dict[str, Engine], monkeypatch: pytest.MonkeyPatch) -> None:
    """Of 64 patches and 100 subsets Captum's fit, in float32 with weights of 1e6 beside 1, misses by more than rounding."""
    engine, probe, sample = engines["net"], KernelShap(subsets=100, grid=8), given("net")[0]
    found, module = probe.attribute(engine, [sample])[0], engine.model.module  # type: ignore[attr-defined]
    pixels = np.asarray(sample.input.pixels)  # type: ignore[union-attr]
    colour, cells = pixels.mean((0, 1), dtype=np.float64).astype(np.float32), make_grid((12, 12), 8)
    masks = [torch.tensor(mask.copy())[None].long() for mask in probe.masks(probe.parts(sample.input), probe.rng(sample.id))]

    def game(masks: torch.Tensor) -> torch.Tensor:
        shown = [np.where((mask.numpy() > 0)[cells][:, :, None], pixels, colour) for mask in masks]
        logits: torch.Tensor = module(torch.tensor(np.stack(shown)).permute(0, 3, 1, 2))
        return logits

    def perturb(original: torch.Tensor, **_: Any) -> Iterator[torch.Tensor]:
        yield from masks

    def captums(fit: Any = None) -> np.ndarray:
        method = ca.KernelShap(game)
        method.perturb_func = perturb
        method.interpretable_model = fit or method.interpretable_model
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            values = method.attribute(torch.ones(1, 64), target=found.target, n_samples=len(masks))
        return values[0].detach().double().numpy()[cells]

    right = captums(Float64Regression())
    largest = float(np.abs(right).max())
    np.testing.assert_allclose(found.values, right, rtol=0, atol=1e-5 * largest)
    assert float(np.abs(captums() - right).max()) > 1e-5 * largest, "Captum fits well enough for the table above"


def test_every_method_is_in_the_table() -> None:
    """A new probe of classifiers belongs here, or among those that Captum does not have."""
    registry = Registry()
    ours = {name for name in registry.names("probes") if "classify" in registry.get("probes", name).load().requires}
    assert ours == set(TABLE) | NOT_CAPTUMS
