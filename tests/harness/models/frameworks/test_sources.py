"""Models of JAX and Keras in a run, beside the same network in torch: the same scores, attacks and attributions."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import windtunnel as wt
from windtunnel.harness.api.errors import CapabilityError, ConfigError, ModelError
from windtunnel.harness.api.requests import Classify
from windtunnel.harness.models.frameworks.jax_source import JaxFunction
from windtunnel.harness.models.frameworks.keras_source import KerasFile
from windtunnel.harness.models.torch.source import TorchModule
from windtunnel.tests import tiny

LABELS = ["dark", "bright"]

needs_keras = pytest.mark.skipif(find_spec("keras") is None, reason="needs keras")  # not imported, which would fix its backend

_IMAGES = """
import numpy as np

draws = np.random.default_rng(0)
KERNEL, HEAD = draws.normal(size=(3, 3, 3, 8)).astype(np.float32) / 3, draws.normal(size=(8, 2)).astype(np.float32)


def make_torch():
    import torch

    class Net(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.kernel = torch.nn.Parameter(torch.from_numpy(KERNEL).permute(3, 2, 0, 1).contiguous())
            self.head = torch.nn.Parameter(torch.from_numpy(HEAD))

        def forward(self, pixels):
            return torch.tanh(torch.nn.functional.conv2d(pixels, self.kernel)).mean((2, 3)) @ self.head

    return Net()


def make_jax():
    import jax
    import jax.numpy as jnp

    def apply(parameters, pixels):
        hidden = jax.lax.conv_general_dilated(pixels, parameters["kernel"], (1, 1), "VALID", dimension_numbers=("NHWC", "HWIO", "NHWC"))
        return jnp.tanh(hidden).mean((1, 2)) @ parameters["head"]

    return apply, {"kernel": KERNEL, "head": HEAD}


def save_keras(path):
    import keras

    net = keras.Sequential([
        keras.Input((None, None, 3)), keras.layers.Conv2D(8, 3, activation="tanh", use_bias=False),
        keras.layers.GlobalAveragePooling2D(), keras.layers.Dense(2, use_bias=False),
    ])
    net.set_weights([KERNEL, HEAD])
    net.save(path)


def rows():
    pixels = np.random.default_rng(1).integers(0, 256, (12, 8, 8, 3), dtype=np.uint8)
    return [{"image": image, "label": ["dark", "bright"][index % 2]} for index, image in enumerate(pixels)]
"""

_TASK = """
family: image_classification
data: {python: "nets.py:rows"}
image: image
label: label
labels: [dark, bright]
metrics: [accuracy]
"""


def write_files(folder: Path) -> None:
    (folder / "nets.py").write_text(_IMAGES)
    (folder / "pictures.yaml").write_text(_TASK)


def run_beside_torch(folder: Path, other: dict[str, Any]) -> None:
    """Scores, PGD's perturbed images and integrated gradients agree, sample by sample."""
    models = {"torch": {"model": f"torch:{folder}/nets.py:make_torch", "labels": LABELS}, "other": {"labels": LABELS, **other}}
    run = wt.evaluate(
        models, str(folder / "pictures.yaml"), attacks=[{"attack": "pgd", "epsilon": 0.03, "steps": 5}], probes=["integrated_gradients"],
        folder=folder / "run",
    )  # fmt: skip
    frame = run.samples()
    assert run.scorecard.complete
    assert run.scorecard.num_failed == 0
    sides = [frame[frame["model"] == name].drop(columns="model").reset_index(drop=True) for name in ("torch", "other")]
    assert len(sides[0]) == len(sides[1]) > 24
    # Random weights are drawn by the name of a tensor.
    scores = [column for column in frame.columns if column.startswith("score.") and "randomised" not in column]
    assert len(scores) > 4
    for column in scores:
        values = [side[column].to_numpy(dtype=float, na_value=np.nan) for side in sides]
        np.testing.assert_allclose(*values, atol=1e-4, err_msg=column)


def test_a_jax_network_is_attacked_and_explained_as_in_torch(tmp_path: Path) -> None:
    pytest.importorskip("jax")
    write_files(tmp_path)
    run_beside_torch(tmp_path, {"model": f"jax:{tmp_path}/nets.py:make_jax"})


@needs_keras
@pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")  # Keras 3.15 with numpy 2.4
def test_a_keras_file_is_attacked_and_explained_as_in_torch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_files(tmp_path)
    monkeypatch.setenv("KERAS_BACKEND", "torch")
    monkeypatch.syspath_prepend(str(tmp_path))
    import nets  # type: ignore[import-not-found]

    nets.save_keras(tmp_path / "net.keras")
    monkeypatch.delitem(__import__("sys").modules, "nets")
    run_beside_torch(tmp_path, {"model": f"keras:{tmp_path}/net.keras"})


# ── texts ─────────────────────────────────────────────────────────────────────────────────────────────────────────────

TABLE = torch.randn(50, 6, generator=torch.Generator().manual_seed(0))
HEAD = torch.randn(6, 2, generator=torch.Generator().manual_seed(1))


class MeanOfWords(torch.nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.table = torch.nn.Embedding.from_pretrained(TABLE)

    def forward(self, ids_BL: torch.Tensor) -> torch.Tensor:
        return torch.tanh(self.table(ids_BL)).mean(1) @ HEAD


def make_mean_of_words() -> Any:
    import jax.numpy as jnp

    return lambda parameters, words: jnp.tanh(words).mean(1) @ parameters["head"], {"table": TABLE.numpy(), "head": HEAD.numpy()}


def encode(texts: list[str]) -> Any:
    return (np.array([[sum(map(ord, word)) % 50 for word in text.split()] for text in texts]),)


def encode_with_spans(texts: list[str]) -> dict[str, Any]:
    spans = []
    for text in texts:
        starts = np.cumsum([0, *(len(word) + 1 for word in text.split())])
        spans.append([(start, start + len(word)) for start, word in zip(starts, text.split(), strict=False)])
    return {"0": encode(texts)[0], "offset_mapping": np.array(spans)}


def test_texts_have_gradients_by_the_embeddings_that_jax_names(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("jax")
    shared: dict[str, Any] = {"labels": LABELS, "input": "text", "encode": encode_with_spans, "version": "1"}
    here = f"{__name__}:make_mean_of_words"
    model: Any = JaxFunction(here, embedding="table", **shared).load("cpu", "float32")
    plain: Any = TorchModule(MeanOfWords(), **shared).load("cpu", "float32")
    requests = [Classify("a young dog sat", tuple(LABELS)), Classify("the cat is not bad", tuple(LABELS[::-1]))]
    for first, second in zip(*(tiny.engine(each).run(requests) for each in (model, plain)), strict=True):
        np.testing.assert_allclose(first.values, second.values, atol=1e-5)
    for request in requests:
        gradients = []
        for each in (model.differentiable(), plain.differentiable()):
            encoded = each.encode([request])
            features = encoded.features.detach().requires_grad_()
            gradients.append(torch.autograd.grad(each.logits(features, encoded)[:, 0].sum(), features)[0])
        assert torch.allclose(*gradients, atol=1e-5)
    without = JaxFunction(here, **{**shared, "encode": encode})
    assert "gradients" not in without.inspect().features
    with pytest.raises(CapabilityError, match="name the parameter with the token embeddings with the model setting 'embedding'"):
        without.load("cpu", "float32").differentiable()
    with pytest.raises(ModelError, match="no parameter 'words' holds token embeddings"):
        JaxFunction(here, embedding="words", **shared).load("cpu", "float32")
    with pytest.raises(ConfigError, match="embedding is for texts"):
        JaxFunction(here, embedding="table")


@needs_keras
def test_keras_files_that_are_none(tmp_path: Path) -> None:
    (tmp_path / "saved").mkdir()
    (tmp_path / "net.keras").write_bytes(b"junk")
    with pytest.raises(ModelError, match="there is no Keras model at"):
        KerasFile(str(tmp_path / "none.keras"))
    with pytest.raises(ModelError, match="a TensorFlow SavedModel is loaded with 'backend: tensorflow' and 'trust_graph: true'"):
        KerasFile(str(tmp_path / "saved"))
    with pytest.raises(ConfigError, match="backend must be torch, tensorflow or jax, not 'theano'"):
        KerasFile(str(tmp_path / "net.keras"), backend="theano")
    with pytest.raises(ModelError, match="cannot be loaded by Keras in safe mode"):
        KerasFile(str(tmp_path / "net.keras")).load("cpu", "float32")
