"""Pseudo-log-likelihoods against a plain loop over transformers, and by hand."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
import transformers
from windtunnel.harness.api.errors import ModelError
from windtunnel.harness.api.requests import PseudoLogLikelihood
from windtunnel.harness.api.responses import Failure
from windtunnel.harness.models.hf.source import HuggingFace
from windtunnel.tests import tiny

PAIRS = [
    ("the cat sat on a table", "the young dog sat on a table"),
    ("bad films were great, and her young dog was able to read", "good films were great, and his dog was able to read"),
    ("paris", "the cat was in paris with a table that was good and awful and fine and great."),
]
NAMES = ("bert_masked", "roberta_masked")


def by_loop(name: str, text: str, other: str = "") -> tuple[float, int]:
    """One sentence, one masked token and one pass at a time; common tokens by dynamic programming over the two id lists."""
    folder = tiny.checkpoint(name)
    model = transformers.AutoModelForMaskedLM.from_pretrained(folder).eval()
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    ids = tokenizer(text)["input_ids"]
    places = range(1, len(ids) - 1)
    if other:
        ids_other = tokenizer(other)["input_ids"]
        places = [i for i in common_places(ids, ids_other) if 0 < i < len(ids) - 1]
    total = 0.0
    for place in places:
        hidden = list(ids)
        hidden[place] = tokenizer.mask_token_id
        with torch.no_grad():
            logits = model(input_ids=torch.tensor([hidden])).logits[0, place].double()
        total += float(logits.log_softmax(0)[ids[place]])
    return total, len(places)


def common_places(a: list[int], b: list[int]) -> list[int]:
    """Ratcliff and Obershelp: the longest common run (the earliest of several), then the same to its left and to its right."""

    def runs(a_low: int, a_high: int, b_low: int, b_high: int) -> list[int]:
        best = (0, 0, 0)
        for i in range(a_low, a_high):
            for j in range(b_low, b_high):
                n = 0
                while i + n < a_high and j + n < b_high and a[i + n] == b[j + n]:
                    n += 1
                if n > best[0]:
                    best = (n, i, j)
        n, i, j = best
        return [] if not n else [*runs(a_low, i, b_low, j), *range(i, i + n), *runs(i + n, a_high, j + n, b_high)]

    return runs(0, len(a), 0, len(b))


@pytest.mark.parametrize("name", NAMES)
def test_equals_a_plain_loop(name: str) -> None:
    requests = [PseudoLogLikelihood(*pair) for a, b in PAIRS for pair in ((a, b), (b, a), (a,))]
    engine = tiny.engine(tiny.load(name))
    for request, answer in zip(requests, engine.run(requests), strict=True):
        value, num = by_loop(name, request.text, request.other)
        assert answer.num_tokens == num > 0
        assert answer.value == pytest.approx(value, abs=2e-4), "float32 sums of some tokens"


def test_all_texts_share_batches() -> None:
    engine = tiny.engine(tiny.load("bert_masked"), rows=16)
    answers = engine.run([PseudoLogLikelihood(text) for pair in PAIRS for text in pair])
    num_tokens = sum(answer.num_tokens for answer in answers)
    assert engine.counters.forward_passes == -(-num_tokens // 16)


@pytest.mark.parametrize("name", NAMES)
def test_no_answer_depends_on_the_batch(name: str) -> None:
    requests = [PseudoLogLikelihood(text) for pair in PAIRS for text in pair]
    model = tiny.load(name)
    alone = tiny.engine(model, rows=1).run(requests)
    together = tiny.engine(model).run(requests)
    assert [a.value for a in alone] == pytest.approx([b.value for b in together], abs=2e-4)
    assert [a.is_greedy for a in alone] == [b.is_greedy for b in together]


def test_only_what_is_common_counts() -> None:
    model = tiny.load("bert_masked")
    tokens = {unit.token for unit in model.split(PseudoLogLikelihood("the cat sat", "the dog sat"))}
    assert tokens == set(model.tokenizer.convert_tokens_to_ids(["the", "sat"]))
    units = model.split(PseudoLogLikelihood("the cat sat"))
    assert [unit.ids[unit.place] for unit in units] == [model.tokenizer.mask_token_id] * 3
    assert [unit.place for unit in units] == [1, 2, 3], "never the special tokens"


@pytest.mark.parametrize(
    ("request_", "match"),
    [
        (PseudoLogLikelihood(""), "no tokens to score"),
        (PseudoLogLikelihood("cat", "dog"), "no token in common"),
        (PseudoLogLikelihood("cat " * 60), "some would not be scored"),
        (PseudoLogLikelihood("cat \ud800"), "lone surrogate"),
    ],
)
def test_what_cannot_be_scored_says_why(request_: PseudoLogLikelihood, match: str) -> None:
    (answer, other) = tiny.engine("bert_masked").try_run([request_, PseudoLogLikelihood("the cat")])
    assert isinstance(answer, Failure)
    assert match in answer.error
    assert not isinstance(other, Failure)


def test_inspect_and_a_tokenizer_without_a_mask(tmp_path: Path) -> None:
    info = HuggingFace(str(tiny.checkpoint("bert_masked"))).inspect()
    assert (info.answers, info.features) == ({"pseudo_loglikelihood": {"text"}, "fill_mask": {"text"}}, frozenset())
    assert info.labels == ()
    folder = tiny.save("roberta_masked", tmp_path / "no_mask")
    side: Any = tiny._roberta_tokenizer()
    for path in folder.glob("*token*"):
        path.unlink()
    side.save_pretrained(folder)
    with pytest.raises(ModelError, match="has no mask token"):
        HuggingFace(str(folder)).load("cpu", "float32")
