"""PEFT adapters, merged into their base models, answer as peft itself does."""

from __future__ import annotations

import json
import shutil
import warnings
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers
from windtunnel.harness.api.errors import ModelError
from windtunnel.harness.api.requests import Classify, LogLikelihood
from windtunnel.harness.models.hf.source import HuggingFace
from windtunnel.tests import tiny

peft = pytest.importorskip("peft")


def adapted(module: Any, folder: Path, base: Path, **settings: Any) -> Any:
    """An adapter of random weights, saved in a folder."""
    with torch.random.fork_rng(), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.manual_seed(5)
        module.name_or_path = str(base)
        model = peft.get_peft_model(module, peft.LoraConfig(init_lora_weights=False, **settings)).eval()
        model.save_pretrained(folder)
    return model


@pytest.fixture
def lora(tmp_path: Path) -> tuple[Any, Path]:
    base = tiny.checkpoint("llama")
    module = transformers.AutoModelForCausalLM.from_pretrained(base)
    return adapted(module, tmp_path / "lora", base, task_type="CAUSAL_LM", target_modules=["q_proj", "v_proj"]), tmp_path / "lora"


def test_a_language_model_is_adapted_as_by_peft(lora: tuple[Any, Path]) -> None:
    module, folder = lora
    source = HuggingFace(str(folder))
    assert "generate" in source.inspect().answers
    model = source.load("cpu", "float32")
    assert any("LORA adapter is merged" in note for note in model.notes)
    (found,), (plain,) = (tiny.engine(one).run([LogLikelihood("the cat", " sat on")]) for one in (model, "llama"))
    tokenizer = tiny.shared("llama").tokenizer
    ids = tokenizer("the cat sat on", return_tensors="pt")["input_ids"]
    with torch.no_grad():
        log_probs = module(ids).logits[0, :-1].log_softmax(-1)
    num = len(tokenizer(" sat on", add_special_tokens=False)["input_ids"])
    wanted = log_probs.gather(1, ids[0, 1:, None])[-num:].sum().item()
    assert found.value == pytest.approx(wanted, abs=1e-4)
    assert abs(found.value - plain.value) > 1e-3


def test_a_head_that_the_adapter_stores_needs_none_in_the_base(tmp_path: Path) -> None:
    base = tmp_path / "base"
    tiny.shared("bert").tokenizer.save_pretrained(base)
    module = transformers.AutoModelForSequenceClassification.from_pretrained(tiny.checkpoint("bert"))
    module.bert.save_pretrained(base)
    module.config.name_or_path = ""
    model = adapted(module, tmp_path / "lora", base, task_type="SEQ_CLS", target_modules=["query", "value"])
    source = HuggingFace(str(tmp_path / "lora"), labels=list(tiny.LABELS))
    assert source.inspect().answers == {"classify": {"text", "pair"}}
    (found,) = tiny.engine(source.load("cpu", "float32")).run([Classify("the cat sat")])
    with torch.no_grad():
        wanted = model(**tiny.shared("bert").tokenizer("the cat sat", return_tensors="pt")).logits[0].tolist()
    assert found.values == pytest.approx(wanted, abs=1e-4)


def test_the_base_is_named_by_a_setting_and_a_missing_one_is_said_first(lora: tuple[Any, Path]) -> None:
    _, folder = lora
    wanted = HuggingFace(str(folder)).load("cpu", "float32").fingerprint
    before = (folder / "adapter_config.json").read_text()
    settings = json.loads(before)
    gone = r"for the model '/gone/base', which is not there.*setting base"
    for name, match in [("/gone/base", gone), ("no-one/base", "hf download no-one/base")]:
        (folder / "adapter_config.json").write_text(json.dumps({**settings, "base_model_name_or_path": name}))
        with pytest.raises(ModelError, match=match):
            HuggingFace(str(folder)).inspect()
    (folder / "adapter_config.json").write_text(before)
    moved = HuggingFace(str(folder), base=str(tiny.checkpoint("llama"))).load("cpu", "float32")
    assert moved.fingerprint == wanted
    with pytest.raises(ModelError, match="does not fit its base model"):
        HuggingFace(str(folder), base=str(tiny.checkpoint("gpt2"))).load("cpu", "float32")


def test_an_adapter_is_part_of_the_fingerprint(lora: tuple[Any, Path], tmp_path: Path) -> None:
    _, folder = lora
    base = tiny.checkpoint("llama")
    module = transformers.AutoModelForCausalLM.from_pretrained(base)
    adapted(module, tmp_path / "other", base, task_type="CAUSAL_LM", target_modules=["q_proj"])
    prints = {HuggingFace(str(place)).load("cpu", "float32").fingerprint for place in (folder, tmp_path / "other", base)}
    assert len(prints) == 3


def test_what_cannot_be_merged_is_refused(lora: tuple[Any, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _, folder = lora
    shutil.copytree(folder, tmp_path / "bin")
    (tmp_path / "bin/adapter_model.safetensors").rename(tmp_path / "bin/adapter_model.bin")
    with pytest.raises(ModelError, match=r"no adapter_model\.safetensors; pickled weights are never read"):
        HuggingFace(str(tmp_path / "bin")).inspect()
    settings = json.loads((folder / "adapter_config.json").read_text())
    (folder / "adapter_config.json").write_text(json.dumps({**settings, "peft_type": "PREFIX_TUNING"}))
    with pytest.raises(ModelError, match="of the kind PREFIX_TUNING"):
        HuggingFace(str(folder)).inspect()
    with pytest.raises(ModelError, match="base is for PEFT adapters"):
        HuggingFace(str(tiny.checkpoint("llama")), base="x")
    monkeypatch.setattr("windtunnel.harness.models.common.extras.is_installed", lambda module: False)
    with pytest.raises(ModelError, match=r"needs the package 'peft'.*windtunnel\[peft\]"):
        HuggingFace(str(folder)).inspect()
