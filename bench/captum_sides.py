"""Captum's side of `captum.py`: each method as its documentation has it, on one text or image at a time."""

from __future__ import annotations

import copy
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any
from unittest import mock

import numpy as np
import torch
from captum import attr
from captum._utils.models.linear_model import SkLearnLasso
from captum._utils.models.model import Model
from captum.attr._core.lime import get_exp_kernel_similarity_function
from sklearn.linear_model import LinearRegression
from windtunnel.harness.api.samples import Sample
from windtunnel.harness.modalities.image import Image
from windtunnel.harness.modalities.regions import make_grid
from windtunnel.harness.modalities.words import cut_out, gather, word_spans

GRID = 8


@dataclass
class One:
    """A sample as Captum is asked about it. ``forward``: logits of features; ``game``: of masks [N, P] over words or patches."""

    sample: Sample
    target: int
    forward: Callable[[torch.Tensor], torch.Tensor]
    x: torch.Tensor
    baseline: torch.Tensor
    layer: torch.nn.Module | None
    game: Callable[[torch.Tensor], torch.Tensor]
    num_parts: int
    shown: Callable[[torch.Tensor], np.ndarray]

    @property
    def whole(self) -> dict[str, Any]:
        return {"inputs": torch.ones(1, self.num_parts, device=self.x.device), "target": self.target}


class Counted(torch.nn.Module):
    """The network as it came, without the weights that the adapter laid out for the CPU. Counts passes, and positions with padding."""

    def __init__(self, module: torch.nn.Module) -> None:
        super().__init__()
        self.module = copy.deepcopy(module)
        self.passes = self.positions = 0

    def forward(self, *args: Any, **given: Any) -> torch.Tensor:
        self.passes += 1
        self.positions += given["attention_mask"].numel() if given else len(args[0])
        found = self.module(*args, **given)
        logits: torch.Tensor = getattr(found, "logits", found)
        return logits


class Texts:
    def __init__(self, model: Any, samples: Sequence[Sample], layer: str) -> None:
        self.model, self.samples, self.net = model, samples, Counted(model.module)
        self._layer = self.net.module.get_submodule(layer) if layer else None

    def ones(self) -> Iterator[One]:
        for sample in self.samples:
            yield self._one(sample)

    def _tokens(self, texts: Sequence[str]) -> Any:
        encoded = self.model.tokenizer(texts, padding=True, truncation=True, max_length=self.model.max_length, return_tensors="pt")
        return encoded.to(self.model.device)

    def _one(self, sample: Sample) -> One:
        tokenizer, embed, text = self.model.tokenizer, self.net.module.get_input_embeddings(), str(sample.input)  # type: ignore[operator]
        given, spans = self._tokens([text]), word_spans(text)
        with torch.no_grad():
            target = int(self.net(**given).argmax())
        ids = given.pop("input_ids")
        special = tokenizer.get_special_tokens_mask(ids[0].tolist(), already_has_special_tokens=True)
        neutral = torch.where(torch.tensor([special], device=ids.device, dtype=torch.bool), ids, tokenizer.pad_token_id)
        with torch.no_grad():
            features, baseline = embed(ids), embed(neutral)

        def forward(inputs_embeds: torch.Tensor) -> torch.Tensor:
            found: torch.Tensor = self.net(inputs_embeds=inputs_embeds, **{k: v.expand(len(inputs_embeds), -1) for k, v in given.items()})
            return found

        def game(masks: torch.Tensor) -> torch.Tensor:
            kept = [cut_out(text, [s for s, on in zip(spans, mask, strict=True) if not on]) for mask in masks.tolist()]
            found: torch.Tensor = self.net(**self._tokens(kept))
            return found

        def shown(values: torch.Tensor) -> np.ndarray:
            if values.ndim == 1:
                return values.cpu().numpy()
            places = tokenizer(text, return_offsets_mapping=True, truncation=True, max_length=self.model.max_length)["offset_mapping"]
            places = [(0, 0) if is_special else tuple(span) for span, is_special in zip(places, special, strict=True)]
            return gather(values.double().sum(-1).cpu().numpy(), places, spans)

        return One(sample, target, forward, features, baseline, self._layer, game, len(spans), shown)


class Images:
    def __init__(self, model: Any, samples: Sequence[Sample], layer: str) -> None:
        self.samples, self.net = samples, Counted(model.module)
        self.device, self._layer = model.device, self.net.module.get_submodule(layer) if layer else None

    def ones(self) -> Iterator[One]:
        for sample in self.samples:
            assert isinstance(sample.input, Image)
            pixels = np.asarray(sample.input.pixels)
            x = torch.tensor(pixels.transpose(2, 0, 1), device=self.device)[None]
            cells, colour = make_grid(pixels.shape[:2], GRID), pixels.mean((0, 1), dtype=np.float64).astype(np.float32)
            with torch.no_grad():
                target = int(self.net(x).argmax())

            def game(masks: torch.Tensor, pixels: Any = pixels, cells: Any = cells, colour: Any = colour) -> torch.Tensor:
                kept = [np.where((mask.cpu().numpy() > 0)[cells][:, :, None], pixels, colour) for mask in masks]
                found: torch.Tensor = self.net(torch.tensor(np.stack(kept), device=self.device).permute(0, 3, 1, 2))
                return found

            def shown(values: torch.Tensor, cells: Any = cells) -> np.ndarray:
                return values.cpu().numpy()[cells] if values.ndim == 1 else values.double().sum(0).cpu().numpy()

            yield One(sample, target, self.net, x, torch.zeros_like(x), self._layer, game, int(cells.max()) + 1, shown)


# ── methods ───────────────────────────────────────────────────────────────────────────────────────────────────────────

Method = Callable[[One, Any, int], Any]
"""Of a sample, with the probe's settings and draws, and so many perturbations a pass."""


def _maps(one: One, found: torch.Tensor) -> Any:
    """A layer's values at the size of the input; tokens stay as they are."""
    return found if found.ndim == 3 else attr.LayerAttribution.interpolate(found.sum(1, keepdim=True), one.x.shape[-2:], "bilinear")


def _occlusion(one: One, probe: Any, at_once: int) -> Any:
    if one.x.ndim == 3:
        return attr.Occlusion(one.game).attribute(**one.whole, sliding_window_shapes=(probe.words,), perturbations_per_eval=at_once)
    side = max(1, min(one.x.shape[-2:]) // 4)
    colour = one.x.double().mean((2, 3), keepdim=True).float().expand_as(one.x).contiguous()
    window, stride = (one.x.shape[1], side, side), (one.x.shape[1], max(1, side // 2), max(1, side // 2))
    method = attr.Occlusion(one.forward)
    return method.attribute(one.x, window, stride, baselines=colour, target=one.target, perturbations_per_eval=at_once)[:, :1]


def _shapley(one: One, probe: Any, at_once: int) -> Any:
    method = attr.ShapleyValueSampling(one.game)
    method.permutation_generator = lambda *_: probe.orders(probe.parts(one.sample.input), probe.rng(one.sample.id))
    return method.attribute(**one.whole, perturbations_per_eval=at_once)


def _masks(one: One, probe: Any) -> list[torch.Tensor]:
    return [torch.tensor(mask)[None].long() for mask in probe.masks(probe.parts(one.sample.input), probe.rng(one.sample.id))]


class Float64Regression(Model):  # type: ignore[misc]
    """Captum's least squares without its rounding: in float32 the weight of 1e6 at both ends costs the coefficients two of their digits."""

    def fit(self, train_data: Any, **_: Any) -> dict[str, float]:
        inputs, outputs, weights = (torch.cat(column).double().cpu().numpy() for column in zip(*train_data, strict=True))
        self._found = LinearRegression().fit(inputs, outputs, sample_weight=weights)
        return {}

    def representation(self) -> torch.Tensor:
        return torch.from_numpy(self._found.coef_)[None]

    def __call__(self, x: torch.Tensor) -> torch.Tensor:
        return torch.from_numpy(self._found.predict(x.double().cpu().numpy()))


def _kernel_shap(one: One, probe: Any, at_once: int) -> Any:
    masks, method = _masks(one, probe), attr.KernelShap(one.game)
    method.interpretable_model = Float64Regression()

    def perturb(original: torch.Tensor, **_: Any) -> Iterator[torch.Tensor]:
        yield from masks

    method.perturb_func = perturb
    return method.attribute(**one.whole, n_samples=len(masks), perturbations_per_eval=at_once)


def _lime(one: One, probe: Any, at_once: int) -> Any:
    masks = iter(_masks(one, probe))
    method = attr.Lime(
        one.game, SkLearnLasso(alpha=probe.alpha), get_exp_kernel_similarity_function("cosine", probe.kernel_width),
        lambda original, **_: next(masks),
    )  # fmt: skip
    return method.attribute(**one.whole, n_samples=probe.subsets, perturbations_per_eval=at_once)


def _smoothgrad(one: One, probe: Any, at_once: int) -> Any:
    # In float32, as the probe has it: at a point apart by its last bit, another pixel of a max-pooling's window can be the largest.
    deviation = float(probe.noise * (one.x.max() - one.x.min()).detach())
    return attr.NoiseTunnel(attr.Saliency(one.forward)).attribute(
        one.x, nt_samples=probe.num_points, nt_samples_batch_size=at_once or None, stdevs=deviation, target=one.target
    )


def _on_the_way(method: Any, one: One, probe: Any, at_once: int) -> Any:
    """With the convergence delta, which the probe gives too."""
    return method.attribute(
        one.x, one.baseline, target=one.target, n_steps=probe.steps, internal_batch_size=at_once or None, return_convergence_delta=True
    )[0]


METHODS: dict[str, Method] = {
    "saliency": lambda one, probe, n: attr.Saliency(one.forward).attribute(one.x.requires_grad_(), target=one.target),
    "input_x_gradient": lambda one, probe, n: attr.InputXGradient(one.forward).attribute(one.x.requires_grad_(), target=one.target),
    "smoothgrad": _smoothgrad,
    "gradient_shap": lambda one, probe, n: attr.GradientShap(one.forward).attribute(
        one.x, one.baseline, n_samples=probe.num_points, target=one.target
    ),
    "integrated_gradients": lambda one, probe, n: _on_the_way(attr.IntegratedGradients(one.forward), one, probe, n),
    "layer_integrated_gradients": lambda one, probe, n: _maps(
        one, _on_the_way(attr.LayerIntegratedGradients(one.forward, one.layer), one, probe, n)
    ),
    "layer_conductance": lambda one, probe, n: _maps(one, _on_the_way(attr.LayerConductance(one.forward, one.layer), one, probe, n)),
    "neuron_conductance": lambda one, probe, n: attr.NeuronConductance(one.forward, one.layer).attribute(
        one.x, probe.neuron, one.baseline, target=one.target, n_steps=probe.steps, method="gausslegendre", internal_batch_size=n or None
    ),
    "deep_lift": lambda one, probe, n: attr.DeepLift(one.forward).attribute(
        one.x, one.baseline, target=one.target, return_convergence_delta=True
    )[0],
    "grad_cam": lambda one, probe, n: _maps(
        one, attr.LayerGradCam(one.forward, one.layer).attribute(one.x, target=one.target, relu_attributions=True)
    ),
    "feature_ablation": lambda one, probe, n: attr.FeatureAblation(one.game).attribute(**one.whole, perturbations_per_eval=n),
    "occlusion": _occlusion,
    "shapley_value_sampling": _shapley,
    "kernel_shap": _kernel_shap,
    "lime": _lime,
}  # fmt: skip
ASKED_IN_PARTS = ("feature_ablation", "occlusion", "shapley_value_sampling", "kernel_shap", "lime")
"""Methods that Captum runs with so many perturbations a pass as it is told; by itself with one."""
POINTS_IN_PARTS = ("smoothgrad", "integrated_gradients", "layer_integrated_gradients", "layer_conductance", "neuron_conductance")
"""Methods that Captum runs with so many points of a sample a pass as it is told; by itself with all (0)."""


def explained(name: str, side: Texts | Images, probe: Any, at_once: int, *, same_draws: bool = False) -> list[np.ndarray]:
    """Captum's attributions. ``same_draws``: of points and noise, the probe's, rather than its own."""
    found = []
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for one in side.ones():
            with _drawn(one, probe) if same_draws else ExitStack():
                found.append(one.shown(METHODS[name](one, probe, at_once)[0].detach()))
    return found


@contextmanager
def _drawn(one: One, probe: Any) -> Iterator[None]:
    if not hasattr(probe, "num_points"):
        yield
        return
    shape, seeds = tuple(one.x.shape[1:]), [probe.rng(step).seed(one.sample.id) for step in range(probe.num_points)]
    noise = torch.stack([torch.randn(shape, generator=torch.Generator().manual_seed(seed)) for seed in seeds])
    with (
        mock.patch.object(torch, "normal", lambda mean, std: std * noise.to(one.x)),
        mock.patch.object(np.random, "uniform", return_value=np.array(seeds) / 2**63),
    ):
        yield
