"""Position embeddings that change with the length of a pass: no text is answered by what a longer one beside or before it asks for."""

from __future__ import annotations

import json
import warnings
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers
from windtunnel.harness.api.requests import Classify, Generate, LogLikelihood
from windtunnel.harness.models.hf.source import HuggingFace
from windtunnel.harness.models.torch.rotary_positions import TurningPositions
from windtunnel.tests import tiny

TRAINED = 12
_SIZES = {
    "vocab_size": 360, "hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4, "num_key_value_heads": 2,
    "intermediate_size": 48, "bos_token_id": 0, "eos_token_id": 0, "pad_token_id": 0,
}  # fmt: skip
_SHORT = ("the cat", "a dog sat on", "good")
_LONG = "the cat sat on the table and was able to read the good films that were great"


def _saved(kind: str, folder: Path, head: str = "CausalLM", *, trained: int = TRAINED, key: str = "") -> str:
    """``key``: how the settings spell the kind; what the installed transformers writes, unless it is given."""
    is_new = transformers.__version__ >= "5"
    key = key or ("rope_type" if is_new or kind != "longrope" else "type")
    theta: dict[str, Any] = {"rope_theta": 10000.0} if is_new else {}
    most = trained if kind == "dynamic" else 4 * trained
    turned: dict[str, Any] = {**theta, key: kind}
    if kind == "longrope":
        turned |= {"short_factor": [1.0] * 4, "long_factor": [1.0, 1.5, 2.5, 4.0]}
        # transformers 4 takes no other spelling for Phi-3.
        family = transformers.Phi3Config if is_new or key == "type" else transformers.LlamaConfig
        turned |= {} if family is transformers.Phi3Config else {"factor": 4.0}
        config: Any = family(**_SIZES, max_position_embeddings=most, original_max_position_embeddings=trained, rope_scaling=turned)
    else:
        turned |= {} if kind == "default" else {"factor": 4.0}
        turned |= {"original_max_position_embeddings": trained} if kind in ("yarn", "llama3") else {}
        turned |= {"low_freq_factor": 1.0, "high_freq_factor": 4.0} if kind == "llama3" else {}
        config = transformers.LlamaConfig(**_SIZES, max_position_embeddings=most, rope_scaling=turned)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        module = getattr(transformers, f"AutoModelFor{head}").from_config(config)
        for parameter in module.parameters():
            if parameter.ndim > 1:
                torch.nn.init.normal_(parameter, std=0.3)
    module.save_pretrained(folder)
    tiny.shared("gpt2").tokenizer.save_pretrained(folder)
    if key == "type":
        # As Phi-3 has it on the hub: nothing but the older name.
        path = folder / "config.json"
        settings = json.loads(path.read_text())
        name = "rope_parameters" if is_new else "rope_scaling"
        settings[name].pop("rope_type", None)
        settings[name]["type"] = kind
        path.write_text(json.dumps(settings))
    return str(folder)


@pytest.mark.parametrize("kind", ["default", "linear", "dynamic", "yarn", "longrope", "llama3"])
@pytest.mark.parametrize("key", ["type", "rope_type"])
def test_every_kind_in_packs_and_batches(kind: str, key: str, tmp_path: Path) -> None:
    """Long beside short, asked in any order and in packs: each is answered as by a plain pass over it alone."""
    folder = _saved(kind, tmp_path, trained=40, key=key)
    model: Any = HuggingFace(folder, max_length=160).load("cpu", "float32")
    assert model.turns_at == (40 if kind in ("dynamic", "longrope") else None)
    assert (model.flat.max_length, model.no_packs) == (40 if model.turns_at else 160, "")
    texts = ["the cat", "a dog sat on", _LONG, _LONG * 2, _LONG * 3, "a dog sat on the table " * 4, " ".join([_LONG] * 5)]
    lengths = [len(model.tokens(text).ids) for text in texts]
    assert min(lengths) < 10
    assert 30 < lengths[3] <= 40 < max(lengths)
    module = transformers.AutoModelForCausalLM.from_pretrained(folder).eval()

    def alone(text: str) -> float:
        ids = [0, *model.tokens(text).ids]
        for part in module.modules():  # a plain pass of a model that was never asked anything else
            if kind == "dynamic" and hasattr(part, "original_inv_freq"):
                part.max_seq_len_cached = part.original_max_seq_len
                part.register_buffer("inv_freq", part.original_inv_freq, persistent=False)
        with torch.no_grad():
            logits = module(input_ids=torch.tensor([ids[:-1]])).logits[0].double().log_softmax(-1)
        return sum(float(logits[place, token]) for place, token in enumerate(ids[1:]))

    wanted = [alone(text) for text in texts]
    for order in (texts, texts[::-1]):
        answers = tiny.engine(model).run([LogLikelihood("", text) for text in order])
        assert [a.value for a in answers] == pytest.approx([wanted[texts.index(text)] for text in order], abs=2e-3)
    prompts = [Generate(text, 5) for text in texts]
    one = tiny.engine(HuggingFace(folder, max_length=160).load("cpu", "float32"), rows=1, pack=0)
    assert tiny.engine(model).run(prompts) == [one.run([prompt])[0] for prompt in prompts]


def test_an_unknown_kind_is_taken_to_change() -> None:
    config = transformers.LlamaConfig(**_SIZES, max_position_embeddings=64)
    module: Any = torch.nn.Linear(1, 1)
    module.config = config
    assert TurningPositions(module).limit is None
    for name in ("rope_scaling", "rope_parameters"):
        for given in ({"rope_type": "new"}, {"full_attention": {"rope_type": "new"}, "sliding_attention": {"rope_type": "default"}}):
            module.config = transformers.LlamaConfig(**_SIZES, max_position_embeddings=64)
            with warnings.catch_warnings(action="ignore"):  # transformers 5 warns of the older name
                setattr(module.config, name, given)
            turning = TurningPositions(module)
            assert (turning.limit, turning.alike(64), turning.alike(65), turning.alike(66)) == (64, None, 65, 66)


def test_between_two_lengths_that_may_be_meant_passes_are_apart() -> None:
    """transformers 4 switches at the configuration's own original length or else at its longest, 5 at what the settings say."""
    module: Any = torch.nn.Linear(1, 1)
    module.config = transformers.LlamaConfig(**_SIZES, max_position_embeddings=64)
    name = "rope_parameters" if transformers.__version__ >= "5" else "rope_scaling"
    setattr(module.config, name, {"type": "su", "original_max_position_embeddings": 16})
    turning = TurningPositions(module)
    assert [turning.alike(length) for length in (16, 17, 64, 65)] == [None, 1, 1, 2]


@pytest.mark.parametrize("kind", ["longrope", "dynamic"])
def test_a_long_text_in_the_batch_moves_no_short_one(kind: str, tmp_path: Path) -> None:
    folder = _saved(kind, tmp_path)
    texts = [*_SHORT, _LONG]
    requests = [LogLikelihood("", text) for text in texts]
    # Each by a model that was never asked anything else.
    alone = [tiny.engine(HuggingFace(folder, max_length=48).load("cpu", "float32")).run([request])[0].value for request in requests]
    model: Any = HuggingFace(folder, max_length=48).load("cpu", "float32")
    assert len(model.split(requests[-1])[0].ids) > TRAINED + 1
    for asked in (requests, requests[::-1]):
        found = {r: a.value for r, a in zip(asked, tiny.engine(model).run(asked), strict=True)}
        assert [found[request] for request in requests] == pytest.approx(alone, abs=1e-4)
    module, tokenizer = model.module, model.tokenizer
    ids = [0, *tokenizer(_SHORT[1])["input_ids"]]
    with torch.no_grad():
        logits = module(input_ids=torch.tensor([ids])).logits[0].double().log_softmax(-1)
    plain = sum(float(logits[place, token]) for place, token in enumerate(ids[1:]))
    assert alone[1] == pytest.approx(plain, abs=1e-4)


def test_what_was_asked_before_moves_nothing(tmp_path: Path) -> None:
    """transformers keeps dynamic embeddings of the longest pass until one of less than the trained length comes."""
    folder = _saved("dynamic", tmp_path)
    middle = LogLikelihood("", "the cat sat on the table and was able to read the good")
    fresh, used = (tiny.engine(HuggingFace(folder, max_length=48).load("cpu", "float32")) for _ in range(2))
    used.run([LogLikelihood("", _LONG * 2)])
    assert used.run([middle])[0].value == pytest.approx(fresh.run([middle])[0].value, abs=1e-5)


def test_a_classifier_too(tmp_path: Path) -> None:
    folder = _saved("longrope", tmp_path, "SequenceClassification")
    model: Any = HuggingFace(folder, pad_token="<|endoftext|>", max_length=48).load("cpu", "float32")
    requests = [Classify(text) for text in (*_SHORT, _LONG)]
    alone = [tiny.engine(model).run([request])[0].values for request in requests]
    for together, one in zip(tiny.engine(model).run(requests), alone, strict=True):
        assert together.values == pytest.approx(one, abs=1e-4)


@pytest.mark.parametrize("kind", ["dynamic", "gpt2"])
def test_a_batch_of_prompts_ends_where_the_positions_end(kind: str, tmp_path: Path) -> None:
    """A long prompt with a short answer and a short prompt with a long one each fit; together they would go on beyond the last position."""
    model: Any = tiny.load("gpt2") if kind == "gpt2" else HuggingFace(_saved(kind, tmp_path)).load("cpu", "float32")
    many = model.max_length - 2
    requests = [Generate("a", many), Generate("the cat sat on a table and was able to " * 3, 2), Generate("b", 2)]
    passes = []
    inner = model.padded.generate
    model.padded.generate = lambda batch: (passes.append(batch), inner(batch))[1]
    assert tiny.engine(model, pack=0).run(requests) == tiny.engine(model, rows=1, pack=0).run(requests)
    for batch in passes:
        width, most = max(len(p.ids) for p in batch), max(p.request.max_tokens for p in batch)
        assert width + most <= model.max_length
