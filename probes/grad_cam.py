"""Grad-CAM (Selvaraju et al. 2017, arXiv:1610.02391)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from ..harness.api.model import Differentiable
from ..harness.api.model_port import ModelPort
from ..harness.api.probe import Probe
from ..harness.api.requests import Classify
from ..harness.api.samples import Attribution, Sample
from ..harness.engine.batching import group_batches
from .explained import check_target, choose_classes
from .layers import Layer, cut_off

if TYPE_CHECKING:
    import torch


class GradCam(Probe):
    """Sum a convolution's maps weighted by their mean gradients, enlarged to the image.

    layer: name of the layer in the module, e.g. ``conv2`` or ``features.7``; the paper uses the last
        convolution.
    target: explained class, ``predicted`` or ``gold``.

    Negative values are set to 0, and the map is enlarged bilinearly. Raises `ConfigError` if the layer does
    not exist or does not return maps [B, C, H, W] exactly once per pass.

    Reference: R. Selvaraju et al. Grad-CAM: Visual Explanations from Deep Networks via Gradient-based
    Localization. ICCV 2017.
    """

    requires = frozenset({"classify", "image", "gradients"})

    def __init__(self, *, layer: str, target: str = "predicted") -> None:
        self.layer, self.target = layer, check_target(target)

    def trial(self) -> GradCam:
        return self

    def attribute(self, engine: ModelPort, samples: Sequence[Sample], /) -> Sequence[Attribution]:
        targets = choose_classes(engine, samples, self.target)
        found: dict[int, Attribution] = {}
        with engine.differentiable() as net:
            convolutions = [name for name, layer in net.module.named_modules() if type(layer).__name__.startswith("Conv")]
            layer = Layer(net.module, self.layer, "grad_cam", f"Its convolutions: {', '.join(convolutions[-8:]) or 'none'}")
            for indices in group_batches(engine, samples):
                maps = self._make_maps(net, layer, [samples[i] for i in indices], [targets[i] for i in indices])
                for index, map_HW in zip(indices, maps.cpu().numpy(), strict=True):
                    found[index] = Attribution(samples[index].id, targets[index], map_HW)
        return [found[i] for i in range(len(samples))]

    def _make_maps(self, net: Differentiable, layer: Layer, samples: Sequence[Sample], targets: Sequence[int]) -> torch.Tensor:
        """Return the weighted maps [B, H, W], enlarged to the height and width of the image."""
        import torch

        encoded = net.encode([Classify(sample.input, sample.labels) for sample in samples])
        with layer.giving(cut_off) as seen:
            logits_BK = net.logits(encoded.features, encoded)
        (maps_BCHW,) = seen
        if maps_BCHW.ndim != 4:
            raise layer.refusal(f"gives {list(maps_BCHW.shape)}, not maps [B, C, H, W]")
        chosen = logits_BK.gather(1, torch.tensor(targets, device=logits_BK.device)[:, None])
        gradient_BCHW = layer.gradients(chosen, maps_BCHW)
        seen_BHW = (gradient_BCHW.mean((2, 3), keepdim=True) * maps_BCHW).sum(1).relu().detach()
        size = encoded.features.shape[-2:]
        return torch.nn.functional.interpolate(seen_BHW[:, None].float(), size=size, mode="bilinear", align_corners=False)[:, 0]
