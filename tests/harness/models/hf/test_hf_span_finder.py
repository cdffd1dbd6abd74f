"""Spans equal those of a plain search over all pairs of a start and an end, window by window."""

from __future__ import annotations

import functools
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers
from windtunnel.harness.api.requests import Answer
from windtunnel.harness.api.responses import Failure
from windtunnel.harness.modalities.text import TextPair
from windtunnel.harness.models.hf.source import HuggingFace
from windtunnel.tests import tiny

PASSAGES = ["the dog sat in Paris and was able to read", "bad films", "a good young dog, in paris, was able to read the great films. " * 6]
QUESTION = "was the dog good"
KINDS = {"bert": transformers.BertForQuestionAnswering, "roberta": transformers.RobertaForQuestionAnswering}


@functools.cache
def checkpoint(kind: str) -> str:
    place = tiny.checkpoint(kind)
    folder = Path(place).with_name(f"{Path(place).name}-spans")
    with torch.random.fork_rng():
        torch.manual_seed(5)
        module = KINDS[kind](transformers.AutoConfig.from_pretrained(str(place), num_labels=2))
    module.save_pretrained(folder)
    transformers.AutoTokenizer.from_pretrained(str(place)).save_pretrained(folder)
    return str(folder)


def find_alone(model: Any, passage: str, longest: int) -> tuple[str, float, float, int]:
    """The best span by loops over windows, starts and ends."""
    room = model.max_length - len(model.tokenizer(QUESTION, "").input_ids)
    encoded = model.tokenizer(
        QUESTION, passage, truncation="only_second", max_length=model.max_length, stride=min(128, room // 2), return_overflowing_tokens=True
    )
    best, none = (-float("inf"), 0, 0), float("inf")
    for one in encoded.encodings:
        types = {"token_type_ids": torch.tensor([one.type_ids])} if "token_type_ids" in encoded else {}
        with torch.no_grad():
            output = model.module(input_ids=torch.tensor([one.ids]), **types)
        starts, ends = output.start_logits[0].tolist(), output.end_logits[0].tolist()
        none = min(none, starts[0] + ends[0])
        places = [i for i, part in enumerate(one.sequence_ids) if part == 1]
        for i in places:
            for j in places:
                if i <= j < i + longest and starts[i] + ends[j] > best[0]:
                    best = (starts[i] + ends[j], one.offsets[i][0], one.offsets[j][1])
    return passage[best[1] : best[2]], best[0], none, len(encoded.encodings)


@pytest.mark.parametrize("kind", sorted(KINDS))
@pytest.mark.parametrize("longest", [1, 30])
def test_spans_equal_those_of_a_plain_search(kind: str, longest: int) -> None:
    source = HuggingFace(checkpoint(kind))
    assert dict(source.inspect().answers) == {"answer": {"pair"}}
    model = source.load("cpu", "float32")
    answers = tiny.engine(model).run([Answer(TextPair(QUESTION, passage), longest) for passage in PASSAGES])
    for passage, answer in zip(PASSAGES, answers, strict=True):
        text, score, none, windows = find_alone(model, passage, longest)
        assert (answer.text, answer.num_windows) == (text, windows)
        assert (answer.score, answer.no_answer) == pytest.approx((score, none), abs=1e-4)
        assert passage[answer.start : answer.end] == answer.text
    assert answers[2].num_windows > 1


def test_an_empty_passage_and_a_question_without_end_fail_alone() -> None:
    model = HuggingFace(checkpoint("bert")).load("cpu", "float32")
    pairs = [TextPair(QUESTION, "  "), TextPair("was it " * 60, "bad"), TextPair(QUESTION, "bad")]
    empty, long, good = tiny.engine(model).try_run([Answer(pair) for pair in pairs])
    assert isinstance(empty, Failure)
    assert "the passage is empty" in empty.error
    assert isinstance(long, Failure)
    assert "leaves no room" in long.error
    assert not isinstance(good, Failure)
    assert good.text == "bad"


def test_logits_that_are_not_numbers_are_no_answer() -> None:
    model = HuggingFace(checkpoint("bert")).load("cpu", "float32")
    with torch.no_grad():
        model.module.qa_outputs.bias.fill_(float("nan"))
    (answer,) = tiny.engine(model).try_run([Answer(TextPair(QUESTION, PASSAGES[0]))])
    assert isinstance(answer, Failure)
    assert answer.error.startswith("NonFiniteError: ")
