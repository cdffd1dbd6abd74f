"""Pickled weights are converted on request, without running their code."""

from __future__ import annotations

import json
import os
import pickle
import shutil
import zipfile
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from typer.testing import CliRunner
from windtunnel.harness.api.errors import ModelError
from windtunnel.harness.api.requests import LogLikelihood
from windtunnel.harness.cli.main import app
from windtunnel.harness.models.checkpoint.pickled import convert
from windtunnel.harness.models.hf.source import HuggingFace
from windtunnel.tests import tiny


def pickled(folder: Path, *, parts: int = 1) -> Path:
    """The tiny gpt2 with its weights in one or more .bin files."""
    shutil.copytree(tiny.checkpoint("gpt2"), folder)
    state = load_file(folder / "model.safetensors")
    (folder / "model.safetensors").unlink()
    state["lm_head.weight"] = state["transformer.wte.weight"]
    if parts == 1:
        torch.save(state, folder / "pytorch_model.bin")
        return folder
    table = {}
    for i in range(parts):
        name = f"pytorch_model-{i + 1:05}-of-{parts:05}.bin"
        own = dict(list(state.items())[i::parts])
        torch.save(own, folder / name)
        table |= dict.fromkeys(own, name)
    (folder / "pytorch_model.bin.index.json").write_text(json.dumps({"weight_map": table}))
    return folder


@pytest.mark.parametrize("parts", [1, 3])
def test_converted_weights_are_the_pickled_ones(parts: int, tmp_path: Path) -> None:
    folder, out = pickled(tmp_path / "old", parts=parts), tmp_path / "new"
    before = sorted(folder.iterdir())
    with pytest.raises(ModelError, match=r"pickled weights are never read.*windtunnel convert"):
        HuggingFace(str(folder)).inspect()
    result = CliRunner().invoke(app, ["convert", str(folder), str(out)])
    assert result.exit_code == 0, result.output
    assert len(result.output.split()) == parts
    assert sorted(folder.iterdir()) == before
    assert not list(out.glob("*.bin*"))
    request = LogLikelihood("the cat", " sat on")
    found, wanted = (tiny.engine(model).run([request])[0].value for model in (HuggingFace(str(out)).load("cpu", "float32"), "gpt2"))
    assert found == pytest.approx(wanted, abs=1e-5)


class Trap:
    def __init__(self, place: Path) -> None:
        self.place = place

    def __reduce__(self) -> Any:
        return os.mkdir, (str(self.place),)


def test_a_pickle_with_code_is_refused_and_not_run(tmp_path: Path) -> None:
    folder = pickled(tmp_path / "old")
    for place, write in (("zip", torch.save), ("plain", lambda value, path: path.write_bytes(pickle.dumps(value)))):
        write({"transformer.wte.weight": Trap(tmp_path / place)}, folder / "pytorch_model.bin")
        with pytest.raises(ModelError, match=r"more than tensors \(.*\), which could run code.*not converted"):
            convert(folder, tmp_path / "new")
        assert not (tmp_path / place).exists()
        assert not (tmp_path / "new").exists()


def test_what_cannot_be_converted_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(match: str, out: str = "new") -> None:
        with pytest.raises(ModelError, match=match):
            convert(folder, tmp_path / out)

    folder = pickled(tmp_path / "old")
    refused("is there already", "old")
    torch.save({"state_dict": {"a": torch.ones(1)}, "epoch": 3}, folder / "pytorch_model.bin")
    refused("no tensors by name, but state_dict, epoch")
    torch.save([1, 2], folder / "pytorch_model.bin")
    refused("no tensors by name, but list")
    (folder / "pytorch_model.bin").write_bytes(b"PK\x03\x04 cut")
    refused("cannot be read.*copy the checkpoint again")
    with zipfile.ZipFile(folder / "pytorch_model.bin", "w") as file:
        file.writestr("a", "b")
    refused("cannot be read")
    (folder / "pytorch_model.bin").unlink()
    refused("has neither pytorch_model.bin nor adapter_model.bin")
    index = folder / "pytorch_model.bin.index.json"
    index.write_text(json.dumps({"weight_map": {"a": "pytorch_model-00001-of-00002.bin"}}))
    refused("lacks pytorch_model-00001-of-00002.bin")
    index.write_text(json.dumps({"weight_map": {"a": "../pytorch_model.bin"}}))
    refused("names no files of its folder")
    folder = tiny.checkpoint("gpt2")
    refused("has safetensors already")
    folder = tmp_path / "gone"
    refused("there is no folder")
    folder = tmp_path / "old"
    monkeypatch.setattr(torch, "__version__", "2.5.1")
    refused(r"can run code while it reads a pickle.*torch>=2\.6")


def test_an_adapter_and_modules_in_subfolders_are_converted(tmp_path: Path) -> None:
    (tmp_path / "old").mkdir()
    (tmp_path / "old/adapter_config.json").write_text("{}")
    torch.save({"base_model.model.a.lora_A.weight": torch.ones(2, 3)}, tmp_path / "old/adapter_model.bin")
    (tmp_path / "old/2_Dense").mkdir()
    torch.save({"linear.weight": torch.ones(2, 3)}, tmp_path / "old/2_Dense/pytorch_model.bin")
    assert convert(tmp_path / "old", tmp_path / "new") == ["2_Dense/model.safetensors", "adapter_model.safetensors"]
    assert load_file(tmp_path / "new/adapter_model.safetensors")["base_model.model.a.lora_A.weight"].sum() == 6
    assert (tmp_path / "new/adapter_config.json").is_file()
