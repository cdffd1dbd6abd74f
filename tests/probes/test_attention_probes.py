"""Attention and its rollout against a plain loop over what transformers gives for ``output_attentions``, one sample at a time."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import transformers
from windtunnel.harness.api.errors import CapabilityError, ConfigError
from windtunnel.harness.api.model import ModelInfo
from windtunnel.harness.api.requests import Classify
from windtunnel.harness.api.samples import Sample, SampleRng
from windtunnel.harness.engine import Engine
from windtunnel.harness.engine.packing import Budget
from windtunnel.harness.items.probe.records import make_probe_records
from windtunnel.harness.modalities.image import Image
from windtunnel.harness.modalities.text import TextPair
from windtunnel.harness.models.hf.source import HuggingFace
from windtunnel.harness.models.python.toy import Words
from windtunnel.probes.attention import Attention
from windtunnel.probes.attention_rollout import AttentionRollout
from windtunnel.probes.positions import place_values
from windtunnel.tests import tiny
from windtunnel.tests.bag import Bag

LABELS = tuple(tiny.LABELS)
TEXTS = ("the cat sat on a table", "bad films, that were great!", "unable", "it's an able dog and a table", "that cat sat on one table")
PAIRS = (TextPair("the cat sat", "bad films that were great"), TextPair("fine", "a dog"))


def samples(inputs: Sequence[Any] = TEXTS) -> list[Sample]:
    return [Sample(f"s{i}", value, i % 3, LABELS) for i, value in enumerate(inputs)]


def images(size: int = 32) -> list[Sample]:
    draws = np.random.default_rng(1)
    return samples([Image(draws.random((size, size, 3), dtype=np.float32)) for _ in range(3)])


def engine_of(name: str, rows: int = 64) -> Engine:
    return Engine(tiny.shared(name), ModelInfo({}), budget=Budget(1 << 20, rows))


def layers(name: str, sample: Sample) -> list[np.ndarray]:
    """Each layer's map [L, L], averaged over heads in float64, of the sample alone in a copy with plain attention."""
    adapter = tiny.shared(name)
    module = copy.deepcopy(adapter.module)
    module.config._attn_implementation = "eager"
    if isinstance(sample.input, Image):
        pixels = torch.tensor(np.asarray(sample.input.pixels)).permute(2, 0, 1)[None]
        given = {"pixel_values": (pixels - adapter._mean) / adapter._std}
    else:
        texts = (sample.input.first, sample.input.second) if isinstance(sample.input, TextPair) else (sample.input,)
        given = dict(adapter.tokenizer(*texts, return_tensors="pt"))
    with torch.no_grad():
        maps = module(**given, output_attentions=True).attentions
    return [a[0].double().mean(0).numpy() for a in maps]


def rolled(maps: Sequence[np.ndarray], residual: float = 0.5) -> np.ndarray:
    whole = np.eye(len(maps[0]))
    for one in maps:
        whole = (residual * np.eye(len(one)) + (1 - residual) * one) @ whole
    return whole


def expected(name: str, sample: Sample, row: np.ndarray) -> np.ndarray:
    if isinstance(sample.input, Image):
        patches = row[1:].reshape(4, 4)
        return np.array([[patches[y // 8, x // 8] for x in range(32)] for y in range(32)])
    spans = tiny.shared(name).encode([Classify(sample.input, LABELS)]).spans[0]
    return place_values(sample.input, row, spans, None, "embeddings")[0]


CASES = [("bert", TEXTS), ("bert", PAIRS), ("roberta", TEXTS), ("gpt2_classifier", TEXTS), ("vit", ())]


@pytest.mark.filterwarnings("ignore")  # transformers 4 warns where it falls back to plain attention
@pytest.mark.parametrize(("name", "inputs"), CASES)
class TestAgainstALoop:
    def given(self, inputs: Sequence[Any]) -> list[Sample]:
        return samples(inputs) if inputs else images()

    def test_attention(self, name: str, inputs: Sequence[Any]) -> None:
        for layer in (-1, 0):
            for sample, found in zip(
                self.given(inputs), Attention(layer=layer).attribute(engine_of(name), self.given(inputs)), strict=True
            ):
                row = layers(name, sample)[layer][-1 if name.startswith("gpt2") else 0]
                np.testing.assert_allclose(found.values, expected(name, sample, row), rtol=1e-5, atol=1e-8)
                patch = 64 if name == "vit" else 1
                assert float(found.values.sum()) / patch + found.metadata.get("on_special_tokens", 0) == pytest.approx(1, abs=1e-5)

    def test_rollout(self, name: str, inputs: Sequence[Any]) -> None:
        for residual in (0.5, 0.0):
            probe = AttentionRollout(residual=residual)
            for sample, found in zip(self.given(inputs), probe.attribute(engine_of(name), self.given(inputs)), strict=True):
                row = rolled(layers(name, sample), residual)[-1 if name.startswith("gpt2") else 0]
                np.testing.assert_allclose(found.values, expected(name, sample, row), rtol=1e-5, atol=1e-8)


@pytest.mark.parametrize("make", [Attention, AttentionRollout])
class TestBoth:
    def test_neither_order_nor_company_counts(self, make: Any) -> None:
        for name, given in (("bert", samples()), ("vit", images())):
            together = make().attribute(engine_of(name), given)
            narrow = list(make().attribute(engine_of(name, rows=2), given[::-1]))[::-1]
            for a, b in zip(together, narrow, strict=True):
                np.testing.assert_allclose(a.values, b.values, rtol=1e-5)

    def test_all_samples_share_a_pass(self, make: Any) -> None:
        engine = engine_of("bert")
        make(target="gold").attribute(engine, samples())
        assert engine.counters.gradient_passes == 1
        assert engine.counters.tokens_computed == sum(len(tiny.shared("bert").tokenizer(t)["input_ids"]) for t in TEXTS)

    def test_the_model_is_as_before(self, make: Any) -> None:
        engine = engine_of("bert")
        config = tiny.shared("bert").module.config
        before = config._attn_implementation
        answers = engine.run([Classify(t, LABELS) for t in TEXTS])
        make().attribute(engine, samples())
        assert config._attn_implementation == before != "eager"
        assert engine_of("bert").run([Classify(t, LABELS) for t in TEXTS]) == answers

    def test_after_a_crash_too(self, make: Any, monkeypatch: pytest.MonkeyPatch) -> None:
        module = tiny.shared("bert").module
        before = module.config._attn_implementation

        def cut(*args: Any, **options: Any) -> None:
            assert module.config._attn_implementation == "eager"
            raise RuntimeError("power cut")

        monkeypatch.setattr(module.classifier, "forward", cut)
        with pytest.raises(RuntimeError, match="power cut"):
            make(target="gold").attribute(engine_of("bert"), samples())
        assert module.config._attn_implementation == before
        assert not any(m._forward_hooks for m in module.modules())

    def test_records_have_scores_and_controls(self, make: Any) -> None:
        records = make_probe_records(
            Engine(tiny.load("bert"), ModelInfo({}, {"gradients"})),
            "p(t)",
            make(),
            SampleRng(0),
            samples([*TEXTS, ""]),
            ["erasure", "max_sensitivity"],
        )
        assert [r.error is None for r in records] == [True] * 5 + [False]
        assert records[0].scores["comprehensiveness"] is not None
        assert records[0].scores["max_sensitivity"] is not None

    def test_a_model_without_attention(self, make: Any) -> None:
        with pytest.raises(CapabilityError, match="attention"):
            make().attribute(Engine(Bag(), Bag.info), [Sample("a", "a good film", 0, ("negative", "positive"))])

    def test_no_samples(self, make: Any) -> None:
        assert make().attribute(engine_of("bert"), []) == []


def test_bad_settings() -> None:
    with pytest.raises(ConfigError, match="2 layers"):
        Attention(layer=2).attribute(engine_of("bert"), samples())
    with pytest.raises(ConfigError, match="residual"):
        AttentionRollout(residual=1)


@pytest.mark.parametrize(
    ("config", "architecture", "attends"),
    [
        (transformers.BertConfig, "BertForSequenceClassification", True),
        (transformers.ViTConfig, "ViTForImageClassification", True),
        (transformers.SwinConfig, "SwinForImageClassification", False),
        (transformers.ResNetConfig, "ResNetForImageClassification", False),
        (transformers.T5Config, "T5ForSequenceClassification", False),
        (transformers.BertConfig, "BertForMaskedLM", False),
        (transformers.LlamaConfig, "LlamaForCausalLM", True),
        (transformers.MambaConfig, "MambaForCausalLM", False),
    ],
)
def test_attention_is_claimed_where_there_is_any(config: Any, architecture: str, attends: bool, tmp_path: Path) -> None:
    config(architectures=[architecture]).save_pretrained(tmp_path)
    for name in ("model.safetensors", "tokenizer.json"):
        (tmp_path / name).touch()
    assert ("attention" in HuggingFace(str(tmp_path)).inspect().features) == attends
    assert "attention" not in Words.info.features
