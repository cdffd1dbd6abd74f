"""The engine's laws, on toy and fake models. `test_batch_invariance` holds laws 2 and 3 on transformers."""

from __future__ import annotations

import json
import math
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from windtunnel.harness.api.errors import CapabilityError, ModelError, SampleError, StoreError
from windtunnel.harness.api.model import Encoded, ModelInfo
from windtunnel.harness.api.requests import Classify, Embed, Generate, LogLikelihood, Request, RollingLogLikelihood
from windtunnel.harness.api.responses import Completion, Embedding, Failure, Logits, LogProb
from windtunnel.harness.engine import Engine, packing
from windtunnel.harness.engine.cache import MemoryCache, SqliteCache, make_key
from windtunnel.harness.engine.packing import Budget, pack
from windtunnel.harness.modalities.image import Image
from windtunnel.harness.modalities.inputs import measure_size
from windtunnel.harness.models.python.toy import Bytes, Toy, Words
from windtunnel.harness.store import codec

quick = settings(deadline=None, max_examples=60)
INFO = ModelInfo({"classify": {"text"}})


class Lengths:
    """Answers with facts of the text itself; keeps the batches it saw; ``fits`` positions at most, else out of memory."""

    def __init__(self, fits: float = math.inf, fingerprint: str = "lengths") -> None:
        self.name, self.fingerprint, self.fits = "lengths", fingerprint, fits
        self.batches: list[list[str]] = []

    def length(self, unit: Any) -> int:
        return max(1, len(_text(unit)))

    def _seen(self, batch: Sequence[Any]) -> list[str]:
        texts = [_text(request) for request in batch]
        self.batches.append(texts)
        if len(texts) * max(map(len, texts)) > self.fits:
            raise RuntimeError("CUDA out of memory. Tried to allocate 2 GiB")
        return texts

    def classify(self, batch: Sequence[Classify]) -> list[Logits]:
        return [Logits((float(len(text)), float(sum(map(ord, text))))) for text in self._seen(batch)]

    def embed(self, batch: Sequence[Embed]) -> list[Embedding]:
        return [Embedding((float(len(text)), float(batch[0].layer))) for text in self._seen(batch)]

    def loglikelihood(self, batch: Sequence[LogLikelihood]) -> list[LogProb]:
        return [LogProb(-float(len(text)), len(text)) for text in self._seen(batch)]

    def generate(self, batch: Sequence[Generate]) -> list[Completion]:
        self._seen(batch)
        temperature = batch[0].temperature
        assert all(r.temperature == temperature for r in batch)
        return [Completion(f"{r.prompt}/{temperature}/{r.seed}", min(r.max_tokens, 3), "length", max(1, len(str(r.prompt)))) for r in batch]


def _text(request: Any) -> str:
    if isinstance(request, LogLikelihood):
        return request.context + request.continuation
    return str(request.prompt if isinstance(request, Generate) else request.input)


def make(model: Any = None, **options: Any) -> Engine:
    return Engine(model or Lengths(), INFO, **options)


texts = st.text(st.characters(exclude_categories=()), max_size=12)
any_request = st.one_of(
    st.builds(Classify, texts, st.sampled_from([(), ("a", "b")])),
    st.builds(Embed, texts, st.sampled_from([-1, 2])),
    st.builds(LogLikelihood, texts, texts),
    st.builds(Generate, texts, st.integers(1, 5), temperature=st.sampled_from([0.0, 0.7]), seed=st.integers(0, 2)),
)
budgets = st.builds(Budget, st.integers(1, 60), st.integers(1, 5))


# ── law 1: order and completeness ─────────────────────────────────────────────────────────────────────────────────────


@quick
@given(st.lists(any_request, max_size=20), budgets, st.sampled_from([math.inf, 40, 12]))
def test_order_is_kept_and_every_request_is_answered_once(requests: list[Request[Any]], budget: Budget, fits: float) -> None:
    model = Lengths(fits)
    answers = make(model, budget=budget).try_run(requests)
    plain = Lengths()
    alone = [getattr(plain, r.kind)([r])[0] for r in requests]
    assert [a for a, r in zip(answers, requests, strict=True) if len(_text(r)) <= fits] == [
        a for a, r in zip(alone, requests, strict=True) if len(_text(r)) <= fits
    ]
    assert all(isinstance(a, Failure) for a, r in zip(answers, requests, strict=True) if len(_text(r)) > fits)
    if fits == math.inf:
        assert sum(map(len, model.batches)) == len(set(requests)), "a request was computed twice"


@quick
@given(st.lists(st.integers(1, 50), max_size=40), budgets)
def test_packing_covers_everything_once_within_the_budget(lengths: list[int], budget: Budget) -> None:
    batches = pack(lengths, budget)
    assert sorted(i for batch in batches for i in batch) == list(range(len(lengths)))
    for batch in batches:
        width = max(lengths[i] for i in batch)
        assert len(batch) == 1 or (len(batch) <= budget.rows and len(batch) * width <= budget.tokens)
    flat = [lengths[i] for batch in batches for i in batch]
    assert flat == sorted(flat, reverse=True)


@pytest.mark.parametrize(("side", "rows"), [(32, 64), (64, 64), (224, 5), (640, 1)])
def test_large_images_share_small_passes(side: int, rows: int) -> None:
    size = measure_size(Image(np.zeros((side, side, 3), np.uint8)))
    assert max(map(len, pack([size] * 128, Budget()))) == rows


def test_no_requests_is_no_work() -> None:
    engine = make()
    assert engine.try_run([]) == []
    assert engine.counters.forward_passes == 0


def test_pieces_are_joined_in_order() -> None:
    class Split(Lengths):
        def split(self, request: Classify) -> list[Classify]:
            return [Classify(word) for word in str(request.input).split()]

        def join(self, request: Classify, parts: Sequence[Logits]) -> Logits:
            return Logits(tuple(p.values[0] for p in parts))

    # Sorted by length, the pieces go through the model in another order than they came.
    answers = make(Split(), budget=Budget(8, 2)).run([Classify("a bbb cc"), Classify("dddd e")])
    assert answers == [Logits((1.0, 3.0, 2.0)), Logits((4.0, 1.0))]


# ── law 2: neighbours ─────────────────────────────────────────────────────────────────────────────────────────────────


@quick
@given(st.lists(st.builds(Classify, texts), min_size=1, max_size=12), budgets)
def test_no_answer_depends_on_the_batch(requests: list[Classify], budget: Budget) -> None:
    together = make(budget=budget).run(requests)
    alone = [make(budget=Budget(1, 1)).run([request])[0] for request in requests]
    assert together == alone


def test_requests_that_may_not_share_a_batch_do_not() -> None:
    class Strict(Lengths):
        def batch_key(self, unit: Classify) -> int:
            return len(str(unit.input))

    model = Strict()
    make(model).run([Classify("a"), Classify("bb"), Classify("c"), Classify("x", ("p", "q"))])
    assert sorted(model.batches) == [["a", "c"], ["bb"], ["x"]]


def test_a_model_that_mixes_its_batch_is_measured() -> None:
    class Mixing(Lengths):
        def classify(self, batch: Sequence[Classify]) -> list[Logits]:
            return [Logits((float(len(batch)),)) for _ in batch]

    engine = make(Mixing())
    requests = [Classify("a"), Classify("b")]
    assert engine.uncached(requests, Budget(1, 1)) != engine.uncached(requests, Budget(100, 100))
    assert engine.counters.forward_passes == 3, "measuring is work, too"


# ── law 4: no globals ─────────────────────────────────────────────────────────────────────────────────────────────────


def test_two_engines_know_nothing_of_each_other() -> None:
    one, other = make(Lengths(fits=20)), make(Lengths(fingerprint="lengths"))
    one.try_run([Classify("a" * 10), Classify("b" * 9), Classify("c" * 8)])
    assert other.counters.requests == other.counters.forward_passes == 0
    assert one.groups([10] * 4) != other.groups([10] * 4), "one has a smaller budget, the other its own"
    other.run([Classify("a" * 10)])
    assert other.counters.cache_hits == 0
    assert other.counters.forward_passes == 1


def test_running_touches_no_global_state() -> None:
    before = torch.get_rng_state(), np.random.get_state()[1].copy(), torch.is_grad_enabled(), torch.get_default_dtype()
    make(Bytes()).run([Generate("abc", 3, temperature=1.0), RollingLogLikelihood("abc")])
    after = torch.get_rng_state(), np.random.get_state()[1], torch.is_grad_enabled(), torch.get_default_dtype()
    assert torch.equal(before[0], after[0])
    assert (before[1] == after[1]).all()
    assert before[2:] == after[2:]


@pytest.mark.parametrize(
    "first", ["windtunnel.harness.models.python.toy", "windtunnel.harness.store.codec", "windtunnel.harness.engine.gradients"]
)
def test_import_order_changes_no_number(first: str) -> None:
    program = f"""
import importlib, json
importlib.import_module({first!r})
from windtunnel.harness.store import codec
from windtunnel.harness.engine import Engine
from windtunnel.harness.engine.cache import make_key
from windtunnel.harness.models.python.toy import Toy
from windtunnel.harness.api.requests import Classify, LogLikelihood
words = Toy("words").load("cpu", "float32")
request = Classify("a good bad great film")
print(json.dumps([make_key(words.fingerprint, request), codec.dumps(Engine(words, words.info).run([request]))]))
"""
    said = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout
    words = Toy("words").load("cpu", "float32")
    request = Classify("a good bad great film")
    assert json.loads(said) == [make_key(words.fingerprint, request), codec.dumps(Engine(words, Words.info).run([request]))]


# ── law 5: out of memory ──────────────────────────────────────────────────────────────────────────────────────────────


@quick
@given(st.lists(st.text("ab", min_size=1, max_size=10), min_size=1, max_size=30), st.integers(10, 60))
def test_a_batch_split_by_lack_of_memory_gives_the_same_answers(words: list[str], fits: int) -> None:
    requests = [Classify(word) for word in words]
    small, large = make(Lengths(fits)), make(Lengths())
    assert small.run(requests) == large.run(requests)
    assert large.counters.oom_splits == 0


def test_the_largest_batch_runs_first() -> None:
    model = Lengths()
    make(model, budget=Budget(40, 64)).run([Classify("x" * n) for n in (1, 2, 3, 20, 21, 5)] + [Embed("y" * 30)])
    sizes = [len(batch) * max(map(len, batch)) for batch in model.batches]
    assert sizes == sorted(sizes, reverse=True)
    assert max(sizes) == 40


def test_after_lack_of_memory_batches_are_smaller_at_once_and_stay_so() -> None:
    model = Lengths(fits=25)
    engine = make(model, budget=Budget(100, 64))
    engine.run([Classify(f"{i:05d}") for i in range(60)])
    failed = [batch for batch in model.batches if len(batch) * 5 > 25]
    assert [len(batch) * 5 for batch in failed] == [100, 50], "each size fails once, not once a batch"
    assert engine.counters.oom_splits == 2
    model.batches.clear()
    engine.run([Classify(f"{i:05d}") for i in range(60, 90)])
    assert max(len(batch) for batch in model.batches) == 5


def test_one_text_too_long_does_not_leave_the_short_ones_alone() -> None:
    model = Lengths(fits=50)
    engine = make(model)
    answers = engine.try_run([Classify("x" * 60), *(Classify(str(i)) for i in range(10))])
    assert isinstance(answers[0], Failure)
    assert "out of memory" in answers[0].error
    assert not any(isinstance(a, Failure) for a in answers[1:])
    engine.run([Classify(str(i)) for i in range(10, 20)])
    assert len(model.batches[-1]) == 10
    assert engine.counters.failures == 1


def test_nothing_of_a_failed_batch_is_alive_when_its_halves_run() -> None:
    """The traceback of the error holds the frames, and the frames the activations, that did not fit."""
    import weakref

    class Activations:
        pass

    alive: list[Any] = []
    refs: list[weakref.ref[Activations]] = []

    class Hungry(Lengths):
        def classify(self, batch: Sequence[Classify]) -> list[Logits]:
            alive.extend(r for r in refs if r() is not None)
            activations = Activations()
            refs.append(weakref.ref(activations))
            if len(batch) > 1:
                raise MemoryError
            return super().classify(batch)

    make(Hungry()).run([Classify("a"), Classify("b"), Classify("c"), Classify("d")])
    assert not alive


def test_a_sample_that_speaks_of_memory_is_not_lack_of_it() -> None:
    class Quoting(Lengths):
        def classify(self, batch: Sequence[Classify]) -> list[Logits]:
            if any("out of memory" in str(r.input) for r in batch):
                raise ValueError(f"cannot read {batch[0].input}")
            return super().classify(batch)

    engine = make(Quoting())
    answers = engine.try_run([Classify("out of memory"), Classify("fine")])
    assert [isinstance(a, Failure) for a in answers] == [True, False]
    assert engine.counters.oom_splits == 0


# ── law 6: gradients leave no trace ───────────────────────────────────────────────────────────────────────────────────


class Net(torch.nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.first = torch.nn.Linear(3, 4)
        self.norm = torch.nn.BatchNorm1d(4)
        self.last = torch.nn.Linear(4, 2)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.last(self.norm(self.first(x)))


class Torchy(Lengths):
    def __init__(self) -> None:
        super().__init__()
        self.module = Net()

    def differentiable(self) -> Torchy:
        return self

    def encode(self, requests: Sequence[Classify], /) -> Encoded:
        features = torch.ones(len(requests), 5, 3)
        mask = torch.tensor([[1] * (i + 1) + [0] * (4 - i) for i in range(len(requests))])
        return Encoded(features, torch.zeros_like(features), mask)

    def logits(self, features: torch.Tensor, encoded: Encoded, rows: torch.Tensor | None = None, /) -> torch.Tensor:
        return self.module(features.sum(1))


def _state(module: torch.nn.Module) -> list[Any]:
    tables = ("_forward_hooks", "_forward_pre_hooks", "_forward_hooks_with_kwargs", "_backward_hooks", "_backward_pre_hooks", "_modules")
    return [
        [(dict(getattr(m, t)), id(getattr(m, t))) for t in tables] + [m.training, m._is_full_backward_hook] for m in module.modules()
    ] + [
        (p.requires_grad, None if p.grad is None else (id(p.grad), p.grad.clone().tolist()), dict(p._backward_hooks or {}))
        for p in module.parameters()
    ] + [b.tolist() for b in module.buffers()]  # fmt: skip


def _dirty(net: Any) -> None:
    module = net.module
    module.first.register_forward_hook(lambda m, a, o: None, with_kwargs=False)
    module.first.register_forward_pre_hook(lambda m, a, k: None, with_kwargs=True)
    module.last.register_full_backward_hook(lambda m, i, o: None)
    module.register_full_backward_pre_hook(lambda m, o: None)
    module._forward_hooks.clear()
    module.train()
    module.requires_grad_(True)
    module.first.weight.register_hook(lambda g: g)
    module(torch.randn(8, 3, requires_grad=True)).sum().backward()
    module.last = torch.nn.Identity()


@pytest.mark.parametrize("crash", [False, True])
@pytest.mark.parametrize("training", [False, True])
def test_hooks_flags_gradients_and_modes_are_as_before(crash: bool, training: bool) -> None:
    model = Torchy()
    model.module.train(training)
    model.module.first.weight.requires_grad_(False)
    model.module.last.weight.grad = torch.full((2, 4), 3.0)
    model.module.register_forward_hook(lambda m, a, o: None)
    before = _state(model.module)
    engine = make(model)
    try:
        with engine.differentiable() as net:
            assert not net.module.training
            assert not any(p.requires_grad for p in net.module.parameters())
            assert torch.is_grad_enabled()
            _dirty(net)
            if crash:
                raise KeyboardInterrupt
    except KeyboardInterrupt:
        pass
    assert _state(model.module) == before


def test_gradients_are_on_inside_and_off_again_outside() -> None:
    model = Torchy()
    with torch.no_grad():
        with make(model).differentiable() as net:
            encoded = net.encode([Classify("a")])
            features = encoded.features.requires_grad_(True)
            assert torch.autograd.grad(net.logits(features, encoded).sum(), features)[0].abs().sum() > 0
        assert not torch.is_grad_enabled()


@pytest.mark.parametrize("crash", [False, True])
def test_written_weights_are_never_silent(crash: bool) -> None:
    with pytest.raises(ModelError, match=r"first\.bias"), make(Torchy()).differentiable() as net:  # noqa: PT012
        with torch.no_grad():
            net.module.first.bias.add_(1)
        if crash:
            raise RuntimeError


def test_gradient_passes_are_counted_without_the_padding() -> None:
    engine = make(Torchy())
    with engine.differentiable() as net:
        encoded = net.encode([Classify("a"), Classify("b")])  # 1 and 2 real tokens of 5
        net.logits(encoded.features, encoded)
        rows = torch.tensor([1, 1, 0])
        net.logits(encoded.features[rows], encoded, rows)
    counted = engine.counters
    assert (counted.gradient_passes, counted.tokens_computed, counted.tokens_padded) == (2, 3 + 5, 7 + 10)


def test_a_model_without_gradients_says_so() -> None:
    with pytest.raises(CapabilityError, match="gives no gradients"), make().differentiable():
        pass


# ── law 7: the cache ──────────────────────────────────────────────────────────────────────────────────────────────────


def test_the_key_is_content_and_not_order_or_batch() -> None:
    cache = MemoryCache()
    requests = [Classify(str(i)) for i in range(10)]
    first = make(Lengths(), cache=cache, budget=Budget(100, 10)).run(requests)
    second = make(Lengths(), cache=cache, budget=Budget(1, 1))
    assert second.run(requests[::-1]) == first[::-1]
    assert (second.counters.cache_hits, second.counters.forward_passes) == (10, 0)
    other = make(Lengths(fingerprint="another"), cache=cache)
    other.run(requests)
    assert (other.counters.cache_hits, other.counters.forward_passes) == (0, 1)


def test_every_part_of_a_request_is_in_its_key() -> None:
    image = np.zeros((2, 2, 3), np.uint8)
    requests: list[Request[Any]] = [
        Classify("a"), Classify("a", ("x",)), Classify("a", ("x", "y")), Classify("a", ("x,y",)), Embed("a"), Embed("a", 1),
        LogLikelihood("a", "b"), LogLikelihood("ab", ""), LogLikelihood("", "ab"), RollingLogLikelihood("a"), RollingLogLikelihood("a", 2),
        Generate("a", 1), Generate("a", 2), Generate("a", 1, ("x",)), Generate("a", 1, temperature=0.5), Generate("a", 1, seed=1),
        Classify(Image(image)), Classify(Image(image.astype(np.float32))), Classify(Image(image.reshape(1, 4, 3))),
        Classify(Image(image + 1)),
    ]  # fmt: skip
    assert len({make_key("m", request) for request in requests}) == len(requests)
    assert make_key("m", Classify(Image(image))) == make_key("m", Classify(Image(image.copy())))


def test_answers_survive_in_a_file(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "answers.db"
    requests: list[Request[Any]] = [Classify("\ud800 lone"), Generate("p", 3), LogLikelihood("a", "b"), Embed("e")]
    cache = SqliteCache(path)
    first = make(cache=cache).run(requests)
    cache.close()
    again = SqliteCache(path)
    model = Lengths()
    assert make(model, cache=again).run(requests) == first
    assert model.batches == []
    again.close()


def test_more_answers_than_sqlite_takes_variables(tmp_path: Path) -> None:
    cache = SqliteCache(tmp_path / "answers.db")
    requests = [Classify(str(i)) for i in range(2500)]
    make(cache=cache).run(requests)
    engine = make(cache=cache)
    engine.run(requests)
    assert engine.counters.cache_hits == 2500
    cache.close()


def test_a_put_that_fails_leaves_the_cache_usable(tmp_path: Path) -> None:
    cache = SqliteCache(tmp_path / "answers.db")
    with pytest.raises(TypeError):
        cache.put({"a": Logits((1.0,)), "b": object()})
    cache.put({"c": Logits((2.0,))})
    assert cache.get(["a", "c"]) == {"c": Logits((2.0,))}
    cache.close()


def test_a_file_that_is_no_cache_is_named(tmp_path: Path) -> None:
    path = tmp_path / "answers.db"
    path.write_text("this is not a database, not at all" * 100)
    with pytest.raises(StoreError, match="name another file with cache="):
        SqliteCache(path)


def test_failures_are_asked_again() -> None:
    class Once(Lengths):
        broken = True

        def classify(self, batch: Sequence[Classify]) -> list[Logits]:
            if self.broken:
                raise ValueError("not today")
            return super().classify(batch)

    model = Once()
    engine = make(model)
    assert engine.try_run([Classify("a")]) == [Failure("ValueError: not today")]
    model.broken = False
    assert engine.try_run([Classify("a")]) == [Logits((1.0, 97.0))]


# ── law 8: counters ───────────────────────────────────────────────────────────────────────────────────────────────────


def test_counters_of_a_known_case() -> None:
    seen: list[tuple[str, int, int]] = []
    engine = make(budget=Budget(8, 2), on_batch=lambda *facts: seen.append(facts))
    a, b, c = Classify("aaaa"), Classify("bbb"), Classify("c")
    engine.run([a, b, c, a])  # batches: aaaa + bbb (8 positions, 1 padded), c
    assert engine.counters.take() == {
        "requests": 4, "duplicates": 1, "cache_hits": 0, "forward_passes": 2, "gradient_passes": 0, "tokens_computed": 8,
        "tokens_padded": 1, "tokens_shared": 0, "flops": 0, "oom_splits": 0, "pack_failures": 0, "failures": 0,
        "cost": 0.0, "model_changes": 0, "role_changes": 0,
    }  # fmt: skip
    engine.run([a, c, a])
    counted = engine.counters.take()
    assert (counted["requests"], counted["duplicates"], counted["cache_hits"], counted["forward_passes"]) == (3, 1, 2, 0)
    assert seen == [("classify", 2, 7), ("classify", 1, 1)]


def test_generation_is_counted_by_new_tokens() -> None:
    class Two(Lengths):
        def generate(self, batch: Sequence[Generate]) -> list[Completion]:
            return [Completion("", 2, "stop", 3), Completion("", 4, "length", 5)]

    engine = make(Two())
    engine.run([Generate("aaaaa", 4), Generate("bbb", 4)])
    # Pass 1 reads the prompts (3 and 5 of 5 + 5), passes 2 to 4 a token a row: 1 and 3 of them real. The last token is never read.
    assert engine.counters.forward_passes == 4
    assert engine.counters.tokens_computed == 3 + 1 + 5 + 3
    assert engine.counters.tokens_padded == 2 * (5 + 3) - 12


def test_a_black_box_generation_is_one_pass() -> None:
    class Box(Lengths):
        def generate(self, batch: Sequence[Generate]) -> list[Completion]:
            return [Completion("some words here", 3, "stop") for _ in batch]

    engine = make(Box())
    engine.run([Generate("a", 4)])
    assert engine.counters.forward_passes == 1


# ── failures ──────────────────────────────────────────────────────────────────────────────────────────────────────────


class Fussy(Lengths):
    def classify(self, batch: Sequence[Classify]) -> list[Logits]:
        if any("bad" in str(r.input) for r in batch):
            raise ValueError("a bad one")
        return super().classify(batch)


def test_one_bad_request_does_not_take_its_batch_with_it() -> None:
    engine = make(Fussy())
    requests = [Classify(f"{i}{'bad' if i in (3, 11) else ''}") for i in range(20)]
    answers = engine.try_run(requests)
    assert [i for i, a in enumerate(answers) if isinstance(a, Failure)] == [3, 11]
    assert engine.counters.failures == 2
    with pytest.raises(SampleError, match="ValueError: a bad one"):
        engine.run(requests)


def test_a_request_that_cannot_be_split_fails_alone() -> None:
    class Splitting(Lengths):
        def split(self, request: Classify) -> list[Classify]:
            if request.input == "empty":
                return []
            return [request] if request.input != "raises" else [][1]

    answers = make(Splitting()).try_run([Classify("raises"), Classify("empty"), Classify("fine")])
    assert [isinstance(a, Failure) for a in answers] == [True, True, False]


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
def test_numbers_that_are_not_finite_are_failures_and_not_cached(bad: float) -> None:
    class NotFinite(Lengths):
        def classify(self, batch: Sequence[Classify]) -> list[Logits]:
            return [Logits((bad if r.input == "x" else 1.0, 2.0)) for r in batch]

        def loglikelihood(self, batch: Sequence[LogLikelihood]) -> list[LogProb]:
            return [LogProb(bad, 1) for _ in batch]

    cache = MemoryCache()
    answers = make(NotFinite(), cache=cache).try_run([Classify("x"), Classify("y"), LogLikelihood("a", "b")])
    assert answers[1] == Logits((1.0, 2.0))
    for failure in (answers[0], answers[2]):
        assert isinstance(failure, Failure)
        assert "NonFiniteError" in failure.error
        assert "set dtype to float32" in failure.error
    assert len(cache.take()) == 1


def test_an_answer_of_no_response_is_a_failure_and_not_cached() -> None:
    class Bare(Lengths):
        def classify(self, batch: Sequence[Classify]) -> list[Any]:
            return [0.5 if r.input == "x" else Logits((1.0, 2.0)) for r in batch]

    cache = MemoryCache()
    answers = make(Bare(), cache=cache).try_run([Classify("x"), Classify("y")])
    assert answers[1] == Logits((1.0, 2.0))
    assert isinstance(answers[0], Failure)
    assert "answered a 'classify' request by a float; an answer is a dataclass derived from Response" in answers[0].error
    assert len(cache.take()) == 1


@pytest.mark.parametrize("answers", [[], [Logits((1.0,))] * 3])
def test_a_wrong_number_of_answers_ends_the_run(answers: list[Logits]) -> None:
    class Wrong(Lengths):
        def classify(self, batch: Sequence[Classify]) -> list[Logits]:
            return answers

    with pytest.raises(ModelError, match=f"returned {len(answers)} answers for a batch of 2"):
        make(Wrong()).try_run([Classify("a"), Classify("b")])


def test_a_users_error_ends_the_run() -> None:
    class Misconfigured(Lengths):
        def classify(self, batch: Sequence[Classify]) -> list[Logits]:
            raise ModelError("labels")

    with pytest.raises(ModelError, match="labels"):
        make(Misconfigured()).try_run([Classify("a")])


def test_a_model_is_not_asked_what_it_cannot_answer() -> None:
    with pytest.raises(CapabilityError, match="cannot answer 'generate'; it answers classify for text"):
        make(Words()).try_run([Generate("a", 1)])


@pytest.mark.parametrize("message", ["\ud800 lone", "long " * 100_000])
def test_a_failures_message_can_be_stored(message: str) -> None:
    class Saying(Lengths):
        def classify(self, batch: Sequence[Classify]) -> list[Logits]:
            raise ValueError(message)

    (failure,) = make(Saying()).try_run([Classify("a")])
    assert len(failure.error.encode()) < 5000


@given(lengths=st.lists(st.integers(1, 60), min_size=1, max_size=80), padding=st.integers(0, 200))
def test_a_batch_is_closed_before_its_padding_costs_more_than_a_pass(lengths: list[int], padding: int) -> None:
    budget = Budget(tokens=500, rows=16, padding=padding)
    batches = pack(lengths, budget)
    assert sorted(i for batch in batches for i in batch) == list(range(len(lengths)))
    for batch in batches:
        widest = lengths[batch[0]]
        assert sum(widest - lengths[i] for i in batch) <= padding
        assert len(batch) <= budget.rows
        assert len(batch) == 1 or len(batch) * widest <= budget.tokens


def test_after_lack_of_memory_a_large_batch_is_not_measured_again_for_every_piece(monkeypatch: pytest.MonkeyPatch) -> None:
    """The work of fitting goes with the number of units, however small the pieces."""
    looked = 0

    class Counted(list):  # type: ignore[type-arg]
        def __getitem__(self, place: Any) -> Any:
            nonlocal looked
            looked += 1
            return super().__getitem__(place)

    real = packing.size_first_batch
    monkeypatch.setattr(
        "windtunnel.harness.engine.engine.size_first_batch", lambda lengths, start, budget: real(Counted(lengths), start, budget)
    )
    num = 1000
    engine = make(Lengths(fits=5), budget=Budget(1 << 20, 1 << 20, 1 << 20))
    engine.run([Classify(f"{i:05d}") for i in range(num)])
    assert engine.counters.forward_passes == num, "one at a time in the end"
    assert looked < 20 * num
