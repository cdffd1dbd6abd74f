"""Laws 2 and 3 on transformers: an answer alone and among others agree within 1e-5, and padding is never attended, scored or counted."""

from __future__ import annotations

import math
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from windtunnel.harness.api.requests import Classify, Generate, LogLikelihood, Request, RollingLogLikelihood
from windtunnel.harness.engine.packing import Budget
from windtunnel.harness.modalities.image import Image
from windtunnel.harness.modalities.text import TextPair
from windtunnel.tests import tiny

TEXT_MODELS = ("bert", "roberta", "gpt2_classifier")
CAUSAL = ("gpt2", "llama")
quick = settings(deadline=None, max_examples=8)
words = st.lists(st.sampled_from([*tiny.WORDS, "unable", "xyz", "3", "Paris"]), max_size=30).map(" ".join)


def differ(a: Any, b: Any) -> float:
    """The largest difference of two responses; infinite where anything but a number differs."""
    if type(a) is not type(b):
        return math.inf
    gap = 0.0
    for name in type(a).__dataclass_fields__:
        x, y = getattr(a, name), getattr(b, name)
        numbers = isinstance(x, float | tuple)
        # Relative where numbers are large: a sum over many tokens.
        gap = max(gap, float((np.abs(np.subtract(x, y)) / np.maximum(1, np.abs(x))).max()) if numbers else 0.0 if x == y else math.inf)
    return gap


def assert_invariant(name: str, requests: list[Request[Any]]) -> None:
    alone = tiny.engine(name, rows=1, pack=0).try_run(requests)
    ways = {
        "padded": tiny.engine(name, pack=0).try_run(requests),
        "padded in pairs": tiny.engine(name, rows=2, pack=0).try_run(requests[::-1])[::-1],
        "packed": tiny.engine(name).try_run(requests),
        "in small packs": tiny.engine(name, rows=3, pack=5).try_run(requests[::-1])[::-1],
    }
    for way, answers in ways.items():
        for request, a, b in zip(requests, alone, answers, strict=True):
            assert differ(a, b) < 1e-5, (way, request)


@pytest.mark.parametrize("name", TEXT_MODELS)
@quick
@given(st.lists(words.filter(bool), min_size=2, max_size=8))
def test_classification(name: str, sentences: list[str]) -> None:
    pairs = [TextPair(a, b) for a, b in pairwise(sentences)] if name != "gpt2_classifier" else []
    assert_invariant(name, [Classify(text) for text in [*sentences, *pairs]])


@pytest.mark.parametrize("name", CAUSAL)
@quick
@given(st.lists(st.tuples(words, words.filter(bool)), min_size=2, max_size=6), st.integers(1, 40))
def test_scoring(name: str, pairs: list[tuple[str, str]], min_context: int) -> None:
    requests: list[Request[Any]] = [LogLikelihood(a, " " + b) for a, b in pairs]
    assert_invariant(name, requests + [RollingLogLikelihood(b, min_context) for _, b in pairs])


@pytest.mark.parametrize("name", CAUSAL)
@pytest.mark.parametrize("temperature", [0.0, 0.8])
@settings(deadline=None, max_examples=6)
@given(st.lists(st.tuples(words, st.integers(1, 9), st.sampled_from([(), ("a",), ("e ", "\n")])), min_size=2, max_size=5))
def test_generation(name: str, temperature: float, asked: list[tuple[str, int, tuple[str, ...]]]) -> None:
    requests: list[Request[Any]] = [
        Generate(prompt, most, stop, temperature, seed=i) for i, (prompt, most, stop) in enumerate(asked)
    ]  # fmt: skip
    assert_invariant(name, requests)


def test_images() -> None:
    rng = np.random.default_rng(0)
    requests = [Classify(Image(rng.integers(0, 255, (20 + i, 30, 3), dtype=np.uint8))) for i in range(7)]
    assert_invariant("vit", list(requests))


@pytest.mark.parametrize("name", TEXT_MODELS)
def test_padding_of_a_classifier_is_not_read(name: str) -> None:
    """Whatever stands in the padding, in its token and in its embedding, nothing changes."""
    model = tiny.load(name)
    short, long = model.split(Classify("the cat"))[0], model.split(Classify("the young dog was able to read films"))[0]
    before = model.classify([short, long])
    pad = model.tokenizer.pad_token_id
    if name != "gpt2_classifier":  # it finds its last token by the padding's id
        with torch.no_grad():
            model.module.get_input_embeddings().weight[pad] += 100
        after = model.classify([short, long])
        assert max(differ(a, b) for a, b in zip(before, after, strict=True)) < 1e-5
    seen: list[torch.Tensor] = []
    model.module.register_forward_pre_hook(lambda m, a, k: seen.append(k["attention_mask"]), with_kwargs=True)
    model.classify([short, long])
    assert seen[0].sum(1).tolist() == [len(short.ids), len(long.ids)]
    assert seen[0][0].tolist() == [1] * len(short.ids) + [0] * (len(long.ids) - len(short.ids)), "padding stands at the right"


@pytest.mark.parametrize("name", CAUSAL)
def test_padding_of_a_language_model_is_not_read(name: str) -> None:
    requests: list[Request[Any]] = [
        LogLikelihood("the", " cat"), LogLikelihood("the young dog was able", " to read"), Generate("the", 6),
        Generate("a young dog in", 3),
    ]  # fmt: skip
    model = tiny.load(name)
    before = tiny.engine(model).run(requests)
    model.padded.pad = 77
    after = tiny.engine(model).run(requests)
    assert max(differ(a, b) for a, b in zip(before, after, strict=True)) < 1e-5


@pytest.mark.parametrize("name", CAUSAL)
def test_the_padding_token_said_by_the_model_is_a_token(name: str) -> None:
    """Padding is told apart by place, not by id: a model may well say the token that pads."""
    model = tiny.load(name)
    (free,) = tiny.engine(model).run([Generate("the cat", 8)])
    model.padded.pad = model.tokenizer(free.text, add_special_tokens=False)["input_ids"][0]
    again = tiny.engine(model).run([Generate("the cat", 8), Generate("the young dog was", 3)])
    assert again[0] == free


def test_counters_leave_padding_out() -> None:
    engine = tiny.engine("bert", pack=0)
    engine.run([Classify("the cat"), Classify("the cat sat on a table")])  # 4 and 8 tokens with [CLS] and [SEP]
    assert (engine.counters.forward_passes, engine.counters.tokens_computed, engine.counters.tokens_padded) == (1, 12, 4)
    engine = tiny.engine("gpt2", pack=0)
    engine.run([LogLikelihood("the cat", " sat"), LogLikelihood("", "the")])  # c c t: two are read; start, t: one is
    assert (engine.counters.forward_passes, engine.counters.tokens_computed, engine.counters.tokens_padded) == (1, 3, 1)
    engine = tiny.engine("gpt2", pack=0)
    a, b = engine.run([Generate("the", 3), Generate("the cat sat", 5)])
    assert (a.num_prompt_tokens, a.num_tokens, b.num_prompt_tokens, b.num_tokens) == (1, 3, 3, 5)
    assert (engine.counters.forward_passes, engine.counters.tokens_computed) == (5, 1 + 2 + 3 + 4)
    assert engine.counters.tokens_padded == 2 * (3 + 4) - 10


@pytest.mark.parametrize("pack", [0, 16, 1024])
def test_the_counted_passes_are_the_modules(pack: int) -> None:
    model = tiny.load("gpt2")
    calls: list[tuple[int, ...]] = []
    model.module.transformer.register_forward_pre_hook(
        lambda m, a, k: calls.append(tuple((a[0] if a else k["input_ids"]).shape)), with_kwargs=True
    )
    engine = tiny.engine(model, pack=pack)
    engine.run([Generate("the", 3), Generate("the cat sat", 5), LogLikelihood("a", " b"), RollingLogLikelihood("the cat " * 60)])
    assert engine.counters.forward_passes == len(calls)
    assert engine.counters.tokens_computed + engine.counters.tokens_padded == sum(rows * width for rows, width in calls)


@pytest.mark.parametrize("name", CAUSAL)
def test_lack_of_memory_changes_no_answer(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    model = tiny.load(name)
    requests: list[Request[Any]] = [LogLikelihood("the cat " * i, " sat") for i in range(1, 9)] + [
        Generate("a " * i, 4) for i in range(1, 9)
    ]
    whole = tiny.engine(model).run(requests)
    for kind in ("loglikelihood", "generate"):
        run = getattr(model, kind)

        def little(batch: list[Any], run: Any = run) -> Any:
            if len(batch) > 2:
                raise torch.OutOfMemoryError("CUDA out of memory.")
            return run(batch)

        monkeypatch.setattr(model, kind, little)
    engine = tiny.engine(model, pack=0)
    split = engine.run(requests)
    assert engine.counters.oom_splits > 0
    assert max(differ(a, b) for a, b in zip(whole, split, strict=True)) < 1e-5


_MANY: list[Request[Any]] = [
    *(LogLikelihood("the cat " * i, " sat") for i in range(1, 12)), *(Generate("a young " * i, 4) for i in range(1, 9)),
]  # fmt: skip


@pytest.mark.parametrize("name", CAUSAL)
@pytest.mark.parametrize("most", [200, 70, 3])
def test_packs_that_find_no_memory_become_smaller(name: str, most: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Down to packs that fit, or else to batches; what was answered before is not asked again."""
    model = tiny.load(name)
    whole = tiny.engine(model).run(_MANY)
    run = model.flat.run

    def little(pack: Any, *more: Any) -> Any:
        if len(pack.ids_T) > most:
            raise torch.OutOfMemoryError("CUDA out of memory.")
        return run(pack, *more)

    monkeypatch.setattr(model.flat, "run", little)
    longer: list[Request[Any]] = [LogLikelihood(f"{i} dogs " * 14, " sat") for i in range(8)]
    expected = whole + tiny.engine(tiny.load(name)).run(longer)
    engine = tiny.engine(model, pack=512)
    split = engine.run(_MANY + longer)
    assert max(differ(a, b) for a, b in zip(expected, split, strict=True)) < 1e-5
    assert engine.counters.oom_splits > 0
    assert engine.counters.pack_failures == 0
    assert (engine.counters.tokens_padded == 0) == (most >= 64), "packs are never smaller than 64 tokens; then batches answer"
    assert engine.counters.oom_splits <= 5, "512 to 64, and 64 once for each kind"


@pytest.mark.parametrize("name", CAUSAL)
def test_a_pack_that_fails_is_answered_by_batches(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    model = tiny.load(name)
    whole = tiny.engine(model).run(_MANY)

    def broken(*given: Any) -> Any:
        raise RuntimeError("no such kernel")

    monkeypatch.setattr(model.flat, "run", broken)
    engine = tiny.engine(model)
    assert max(differ(a, b) for a, b in zip(whole, engine.run(_MANY), strict=True)) < 1e-5
    assert engine.counters.pack_failures == 2, "one for scoring, one for generation"


@pytest.mark.parametrize("name", CAUSAL)
def test_rows_enter_and_leave_in_every_order(name: str) -> None:
    """More prompts than slots, with beginnings in common on several levels, lengths of all sizes, and twice the same."""
    beginnings = ["the cat sat on a table and ", "the cat sat on a table and was able ", "the cat ", ""]
    requests = [Generate(b + "a dog " * (i % 4) + "read", 1 + (7 * i) % 13, seed=i) for b in beginnings for i in range(9)]
    alone = tiny.engine(name, rows=1, pack=0).run(requests)
    for rows, pack in ((2, 16), (5, 64), (64, 1024)):
        engine = tiny.engine(name, rows=rows, pack=pack)
        assert engine.run(requests[::-1])[::-1] == alone
        assert engine.counters.tokens_shared > 0


def test_drift_is_measured_anew() -> None:
    engine = tiny.engine("bert")
    requests = [Classify("the cat " * i) for i in range(1, 6)]
    engine.run(requests)
    passes = engine.counters.forward_passes
    engine.uncached(requests, Budget(1, 1, pack=0))
    assert engine.counters.forward_passes == passes + 5


gpu = [pytest.mark.gpu, pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")]


@pytest.mark.parametrize("name", [pytest.param(name, marks=gpu) for name in (*TEXT_MODELS, *CAUSAL)])
def test_on_a_gpu_the_answers_are_the_cpus(name: str) -> None:
    requests: list[Request[Any]] = (
        [LogLikelihood("the cat", " sat on"), LogLikelihood("", "the young dog"), RollingLogLikelihood("the cat " * 60)]
        if name in CAUSAL
        else [Classify("the cat"), Classify("the young dog was able to read")]
    )
    cpu, cuda = tiny.engine(name).run(requests), tiny.engine(tiny.load(name, "cuda")).run(requests)
    assert max(differ(a, b) for a, b in zip(cpu, cuda, strict=True)) < 1e-3


@pytest.mark.parametrize("name", [pytest.param("bert", marks=gpu), pytest.param("llama", marks=gpu)])
def test_drift_in_bfloat16_is_small_and_not_hidden(name: str) -> None:
    engine = tiny.engine(tiny.load(name, "cuda", "bfloat16"))
    texts = ["the cat " * i for i in range(1, 12)]
    requests: list[Request[Any]] = [Classify(t) for t in texts] if name == "bert" else [LogLikelihood(t, " sat") for t in texts]
    alone, together = engine.uncached(requests, Budget(1, 1, pack=0)), engine.uncached(requests, Budget(1 << 20, 64))
    assert max(differ(a, b) for a, b in zip(alone, together, strict=True)) < 0.5


@pytest.mark.parametrize("name", [pytest.param("gpt2", marks=gpu)])
def test_real_lack_of_memory_is_halved(name: str) -> None:
    model = tiny.load(name, "cuda")
    requests: list[Request[Any]] = [LogLikelihood(f"{i} the cat sat on the table", " and was able to read" * 4) for i in range(3000)]
    whole = tiny.engine(model).run(requests)
    torch.cuda.empty_cache()
    torch.cuda.set_per_process_memory_fraction(0.02 * 2**30 / torch.cuda.get_device_properties(0).total_memory + 0.001)
    try:
        engine = tiny.engine(model, rows=3000, tokens=1 << 20)
        split = engine.run(requests)
    finally:
        torch.cuda.set_per_process_memory_fraction(1.0)
    assert engine.counters.oom_splits > 0
    assert max(differ(a, b) for a, b in zip(whole, split, strict=True)) < 1e-3
