"""GCG on a tiny random Llama, and the gradients that it follows against autograd by hand and finite differences."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from windtunnel.attacks.lm.gcg import GCG
from windtunnel.attacks.lm.random_search import RandomSearch
from windtunnel.harness.inputs import Chat, Message
from windtunnel.harness.models.hf import HuggingFace
from windtunnel.harness.requests import Generate, LogLikelihood
from windtunnel.harness.samples import Sample, SampleRng
from windtunnel.tests import tiny

REQUESTS = [
    LogLikelihood("the cat sat on", " the table and"),
    LogLikelihood("a", " dog"),
    LogLikelihood("unable to read the good films", " that were great"),
]
CHAT = Chat((Message("user", "the cat"),))


def engine(name: str = "llama", **settings: Any) -> Any:
    made = tiny.engine(name)
    made.info = HuggingFace(str(tiny.checkpoint(name))).inspect()
    return made


@pytest.mark.parametrize("name", ["llama", "gpt2"])
def test_the_differentiable_pass_is_the_engines(name: str) -> None:
    its = engine(name)
    requests = [*REQUESTS, LogLikelihood(CHAT, " dog")] if name == "llama" else REQUESTS
    with its.differentiable() as net:
        encoded = net.encode(requests)
        values = net.logits(encoded.features, encoded).sum(1).tolist()
        rows = torch.tensor([1, 1, 0])
        again = net.logits(encoded.features[rows], encoded, rows).sum(1).tolist()
    expected = [answer.value for answer in its.run(requests)]
    assert values == pytest.approx(expected, abs=1e-4)
    assert again == pytest.approx([expected[1], expected[1], expected[0]], abs=1e-4)


@pytest.mark.parametrize("name", ["llama", "gpt2"])
def test_the_gradient_is_autograds_over_one_hot_tokens(name: str) -> None:
    its = engine(name)
    with its.differentiable() as net:
        encoded = net.encode(REQUESTS)
        features = encoded.features.clone().requires_grad_(True)
        (gradient,) = torch.autograd.grad(net.logits(features, encoded).sum(), features)
        weight = net.module.get_input_embeddings().weight.detach()
        for row, request in enumerate(REQUESTS):
            # By hand: one request, no padding, the one-hot matrix as the leaf.
            unit = its.model.scored(request)
            ids = torch.tensor(unit.ids)
            one_hot = torch.nn.functional.one_hot(ids[:-1], len(weight)).float().requires_grad_(True)
            logits = net.module(inputs_embeds=(one_hot @ weight)[None], use_cache=False).logits[0, -unit.num_scored :]
            value = logits.log_softmax(-1).gather(1, ids[-unit.num_scored :, None]).sum()
            (by_hand,) = torch.autograd.grad(value, one_hot)
            assert torch.allclose(gradient[row, : len(ids) - 1] @ weight.T, by_hand, atol=1e-4)
        assert float(gradient[1, len(its.model.scored(REQUESTS[1]).ids) - 1 :].abs().max()) == 0, "nothing comes from padding"


def test_the_gradient_is_the_slope() -> None:
    with engine().differentiable() as net:
        encoded = net.encode(REQUESTS[:1])
        features = encoded.features.clone().requires_grad_(True)
        (gradient,) = torch.autograd.grad(net.logits(features, encoded).sum(), features)
        direction = torch.from_numpy(np.random.default_rng(0).standard_normal(features.shape)).float()
        step = 1e-3
        with torch.no_grad():
            up, down = (net.logits(features + sign * step * direction, encoded).double().sum() for sign in (1, -1))
        assert float((up - down) / (2 * step)) == pytest.approx(float((gradient * direction).sum()), rel=2e-2)


@pytest.mark.parametrize("context", ["the cat sat !! !", Chat((Message("system", "the cat"), Message("user", "the cat sat !! !")))])
def test_spans_are_places_in_the_prompt(context: Any) -> None:
    its = engine()
    prompt = "the cat sat !! !"
    with its.differentiable() as net:
        encoded = net.encode([LogLikelihood(context, " dog")])
    ids = encoded.extra["input_ids"][0].tolist()
    found = [(a, b, i) for (a, b), i in zip(encoded.spans[0], ids, strict=True) if b > a]
    covered = sorted(place for a, b, _ in found for place in range(a, b))
    assert covered == [place for place, letter in enumerate(prompt) if letter != " " or place in covered]
    for a, b, token in found:
        assert its.model.tokenizer.decode([token]).strip() == prompt[a:b].strip()


SAMPLES = [
    Sample(f"s{i}", f"{word} sat", metadata={"harmful": True, "target": " dog"}) for i, word in enumerate(("the cat", "a dog", "her film"))
]


def test_gcg_makes_the_model_say_it() -> None:
    its = engine()
    attack = GCG(steps=40, candidates=48, top_k=64, length=6, chat=False)
    twins = attack.perturb(its, SAMPLES, attack.threat, SampleRng(0))
    said = its.run([Generate(twin.input, 1) for twin in twins])
    for twin, clean, answer in zip(twins, SAMPLES, said, strict=True):
        assert twin.metadata["target_reached"]
        assert answer.text == " dog"
        assert attack.threat.admits(clean, twin)
        assert twin.metadata["num_queries"] > len(twin.metadata["losses"])
    assert its.counters.tokens_shared > 0, "candidates share the prompt before them"


def test_the_gradient_finds_better_swaps_than_chance() -> None:
    """One round, from the same start: the best of the gradient's swaps against the best of as many from all tokens."""

    def gain(top_k: int) -> float:
        attack = GCG(steps=1, candidates=48, top_k=top_k, length=6, chat=False)
        twins = attack.perturb(engine(), SAMPLES, attack.threat, SampleRng(0))
        return sum(twin.metadata["losses"][0] - twin.metadata["losses"][1] for twin in twins)

    assert gain(24) > gain(10_000)


def test_gcg_in_the_chat_template() -> None:
    its = engine()
    attack = GCG(steps=3, candidates=16, length=4)
    twins = attack.perturb(its, SAMPLES, attack.threat, SampleRng(0))
    for twin, clean in zip(twins, SAMPLES, strict=True):
        assert twin.input.startswith(clean.input)  # type: ignore[union-attr]
        (loss,) = its.run([LogLikelihood(Chat((Message("user", twin.input),)), " dog")])  # type: ignore[arg-type]
        assert -loss.value / loss.num_tokens == pytest.approx(twin.metadata["target_loss"], abs=1e-5)


@pytest.mark.parametrize("attack", [GCG(steps=3, candidates=16, length=4, chat=False), RandomSearch(steps=3, length=6, chat=False)])
def test_neither_order_nor_company_changes_a_twin(attack: Any) -> None:
    def inputs(samples: list[Sample]) -> dict[str, Any]:
        return {twin.id: twin.input for twin in attack.perturb(engine(), samples, attack.threat, SampleRng(3))}

    together = inputs(SAMPLES)
    assert inputs(SAMPLES[::-1]) == together
    assert {s.id: inputs([s])[s.id] for s in SAMPLES} == together
