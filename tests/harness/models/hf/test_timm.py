"""Folders of timm answer as timm itself does, with its own evaluation transforms."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image as Pictures
from windtunnel.harness.api.requests import Classify
from windtunnel.harness.modalities.image import Image
from windtunnel.harness.models.hf.source import HuggingFace
from windtunnel.tests import tiny

pytest.importorskip("torchvision")
timm = pytest.importorskip("timm")

LABELS = ["cat", "dog", "table"]


@pytest.fixture
def saved(tmp_path: Path) -> tuple[Any, Path]:
    from timm.models._hub import save_for_hf

    torch.manual_seed(3)
    module = timm.create_model("test_resnet", num_classes=3, pretrained=False).eval()
    torch.nn.init.normal_(module.get_classifier().weight, std=0.3)
    save_for_hf(module, str(tmp_path), model_config={"label_names": LABELS}, safe_serialization="both")
    return module, tmp_path


def test_a_picture_is_prepared_and_classified_as_by_timm(saved: tuple[Any, Path]) -> None:
    module, folder = saved
    source = HuggingFace(str(folder))
    info = source.inspect()
    assert (info.answers, info.labels, info.features) == ({"classify": {"image"}}, tuple(LABELS), {"gradients"})
    model = source.load("cpu", "float32")
    transform = timm.data.create_transform(**timm.data.resolve_data_config({}, model=module))
    random = np.random.default_rng(5)
    for shape in [(200, 300, 3), (160, 160, 3), (40, 90, 3)]:
        picture = random.integers(0, 256, shape, dtype=np.uint8)
        with torch.no_grad():
            wanted = module(transform(Pictures.fromarray(picture))[None])[0].tolist()
        (answer,) = tiny.engine(model).run([Classify(Image(picture))])
        assert answer.values == pytest.approx(wanted, abs=1e-4)


def test_gradients_are_those_of_the_pixels(saved: tuple[Any, Path]) -> None:
    module, folder = saved
    model = HuggingFace(str(folder)).load("cpu", "float32")
    picture = np.random.default_rng(5).integers(0, 256, (90, 120, 3), dtype=np.uint8)
    encoded = model.encode([Classify(Image(picture))])
    pixels = encoded.features.detach().requires_grad_()
    (slope,) = torch.autograd.grad(model.logits(pixels, encoded)[0, 1], pixels)
    own = pixels.detach().clone().requires_grad_()
    data = timm.data.resolve_data_config({}, model=module)
    mean, std = (torch.tensor(data[name]).view(1, 3, 1, 1) for name in ("mean", "std"))
    (wanted,) = torch.autograd.grad(module((own - mean) / std)[0, 1], own)
    assert torch.allclose(slope, wanted, atol=1e-5)
    assert wanted.abs().max() > 1e-4
