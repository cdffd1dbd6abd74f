"""Words ranked by a classifier's gradients: against loops by hand, and TextAttack's own search in the order that they give."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from windtunnel.attacks.text import deepwordbug, gradient_word_swap, input_reduction, pwws, textbugger
from windtunnel.attacks.text.gradient_word_swap import GradientWordSwap
from windtunnel.attacks.text.importance import NUM_PASSES, compute_token_importance
from windtunnel.harness.api.errors import ConfigError
from windtunnel.harness.api.requests import Classify
from windtunnel.harness.api.responses import Failure
from windtunnel.harness.api.samples import Sample, SampleRng
from windtunnel.harness.modalities.words import word_spans
from windtunnel.tests import tiny, tiny_words
from windtunnel.tests.word_hash import told

LABELS = tuple(tiny.LABELS)
TEXTS = ("the cat sat on a table", "bad films that were great, awful fine", "dog", "was able to read 'good' stable films!")
WAYS = tuple(NUM_PASSES)


def by_hand(net: Any, text: str, way: str) -> tuple[list[float], int]:
    """A value a word (every run of tokens within it), and the class: one text, no batch, the sum over steps written out."""
    read = net.tokenizer(text, return_offsets_mapping=True, return_tensors="pt")
    offsets = read.pop("offset_mapping")[0].tolist()
    embed = net.module.get_input_embeddings()
    pad = net.tokenizer.pad_token_id
    padding = torch.tensor([[pad if b > a else int(i) for i, (a, b) in zip(read["input_ids"][0], offsets, strict=True)]])
    start, end = embed(padding).detach(), embed(read["input_ids"]).detach()
    said = int(net.module(**read).logits.argmax())
    steps = 1 if way == "gradient" else 8
    total = torch.zeros_like(end)
    for step in range(1, steps + 1):
        point = (start + step / steps * (end - start)).requires_grad_()
        hook = embed.register_forward_hook(lambda m, a, out, point=point: point)
        net.module(**read).logits[0].log_softmax(-1)[said].backward()
        hook.remove()
        total += point.grad / steps
    tokens = total.abs().sum(-1)[0] if way == "gradient" else ((end - start) * total).sum(-1)[0]
    valued = [(float(value), a, b) for value, (a, b) in zip(tokens, offsets, strict=True) if b > a]
    return [sum(value for value, a, b in valued if a < end and b > start) for start, end in word_spans(text)], said


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("name", ["bert", "gpt2_classifier"])
def test_importance_is_the_gradients_by_hand(name: str, way: str) -> None:
    engine = tiny.engine(name)
    before = engine.counters.gradient_passes
    found = compute_token_importance(engine, [Classify(text, LABELS) for text in TEXTS], way)
    assert engine.counters.gradient_passes - before == NUM_PASSES[way] * len(engine.groups([len(text) for text in TEXTS]))
    with engine.differentiable() as net:
        for text, importance in zip(TEXTS, found, strict=True):
            assert not isinstance(importance, Failure)
            expected, _ = by_hand(net, text, way)
            assert importance.sum_words(word_spans(text)).tolist() == pytest.approx(expected, rel=1e-3, abs=1e-6)


def test_what_cannot_be_read_fails_alone() -> None:
    found = compute_token_importance(tiny.engine("bert"), [Classify(text, LABELS) for text in ("the cat", "\ud800")], "gradient")
    assert [isinstance(one, Failure) for one in found] == [False, True]


def of_the_said_class(engine: Any, texts: Sequence[str]) -> list[Sample]:
    answers = engine.run([Classify(text, LABELS) for text in texts])
    return [Sample(f"s{i}", text, int(np.argmax(a.values)), LABELS) for i, (text, a) in enumerate(zip(texts, answers, strict=True))]


@pytest.mark.parametrize("way", ["integrated_gradients", "deletion"])
def test_near_words_are_tried_in_that_order(way: str, monkeypatch: pytest.MonkeyPatch) -> None:
    engine = tiny.engine("bert")
    attacked = of_the_said_class(engine, TEXTS)
    attack, plain = (GradientWordSwap(stop_words="none", min_cosine=-1.0, max_words=None, importance=i) for i in (way, "gradient"))
    twins = attack.perturb(engine, attacked, attack.threat, SampleRng("test", 0))
    scores: dict[str, list[float]] = {}
    with engine.differentiable() as net:
        for sample in attacked:
            text = str(sample.input)
            if way == "deletion":
                left = [Classify(text[:a] + text[b:], LABELS) for a, b in word_spans(text)]
                logits = torch.tensor([answer.values for answer in engine.run(left)])
                scores[sample.id] = (-logits.log_softmax(1)[:, sample.target]).tolist()
            else:
                scores[sample.id] = by_hand(net, text, way)[0]
    own = gradient_word_swap.rank_words
    monkeypatch.setattr(gradient_word_swap, "rank_words", lambda search, slope, _: own(search, slope, scores[search.sample.id]))
    expected = plain.perturb(engine, attacked, plain.threat, SampleRng("test", 0))
    assert [twin.input for twin in twins] == [twin.input for twin in expected]
    extra = [t.metadata["num_queries"] - e.metadata["num_queries"] for t, e in zip(twins, expected, strict=True)]
    assert extra == [8 if way == "integrated_gradients" else len(scores[sample.id]) for sample in attacked]
    with pytest.raises(ConfigError, match="importance"):
        GradientWordSwap(importance="recipe")


@pytest.mark.textattack
@pytest.mark.filterwarnings("ignore:The 'warn' method is deprecated:DeprecationWarning")
@pytest.mark.parametrize("way", WAYS)
def test_the_search_is_textattacks_in_that_order(textattack: Any, way: str, monkeypatch: pytest.MonkeyPatch) -> None:
    engine = tiny.engine("bert")
    texts = [" ".join(np.random.default_rng(i).choice(tiny.WORDS, size=3 + i % 7)) for i in range(24)]
    attacked = of_the_said_class(engine, texts)
    bug = deepwordbug.DeepWordBug(stop_words="builtin", importance=way)
    assert "gradients" in bug.requires
    assert "gradients" not in deepwordbug.DeepWordBug(stop_words="builtin").requires
    before = engine.counters.gradient_passes
    twins = bug.perturb(engine, attacked, bug.threat, SampleRng("test", 0))
    assert engine.counters.gradient_passes - before <= 4 * NUM_PASSES[way], "of many searches together"
    orders: dict[str, list[int]] = {}
    with engine.differentiable() as net:
        for sample in attacked:
            scores, said = by_hand(net, str(sample.input), way)
            assert said == sample.target
            orders[str(sample.input)] = sorted(range(len(scores)), key=lambda place, scores=scores: -scores[place])

    def ordered(self: Any, text: Any, max_len: int = -1) -> tuple[Any, bool]:
        _, places = self.get_indices_to_order(text)
        return np.array([place for place in orders[text.text] if place in set(places)], dtype=int), False

    monkeypatch.setattr(textattack.search_methods.GreedyWordSwapWIR, "_get_index_order", ordered)
    plain = deepwordbug.DeepWordBug(stop_words="builtin").perturb(engine, attacked, bug.threat, SampleRng("test", 0))
    assert [(t.input, t.metadata["status"]) for t in twins] == [(t.input, t.metadata["status"]) for t in plain]
    extra = [t.metadata["num_queries"] - p.metadata["num_queries"] for t, p in zip(twins, plain, strict=True)]
    assert set(extra) == {NUM_PASSES[way]} == {t.metadata["num_gradients"] for t in twins}
    assert not any("num_gradients" in t.metadata for t in plain)
    assert sum(t.input != s.input for t, s in zip(twins, attacked, strict=True)) >= 6


@pytest.mark.textattack
@pytest.mark.usefixtures("textattack")
def test_recipes_that_rank_take_it_and_others_do_not(tmp_path: Path) -> None:
    engine = tiny.engine("bert")
    folder = str(tiny_words.write_words(tmp_path / "words"))
    attacked = of_the_said_class(engine, ["a warm film", "the dull plot", ""])
    for importance in ("recipe", *WAYS):
        recipe = pwws.PWWS(stop_words="builtin", resources=folder, importance=importance)
        twins = recipe.perturb(engine, attacked, recipe.threat, SampleRng("test", 0))
        assert not any("error" in twin.metadata for twin in twins), told(twins)
    with pytest.raises(ConfigError, match="importance must be 'recipe' or 'gradient' or 'integrated_gradients', not 'deletion'"):
        textbugger.TextBugger(importance="deletion")
    with pytest.raises(TypeError, match="importance"):
        input_reduction.InputReduction(importance="gradient")  # type: ignore[call-arg]
