"""Keras files on each backend against the same network in torch. Keras has one backend a process, so that each has its own."""

from __future__ import annotations

import os
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

BACKENDS = ("torch", "jax", "tensorflow")

pytestmark = pytest.mark.skipif(find_spec("keras") is None, reason="needs keras")

_SCRIPT = """
import sys
from pathlib import Path
import numpy as np, torch
import keras
from windtunnel.harness.api.errors import ModelError
from windtunnel.harness.models.frameworks.bridged_module import ChannelsLast
from windtunnel.harness.models.frameworks.keras_program import load_keras, load_saved_model

backend, folder = sys.argv[1], Path(sys.argv[2])
draws = np.random.default_rng(0)
kernel, head = draws.normal(size=(3, 3, 3, 4)).astype(np.float32), draws.normal(size=(4, 3)).astype(np.float32)
layers = keras.layers
model = keras.Sequential([
    keras.Input((6, 5, 3)), layers.Conv2D(4, 3, activation="tanh", use_bias=False), layers.GlobalAveragePooling2D(),
    layers.Dropout(0.5), layers.Dense(3, use_bias=False),
])
model.set_weights([kernel, head])

def in_torch(pixels):
    hidden = torch.tanh(torch.nn.functional.conv2d(pixels, torch.from_numpy(kernel).permute(3, 2, 0, 1))).mean((2, 3))
    return hidden @ torch.from_numpy(head)

def compare(module):
    torch.manual_seed(0)
    for size in (1, 3):
        pixels, weights = torch.rand(size, 3, 6, 5, requires_grad=True), torch.randn(size, 3)
        ours, theirs = ChannelsLast(module)(pixels), in_torch(pixels)
        assert torch.allclose(ours, theirs, atol=1e-5), (ours - theirs).abs().max()
        for a, b in zip(*(torch.autograd.grad((s * weights).sum(), pixels) for s in (ours, theirs))):
            assert torch.allclose(a, b, atol=1e-5), (a - b).abs().max()
    # On torch, Keras also counts the state of dropout.
    assert sorted({p.numel() for p in module.parameters()} - {2}) == [12, 108]

def expect(what, load, *arguments):
    try:
        load(*arguments)
    except ModelError as error:
        assert what in str(error), error
    else:
        raise AssertionError(what)

for name in ("model.keras", "model.h5"):
    model.save(folder / name)
    compare(load_keras(folder / name, backend))
code = keras.Sequential([keras.Input((8,)), layers.Lambda(lambda values: values * 2)])
for name in ("code.keras", "code.h5"):
    code.save(folder / name)
    expect("A Lambda layer holds Python code, which is never run", load_keras, folder / name, backend)
(folder / "junk.keras").write_bytes(b"junk")
expect("cannot be loaded by Keras in safe mode", load_keras, folder / "junk.keras", backend)
expect(f"Keras runs on '{backend}' in this process", load_keras, folder / "model.keras", {"torch": "jax"}.get(backend, "torch"))
if backend == "tensorflow":
    model.export(str(folder / "saved"))
    compare(load_saved_model(folder / "saved"))
    expect("has no function 'serving_default'", load_saved_model, folder)
"""


@pytest.mark.parametrize("backend", BACKENDS)
def test_files_on_each_backend(backend: str, tmp_path: Path) -> None:
    if find_spec(backend) is None:
        pytest.skip(f"needs {backend}")
    environment = {**os.environ, "KERAS_BACKEND": backend, "TF_CPP_MIN_LOG_LEVEL": "3"}
    done = subprocess.run([sys.executable, "-c", _SCRIPT, backend, str(tmp_path)], env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-3000:]
