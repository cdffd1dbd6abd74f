"""Position embeddings that change with the length of a pass: no text is answered by what a longer one beside or before it asks for."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
import transformers
from windtunnel.harness.models.hf import HuggingFace
from windtunnel.harness.requests import Classify, Generate, LogLikelihood
from windtunnel.tests import tiny

TRAINED = 12
_SIZES = {
    "vocab_size": 360, "hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4, "num_key_value_heads": 2,
    "intermediate_size": 48, "bos_token_id": 0, "eos_token_id": 0, "pad_token_id": 0,
}  # fmt: skip
_SHORT = ("the cat", "a dog sat on", "good")
_LONG = "the cat sat on the table and was able to read the good films that were great"


def _saved(kind: str, folder: Path, head: str = "CausalLM") -> str:
    is_new = transformers.__version__ >= "5"
    theta: dict[str, Any] = {"rope_theta": 10000.0} if is_new else {}
    if kind == "longrope":
        turned = {**theta, "rope_type" if is_new else "type": kind, "short_factor": [1.0] * 4, "long_factor": [1.0, 1.5, 2.5, 4.0]}
        config: Any = transformers.Phi3Config(
            **_SIZES, max_position_embeddings=48, original_max_position_embeddings=TRAINED, rope_scaling=turned
        )
    else:
        turned = {**theta, "rope_type": kind, "factor": 4.0}
        config = transformers.LlamaConfig(**_SIZES, max_position_embeddings=TRAINED, rope_scaling=turned)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        module = getattr(transformers, f"AutoModelFor{head}").from_config(config)
        for parameter in module.parameters():
            if parameter.ndim > 1:
                torch.nn.init.normal_(parameter, std=0.3)
    module.save_pretrained(folder)
    tiny.shared("gpt2").tokenizer.save_pretrained(folder)
    return str(folder)


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
