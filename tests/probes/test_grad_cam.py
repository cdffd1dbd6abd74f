"""Grad-CAM against Captum, one image at a time, and what it refuses."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import captum.attr
import numpy as np
import pytest
import torch
from windtunnel.harness.api.errors import ConfigError
from windtunnel.harness.api.samples import Sample
from windtunnel.harness.engine import Engine
from windtunnel.harness.modalities.image import Image
from windtunnel.harness.models.torch.source import TorchModule
from windtunnel.probes.grad_cam import GradCam

NET = """
import torch
from torch import nn

class Net(nn.Module):
    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.one, self.two = nn.Conv2d(3, 4, 3), nn.Conv2d(4, 5, 3)
        self.unused, self.head = nn.Conv2d(1, 1, 1), nn.Linear(5, 3)

    def forward(self, x):
        x = torch.relu(self.two(torch.relu(self.one(x))))
        return self.head(x.amax((2, 3)))

def load():
    return Net()
"""


@pytest.fixture
def engine(tmp_path: Path) -> Engine:
    (tmp_path / "nets.py").write_text(NET)
    source = TorchModule(f"{tmp_path / 'nets.py'}:load", labels=["a", "b", "c"])
    return Engine(source.load("cpu", "float32"), source.inspect())


def images(num: int = 5) -> list[Sample]:
    draws = np.random.default_rng(0)
    # Two shapes: they cannot share a pass.
    return [Sample(f"i{i}", Image(draws.random((12, 14 + i % 2, 3), dtype=np.float32)), i % 3, ("a", "b", "c")) for i in range(num)]


@pytest.mark.parametrize("layer", ["one", "two"])
def test_as_captum_has_it(engine: Engine, layer: str) -> None:
    module: Any = engine.model.module  # type: ignore[attr-defined]
    method = captum.attr.LayerGradCam(module, getattr(module, layer))
    for sample, found in zip(images(), GradCam(layer=layer).attribute(engine, images()), strict=True):
        assert isinstance(sample.input, Image)
        x = torch.tensor(sample.input.pixels).permute(2, 0, 1)[None]
        assert found.target == int(module(x)[0].argmax())
        small = method.attribute(x, target=found.target, relu_attributions=True)
        expected = captum.attr.LayerAttribution.interpolate(small, x.shape[-2:], "bilinear")[0, 0].detach().numpy()
        np.testing.assert_allclose(found.values, expected, atol=1e-5 * max(1e-3, float(expected.max())))


def test_no_hook_stays(engine: Engine) -> None:
    module: Any = engine.model.module  # type: ignore[attr-defined]
    GradCam(layer="one").attribute(engine, images(2))
    assert not any(m._forward_hooks for m in module.modules())


@pytest.mark.parametrize(("layer", "said"), [("tow", "two"), ("head", "maps"), ("unused", "takes no part"), ("", "no layer")])
def test_layers_that_will_not_do(engine: Engine, layer: str, said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        GradCam(layer=layer).attribute(engine, images(1))
