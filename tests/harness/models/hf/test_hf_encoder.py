"""Text encoders and gaps to fill: what transformers itself gives, whatever the batch."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import safetensors.torch
import torch
import transformers
from tokenizers import normalizers
from windtunnel.harness.api.errors import ModelError
from windtunnel.harness.api.requests import MASK, Embed, FillMask
from windtunnel.harness.api.responses import Failure
from windtunnel.harness.models.checkpoint.sentences import POOLINGS as OLD_NAMES
from windtunnel.harness.models.hf.source import HuggingFace
from windtunnel.tests import tiny

TEXTS = ["the cat sat", "a good young dog in paris was able to read the great films", "bad"]


def encoder(folder: Path, *, first: bool = False, normal: bool = False, longest: int | None = None) -> Path:
    config = transformers.BertConfig(
        vocab_size=120, hidden_size=32, num_hidden_layers=2, num_attention_heads=4, intermediate_size=48, max_position_embeddings=48,
        initializer_range=0.3,
    )  # fmt: skip
    tokenizer = transformers.AutoTokenizer.from_pretrained(str(tiny.checkpoint("bert_masked")))
    config.vocab_size = len(tokenizer)
    with torch.random.fork_rng():
        torch.manual_seed(3)
        transformers.BertModel(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    if first:
        (folder / "1_Pooling").mkdir()
        (folder / "1_Pooling/config.json").write_text(json.dumps({"pooling_mode_cls_token": True, "pooling_mode_mean_tokens": False}))
    if normal:
        (folder / "modules.json").write_text(json.dumps([{"type": "sentence_transformers.models.Normalize"}]))
    if longest:
        (folder / "sentence_bert_config.json").write_text(json.dumps({"max_seq_length": longest}))
    return folder


@pytest.mark.parametrize(("first", "normal"), [(False, False), (True, False), (False, True)])
def test_a_vector_is_pooled_as_the_checkpoint_says(tmp_path: Path, first: bool, normal: bool) -> None:
    place = str(encoder(tmp_path, first=first, normal=normal))
    source = HuggingFace(place)
    assert source.inspect().answers == {"embed": {"text"}}
    answers = tiny.engine(source.load("cpu", "float32")).run([Embed(text) for text in TEXTS])
    module, tokenizer = transformers.AutoModel.from_pretrained(place).eval(), transformers.AutoTokenizer.from_pretrained(place)
    for text, answer in zip(TEXTS, answers, strict=True):
        with torch.no_grad():
            hidden = module(**tokenizer(text, return_tensors="pt")).last_hidden_state[0]
        expected = hidden[0] if first else hidden.mean(0)
        expected = expected / expected.norm() if normal else expected
        assert torch.tensor(answer.values) == pytest.approx(expected, abs=1e-5)


def _with_files(folder: Path, **files: object) -> HuggingFace:
    place = encoder(folder)
    (place / "1_Pooling").mkdir()
    names = {"pooling": "1_Pooling/config.json", "modules": "modules.json", "sentences": "sentence_bert_config.json"}
    for name, content in files.items():
        (place / names[name]).write_text(json.dumps(content))
    return HuggingFace(str(place))


@pytest.mark.parametrize(
    ("files", "match"),
    [
        ({"modules": [{"type": "sentence_transformers.models.WeightedLayerPooling"}]}, "WeightedLayerPooling"),
        ({"modules": [{"type": "sentence_transformers.models.Dense", "path": "2_Dense"}]}, "2_Dense/model.safetensors"),
        ({"pooling": {"pooling_mode_median_tokens": True}}, "pools by pooling_mode_median_tokens"),
        ({"pooling": {"pooling_mode": "median"}}, "pools by median"),
    ],
)
def test_what_would_make_other_vectors_is_an_error(tmp_path: Path, files: dict[str, object], match: str) -> None:
    with pytest.raises(ModelError, match=match):
        _with_files(tmp_path, **files).load("cpu", "float32")


POOLINGS: dict[str, Callable[[torch.Tensor], torch.Tensor]] = {
    "cls": lambda hidden: hidden[0],
    "max": lambda hidden: hidden.max(0).values,
    "mean": lambda hidden: hidden.mean(0),
    "mean_sqrt_len_tokens": lambda hidden: hidden.sum(0) / len(hidden) ** 0.5,
    "weightedmean": lambda hidden: sum((i + 1) * row for i, row in enumerate(hidden)) / sum(range(1, len(hidden) + 1)),  # type: ignore[arg-type, return-value]
    "lasttoken": lambda hidden: hidden[-1],
}


@pytest.mark.parametrize("modes", [*([name] for name in POOLINGS), ["max", "lasttoken"]], ids="+".join)
@pytest.mark.parametrize("is_old", [False, True])
def test_every_pooling_equals_a_plain_loop(tmp_path: Path, modes: list[str], is_old: bool) -> None:
    pooling = {OLD_NAMES[name]: True for name in modes} if is_old else {"pooling_mode": modes[0] if len(modes) == 1 else modes}
    source = _with_files(tmp_path, pooling=pooling)
    answers = tiny.engine(source.load("cpu", "float32")).run([Embed(text) for text in TEXTS])
    for hidden, answer in zip(_hidden_states(tmp_path), answers, strict=True):
        expected = torch.cat([POOLINGS[name](hidden) for name in modes])
        assert torch.tensor(answer.values) == pytest.approx(expected, abs=1e-5)


@pytest.mark.parametrize(("activation", "adds_input"), [("Identity", False), ("Tanh", False), ("GELU", True)])
def test_a_dense_layer_stands_behind_the_pooling(tmp_path: Path, activation: str, adds_input: bool) -> None:
    modules = [("Transformer", ""), ("Pooling", "1_Pooling"), ("Dense", "2_Dense"), ("Normalize", "3_Normalize")]
    source = _with_files(tmp_path, modules=[{"type": f"sentence_transformers.models.{kind}", "path": path} for kind, path in modules])
    (tmp_path / "2_Dense").mkdir()
    settings = {"activation_function": f"torch.nn.modules.activation.{activation}", "use_residual": adds_input}
    (tmp_path / "2_Dense/config.json").write_text(json.dumps(settings))
    weights = {"linear.weight": torch.randn(16, 32), "linear.bias": torch.randn(16)}
    weights |= {"residual.weight": torch.randn(16, 32)} if adds_input else {}
    safetensors.torch.save_file(weights, tmp_path / "2_Dense/model.safetensors")
    answers = tiny.engine(source.load("cpu", "float32")).run([Embed(text) for text in TEXTS])
    for hidden, answer in zip(_hidden_states(tmp_path), answers, strict=True):
        mean = hidden.mean(0)
        vector = getattr(torch.nn, activation)()(weights["linear.weight"] @ mean + weights["linear.bias"])
        vector = vector + weights["residual.weight"] @ mean if adds_input else vector
        assert torch.tensor(answer.values) == pytest.approx(vector / vector.norm(), abs=1e-5)


def test_a_prompt_is_left_out_of_the_pooling_where_the_checkpoint_says_so(tmp_path: Path) -> None:
    source = _with_files(tmp_path, pooling={"pooling_mode": "mean", "include_prompt": False})
    prompt = {"prompts": {"q": "bad cat "}, "default_prompt_name": "q"}
    (tmp_path / "config_sentence_transformers.json").write_text(json.dumps(prompt))
    answers = tiny.engine(source.load("cpu", "float32")).run([Embed(text) for text in TEXTS])
    for hidden, answer in zip(_hidden_states(tmp_path, "bad cat "), answers, strict=True):
        assert torch.tensor(answer.values) == pytest.approx(hidden[3:].mean(0), abs=1e-5), "[CLS] bad cat come first"


def _hidden_states(place: Path, prompt: str = "") -> Iterator[torch.Tensor]:
    """The last hidden states [L, D] of each text alone."""
    module, tokenizer = transformers.AutoModel.from_pretrained(place).eval(), transformers.AutoTokenizer.from_pretrained(place)
    for text in TEXTS:
        with torch.no_grad():
            yield module(**tokenizer(prompt + text, return_tensors="pt")).last_hidden_state[0]


def test_case_goes_where_the_checkpoint_says_so(tmp_path: Path) -> None:
    read = []
    for lowers in (False, True):
        source = _with_files(tmp_path / str(lowers), sentences={"do_lower_case": lowers})
        model: Any = source.load("cpu", "float32")
        model.tokenizer.backend_tokenizer.normalizer = normalizers.BertNormalizer(lowercase=False)
        read.append([model.tokenizer.decode(model.split(Embed(text))[0].ids) for text in ("The CAT", "the cat")])
    assert read[0][0] != read[0][1], "this tokenizer tells them apart"
    assert read[1][0] == read[1][1] == read[0][1]


def test_a_long_text_is_cut_and_says_so(tmp_path: Path) -> None:
    engine = tiny.engine(HuggingFace(str(encoder(tmp_path, longest=6))).load("cpu", "float32"))
    short, long = engine.run([Embed("the cat sat on"), Embed("the cat sat on a table")])
    assert (short.num_truncated, long.num_truncated) == (0, 2)
    assert long.values == pytest.approx(short.values, abs=1e-5)


@pytest.mark.parametrize("name", ["bert_masked", "roberta_masked"])
def test_a_gap_is_filled_with_the_likeliest_tokens(name: str) -> None:
    place = str(tiny.checkpoint(name))
    module, tokenizer = transformers.AutoModelForMaskedLM.from_pretrained(place).eval(), transformers.AutoTokenizer.from_pretrained(place)
    texts = [f"the {MASK} sat", f"a good young dog in paris {MASK} able to read", f"the {MASK} sat on {MASK} table"]
    answers = tiny.engine(name).run([FillMask(text, 5) for text in texts])
    for text, answer in zip(texts, answers, strict=True):
        encoded = tokenizer(text.replace(MASK, tokenizer.mask_token), return_tensors="pt")
        place_of = encoded["input_ids"][0].tolist().index(tokenizer.mask_token_id)
        with torch.no_grad():
            expected = module(**encoded).logits[0, place_of].log_softmax(-1).topk(5)
        assert answer.tokens == (tuple(tokenizer.convert_ids_to_tokens(expected.indices.tolist())),)
        assert answer.log_probs[0] == pytest.approx(expected.values.tolist(), abs=1e-4)


def test_what_is_shown_is_predicted_token_by_token() -> None:
    place = str(tiny.checkpoint("bert_masked"))
    module, tokenizer = transformers.AutoModelForMaskedLM.from_pretrained(place).eval(), transformers.AutoTokenizer.from_pretrained(place)
    (answer,) = tiny.engine("bert_masked").run([FillMask(f"the {MASK} sat", 3, shown="cable")])
    encoded = tokenizer("the cable sat", return_tensors="pt")
    num = len(tokenizer.tokenize("cable"))
    with torch.no_grad():
        best = module(**encoded).logits[0, 2 : 2 + num].topk(3).indices
    assert num > 1
    assert answer.tokens == tuple(tuple(tokenizer.convert_ids_to_tokens(row)) for row in best.tolist())


@pytest.mark.parametrize(("text", "tokens"), [(f"the {MASK} sat on {MASK}", ["Ġgood"]), (f"un{MASK} table", ["unable"])])
def test_what_is_shown_is_found_where_a_token_holds_its_space_too(text: str, tokens: list[str]) -> None:
    """A word alone may be cut otherwise than behind a space, or be a part of a token: it is its characters that are asked about."""
    place, shown = str(tiny.checkpoint("roberta_masked")), "good" if tokens == ["Ġgood"] else "able"
    module, tokenizer = transformers.AutoModelForMaskedLM.from_pretrained(place).eval(), transformers.AutoTokenizer.from_pretrained(place)
    (answer,) = tiny.engine("roberta_masked").run([FillMask(text, 3, shown=shown)])
    encoded = tokenizer(text.replace(MASK, shown, 1).replace(MASK, "<mask>"), return_tensors="pt")
    places = [i for i, token in enumerate(tokenizer.convert_ids_to_tokens(encoded["input_ids"][0].tolist())) if token in tokens]
    with torch.no_grad():
        best = module(**encoded).logits[0, places].topk(3).indices
    assert len(places) == 1
    assert answer.tokens == tuple(tuple(tokenizer.convert_ids_to_tokens(row)) for row in best.tolist())


def test_a_gap_out_of_sight_has_no_filling_and_no_gap_is_an_error() -> None:
    far, none = tiny.engine("bert_masked").try_run([FillMask("the cat " * 30 + MASK), FillMask("no gap")])
    assert far.tokens == ()
    assert isinstance(none, Failure)
    assert "has no [MASK] to fill" in none.error
