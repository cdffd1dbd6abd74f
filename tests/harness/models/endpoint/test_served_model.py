"""The same weights behind an endpoint and as a checkpoint: equal texts, tokens and log-likelihoods."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import torch

pytest.importorskip("openai")
pytest.importorskip("tenacity")

from windtunnel.harness.api.requests import Generate, LogLikelihood, RollingLogLikelihood
from windtunnel.harness.api.responses import Failure, ServedLogProb
from windtunnel.harness.engine import Engine
from windtunnel.harness.models.endpoint import asking
from windtunnel.harness.models.endpoint.source import OpenAI
from windtunnel.tests import tiny
from windtunnel.tests.endpoint_server import Call, Server, serve

CAUSAL = ("gpt2", "llama")
PROMPTS = ("the cat", "a young dog sat", "The end.", "on a table the", "שלום")
SCORED = (
    LogLikelihood("the cat", " sat on a table"),
    LogLikelihood("the cat", "sat", " "),
    LogLikelihood("The end.", "\nStop here!"),
    LogLikelihood("שלום", " 😀\u200b"),
    LogLikelihood("", "the young dog"),
)


class Completions:
    """The path ``/completions`` over a tiny checkpoint: a plain loop over transformers, one text at a time."""

    def __init__(self, name: str) -> None:
        self.model = tiny.shared(name)
        self.starts = [0] if name == "llama" else []

    def answer(self, call: Call) -> Any:
        encoding = self.model.tokenizer(call.prompt, add_special_tokens=False, return_offsets_mapping=True)
        ids = self.starts + encoding["input_ids"] or [0]
        new = self.generate(ids, call.body["max_tokens"])
        is_over = new[-1:] == [self.model.ends[0]]
        text = self.model.tokenizer.decode(new[:-1] if is_over else new)
        choice: dict[str, Any] = {"index": 0, "text": text, "finish_reason": "stop" if is_over else "length"}
        if call.body.get("echo"):
            choice |= {
                "text": call.prompt + text,
                "logprobs": self.score(ids + new, [start for start, _ in encoding["offset_mapping"]], call),
            }
        return {"model": "m", "choices": [choice], "usage": {"prompt_tokens": len(ids), "completion_tokens": len(new)}}

    @torch.inference_mode()
    def generate(self, ids: list[int], num: int) -> list[int]:
        new: list[int] = []
        while len(new) < num and new[-1:] != [self.model.ends[0]]:
            new.append(int(self.model.module(torch.tensor([ids + new])).logits[0, -1].argmax()))
        return new

    @torch.inference_mode()
    def score(self, ids: list[int], offsets: list[int], call: Call) -> dict[str, Any]:
        logits_LV = self.model.module(torch.tensor([ids])).logits[0].double().log_softmax(-1)
        tokens = self.model.tokenizer.convert_ids_to_tokens(ids)
        values = [None, *(float(logits_LV[i, ids[i + 1]]) for i in range(len(ids) - 1))]
        best = [int(logits_LV[i].argmax()) for i in range(len(ids) - 1)]
        tops = [None, *({str(token): float(logits_LV[i, token])} for i, token in enumerate(best))]
        starts = [0] * (len(ids) - len(offsets) - 1) + offsets + [len(call.prompt)]
        return {"tokens": tokens, "token_logprobs": values, "top_logprobs": tops, "text_offset": starts}


@pytest.fixture(autouse=True)
def _short_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(asking, "_FIRST_WAIT_S", 0.001)


@pytest.fixture(params=CAUSAL)
def name(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def server(name: str) -> Iterator[Server]:
    with serve(answer=Completions(name).answer, paths=("/v1/completions",)) as running:
        yield running


@pytest.fixture
def engine(server: Server) -> Engine:
    source = OpenAI("m", base_url=server.url)
    return Engine(source.load("auto", "auto"), source.inspect())


def test_greedy_texts_are_those_of_the_checkpoint(name: str, engine: Engine) -> None:
    requests = [Generate(prompt, 12) for prompt in PROMPTS] + [Generate(PROMPTS[0], 12, (" ",))]
    for served, own in zip(engine.run(requests), tiny.engine(name).run(requests), strict=True):
        assert served.text == own.text
        assert served.num_prompt_tokens == own.num_prompt_tokens
    served, own = engine.run(requests)[0], tiny.engine(name).run(requests)[0]
    assert (served.finish, served.num_tokens) == (own.finish, own.num_tokens)


def test_log_likelihoods_are_those_of_the_checkpoint(name: str, engine: Engine) -> None:
    assert {"generate", "loglikelihood"} <= set(engine.info.answers)
    scored = SCORED if name == "llama" else SCORED[:-1]
    for served, own in zip(engine.run(scored), tiny.engine(name).run(scored), strict=True):
        assert isinstance(served, ServedLogProb)
        assert served.value == pytest.approx(own.value, abs=1e-4)
        assert (served.num_tokens, served.is_greedy) == (own.num_tokens, own.is_greedy)


def test_whole_texts_are_scored_as_by_the_checkpoint(name: str, server: Server) -> None:
    """A server that adds no token before a text gets its text from the suite."""
    begin = tiny.shared(name).tokenizer.eos_token if name == "gpt2" else ""
    source = OpenAI("m", base_url=server.url, begin=begin)
    engine = Engine(source.load("auto", "auto"), source.inspect())
    texts = [RollingLogLikelihood(text) for text in ("the young dog sat.", "שלום 😀\u200b the cat", "a")]
    for served, own in zip(engine.run(texts), tiny.engine(name).run(texts), strict=True):
        assert served.value == pytest.approx(own.value, abs=1e-4)
        assert served.num_tokens == own.num_tokens
    if begin:
        (served,), (own,) = engine.run([SCORED[-1]]), tiny.engine(name).run([SCORED[-1]])
        assert served.value == pytest.approx(own.value, abs=1e-4)
        without = OpenAI("m", base_url=server.url).inspect()
        assert "name it with the model setting begin" in without.describe_lack({"rolling_loglikelihood"})
        assert any("the setting begin names" in note for note in without.notes)


def test_a_first_token_without_log_probability_fails_alone(name: str, engine: Engine) -> None:
    empty, other = engine.try_run([LogLikelihood("", "the young dog"), SCORED[0]])
    assert isinstance(other, ServedLogProb)
    if name == "gpt2":
        assert isinstance(empty, Failure)
        assert "an empty context cannot be scored" in empty.error
