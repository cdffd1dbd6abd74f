"""Graphs in the ONNX format answer as the checkpoints that they were exported from."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import transformers
from windtunnel.harness.api.errors import ConfigError, ModelError, UserError
from windtunnel.harness.api.requests import Classify, Embed
from windtunnel.harness.modalities.image import Image
from windtunnel.harness.modalities.text import TextPair
from windtunnel.harness.models.hf.source import HuggingFace
from windtunnel.harness.models.onnx.graph import read_graph
from windtunnel.harness.models.onnx.source import Onnx
from windtunnel.tests import tiny

pytest.importorskip("onnxruntime")
pytest.importorskip("onnx")
exported = pytest.importorskip("windtunnel.tests.exported")

TEXTS = ["the cat sat", "a good young dog in paris was able to read the great films", "bad", TextPair("bad", "great films")]
RNG = np.random.default_rng(3)
PICTURES = [Image(RNG.integers(0, 256, shape, dtype=np.uint8)) for shape in [(32, 32, 3), (40, 50, 3), (64, 64, 1)]]


class Net(torch.nn.Module):
    """A network over pixels, with its output under a name as transformers gives it."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(3 * 8 * 8, 2))

    def forward(self, pixel_values: torch.Tensor) -> Any:
        return transformers.modeling_outputs.SequenceClassifierOutput(logits=self.layers(pixel_values))


def copied(name: str, place: Path) -> Path:
    shutil.copytree(exported.folder(name), place, dirs_exist_ok=True)
    return place


def answers(target: Any, values: Any, **settings: Any) -> list[tuple[float, ...]]:
    engine = tiny.engine(Onnx(str(target), **settings).load("cpu", "float32"))
    return [answer.values for answer in engine.run([Classify(value) for value in values])]


@pytest.mark.parametrize("name", ["bert", "roberta"])
def test_texts_are_classified_as_by_the_checkpoint(name: str) -> None:
    source = Onnx(str(exported.folder(name)))
    info = source.inspect()
    assert info.answers == {"classify": {"text", "pair"}}
    assert info.labels == tuple(tiny.LABELS)
    found, wanted = (tiny.engine(model).run([Classify(text) for text in TEXTS]) for model in (source.load("cpu", "auto"), name))
    np.testing.assert_allclose([one.values for one in found], [one.values for one in wanted], atol=1e-4)


def test_images_are_classified_as_by_the_checkpoint() -> None:
    source = Onnx(str(exported.folder("vit") / "model.onnx"))
    assert source.inspect().answers == {"classify": {"image"}}
    found, wanted = (tiny.engine(model).run([Classify(picture) for picture in PICTURES]) for model in (source.load("cpu", "auto"), "vit"))
    np.testing.assert_allclose([one.values for one in found], [one.values for one in wanted], atol=1e-4)


def test_texts_are_embedded_as_by_the_checkpoint(tmp_path: Path) -> None:
    exported.plain("bert").bert.save_pretrained(tmp_path)
    tiny.shared("bert").tokenizer.save_pretrained(tmp_path)
    (tmp_path / "1_Pooling").mkdir()
    (tmp_path / "1_Pooling/config.json").write_text(json.dumps({"pooling_mode": ["cls", "max"]}))
    wanted = tiny.engine(HuggingFace(str(tmp_path)).load("cpu", "float32")).run([Embed(text) for text in TEXTS[:3]])
    encoded = dict(tiny.shared("bert").tokenizer(["the cat sat", "a good dog"], padding=True, return_tensors="pt"))
    exported.export(exported.plain("bert").bert, tmp_path / "model.onnx", encoded, "last_hidden_state")
    (tmp_path / "model.safetensors").unlink()
    source = Onnx(str(tmp_path))
    assert source.inspect().answers == {"embed": {"text"}}
    found = tiny.engine(source.load("cpu", "auto")).run([Embed(text) for text in TEXTS[:3]])
    np.testing.assert_allclose([one.values for one in found], [one.values for one in wanted], atol=1e-4)


def test_weights_lie_in_a_second_file(tmp_path: Path) -> None:
    pytest.importorskip("onnxscript")
    copied("vit", tmp_path)
    wanted = answers(tmp_path, PICTURES[:1])
    exported.export(exported.plain("vit"), tmp_path / "model.onnx", {"pixel_values": torch.rand(2, 3, 32, 32)}, dynamo=True)
    graph = read_graph(tmp_path / "model.onnx")
    assert graph.data_files == ("model.onnx.data",)
    np.testing.assert_allclose(answers(tmp_path, PICTURES[:1]), wanted, atol=1e-4)
    before = Onnx(str(tmp_path)).load("cpu", "auto").fingerprint
    data = tmp_path / "model.onnx.data"
    data.write_bytes(data.read_bytes()[:-4] + b"\0\0\0\1")
    assert Onnx(str(tmp_path)).load("cpu", "auto").fingerprint != before
    data.unlink()
    with pytest.raises(ModelError, match=r"keeps its weights in 'model\.onnx\.data', which is missing"):
        Onnx(str(tmp_path)).inspect()


def make_graph(place: str, location: str) -> Any:
    """A graph of pixels with one weight in a file: at the top, in a node, in a branch of a condition, or in a function."""
    import onnx
    from onnx import TensorProto, helper

    weight = helper.make_tensor("w", TensorProto.FLOAT, [2], b"\0" * 8, raw=True)
    weight.ClearField("raw_data")
    weight.data_location = TensorProto.EXTERNAL
    weight.external_data.add(key="location", value=location)
    constant = helper.make_node("Constant", [], ["w"], value=weight)
    inner = helper.make_graph([constant], "inner", [], [helper.make_tensor_value_info("w", TensorProto.FLOAT, [2])])
    branch = helper.make_node("If", ["c"], ["w"], then_branch=inner, else_branch=inner)
    nodes = {"top": [], "node": [constant], "branch": [branch], "function": []}[place]
    pixels = helper.make_tensor_value_info("pixel_values", TensorProto.FLOAT, [1, 3, 2, 2])
    logits = helper.make_tensor_value_info("logits", TensorProto.FLOAT, [1, 2])
    graph = helper.make_graph(nodes, "g", [pixels], [logits], [weight] if place == "top" else [])
    opset = [helper.make_opsetid("", 18)]
    function = helper.make_function("own", "F", [], ["w"], [constant], opset)
    return helper.make_model(graph, functions=[function] if place == "function" else [], opset_imports=opset, ir_version=onnx.IR_VERSION)


@pytest.mark.parametrize("place", ["top", "node", "branch", "function"])
@pytest.mark.parametrize("location", ["../../etc/passwd", "/etc/passwd", "..\\secret"])
def test_weights_outside_of_the_folder_are_refused_wherever_they_are_named(place: str, location: str, tmp_path: Path) -> None:
    (tmp_path / "model.onnx").write_bytes(make_graph(place, location).SerializeToString())
    with pytest.raises(ModelError, match="outside of its folder"):
        Onnx(str(tmp_path)).inspect()
    (tmp_path / "model.onnx").write_bytes(make_graph(place, "w.bin").SerializeToString())
    with pytest.raises(ModelError, match=r"keeps its weights in 'w\.bin', which is missing"):
        Onnx(str(tmp_path)).inspect()


def test_a_graph_of_fixed_shapes_is_filled_up(tmp_path: Path) -> None:
    copied("bert", tmp_path)
    tokenizer = tiny.shared("bert").tokenizer
    encoded = dict(tokenizer(["a", "b"], padding="max_length", max_length=9, return_tensors="pt"))
    exported.export(exported.plain("bert"), tmp_path / "model.onnx", encoded, fixed=True)
    engine = tiny.engine(Onnx(str(tmp_path)).load("cpu", "auto"))
    found = engine.run([Classify(text) for text in TEXTS[:3]])
    wanted = tiny.engine(tiny.load("bert", max_length=9)).run([Classify(text) for text in TEXTS[:3]])
    np.testing.assert_allclose([one.values for one in found], [one.values for one in wanted], atol=1e-4)
    assert [one.num_truncated for one in found] == [one.num_truncated for one in wanted] != [0, 0, 0]


def test_a_network_without_a_configuration_gets_plain_pixels(tmp_path: Path) -> None:
    net = Net()
    exported.export(net, tmp_path / "net.onnx", {"pixel_values": torch.rand(1, 3, 8, 8)}, names={"pixel_values": "x"}, fixed=True)
    source = Onnx(str(tmp_path), labels=["dark", "bright"], outputs="logits")
    pixels = RNG.random((8, 8, 3), dtype=np.float32)
    (found,) = tiny.engine(source.load("cpu", "auto")).run([Classify(Image(pixels), ("bright", "dark"))])
    with torch.no_grad():
        wanted = net(torch.from_numpy(pixels.transpose(2, 0, 1))[None]).logits[0].tolist()
    np.testing.assert_allclose(found.values, wanted[::-1], atol=1e-5)
    with pytest.raises(ModelError, match="has 2 scores, and there are 3 labels"):
        Onnx(str(tmp_path), labels=["a", "b", "c"]).inspect()


def test_inputs_under_other_names_are_named_by_a_setting(tmp_path: Path) -> None:
    copied("bert", tmp_path)
    encoded = dict(tiny.shared("bert").tokenizer(["the cat sat", "a good dog"], padding=True, return_tensors="pt"))
    names = {"input_ids": "words", "attention_mask": "input_mask", "token_type_ids": "segment_ids"}
    exported.export(exported.plain("bert"), tmp_path / "model.onnx", encoded, names=names)
    with pytest.raises(ModelError, match=r"takes the input words int64 \[\?, \?\], whose meaning is unknown.*inputs: \{words: MEANING\}"):
        Onnx(str(tmp_path)).inspect()
    wanted = tiny.engine("bert").run([Classify(text) for text in TEXTS])
    np.testing.assert_allclose(answers(tmp_path, TEXTS, inputs={"words": "input_ids"}), [one.values for one in wanted], atol=1e-4)


@pytest.mark.parametrize(
    ("settings", "error", "match"),
    [
        ({"inputs": {"word": "input_ids"}}, ConfigError, "has no input 'word'.*It has input_ids int64"),
        ({"inputs": {"input_ids": "ids"}}, ConfigError, "'ids' has no meaning.*input_ids"),
        ({"inputs": {"attention_mask": "input_ids"}}, ModelError, "a graph must take input_ids of texts"),
        ({"output": "logit"}, ConfigError, "has no output 'logit'. Did you mean 'logits'"),
        ({"labels": ["a", "b"]}, ModelError, "3 outputs, but 'labels' names 2"),
        ({"checkpoint": "/nowhere"}, ModelError, "there is no folder '/nowhere'"),
        ({"answers": "generate"}, ConfigError, "answers must be classify or embed"),
        ({"max_length": 0}, ConfigError, "max_length must be at least 1"),
    ],
)
def test_wrong_settings_are_refused_before_the_weights_load(settings: dict[str, Any], error: type[UserError], match: str) -> None:
    with pytest.raises(error, match=match):
        Onnx(str(exported.folder("bert")), **settings).inspect()


def test_wrong_files_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="there is no file or folder"):
        Onnx(str(tmp_path / "none.onnx")).inspect()
    with pytest.raises(ModelError, match=r"has no \.onnx file"):
        Onnx(str(tmp_path)).inspect()
    (tmp_path / "model.onnx").write_text("version https://git-lfs.github.com/spec/v1")
    with pytest.raises(ModelError, match="is not an ONNX graph"):
        Onnx(str(tmp_path)).inspect()
    whole = (exported.folder("bert") / "model.onnx").read_bytes()
    (tmp_path / "model.onnx").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(ModelError, match="is cut short"):
        Onnx(str(tmp_path)).inspect()
    (tmp_path / "model.onnx").write_bytes(whole)
    with pytest.raises(ModelError, match=r"has no tokenizer.*model setting checkpoint"):
        Onnx(str(tmp_path)).inspect()
    assert answers(tmp_path, ["bad"], checkpoint=str(exported.folder("bert"))) == answers(exported.folder("bert"), ["bad"])
    (tmp_path / "other.onnx").write_bytes(whole)
    (tmp_path / "model.onnx").rename(tmp_path / "first.onnx")
    with pytest.raises(ModelError, match=r"has 2 graphs \(first\.onnx, other\.onnx\)"):
        Onnx(str(tmp_path)).inspect()


def test_an_export_of_another_kind_is_refused(tmp_path: Path) -> None:
    copied("bert", tmp_path)
    config = json.loads((tmp_path / "config.json").read_text())
    (tmp_path / "config.json").write_text(json.dumps({**config, "architectures": ["GPT2LMHeadModel"]}))
    with pytest.raises(ModelError, match="was exported from a GPT2LMHeadModel"):
        Onnx(str(tmp_path)).inspect()


def test_devices_and_providers_that_are_not_there_are_refused() -> None:
    place = str(exported.folder("bert"))
    with pytest.raises(ModelError, match="has no provider 'NoProvider' here"):
        Onnx(place, providers=["NoProvider"]).load("cpu", "auto")
    with pytest.raises(ModelError, match="there is no device 'tpu'"):
        Onnx(place).load("tpu", "auto")
    model = Onnx(place, providers=["CPUExecutionProvider"]).load("cpu", "float16")
    assert any("computes in float32, so dtype float16 is not applied" in note for note in model.notes)


def test_what_it_lacks_is_said_with_the_way_out() -> None:
    lack = Onnx(str(exported.folder("bert"))).inspect().describe_lack(frozenset({"gradients", "classify", "text"}))
    assert lack.startswith("gives no gradients; give the checkpoint that it was exported from")


def test_a_missing_package_is_named_with_the_pip_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("windtunnel.harness.models.common.extras.is_installed", lambda module: False)
    with pytest.raises(ModelError, match=r"needs the package 'onnxruntime'.*pip install 'windtunnel\[onnx\]'"):
        Onnx(str(exported.folder("bert"))).inspect()


def test_a_model_that_reads_padding_runs_texts_of_one_length(tmp_path: Path) -> None:
    """A mean over all positions reads the padding, whatever the mask."""
    copied("bert", tmp_path)

    class Mean(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.words = torch.nn.Embedding(200, 3)

        def forward(self, input_ids: torch.Tensor, attention_mask: torch.Tensor) -> Any:
            return transformers.modeling_outputs.SequenceClassifierOutput(logits=self.words(input_ids).mean(1) + 0 * attention_mask.sum())

    encoded = tiny.shared("bert").tokenizer(["the cat sat", "a good dog"], padding=True, return_tensors="pt")
    exported.export(Mean(), tmp_path / "model.onnx", {key: encoded[key] for key in ("input_ids", "attention_mask")})
    together = answers(tmp_path, TEXTS[:3])
    np.testing.assert_allclose(together, [answers(tmp_path, [text])[0] for text in TEXTS[:3]], atol=1e-6)
