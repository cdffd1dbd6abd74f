"""Networks of images and texts, written in torch, JAX and Keras with the same weights, and compared by whole runs.

``python -m windtunnel.tests.ports BACKEND FOLDER`` compares those of Keras: a process has one backend.
"""

from __future__ import annotations

import importlib.util
import re
import shutil
import sys
from pathlib import Path
from typing import Any

import numpy as np
import windtunnel as wt
import windtunnel.examples
from windtunnel.harness.models.frameworks.bridged_module import Array

LABELS = {"images": ["dark", "bright"], "texts": ["negative", "positive"]}
SHOWN = Path(windtunnel.examples.__file__).parent

_IMAGES = """
import numpy as np

draws = np.random.default_rng(0)
KERNEL, HEAD = draws.normal(size=(3, 3, 3, 8)).astype(np.float32) / 3, draws.normal(size=(8, 2)).astype(np.float32)
FIRST, LAST = draws.normal(size=(192, 16)).astype(np.float32) / 14, draws.normal(size=(16, 2)).astype(np.float32)


def make_torch_cnn():
    import torch

    class Net(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.kernel = torch.nn.Parameter(torch.from_numpy(KERNEL).permute(3, 2, 0, 1).contiguous())
            self.head = torch.nn.Parameter(torch.from_numpy(HEAD))

        def forward(self, pixels):
            return torch.tanh(torch.nn.functional.conv2d(pixels, self.kernel)).mean((2, 3)) @ self.head

    return Net()


def make_torch_mlp():
    import torch

    class Net(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.first, self.last = (torch.nn.Parameter(torch.from_numpy(each)) for each in (FIRST, LAST))

        def forward(self, pixels):
            return torch.relu(pixels.permute(0, 2, 3, 1).flatten(1) @ self.first) @ self.last

    return Net()


def make_jax_cnn():
    import jax
    import jax.numpy as jnp

    def apply(parameters, pixels):
        hidden = jax.lax.conv_general_dilated(pixels, parameters["kernel"], (1, 1), "VALID", dimension_numbers=("NHWC", "HWIO", "NHWC"))
        return jnp.tanh(hidden).mean((1, 2)) @ parameters["head"]

    return apply, {"kernel": KERNEL, "head": HEAD}


def make_jax_mlp():
    import jax

    def apply(parameters, pixels):
        return jax.nn.relu(pixels.reshape(len(pixels), -1) @ parameters["type"]) @ parameters["half"]

    return apply, {"type": FIRST, "half": LAST}


def save_keras(path, kind):
    import keras

    layers = keras.layers
    if kind == "cnn":
        net = [keras.Input((None, None, 3)), layers.Conv2D(8, 3, activation="tanh", use_bias=False), layers.GlobalAveragePooling2D()]
    else:
        net = [keras.Input((8, 8, 3)), layers.Flatten(), layers.Dense(16, activation="relu", use_bias=False)]
    net = keras.Sequential([*net, layers.Dense(2, use_bias=False)])
    net.set_weights([KERNEL, HEAD] if kind == "cnn" else [FIRST, LAST])
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


def write_images(folder: Path) -> None:
    """Write the networks of images, ``nets.py``, and their task, ``images.yaml``."""
    (folder / "nets.py").write_text(_IMAGES)
    (folder / "images.yaml").write_text(_TASK)


def write_texts(folder: Path) -> None:
    """Write the networks of texts, ``forms/nets.py``, their checkpoint and their task, ``texts.yaml``."""
    shutil.copytree(SHOWN / "forms", folder / "forms", ignore=shutil.ignore_patterns("made", "__pycache__"))
    shutil.copytree(SHOWN / "demo/models/reviews-bert", folder / "forms/made/bert")
    shutil.copy(SHOWN / "demo/tasks/reviews.yaml", folder / "texts.yaml")


def compare_images(folder: Path, kind: str, other: dict[str, Any]) -> None:
    """Scores, PGD's perturbed images and integrated gradients of an MLP or CNN agree with torch's."""
    known = {"model": f"torch:{folder}/nets.py:make_torch_{kind}"}
    attacks = [{"attack": "pgd", "epsilon": 0.03, "steps": 5}]
    _compare(folder, "images", {"torch": known, "other": other}, attacks, 12)


def compare_texts(folder: Path, other: dict[str, Any], attacks: tuple[Any, ...] = ("hotflip",)) -> None:
    """Scores, HotFlip's texts and integrated gradients of a small BERT agree with the checkpoint's, which transformers computes."""
    given = {**other, "input": "text", "vocabulary": f"{folder}/forms/nets.py:list_words"}
    models = {"torch": {"model": f"hf:{folder}/forms/made/bert"}, "other": given}
    _compare(folder, "texts", models, [{"attack": name, "max_words": 1, "candidates": 4} for name in attacks], 3)


def _compare(folder: Path, task: str, models: dict[str, Any], attacks: list[Any], limit: int) -> None:
    models["other"]["labels"] = LABELS[task]
    if task == "images":
        models["torch"]["labels"] = LABELS[task]
    probes = [{"probe": "integrated_gradients", "steps": 8, "max_steps": 8}]
    run = wt.evaluate(
        models, str(folder / f"{task}.yaml"), attacks=attacks, probes=probes, limit=limit,
        folder=folder / f"run-{task}-{len(list(folder.iterdir()))}", device="cpu",
    )  # fmt: skip
    frame = run.samples()
    assert run.scorecard.complete
    assert run.scorecard.num_failed == 0, [row for row in frame.get("error", []) if row][:3]
    sides = [frame[frame["model"] == name].drop(columns="model").reset_index(drop=True) for name in ("torch", "other")]
    assert len(sides[0]) == len(sides[1]) >= 3 * limit
    # Random weights are drawn by the name of a tensor; only a checkpoint has a token for hidden words.
    scores = [column for column in frame.columns if column.startswith("score.") and not re.search("randomised|_mask", column)]
    assert len(scores) > 4
    for column in scores:
        values: list[Array] = [side[column].to_numpy(dtype=float, na_value=np.nan) for side in sides]
        np.testing.assert_allclose(*values, atol=1e-4, err_msg=column)


def _compare_keras(backend: str, folder: Path) -> None:
    write_images(folder)
    for kind in ("mlp", "cnn"):
        _import(folder / "nets.py").save_keras(folder / f"{kind}.keras", kind)
        compare_images(folder, kind, {"model": f"keras:{folder}/{kind}.keras", "backend": backend})
    write_texts(folder)
    _import(folder / "forms/nets.py").build_keras().save(folder / "bert.keras")
    encode = f"{folder}/forms/nets.py:encode_with_positions"
    compare_texts(folder, {"model": f"keras:{folder}/bert.keras", "backend": backend, "encode": encode, "embedding": "words"})


def _import(path: Path) -> Any:
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


if __name__ == "__main__":
    _compare_keras(sys.argv[1], Path(sys.argv[2]))
