"""Max-sensitivity of texts: noise in the token embeddings, held against models whose embedding tables were changed in the same way."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest
import torch
from windtunnel.harness.api.model import ModelInfo
from windtunnel.harness.api.requests import Classify, LogLikelihood
from windtunnel.harness.api.responses import Failure, Logits
from windtunnel.harness.api.samples import Sample, SampleRng
from windtunnel.harness.engine import Engine
from windtunnel.harness.engine.continuations import ContinuationPort, Frame
from windtunnel.harness.items.probe.faithfulness.noise import RADIUS, NoisyPort
from windtunnel.harness.items.probe.faithfulness.sensitivity import NUM_COPIES
from windtunnel.harness.items.probe.language_records import make_language_records
from windtunnel.harness.items.probe.records import make_probe_records
from windtunnel.harness.modalities.inputs import Input
from windtunnel.harness.modalities.text import TextPair
from windtunnel.harness.modalities.words import cut_out, word_spans
from windtunnel.harness.models.python.toy import Words
from windtunnel.probes.attention_rollout import AttentionRollout
from windtunnel.probes.feature_ablation import FeatureAblation
from windtunnel.probes.input_x_gradient import InputXGradient
from windtunnel.probes.integrated_gradients import IntegratedGradients
from windtunnel.probes.kernel_shap import KernelShap
from windtunnel.probes.lime import Lime
from windtunnel.probes.occlusion import Occlusion
from windtunnel.probes.saliency import Saliency
from windtunnel.probes.shapley_value_sampling import ShapleyValueSampling
from windtunnel.tests import tiny
from windtunnel.tests.bag import Bag

LABELS = tuple(tiny.LABELS)
TEXTS = ("the cat sat on a table", "bad films, that were great!", "an able dog in paris and the dog")
GIVEN = [Sample(f"s{i}", text, i % 3, LABELS) for i, text in enumerate(TEXTS)]
RNG = SampleRng(0)
PROBES: dict[str, Callable[[], Any]] = {
    "feature_ablation": FeatureAblation,
    "occlusion": Occlusion,
    "shapley_value_sampling": lambda: ShapleyValueSampling(permutations=3),
    "kernel_shap": lambda: KernelShap(subsets=20),
    "lime": lambda: Lime(subsets=20),
    "input_x_gradient": InputXGradient,
    "saliency": Saliency,
    "integrated_gradients": lambda: IntegratedGradients(steps=8, max_steps=8),
    "attention_rollout": AttentionRollout,
}


def engine_of(model: Any) -> Engine:
    return Engine(model, ModelInfo({"classify": {"text", "pair"}}, {"gradients"}))


def drawn(number: int) -> SampleRng:
    return SampleRng("noise", RNG.seed(""), number)


@functools.cache
def moved(name: str, number: int) -> Any:
    """The model, only to be asked, with noise in its embedding table, but for special tokens."""
    model = tiny.load(name)
    table = model.module.get_input_embeddings().weight
    with torch.no_grad():
        for place in set(range(len(table))) - set(model.tokenizer.all_special_ids):
            radius = RADIUS * float(table[place].max() - table[place].min())
            table[place] += torch.from_numpy(drawn(number)(str(place)).uniform(-radius, radius, table.shape[1])).float()
    return model


def largest_change(own: Sequence[float], copies: Sequence[Sequence[float]]) -> float:
    return max(float(np.linalg.norm(np.subtract(copy, own)) / np.linalg.norm(own)) for copy in copies)


@pytest.mark.parametrize("name", PROBES)
def test_as_on_models_with_another_embedding_table(name: str) -> None:
    make = PROBES[name]
    records = make_probe_records(engine_of(tiny.shared("bert")), "p(t)", make(), RNG, GIVEN, ["max_sensitivity"])
    own = make().attribute(engine_of(tiny.shared("bert")), GIVEN)
    asked = [Sample(s.id, s.input, a.target, LABELS) for s, a in zip(GIVEN, own, strict=True)]
    probe = make()
    probe.target = "gold"
    copies = [probe.attribute(engine_of(moved("bert", number)), asked) for number in range(NUM_COPIES)]
    for i, record in enumerate(records):
        expected = largest_change(own[i].values, [copy[i].values for copy in copies])
        assert record.scores["max_sensitivity"] == pytest.approx(expected, rel=1e-4)
        assert expected > 1e-3
        assert record.scores["max_sensitivity_random"] is not None


def test_ablation_by_plain_calls() -> None:
    """A forward pass a text, none of the harness's."""

    def fall(model: Any, text: str, target: int) -> list[float]:
        shown = [text, *(cut_out(text, [span]) for span in word_spans(text))]
        with torch.no_grad():
            full, *rest = (float(model.module(**model.tokenizer(s, return_tensors="pt")).logits[0, target]) for s in shown)
        return [full - value for value in rest]

    plain, others = tiny.load("bert"), [moved("bert", number) for number in range(NUM_COPIES)]
    records = make_probe_records(engine_of(tiny.load("bert")), "p(t)", FeatureAblation(), RNG, GIVEN, ["max_sensitivity"])
    for text, record in zip(TEXTS, records, strict=True):
        target = record.artifacts["attribution"]["target"]
        expected = largest_change(fall(plain, text, target), [fall(other, text, target) for other in others])
        assert record.scores["max_sensitivity"] == pytest.approx(expected, rel=1e-4)


def test_of_a_continuation() -> None:
    """Of a language model the sample's own tokens have noise, those of the frame and the continuation have none."""
    task: Any = type("Cloze", (), {"requires": frozenset({"loglikelihood", "text"}), "primary": "acc"})()
    task.requests = lambda s: [LogLikelihood(f"Read {s.input}", f" {s.target}")]
    given = [Sample("a", "the cat sat", "great films"), Sample("b", "a dog", "bad")]
    engine = tiny.engine("llama")
    engine.info = ModelInfo({"loglikelihood": {"text"}}, {"gradients"})
    for record in make_language_records(engine, "p(t)", task, FeatureAblation(), RNG, given, ["max_sensitivity"]):
        assert float(record.scores["max_sensitivity"] or 0) > 1e-3
    port = ContinuationPort(engine, Frame("Read "))
    asked = Classify("the cat sat", (" great films",))
    noisy, plain = NoisyPort(port, drawn(0)), port.run([asked])[0]
    (answer,) = noisy.run([asked])
    assert answer.num_tokens == plain.num_tokens
    assert answer.values != plain.values
    with noisy.differentiable() as net, port.differentiable() as clean:
        change_LD = (net.encode([asked]).features - clean.encode([asked]).features)[0]
        spans = clean.encode([asked]).spans[0]
    assert {span == (0, 0) for span in spans} == {True, False}
    for change_D, span in zip(change_LD, spans, strict=True):
        assert (float(change_D.abs().max()) > 0) == (tuple(span) != (0, 0))


class TestPort:
    def logits(self, port: Any, *shown: Input) -> np.ndarray:
        return np.array([answer.values for answer in port.run([Classify(value, LABELS) for value in shown])])

    @pytest.mark.parametrize("name", ["bert", "roberta", "albert", "fnet"])
    def test_a_token_is_moved_alike_wherever_it_stands(self, name: str) -> None:
        port = NoisyPort(engine_of(tiny.shared(name)), drawn(0))
        with port.differentiable() as net, engine_of(tiny.shared(name)).differentiable() as plain:
            shown = [Classify(text, LABELS) for text in ("a dog, the dog", "a dog the dog", "dog", "the dog a")]
            shown.append(Classify(TextPair("the dog", "a dog"), LABELS))
            changes: dict[int, list[torch.Tensor]] = {}
            clean, noisy = plain.encode(shown), net.encode(shown)
            for row, own in enumerate(clean.spans):
                for column, span in enumerate(own):
                    change = (noisy.features - clean.features)[row, column]
                    if tuple(span) == (0, 0):
                        assert float(change.abs().max()) == 0
                    else:
                        value = clean.features[row, column]
                        assert 0 < float(change.abs().max()) <= RADIUS * float(value.max() - value.min()) * (1 + 1e-4)
                        changes.setdefault(int(clean.extra["input_ids"][row, column]), []).append(change)
        for own in changes.values():
            for other in own[1:]:
                torch.testing.assert_close(other, own[0])
        assert max(len(own) for own in changes.values()) >= 5

    def test_a_model_without_numbers_for_its_tokens(self) -> None:
        """There a token is known by its text."""
        with NoisyPort(Engine(Bag(), Bag.info), drawn(0)).differentiable() as net, Engine(Bag(), Bag.info).differentiable() as plain:
            shown = [Classify(text, ()) for text in ("dog cat", "the dog")]
            change = net.encode(shown).features - plain.encode(shown).features
        torch.testing.assert_close(change[0, 1], change[1, 2])
        assert float((change[0, 1] - change[0, 2]).abs().max()) > 1e-3

    def test_answers_are_those_of_a_moved_table(self) -> None:
        port, other = NoisyPort(engine_of(tiny.shared("bert")), drawn(3)), engine_of(moved("bert", 3))
        shown = [*TEXTS, TextPair("the cat", "a table"), "the", TEXTS[0]]
        np.testing.assert_allclose(self.logits(port, *shown), self.logits(other, *shown), atol=1e-5)

    def test_no_answer_is_kept_for_the_model_itself(self) -> None:
        engine = engine_of(tiny.load("bert"))
        before = self.logits(engine, TEXTS[0])
        noisy = [self.logits(NoisyPort(engine, drawn(number)), *TEXTS) for number in (0, 0, 1)]
        np.testing.assert_array_equal(noisy[0], noisy[1])
        assert float(np.abs(noisy[0] - noisy[2]).max()) > 1e-3
        assert float(np.abs(noisy[0][0] - before[0]).max()) > 1e-3
        fresh = self.logits(engine_of(tiny.load("bert")), *TEXTS)
        np.testing.assert_allclose(self.logits(engine, *TEXTS), fresh, atol=1e-6)

    def test_one_request_fails_alone(self) -> None:
        port = NoisyPort(engine_of(tiny.shared("bert")), drawn(0))
        first, failed, last = port.try_run([Classify(text, LABELS) for text in (TEXTS[0], "a \ud800 dog", TEXTS[1])])
        assert isinstance(failed, Failure)
        assert "surrogate" in failed.error
        np.testing.assert_allclose([first.values, last.values], self.logits(port, TEXTS[0], TEXTS[1]), atol=1e-5)

    def test_texts_share_passes(self) -> None:
        engine = engine_of(tiny.load("bert"))
        NoisyPort(engine, drawn(0)).run([Classify(f"{text} {i % 2}", LABELS) for text in TEXTS for i in range(20)])
        assert engine.counters.gradient_passes == 1
        assert engine.counters.tokens_computed < 80, "equal requests are one"


def test_a_black_box_goes_without() -> None:
    class Same(Words):
        def classify(self, batch: Sequence[Classify]) -> list[Logits]:
            return [Logits((0.0, float(len(str(r.input))))) for r in batch]

    given = [Sample(s.id, s.input, 1, ("negative", "positive")) for s in GIVEN]
    for record in make_probe_records(Engine(Same(), Same.info), "p(t)", FeatureAblation(), RNG, given, ["max_sensitivity"]):
        assert record.scores["max_sensitivity"] is None
