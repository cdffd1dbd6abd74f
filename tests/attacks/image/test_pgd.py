"""PGD against closed forms, a plain loop, and the laws: inside the ball, the same for every batch and order, nothing left behind."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from windtunnel.attacks.image.pgd import PGD
from windtunnel.examples.demo import digits
from windtunnel.harness.api.errors import ConfigError, NonFiniteError, SampleError
from windtunnel.harness.api.requests import Classify
from windtunnel.harness.api.samples import Sample, SampleRng
from windtunnel.harness.api.task import Task
from windtunnel.harness.engine import Engine
from windtunnel.harness.engine.packing import Budget
from windtunnel.harness.items.attack.records import make_attack_records
from windtunnel.harness.modalities.image import Image
from windtunnel.harness.models.hf.source import HuggingFace
from windtunnel.harness.models.torch.source import TorchModule
from windtunnel.harness.threats import EditBudget, LpBall

SHAPE = (4, 4, 3)
LABELS = ("a", "b", "c")
MODELS = '''
import torch
from torch import nn

class Linear(nn.Module):
    """Logits (0, w x + bias): with gold class 0 the loss grows along w everywhere."""

    def __init__(self, bias):
        super().__init__()
        torch.manual_seed(1)
        self.weight, self.bias = nn.Parameter(torch.randn(48) / 10), bias

    def forward(self, x):
        score = x.flatten(1) @ self.weight + self.bias
        return torch.stack([torch.zeros_like(score), score], 1)

class Constant(nn.Module):
    def __init__(self, scale=0.0):
        super().__init__()
        self.scale = scale

    def forward(self, x):
        return torch.tensor([2.0, 1.0, 0.0]) + x.mean((1, 2, 3))[:, None] * self.scale

class Saturated(nn.Module):
    """Softmax 1 to the last bit: the cross-entropy's gradient is exactly 0."""

    def forward(self, x):
        return torch.stack([1e3 + 0 * x.mean((1, 2, 3)), x.mean((1, 2, 3)), 0 * x.mean((1, 2, 3))], 1)

class Steep(nn.Module):
    """A gradient of 1e-25: its square is 0 in float32."""

    def forward(self, x):
        score = x.mean((1, 2, 3)) * 1e-25
        return torch.stack([torch.zeros_like(score) + 1e-3, score, score], 1)

class NotANumber(nn.Module):
    def forward(self, x):
        score = (x.mean((1, 2, 3)) * 0).sqrt()
        return torch.stack([score + 1, score, score], 1)

def linear(): return Linear(-4.0)
def even(): return Linear(0.0)
def constant(): return Constant()
def saturated(): return Saturated()
def steep(): return Steep()
def not_a_number(): return NotANumber()

def smooth():
    torch.manual_seed(0)
    layers = nn.Conv2d(3, 8, 3, bias=False), nn.Tanh(), nn.Flatten(), nn.Linear(32, 16, bias=False), nn.Tanh(), nn.Linear(16, 3, bias=False)
    return nn.Sequential(Centred(), *layers)

class Centred(nn.Module):
    def forward(self, x):
        return 6 * (x - 0.5)
'''


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("pgd") / "models.py"
    path.write_text(MODELS)
    return path


@pytest.fixture(scope="module")
def load(file: Path) -> Any:
    made: dict[Any, Any] = {}

    def engine(name: str, labels: Sequence[str] = LABELS, rows: int = 64) -> Engine:
        source = TorchModule(f"{file}:{name}", labels=list(labels))
        key = (name, tuple(labels))
        if key not in made:
            made[key] = source.load("cpu", "float32")
        return Engine(made[key], source.inspect(), budget=Budget(1 << 20, rows))

    return engine


def images(num: int, *, labels: Sequence[str] = LABELS, target: int | None = None, low: float = 0.0, high: float = 1.0) -> list[Sample]:
    rng = np.random.default_rng(7)
    pixels = [rng.uniform(low, high, SHAPE).astype(np.float32) for _ in range(num)]
    return [Sample(f"s{i}", Image(p), i % len(labels) if target is None else target, tuple(labels)) for i, p in enumerate(pixels)]


def predicted(engine: Engine, samples: Sequence[Sample]) -> list[int]:
    return [int(np.argmax(a.values)) for a in engine.run([Classify(s.input, s.labels) for s in samples])]


def right(engine: Engine, num: int = 24, **options: Any) -> list[Sample]:
    """Samples whose target is what the model says."""
    samples = images(num, **options)
    return [replace(s, target=t) for s, t in zip(samples, predicted(engine, samples), strict=True)]


def attacked(engine: Engine, samples: Sequence[Sample], seed: int = 0, **options: Any) -> list[Sample]:
    attack = PGD(**options)
    return list(attack.perturb(engine, samples, attack.threat, SampleRng(seed)))


def pixels(sample: Sample) -> np.ndarray:
    assert isinstance(sample.input, Image)
    return np.asarray(sample.input.pixels)


def robust(engine: Engine, samples: Sequence[Sample], twins: Sequence[Sample]) -> int:
    return sum(p == s.target for p, s in zip(predicted(engine, twins), samples, strict=True))


class TestClosedForm:
    """On a linear model that no point of the ball fools, the best point is known."""

    @pytest.mark.parametrize("random_start", [False, True])
    def test_linf_goes_to_the_corner(self, load: Any, random_start: bool) -> None:
        engine = load("linear", "ab")
        samples = images(5, labels="ab", target=0, low=0.3, high=0.7)
        weight = engine.model.module.weight.detach().view(3, 4, 4).permute(1, 2, 0).numpy()
        for sample, twin in zip(samples, attacked(engine, samples, epsilon=0.1, random_start=random_start), strict=True):
            np.testing.assert_allclose(pixels(twin), pixels(sample) + 0.1 * np.sign(weight), atol=1e-6)

    def test_l2_goes_along_the_weights(self, load: Any) -> None:
        engine = load("linear", "ab")
        samples = images(5, labels="ab", target=0, low=0.3, high=0.7)
        weight = engine.model.module.weight.detach().view(3, 4, 4).permute(1, 2, 0).numpy()
        for sample, twin in zip(samples, attacked(engine, samples, epsilon=0.2, norm="l2", random_start=False), strict=True):
            np.testing.assert_allclose(pixels(twin), pixels(sample) + 0.2 * weight / np.linalg.norm(weight), atol=1e-5)

    def test_permuted_labels_are_the_same_attack(self, load: Any) -> None:
        """The task counts its classes the other way round: the target means the same class."""
        engine, turned = load("linear", "ab"), load("linear", ("b", "a"))
        one = attacked(engine, images(4, labels="ab", target=0, low=0.3, high=0.7), epsilon=0.1)
        other = attacked(turned, images(4, labels=("b", "a"), target=0, low=0.3, high=0.7), epsilon=0.1)
        same = [replace(s, labels=("b", "a"), target=1) for s in images(4, labels="ab", low=0.3, high=0.7)]
        again = attacked(engine, same, epsilon=0.1)
        for a, b, c in zip(one, other, again, strict=True):
            # In `turned` column 0 is called b, so target 0 is the model's first column still; in `again` it is a, by name.
            np.testing.assert_array_equal(pixels(a), pixels(b))
            np.testing.assert_array_equal(pixels(a), pixels(c))

    def test_a_gradient_too_small_to_be_squared(self, load: Any) -> None:
        engine, samples = load("steep"), images(2, target=0, low=0.4, high=0.6)
        for sample, twin in zip(samples, attacked(engine, samples, norm="l2", epsilon=0.5, random_start=False), strict=True):
            assert np.linalg.norm(pixels(twin) - pixels(sample)) == pytest.approx(0.5, abs=1e-4)


class TestInside:
    @given(
        epsilon=st.floats(0, 0.6), norm=st.sampled_from(["linf", "l2"]), steps=st.integers(1, 4), seed=st.integers(0, 9),
        step_size=st.sampled_from([None, 0.01, 0.9]), restarts=st.integers(1, 2),
    )  # fmt: skip
    @settings(max_examples=40, deadline=None)
    def test_always_in_the_ball_and_the_box(self, load: Any, seed: int, **options: Any) -> None:
        engine = load("smooth")
        samples = images(6)
        threat = LpBall(options["epsilon"], options["norm"])
        for sample, twin in zip(samples, attacked(engine, samples, seed, **options), strict=True):
            assert threat.admits(sample, twin)
            assert (twin.id, twin.target, twin.labels) == (sample.id, sample.target, sample.labels)

    def test_a_large_image_in_an_l2_ball(self, load: Any) -> None:
        """150,528 float32 coordinates: their rounding must not add up to a point outside."""
        samples = [Sample("x", Image(np.random.default_rng(0).random((224, 224, 3), dtype=np.float32)), 0, LABELS)]
        for epsilon in (0.5, 3.0, 30.0):
            (twin,) = attacked(load("steep"), samples, norm="l2", epsilon=epsilon, steps=3)
            assert LpBall(epsilon, "l2").admits(samples[0], twin)

    @pytest.mark.parametrize("norm", ["linf", "l2"])
    def test_epsilon_0_changes_nothing(self, load: Any, norm: str) -> None:
        engine = load("smooth")
        samples = right(engine)
        for sample, twin in zip(samples, attacked(engine, samples, epsilon=0, norm=norm), strict=True):
            np.testing.assert_array_equal(pixels(sample), pixels(twin))

    def test_the_threat_given_is_the_threat_used(self, load: Any) -> None:
        engine = load("smooth")
        samples = right(engine)
        for sample, twin in zip(samples, PGD(epsilon=0.5).perturb(engine, samples, LpBall(0.01), SampleRng(0)), strict=True):
            assert LpBall(0.01).admits(sample, twin)

    @pytest.mark.parametrize("norm", ["linf", "l2"])
    def test_robust_accuracy_falls_with_epsilon(self, load: Any, norm: str) -> None:
        engine = load("smooth")
        samples = right(engine, 60)
        kept = [
            robust(engine, samples, attacked(engine, samples, epsilon=e, norm=norm))
            for e in ((0, 0.01, 0.03, 0.1, 0.999) if norm == "linf" else (0, 0.1, 0.3, 1.0, 5.0))
        ]
        assert kept == sorted(kept, reverse=True)
        assert kept[0] == 60
        assert kept[-1] == 0
        assert 5 < kept[2] < 45


class TestDeterminism:
    def test_the_seed_decides(self, load: Any) -> None:
        engine = load("smooth")
        samples = right(engine)
        a, b, c = (attacked(engine, samples, seed, epsilon=0.02) for seed in (0, 0, 1))
        assert all(np.array_equal(pixels(x), pixels(y)) and x.metadata == y.metadata for x, y in zip(a, b, strict=True))
        assert any(not np.array_equal(pixels(x), pixels(y)) for x, y in zip(a, c, strict=True))

    @pytest.mark.parametrize("norm", ["linf", "l2"])
    @pytest.mark.parametrize("rows", [1, 7])
    def test_neither_order_nor_batch_size(self, load: Any, norm: str, rows: int) -> None:
        options: dict[str, Any] = {"epsilon": 0.05 if norm == "linf" else 0.3, "norm": norm, "restarts": 2}
        samples = right(load("smooth"))
        together = {t.id: t for t in attacked(load("smooth"), samples, **options)}
        assert len({t.metadata["num_queries"] for t in together.values()}) > 3, "rows that end at different steps"
        for twin in attacked(load("smooth", rows=rows), samples[::-1], **options):
            np.testing.assert_allclose(pixels(twin), pixels(together[twin.id]), atol=2e-6)
            assert twin.metadata == together[twin.id].metadata

    def test_on_a_vision_transformer(self) -> None:
        """The demo's model: robust accuracy falls, and batches change no twin."""
        source = HuggingFace(str(Path(digits.__file__).parent / "models" / "digits-vit"))
        model = source.load("cpu", "float32")
        rows = [(i, r) for i, r in zip(range(40), digits.held_out(), strict=False)]
        engine, few = (Engine(model, source.inspect(), budget=Budget(1 << 20, n)) for n in (64, 7))
        samples = [Sample(str(i), engine.canonical(Image(r["image"])), r["label"], tuple(digits.NAMES)) for i, r in rows]
        samples = [s for s, p in zip(samples, predicted(engine, samples), strict=True) if p == s.target]
        assert len(samples) > 36
        one, other = (attacked(e, samples, epsilon=0.1) for e in (engine, few))
        for clean, a, b in zip(samples, one, other, strict=True):
            assert LpBall(0.1).admits(clean, a)
            np.testing.assert_allclose(pixels(a), pixels(b), atol=1e-6)
        assert 5 < robust(engine, samples, one) < 30


def plain(module: torch.nn.Module, sample: Sample, seed: int, *, epsilon: float, norm: str, steps: int) -> tuple[np.ndarray, int]:
    """One sample, one loop, one start: the algorithm as the paper has it, stopped at the first misclassified iterate."""
    x = torch.from_numpy(pixels(sample).transpose(2, 0, 1).copy())
    rng = SampleRng(seed)(sample.id)
    if norm == "linf":
        step = torch.from_numpy(rng.uniform(-epsilon, epsilon, x.shape)).float()
    else:
        direction = rng.standard_normal(tuple(x.shape))
        radius = epsilon * rng.random() ** (1 / x.numel())
        step = torch.from_numpy(direction / np.linalg.norm(direction) * radius).float()
    current, queries = (x + step).clamp(0, 1), 0
    for at in range(steps + 1):
        queries += 1
        point = current.clone().requires_grad_(True)
        logits = module(point[None])
        if int(logits.argmax()) != sample.target or at == steps:
            break
        (gradient,) = torch.autograd.grad(torch.nn.functional.cross_entropy(logits, torch.tensor([sample.target])), point)
        size = 2.5 * epsilon / steps
        if norm == "linf":
            delta = (current + size * gradient.sign() - x).clamp(-epsilon, epsilon)
        else:
            delta = current + size * gradient / gradient.norm() - x
            delta = delta * min(1.0, epsilon / float(delta.norm()))
        current = (x + delta).clamp(0, 1)
    return current.permute(1, 2, 0).numpy(), queries


@pytest.mark.parametrize(("norm", "epsilon"), [("linf", 0.02), ("l2", 0.15)])
def test_the_plain_loop_gives_the_same_twins(load: Any, norm: str, epsilon: float) -> None:
    engine = load("smooth")
    samples = right(engine)
    twins = attacked(engine, samples, seed=3, epsilon=epsilon, norm=norm, steps=10)
    with engine.differentiable() as net:
        expected = [plain(net.module, s, 3, epsilon=epsilon, norm=norm, steps=10) for s in samples]
    for twin, (value, queries) in zip(twins, expected, strict=True):
        np.testing.assert_allclose(pixels(twin), value, atol=1e-5)
        assert twin.metadata["num_queries"] == queries
    assert 0 < sum(q < 11 for _, q in expected) < len(samples), "some fall, some stand"


class TestCounts:
    def test_one_query_an_iterate(self, load: Any) -> None:
        engine = load("linear", "ab")
        samples = images(3, labels="ab", target=0, low=0.3, high=0.7)
        assert {t.metadata["num_queries"] for t in attacked(engine, samples, epsilon=0.1, steps=7)} == {8}
        assert {t.metadata["num_queries"] for t in attacked(engine, samples, epsilon=0.1, steps=7, restarts=3)} == {24}

    def test_wrong_at_the_start_is_one_query(self, load: Any) -> None:
        engine = load("linear", "ab")
        samples = images(3, labels="ab", target=1)
        found = attacked(engine, samples, epsilon=0.1, random_start=False)
        assert [t.metadata["num_queries"] for t in found] == [1, 1, 1]
        assert not any(t.metadata["zero_gradient"] for t in found), "its gradient was seen, and was not 0"
        assert all(np.array_equal(pixels(s), pixels(t)) for s, t in zip(samples, found, strict=True))

    def test_what_has_fallen_is_not_computed_on(self, load: Any) -> None:
        engine = load("smooth")
        samples = right(engine)
        engine.counters.take()
        twins = attacked(engine, samples, epsilon=0.05)
        assert engine.counters.take()["tokens_computed"] == sum(t.metadata["num_queries"] for t in twins)

    def test_restarts_help_or_are_equal(self, load: Any) -> None:
        engine = load("smooth")
        samples = right(engine, 60)
        kept = []
        for restarts in (1, 2, 5):
            twins = attacked(engine, samples, epsilon=0.02, restarts=restarts, steps=3)
            kept.append({s.id for s, p in zip(samples, predicted(engine, twins), strict=True) if p == s.target})
        assert kept[0] >= kept[1] >= kept[2]

    @pytest.mark.parametrize("name", ["constant", "saturated"])
    def test_a_flat_loss_is_flagged(self, load: Any, name: str) -> None:
        assert all(t.metadata["zero_gradient"] for t in attacked(load(name), images(3, target=0)))

    def test_no_flag_where_there_is_a_gradient(self, load: Any) -> None:
        engine = load("smooth")
        assert not any(t.metadata["zero_gradient"] for t in attacked(engine, right(engine)))

    def test_no_random_start_draws_nothing(self, load: Any) -> None:
        class NoDraws(SampleRng):
            def __call__(self, sample_id: str, /) -> Any:
                return None

        engine, attack = load("smooth"), PGD(random_start=False)
        assert attack.perturb(engine, images(2), attack.threat, NoDraws())


class TestFailures:
    def test_everything_is_as_before_after_a_crash(self, load: Any, monkeypatch: pytest.MonkeyPatch) -> None:
        engine = load("smooth")
        samples = right(engine, 6)
        module, calls, whole = engine.model.module, [0], engine.model.forward

        def forward(x: torch.Tensor) -> torch.Tensor:
            calls[0] += 1
            if calls[0] == 4:
                module[1].register_forward_hook(lambda *a: None)
                raise RuntimeError("power cut")
            return whole(x)

        module.train()
        monkeypatch.setattr(engine.model, "forward", forward)
        try:
            with pytest.raises(RuntimeError, match="power cut"):
                attacked(engine, samples, epsilon=0.01)
            assert module.training
            assert all(p.requires_grad and p.grad is None for p in module.parameters())
            assert not any(m._forward_hooks for m in module.modules())
        finally:
            module.eval()

    def test_images_of_several_shapes(self, load: Any) -> None:
        """They cannot share a batch, and need not."""
        rng = np.random.default_rng(0)
        samples = [Sample(str(i), Image(rng.random((4 + i % 2, 4, 3), dtype=np.float32)), 0, LABELS) for i in range(6)]
        engine = load("steep")
        twins = attacked(engine, samples, epsilon=0.1, steps=2)
        assert [pixels(t).shape for t in twins] == [pixels(s).shape for s in samples]
        assert engine.counters.gradient_passes == 2 * 3

    def test_nan_is_an_error_not_a_twin(self, load: Any) -> None:
        with pytest.raises(NonFiniteError, match="float32"):
            attacked(load("not_a_number"), images(1, target=0))

    @pytest.mark.parametrize("target", [None, "a", 1.0])
    def test_a_target_that_is_no_class(self, load: Any, target: Any) -> None:
        with pytest.raises(SampleError, match="class"):
            attacked(load("smooth"), [replace(images(1)[0], target=target)])

    def test_another_kind_of_threat(self, load: Any) -> None:
        wrong: Any = EditBudget()
        with pytest.raises(ConfigError, match="L-p ball"):
            PGD().perturb(load("smooth"), images(1), wrong, SampleRng(0))

    @pytest.mark.parametrize("options", [{"steps": 0}, {"restarts": 0}, {"step_size": 0}, {"epsilon": -1}, {"norm": "l1"}])
    def test_bad_settings(self, options: Any) -> None:
        with pytest.raises(ConfigError):
            PGD(**options)

    def test_no_samples(self, load: Any) -> None:
        assert attacked(load("smooth"), []) == []


def test_the_harness_agrees_with_what_the_attack_saw(load: Any) -> None:
    """Judged by the task, every sample that PGD stopped at is a success, and none else."""

    class Labels(Task):
        primary, metrics, name, requires = "correct", (), "t", frozenset({"classify"})

        def requests(self, sample: Sample, /) -> list[Classify]:
            return [Classify(sample.input, sample.labels)]

        def score(self, sample: Sample, responses: Any, /) -> dict[str, float]:
            return {"correct": float(int(np.argmax(responses[0].values)) == sample.target)}

    engine, attack = load("smooth"), PGD(epsilon=0.03, steps=10)
    samples = right(engine, 40)
    records = make_attack_records(engine, "pgd(t)", Labels(), attack, attack.threat, SampleRng(0), samples)
    assert all(r.error is None and r.scores["outside_threat"] == 0 for r in records)
    for record in records:
        queries, success = record.scores["num_queries"], record.scores["success"]
        assert success == 1 or queries == 11
        assert queries == 11 or success == 1
    assert 0 < sum(r.scores["success"] or 0 for r in records) < 40
