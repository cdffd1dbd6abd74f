"""Text classification against a plain loop over transformers, its gradients, and what a checkpoint or an input can do wrong."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import transformers
from tokenizers import processors
from windtunnel.harness.api.errors import CapabilityError, ModelError, SampleError
from windtunnel.harness.api.requests import Classify, Generate
from windtunnel.harness.api.responses import Failure
from windtunnel.harness.modalities.image import Image
from windtunnel.harness.modalities.text import TextPair
from windtunnel.harness.models.hf.source import HuggingFace
from windtunnel.tests import tiny

NAMES = ("bert", "roberta", "gpt2_classifier")
TEXTS = ["the cat", "the young dog was able to read good films", "a", "Bad, awful: xyz!", "the cat sat on a table and was able to read"]
STRANGE = ["zero\u200bwidth\u200djoiner", "שלום עולם", "\u202eright to left", "emoji 😀👩‍👩‍👧", "\x00null", "tab\tnew\nline", "ﬁ ① é é"]
WRITTEN_OUT = ["[CLS] a film [SEP]", "good [SEP] bad", "[PAD] a [MASK] cat", "<s> the cat </s>", "the cat<|endoftext|> sat", "[SEP]"]
"""Special tokens in a text are read as the tokenizer reads them: as what they are."""


def plain(name: str, first: str, second: str | None = None) -> list[float]:
    """transformers as its documentation uses it: one text, no padding, float32."""
    model = tiny.shared(name)
    encoded = model.tokenizer(first, second, truncation=True, max_length=tiny.MAX_LENGTH, return_tensors="pt")
    with torch.no_grad():
        return model.module(**encoded).logits[0].tolist()


@pytest.mark.parametrize("name", NAMES)
def test_logits_equal_a_plain_loop(name: str) -> None:
    long = "the cat sat on a table " * 30
    asked: list[Any] = [*TEXTS, *STRANGE, *WRITTEN_OUT, long]
    if name != "gpt2_classifier":
        asked += [TextPair("the cat", "a dog"), TextPair(long, "a dog"), TextPair("", "a dog")]
    answers = tiny.engine(name).run([Classify(value) for value in asked])
    for value, answer in zip(asked, answers, strict=True):
        wanted = plain(name, value.first, value.second) if isinstance(value, TextPair) else plain(name, value)
        np.testing.assert_allclose(answer.values, wanted, atol=1e-5)


@pytest.mark.parametrize("name", NAMES)
def test_labels_are_found_by_name(name: str) -> None:
    (own,) = tiny.engine(name).run([Classify("the cat")])
    (asked,) = tiny.engine(name).run([Classify("the cat", ("positive", "negative", "neutral"))])
    assert asked.values == (own.values[2], own.values[0], own.values[1])
    with pytest.raises(ModelError, match="are not the model's"):
        tiny.engine(name).run([Classify("the cat", ("world", "sports", "business"))])


def test_truncation_is_counted() -> None:
    text = "the cat " * 50
    for name in NAMES:
        (answer,) = tiny.engine(name).run([Classify(text)])
        whole = len(tiny.shared(name).tokenizer(text)["input_ids"])
        assert answer.num_truncated == whole - tiny.MAX_LENGTH
        assert tiny.shared(name).max_length == tiny.MAX_LENGTH
    (exact,) = tiny.engine("bert").run([Classify("the " * (tiny.MAX_LENGTH - 2))])
    assert exact.num_truncated == 0


def test_max_length_is_a_setting_within_the_position_table() -> None:
    (answer,) = tiny.engine(tiny.load("roberta", max_length=10)).run([Classify("the cat sat on a table " * 5)])
    assert answer.num_truncated > 0
    with pytest.raises(ModelError, match=r"max_length 50 .* positions for 48"):
        tiny.load("roberta", max_length=50)
    with pytest.raises(ModelError, match="max_length 0"):
        tiny.load("bert", max_length=0)


def test_a_tokenizers_limit_beyond_the_position_table_is_not_believed(tmp_path: Path) -> None:
    folder = tiny.save("bert", tmp_path)
    settings = json.loads((folder / "tokenizer_config.json").read_text())
    (folder / "tokenizer_config.json").write_text(json.dumps({**settings, "model_max_length": 5000}))
    model: Any = HuggingFace(str(folder)).load("cpu", "float32")
    assert model.max_length == tiny.MAX_LENGTH
    tiny.engine(model).run([Classify("the cat " * 100)])


# ── gradients ─────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("labels", [(), ("positive", "negative", "neutral")])
def test_logits_of_features_are_the_logits(name: str, labels: tuple[str, ...]) -> None:
    engine = tiny.engine(name)
    requests = [Classify(text, labels) for text in [*TEXTS, "a <pad> token <|endoftext|>"]]
    wanted = np.array([answer.values for answer in engine.run(requests)])
    with engine.differentiable() as net:
        encoded = net.encode(requests)
        np.testing.assert_allclose(net.logits(encoded.features, encoded).detach().numpy(), wanted, atol=1e-5)
        rows = torch.tensor([2, 0, 0, 4, 5])
        again = net.logits(encoded.features[rows], encoded, rows).detach().numpy()
        np.testing.assert_allclose(again, wanted[rows.numpy()], atol=1e-5)
        assert not tiny.shared(name).module.get_input_embeddings()._forward_hooks


@pytest.mark.parametrize("name", NAMES)
def test_rows_have_the_labels_of_their_own_request(name: str) -> None:
    requests = [Classify("the cat"), Classify("a dog", ("positive", "negative", "neutral"))]
    wanted = [answer.values for answer in tiny.engine(name).run(requests)]
    with tiny.engine(name).differentiable() as net:
        encoded = net.encode(requests)
        rows = torch.tensor([1, 0, 1])
        got = net.logits(encoded.features[rows], encoded, rows).detach().numpy()
    np.testing.assert_allclose(got, [wanted[1], wanted[0], wanted[1]], atol=1e-5)


@pytest.mark.parametrize("name", NAMES)
def test_gradients_equal_autograd_by_hand(name: str) -> None:
    engine, model = tiny.engine(name), tiny.shared(name)
    requests = [Classify(text) for text in TEXTS[:3]]
    with engine.differentiable() as net:
        encoded = net.encode(requests)
        features = encoded.features.clone().requires_grad_(True)
        (got,) = torch.autograd.grad(net.logits(features, encoded)[:, 1].sum(), features)
    weight = model.module.get_input_embeddings().weight
    for row, text in enumerate(TEXTS[:3]):
        tokens = model.tokenizer(text, return_tensors="pt")
        embedded = weight[tokens["input_ids"]].detach().requires_grad_(True)
        del tokens["input_ids"]
        # Alone and unpadded, where inputs_embeds means the same in every architecture.
        (wanted,) = torch.autograd.grad(model.module(inputs_embeds=embedded, **tokens).logits[0, 1], embedded)
        length = embedded.shape[1]
        np.testing.assert_allclose(got[row, :length].numpy(), wanted[0].numpy(), atol=1e-5)
        assert not got[row, length:].any(), "padding has no gradient"


def test_spans_and_baseline() -> None:
    with tiny.engine("bert").differentiable() as net:
        encoded = net.encode([Classify("the reading cat"), Classify("a")])
    assert [("the reading cat")[a:b] for a, b in encoded.spans[0]] == ["", "the", "read", "ing", "cat", ""]
    assert [tuple(s) for s in encoded.spans[1]] == [(0, 0), (0, 1), (0, 0), (0, 0), (0, 0), (0, 0)]
    embed = tiny.shared("bert").module.get_input_embeddings()
    with torch.no_grad():
        assert torch.equal(encoded.baseline[0], embed(torch.tensor([2, 0, 0, 0, 0, 3])))


def test_embeddings_that_are_read_twice_give_no_gradients() -> None:
    model = tiny.load("bert")
    forward = model.module.forward

    def twice(**inputs: Any) -> Any:
        model.module.get_input_embeddings()(inputs["input_ids"])
        return forward(**inputs)

    model.module.forward = twice
    with tiny.engine(model).differentiable() as net:
        encoded = net.encode([Classify("the cat")])
        with pytest.raises(CapabilityError, match="reads its token embeddings 2 times"):
            net.logits(encoded.features, encoded)
    assert not model.module.get_input_embeddings()._forward_hooks


def test_a_tensor_kept_between_passes_can_be_differentiated() -> None:
    """Under inference_mode the first pass would keep a tensor that autograd refuses later."""
    model = tiny.load("bert")
    kept: list[torch.Tensor] = []

    def keep(module: Any, args: Any, output: torch.Tensor) -> torch.Tensor:
        if not kept:
            kept.append(torch.ones(output.shape[-1]) * 1.5)
        return output * kept[0]

    model.module.bert.encoder.layer[0].output.dense.register_forward_hook(keep)
    engine = tiny.engine(model)
    engine.run([Classify("the cat")])
    with engine.differentiable() as net:
        encoded = net.encode([Classify("the cat")])
        features = encoded.features.requires_grad_(True)
        torch.autograd.grad(net.logits(features, encoded).sum(), features)


# ── inputs that are not nice ──────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("name", NAMES)
def test_lone_surrogates_fail_alone_and_clearly(name: str) -> None:
    answers = tiny.engine(name).try_run([Classify("fine"), Classify("lone \ud800 one"), Classify(TextPair("fine", "\udfff"))])
    assert [isinstance(a, Failure) for a in answers] == [False, True, True]
    assert "lone surrogate" in answers[1].error


def test_an_empty_text_has_its_special_tokens_or_is_an_error() -> None:
    assert len(tiny.engine("bert").run([Classify("")])[0].values) == 3
    with pytest.raises(SampleError, match="no tokens"):
        tiny.engine("gpt2_classifier").run([Classify("")])


@pytest.mark.parametrize("name", ["bert", "roberta"])
def test_a_hundred_thousand_words_are_cut(name: str) -> None:
    (answer,) = tiny.engine(name).run([Classify("the cat sat on a table " * 17_000)])
    assert answer.num_truncated > 100_000


def test_an_image_is_no_text() -> None:
    answers = tiny.engine("bert").try_run([Classify(Image(np.zeros((4, 4, 3), np.uint8))), Classify("the cat")])
    assert "takes text or a text pair, not image" in answers[0].error
    assert not isinstance(answers[1], Failure)


def test_nan_logits_are_a_failure_that_names_the_fix() -> None:
    model = tiny.load("bert")
    word = model.tokenizer.convert_tokens_to_ids("awful")
    with torch.no_grad():
        model.module.get_input_embeddings().weight[word] = float("nan")
    good, bad = tiny.engine(model).try_run([Classify("the cat"), Classify("an awful cat")])
    assert not isinstance(good, Failure)
    assert "NonFiniteError" in bad.error
    assert "set dtype to float32" in bad.error


def test_what_a_classifier_cannot_do() -> None:
    with pytest.raises(CapabilityError, match="cannot answer 'generate'"):
        tiny.engine("bert").run([Generate("the", 1)])


# ── checkpoints that are not nice ─────────────────────────────────────────────────────────────────────────────────────


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    copy = tmp_path / "model"
    shutil.copytree(tiny.checkpoint("bert"), copy)
    return copy


def load(folder: Path | str, **settings: Any) -> Any:
    source = HuggingFace(str(folder), **settings)
    source.inspect()
    return source.load("cpu", "float32")


@pytest.mark.parametrize("place", ["./nowhere", "/nowhere/at/all", "~/nowhere", "a/b/c"])
def test_a_missing_folder(place: str) -> None:
    with pytest.raises(ModelError, match="there is no model folder"):
        load(place)


def test_a_file_in_the_place_of_a_folder(folder: Path) -> None:
    with pytest.raises(ModelError, match="is a file; give its folder"):
        load(folder / "model.safetensors")


def test_no_config(folder: Path) -> None:
    (folder / "config.json").unlink()
    with pytest.raises(ModelError, match=r"has no config\.json"):
        load(folder)


@pytest.mark.parametrize("content", ["{", "[]", "{}", '{"model_type": "nonsense"}', '{"model_type": "bert"}', "null"])
def test_a_config_that_says_nothing(folder: Path, content: str) -> None:
    (folder / "config.json").write_text(content)
    with pytest.raises(ModelError):
        load(folder)


def test_pickled_weights_are_never_read(folder: Path) -> None:
    (folder / "model.safetensors").unlink()
    # Reading this would raise something else than the clear error, or run code.
    (folder / "pytorch_model.bin").write_bytes(b"cos\nsystem\n(S'touch pwned'\ntR.")
    with pytest.raises(ModelError, match="pickled weights are never read"):
        load(folder)
    (folder / "other.safetensors").write_bytes((tiny.checkpoint("bert") / "model.safetensors").read_bytes())
    with pytest.raises(ModelError):
        load(folder)


@pytest.mark.parametrize("keep", [0, 7, 500, -100])
def test_a_broken_weights_file(folder: Path, keep: int) -> None:
    weights = folder / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:keep])
    with pytest.raises(ModelError, match=r"cannot be read: .*; copy the checkpoint again"):
        load(folder)


def test_a_checkpoint_without_the_head(tmp_path: Path) -> None:
    folder = tiny.save("bert", tmp_path)
    import safetensors.torch

    weights = safetensors.torch.load_file(folder / "model.safetensors")
    for name in [name for name in weights if name.startswith("classifier")]:
        del weights[name]
    safetensors.torch.save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(ModelError, match=r"lacks trained weights for classifier\.bias, classifier\.weight"):
        load(folder)


def test_an_architecture_of_another_kind(folder: Path) -> None:
    config = json.loads((folder / "config.json").read_text())
    for architectures in (["BertForNextSentencePrediction"], [], None):
        (folder / "config.json").write_text(json.dumps({**config, "architectures": architectures}))
        with pytest.raises(ModelError, match="this adapter supports architectures that end in"):
            load(folder)


def test_no_tokenizer(folder: Path) -> None:
    for file in folder.glob("*token*"):
        file.unlink()
    with pytest.raises(ModelError):
        load(folder)


def test_a_broken_tokenizer(folder: Path) -> None:
    (folder / "tokenizer.json").write_text('{"version": "1.0", "model": {"type": "Nonsense"}}')
    with pytest.raises(ModelError, match="cannot be loaded"):
        load(folder)


def test_no_padding_token_names_the_setting() -> None:
    with pytest.raises(ModelError, match=r"pad_token: '<\|endoftext\|>'"):
        tiny.load("gpt2_classifier", pad_token=None)
    with pytest.raises(ModelError, match="not in the vocabulary"):
        tiny.load("gpt2_classifier", pad_token="[NOWHERE]")


def test_wrong_settings() -> None:
    with pytest.raises(ModelError, match="has 3 outputs, but 'labels' names 2"):
        load(tiny.checkpoint("bert"), labels=["a", "b"])
    with pytest.raises(ModelError, match="no device 'gpu'"):
        tiny.load("bert", "gpu")
    with pytest.raises(ModelError, match="no dtype 'float8'"):
        tiny.load("bert", "cpu", "float8")
    if not torch.cuda.is_available():
        with pytest.raises(ModelError, match="there is no device"):
            tiny.load("bert", "cuda")


def test_a_hub_name_while_offline_is_an_error_without_the_network(monkeypatch: pytest.MonkeyPatch, no_network: None) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    with pytest.raises(ModelError, match="not in the local cache, and the network is off; download it first: hf download"):
        load("windtunnel-nobody/no-such-model")


def test_the_fingerprint_is_content(tmp_path: Path, folder: Path) -> None:
    first = load(folder).fingerprint
    shutil.copytree(folder, tmp_path / "elsewhere")
    assert load(tmp_path / "elsewhere").fingerprint == first
    assert HuggingFace(str(folder)).load("cpu", "bfloat16").fingerprint != first
    assert load(folder, max_length=10).fingerprint != first
    assert load(folder, labels=["a", "b", "c"]).fingerprint != first
    (folder / "tokenizer_config.json").write_text((folder / "tokenizer_config.json").read_text() + " ")
    assert load(folder).fingerprint != first
    assert load(tiny.save("bert", tmp_path / "seed", seed=8)).fingerprint != first


def test_loading_draws_no_random_number() -> None:
    before = torch.get_rng_state()
    load(tiny.checkpoint("bert"))
    assert torch.equal(before, torch.get_rng_state())


@pytest.mark.parametrize("named", ["</s>", None])
def test_the_token_that_ends_every_text_is_no_padding(named: str | None, tmp_path: Path) -> None:
    """A decoder reads its answer off the last token that is not padding: that would be the one before."""
    folder = tiny.save("gpt2_classifier", tmp_path)
    tokenizer = transformers.AutoTokenizer.from_pretrained(tiny.checkpoint("llama"))
    tokenizer.backend_tokenizer.post_processor = processors.TemplateProcessing(single="$A </s>", special_tokens=[("</s>", 1)])
    tokenizer.save_pretrained(folder)
    with pytest.raises(ModelError, match="pad_token: '<s>'"):
        HuggingFace(str(folder), pad_token=named).load("cpu", "float32")
    model: Any = HuggingFace(str(folder), pad_token="<s>").load("cpu", "float32")
    texts = ["the cat sat", "a dog"]
    for text, answer in zip(texts, tiny.engine(model).run([Classify(t) for t in texts]), strict=True):
        ids = model.tokenizer(text, return_tensors="pt")["input_ids"]
        assert ids[0, -1] == 1
        with torch.no_grad():
            np.testing.assert_allclose(answer.values, model.module(input_ids=ids).logits[0].tolist(), atol=1e-5)


@pytest.mark.parametrize(
    ("config", "gradients"),
    [
        (transformers.BartConfig, False),
        (transformers.T5Config, False),
        (transformers.XLNetConfig, False),
        (transformers.CanineConfig, False),
        (transformers.RobertaConfig, True),
    ],
)
def test_gradients_are_claimed_where_there_are_any(config: Any, gradients: bool, tmp_path: Path) -> None:
    config(architectures=["XForSequenceClassification"]).save_pretrained(tmp_path)
    for name in ("model.safetensors", "tokenizer.json"):
        (tmp_path / name).touch()
    assert ("gradients" in HuggingFace(str(tmp_path)).inspect().features) == gradients


@pytest.mark.parametrize(
    ("name", "overlooks"), [("bert", True), ("roberta", True), ("gpt2_classifier", True), ("convbert", False), ("fnet", False)]
)
def test_texts_of_several_lengths_are_answered_as_alone(name: str, overlooks: bool) -> None:
    """Also by those that see what stands behind a text, whose texts share a pass with others of their length."""
    model = tiny.load(name)
    assert model.takes_padding == overlooks
    texts = ["the cat", "the cat sat on a mat", "a dog", "the dog and the cat sat on the mat", "a cat sat on the mat"]
    requests = [Classify(text) for text in texts]
    alone = np.array([tiny.engine(model).run([request])[0].values for request in requests])
    together = np.array([answer.values for answer in tiny.engine(model).run(requests)])
    np.testing.assert_allclose(together, alone, atol=1e-5)
    encoded = model.encode(requests)
    rows = torch.tensor([3, 0, 4, 1, 2, 0])
    features = encoded.features[rows].requires_grad_()
    logits = model.logits(features, encoded, rows)
    np.testing.assert_allclose(logits.detach().numpy(), alone[rows], atol=1e-5)
    (gradient,) = torch.autograd.grad(logits.sum(), features)
    assert bool((gradient[encoded.mask_BL[rows] == 0] == 0).all())
    assert gradient.abs().sum() > 0
