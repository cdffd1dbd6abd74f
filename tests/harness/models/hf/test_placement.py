"""Weights that are quantised, or placed on devices by accelerate, answer as transformers' own load of the same."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import transformers
from windtunnel.harness.api.errors import ConfigError, ModelError
from windtunnel.harness.api.requests import Classify, LogLikelihood
from windtunnel.harness.models.hf.source import HuggingFace
from windtunnel.tests import tiny

pytest.importorskip("accelerate")

AUTO = {"llama": transformers.AutoModelForCausalLM, "bert": transformers.AutoModelForSequenceClassification}
BNB8, BNB4 = {"load_in_8bit": True}, {"load_in_4bit": True}


def answer(model: Any, name: str) -> list[float]:
    """Class scores, or the log-likelihood of the last two words."""
    if name == "bert":
        return list(tiny.engine(model).run([Classify("the cat sat")])[0].values)
    return [tiny.engine(model).run([LogLikelihood("the cat", " sat on")])[0].value]


def expected(module: Any, name: str) -> list[float]:
    """As `answer`, by transformers alone. Without the last token: 8 bits of bitsandbytes look for outliers in all of a pass."""
    tokenizer = tiny.shared(name).tokenizer
    with torch.no_grad():
        if name == "bert":
            return module(**tokenizer("the cat sat", return_tensors="pt")).logits[0].tolist()
        ids = tokenizer("the cat sat on", return_tensors="pt")["input_ids"]
        scores = module(ids[:, :-1]).logits[0].double().log_softmax(-1).gather(1, ids[0, 1:, None])
    num = len(tokenizer(" sat on", add_special_tokens=False)["input_ids"])
    return [scores[-num:].sum().item()]


@pytest.mark.parametrize("name", ["llama", "bert"])
@pytest.mark.parametrize("bits", [BNB8, BNB4], ids=["8", "4"])
def test_bitsandbytes_equals_transformers_own_load(name: str, bits: dict[str, bool], tmp_path: Path) -> None:
    """By the setting, and as a checkpoint that stores quantised weights."""
    pytest.importorskip("bitsandbytes")
    config = transformers.BitsAndBytesConfig(**bits)
    own = AUTO[name].from_pretrained(tiny.checkpoint(name), quantization_config=config, dtype=torch.float32).eval()
    number = 8 if bits is BNB8 else 4
    source = HuggingFace(str(tiny.checkpoint(name)), quantization=f"bitsandbytes-{number}bit")
    note = f"its weights are quantised (bitsandbytes, {number} bits), so its answers differ from the original's"
    assert note in source.inspect().notes
    model = source.load("cpu", "float32")
    assert answer(model, name) == pytest.approx(expected(own, name), abs=1e-4)
    assert np.abs(np.subtract(answer(model, name), answer(tiny.shared(name), name))).max() > 1e-3
    assert model.fingerprint != tiny.shared(name).fingerprint
    assert model.randomised(1) is None
    own.save_pretrained(tmp_path)
    tiny.shared(name).tokenizer.save_pretrained(tmp_path)
    stored = HuggingFace(str(tmp_path))
    assert note in stored.inspect().notes
    assert answer(stored.load("cpu", "float32"), name) == pytest.approx(expected(own, name), abs=1e-4)
    with pytest.raises(ModelError, match="quantised already"):
        HuggingFace(str(tmp_path), quantization="bitsandbytes-8bit").inspect()


@pytest.mark.parametrize("name", ["llama", "bert"])
def test_torchao_equals_transformers_own_load(name: str) -> None:
    quantization = pytest.importorskip("torchao.quantization")
    config = transformers.TorchAoConfig(quantization.Int8WeightOnlyConfig())
    own = AUTO[name].from_pretrained(tiny.checkpoint(name), quantization_config=config, dtype=torch.float32).eval()
    source = HuggingFace(str(tiny.checkpoint(name)), quantization="torchao-8bit")
    assert any("quantised (torchao, 8 bits)" in note for note in source.inspect().notes)
    model = source.load("cpu", "float32")
    assert answer(model, name) == pytest.approx(expected(own, name), abs=1e-4)
    assert model.randomised(1) is None
    with pytest.raises(ModelError, match=r"torchao-4bit: .*down_proj|torchao-4bit: .*output\.dense.*multiple of 32"):
        HuggingFace(str(tiny.checkpoint(name)), quantization="torchao-4bit").load("cpu", "float32")


def test_torchao_quantises_four_bits(tmp_path: Path) -> None:
    quantization, granularity = pytest.importorskip("torchao.quantization"), pytest.importorskip("torchao.quantization.granularity")
    tokenizer = tiny.shared("llama").tokenizer
    sizes = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 64}
    module = transformers.LlamaForCausalLM(transformers.LlamaConfig(vocab_size=len(tokenizer), initializer_range=0.3, **sizes))
    module.save_pretrained(tmp_path)
    tokenizer.save_pretrained(tmp_path)
    groups = quantization.IntxWeightOnlyConfig(weight_dtype=torch.int4, granularity=granularity.PerGroup(32))
    own = AUTO["llama"].from_pretrained(tmp_path, quantization_config=transformers.TorchAoConfig(groups), dtype=torch.float32).eval()
    model = HuggingFace(str(tmp_path), quantization="torchao-4bit").load("cpu", "float32")
    assert answer(model, "llama") == pytest.approx(expected(own, "llama"), abs=1e-4)


def test_a_quantised_classifier_has_gradients() -> None:
    pytest.importorskip("bitsandbytes")
    model = HuggingFace(str(tiny.checkpoint("bert")), quantization="bitsandbytes-4bit").load("cpu", "float32")
    encoded = model.encode([Classify("the cat sat")])
    features = encoded.features.detach().requires_grad_()
    (slope,) = torch.autograd.grad(model.logits(features, encoded)[0, 0], features)
    assert slope.abs().max() > 1e-3


@pytest.mark.parametrize("name", ["llama", "bert"])
@pytest.mark.parametrize("devices", ["auto", {"": "cpu"}])
def test_a_device_map_changes_no_answer(name: str, devices: Any) -> None:
    model = HuggingFace(str(tiny.checkpoint(name)), device_map=devices).load("cpu", "float32")
    assert answer(model, name) == pytest.approx(answer(tiny.shared(name), name), abs=1e-4)
    assert model.fingerprint == tiny.shared(name).fingerprint


def test_a_model_has_a_number_format_of_its_own() -> None:
    model = HuggingFace(str(tiny.checkpoint("bert")), dtype="bfloat16").load("cpu", "float32")
    assert model.dtype == torch.bfloat16
    assert model.fingerprint == tiny.load("bert", dtype="bfloat16").fingerprint


def test_what_is_missing_or_unknown_is_said_before_weights_load(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = str(tiny.checkpoint("bert"))
    with pytest.raises(ConfigError, match="quantization must be one of bitsandbytes-8bit"):
        HuggingFace(folder, quantization="int3")  # type: ignore[arg-type]
    with pytest.raises(ModelError, match="cannot be quantised by nonsense"):
        HuggingFace(folder, quantization={"quant_method": "nonsense"}).load("cpu", "float32")
    monkeypatch.setattr("windtunnel.harness.models.checkpoint.quantisation.is_installed", lambda module: module == "bitsandbytes")
    for quantization, match in [
        ("torchao-8bit", "quantised by torchao.*pip install torchao"),
        ("bitsandbytes-8bit", "needs accelerate: pip install accelerate"),
    ]:
        with pytest.raises(ModelError, match=match):
            HuggingFace(folder, quantization=quantization).inspect()
    monkeypatch.setattr("windtunnel.harness.models.common.extras.is_installed", lambda module: False)
    with pytest.raises(ModelError, match=r"needs the package 'accelerate'.*windtunnel\[accelerate\]"):
        HuggingFace(folder, device_map="auto")
