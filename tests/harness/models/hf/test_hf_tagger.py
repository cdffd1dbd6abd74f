"""Tags of words equal those of a plain pass over each text alone."""

from __future__ import annotations

import functools
import re
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers
from windtunnel.harness.api.requests import Tag
from windtunnel.harness.api.responses import Failure
from windtunnel.harness.models.hf.source import HuggingFace
from windtunnel.tests import tiny

NAMES = ["O", "B-PER", "I-PER", "B-LOC", "I-LOC"]
TEXTS = ["the dog sat in Paris", "unable films", "a  good young dog, in paris, was able to read the great films"]
KINDS = {"bert": transformers.BertForTokenClassification, "roberta": transformers.RobertaForTokenClassification}


@functools.cache
def checkpoint(kind: str) -> str:
    place = tiny.checkpoint(kind)
    folder = Path(place).with_name(f"{Path(place).name}-tags")
    config = transformers.AutoConfig.from_pretrained(str(place))
    config.id2label, config.label2id = dict(enumerate(NAMES)), {name: i for i, name in enumerate(NAMES)}
    with torch.random.fork_rng():
        torch.manual_seed(5)
        module = KINDS[kind](config)
    module.save_pretrained(folder)
    transformers.AutoTokenizer.from_pretrained(str(place)).save_pretrained(folder)
    return str(folder)


def tag_alone(model: Any, text: str) -> tuple[list[str], list[float]]:
    encoded = model.tokenizer(text, return_tensors="pt", return_offsets_mapping=True)
    offsets = encoded.pop("offset_mapping")[0].tolist()
    with torch.no_grad():
        logs_LC = model.module(**encoded).logits[0].double().log_softmax(-1)
    found = []
    for word in re.finditer(r"\S+", text):
        place = next(i for i, (a, b) in enumerate(offsets) if b > a and b > word.start() and a < word.end())
        found.append(logs_LC[place])
    return [NAMES[int(row.argmax())] for row in found], [float(row.max()) for row in found]


@pytest.mark.parametrize("kind", sorted(KINDS))
def test_tags_equal_those_alone(kind: str) -> None:
    source = HuggingFace(checkpoint(kind))
    assert dict(source.inspect().answers) == {"tag": {"text"}}
    model = source.load("cpu", "float32")
    for text, answer in zip(TEXTS, tiny.engine(model).run([Tag(text) for text in TEXTS]), strict=True):
        tags, logs = tag_alone(model, text)
        assert list(answer.tags) == tags
        assert list(answer.log_probs) == pytest.approx(logs, abs=1e-4)
        assert len(answer.tags) == len(text.split())


def test_a_text_without_words_and_one_that_is_too_long_fail_alone() -> None:
    model = HuggingFace(checkpoint("bert")).load("cpu", "float32")
    empty, long, good = tiny.engine(model).try_run([Tag("  "), Tag("bad " * 60), Tag("bad dog")])
    assert isinstance(empty, Failure)
    assert "no words" in empty.error
    assert isinstance(long, Failure)
    assert "62 tokens, but the model reads only 48" in long.error
    assert not isinstance(good, Failure)
    assert len(good.tags) == 2


def test_settings_name_the_tags() -> None:
    model = HuggingFace(checkpoint("bert"), labels=["O", "B-X", "I-X", "B-Y", "I-Y"]).load("cpu", "float32")
    (answer,) = tiny.engine(model).run([Tag(TEXTS[0])])
    assert set(answer.tags) <= {"O", "B-X", "I-X", "B-Y", "I-Y"}
