"""A beginning that all points of all samples have in common is read once, and changes no attribution."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from windtunnel.harness.api.model import ModelInfo
from windtunnel.harness.api.samples import Sample
from windtunnel.harness.engine import Engine
from windtunnel.harness.engine.continuations import ContinuationPort, Frame
from windtunnel.harness.models.causal.prefix_cache import Beginnings
from windtunnel.harness.models.hf.causal_gradients import CausalGradients
from windtunnel.probes.gradient_shap import GradientShap
from windtunnel.probes.integrated_gradients import IntegratedGradients
from windtunnel.probes.neuron_conductance import NeuronConductance
from windtunnel.probes.saliency import Saliency
from windtunnel.tests import tiny

HEAD = "the cat sat on a table, and a dog was able to read the good films in Paris: "
SAMPLES = [
    Sample(f"s{i}", text, 0, (answer,))
    for i, (text, answer) in enumerate((("a young cat", " sat on it"), ("unable to read", " awful"), ("films", " and great, with her")))
]
GOLD = {"target": "gold"}  # asks for no prediction first
METHODS = [
    lambda: IntegratedGradients(steps=4, max_steps=8, **GOLD), lambda: GradientShap(points=4, **GOLD),
    lambda: GradientShap(points=3, noise=0.1, **GOLD), lambda: Saliency(**GOLD),
]  # fmt: skip


def in_float64(name: str) -> Any:
    model = tiny.load(name)
    model.module.double()
    return model


def explained(engine: Engine, make: Callable[[], Any], head: str = HEAD) -> list[np.ndarray]:
    return [a.values for a in make().attribute(ContinuationPort(engine, Frame(head, " so:")), SAMPLES)]


@pytest.mark.parametrize("name", ["llama", "gpt2"])
@pytest.mark.parametrize("make", METHODS)
def test_no_attribution_changes(make: Callable[[], Any], name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    model = in_float64(name)
    found = explained(tiny.engine(model), make)
    read: list[int] = []
    monkeypatch.setattr(Beginnings, "of", lambda *args: read.append(1))
    monkeypatch.setattr(model.flat, "max_length", 1)
    for one, whole in zip(found, explained(tiny.engine(model), make), strict=True):
        np.testing.assert_allclose(one, whole, rtol=0, atol=1e-9 * np.abs(whole).max())
    assert not read


@pytest.mark.parametrize(("make", "is_used"), [(METHODS[0], True), (METHODS[1], True), (METHODS[2], False), (METHODS[3], False)])
def test_it_is_read_once_and_counted(make: Callable[[], Any], is_used: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """Methods that move or attribute it compute it each time. Texts that begin with another token may share one token less."""
    model = tiny.load("llama")
    engine = Engine(model, ModelInfo({}), budget=tiny.engine("llama").budget)
    seen: list[tuple[int, int]] = []
    model.module.register_forward_pre_hook(
        lambda module, args, given: seen.append(
            tuple((given["inputs_embeds"] if "inputs_embeds" in given else given["input_ids"]).shape[:2])
        ),
        with_kwargs=True,
    )
    num_head = len(model.tokenizer(HEAD)["input_ids"])
    explained(engine, make)
    alone = [shape for shape in seen if shape[0] == 1 and abs(shape[1] - num_head) <= 2]
    assert len(alone) in ((1, 2) if is_used else (0,))
    counted = engine.counters.tokens_computed + engine.counters.tokens_padded
    assert engine.counters.gradient_passes == len(seen)
    assert counted == sum(rows * width for rows, width in seen)


def test_batches_with_nothing_in_common_are_whole() -> None:
    """Texts of their own: only the first token of each is the same."""
    engine = tiny.engine(in_float64("llama"))
    for sample, values in zip(SAMPLES, explained(engine, METHODS[0], head=""), strict=True):
        (alone,) = [a.values for a in METHODS[0]().attribute(ContinuationPort(engine, Frame("", " so:")), [sample])]
        np.testing.assert_allclose(values, alone, rtol=0, atol=1e-9 * np.abs(alone).max())


def test_hooks_on_layers_see_whole_passes(monkeypatch: pytest.MonkeyPatch) -> None:
    """What looks at a layer's positions counts them from the first: here the last but one of the sample's own."""
    widths: list[int] = []
    plain = CausalGradients.logits

    def logits(self: Any, features: torch.Tensor, encoded: Any, rows: Any = None) -> torch.Tensor:
        widths.append(encoded.features.shape[1] - features.shape[1])
        return plain(self, features, encoded, rows)

    monkeypatch.setattr(CausalGradients, "logits", logits)
    found = explained(tiny.engine("llama"), lambda: NeuronConductance(layer="model.layers.0", neuron=[22, 1], steps=4, target="gold"))
    assert any(values.any() for values in found)
    assert set(widths) == {0}


def test_a_cache_is_new_for_each_pass() -> None:
    model = tiny.shared("llama")
    ids = torch.tensor(model.tokenizer(HEAD)["input_ids"])
    kept = Beginnings(model.module)
    first = kept.of(ids, 2)
    with torch.no_grad():
        once = model.module(input_ids=torch.tensor([[5, 6], [7, 8]]), **first).logits
        again = model.module(input_ids=torch.tensor([[5, 6], [7, 8]]), **kept.of(ids, 2)).logits
        whole = model.module(input_ids=torch.cat([ids.expand(2, -1), torch.tensor([[5, 6], [7, 8]])], 1)).logits[:, -2:]
    torch.testing.assert_close(once, again, rtol=0, atol=0)
    torch.testing.assert_close(once, whole, rtol=1e-4, atol=1e-4)
    assert kept.take() == (len(ids), 1)
    assert kept.take() == (0, 0)


def test_a_window_of_attention_keeps_passes_whole() -> None:
    model = tiny.load("llama")
    assert model.differentiable().resumes
    model.flat.max_length = model.max_length - 1
    assert not model.differentiable().resumes
