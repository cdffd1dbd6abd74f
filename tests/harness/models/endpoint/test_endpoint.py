"""Models behind an endpoint, asked over real sockets of this machine: a scripted server, its faults, keys, costs and changes."""

from __future__ import annotations

import io
import json
import logging
import random
import signal
import subprocess
import threading
import time
import wave
from base64 import b64decode, b64encode
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("openai")
pytest.importorskip("anthropic")
pytest.importorskip("tenacity")

from PIL import Image as Pillow
from windtunnel.harness.api.errors import ConfigError, IncompleteRun, ModelError
from windtunnel.harness.api.model import Streamed
from windtunnel.harness.api.requests import Embed, Generate
from windtunnel.harness.api.responses import Failure, Reply, ServedEmbedding
from windtunnel.harness.engine import Engine
from windtunnel.harness.modalities.audio import Audio
from windtunnel.harness.modalities.chat import Chat, Message
from windtunnel.harness.modalities.image import Image
from windtunnel.harness.models.endpoint import asking
from windtunnel.harness.models.endpoint.clients import is_local
from windtunnel.harness.models.endpoint.echo import add_up_echo
from windtunnel.harness.models.endpoint.faults import Transient, read_retry_after
from windtunnel.harness.models.endpoint.limits import Limits
from windtunnel.harness.models.endpoint.reading import limit_time
from windtunnel.harness.models.endpoint.source import Anthropic, OpenAI
from windtunnel.tests.endpoint_server import Answer, Call, Server, serve
from windtunnel.tests.toys import COMMAND, child_environment, results_of, windtunnel

KEY = "sk-planted/3f9a+c0ffee=="
CHAT = ("/chat/completions",)
BOTH = ("/completions",)


@pytest.fixture(autouse=True)
def _keys_and_short_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    monkeypatch.setenv("ANTHROPIC_API_KEY", KEY)
    monkeypatch.setattr(asking, "_FIRST_WAIT_S", 0.001)
    monkeypatch.setattr(asking, "_LONGEST_WAIT_S", 0.01)


def open_engine(server: Server, **settings: Any) -> Engine:
    source = OpenAI("m", base_url=server.url, **settings)
    return Engine(source.load("auto", "auto"), source.inspect())


def say(text: str) -> Generate:
    return Generate(text, 20)


# ── faults ────────────────────────────────────────────────────────────────────────────────────────────────────────────


def rename(body: Any) -> Any:
    return [{**event, "model": "another"} for event in body] if isinstance(body, list) else {**body, "model": "another"}


FAULTS: Mapping[str, Callable[[Any], Answer]] = {
    "429": lambda body: Answer({"error": {"message": "too many"}}, 429),
    "429 with Retry-After": lambda body: Answer({"error": {"message": "too many"}}, 429, {"retry-after": "0.01"}),
    "500": lambda body: Answer(b"oops", 500),
    "503 in HTML": lambda body: Answer(b"<html>busy</html>", 503),
    "half a response": lambda body: Answer(body, cut_at=90),
    "a stream without its end": lambda body: Answer(body[:-2] if isinstance(body, list) else {}),
    "no JSON": lambda body: Answer(b"{'choices'"),
    "no choices": lambda body: Answer({"choices": []}),
    "no message": lambda body: Answer({"choices": [{"finish_reason": "stop", "index": 0}]}),
    "an error with status 200": lambda body: Answer({"error": {"message": "overloaded", "code": 529}}),
    "a dropped connection": lambda body: Answer(b"", cut_at=0),
    "another model": lambda body: Answer(rename(body)),
}  # fmt: skip


@pytest.mark.parametrize("name", FAULTS)
def test_each_fault_is_repeated_until_there_is_an_answer(name: str) -> None:
    def fault(call: Call) -> Answer | None:
        return FAULTS[name](server.make_body(call)) if call.prompt == "two" and call.number < 2 else None

    with serve(fault=fault) as server:
        answers = open_engine(server).run([say("one"), say("two"), say("three")])
        assert [answer.text for answer in answers] == ["eno", "owt", "eerht"]
        assert [server.answered[word] for word in ("one", "two", "three")] == [1, 1, 1]


@pytest.mark.parametrize("num", [100, pytest.param(1000, marks=pytest.mark.long)])
def test_many_prompts_under_faults_are_each_answered_once(num: int) -> None:
    draws = random.Random(0)

    def fault(call: Call) -> Answer | None:
        if not call.prompt.startswith("number") or draws.random() >= 0.1:
            return None
        return FAULTS[draws.choice(list(FAULTS))](server.make_body(call))

    with serve(fault=fault) as server:
        engine = open_engine(server)
        answers = engine.run([say(f"number {i}") for i in range(num)])
        assert [answer.text for answer in answers] == [f"number {i}"[::-1] for i in range(num)]
        assert {server.answered[f"number {i}"] for i in range(num)} == {1}
        assert len(server.calls) > num
    assert (engine.counters.forward_passes, engine.counters.failures) == (num, 0)
    assert engine.counters.tokens_computed == 4 * num


@pytest.mark.parametrize(
    ("status", "body", "said"),
    [
        (400, {"error": {"message": "no such role"}}, "SampleError: the endpoint refuses the request: HTTP 400: no such role"),
        (400, {"error": {"message": "long", "code": "context_length_exceeded"}}, "TooLong: the input is longer than the model's context"),
        (500, b"oops", "no answer after 2 attempts; the last fault: HTTP 500: oops"),
        (400, {"error": {"message": "filtered", "code": "content_filter"}}, "Withheld: the provider's content filter refused the prompt"),
    ],
)
def test_a_prompt_without_answer_fails_alone(status: int, body: Any, said: str) -> None:
    with serve(fault=lambda call: Answer(body, status) if call.prompt == "two" else None) as server:
        one, two, three = open_engine(server, attempts=2).try_run([say("one"), say("two"), say("three")])
    assert isinstance(one, Reply)
    assert isinstance(three, Reply)
    assert isinstance(two, Failure)
    assert said in two.error


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (Answer(b"gone", 503), "does not answer any more: HTTP 503: gone"),
        (Answer({"error": {"message": "no such key"}}, 401), "refuses all requests: HTTP 401: no such key"),
        (Answer({"error": {"message": "pay", "code": "insufficient_quota"}}, 429), "refuses all requests: HTTP 429"),
        (Answer({}, 429, {"retry-after": "86400"}), "wants to be asked again only after 86400 s"),
    ],
)
def test_an_endpoint_that_dies_ends_the_run_and_keeps_answers(answer: Answer, said: str) -> None:
    def fault(call: Call) -> Answer | None:
        return answer if server.answered["one"] and call.prompt != "one" else None

    with serve(fault=fault) as server:
        engine = open_engine(server, concurrency=1)
        with pytest.raises(IncompleteRun, match=said):
            list(engine.model.stream([say("one"), *(say(f"more {i}") for i in range(9))], 0, 0))
        assert server.answered["one"] == 1


def test_an_endpoint_that_dies_between_answers_leaves_no_failure(monkeypatch: pytest.MonkeyPatch) -> None:
    """Answers that arrived after a request was sent do not show that the endpoint still answers when its attempts are used up."""
    is_dead = threading.Event()

    def fault(call: Call) -> Answer | None:
        if call.prompt == "slow" and not is_dead.is_set():
            is_dead.wait(10)
            return Answer(b"", cut_at=0)
        if is_dead.is_set():
            return Answer(b"", cut_at=0)
        if call.prompt == "last":
            threading.Timer(0.05, is_dead.set).start()
        return None

    with serve(fault=fault) as server:
        engine = open_engine(server, concurrency=2, attempts=2)
        with pytest.raises(IncompleteRun, match="does not answer any more"):
            engine.try_run([say("slow"), say("one"), say("last")])


@pytest.mark.parametrize(("status", "said"), [(403, "HTTP 403: Blocked"), (404, "HTTP 404: Blocked")])
def test_a_page_of_a_proxy_for_one_prompt_fails_it_alone(status: int, said: str) -> None:
    page = b"<html><head><title>no</title><style>b{}</style></head><body>\n<b>Blocked</b></body></html>"
    with serve(fault=lambda call: Answer(page, status) if call.prompt == "two" else None) as server:
        one, two, three = open_engine(server).try_run([say("one"), say("two"), say("three")])
    assert isinstance(one, Reply)
    assert isinstance(three, Reply)
    assert isinstance(two, Failure)
    assert said in two.error


def test_a_server_that_is_busy_for_all_ends_the_run(monkeypatch: pytest.MonkeyPatch) -> None:
    with serve(fault=lambda call: Answer({}, 429) if server.answered["one"] else None) as server:
        engine = open_engine(server, concurrency=1)
        with pytest.raises(IncompleteRun, match="does not answer any more: HTTP 429"):
            engine.try_run([say("one"), say("two")])


def test_an_answer_that_never_ends_is_given_up() -> None:
    parts = limit_time(iter([b"data: {}\n"] * 3), -1.0)
    with pytest.raises(Transient, match="is not complete after"):
        list(parts)


def test_answers_that_cannot_be_used_are_billed() -> None:
    def answer(call: Call) -> Any:
        body = {
            "model": "m",
            "choices": [{"index": 0, "finish_reason": "stop", "message": {"content": "x"}}],
            "usage": {"prompt_tokens": 9},
        }
        return body if call.prompt != "ask" else {**body, "choices": []}

    with serve(answer=answer) as server:
        source = OpenAI("m", base_url=server.url, attempts=3, price={"input": 1e6, "output": 0}, max_cost=1000)
        model = source.load("auto", "auto")
        spending = model._asker.spending  # type: ignore[attr-defined]
        before = spending.spent
        Engine(model, source.inspect()).try_run([say("ask")])
        assert spending.spent - before == 3 * 9 + 9  # its attempts, and the short request that shows the endpoint alive


def test_another_model_under_the_same_address_ends_the_run() -> None:
    def fault(call: Call) -> Answer | None:
        return Answer(rename(server.make_body(call))) if server.answered["one"] else None

    with serve(fault=fault) as server, pytest.raises(IncompleteRun, match="answered as the model 'another', not as 'm'"):
        open_engine(server, concurrency=1).run([say("one"), say("two")])


# ── capabilities ──────────────────────────────────────────────────────────────────────────────────────────────────────


def test_what_is_offered_is_found_by_the_shape_of_answers() -> None:
    with serve(paths=CHAT) as server:
        info = OpenAI("m", base_url=server.url).inspect()
        assert dict(info.answers) == {"generate": {"text", "chat"}}
        assert info.notes == ("texts are asked as messages of a user",)
    with serve(paths=BOTH) as server:
        info = OpenAI("m", base_url=server.url, parts=["image"]).inspect()
        assert dict(info.answers) == {"generate": {"text", "chat", "image"}}
        assert any("gives no log-likelihoods" in note for note in info.notes)
        assert "does not answer loglikelihood" in info.describe_lack({"loglikelihood", "text"})
        assert "give the checkpoint itself, as hf:FOLDER" in info.describe_lack({"gradients"})
    with serve(paths=("/embeddings",)) as server:
        assert dict(OpenAI("m", base_url=server.url).inspect().answers) == {"embed": {"text"}}
        (vector,) = open_engine(server).run([Embed("four")])
        assert isinstance(vector, ServedEmbedding)
        assert vector.values == (4.0, 1.0)


def test_a_server_without_streams_and_counts_is_read_as_a_whole() -> None:
    def answer(call: Call) -> Any:
        return {"choices": [{"index": 0, "finish_reason": "length", "message": {"role": "assistant", "content": "abcdefgh"}}]}

    with serve(answer=answer) as server:
        engine = open_engine(server)
        (reply,) = engine.run([say("four")])
    assert (reply.text, reply.finish, reply.num_tokens) == ("abcdefgh", "length", 2)
    assert engine.streamed == Streamed()
    assert any("estimated" in note for note in engine.info.notes)


def test_parameters_that_a_server_refuses_are_left_out() -> None:
    def fault(call: Call) -> Answer | None:
        if "max_tokens" in call.body:
            text = "Unsupported parameter: 'max_tokens'. Use 'max_completion_tokens' instead."
            return Answer({"error": {"message": text, "param": "max_tokens"}}, 400)
        if "temperature" in call.body:
            return Answer({"error": {"message": "Unsupported value: 'temperature'", "param": "temperature"}}, 400)
        return None

    with serve(fault=fault) as server:
        engine = open_engine(server)
        assert engine.run([say("ab")])[0].text == "ba"
        assert server.calls[-1].body["max_completion_tokens"] == 20
    assert "the server refuses temperature, which requests leave out" in engine.info.notes


@pytest.mark.parametrize(
    ("fault", "said"),
    [
        (Answer({"error": {"message": "model 'm' does not exist"}}, 404), "model 'm' does not exist"),
        (Answer({"error": {"message": "bad key"}}, 401), "refuses the key of OPENAI_API_KEY: HTTP 401: bad key"),
    ],
)
def test_an_endpoint_that_offers_nothing_is_an_error_of_the_user(fault: Answer, said: str) -> None:
    with serve(fault=lambda call: fault) as server, pytest.raises(ModelError, match=said):
        OpenAI("m", base_url=server.url).inspect()


def test_a_server_that_is_not_there_is_an_error_of_the_user() -> None:
    with serve() as server:
        url = server.url
    with pytest.raises(ModelError, match="no server answers at"):
        OpenAI("m", base_url=url, attempts=2).inspect()


# ── what an answer holds ──────────────────────────────────────────────────────────────────────────────────────────────


def reply_to(message: Mapping[str, Any], finish: str = "stop") -> Reply | Failure:
    def answer(call: Call) -> Any:
        shown = message if call.prompt == "ask" else {"content": "hello"}
        return {"model": "m", "choices": [{"index": 0, "finish_reason": finish if call.prompt == "ask" else "stop", "message": shown}]}

    with serve(answer=answer) as server:
        (reply,) = open_engine(server, attempts=2).try_run([say("ask")])
        assert isinstance(reply, Reply | Failure)
        return reply


def test_reasoning_tool_calls_and_refusals_are_kept_apart() -> None:
    thought = reply_to({"content": "4", "reasoning_content": "2 and 2"})
    assert isinstance(thought, Reply)
    assert (thought.text, thought.reasoning) == ("4", "2 and 2")
    tagged = reply_to({"content": "<think>2 and 2</think>\n4"})
    assert isinstance(tagged, Reply)
    assert (tagged.text, tagged.reasoning) == ("4", "2 and 2")
    called = reply_to({"content": None, "tool_calls": [{"function": {"name": "add", "arguments": "{}"}}]}, "tool_calls")
    assert isinstance(called, Reply)
    assert (called.finish, called.tool_calls) == ("tool_calls", ('{"arguments": "{}", "name": "add"}',))
    refused = reply_to({"content": None, "refusal": "I will not."})
    assert isinstance(refused, Reply)
    assert (refused.finish, refused.text) == ("refusal", "I will not.")


def test_an_answer_that_a_filter_withheld_is_no_empty_text() -> None:
    for message in ({"content": ""}, {"content": "half"}):
        withheld = reply_to(message, "content_filter")
        assert isinstance(withheld, Failure)
        assert "the provider's content filter withheld" in withheld.error
    missing = reply_to({"content": None})
    assert isinstance(missing, Failure)
    assert "neither content, nor a refusal, nor tool calls" in missing.error


def test_content_in_parts_is_read() -> None:
    parts = [
        {"type": "thinking", "thinking": [{"type": "text", "text": "2 and 2"}]},
        {"type": "text", "text": "fo"},
        {"type": "text", "text": "ur"},
    ]
    reply = reply_to({"content": parts})
    assert isinstance(reply, Reply)
    assert (reply.text, reply.reasoning) == ("four", "2 and 2")

    def answer(call: Call) -> Any:
        deltas = [{"content": [{"type": "text", "text": "fo"}]}, {"content": "ur"}]
        events = [{"model": "m", "choices": [{"index": 0, "delta": delta, "finish_reason": None}]} for delta in deltas]
        return [*events, {"model": "m", "choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]}]

    with serve(answer=answer) as server:
        assert open_engine(server).run([say("ask")])[0].text == "four"


def test_answers_that_the_server_broke_off_are_asked_again() -> None:
    for finish in ("error", "abort"):
        broken = reply_to({"content": "half"}, finish)
        assert isinstance(broken, Failure)
        assert f"broke off the answer (finish reason: {finish})" in broken.error


@pytest.mark.parametrize("text", ["a\u2028b", "a\u0085b", "a\x0bb", "\ud83d\ude00"])
def test_all_characters_of_a_stream_arrive(text: str) -> None:
    def answer(call: Call) -> Answer | None:
        head = {"model": "m", "choices": [{"index": 0, "delta": {"content": text}, "finish_reason": "stop"}]}
        whole = json.dumps(head, ensure_ascii=False).encode("utf-16", "surrogatepass").decode("utf-16").encode()
        return Answer(b"data: %b\r\n\r\ndata: [DONE]\n" % whole, headers={"content-type": "text/event-stream"})

    with serve(fault=answer) as server:
        (reply,) = open_engine(server).run([say("ask")])
    assert reply.text == text.encode("utf-16", "surrogatepass").decode("utf-16")


def test_lone_surrogates_are_not_sent_and_may_be_answered() -> None:
    with serve(answer=lambda call: {"choices": [{"index": 0, "finish_reason": "stop", "message": {"content": "\ud800"}}]}) as server:
        engine = open_engine(server)
        num = len(server.calls)
        refused, answered = engine.try_run([say("\ud800"), say("one")])
        assert len(server.calls) == num + 1
    assert isinstance(refused, Failure)
    assert "lone surrogate" in refused.error
    assert isinstance(answered, Reply)
    assert answered.text == "\ud800"


EXTRA = {"n": 2, "logprobs": True, "response_format": {"type": "json_object"}}


@pytest.mark.parametrize("is_streamed", [False, True])
def test_what_extra_asks_for_is_recorded(is_streamed: bool) -> None:
    def answer(call: Call) -> Any:
        assert {name: call.body[name] for name in EXTRA} == EXTRA
        log_probs = {"content": [{"token": "{", "logprob": -0.5}, {"token": "}", "logprob": -1.0}]}
        if not is_streamed:
            choices = [
                {"index": 0, "finish_reason": "stop", "message": {"content": "{}"}, "logprobs": log_probs},
                {"index": 1, "finish_reason": "stop", "message": {"content": "[]"}, "logprobs": log_probs},
            ]
            return {"model": "m", "choices": choices}
        pieces = [(0, "{", None), (1, "[", None), (0, "}", "stop"), (1, "]", "stop")]
        return [
            {"model": "m", "choices": [{
                "index": index, "delta": {"content": text}, "finish_reason": finish,
                "logprobs": {"content": [log_probs["content"][finish is not None]]},
            }]} for index, text, finish in pieces
        ]  # fmt: skip

    with serve(answer=answer) as server:
        engine = open_engine(server, extra=EXTRA)
        (reply,) = engine.run([say("ask")])
    assert isinstance(reply, Reply)
    assert (reply.text, reply.others, reply.log_probs, reply.dropped) == ("{}", ("[]",), (-0.5, -1.0), ())
    assert not any("drops" in note and "n," in note for note in engine.info.notes)


def test_what_the_server_drops_is_said_and_recorded() -> None:
    with serve() as server:
        engine = open_engine(server, extra=EXTRA)
        (reply,) = engine.run([say("ask")])
    assert isinstance(reply, Reply)
    assert (reply.text, reply.dropped) == ("ksa", ("n", "logprobs", "response_format"))
    assert "the server drops logprobs, n, response_format, which requests ask for" in engine.info.notes


@pytest.mark.parametrize(
    ("says", "said"),
    [
        (lambda body, draws: "cat", "the server seems to drop temperature: sampled answers do not depend on the seed"),
        (
            lambda body, draws: str(draws.random()),
            "the server seems to drop seed: sampled answers differ for one seed, and cannot be repeated",
        ),
        (lambda body, draws: str(body["seed"]), ""),
    ],
)
def test_servers_that_drop_the_seed_are_named(says: Callable[[Any, random.Random], str], said: str) -> None:
    draws = random.Random(0)

    def answer(call: Call) -> Any:
        message = {"content": says(call.body, draws)}
        return {"model": "m", "choices": [{"index": 0, "finish_reason": "stop", "message": message}], "usage": {"prompt_tokens": 1}}

    with serve(answer=answer) as server:
        notes = OpenAI("m", base_url=server.url).inspect().notes
    assert notes == ("texts are asked as messages of a user", *([said] if said else []))


def test_streamed_reasoning_and_tool_calls_are_joined() -> None:
    def answer(call: Call) -> Any:
        deltas = [
            {"reasoning_content": "2 and"}, {"reasoning_content": " 2"}, {"content": "fo"}, {"content": "ur"},
            {"tool_calls": [{"index": 0, "function": {"name": "add", "arguments": '{"a"'}}]},
            {"tool_calls": [{"index": 0, "function": {"arguments": ": 1}"}}]},
        ]  # fmt: skip
        events = [{"model": "m", "choices": [{"index": 0, "delta": delta, "finish_reason": None}]} for delta in deltas]
        return [*events, {"model": "m", "choices": [{"index": 0, "delta": {}, "finish_reason": "tool_calls"}]}]

    with serve(answer=answer) as server:
        engine = open_engine(server)
        (reply,) = engine.run([say("ask")])
    assert isinstance(reply, Reply)
    assert (reply.text, reply.reasoning, reply.tool_calls) == ("four", "2 and 2", ('{"arguments": "{\\"a\\": 1}", "name": "add"}',))
    assert (engine.streamed.answers, engine.streamed.first_token_s > 0) == (1, True)


def test_images_and_sounds_travel_as_parts() -> None:
    pixels = np.arange(4 * 5 * 3, dtype=np.uint8).reshape(4, 5, 3)
    sound = Audio(np.linspace(-1, 1, 16), 8000)
    with serve() as server:
        engine = open_engine(server, parts=["image", "audio"])
        engine.run([Generate(Chat((Message("system", "Be brief."), Message("user", (Image(pixels), sound, "What is it?")))), 5)])
        system, user = server.calls[-1].body["messages"]
        (refused,) = open_engine(server).try_run([Generate(Chat((Message("user", (Image(pixels), "?")),)), 5)])
    assert system == {"role": "system", "content": "Be brief."}
    image, audio, text = user["content"]
    seen = np.array(Pillow.open(io.BytesIO(b64decode(image["image_url"]["url"].partition(",")[2]))))
    assert np.array_equal(seen, pixels)
    with wave.open(io.BytesIO(b64decode(audio["input_audio"]["data"]))) as file:
        assert (file.getframerate(), file.getnframes()) == (8000, 16)
    assert text == {"type": "text", "text": "What is it?"}
    assert isinstance(refused, Failure)
    assert "its setting 'parts' names" in refused.error


def test_a_begun_answer_is_not_sent_where_it_would_be_answered() -> None:
    begun = Generate(Chat((Message("user", "Count."), Message("assistant", "One,"))), 5)
    with serve() as server:
        (refused,) = open_engine(server).try_run([begun])
        open_engine(server, extra={"continue_final_message": True, "add_generation_prompt": False}).run([begun])
        assert server.calls[-1].body["continue_final_message"] is True
    assert isinstance(refused, Failure)
    assert "continue_final_message: true" in refused.error


def test_anthropic_streams_and_wholes_are_read() -> None:
    def answer(call: Call) -> Any:
        if call.prompt != "ask":
            return server.make_body(call)
        assert call.body["system"] == "Be brief."
        assert call.body["stop_sequences"] == ["\n\nQ"]
        return [
            {"type": "message_start", "message": {"model": "m", "usage": {"input_tokens": 7, "output_tokens": 1}}},
            {"type": "content_block_start", "index": 0, "content_block": {"type": "thinking", "thinking": ""}},
            {"type": "content_block_delta", "index": 0, "delta": {"type": "thinking_delta", "thinking": "hm"}},
            {"type": "content_block_start", "index": 1, "content_block": {"type": "text", "text": ""}},
            {"type": "content_block_delta", "index": 1, "delta": {"type": "text_delta", "text": "four"}},
            {"type": "message_delta", "delta": {"stop_reason": "max_tokens"}, "usage": {"output_tokens": 9}},
            {"type": "message_stop"},
        ]  # fmt: skip

    with serve(answer=answer, paths=("/v1/messages",)) as server:
        source = Anthropic("m", base_url=server.url.removesuffix("/v1"), price={"input": 3, "output": 15})
        engine = Engine(source.load("auto", "auto"), source.inspect())
        chat = Chat((Message("system", "Be brief."), Message("user", "ask")))
        whole, streamed = engine.run([say("ab"), Generate(chat, 9, ("\n\nQ", "\n"))])
        assert any(KEY in value for value in server.calls[-1].headers.values())
    assert isinstance(streamed, Reply)
    assert (whole.text, streamed.text, streamed.reasoning, streamed.finish) == ("ba", "four", "hm", "length")
    assert streamed.usage is not None
    assert (streamed.usage.num_prompt_tokens, streamed.usage.num_tokens) == (7, 9)
    assert streamed.usage.cost == pytest.approx((7 * 3 + 9 * 15) / 1e6)


def test_log_likelihoods_are_cut_out_of_an_echo() -> None:
    text = "Answer: B"
    choice = {"text": text + " x", "logprobs": {
        "tokens": ["Answer", ":", " B", " x"], "token_logprobs": [None, -1.0, -2.0, -3.0],
        "top_logprobs": [None, {":": -1.0}, {" A": -0.5, " B": -2.0}, {" x": -3.0}],
    }}  # fmt: skip
    assert add_up_echo(choice, text, len("Answer:")) == (-2.0, 1, False)
    assert add_up_echo(choice, text, len("Answer")) == (-3.0, 2, False)
    assert add_up_echo(choice, "Answer:", len("Answer")) == (-1.0, 1, True)
    offsets = {**choice, "logprobs": {**choice["logprobs"], "tokens": ["A", "B", "C", "D"], "text_offset": [0, 6, 7, 9]}}  # type: ignore[dict-item]
    assert add_up_echo(offsets, text, len("Answer:")) == (-2.0, 1, False)


def test_tokens_of_an_echo_are_placed_by_their_texts() -> None:
    """Servers count the characters of ``<s>`` and of broken characters, which the text does not have."""
    text, values = "an 😀 end", [None, -1.0, -2.0, -3.0, -4.0, -5.0, -6.0]
    tokens = ["<s>", "an", " \ufffd", "\ufffd", "\ufffd", " end", "."]
    offsets = [0, 3, 5, 7, 8, 9, 13]
    choice = {"text": text + ".", "logprobs": {"tokens": tokens, "token_logprobs": values, "text_offset": offsets}}
    assert add_up_echo(choice, text, len("an 😀"))[:2] == (-5.0, 1)
    assert add_up_echo(choice, text, len("an"))[:2] == (-14.0, 4)
    assert add_up_echo(choice, text, 0)[:2] == (-15.0, 5)
    unknown = {"text": text + ".", "logprobs": {"tokens": ["a"] * 7, "token_logprobs": values}}
    with pytest.raises(Transient, match="the positions of the answer's tokens are not known"):
        add_up_echo(unknown, text, 0)


# ── pace, time and money ──────────────────────────────────────────────────────────────────────────────────────────────


def test_the_number_of_requests_follows_what_the_server_allows() -> None:
    now = 0.0
    limits = Limits(8, clock=lambda: now)
    first = [limits.enter(1) for _ in range(8)]
    now = 1.0
    for entered in first:
        assert entered is not None
        limits.leave(entered, is_throttled=True)
    assert limits.allowed == 4  # requests that were sent together say one thing
    for _ in range(4):
        entered = limits.enter(1)
        assert entered is not None
        limits.leave(entered, is_answered=True)
    assert limits.allowed == 4
    entered = limits.enter(1)
    assert entered is not None
    limits.leave(entered, is_answered=True)
    assert limits.allowed == 5
    limits.stop()
    assert limits.enter(1) is None


def test_rates_and_pauses_put_requests_off() -> None:
    now = 0.0
    waits: list[float] = []

    def pass_time(timeout: float | None = None) -> bool:
        nonlocal now
        assert timeout is not None
        waits.append(timeout)
        now += timeout
        return True

    limits = Limits(8, requests_per_minute=60, tokens_per_minute=6000, clock=lambda: now)
    limits._changed.wait = pass_time  # type: ignore[method-assign]
    entered = [limits.enter(tokens) for tokens in (10, 500, 10)]
    assert entered == [0.0, 1.0, 6.0]
    limits.leave(6.0, is_throttled=True, after_s=30)
    assert limits.enter(10) == pytest.approx(36.0)


def test_retry_after_is_read_in_all_its_forms() -> None:
    assert read_retry_after({"retry-after": "2.5"}) == 2.5
    assert read_retry_after({"retry-after-ms": "250", "retry-after": "9"}) == 0.25
    assert read_retry_after({"retry-after": "Wed, 21 Oct 2015 07:28:00 GMT"}) == 0.0
    assert read_retry_after({"retry-after": "soon"}) is None
    assert read_retry_after({}) is None


# ── whole runs ────────────────────────────────────────────────────────────────────────────────────────────────────────

NUM = 40


def write_suite(folder: Path, url: str, *, chunk: int = NUM, **settings: Any) -> Path:
    rows = [{"question": f"item {i}", "answer": f"item {i}"[::-1]} for i in range(NUM)]
    (folder / "rows.jsonl").write_text("\n".join(map(json.dumps, rows)))
    (folder / "mirror.yaml").write_text(
        "family: generation\ndata: {files: rows.jsonl}\nprompt: '{{ question }}'\ntarget: '{{ answer }}'\nmax_tokens: 10\n"
    )
    model = {"name": "m", "model": "openai:m", "base_url": url, "attempts": 2, "concurrency": 4, **settings}
    suite = {"models": [model], "tasks": [{"task": str(folder / "mirror.yaml")}], "chunk": chunk, "reports": ["json", "html"]}
    path = folder / "suite.yaml"
    path.write_text(json.dumps(suite))
    return path


def count_items(server: Server) -> dict[str, int]:
    return {prompt: number for prompt, number in server.answered.items() if prompt.startswith("item")}


def read_all(folder: Path) -> bytes:
    return b"".join(path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file())


def test_samples_without_an_answer_are_said_with_their_number(tmp_path: Path) -> None:
    def answer(call: Call) -> Any:
        refused = {"content": None, "refusal": "I will not."}
        shown = refused if call.prompt.endswith("7") else {"content": call.prompt[::-1]}
        finish = "content_filter" if call.prompt.endswith("9") else "stop"
        return {"model": "m", "choices": [{"index": 0, "finish_reason": finish, "message": shown}], "usage": {"prompt_tokens": 1}}

    too_long = Answer({"error": {"message": "This model's maximum context length is 8 tokens."}}, 400)
    with serve(answer=answer, fault=lambda call: too_long if call.prompt in ("item 1", "item 2") else None) as server:
        assert windtunnel("run", write_suite(tmp_path, server.url), "--out", tmp_path / "run").code == 0
    flags = " ".join(results_of(tmp_path / "run")["manifest"]["flags"])
    assert "2 of 40 samples are longer than the model's context and have no answer." in flags
    assert "4 of 40 samples have no answer, because the model's provider refused or withheld it." in flags
    assert "4 of 40 samples were answered by a refusal of the model's provider." in flags


def test_a_killed_run_asks_for_no_answer_again(tmp_path: Path) -> None:
    def says(prompt: str) -> str:
        time.sleep(0.02)
        return prompt[::-1]

    with serve(says=says) as server:
        suite = write_suite(tmp_path, server.url, price={"input": 1, "output": 2})
        command = [*COMMAND, "run", str(suite), "--out", str(tmp_path / "run")]
        child = subprocess.Popen(command, env=child_environment(), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        while len(count_items(server)) < 20 and child.poll() is None:
            time.sleep(0.005)
        child.send_signal(signal.SIGKILL)
        child.wait()
        before = sum(count_items(server).values())
        assert 20 <= before < NUM
        answer = windtunnel("run", suite, "--out", tmp_path / "run")
        assert answer.code == 0, answer.err
        asked_again = sum(count_items(server).values()) - NUM
        assert 0 <= asked_again <= 4  # answers that the killed process had not yet read
    rows = {r["metric"]: r["estimate"]["value"] for r in results_of(tmp_path / "run")["rows"]}
    assert rows["exact_match"] == 1.0
    # All answers are counted, also those of the killed process.
    tokens = NUM * 4
    assert rows["cost"] >= NUM * (2 * 1 + 2 * 2) / 1e6
    assert rows["tokens_computed"] >= tokens
    assert not (tmp_path / "run" / "run.db.paid").exists()


def test_a_spending_limit_ends_the_run_which_resumes(tmp_path: Path) -> None:
    with serve() as server:
        suite = write_suite(tmp_path, server.url, price={"input": 10, "output": 10}, max_cost=0.0014, concurrency=1)
        first = windtunnel("run", suite, "--out", tmp_path / "run")
        assert first.code == 3
        assert "max_cost" in first.err
        asked = len(count_items(server))
        assert 0 < asked < NUM
        write_suite(tmp_path, server.url, price={"input": 10, "output": 10}, max_cost=1)
        last = windtunnel("run", suite, "--out", tmp_path / "run")
        assert last.code == 0, last.err
        assert "run again" not in last.err
        assert set(count_items(server).values()) == {1}
        assert len(count_items(server)) == NUM


def test_a_model_that_changes_behind_its_name_is_flagged(tmp_path: Path) -> None:
    def says(prompt: str) -> str:
        is_changed = len(count_items(server)) > NUM // 2 and not prompt.startswith("item")
        return prompt.upper() if is_changed else prompt[::-1]

    with serve(says=says) as server:
        assert windtunnel("run", write_suite(tmp_path, server.url, chunk=10), "--out", tmp_path / "run").code == 0
    results = results_of(tmp_path / "run")
    assert any("the model behind the endpoint changed during the run" in flag for flag in results["manifest"]["flags"])
    with serve() as server:
        assert windtunnel("run", write_suite(tmp_path, server.url, chunk=10), "--out", tmp_path / "steady").code == 0
    assert not any("changed" in flag for flag in results_of(tmp_path / "steady")["manifest"]["flags"])


JUDGED = """
from windtunnel import Generate, Sample, plugin


@plugin("tasks", "judged")
class Judged:
    name, requires, metrics, primary = "judged", frozenset({"generate", "text"}), ("exact_match",), "exact_match"
    roles = {"judge": frozenset({"generate"})}

    def samples(self):
        return [Sample(f"s{i}", f"item {i}") for i in range(40)]

    def run(self, engine, samples):
        asked = [Generate(s.input, 10) for s in samples]
        return list(zip(engine.run(asked), engine.roles["judge"].run(asked)))

    def score(self, sample, responses):
        return {"exact_match": float(responses[0].text == responses[1].text)}

    def predict(self, sample, responses):
        return {"prediction": responses[1].text}
"""


@pytest.mark.parametrize("changes", [True, False])
def test_a_judge_that_changes_behind_its_name_is_flagged(tmp_path: Path, changes: bool) -> None:
    def says(prompt: str) -> str:
        is_changed = changes and len(count_items(server)) > NUM // 2 and not prompt.startswith("item")
        return prompt.upper() if is_changed else prompt[::-1]

    (tmp_path / "judged.py").write_text(JUDGED)
    with serve(says=says) as server:
        suite = {
            "models": [{"model": "toy:bytes", "name": "bytes"}], "plugins": ["judged.py"], "chunk": 10, "reports": ["json"],
            "auxiliary_models": [{"name": "critic", "model": "openai:m", "base_url": server.url}],
            "tasks": [{"task": "judged", "roles": {"judge": "critic"}}],
        }  # fmt: skip
        (tmp_path / "suite.yaml").write_text(json.dumps(suite))
        answered = windtunnel("run", tmp_path / "suite.yaml", "--out", tmp_path / "run")
        assert answered.code == 0, answered.err
    results = results_of(tmp_path / "run")
    assert len(results["manifest"]["items"][0]["roles"]["judge"]["fingerprint"]) == 64
    assert (
        any("a model in a role (a judge, an attacker) behind an endpoint changed" in flag for flag in results["manifest"]["flags"])
        == changes
    )


def test_a_model_that_is_never_the_same_twice_is_not_called_changed(tmp_path: Path) -> None:
    draws = random.Random(0)
    with serve(says=lambda prompt: prompt[::-1] if prompt.startswith("item") else str(draws.random())) as server:
        assert windtunnel("run", write_suite(tmp_path, server.url, chunk=10), "--out", tmp_path / "run").code == 0
    assert not any("changed" in flag for flag in results_of(tmp_path / "run")["manifest"]["flags"])


def test_an_endpoint_that_dies_ends_incomplete_and_resumes(tmp_path: Path) -> None:
    is_dead = [False]

    def fault(call: Call) -> Answer | None:
        is_dead[0] = is_dead[0] or len(count_items(server)) > 20
        return Answer(b"", cut_at=0) if is_dead[0] else None

    with serve(fault=fault) as server:
        suite = write_suite(tmp_path, server.url)
        died = windtunnel("run", suite, "--out", tmp_path / "run")
        assert died.code == 3, died.err
        assert "does not answer any more" in died.err
        server.fault = lambda call: None if call.path.endswith("chat/completions") else Answer({}, 404)
        assert windtunnel("run", suite, "--out", tmp_path / "run").code == 0
        assert set(count_items(server).values()) == {1}
    assert results_of(tmp_path / "run")["complete"] is True


# ── keys and the network ──────────────────────────────────────────────────────────────────────────────────────────────


def test_the_key_is_sent_and_nowhere_written(tmp_path: Path) -> None:
    """A server that repeats the headers of a request in its errors, its answers and its streams."""

    def echo(call: Call) -> str:
        return json.dumps(dict(call.headers))

    def fault(call: Call) -> Answer | None:
        number = int(call.prompt.split()[1]) if call.prompt.startswith("item") else 0
        if number % 4 == 1:
            return Answer({"error": {"message": echo(call)}}, 400)
        if number % 4 == 2:
            return Answer(echo(call).encode(), 500) if call.number == 0 else Answer(echo(call).encode(), 400)
        return None

    def answer(call: Call) -> Any:
        choice = {"index": 0, "message": {"content": echo(call)}, "finish_reason": "stop"}
        return {"model": "m", "choices": [choice], "usage": {}, "id": echo(call)}

    with serve(fault=fault, answer=answer) as server:
        suite = write_suite(tmp_path, server.url)
        answered = windtunnel("run", suite, "--out", tmp_path / "run")
        assert {call.headers["authorization"] for call in server.calls} == {f"Bearer {KEY}"}
    kept = read_all(tmp_path) + (answered.out + answered.err).encode()
    assert b"[key hidden]" in kept
    assert KEY.encode() not in kept
    assert json.dumps(KEY).strip('"').encode() not in kept


def test_two_equal_runs_have_equal_records(tmp_path: Path) -> None:
    with serve() as server:
        for name in ("one", "two"):
            assert windtunnel("run", write_suite(tmp_path, server.url), "--out", tmp_path / name).code == 0
    digests = [results_of(tmp_path / name)["manifest"]["digest"] for name in ("one", "two")]
    assert digests[0] == digests[1]


def test_the_key_is_in_no_traceback() -> None:
    with serve(fault=lambda call: Answer(json.dumps(dict(call.headers)).encode(), 403)) as server:
        source = OpenAI("m", base_url=server.url)
        with pytest.raises(ModelError) as raised:
            source.inspect()
    seen: BaseException | None = raised.value
    while seen is not None:
        assert KEY not in f"{seen!r} {seen}"
        seen = None if seen.__suppress_context__ and seen.__cause__ is None else seen.__cause__ or seen.__context__
    assert KEY not in repr(vars(source))


def test_keys_are_in_no_log_of_a_client_and_headers_of_the_environment_are_hidden(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("ANTHROPIC_CUSTOM_HEADERS", "x-team: another/secret-77")
    monkeypatch.setattr(logging.getLogger("anthropic"), "level", logging.DEBUG)
    caplog.set_level(logging.DEBUG)

    def answer(call: Call) -> Any:
        text = json.dumps(dict(call.headers)) + b64encode(KEY.encode()).decode()
        return {"model": "m", "content": [{"type": "text", "text": text}], "stop_reason": "end_turn", "usage": {"input_tokens": 1}}

    busy = Answer(b"busy", 500, {"x-echo": KEY})
    with serve(answer=answer, fault=lambda call: None if call.number else busy, paths=("/v1/messages",)) as server:
        source = Anthropic("m", base_url=server.url.removesuffix("/v1"))
        (reply,) = Engine(source.load("auto", "auto"), source.inspect()).run([say("ask")])
        assert server.calls[-1].headers["x-team"] == "another/secret-77"
    for secret in (KEY, "another/secret-77", b64encode(KEY.encode()).decode()):
        assert secret not in reply.text
        assert secret not in caplog.text


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"base_url": f"http://me:{KEY}@localhost/v1"}, "a user, a password, a query or a fragment"),
        ({"base_url": f"localhost:{KEY}@8000"}, "a user, a password, a query or a fragment"),
        ({"base_url": f"http://localhost/v1?key={KEY}"}, "a user, a password, a query or a fragment"),
        ({"base_url": f"http://localhost/v1#{KEY}"}, "a user, a password, a query or a fragment"),
        ({"api_key_env": KEY}, "is the name of an environment variable, in capitals"),
        ({"extra": {"headers": {"x": "other"}}}, "extra holds 'headers', which records would keep"),
        ({"extra": {"options": [{"X-Api-Key": "other"}]}}, "extra holds 'X-Api-Key', which records would keep"),
        ({"extra": KEY}, "extra is a mapping of further fields of each request, not a str"),
        ({"base_url": "localhost:8000"}, "must be an address"),
        ({"extra": {"user": KEY}}, "the suite holds the key of OPENAI_API_KEY itself"),
        ({"max_cost": 1.0}, "max_cost needs the price"),
        ({"price": {"tokens": 3}}, "price is {input"),
        ({"price": {"input": -1}}, "a price is a number"),
        ({"concurrency": 0}, "concurrency must be a number above 0"),
        ({"api": "responses"}, "api is one of auto, chat, completions, embeddings"),
        ({"parts": ["video"]}, "parts may name image and audio"),
    ],
)
def test_settings_that_cannot_be_are_errors(settings: dict[str, Any], said: str) -> None:
    with pytest.raises(ConfigError, match=said) as raised:
        OpenAI("m", **{"base_url": "http://localhost:1/v1", **settings}).inspect()
    assert KEY not in str(raised.value)


def test_keys_that_are_missing_or_broken_are_named_by_their_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HF_HUB_OFFLINE", "HF_DATASETS_OFFLINE", "TRANSFORMERS_OFFLINE", "OPENAI_API_KEY"):
        monkeypatch.delenv(name, raising=False)
    with pytest.raises(ModelError, match="needs a key in the environment variable OPENAI_API_KEY"):
        OpenAI("m").inspect()
    monkeypatch.setenv("OPENAI_API_KEY", f"{KEY}\nmore")
    with pytest.raises(ModelError, match="holds characters that no key has") as raised:
        OpenAI("m").inspect()
    assert KEY not in str(raised.value)
    with serve() as server:  # a server on this machine needs none
        monkeypatch.delenv("OPENAI_API_KEY")
        OpenAI("m", base_url=server.url).inspect()


@pytest.mark.usefixtures("no_network")
def test_no_socket_is_opened_to_other_machines_offline(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    with pytest.raises(ModelError, match="the network is off: only servers on this machine"):
        OpenAI("m").inspect()
    assert [is_local(host) for host in ("127.0.0.1", "127.9.9.9", "::1", "localhost", "10.0.0.1", "example.com", "localhost.evil.com")] == [
        True, True, True, True, False, False, False,
    ]  # fmt: skip


def test_a_local_server_is_asked_offline_without_proxy_and_not_followed_elsewhere(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://192.0.2.1:9")
    with serve() as server:
        assert open_engine(server).run([say("ab")])[0].text == "ba"
        server.fault = lambda call: Answer({}, 307, {"location": "http://192.0.2.1:9/v1/chat/completions"})
        (refused,) = open_engine_again(server).try_run([say("cd")])
    assert isinstance(refused, Failure)
    assert "HTTP 307" in refused.error


def open_engine_again(server: Server) -> Engine:
    """An engine of a server that was well when it was asked what it offers."""
    fault, server.fault = server.fault, lambda call: None if call.path.endswith("chat/completions") else Answer({}, 404)
    engine = open_engine(server)
    server.fault = fault
    return engine


def test_a_missing_package_is_named_with_its_command(monkeypatch: pytest.MonkeyPatch) -> None:
    import sys

    monkeypatch.setitem(sys.modules, "tenacity", None)
    with pytest.raises(ModelError, match=r"need the package tenacity: pip install 'windtunnel\[endpoints\]'"):
        OpenAI("m", base_url="http://localhost:1/v1").inspect()
