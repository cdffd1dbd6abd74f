"""Texts that a search may break on: whatever an attack makes of them, every sample counts once, and no search ends another."""

from __future__ import annotations

from typing import Any

import pytest
from windtunnel.attacks.text.checklist import CheckList
from windtunnel.attacks.text.deepwordbug import DeepWordBug
from windtunnel.attacks.text.hotflip import HotFlip
from windtunnel.attacks.text.input_reduction import InputReduction
from windtunnel.attacks.text.pruthi import Pruthi
from windtunnel.harness.attacking import attack_records
from windtunnel.harness.samples import Sample, SampleRng
from windtunnel.tests import tiny
from windtunnel.tests.test_attacking import Sentiment

ODD = {
    "dots": "...", "empty": "", "newlines": "\n\n\n", "spaces": "   ", "emoji": "😀👍🏽", "split": "a <SPLIT> b", "split alone": "<SPLIT>",
    "digits": "1234 56", "controls": "\x00\x07 a \x1b[31m b", "right to left": "\u202bفيلم جيد\u202c", "one word": "superb",
    "one letter": "a", "combining": "co\u0301mic \u00adtiming", "zero width": "w\u200bonderful", "brackets": "[[MASK]] {} [SEP] <s>",
    "surrogate": "bad \udc80 film", "long": "good film " * 100, "quotes": "don't-miss it's 'tis ''", "plain": "a good film",
}  # fmt: skip


@pytest.mark.usefixtures("textattack")
@pytest.mark.parametrize("make", [InputReduction, DeepWordBug, CheckList, Pruthi, HotFlip])
def test_every_odd_text_counts_once(make: Any) -> None:
    engine, task = tiny.engine("bert"), Sentiment()
    labels = tuple(tiny.LABELS)
    asked = [Sample(name, text, 0, labels) for name, text in ODD.items()]
    answers = engine.try_run([request for sample in asked for request in task.requests(sample)])
    # Each with the class that the model says, so that all of them are attacked.
    samples = [
        Sample(s.id, s.input, max(range(len(labels)), key=a.values.__getitem__) if hasattr(a, "values") else 0, labels)
        for s, a in zip(asked, answers, strict=True)
    ]
    attack = make(max_chars=None) if make is DeepWordBug else make()
    records = attack_records(engine, "a(t)", task, attack, attack.threat, SampleRng("odd", 0), samples)
    assert [record.sample_id for record in records] == list(ODD)
    for record in records:
        answered = record.scores.get("clean_correct")
        if answered is None:
            assert record.error, "a text that the model itself cannot read"
            continue
        assert record.scores["robust_correct"] in (0, 1)
        assert record.scores["success"] == 1 - record.scores["robust_correct"]  # type: ignore[operator]
        assert (record.error is not None) is (record.scores.get("not_attacked") == 1)
    alone = attack_records(engine, "a(t)", task, attack, attack.threat, SampleRng("odd", 0), samples[-1:])
    assert alone[0].scores == records[-1].scores, "what broke beside it changed nothing"
