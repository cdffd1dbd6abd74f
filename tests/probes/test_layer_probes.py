"""Attributions of hidden layers and neurons: against Captum on one sample at a time, in closed form, and what they leave behind."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import captum.attr
import numpy as np
import pytest
import torch
from windtunnel.harness.api.errors import ConfigError
from windtunnel.harness.api.model import ModelInfo
from windtunnel.harness.api.requests import Classify
from windtunnel.harness.api.samples import Attribution, Sample, SampleRng
from windtunnel.harness.engine import Engine
from windtunnel.harness.engine.packing import Budget
from windtunnel.harness.items.probe.records import make_probe_records
from windtunnel.harness.modalities.image import Image
from windtunnel.harness.models.torch.source import TorchModule
from windtunnel.probes.layer_conductance import LayerConductance
from windtunnel.probes.layer_integrated_gradients import LayerIntegratedGradients
from windtunnel.probes.neuron_conductance import NeuronConductance
from windtunnel.probes.positions import enlarge, place_values, sum_by_position
from windtunnel.tests import tiny

LABELS = tuple(tiny.LABELS)
TEXTS = ("the cat sat on a table", "bad films, that were great!", "unable", "it's an able dog and a table", "that cat sat on one table")
NET = """
import torch
from torch import nn

class Net(nn.Module):
    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.one, self.two, self.act = nn.Conv2d(3, 4, 3, padding=1), nn.Conv2d(4, 5, 3, stride=2), nn.ReLU()
        self.aside, self.hidden, self.head = nn.Conv2d(3, 5, 3, stride=2, padding=1), nn.Linear(5, 6), nn.Linear(6, 3)
        self.unused = nn.Linear(1, 1)

    def forward(self, x):
        y = self.act(self.two(self.act(self.one(x)))).mean((2, 3)) + torch.tanh(self.aside(x)).mean((2, 3))
        return self.head(torch.tanh(self.hidden(y)))

def load():
    return Net()
"""


@pytest.fixture(scope="module")
def net(tmp_path_factory: pytest.TempPathFactory) -> Engine:
    path = tmp_path_factory.mktemp("nets") / "nets.py"
    path.write_text(NET)
    source = TorchModule(f"{path}:load", labels=list(LABELS))
    return Engine(source.load("cpu", "float32"), source.inspect())


def texts() -> list[Sample]:
    return [Sample(f"s{i}", text, i % 3, LABELS) for i, text in enumerate(TEXTS)]


def images(height: int = 32, width: int = 32) -> list[Sample]:
    draws = np.random.default_rng(1)
    return [Sample(f"i{i}", Image(draws.random((height, width, 3), dtype=np.float32)), i % 3, LABELS) for i in range(3)]


def engine_of(name: str, rows: int = 64) -> Engine:
    return Engine(tiny.shared(name), ModelInfo({}), budget=Budget(1 << 20, rows))


def encoder_layer(name: str) -> str:
    """The first whole layer of the encoder: its name depends on the release of transformers."""
    names = [key for key, _ in tiny.shared(name).module.named_modules()]
    return next(key for key in names if key.endswith("layer.0") or key.endswith("layers.0"))


def as_captum_takes_it(engine: Engine, layer: str) -> torch.nn.Module:
    """Captum takes no tuples with None in them, which whole layers of transformers 4 give; their last part gives the same tensor."""
    module = engine.model.module  # type: ignore[attr-defined]
    last = f"{layer}.output" if layer.startswith("bert") and layer.endswith("0") else layer
    found: torch.nn.Module = module.get_submodule(last)
    return found


def captums(engine: Engine, sample: Sample, ask: Callable[[Any, torch.Tensor, torch.Tensor], torch.Tensor]) -> np.ndarray:
    """Captum's attribution of the sample alone."""
    with engine.differentiable() as net:
        encoded = net.encode([Classify(sample.input, sample.labels)])

        class Forward(torch.nn.Module):
            def forward(self, x: torch.Tensor) -> torch.Tensor:
                return net.logits(x, encoded, torch.zeros(len(x), dtype=torch.long))

        found = ask(Forward(), encoded.features, encoded.baseline)
        found = found[0] if isinstance(found, tuple) else found
        (row,) = sum_by_position(found.detach(), None if isinstance(sample.input, Image) else [found.shape[1]], encoded.domain)
        return place_values(sample.input, row, encoded.spans[0] if encoded.spans else (), 8, encoded.domain)[0]


CASES = [
    ("bert", lambda: "bert.embeddings"), ("bert", lambda: encoder_layer("bert")), ("bert", lambda: f"{encoder_layer('bert')}.output"),
    ("gpt2_classifier", lambda: "transformer.h.0"), ("vit", lambda: encoder_layer("vit")), ("net", lambda: "one"), ("net", lambda: "two"),
]  # fmt: skip
NEURONS = [
    ("bert", lambda: encoder_layer("bert"), (0, 5)), ("bert", lambda: "bert.pooler.dense", (3,)),
    ("vit", lambda: encoder_layer("vit"), (2, 7)), ("net", lambda: "two", (1, 3, 4)), ("net", lambda: "hidden", (2,)),
]  # fmt: skip


@pytest.mark.parametrize(("name", "layer"), CASES)
class TestAgainstCaptum:
    def engine(self, name: str, net: Engine) -> tuple[Engine, list[Sample]]:
        return (net if name == "net" else engine_of(name)), (texts() if name in ("bert", "gpt2_classifier") else images())

    def check(self, engine: Engine, given: list[Sample], probe: Any, ask: Callable[..., torch.Tensor]) -> None:
        for sample, a in zip(given, probe.attribute(engine, given), strict=True):
            expected = captums(engine, sample, lambda f, x, b, a=a: ask(f, x, b, a.target))
            np.testing.assert_allclose(a.values, expected, atol=1e-5 * float(np.abs(expected).max()))

    def test_layer_integrated_gradients(self, name: str, layer: Callable[[], str], net: Engine) -> None:
        engine, given = self.engine(name, net)
        part = as_captum_takes_it(engine, layer())

        def ask(forward: Any, x: torch.Tensor, b: torch.Tensor, target: int) -> torch.Tensor:
            method = captum.attr.LayerIntegratedGradients(forward, part)
            found: torch.Tensor = method.attribute(x, baselines=b, target=target, n_steps=12)
            return found

        self.check(engine, given, LayerIntegratedGradients(layer=layer(), steps=12, max_steps=12), ask)

    def test_layer_conductance(self, name: str, layer: Callable[[], str], net: Engine) -> None:
        engine, given = self.engine(name, net)
        part = as_captum_takes_it(engine, layer())

        def ask(forward: Any, x: torch.Tensor, b: torch.Tensor, target: int) -> torch.Tensor:
            found: torch.Tensor = captum.attr.LayerConductance(forward, part).attribute(x, baselines=b, target=target, n_steps=12)
            return found

        self.check(engine, given, LayerConductance(layer=layer(), steps=12, max_steps=12), ask)


@pytest.mark.parametrize(("name", "layer", "neuron"), NEURONS)
def test_neuron_conductance_as_captum_has_it(name: str, layer: Callable[[], str], neuron: tuple[int, ...], net: Engine) -> None:
    engine = net if name == "net" else engine_of(name)
    given = texts() if name == "bert" else images()
    part = as_captum_takes_it(engine, layer())
    for sample, a in zip(given, NeuronConductance(layer=layer(), neuron=neuron, steps=12).attribute(engine, given), strict=True):

        def ask(forward: Any, x: torch.Tensor, b: torch.Tensor, a: Attribution = a) -> torch.Tensor:
            method = captum.attr.NeuronConductance(forward, part)
            found: torch.Tensor = method.attribute(x, neuron, baselines=b, target=a.target, n_steps=12, method="gausslegendre")
            return found

        expected = captums(engine, sample, ask)
        np.testing.assert_allclose(a.values, expected, atol=1e-5 * float(np.abs(expected).max()))


class TestClosedForm:
    def test_a_linear_layer_before_a_linear_head(self, tmp_path: Path) -> None:
        """logits = C mean(W * x): each place of the map gets its channels' values times C, of all methods alike."""
        (tmp_path / "lines.py").write_text(
            "import torch\nfrom torch import nn\n\nclass Lines(nn.Module):\n    def __init__(self):\n        super().__init__()\n"
            "        torch.manual_seed(0)\n        self.maps, self.head = nn.Conv2d(3, 4, 1), nn.Linear(4, 3)\n\n"
            "    def forward(self, x):\n        return self.head(self.maps(x).mean((2, 3)))\n\ndef load():\n    return Lines()\n"
        )
        source = TorchModule(f"{tmp_path / 'lines.py'}:load", labels=list(LABELS))
        engine = Engine(source.load("cpu", "float32"), source.inspect())
        module: Any = engine.model.module  # type: ignore[attr-defined]
        mix, head = module.maps.weight.detach().double()[:, :, 0, 0].numpy(), module.head.weight.detach().double().numpy()
        given = images(6, 5)
        probes = (LayerIntegratedGradients(layer="maps", steps=2), LayerConductance(layer="maps", steps=512))
        for probe in probes:
            for sample, a in zip(given, probe.attribute(engine, given), strict=True):
                assert isinstance(sample.input, Image)
                expected = np.asarray(sample.input.pixels, dtype=np.float64) @ mix.T @ head[a.target] / 30
                np.testing.assert_allclose(a.values, expected, rtol=2e-5 if probe is probes[0] else 1e-3, atol=1e-8)
                assert a.metadata["converged"]
        for unit in range(4):
            probe = NeuronConductance(layer="maps", neuron=[unit, 2, 3], steps=2)
            for sample, a in zip(given, probe.attribute(engine, given), strict=True):
                assert isinstance(sample.input, Image)
                alone = np.zeros((6, 5))
                alone[2, 3] = np.asarray(sample.input.pixels, dtype=np.float64)[2, 3] @ mix[unit] * head[a.target, unit] / 30
                np.testing.assert_allclose(a.values, alone, rtol=2e-5, atol=1e-9)

    def test_completeness(self) -> None:
        layer = encoder_layer("bert")
        for make in (LayerIntegratedGradients, LayerConductance):
            tight = make(layer=layer, steps=256, max_steps=256).attribute(engine_of("bert"), texts())
            # The sum of pieces is Captum's, which nears the integral with one over the number of steps.
            bound = 1e-4 if make is LayerIntegratedGradients else 0.05
            assert all((a.completeness_error or 0) < bound for a in tight), make
            for a in tight:
                assert a.metadata["on_special_tokens"] != 0

    def test_the_neurons_of_a_layer_are_the_layer(self, net: Engine) -> None:
        """All neurons' input attributions sum to what passes through the layer, which is the logit's change."""
        given = images()[:1]
        parts = [NeuronConductance(layer="hidden", neuron=[i], steps=128).attribute(net, given)[0] for i in range(6)]
        with net.differentiable() as one:
            encoded = one.encode([Classify(given[0].input, LABELS)])
            change = (one.logits(encoded.features, encoded) - one.logits(encoded.baseline, encoded))[0, parts[0].target]
        assert sum(float(a.values.sum()) for a in parts) == pytest.approx(float(change), abs=1e-4)
        plain = NeuronConductance(layer="hidden", neuron=0, steps=128).attribute(net, given)[0]
        np.testing.assert_array_equal(plain.values, parts[0].values)

    def test_what_passes_by_the_side_of_the_layer(self, net: Engine) -> None:
        """A layer with another beside it: its conductance has no known sum, and its integral's is its own share."""
        for a in LayerConductance(layer="two", steps=8).attribute(net, images()):
            assert a.completeness_error is None
            assert "converged" not in a.metadata
            assert a.metadata["num_steps"] == 8
        for a in LayerIntegratedGradients(layer="two", steps=64).attribute(net, images()):
            assert a.completeness_error == pytest.approx(0, abs=1e-3)

    def test_layers_that_are_written_into(self, tmp_path: Path, net: Engine) -> None:
        (tmp_path / "nets.py").write_text(NET.replace("nn.ReLU()", "nn.ReLU(inplace=True)"))
        source = TorchModule(f"{tmp_path / 'nets.py'}:load", labels=list(LABELS))
        engine = Engine(source.load("cpu", "float32"), source.inspect())
        for probe in (
            LayerIntegratedGradients(layer="two"),
            LayerConductance(layer="two"),
            NeuronConductance(layer="two", neuron=[0, 1, 1]),
        ):
            for a, b in zip(probe.attribute(engine, images()), probe.attribute(net, images()), strict=True):
                np.testing.assert_allclose(a.values, b.values, atol=1e-6 * float(np.abs(b.values).max()))


def probes(name: str) -> list[Any]:
    layer = encoder_layer(name)
    return [
        LayerIntegratedGradients(layer=layer, steps=5, max_steps=5), LayerConductance(layer=layer, steps=5, max_steps=5),
        NeuronConductance(layer=layer, neuron=[0, 3], steps=5),
    ]  # fmt: skip


class TestBatches:
    @pytest.mark.parametrize("name", ["bert", "vit"])
    def test_neither_order_nor_company_counts(self, name: str) -> None:
        given = texts() if name == "bert" else images()
        for probe in probes(name):
            together = probe.attribute(engine_of(name), given)
            narrow = list(probe.attribute(engine_of(name, rows=2), given[::-1]))[::-1]
            for sample, a, b in zip(given, together, narrow, strict=True):
                (alone,) = probe.attribute(engine_of(name), [sample])
                for other in (b, alone):
                    np.testing.assert_allclose(other.values, a.values, atol=1e-5 * float(np.abs(a.values).max()))

    def test_no_samples(self) -> None:
        for probe in probes("bert"):
            assert list(probe.attribute(engine_of("bert"), [])) == []


class TestFailures:
    @pytest.mark.parametrize("name", ["bert", "vit"])
    def test_no_hook_is_left_after_a_crash(self, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
        adapter = tiny.load(name)
        engine, calls, crash = Engine(adapter, ModelInfo({}), budget=Budget(1 << 20, 2)), 0, 0
        forward = adapter.module.classifier.forward

        def cut(*args: Any) -> Any:
            nonlocal calls
            calls += 1
            if calls == crash:
                raise RuntimeError("power cut")
            return forward(*args)

        monkeypatch.setattr(adapter.module.classifier, "forward", cut)
        for probe in probes(name):
            probe.target = "gold"
            for at in (1, 2, 3):
                calls, crash = 0, at
                with pytest.raises(RuntimeError, match="power cut"):
                    probe.attribute(engine, (texts() if name == "bert" else images())[:1])
                assert not any(m._forward_hooks or m._forward_pre_hooks or m._backward_hooks for m in adapter.module.modules())
                assert all(p.requires_grad for p in adapter.module.parameters())

    def test_bad_texts_end_as_their_own_errors(self) -> None:
        given = [Sample(f"s{i}", text, 0, LABELS) for i, text in enumerate(("the cat sat", "", "lone \ud800 surrogate", "bad films"))]
        for probe in probes("bert"):
            records = make_probe_records(engine_of("bert"), "p(t)", probe, SampleRng(0), given, ["erasure"])
            assert [r.error is None for r in records] == [True, False, False, True]

    def test_a_text_without_the_position(self) -> None:
        probe = NeuronConductance(layer=encoder_layer("bert"), neuron=[5, 3], steps=1)
        records = make_probe_records(engine_of("bert"), "p(t)", probe, SampleRng(0), texts()[:3:2], ["erasure"])
        assert records[0].error is None
        assert "no position 5" in str(make_probe_records(engine_of("bert"), "p(t)", probe, SampleRng(0), [short()], ["erasure"])[0].error)

    @pytest.mark.parametrize(
        ("layer", "said"),
        [
            ("bert.embedings", "bert.embeddings"), ("bert.pooler", "for each token"), ("classifier", "for each token"),
            ("bert.embeddings.word_embeddings", "input's features"),
        ],
    )  # fmt: skip
    def test_layers_that_will_not_do(self, layer: str, said: str) -> None:
        for make in (LayerIntegratedGradients, LayerConductance):
            with pytest.raises(ConfigError, match=said):
                make(layer=layer).attribute(engine_of("bert"), texts())

    @pytest.mark.parametrize(
        ("layer", "neuron", "said"),
        [
            ("one", [4, 0, 0], "is none"),
            ("one", [0], "is none"),
            ("hidden", [6], "is none"),
            ("unused", [0], "no part"),
            ("tow", [0], "two"),
        ],
    )
    def test_neurons_that_are_none(self, layer: str, neuron: list[int], said: str, net: Engine) -> None:
        with pytest.raises(ConfigError, match=said):
            NeuronConductance(layer=layer, neuron=neuron).attribute(net, images())

    @pytest.mark.parametrize(
        ("make", "options"),
        [
            (LayerIntegratedGradients, {"layer": "one", "steps": 0}), (LayerConductance, {"layer": "one", "max_steps": 1}),
            (NeuronConductance, {"layer": "one", "neuron": []}), (NeuronConductance, {"layer": "one", "neuron": [-1]}),
            (NeuronConductance, {"layer": "one", "neuron": [1], "steps": 0}),
        ],
    )  # fmt: skip
    def test_bad_settings(self, make: Any, options: dict[str, Any]) -> None:
        with pytest.raises(ConfigError):
            make(**options)


def short() -> Sample:
    return Sample("short", "fine", 0, LABELS)


class TestPositions:
    def test_maps_are_enlarged_as_torch_has_it(self) -> None:
        small = np.random.default_rng(0).normal(size=(3, 5))
        wanted = torch.nn.functional.interpolate(torch.tensor(small)[None, None], size=(7, 9), mode="bilinear")[0, 0].numpy()
        np.testing.assert_allclose(enlarge(small, 7, 9), wanted)

    def test_patches(self) -> None:
        image = Image(np.zeros((5, 7, 3), dtype=np.float32))
        values, spans, special = place_values(image, np.arange(8.0), (), 2, "pixels")
        assert values.tolist() == [[2, 2, 3, 3, 4, 4, 0]] * 2 + [[5, 5, 6, 6, 7, 7, 0]] * 2 + [[0] * 7]
        assert (spans, special) == ((), 1.0)

    @pytest.mark.parametrize(("num", "patch"), [(5, 2), (40, 2), (7, None), (7, 8)])
    def test_positions_that_are_no_patches(self, num: int, patch: int | None) -> None:
        with pytest.raises(ConfigError, match="patches"):
            place_values(Image(np.zeros((5, 7, 3), dtype=np.float32)), np.zeros(num), (), patch, "pixels")
