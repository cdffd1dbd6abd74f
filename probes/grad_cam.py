"""Grad-CAM (Selvaraju et al. 2017, arXiv:1610.02391)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, ClassVar

from ..harness.batching import batches
from ..harness.errors import ConfigError, did_you_mean
from ..harness.plugins import Differentiable, ModelPort
from ..harness.requests import Classify
from ..harness.samples import Attribution, Sample
from .explained import checked_target, explained_classes

if TYPE_CHECKING:
    import torch


class GradCam:
    """Where a convolution's maps, weighed by their mean gradients, speak for the class: a coarse picture, made as large as the image.

    layer: the name of the layer in the module, e.g. ``conv2`` or ``features.7``; the last convolution is the paper's choice. target: the
    explained class, ``predicted`` or ``gold``. What speaks against the class is cut to 0, and the picture is enlarged bilinearly.
    Raises `ConfigError` where the module has no such layer, or it does not give maps [B, C, H, W] exactly once in a pass.
    Reference: R. Selvaraju et al. Grad-CAM: Visual Explanations from Deep Networks via Gradient-based Localization. ICCV 2017.
    """

    requires: ClassVar[frozenset[str]] = frozenset({"classify", "image", "gradients"})

    def __init__(self, *, layer: str, target: str = "predicted") -> None:
        self.layer, self.target = layer, checked_target(target)

    def attribute(self, engine: ModelPort, samples: Sequence[Sample], /) -> Sequence[Attribution]:
        targets = explained_classes(engine, samples, self.target)
        found: dict[int, Attribution] = {}
        with engine.differentiable() as net:
            layer = self._layer(net.module)
            for indices in batches(engine, samples):
                maps = self._maps(net, layer, [samples[i] for i in indices], [targets[i] for i in indices])
                for index, map_HW in zip(indices, maps.cpu().numpy(), strict=True):
                    found[index] = Attribution(samples[index].id, targets[index], map_HW)
        return [found[i] for i in range(len(samples))]

    def _layer(self, module: torch.nn.Module) -> torch.nn.Module:
        layers: dict[str, torch.nn.Module] = {name: layer for name, layer in module.named_modules() if name}
        if self.layer not in layers:
            convolutions = [name for name, layer in layers.items() if type(layer).__name__.startswith("Conv")]
            raise ConfigError(
                f"grad_cam: the model has no layer {self.layer!r}.{did_you_mean(self.layer, layers)}"
                f" Its convolutions: {', '.join(convolutions[-8:]) or 'none'}"
            )
        return layers[self.layer]

    def _maps(self, net: Differentiable, layer: torch.nn.Module, samples: Sequence[Sample], targets: Sequence[int]) -> torch.Tensor:
        """[B, H, W], at the size of the pixels."""
        import torch

        given: list[torch.Tensor] = []

        def leaf(module: Any, args: Any, output: Any) -> Any:
            if not isinstance(output, torch.Tensor) or output.ndim != 4 or given:
                raise ConfigError(f"grad_cam: the layer {self.layer!r} does not give maps [B, C, H, W] once in a pass; name a convolution")
            given.append(output.detach().requires_grad_())
            return given[0]

        encoded = net.encode([Classify(sample.input, sample.labels) for sample in samples])
        handle = layer.register_forward_hook(leaf)
        try:
            logits_BK = net.logits(encoded.features, encoded)
        finally:
            handle.remove()
        if not given:
            raise ConfigError(f"grad_cam: the layer {self.layer!r} takes no part in the model's pass; name a convolution that does")
        (maps_BCHW,) = given
        chosen = logits_BK.gather(1, torch.tensor(targets, device=logits_BK.device)[:, None])
        (gradient_BCHW,) = torch.autograd.grad(chosen.sum(), maps_BCHW)
        seen_BHW = (gradient_BCHW.mean((2, 3), keepdim=True) * maps_BCHW).sum(1).relu().detach()
        size = encoded.features.shape[-2:]
        return torch.nn.functional.interpolate(seen_BHW[:, None].float(), size=size, mode="bilinear", align_corners=False)[:, 0]
