"""Models of JAX and Keras in a run, beside the same network in torch: the same scores, attacks and attributions."""

from __future__ import annotations

import os
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from windtunnel.harness.api.errors import CapabilityError, ConfigError, ModelError
from windtunnel.harness.api.requests import Classify
from windtunnel.harness.models.frameworks.jax_source import JaxFunction
from windtunnel.harness.models.frameworks.keras_source import KerasFile
from windtunnel.harness.models.torch.source import TorchModule
from windtunnel.tests import ports, tiny

LABELS = ["dark", "bright"]

needs_keras = pytest.mark.skipif(find_spec("keras") is None, reason="needs keras")  # not imported, which would fix its backend

# ── whole runs ────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("kind", ["mlp", "cnn"])
def test_a_jax_network_is_attacked_and_explained_as_in_torch(kind: str, tmp_path: Path) -> None:
    pytest.importorskip("jax")
    ports.write_images(tmp_path)
    ports.compare_images(tmp_path, kind, {"model": f"jax:{tmp_path}/nets.py:make_jax_{kind}"})


def test_a_transformer_in_jax_is_attacked_and_explained_as_by_transformers(tmp_path: Path) -> None:
    pytest.importorskip("jax")
    ports.write_texts(tmp_path)
    nets = f"{tmp_path}/forms/nets.py"
    made = {"model": f"jax:{nets}:make_jax", "encode": f"{nets}:encode", "embedding": "bert.embeddings.word_embeddings.weight"}
    ports.compare_texts(tmp_path, made)


def test_a_transformer_as_a_module_is_attacked_and_explained_as_by_transformers(tmp_path: Path) -> None:
    ports.write_texts(tmp_path)
    nets = f"{tmp_path}/forms/nets.py"
    ports.compare_texts(tmp_path, {"model": f"torch:{nets}:make_torch", "encode": f"{nets}:encode"}, ("hotflip", "gradient_word_swap"))


@needs_keras
@pytest.mark.parametrize("backend", ["torch", "jax", "tensorflow"])
def test_keras_files_are_attacked_and_explained_as_in_torch(backend: str, tmp_path: Path) -> None:
    """An MLP, a CNN and a transformer, on a backend in a process of its own."""
    if find_spec(backend) is None:
        pytest.skip(f"needs {backend}")
    environment = {**os.environ, "KERAS_BACKEND": backend, "TF_CPP_MIN_LOG_LEVEL": "3"}
    line = [sys.executable, "-m", "windtunnel.tests.ports", backend, str(tmp_path)]
    done = subprocess.run(line, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-3000:]


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
    with pytest.raises(ModelError, match=r"no parameter 'words' of .* holds token embeddings .*: head, table"):
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
