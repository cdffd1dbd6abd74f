"""GCG on a tiny random Llama, and the gradients that it follows against autograd by hand and finite differences."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from transformers import AutoModelForCausalLM, PreTrainedTokenizerFast
from windtunnel.attacks.lm.gcg import GCG, decode_after
from windtunnel.attacks.lm.random_search import RandomSearch
from windtunnel.harness.api.requests import Generate, LogLikelihood
from windtunnel.harness.api.samples import Sample, SampleRng
from windtunnel.harness.modalities.chat import Chat, Message
from windtunnel.harness.models.hf.source import HuggingFace
from windtunnel.harness.threats import SuffixBudget
from windtunnel.tests import tiny

REQUESTS = [
    LogLikelihood("the cat sat on", " the table and"),
    LogLikelihood("a", " dog"),
    LogLikelihood("unable to read the good films", " that were great"),
]
CHAT = Chat((Message("user", "the cat"),))


class Sent:
    """A task that sends a sample's prompt in a frame: as plain text, or as a chat."""

    def __init__(self, before: str = "", after: str = "", system: str = "") -> None:
        self.before, self.after, self.system = before, after, system

    def requests(self, sample: Sample) -> list[Generate]:
        text = f"{self.before}{sample.input}{self.after}"
        return [Generate(Chat((Message("system", self.system), Message("user", text))) if self.system else text, 1)]


FRAMES = {
    "plain": Sent(),
    "header and question mark": Sent("the dog sat. her film, a table. ", " ?"),
    "system message": Sent("", "", "stop here"),
    "both": Sent("the dog: ", "! The end.", "stop here"),
}


def engine(name: str = "llama", task: Sent | None = FRAMES["plain"]) -> Any:
    """With the task that is attacked; None: nobody says how a prompt is sent."""
    made = tiny.engine(name)
    made.info, made.task = HuggingFace(str(tiny.checkpoint(name))).inspect(), task
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
    attack = GCG(steps=40, candidates=48, top_k=64, length=6)
    twins = attack.perturb(its, SAMPLES, attack.threat, SampleRng(0))
    said = its.run([Generate(twin.input, 1) for twin in twins])
    for twin, clean, answer in zip(twins, SAMPLES, said, strict=True):
        assert twin.metadata["target_reached"]
        assert answer.text == " dog"
        assert attack.threat.admits(clean, twin)
        assert twin.metadata["num_queries"] > len(twin.metadata["losses"])


def test_the_gradient_finds_better_swaps_than_chance() -> None:
    """One round, from the same start: the best of the gradient's swaps against the best of as many from all tokens."""

    def gain(top_k: int) -> float:
        attack = GCG(steps=1, candidates=48, top_k=top_k, length=6)
        twins = attack.perturb(engine(), SAMPLES, attack.threat, SampleRng(0))
        return sum(twin.metadata["losses"][0] - twin.metadata["losses"][1] for twin in twins)

    assert gain(24) > gain(10_000)


@pytest.mark.parametrize("frame", FRAMES)
@pytest.mark.parametrize("make", [lambda: GCG(steps=3, candidates=16, length=4), lambda: RandomSearch(steps=3, length=6)])
def test_what_is_optimised_is_what_the_task_sends(frame: str, make: Any) -> None:
    """The loss that the attack saw is that of the twin's own request, asked alone by an engine that knows of no attack."""
    its, attack = engine(task=FRAMES[frame]), make()
    for twin, clean in zip(attack.perturb(its, SAMPLES, attack.threat, SampleRng(0)), SAMPLES, strict=True):
        (sent,) = FRAMES[frame].requests(twin)
        assert attack.threat.admits(clean, twin)
        assert len(twin.metadata["losses"]) == 4 or twin.metadata["target_reached"], "each round had swaps read as meant"
        (loss,) = engine(task=None).run([LogLikelihood(sent.prompt, " dog")])
        assert -loss.value / loss.num_tokens == pytest.approx(twin.metadata["target_loss"], abs=1e-5)


def test_candidates_are_read_as_the_tokens_that_were_meant() -> None:
    """Each suffix that is asked, read within the whole prompt, differs from the round's own in exactly one token."""
    its = engine(task=FRAMES["header and question mark"])
    asked: list[list[list[int]]] = []
    run = its.try_run

    def listening(requests: Any) -> Any:
        asked.append([its.model.scored(request).ids for request in requests])
        return run(requests)

    its.try_run = listening
    attack = GCG(steps=4, candidates=32, length=4)
    (twin,) = attack.perturb(its, SAMPLES[:1], attack.threat, SampleRng(0))
    assert "stopped" not in twin.metadata
    assert len(asked) > 2
    current = asked[0][0]
    for tried in asked[1:]:
        places = [[i for i, (a, b) in enumerate(zip(current, ids, strict=True)) if a != b] for ids in tried]
        assert all(len(place) == 1 for place in places)
        losses = [-answer.value for answer in run([LogLikelihood(its.model.tokenizer.decode(ids[:-1]), " dog") for ids in tried])]
        current = tried[losses.index(min(losses))]


def test_one_round_is_a_plain_loops_in_double_precision() -> None:
    """The loss of each suffix, the tokens that may stand in each place, and the swap that the next round starts from."""
    task = FRAMES["header and question mark"]
    its, top_k = engine(task=task), 12
    asked: list[list[int]] = []
    run = its.try_run

    def listening(requests: Any) -> Any:
        asked.extend(its.model.scored(request).ids for request in requests)
        return run(requests)

    its.try_run = listening
    (twin,) = GCG(steps=1, candidates=40, top_k=top_k, length=4).perturb(its, SAMPLES[:1], SuffixBudget(), SampleRng(0))
    start, *tried = asked
    module = AutoModelForCausalLM.from_pretrained(tiny.checkpoint("llama"), dtype=torch.float64).eval()
    tokenizer = its.model.tokenizer
    weight = module.get_input_embeddings().weight.detach()

    def loss(embeddings: torch.Tensor, target: int) -> torch.Tensor:
        return -module(inputs_embeds=embeddings[None]).logits[0, -1].log_softmax(-1)[target]

    one_hot = torch.nn.functional.one_hot(torch.tensor(start[:-1]), len(weight)).double().requires_grad_(True)
    (slope,) = torch.autograd.grad(loss(one_hot @ weight, start[-1]), one_hot)
    texts = [tokenizer.decode([token]) for token in range(len(weight))]
    allowed = [
        token for token, text in enumerate(texts)
        if text.strip() and text.isascii() and text.isprintable() and token not in tokenizer.all_special_ids
    ]  # fmt: skip
    swaps = [next((i, b) for i, (a, b) in enumerate(zip(start, ids, strict=True)) if a != b) for ids in tried]
    best = {place: sorted(allowed, key=lambda token: float(slope[place, token]))[:top_k] for place, _ in swaps}
    assert len(best) > 3
    assert all(token in best[place] for place, token in swaps)
    losses = [float(loss(weight[torch.tensor(ids[:-1])], ids[-1]).detach()) for ids in (start, *tried)]
    assert twin.metadata["losses"] == pytest.approx([losses[0], min(losses[1:])], abs=1e-5)
    if min(losses[1:]) < losses[0]:
        (sent,) = task.requests(twin)
        assert its.model.scored(LogLikelihood(sent.prompt, " dog")).ids == tried[losses[1:].index(min(losses[1:]))]


def test_a_suffix_keeps_the_space_that_a_vocabulary_drops_at_the_beginning() -> None:
    """Sentencepiece writes a space into its tokens and drops the first one of a text: behind another token it must stay."""
    made = Tokenizer(models.WordLevel({"▁the": 0, "▁cat": 1, "▁!": 2, "?": 3}))
    made.pre_tokenizer, made.decoder = pre_tokenizers.Metaspace(), decoders.Metaspace()
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=made)
    assert tokenizer.decode([2, 3]) == "!?"
    assert decode_after(tokenizer, [0, 1], [2, 3]) == " !?"
    assert decode_after(tokenizer, [], [2, 3]) == "!?"


def test_candidates_share_what_stands_before_them() -> None:
    """All candidates of a round go into one forest: the prompt before the suffix is computed once for all, not once for each."""
    header = "the cat sat on a table and was able to read good films that were great. "
    its = engine(task=Sent(header))
    attack = GCG(steps=1, candidates=32, length=4)
    attack.perturb(its, SAMPLES[:1], attack.threat, SampleRng(0))
    num_header = len(its.model.prompt_ids(header.rstrip()))
    assert num_header > 15
    num_asked = its.counters.requests
    assert num_asked > 20
    assert its.counters.tokens_shared >= (num_asked - 2) * num_header, "all but the first of each of the two calls"
    assert its.counters.tokens_computed < num_asked * num_header


def test_gcg_in_the_chat_template() -> None:
    """Where no task says how, a chat model is asked in its template."""
    its = engine(task=None)
    attack = GCG(steps=3, candidates=16, length=4)
    twins = attack.perturb(its, SAMPLES, attack.threat, SampleRng(0))
    for twin, clean in zip(twins, SAMPLES, strict=True):
        assert twin.input.startswith(clean.input)  # type: ignore[union-attr]
        (loss,) = its.run([LogLikelihood(Chat((Message("user", twin.input),)), " dog")])  # type: ignore[arg-type]
        assert -loss.value / loss.num_tokens == pytest.approx(twin.metadata["target_loss"], abs=1e-5)


@pytest.mark.parametrize("attack", [GCG(steps=3, candidates=16, length=4), RandomSearch(steps=3, length=6)])
def test_neither_order_nor_company_changes_a_twin(attack: Any) -> None:
    def inputs(samples: list[Sample]) -> dict[str, Any]:
        return {twin.id: twin.input for twin in attack.perturb(engine(), samples, attack.threat, SampleRng(3))}

    together = inputs(SAMPLES)
    assert inputs(SAMPLES[::-1]) == together
    assert {s.id: inputs([s])[s.id] for s in SAMPLES} == together
