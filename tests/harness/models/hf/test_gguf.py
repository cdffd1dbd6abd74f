"""GGUF files, written by the package of llama.cpp from a tiny llama, answer as the safetensors of the same weights."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import load_file
from windtunnel.harness.api.errors import ModelError
from windtunnel.harness.api.requests import Generate, LogLikelihood, RollingLogLikelihood
from windtunnel.harness.models.hf.source import HuggingFace
from windtunnel.tests import tiny

gguf = pytest.importorskip("gguf")
pytest.importorskip("accelerate")

REQUESTS = [LogLikelihood("the cat", " sat on"), LogLikelihood("a young dog was", " able"), RollingLogLikelihood("bad films in paris")]
NAMES = {
    "model.embed_tokens": "token_embd", "model.norm": "output_norm", "lm_head": "output", "input_layernorm": "attn_norm",
    "post_attention_layernorm": "ffn_norm", "self_attn.q_proj": "attn_q", "self_attn.k_proj": "attn_k", "self_attn.v_proj": "attn_v",
    "self_attn.o_proj": "attn_output", "mlp.gate_proj": "ffn_gate", "mlp.up_proj": "ffn_up", "mlp.down_proj": "ffn_down",
}  # fmt: skip


def permuted(weight: np.ndarray, heads: int) -> np.ndarray:
    """Rows in the order of llama.cpp's rotary embeddings."""
    return weight.reshape(heads, 2, weight.shape[0] // heads // 2, *weight.shape[1:]).swapaxes(1, 2).reshape(weight.shape)


def rename(name: str) -> str:
    for known, short in NAMES.items():
        name = name.replace(known, short)
    return name.replace("model.layers.", "blk.")


def write_gguf(path: Path, kind: Any, *, architecture: str = "llama", metadata: Mapping[str, str] | None = None) -> Path:
    """The tiny llama as a GGUF file. kind: type of all matrices whose rows it can hold, the others are float32."""
    folder = tiny.checkpoint("llama")
    config, tokenizer = json.loads((folder / "config.json").read_text()), tiny.shared("llama").tokenizer
    heads = {"q_proj": config["num_attention_heads"], "k_proj": config["num_key_value_heads"]}
    writer = gguf.GGUFWriter(path, architecture)
    writer.add_block_count(config["num_hidden_layers"])
    writer.add_context_length(config["max_position_embeddings"])
    writer.add_embedding_length(config["hidden_size"])
    writer.add_feed_forward_length(config["intermediate_size"])
    writer.add_head_count(config["num_attention_heads"])
    writer.add_head_count_kv(config["num_key_value_heads"])
    writer.add_layer_norm_rms_eps(config["rms_norm_eps"])
    writer.add_rope_freq_base(10000.0)
    writer.add_rope_dimension_count(config["hidden_size"] // config["num_attention_heads"])
    writer.add_vocab_size(len(tokenizer))
    for name, value in (metadata or {}).items():
        writer.add_string(name, value)
    words = json.loads((folder / "tokenizer.json").read_text())["model"]
    writer.add_tokenizer_model("gpt2")
    writer.add_token_list([token for token, _ in sorted(words["vocab"].items(), key=lambda one: one[1])])
    writer.add_token_merges([" ".join(pair) if isinstance(pair, list) else pair for pair in words["merges"]])
    writer.add_bos_token_id(0)
    writer.add_eos_token_id(1)
    for name, weight in load_file(folder / "model.safetensors").items():
        part = next((num for key, num in heads.items() if key in name), None)
        value = permuted(weight, part) if part else weight
        fits = value.ndim == 2 and value.shape[1] % gguf.GGML_QUANT_SIZES[kind][0] == 0
        own = kind if fits else gguf.GGMLQuantizationType.F32
        writer.add_tensor(rename(name), gguf.quants.quantize(np.ascontiguousarray(value, np.float32), own), raw_dtype=own)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


def answers(model: Any) -> list[float]:
    return [answer.value for answer in tiny.engine(model).run(REQUESTS)]


@pytest.fixture
def with_tokenizer(tmp_path: Path) -> Path:
    """A folder with the original tokenizer."""
    for name in ("tokenizer.json", "tokenizer_config.json"):
        shutil.copy(tiny.checkpoint("llama") / name, tmp_path / name)
    return tmp_path


def test_a_gguf_file_is_the_checkpoint_that_it_was_written_from(with_tokenizer: Path) -> None:
    path = write_gguf(with_tokenizer / "tiny.gguf", gguf.GGMLQuantizationType.F32)
    source = HuggingFace(str(path))
    info = source.inspect()
    assert "generate" in info.answers
    assert info.notes == ("its weights are stored as GGUF (F32: 21), and computed in the run's number format",)
    model = source.load("cpu", "float32")
    np.testing.assert_allclose(answers(model), answers("llama"), atol=1e-4)
    said, wanted = (tiny.engine(one).run([Generate("the cat", 12)])[0].text for one in (model, "llama"))
    assert said == wanted
    assert model.max_length == tiny.MAX_LENGTH


def test_quantised_tensors_are_named_and_differ(with_tokenizer: Path) -> None:
    prints = set()
    for kind, most in (("F16", 0.05), ("Q8_0", 1.0), ("Q4_0", 20.0)):
        path = write_gguf(with_tokenizer / f"{kind}.gguf", gguf.GGMLQuantizationType[kind])
        source = HuggingFace(str(path))
        assert f"{kind}: " in source.inspect().notes[0]
        model = source.load("cpu", "float32")
        apart = np.abs(np.subtract(answers(model), answers("llama"))).max()
        assert 0 < apart < most
        prints.add(model.fingerprint)
    assert len(prints) == 3
    with pytest.raises(ModelError, match=r"has 3 GGUF files \(F16.gguf, Q4_0.gguf, Q8_0.gguf\); name one"):
        HuggingFace(str(with_tokenizer))


def test_the_tokenizer_of_the_file_is_read_where_there_is_no_other(tmp_path: Path) -> None:
    write_gguf(tmp_path / "tiny.gguf", gguf.GGMLQuantizationType.F32)
    source = HuggingFace(str(tmp_path))
    model = source.load("cpu", "float32")
    assert model.name == str(tmp_path)
    text = "the cat sat on a table"
    assert model.tokenizer(text, add_special_tokens=False)["input_ids"] == tiny.shared("llama").tokenizer(text, add_special_tokens=False)[
        "input_ids"
    ]  # fmt: skip


def test_what_cannot_be_read_is_refused_by_the_plan(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(path: Path, match: str) -> None:
        with pytest.raises(ModelError, match=match):
            HuggingFace(str(path)).inspect()

    refused(tmp_path / "none.gguf", "there is no file")
    whole = write_gguf(tmp_path / "tiny.gguf", gguf.GGMLQuantizationType.F32)
    (tmp_path / "cut.gguf").write_bytes(whole.read_bytes()[:-5000])
    refused(tmp_path / "cut.gguf", "cannot be read as GGUF.*copy the file again")
    (tmp_path / "text.gguf").write_text("{}")
    refused(tmp_path / "text.gguf", "cannot be read as GGUF")
    refused(Path(shutil.copy(whole, tmp_path / "m-00001-of-00003.gguf")), "one of 3 parts.*merge them with llama-gguf-split")
    refused(
        write_gguf(tmp_path / "odd.gguf", gguf.GGMLQuantizationType.F32, architecture="grok"),
        "'grok', which transformers does not.*llama.cpp",
    )
    with pytest.raises(ModelError, match="quantised already"):
        HuggingFace(str(whole), quantization={"load_in_8bit": True}).inspect()
    monkeypatch.setattr("windtunnel.harness.models.common.extras.is_installed", lambda module: module != "gguf")
    refused(whole, r"needs the package 'gguf'.*windtunnel\[gguf\]")
