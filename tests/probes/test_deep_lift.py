"""DeepLIFT against Captum called on one image at a time, in closed form, and where it is refused."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import captum.attr
import numpy as np
import pytest
import torch
from windtunnel.harness.api.errors import ConfigError
from windtunnel.harness.api.model import ModelInfo
from windtunnel.harness.api.samples import Sample, SampleRng
from windtunnel.harness.engine import Engine
from windtunnel.harness.engine.packing import Budget
from windtunnel.harness.items.probe.records import make_probe_records
from windtunnel.harness.modalities.image import Image
from windtunnel.harness.models.torch.source import TorchModule
from windtunnel.probes.deep_lift import DeepLift
from windtunnel.tests import tiny

LABELS = ("a", "b", "c")
NETS = """
import torch
from torch import nn
from torch.nn import functional

class Net(nn.Module):
    def __init__(self, order):
        super().__init__()
        torch.manual_seed(0)
        self.one, self.two, self.three = nn.Conv2d(3, 4, 3, padding=1), nn.Conv2d(4, 5, 3), nn.Linear(5 * 2 * 2, 6)
        self.acts, self.pools = nn.ModuleList([nn.ReLU(), nn.Tanh(), nn.ReLU()]), nn.ModuleList([nn.MaxPool2d(2), nn.MaxPool2d(2)])
        self.head, self.order = nn.Linear(6, 3), order

    def act(self, number, x):
        return functional.gelu(3 * x) if self.order == "functions" else self.acts[0 if self.order == "reused" else number](x)

    def forward(self, x):
        if self.order == "normalised":
            x = (x - 0.5) / 0.25
        if self.order == "pool first":
            x = self.act(0, self.pools[0](self.one(x)))
        else:
            x = self.pools[0](self.act(0, self.one(x)))
        x = self.pools[1](self.act(1, self.two(x))).flatten(1)
        return self.head(self.act(2, self.three(x)))

class Attending(nn.Module):
    def __init__(self):
        super().__init__()
        self.attend, self.head = nn.MultiheadAttention(3, 1, batch_first=True), nn.Linear(3, 3)

    def forward(self, x):
        x = x.flatten(2).transpose(1, 2)
        return self.head(self.attend(x, x, x)[0].mean(1))

class Line(nn.Module):
    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.head = nn.Linear(3 * 12 * 12, 3)

    def forward(self, x):
        return self.head(x.flatten(1))

def act_first(): return Net("act first")
def pool_first(): return Net("pool first")
def normalised(): return Net("normalised")
def functions(): return Net("functions")
def reused(): return Net("reused")
def attending(): return Attending()
def line(): return Line()
"""


def engine_of(folder: Path, name: str, rows: int = 64) -> Engine:
    (folder / "nets.py").write_text(NETS)
    source = TorchModule(f"{folder / 'nets.py'}:{name}", labels=list(LABELS))
    return Engine(source.load("cpu", "float32"), source.inspect(), budget=Budget(1 << 20, rows))


def images(num: int = 5) -> list[Sample]:
    draws = np.random.default_rng(0)
    return [Sample(f"i{i}", Image(draws.random((12, 12, 3), dtype=np.float32)), i % 3, LABELS) for i in range(num)]


@pytest.mark.parametrize("target", ["predicted", "gold"])
def test_as_captum_has_it(tmp_path: Path, target: str) -> None:
    engine = engine_of(tmp_path, "act_first")
    module: Any = engine.model.module  # type: ignore[attr-defined]
    for sample, found in zip(images(), DeepLift(target=target).attribute(engine, images()), strict=True):
        assert isinstance(sample.input, Image)
        x = torch.tensor(np.asarray(sample.input.pixels)).permute(2, 0, 1)[None]
        assert found.target == (sample.target if target == "gold" else int(module(x)[0].argmax()))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            values, delta = captum.attr.DeepLift(module).attribute(x, 0 * x, target=found.target, return_convergence_delta=True)
        expected = values[0].detach().double().sum(0).numpy()
        np.testing.assert_allclose(found.values, expected, rtol=1e-5, atol=1e-6 * float(np.abs(expected).max()))
        assert found.completeness_error == pytest.approx(abs(float(delta)), abs=1e-5)
        assert found.completeness_error < 1e-4


def test_a_linear_model(tmp_path: Path) -> None:
    """Weight times pixel, for black is 0."""
    engine = engine_of(tmp_path, "line")
    weight = engine.model.module.head.weight.detach().double().view(3, 3, 12, 12).numpy()  # type: ignore[attr-defined]
    for sample, found in zip(images(), DeepLift().attribute(engine, images()), strict=True):
        assert isinstance(sample.input, Image)
        expected = (weight[found.target] * np.asarray(sample.input.pixels).transpose(2, 0, 1)).sum(0)
        np.testing.assert_allclose(found.values, expected, rtol=1e-5, atol=1e-7)


def test_neither_order_nor_company_counts(tmp_path: Path) -> None:
    together = DeepLift().attribute(engine_of(tmp_path, "act_first"), images())
    narrow = list(DeepLift().attribute(engine_of(tmp_path, "act_first", 2), images()[::-1]))[::-1]
    for a, b in zip(together, narrow, strict=True):
        np.testing.assert_allclose(a.values, b.values, atol=1e-6 * float(np.abs(a.values).max()))


def test_all_samples_share_a_pass(tmp_path: Path) -> None:
    engine = engine_of(tmp_path, "act_first")
    DeepLift(target="gold").attribute(engine, images())
    assert engine.counters.gradient_passes == 3, "the logits of the images, of black, and one pass of both with gradients"


@pytest.mark.parametrize("name", ["functions", "pool_first", "normalised"])
def test_what_the_rule_does_not_know_is_a_failed_sample(tmp_path: Path, name: str) -> None:
    """Captum's own sums miss there, in float64 too; of max-pooling next to a ReLU, where a window of the black image's map is uneven."""
    module: Any = engine_of(tmp_path, name).model.module.double()  # type: ignore[attr-defined]
    x = torch.tensor(np.stack([np.asarray(s.input.pixels).transpose(2, 0, 1) for s in images()])).double()  # type: ignore[union-attr]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        _, missed = captum.attr.DeepLift(module).attribute(x, 0 * x, target=module(x).argmax(1), return_convergence_delta=True)
    records = make_probe_records(engine_of(tmp_path, name), "p(t)", DeepLift(), SampleRng(0), images(), ["erasure"])
    assert [r.error is not None for r in records] == [True] * 5
    assert all("but the logit moves by" in str(r.error) and "integrated_gradients" in str(r.error) for r in records)
    assert float(missed.abs().min()) > 1e-3


def test_a_refusal_touches_no_other_sample(tmp_path: Path) -> None:
    given = [*images(2), Sample("bad", Image(np.zeros((6, 6, 3), dtype=np.float32)), 0, LABELS)]
    records = make_probe_records(engine_of(tmp_path, "act_first"), "p(t)", DeepLift(), SampleRng(0), given, ["erasure"])
    assert [r.error is None for r in records] == [True, True, False]


def test_a_module_that_is_used_twice_is_refused_and_leaves_nothing(tmp_path: Path) -> None:
    engine = engine_of(tmp_path, "reused")
    module: Any = engine.model.module  # type: ignore[attr-defined]
    before = [set(vars(part)) for part in module.modules()]
    with pytest.raises(RuntimeError, match="used more than once"):
        DeepLift().attribute(engine, images())
    assert [set(vars(part)) for part in module.modules()] == before
    assert not any(m._forward_hooks or m._forward_pre_hooks or m._backward_hooks for m in module.modules())


def test_models_with_attention_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="MultiheadAttention"):
        DeepLift().attribute(engine_of(tmp_path, "attending"), images())
    given = [Sample("i", Image(np.zeros((32, 32, 3), dtype=np.float32)), 0, tuple(tiny.LABELS))]
    with pytest.raises(ConfigError, match="integrated_gradients"):
        DeepLift().attribute(Engine(tiny.shared("vit"), ModelInfo({})), given)


def test_bad_settings() -> None:
    with pytest.raises(ConfigError, match="tolerance"):
        DeepLift(tolerance=0)


def test_no_samples(tmp_path: Path) -> None:
    assert DeepLift().attribute(engine_of(tmp_path, "line"), []) == []
