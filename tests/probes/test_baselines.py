"""Another neutral input than the model's own: as Captum has it for the same one, and in closed form."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import captum.attr as ca
import numpy as np
import pytest
import torch
from windtunnel.harness.api.errors import ConfigError
from windtunnel.harness.api.model import ModelInfo
from windtunnel.harness.api.requests import Classify
from windtunnel.harness.api.samples import Sample
from windtunnel.harness.engine import Engine
from windtunnel.harness.modalities.image import Image
from windtunnel.harness.modalities.inputs import list_parts
from windtunnel.harness.modalities.removal import remove_parts
from windtunnel.harness.modalities.text import TextPair
from windtunnel.harness.modalities.words import gather
from windtunnel.harness.models.torch.source import TorchModule
from windtunnel.probes.baselines import Baseline
from windtunnel.probes.deep_lift import DeepLift
from windtunnel.probes.gradient_shap import GradientShap
from windtunnel.probes.integrated_gradients import IntegratedGradients
from windtunnel.probes.layer_conductance import LayerConductance
from windtunnel.probes.layer_integrated_gradients import LayerIntegratedGradients
from windtunnel.probes.neuron_conductance import NeuronConductance
from windtunnel.tests import tiny

LABELS = tuple(tiny.LABELS)
LINEAR = """
import torch
from torch import nn

def load():
    torch.manual_seed(0)
    return nn.Sequential(nn.Flatten(), nn.Linear(3 * 8 * 8, 3))
"""


def on_bert(baseline: Baseline, value: Any) -> tuple[np.ndarray, np.ndarray]:
    """The probe's attribution, and Captum's of the same way. Special tokens stay as they are."""
    model = tiny.shared("bert")
    engine = Engine(model, ModelInfo({}))
    (found,) = IntegratedGradients(steps=20, max_steps=20, baseline=baseline).attribute(engine, [Sample("a", value, 0, LABELS)])
    with engine.differentiable() as net:
        encoded = net.encode([Classify(value, LABELS)])
        embed = model.module.get_input_embeddings()
        token = model.tokenizer.convert_tokens_to_ids(baseline) if isinstance(baseline, str) else None
        neutral = embed(torch.tensor(token)) if token is not None else torch.zeros(encoded.features.shape[-1])
        start = encoded.features.clone()
        for place, one in enumerate(encoded.extra["input_ids"][0].tolist()):
            if one not in model.tokenizer.all_special_ids:
                start[0, place] = neutral
        rows = torch.zeros(20, dtype=torch.long)
        expected = ca.IntegratedGradients(lambda x: net.logits(x, encoded, rows[: len(x)])).attribute(
            encoded.features, start, target=found.target, n_steps=20
        )
    return found.values, gather(expected[0].sum(-1).detach().numpy(), encoded.spans[0], list_parts(value))


@pytest.mark.parametrize("baseline", ["[MASK]", "cat", 0])
@pytest.mark.parametrize("value", ["the cat sat on a table", TextPair("a good film", "the dog")])
def test_a_token_or_zeros(baseline: Baseline, value: Any) -> None:
    found, expected = on_bert(baseline, value)
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-5 * np.abs(expected).max())


def test_a_token_by_its_text() -> None:
    """Not every vocabulary has a word under its own letters: GPT-2's have a sign for the space before."""
    engine = Engine(tiny.shared("gpt2_classifier"), ModelInfo({}))
    tokenizer = tiny.shared("gpt2_classifier").tokenizer
    (name,) = tokenizer.convert_ids_to_tokens(tokenizer(" a", add_special_tokens=False)["input_ids"])
    assert name != " a"
    samples = [Sample("x", "the cat sat", 0, LABELS)]
    by_text, by_name = (IntegratedGradients(steps=4, max_steps=4, baseline=b).attribute(engine, samples)[0] for b in (" a", name))
    np.testing.assert_array_equal(by_text.values, by_name.values)


@pytest.fixture(scope="module")
def linear(tmp_path_factory: pytest.TempPathFactory) -> Engine:
    path: Path = tmp_path_factory.mktemp("nets") / "nets.py"
    path.write_text(LINEAR)
    source = TorchModule(f"{path}:load", labels=list(LABELS))
    return Engine(source.load("cpu", "float32"), source.inspect())


@pytest.mark.parametrize("baseline", [None, 0.25, 1, "mean", "blur"])
@pytest.mark.parametrize("make", [lambda b: IntegratedGradients(baseline=b), lambda b: GradientShap(points=3, baseline=b),
                                  lambda b: DeepLift(baseline=b)])  # fmt: skip
def test_of_a_linear_model(make: Callable[[Baseline], Any], baseline: Baseline, linear: Engine) -> None:
    """Each pixel is worth its weights times how far it is from the neutral image."""
    pixels = np.random.default_rng(0).random((8, 8, 3), dtype=np.float32)
    (found,) = make(baseline).attribute(linear, [Sample("a", Image(pixels), 0, LABELS)])
    start = np.full_like(pixels, baseline or 0.0) if not isinstance(baseline, str) else None
    if start is None:
        changed = remove_parts(Image(pixels), list_parts(Image(pixels)), np.ones(64, dtype=bool), str(baseline))
        assert isinstance(changed, Image)
        start = np.asarray(changed.pixels)
    module: Any = linear.model
    weight = module.module[1].weight[found.target].detach().numpy().reshape(3, 8, 8).transpose(1, 2, 0)
    np.testing.assert_allclose(found.values, (weight * (pixels - start)).sum(-1), rtol=0, atol=1e-6)
    assert (found.completeness_error or 0.0) < 1e-5


def test_layers_begin_where_it_says() -> None:
    """At the embeddings of the neutral text, all that a layer has to give is 0: nothing moves on the way there."""
    engine = Engine(tiny.shared("bert"), ModelInfo({}))
    layer = "bert.encoder.layer.0"
    for make in (
        lambda b: LayerIntegratedGradients(layer=layer, steps=8, max_steps=8, baseline=b),
        lambda b: LayerConductance(layer=layer, steps=8, max_steps=8, baseline=b),
        lambda b: NeuronConductance(layer=layer, neuron=[1, 2], steps=8, baseline=b),
    ):
        same, other = (make(b).attribute(engine, [Sample("a", "cat cat cat", 0, LABELS)])[0] for b in ("cat", None))
        assert not same.values.any()
        assert other.values.any()


def test_of_a_language_model_only_the_samples_own_text_becomes_neutral() -> None:
    from windtunnel.harness.engine.continuations import ContinuationPort, Frame

    model = tiny.shared("llama")
    port = ContinuationPort(tiny.engine("llama"), Frame('Read "', '":'))
    text, answer = "the cat sat", " films"
    probe = IntegratedGradients(steps=64, max_steps=512, tolerance=0.001, baseline=0)
    (found,) = probe.attribute(port, [Sample("a", text, 0, (answer,))])
    offsets = model.tokenizer(f'Read "{text}":', return_offsets_mapping=True)
    after = model.tokenizer(f'Read "{text}":{answer}')["input_ids"][len(offsets["input_ids"]) :]
    embed = model.module.get_input_embeddings()
    likely = []
    for neutral in (False, True):
        features = embed(torch.tensor([offsets["input_ids"] + after])).detach()
        for place, (start, end) in enumerate(offsets["offset_mapping"]):
            if neutral and end > 6 and start < 6 + len(text):
                features[0, place] = 0
        with torch.no_grad():
            log_probs = model.module(inputs_embeds=features).logits[0].log_softmax(-1)
        likely.append(sum(float(log_probs[len(offsets["input_ids"]) + i - 1, t]) for i, t in enumerate(after)))
    assert float(found.values.sum()) == pytest.approx(likely[0] - likely[1], abs=0.02)


@pytest.mark.parametrize(
    ("baseline", "value", "why"),
    [
        ("", "a cat", "baseline is"), (True, "a cat", "baseline is"), (1.5, "a cat", "baseline is"), (0.5, "a cat", "is a grey"),
        ("the cat sat", "a cat", "not one token but"), ("😀", "a cat", "not one token but"),
        ("[MASK]", Image(np.zeros((8, 8, 3), np.uint8)), "is for text"),
    ],
)  # fmt: skip
def test_what_cannot_be_says_why(baseline: Any, value: Any, why: str, linear: Engine) -> None:
    engine = linear if isinstance(value, Image) else Engine(tiny.shared("bert"), ModelInfo({}))
    with pytest.raises(ConfigError, match=why):
        IntegratedGradients(baseline=baseline).attribute(engine, [Sample("a", value, 0, LABELS)])
