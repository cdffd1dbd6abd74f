"""What checkpoints say of themselves (the table in docs/models.md), a folder for each row: obeyed, refused with the way out, or noted."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import transformers
from safetensors.torch import load_file, save_file
from windtunnel.harness.api.errors import ModelError
from windtunnel.harness.api.requests import Classify, Embed, Generate, LogLikelihood, RollingLogLikelihood
from windtunnel.harness.modalities.chat import Chat, Message
from windtunnel.harness.modalities.image import Image
from windtunnel.harness.models.checkpoint.tokens import check_tokenizer_files
from windtunnel.harness.models.hf.source import HuggingFace
from windtunnel.tests import tiny

TEXT = "the cat sat on a table and was able"


def copied(name: str, folder: Path) -> Path:
    return Path(shutil.copytree(tiny.checkpoint(name), folder / name))


def rewrite(path: Path, **facts: Any) -> None:
    """A JSON file with these keys; None takes one out."""
    said = {**(json.loads(path.read_text()) if path.exists() else {}), **facts}
    path.write_text(json.dumps({key: value for key, value in said.items() if value is not None}))


def config(**facts: Any) -> Callable[[Path], None]:
    return lambda folder: rewrite(folder / "config.json", **facts)


def tokenizer_config(**facts: Any) -> Callable[[Path], None]:
    return lambda folder: rewrite(folder / "tokenizer_config.json", **facts)


def weights(change: Callable[[dict[str, torch.Tensor]], dict[str, torch.Tensor]]) -> Callable[[Path], None]:
    def spoil(folder: Path) -> None:
        changed = change(load_file(folder / "model.safetensors"))
        save_file({name: value.clone() for name, value in changed.items()}, folder / "model.safetensors", metadata={"format": "pt"})

    return spoil


def prefixed(prefix: str) -> Callable[[Path], None]:
    return weights(lambda state: {prefix + name: value for name, value in state.items()})


def file(name: str, content: str = "{}", *, alone: bool = False) -> Callable[[Path], None]:
    def add(folder: Path) -> None:
        if alone:
            (folder / "model.safetensors").unlink()
        (folder / name).write_text(content)

    return add


def both(*changes: Callable[[Path], None]) -> Callable[[Path], None]:
    def change(folder: Path) -> None:
        for one in changes:
            one(folder)

    return change


def answers(source: HuggingFace) -> list[float]:
    """Of a causal model or a classifier, what must not change."""
    engine = tiny.engine(source.load("cpu", "float32"))
    if "loglikelihood" in source.inspect().answers:
        scored = engine.run([RollingLogLikelihood(TEXT), LogLikelihood("the cat", " sat on"), LogLikelihood("a", " table")])
        return [answer.value for answer in scored]
    return [value for answer in engine.run([Classify(TEXT), Classify("the cat"), Classify("a")]) for value in answer.values]


# ── obeyed: the answers are those of the same weights without the oddity ──────────────────────────────────────────────

WTE, HEAD = "transformer.wte.weight", "lm_head.weight"
SAME: list[tuple[str, str, Callable[[Path], None], str]] = [
    ("gpt2", "names of a compiled module", prefixed("_orig_mod."), "_orig_mod."),
    ("gpt2", "names of a parallel module", prefixed("module."), "module."),
    ("gpt2", "names of both", prefixed("module._orig_mod."), "module._orig_mod."),
    ("llama", "names of a compiled llama", prefixed("_orig_mod."), "_orig_mod."),
    ("bert", "names of a compiled classifier", prefixed("_orig_mod."), "_orig_mod."),
    ("gpt2", "tied weights under the head's name", weights(lambda s: {HEAD if n == WTE else n: v for n, v in s.items()}), "are tied"),
    ("gpt2", "tied weights under both names", weights(lambda s: {**s, HEAD: s[WTE]}), ""),
    ("gpt2", "names without the base model's prefix", weights(lambda s: {n.removeprefix("transformer."): v for n, v in s.items()}), ""),
    ("gpt2", "tensors that nothing reads", weights(lambda s: {**s, "v_head.summary.weight": torch.ones(3)}), "does not use"),
    ("bert", "tensors that no classifier reads", weights(lambda s: {**s, "cls.seq_relationship.bias": torch.ones(2)}), "does not use"),
    ("gpt2", "return_dict", config(return_dict=False), ""),
    ("bert", "return_dict of a classifier", config(return_dict=False), ""),
    ("gpt2", "output_attentions", config(output_attentions=True, output_hidden_states=True), ""),
    ("bert", "output_attentions of a classifier", config(output_attentions=True, output_hidden_states=True), ""),
    ("gpt2", "torchscript", config(torchscript=True), ""),
    ("gpt2", "use_cache", config(use_cache=False), ""),
    ("gpt2", "sampling defaults", file("generation_config.json", '{"temperature": 0.3, "top_k": 2, "do_sample": true}'), ""),
    ("gpt2", "task_specific_params", config(task_specific_params={"text-generation": {"do_sample": True, "max_length": 50}}), ""),
    ("bert", "dropout of the classifier", config(classifier_dropout=0.9, hidden_dropout_prob=0.9), ""),
    ("bert", "auto_map of a known kind", config(auto_map={"AutoConfig": "evil.Config"}), "auto_map"),
    ("gpt2", "the format that weights are stored in", config(dtype="float16", torch_dtype="float16"), ""),
    ("bert", "padding side", tokenizer_config(padding_side="left"), ""),
    ("gpt2", "a longest text beyond the positions", tokenizer_config(model_max_length=10**30), ""),
    ("gpt2", "an empty folder of checkpoints beside", lambda folder: (folder / "checkpoint-500").mkdir(), ""),
    ("gpt2", "files of other formats beside", both(file("model.gguf"), file("pytorch_model.bin"), file("model.onnx")), ""),
    ("gpt2", "pad token of no id", config(pad_token_id=-1), ""),
]


@pytest.mark.parametrize(("name", "what", "change", "note"), SAME, ids=[row[1] for row in SAME])
def test_what_is_obeyed_or_set_aside_changes_no_answer(
    name: str, what: str, change: Callable[[Path], None], note: str, tmp_path: Path
) -> None:
    folder = copied(name, tmp_path)
    change(folder)
    source = HuggingFace(str(folder))
    np.testing.assert_allclose(answers(source), answers(HuggingFace(str(tiny.checkpoint(name)))), atol=1e-4)
    notes = [*source.inspect().notes, *source.load("cpu", "float32").notes]
    assert any(note in one for one in notes) if note else not notes


# ── refused, before weights load where that is possible ───────────────────────────────────────────────────────────────

INDEX = {"weight_map": {"a": "model-00001-of-00002.safetensors", "b": "model-00002-of-00002.safetensors"}}
LORA = json.dumps({"peft_type": "LORA", "base_model_name_or_path": "somebody/base"})
REFUSED: list[tuple[str, str, Callable[[Path], None], str]] = [
    ("gpt2", "an adapter beside its base", file("adapter_config.json", LORA), "beside a whole model, so it is not clear which is meant"),
    ("gpt2", "a file is missing", file("model.safetensors.index.json", json.dumps(INDEX), alone=True), "lacks 2 of the 2 files"),
    ("gpt2", "gguf", file("m.gguf", alone=True), "cannot be read as GGUF|needs the package 'gguf'"),
    ("gpt2", "an index of nothing", file("model.safetensors.index.json", '{"weight_map": []}', alone=True), "has no weight_map"),
    ("gpt2", "no tokenizer", lambda folder: [one.unlink() for one in folder.glob("*okenizer*")], "has no tokenizer files"),  # type: ignore[func-returns-value]
    ("gpt2", "architectures as a text", config(architectures="GPT2LMHeadModel"), "must be a list of names, not .GPT2LMHeadModel"),
    ("gpt2", "architectures as numbers", config(architectures=[1]), "must be a list of names"),
    ("bert", "class names as a list", config(id2label=["a", "b"]), "id2label .* must be an object from numbers to names"),
    ("gpt2", "a quantisation as a text", config(quantization_config="int8"), "quantization_config .* must be an object"),
    ("bert", "layers as a text", config(num_hidden_layers="two"), "num_hidden_layers .* must be a whole number"),
    ("gpt2", "onnx", file("m.onnx", alone=True), "m.onnx: a graph of ONNX"),
    ("gpt2", "pickle", file("pytorch_model.bin", alone=True), "pickled weights are never read"),
    ("gpt2", "tensorflow", file("tf_model.h5", alone=True), "TensorFlow"),
    ("gpt2", "makers' names", file("consolidated.00.safetensors", alone=True), "names of their makers"),
    ("gpt2", "another name", file("model.fp16.safetensors", alone=True), "another name"),
    ("bert", "timm", config(architecture="resnet18", pretrained_cfg={}, model_type=None), r"windtunnel\[timm\]"),
    ("gpt2", "gptq", config(quantization_config={"quant_method": "gptq", "bits": 4}), "quantised by gptq.*pip install optimum"),
    ("gpt2", "awq", config(quantization_config={"quant_method": "awq", "bits": 4}), "quantised by awq.*pip install gptqmodel"),
    ("gpt2", "bitsandbytes", config(quantization_config={"load_in_4bit": True}), "quantised by bitsandbytes"),
    ("gpt2", "compressed tensors", config(quantization_config={"quant_method": "compressed-tensors"}), "pip install compressed-tensors"),
    ("bert", "numbers of classes", config(num_labels=5), "has 5 classes .* names 3"),
    ("bert", "names of classes", config(label2id={"negative": 2, "neutral": 1, "positive": 0}), "contradicts itself"),
    ("bert", "no choice", config(problem_type="single_label_classification", id2label={"0": "yes"}, label2id=None), "no choice"),
    ("bert", "regression", config(problem_type="regression"), "problem_type: regression"),
    ("bert", "another architecture", config(architectures=["BertForNextSentencePrediction"]), "BertForNextSentencePrediction"),
]


@pytest.mark.parametrize(("name", "what", "change", "match"), REFUSED, ids=[row[1] for row in REFUSED])
def test_what_cannot_be_obeyed_is_refused_by_the_plan(
    name: str, what: str, change: Callable[[Path], None], match: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also what needs a package, where none is installed."""
    for place in ("common.extras", "checkpoint.quantisation") if what != "gguf" else ():
        monkeypatch.setattr(f"windtunnel.harness.models.{place}.is_installed", lambda module: False)
    folder = copied(name, tmp_path)
    change(folder)
    with pytest.raises(ModelError, match=match):
        HuggingFace(str(folder)).inspect()


def test_a_file_or_an_outer_folder_is_no_checkpoint(tmp_path: Path) -> None:
    (tmp_path / "model.onnx").write_bytes(b"ONNX")
    with pytest.raises(ModelError, match=r"is a graph of ONNX.*onnx:FILE"):
        HuggingFace(str(tmp_path / "model.onnx")).inspect()
    copied("gpt2", tmp_path / "outer")
    with pytest.raises(ModelError, match="the folder 'gpt2', which has one"):
        HuggingFace(str(tmp_path / "outer")).inspect()


LAYER = "transformer.h.1.mlp.c_fc.bias"
AT_LOAD: list[tuple[str, str, Callable[[Path], None], str]] = [
    ("gpt2", "tied weights that differ", weights(lambda s: {**s, HEAD: s[WTE] + 1}), "tie_word_embeddings.*stored tensors differ"),
    ("gpt2", "no embeddings at all", weights(lambda s: {n: v for n, v in s.items() if n != WTE}), "lacks trained weights"),
    ("gpt2", "a head that is its own and missing", config(tie_word_embeddings=False), "lacks trained weights for lm_head.weight"),
    ("gpt2", "one layer less in the config", config(n_layer=1), r"has 1 layers \(h\.N\), but its files store 2"),
    ("bert", "one layer less of a classifier", config(num_hidden_layers=1), "has 1 layers .* store 2"),
    ("gpt2", "one layer more in the config", config(n_layer=3), "has 3 layers .* store 2"),
    ("gpt2", "an adapter within", weights(lambda s: {**s, "transformer.h.0.lora_A.weight": torch.ones(2)}), "an adapter beside"),
    ("gpt2", "a name twice", weights(lambda s: {**s, f"module.{LAYER}": s[LAYER]}), "with and without its prefix"),
    ("bert", "another number of classes", config(id2label={"0": "a", "1": "b"}, label2id=None), "cannot be loaded|mismatch"),
]


@pytest.mark.parametrize(("name", "what", "change", "match"), AT_LOAD, ids=[row[1] for row in AT_LOAD])
def test_weights_that_are_not_the_configs_are_refused(
    name: str, what: str, change: Callable[[Path], None], match: str, tmp_path: Path
) -> None:
    folder = copied(name, tmp_path)
    change(folder)
    with pytest.raises(ModelError, match=match):
        HuggingFace(str(folder)).load("cpu", "float32")


# ── class names ───────────────────────────────────────────────────────────────────────────────────────────────────────


def test_names_that_stand_in_label2id_alone_are_read(tmp_path: Path) -> None:
    folder = copied("bert", tmp_path)
    rewrite(folder / "config.json", id2label={"0": "LABEL_0", "1": "LABEL_1", "2": "LABEL_2"}, label2id={"bad": 0, "good": 2, "so so": 1})
    source = HuggingFace(str(folder))
    assert source.inspect().labels == ("bad", "so so", "good")
    assert not source.inspect().notes


# ── tokenizers ────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_spaces_that_a_model_wrote_stay(tmp_path: Path) -> None:
    folder = copied("gpt2", tmp_path)
    rewrite(folder / "tokenizer_config.json", clean_up_tokenization_spaces=True)
    model = HuggingFace(str(folder)).load("cpu", "float32")
    written = "I do n't know , he 's here ."
    ids = model.tokenizer(written)["input_ids"]
    assert model.tokenizer.decode(ids, skip_special_tokens=True) == written
    plain = tiny.engine("gpt2").run([Generate("the cat", 12)])[0]
    assert tiny.engine(model).run([Generate("the cat", 12)])[0] == plain


def test_padding_and_truncation_of_the_tokenizer_file_do_not_reach_a_text(tmp_path: Path) -> None:
    folder = copied("bert", tmp_path)
    fixed = {"strategy": {"Fixed": 40}, "direction": "Right", "pad_to_multiple_of": None, "pad_id": 0, "pad_type_id": 0}
    cut = {"direction": "Right", "max_length": 4, "strategy": "LongestFirst", "stride": 0}
    rewrite(folder / "tokenizer.json", padding={**fixed, "pad_token": "[PAD]"}, truncation=cut)
    np.testing.assert_allclose(answers(HuggingFace(str(folder))), answers(HuggingFace(str(tiny.checkpoint("bert")))), atol=1e-5)


def test_a_text_is_cut_on_the_side_that_the_tokenizer_says(tmp_path: Path) -> None:
    folder = copied("bert", tmp_path)
    rewrite(folder / "tokenizer_config.json", truncation_side="left")
    model = HuggingFace(str(folder), max_length=5).load("cpu", "float32")
    (unit,) = model.split(Classify(TEXT))
    assert model.tokenizer.convert_ids_to_tokens(unit.ids)[1:-1] == ["and", "was", "able"]


@pytest.mark.parametrize(("names", "note"), [(("default", "rag"), "the default is used"), (("tool", "rag"), "none is used")])
def test_of_several_chat_templates_the_default_is_used(names: tuple[str, str], note: str, tmp_path: Path) -> None:
    folder = copied("llama", tmp_path)
    (folder / "chat_template.jinja").unlink(missing_ok=True)
    own = "{% for m in messages %}<{{ m.content }}>{% endfor %}"
    rewrite(folder / "tokenizer_config.json", chat_template=[{"name": name, "template": f"{own}{name}"} for name in names])
    model = HuggingFace(str(folder)).load("cpu", "float32")
    assert any(note in one for one in model.notes)
    (answer,) = tiny.engine(model).try_run([Generate(Chat((Message("user", "the cat"),)), 3)])
    if "default" in names:
        assert answer.num_prompt_tokens == len(model.tokenizer("<the cat>default", add_special_tokens=False)["input_ids"])
    else:
        assert "no chat template" in answer.error


def test_tokens_beyond_the_embeddings_are_refused_where_they_are_needed(tmp_path: Path) -> None:
    folder = copied("bert", tmp_path)
    tokenizer = tiny.shared("bert").tokenizer.__class__.from_pretrained(folder)
    tokenizer.add_tokens(["newword"])
    tokenizer.save_pretrained(folder)
    model = HuggingFace(str(folder)).load("cpu", "float32")
    assert any("'newword'" in note for note in model.notes)
    tokenizer.add_special_tokens({"pad_token": "[FILL]"})
    tokenizer.save_pretrained(folder)
    with pytest.raises(ModelError, match=r"uses the token '\[FILL\]'.*resize_token_embeddings"):
        HuggingFace(str(folder)).load("cpu", "float32")


# ── generation ────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_what_a_generation_config_asks_for_is_not_applied_and_said(tmp_path: Path) -> None:
    folder = copied("gpt2", tmp_path)
    rewrite(folder / "generation_config.json", repetition_penalty=1.3, suppress_tokens=[5], bad_words_ids=[[7]], temperature=0.2)
    model = HuggingFace(str(folder)).load("cpu", "float32")
    (note,) = model.notes
    assert all(name in note for name in ("repetition_penalty 1.3", "suppress_tokens [5]", "bad_words_ids [[7]]"))
    assert "temperature" not in note
    assert tiny.engine(model).run([Generate("the cat", 12)]) == tiny.engine("gpt2").run([Generate("the cat", 12)])


@pytest.mark.parametrize("where", ["config.json", "generation_config.json"])
def test_each_of_several_end_tokens_ends_a_text(where: str, tmp_path: Path) -> None:
    plain = tiny.engine("gpt2").run([Generate("the cat", 12)])[0]
    model = tiny.shared("gpt2")
    prompt = model.tokenizer("the cat", return_tensors="pt")
    third = int(model.module.generate(**prompt, do_sample=False, max_new_tokens=3, pad_token_id=0)[0, -1])
    folder = copied("gpt2", tmp_path)
    if where == "config.json":
        (folder / "generation_config.json").unlink()
    rewrite(folder / where, eos_token_id=[0, third])
    answer = tiny.engine(HuggingFace(str(folder)).load("cpu", "float32")).run([Generate("the cat", 12)])[0]
    assert answer.finish == "stop"
    assert answer.num_tokens <= 3
    assert plain.text.startswith(answer.text)


# ── sentence encoders ─────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.fixture
def encoder(tmp_path: Path) -> Path:
    folder = copied("bert", tmp_path)
    module = tiny.shared("bert").module.bert
    module.save_pretrained(folder)
    return folder


def embedded(folder: Path, text: str) -> Any:
    return tiny.engine(HuggingFace(str(folder)).load("cpu", "float32")).run([Embed(text)])[0].values


def test_the_prompt_of_a_sentence_encoder_stands_before_every_text(encoder: Path) -> None:
    wanted = embedded(encoder, "bad films: the cat")
    prompts = {"prompts": {"query": "bad films: ", "passage": ""}}
    rewrite(encoder / "config_sentence_transformers.json", **prompts)
    np.testing.assert_allclose(embedded(encoder, "bad films: the cat"), wanted, atol=1e-6)
    rewrite(encoder / "config_sentence_transformers.json", **prompts, default_prompt_name="query")
    model = HuggingFace(str(encoder)).load("cpu", "float32")
    np.testing.assert_allclose(tiny.engine(model).run([Embed("the cat")])[0].values, wanted, atol=1e-6)
    assert any("bad films" in note for note in model.notes)
    rewrite(encoder / "config_sentence_transformers.json", default_prompt_name="document")
    with pytest.raises(ModelError, match="has no prompt"):
        HuggingFace(str(encoder)).load("cpu", "float32")


_VIT = {"hidden_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 48}
_T5 = {"d_model": 32, "d_kv": 8, "d_ff": 48, "num_layers": 2, "num_heads": 4, "decoder_start_token_id": 0}


def test_an_encoder_of_its_own_is_run_and_a_pair_of_both_is_refused(tmp_path: Path) -> None:
    tokenizer = tiny.shared("roberta").tokenizer
    for kind in (transformers.T5EncoderModel, transformers.T5Model):
        kind(transformers.T5Config(vocab_size=len(tokenizer), **_T5)).save_pretrained(tmp_path / kind.__name__)
        tokenizer.save_pretrained(tmp_path / kind.__name__)
    module = transformers.T5EncoderModel.from_pretrained(tmp_path / "T5EncoderModel").eval()
    with torch.no_grad():
        wanted = module(**tokenizer("the cat", return_tensors="pt")).last_hidden_state.mean(1)[0]
    np.testing.assert_allclose(embedded(tmp_path / "T5EncoderModel", "the cat"), wanted, atol=1e-5)
    with pytest.raises(ModelError, match="a decoder besides its encoder"):
        HuggingFace(str(tmp_path / "T5Model")).inspect()
    transformers.ViTModel(transformers.ViTConfig(image_size=8, patch_size=4, **_VIT)).save_pretrained(tmp_path / "vit")
    with pytest.raises(ModelError, match="does not read plain text"):
        HuggingFace(str(tmp_path / "vit")).inspect()


def test_a_network_of_convolutions_has_no_embeddings(tmp_path: Path) -> None:
    sizes = {"image_size": 32, "hidden_sizes": [8, 8, 8, 8], "depths": [1, 1, 1, 1], "num_labels": 2}
    transformers.ConvNextForImageClassification(transformers.ConvNextConfig(**sizes)).save_pretrained(tmp_path)
    transformers.ConvNextImageProcessor(size={"shortest_edge": 32}).save_pretrained(tmp_path)
    source = HuggingFace(str(tmp_path))
    (answer,) = tiny.engine(source.load("cpu", "float32")).run([Classify(Image(np.full((32, 32, 3), 90, np.uint8)))])
    assert len(answer.values) == 2
    assert "default names" in source.inspect().notes[0]


def test_a_pooler_that_nothing_reads_may_be_missing(encoder: Path) -> None:
    wanted = embedded(encoder, TEXT)
    weights(lambda state: {name: value for name, value in state.items() if not name.startswith("pooler.")})(encoder)
    np.testing.assert_allclose(embedded(encoder, TEXT), wanted, atol=1e-6)


@pytest.mark.parametrize("name", ["sentence_roberta_config.json", "sentence_distilbert_config.json"])
def test_length_and_case_under_another_name(name: str, encoder: Path) -> None:
    rewrite(encoder / name, max_seq_length=4, do_lower_case=True)
    model = HuggingFace(str(encoder)).load("cpu", "float32")
    assert model.max_length == 4
    assert any("set no pooling" in note for note in model.notes)


@pytest.mark.parametrize(("named", "refused"), [("BertTokenizer", True), ("ByT5Tokenizer", False), ("CanineTokenizer", False)])
def test_a_tokenizer_of_characters_needs_no_vocabulary(tmp_path: Path, named: str, refused: bool) -> None:
    (tmp_path / "tokenizer_config.json").write_text(json.dumps({"tokenizer_class": named}))
    if not refused:
        check_tokenizer_files(tmp_path, "m")
        return
    with pytest.raises(ModelError, match="has no tokenizer files"):
        check_tokenizer_files(tmp_path, "m")
