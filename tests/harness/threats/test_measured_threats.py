"""Threats that ask models: measured by the harness on all twins at once, whatever the attack says."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from windtunnel.attacks.text.gradient_word_swap import GradientWordSwap
from windtunnel.attacks.text.hotflip import HotFlip
from windtunnel.harness.api.errors import CapabilityError, ConfigError
from windtunnel.harness.api.requests import Classify, Embed, RollingLogLikelihood
from windtunnel.harness.api.responses import Embedding, LogProb
from windtunnel.harness.api.samples import Sample, SampleRng
from windtunnel.harness.results.summarise import summarise
from windtunnel.harness.run.runner import run_plan
from windtunnel.harness.store import FILE_NAME, Store
from windtunnel.harness.threats import EditBudget
from windtunnel.tests import tiny
from windtunnel.tests.toys import planned, records_of, row
from windtunnel.tests.word_hash import WordHash

ENCODER = """
from windtunnel.harness.api.model import ModelInfo
from windtunnel.harness.api.registry import plugin
from windtunnel.harness.api.responses import Embedding, LogProb


class Counts:
    name = fingerprint = "counts"

    def embed(self, batch):
        return [Embedding((1.0, float(r.input.count("bad")) - float(r.input.count("good")))) for r in batch]

    def rolling_loglikelihood(self, batch):
        return [LogProb(-float(1 + r.text.count("bad")) * len(r.text.split()), len(r.text.split())) for r in batch]


@plugin("models", "counts")
class Source:
    def __init__(self, target):
        pass

    def inspect(self):
        return ModelInfo({"embed": {"text"}, "rolling_loglikelihood": {"text"}})

    def load(self, device, dtype):
        return Counts()
"""


def swapped(folder: Path, threat: dict[str, Any] | None = None, roles: dict[str, str] | None = None) -> Any:
    folder.mkdir(exist_ok=True)
    (folder / "counts.py").write_text(ENCODER)
    attack = {"attack": "swap", "roles": roles or {}, **({"threat": {"type": "edits", **threat}} if threat else {})}
    work = planned(
        folder, auxiliary_models=[{"model": "counts:x", "name": "counts"}], attacks=[attack],
        plugins=["toy_plugins.py", str(folder / "counts.py")],
    )  # fmt: skip
    run_plan(work, folder / "run")
    return summarise(folder / "run"), records_of(folder / "run")["words/swap(notes)"]


def test_similarity_and_perplexity_are_rows_where_their_models_are_given(tmp_path: Path) -> None:
    card, records = swapped(tmp_path / "given", roles={"encoder": "counts", "language_model": "counts"})
    flipped = [r for r in records if r.scores["success"] == 1]
    assert flipped
    for record in flipped:
        turned = record.artifacts["twin"].count("bad") != record.artifacts["twin"].count("good")
        assert record.scores["similarity"] == pytest.approx(1 - (math.pi / 2 if turned else 0) / math.pi)
    assert row(card, "swap(notes)", "mean_similarity").estimate.value == pytest.approx(np.mean([r.scores["similarity"] for r in flipped]))
    expected = np.median([r.scores["perplexity_ratio"] for r in flipped])
    assert row(card, "swap(notes)", "median_perplexity_ratio").estimate.value == pytest.approx(expected)
    assert row(card, "swap(notes)", "success_within_10_queries").estimate == row(card, "swap(notes)", "attack_success_rate").estimate
    plain, _ = swapped(tmp_path / "plain")
    assert "mean_similarity" not in {r.name for r in plain.rows}


def test_a_twin_that_means_something_else_is_outside(tmp_path: Path) -> None:
    card, records = swapped(tmp_path / "near", {"min_similarity": 0.6}, {"encoder": "counts"})
    attacked = [r for r in records if r.scores.get("clean_correct") == 1 and "similarity" in r.scores]
    assert {r.scores["outside_threat"] for r in attacked if r.scores["similarity"] < 0.6} == {1.0}
    assert row(card, "swap(notes)", "attack_success_rate").estimate.value == 0
    with pytest.raises(ConfigError, match="needs a model that can embed"):
        swapped(tmp_path / "nobody", {"min_similarity": 0.6})


def attack_facts(run: Path) -> Any:
    with closing(Store.open(run / FILE_NAME, readonly=True)) as store:
        return next(item.facts for item in store.items() if item.kind == "attack")


def test_word_data_of_a_threat_is_looked_for_and_is_part_of_the_run(tmp_path: Path) -> None:
    tags = tmp_path / "tags.json"
    threat = {"same_part_of_speech": True, "tagger": str(tags)}
    with pytest.raises(CapabilityError, match=r"tags\.json is missing .* windtunnel prefetch"):
        swapped(tmp_path / "missing", threat)
    tags.write_text(json.dumps({"bad": "ADJ", "good": "ADJ"}))
    _, alike = swapped(tmp_path / "alike", threat)
    tags.write_text(json.dumps({"bad": "ADJ", "good": "NOUN"}))
    _, apart = swapped(tmp_path / "apart", threat)
    _, free = swapped(tmp_path / "free")
    assert [r.scores for r in alike] == [r.scores for r in free]
    attacked = [r for r in apart if r.scores.get("clean_correct") == 1]
    assert attacked
    assert all(r.scores["outside_threat"] == (r.scores["words_changed"] > 0) for r in attacked)
    facts, others = (attack_facts(tmp_path / name / "run") for name in ("alike", "apart"))
    assert facts["threat"] == others["threat"]
    assert "folder" not in facts["threat"]
    assert facts["identity"]["word data"] != others["identity"]["word data"]


def test_similarity_is_one_minus_the_angle_over_pi() -> None:
    vectors = {"a": (1.0, 0.0), "b": (1.0, 1.0), "c": (-2.0, 0.0)}

    class Encoder(WordHash):
        def try_run(self, requests: Sequence[Any], /) -> list[Any]:
            return [Embedding(vectors[r.input]) if isinstance(r, Embed) else LogProb(-3.0, 2) for r in requests]

    engine = WordHash(roles={"encoder": Encoder(), "language_model": Encoder()})
    pairs = [(Sample("x", "a"), Sample("x", other)) for other in "abc"]
    found = EditBudget().measure(engine, pairs)
    assert [numbers["similarity"] for numbers in found] == pytest.approx([1, 0.75, 0])
    assert {numbers["perplexity"] for numbers in found} == {math.exp(1.5)}
    assert {numbers["perplexity_ratio"] for numbers in found} == {1.0}


def test_a_language_model_s_perplexity_is_of_its_own_tokens() -> None:
    engine = WordHash(roles={"language_model": tiny.engine("gpt2")})
    (numbers,) = EditBudget().measure(engine, [(Sample("x", "the cat sat"), Sample("x", "the dog sat"))])
    before, after = tiny.engine("gpt2").run([RollingLogLikelihood("the cat sat"), RollingLogLikelihood("the dog sat")])
    assert numbers["perplexity"] == pytest.approx(math.exp(-after.value / after.num_tokens))
    assert numbers["perplexity_ratio"] == pytest.approx(math.exp(before.value / before.num_tokens - after.value / after.num_tokens))


@pytest.mark.parametrize(
    "attack", [HotFlip(max_words=None), GradientWordSwap(max_words=None, min_cosine=-1.0)], ids=["hotflip", "gradient_word_swap"]
)
def test_only_what_the_encoder_finds_alike_is_asked(attack: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    class ByLength:
        num_calls = 0

        def run(self, requests: Sequence[Embed]) -> list[Embedding]:
            self.num_calls += 1
            return [Embedding((20.0, float(len(str(request.input))))) for request in requests]

    engine, encoder = tiny.engine("bert"), ByLength()
    engine.roles = {"encoder": encoder}  # type: ignore[dict-item]
    texts = ("the cat sat on a table", "bad films that were great, awful fine", "Her young dog in Paris", "able to read good films!")
    labels, asked = tuple(tiny.LABELS), set[str]()
    answers = engine.run([Classify(text, labels) for text in texts])
    samples = [Sample(text, text, int(np.argmax(a.values)), labels) for text, a in zip(texts, answers, strict=True)]
    outer = engine.run
    monkeypatch.setattr(engine, "run", lambda requests: (asked.update(r.input for r in requests), outer(requests))[1])
    threat = EditBudget(min_similarity=0.995)

    def far(text: str) -> bool:
        pairs = [(sample, Sample(sample.id, text)) for sample in samples]
        return not any(threat.admits(*pair, numbers) for pair, numbers in zip(pairs, threat.measure(engine, pairs), strict=True))

    attack.perturb(engine, samples, EditBudget(), SampleRng("test", 0))
    assert encoder.num_calls == 0
    assert any(map(far, asked))
    asked.clear()
    twins = attack.perturb(engine, samples, threat, SampleRng("test", 0))
    assert 0 < encoder.num_calls <= 60, "of many searches together"
    assert asked
    assert not any(map(far, asked))
    measured = threat.measure(engine, list(zip(samples, twins, strict=True)))
    assert all(threat.admits(s, t, m) for s, t, m in zip(samples, twins, measured, strict=True))
    assert any(s.input != t.input for s, t in zip(samples, twins, strict=True))
