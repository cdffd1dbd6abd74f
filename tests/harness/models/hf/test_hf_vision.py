"""Image classification against AutoImageProcessor and the model, canonical pixels, gradients, and the ``torch`` kind."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import PIL.Image
import pytest
import torch
from transformers import AutoImageProcessor
from windtunnel.harness.api.errors import ConfigError, ModelError
from windtunnel.harness.api.requests import Classify
from windtunnel.harness.api.responses import Failure
from windtunnel.harness.modalities.image import Image
from windtunnel.harness.modalities.text import TextPair
from windtunnel.harness.models.common.channels import with_channels
from windtunnel.harness.models.hf.source import HuggingFace
from windtunnel.harness.models.torch.source import TorchModule
from windtunnel.tests import tiny

RNG = np.random.default_rng(3)
PICTURES = [RNG.integers(0, 256, shape, dtype=np.uint8) for shape in [(32, 32, 3), (40, 50, 3), (20, 90, 3), (64, 64, 3)]]


def plain(pixels: np.ndarray) -> tuple[torch.Tensor, list[float]]:
    """One PIL image through the checkpoint's own processor and model."""
    processor = AutoImageProcessor.from_pretrained(tiny.checkpoint("vit"))
    values = processor(images=PIL.Image.fromarray(pixels).convert("RGB"), return_tensors="pt")["pixel_values"]
    with torch.no_grad():
        return values[0], tiny.shared("vit").module(pixel_values=values).logits[0].tolist()


@pytest.mark.parametrize("pixels", PICTURES, ids=str)
def test_pixels_and_logits_equal_the_processor_and_the_model(pixels: np.ndarray) -> None:
    wanted_pixels, wanted = plain(pixels)
    model = tiny.shared("vit")
    normalised = (model.to_pixels(Image(pixels))[None] - model._mean) / model._std
    np.testing.assert_allclose(normalised[0].numpy(), wanted_pixels.numpy(), atol=1e-5)
    np.testing.assert_allclose(tiny.engine("vit").run([Classify(Image(pixels))])[0].values, wanted, atol=1e-4)


@pytest.mark.parametrize(
    "pixels",
    [PICTURES[1][:, :, :1], PICTURES[1][:, :, 0], np.dstack([PICTURES[1], PICTURES[1][:, :, :1]])],
    ids=["grey", "flat", "alpha"],
)
def test_grey_and_alpha_become_colour_as_pillow_makes_them(pixels: np.ndarray) -> None:
    pil = PIL.Image.fromarray(pixels.squeeze() if pixels.ndim == 3 and pixels.shape[2] == 1 else pixels)
    _, wanted = plain(np.asarray(pil.convert("RGB")))
    np.testing.assert_allclose(tiny.engine("vit").run([Classify(Image(pixels))])[0].values, wanted, atol=1e-4)


def test_colour_becomes_grey_by_luma() -> None:
    grey = with_channels(PICTURES[1], 1)[:, :, 0].astype(int)
    pillow = np.asarray(PIL.Image.fromarray(PICTURES[1]).convert("L")).astype(int)
    assert np.abs(grey - pillow).max() <= 1
    floats = with_channels((PICTURES[1] / 255).astype(np.float32), 1)
    assert floats.dtype == np.float32
    np.testing.assert_allclose(floats[:, :, 0] * 255, grey, atol=0.51)


@pytest.mark.parametrize("pixels", [*PICTURES, (PICTURES[1] / 255).astype(np.float32), PICTURES[1][:, :, :1]], ids=str)
def test_canonical_is_a_fixed_point_that_changes_no_answer(pixels: np.ndarray) -> None:
    engine = tiny.engine("vit")
    image = Image(pixels)
    canonical = engine.canonical(image)
    assert canonical.pixels.dtype == np.float32
    assert canonical.pixels.shape == (32, 32, 3)
    assert engine.canonical(canonical) == canonical
    a, b = engine.run([Classify(image), Classify(canonical)])
    np.testing.assert_allclose(a.values, b.values, atol=1e-5)


def test_a_perturbation_of_canonical_pixels_is_kept_to_the_bit() -> None:
    engine = tiny.engine("vit")
    pixels = np.array(engine.canonical(Image(PICTURES[1])).pixels)
    pixels[3, 4, 1] = np.float32(0.123456)
    assert (engine.canonical(Image(pixels)).pixels == pixels).all()


def test_a_processor_that_keeps_the_aspect_ratio(tmp_path: Path) -> None:
    """Sizes differ from image to image: they share no batch, and a canonical one is still taken as it is."""
    shutil.copytree(tiny.checkpoint("vit"), tmp_path / "m")
    path = tmp_path / "m" / "preprocessor_config.json"
    settings = {"do_resize": False, "do_rescale": True, "do_normalize": True, "image_mean": [0.5] * 3, "image_std": [0.5] * 3}
    path.write_text(json.dumps({**json.loads(path.read_text()), **settings}))
    model: Any = HuggingFace(str(tmp_path / "m")).load("cpu", "float32")
    sizes: list[tuple[int, ...]] = []

    def forward(pixels_BCHW: torch.Tensor) -> torch.Tensor:
        sizes.append(tuple(pixels_BCHW.shape))
        return pixels_BCHW.mean((2, 3))

    model.forward = forward
    engine = tiny.engine(model)
    answers = engine.try_run([Classify(Image(p)) for p in [*PICTURES, PICTURES[2][::-1]]])
    assert not any(isinstance(a, Failure) for a in answers)
    assert engine.counters.forward_passes == 4, "the two of one size shared a pass"
    assert engine.counters.tokens_padded == 0
    assert sorted(sizes) == [(1, 3, 32, 32), (1, 3, 40, 50), (1, 3, 64, 64), (2, 3, 20, 90)]
    perturbed = np.array(engine.canonical(Image(PICTURES[2])).pixels)
    perturbed[0, 0, 0] = np.float32(0.123456)
    assert (engine.canonical(Image(perturbed)).pixels == perturbed).all()


def test_a_processor_of_another_scale_is_an_error(tmp_path: Path) -> None:
    shutil.copytree(tiny.checkpoint("vit"), tmp_path / "m")
    path = tmp_path / "m" / "preprocessor_config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "rescale_factor": 1 / 127.5}))
    with pytest.raises(ModelError, match=r"not to 0\.\.1"):
        HuggingFace(str(tmp_path / "m")).load("cpu", "float32")


def test_no_processor(tmp_path: Path) -> None:
    shutil.copytree(tiny.checkpoint("vit"), tmp_path / "m")
    (tmp_path / "m" / "preprocessor_config.json").unlink()
    with pytest.raises(ModelError, match="cannot be loaded"):
        HuggingFace(str(tmp_path / "m")).load("cpu", "float32")


def test_rows_have_the_labels_of_their_own_request() -> None:
    requests = [Classify(Image(PICTURES[0])), Classify(Image(PICTURES[1]), ("positive", "negative", "neutral"))]
    wanted = [answer.values for answer in tiny.engine("vit").run(requests)]
    with tiny.engine("vit").differentiable() as net:
        encoded = net.encode(requests)
        rows = torch.tensor([1, 0, 1])
        got = net.logits(encoded.features[rows], encoded, rows).detach().numpy()
    np.testing.assert_allclose(got, [wanted[1], wanted[0], wanted[1]], atol=1e-4)


def test_gradients_equal_autograd_by_hand() -> None:
    engine, model = tiny.engine("vit"), tiny.shared("vit")
    requests = [Classify(Image(p), ("positive", "negative", "neutral")) for p in PICTURES]
    wanted = np.array([answer.values for answer in engine.run(requests)])
    with engine.differentiable() as net:
        encoded = net.encode(requests)
        assert encoded.mask_BL is None
        assert not encoded.baseline.any()
        pixels = encoded.features.clone().requires_grad_(True)
        logits = net.logits(pixels, encoded)
        np.testing.assert_allclose(logits.detach().numpy(), wanted, atol=1e-4)
        (got,) = torch.autograd.grad(logits[:, 0].sum(), pixels)
        rows = torch.tensor([3, 1, 1])
        np.testing.assert_allclose(net.logits(pixels[rows], encoded, rows).detach().numpy(), wanted[rows.numpy()], atol=1e-4)
    mean, std = torch.tensor([0.4, 0.5, 0.6]).view(3, 1, 1), torch.tensor([0.2, 0.25, 0.3]).view(3, 1, 1)
    for row in range(len(PICTURES)):
        x = encoded.features[row].clone().requires_grad_(True)
        (hand,) = torch.autograd.grad(model.module(pixel_values=((x - mean) / std)[None]).logits[0, 2], x)
        np.testing.assert_allclose(got[row].numpy(), hand.numpy(), atol=1e-4)
    assert engine.counters.gradient_passes == 2
    assert engine.counters.tokens_computed == (4 + 4 + 3) * 16, "64 pixels are a position"


@pytest.mark.parametrize("value", ["text", TextPair("a", "b")])
def test_text_is_no_image(value: Any) -> None:
    answers = tiny.engine("vit").try_run([Classify(value), Classify(Image(PICTURES[0]))])
    assert "an image classifier takes images" in answers[0].error
    assert not isinstance(answers[1], Failure)


# ── the torch kind ────────────────────────────────────────────────────────────────────────────────────────────────────

NET = """
import torch
from beside import SCALE

class Net(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.norm = torch.nn.BatchNorm2d(3)
        self.scale = torch.nn.Parameter(torch.tensor(SCALE))
    def forward(self, x):
        m = (self.norm(x).mean((2, 3)) * self.scale)
        return m[:, :2]

class Keeping(Net):
    table = None
    def forward(self, x):
        if self.table is None:
            self.table = torch.ones(2) * 3
        return super().forward(x) * self.table

class Counting(Net):
    def get_extra_state(self): return {"n": 1}
    def set_extra_state(self, state): pass

made = Net()
def tuple_out():
    net = Net(); net.forward = lambda x: (x.mean((2, 3))[:, :2],); return net
def flat():
    net = Net(); net.forward = lambda x: x.mean((1, 2, 3)); return net
def nothing(): return 3
def raises(): raise ValueError("no weights")
"""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    (tmp_path / "beside.py").write_text("SCALE = 2.0\n")
    path = tmp_path / "net.py"
    path.write_text(NET)
    return path


def module(file: Path, name: str, **settings: Any) -> Any:
    return TorchModule(f"{file}:{name}", labels=["dark", "bright"], **settings).load("cpu", "float32")


def test_a_module_from_a_file(file: Path) -> None:
    engine = tiny.engine(module(file, "Net"))
    floats = (PICTURES[1] / 255).astype(np.float32)
    a, b, swapped = engine.run([Classify(Image(PICTURES[1])), Classify(Image(floats)), Classify(Image(floats), ("bright", "dark"))])
    wanted = floats.mean((0, 1))[:2] * 2 / np.sqrt(1 + 1e-5)
    np.testing.assert_allclose(a.values, wanted, atol=1e-5)
    np.testing.assert_allclose(b.values, wanted, atol=1e-5)
    assert swapped.values == b.values[::-1]
    assert engine.canonical(Image(floats)) == Image(floats)


def test_an_instance_will_do(file: Path) -> None:
    assert tiny.engine(module(file, "made")).run([Classify(Image(PICTURES[0]))])


def test_sizes_and_channels(file: Path) -> None:
    engine = tiny.engine(module(file, "Net", size=[16, 24]))
    for pixels in PICTURES:
        canonical = engine.canonical(Image(pixels))
        assert canonical.pixels.shape == (16, 24, 3)
        assert engine.canonical(canonical) == canonical
    assert not any(isinstance(a, Failure) for a in tiny.engine(module(file, "Net")).try_run([Classify(Image(p)) for p in PICTURES]))
    assert tiny.engine(module(file, "Net", channels=1)).canonical(Image(PICTURES[0])).pixels.shape == (32, 32, 1)


def test_what_the_first_pass_keeps_can_be_differentiated(file: Path) -> None:
    engine = tiny.engine(module(file, "Keeping"))
    engine.run([Classify(Image(PICTURES[0]))])
    with engine.differentiable() as net:
        encoded = net.encode([Classify(Image(PICTURES[0]))])
        pixels = encoded.features.requires_grad_(True)
        torch.autograd.grad(net.logits(pixels, encoded).sum(), pixels)


@pytest.mark.parametrize(
    ("name", "message"),
    [("nothing", "returned a int, not a torch"), ("raises", "raised ValueError: no weights"), ("tuple_out", "returned a tuple"),
     ("flat", r"it returned shape \[1\]")],
)  # fmt: skip
def test_what_is_no_classifier(file: Path, name: str, message: str) -> None:
    with pytest.raises(ModelError, match=message):
        tiny.engine(module(file, name)).run([Classify(Image(PICTURES[0]))])


def test_wrong_labels_sizes_and_names(file: Path) -> None:
    with pytest.raises(ModelError, match="returns 2 logits, but has 3 labels"):
        tiny.engine(TorchModule(f"{file}:Net", labels=["a", "b", "c"]).load("cpu", "float32")).run([Classify(Image(PICTURES[0]))])
    with pytest.raises(ModelError, match="height, width"):
        module(file, "Net", size=[3])
    with pytest.raises(ConfigError, match="Did you mean 'Net'"):
        module(file, "Nett")


def test_the_fingerprint_is_weights_and_code(file: Path) -> None:
    first = module(file, "Net").fingerprint
    assert module(file, "Net").fingerprint == first
    assert module(file, "Net", size=[8, 8]).fingerprint != first
    assert module(file, "Counting").fingerprint != first
    file.write_text(NET.replace("* self.scale", "* self.scale * 2"))
    changed = module(file, "Net")
    assert changed.fingerprint != first
    a = tiny.engine(changed).run([Classify(Image(PICTURES[0]))])[0].values[0]
    np.testing.assert_allclose(a, PICTURES[0][:, :, 0].mean() / 255 * 4, rtol=1e-4)


def test_floats_of_the_output_size_are_taken_as_prepared_and_bytes_are_not(tmp_path: Path) -> None:
    """A processor that crops would cut a canonical image, and an attack's, a second time."""
    shutil.copytree(tiny.checkpoint("vit"), tmp_path / "m")
    crops = {"image_processor_type": "ConvNextImageProcessor", "size": {"shortest_edge": 32}, "crop_pct": 0.5}
    path = tmp_path / "m" / "preprocessor_config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **crops}))
    engine = tiny.engine(HuggingFace(str(tmp_path / "m")).load("cpu", "float32"))
    floats = (PICTURES[0] / 255).astype(np.float32)
    assert (engine.canonical(Image(floats)).pixels == floats).all()
    assert np.abs(engine.canonical(Image(PICTURES[0])).pixels - floats).max() > 0.1
