"""Texts that a search may break on: whatever an attack makes of them, every sample counts once, and no search ends another."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from windtunnel.attacks.text.a2t import A2T
from windtunnel.attacks.text.bad_characters import BadCharacters
from windtunnel.attacks.text.bae import BAE
from windtunnel.attacks.text.bertattack import BertAttack
from windtunnel.attacks.text.checklist import CheckList
from windtunnel.attacks.text.clare import CLARE
from windtunnel.attacks.text.deepwordbug import DeepWordBug
from windtunnel.attacks.text.gradient_word_swap import GradientWordSwap
from windtunnel.attacks.text.hotflip import HotFlip
from windtunnel.attacks.text.iga import IGA
from windtunnel.attacks.text.input_reduction import InputReduction
from windtunnel.attacks.text.kuleshov import Kuleshov
from windtunnel.attacks.text.particle_swarm import LEAP, PSO
from windtunnel.attacks.text.pruthi import Pruthi
from windtunnel.attacks.text.pwws import PWWS
from windtunnel.attacks.text.textbugger import TextBugger
from windtunnel.attacks.text.textfooler import TextFooler
from windtunnel.harness.api.model_port import ModelPort
from windtunnel.harness.api.samples import Record, Sample, SampleRng
from windtunnel.harness.items.attack.records import make_attack_records
from windtunnel.tests import tiny, tiny_words
from windtunnel.tests.attacks.text.test_textattack_recipes import Encoder
from windtunnel.tests.harness.items.attack.test_attacking import Sentiment

ODD = {
    "dots": "...", "empty": "", "newlines": "\n\n\n", "spaces": "   ", "emoji": "😀👍🏽", "split": "a <SPLIT> b", "split alone": "<SPLIT>",
    "digits": "1234 56", "controls": "\x00\x07 a \x1b[31m b", "right to left": "\u202bفيلم جيد\u202c", "one word": "superb",
    "one letter": "a", "combining": "co\u0301mic \u00adtiming", "zero width": "w\u200bonderful", "brackets": "[[MASK]] {} [SEP] <s>",
    "surrogate": "bad \udc80 film", "quotes": "don't-miss it's 'tis ''", "punctuation": "!!! ... ??? -- ;;", "stop words": "the of and to",
    "chinese": "這是一部很好的電影。とても良い", "lines": "good\r\nfilm\u00a0bad", "long": "good film " * 40, "plain": "a good film",
}  # fmt: skip
HEAVY = (CLARE, IGA, LEAP, PSO)
"""They ask for so much a word that a long text is left to the others."""


@pytest.fixture(scope="module")
def words(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_words.write_words(tmp_path_factory.mktemp("odd") / "words")


def made(recipe: Any, words: Path) -> Any:
    """With the word data in miniature, where it reads any."""
    if recipe is BadCharacters or not hasattr(recipe, "needs"):
        return recipe()
    files = {"vectors": "vectors.txt", "tagger": "tags.json"}
    needed = {name: str(words / file) for name, file in files.items() if name in recipe.needs}
    return recipe(stop_words="builtin", resources=str(words), **needed)


@pytest.mark.usefixtures("textattack")
@pytest.mark.parametrize(
    "recipe",
    [A2T, BAE, BadCharacters, BertAttack, CheckList, DeepWordBug, GradientWordSwap, HotFlip, InputReduction, Kuleshov, PWWS, Pruthi,
     TextBugger, TextFooler, *(pytest.param(recipe, marks=pytest.mark.long) for recipe in HEAVY)],
)  # fmt: skip
def test_every_odd_text_counts_once(recipe: Any, words: Path) -> None:
    attack, engine, task = made(recipe, words), tiny.engine("bert"), Sentiment()
    roles: dict[str, ModelPort] = {"encoder": Encoder(), "masked_lm": tiny.engine("bert_masked"), "language_model": tiny.engine("gpt2")}
    engine.roles = {role: roles[role] for role in getattr(attack, "roles", {})}  # type: ignore[misc]
    labels = tuple(tiny.LABELS)
    asked = [Sample(name, text, 0, labels) for name, text in ODD.items() if not (name == "long" and recipe in HEAVY)]
    answers = engine.try_run([request for sample in asked for request in task.requests(sample)])
    # Each with the class that the model says, so that all of them are attacked.
    samples = [
        Sample(s.id, s.input, max(range(len(labels)), key=a.values.__getitem__) if hasattr(a, "values") else 0, labels)
        for s, a in zip(asked, answers, strict=True)
    ]

    def attacked(some: Sequence[Sample]) -> list[Record]:
        return make_attack_records(engine, "a(t)", task, attack, attack.threat, SampleRng("odd", 0), some)

    records = attacked(samples)
    assert [record.sample_id for record in records] == [sample.id for sample in samples]
    for record in records:
        if record.sample_id == "surrogate":
            assert record.error, "a text that the model itself cannot read"
            continue
        assert record.scores["clean_correct"] == 1
        assert record.scores["robust_correct"] in (0, 1)
        assert record.scores["success"] == 1 - record.scores["robust_correct"]  # type: ignore[operator]
        assert (record.error is not None) is (record.scores.get("not_attacked") == 1)
    assert attacked(samples[-1:])[0].scores == records[-1].scores, "what broke beside it changed nothing"
