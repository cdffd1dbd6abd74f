"""Chats of OpenAI's interface: prompts to ``/chat/completions``, and answers back."""

from __future__ import annotations

import json
import re
from typing import Any

from ...api.errors import SampleError, Withheld
from ...api.requests import Generate, Request
from ...api.responses import Reply, Response
from ..common.stop_strings import cut
from .choices import list_dropped, list_others, merge_choices, read_log_probs
from .contents import encode_for_openai, encode_messages, is_begun
from .faults import Transient
from .reading import Json, check_model, read_content, require_choice, require_text
from .usage import read_usage
from .wire import Wire

_FINISHES = {
    "stop": "stop",
    "length": "length",
    "tool_calls": "tool_calls",
    "function_call": "tool_calls",
    "eos": "stop",
    "end_turn": "stop",
}
_THOUGHT = re.compile(r"\s*<think>(.*?)</think>\s*", re.DOTALL)
"""Reasoning that a server leaves in the text, at its start."""


class ChatWire(Wire):
    """Sends `Generate` requests as chats. A text is one message of the user."""

    path = "/chat/completions"

    def write(self, request: Request[Response]) -> Json:
        assert isinstance(request, Generate)
        check_generate(request)
        if is_begun(request.prompt) and not self.settings.extra.get("continue_final_message"):
            raise SampleError(
                "the last message is the beginning of an answer, which this interface does not continue; a vLLM server does with "
                "extra: {continue_final_message: true, add_generation_prompt: false}"
            )
        messages = encode_messages(request.prompt, self.settings.parts, encode_for_openai)
        return self.adapt({"model": self.settings.target, "messages": messages, **list_sampling(request)})

    def send(self, client: Any, body: Json) -> Any:
        return client.chat.completions.with_raw_response.create(**make_arguments(body, "model", "messages", "stream"))

    def is_token(self, event: Json) -> bool:
        deltas = [choice.get("delta") for choice in event.get("choices") or () if isinstance(choice, dict)]
        return any(isinstance(d, dict) and (d.get("content") or d.get("reasoning_content") or d.get("reasoning")) for d in deltas)

    def merge(self, events: list[Json]) -> Json:
        return merge_choices(events, _add_delta)

    def read(self, answer: Json, request: Request[Response], body: Json) -> Reply:
        assert isinstance(request, Generate)
        check_model(answer, self.dialect.served)
        choice = require_choice(answer)
        message = choice.get("message")
        if not isinstance(message, dict):
            raise Transient("the answer's choice has no message")
        text, reasoning = read_content(message.get("content"))
        reasoning += require_text(message.get("reasoning_content") or message.get("reasoning"), "the reasoning")
        if not reasoning and (thought := _THOUGHT.match(text)):
            reasoning, text = thought[1].strip(), text[thought.end() :]
        refusal = require_text(message.get("refusal"), "the refusal")
        calls = tuple(json.dumps(call.get("function", call), sort_keys=True) for call in message.get("tool_calls") or ())
        usage = read_usage(answer, body, text + reasoning + refusal, self.settings.price)
        finish = read_finish(choice.get("finish_reason"), is_empty=not (text or refusal or calls))
        if finish == "stop" and not (text or reasoning or refusal or calls) and message.get("content") is None:
            raise Transient("the message has neither content, nor a refusal, nor tool calls")
        shown = refusal or cut(text, request.stop)
        finish = "refusal" if refusal else "tool_calls" if calls else finish
        others = (other.get("message") for other in list_others(answer))
        return Reply(
            shown, usage.num_tokens, finish, usage.num_prompt_tokens, usage=usage, reasoning=reasoning, tool_calls=calls,
            others=tuple(cut(read_content(other.get("content"))[0], request.stop) for other in others if isinstance(other, dict)),
            log_probs=read_log_probs(choice), dropped=list_dropped(body, answer, text, finish),
        )  # fmt: skip


def _add_delta(choice: Json, piece: Json) -> None:
    """Add a piece of a streamed choice."""
    message, delta = choice.setdefault("message", {}), piece.get("delta") or {}
    for name in ("content", "reasoning_content", "reasoning", "refusal"):
        if isinstance(delta.get(name), str | list):
            message[name] = _join_content(message.get(name, ""), delta[name])
    for call in delta.get("tool_calls") or ():
        calls = message.setdefault("tool_calls", [])
        while len(calls) <= (call.get("index") or 0):
            calls.append({"function": {"name": "", "arguments": ""}})
        function = calls[call.get("index") or 0]["function"]
        for name in function:
            function[name] += (call.get("function") or {}).get(name) or ""


def _join_content(before: str | list[Any], more: str | list[Any]) -> str | list[Any]:
    """Join two pieces of a message's content: texts to a text, and parts to parts."""
    if isinstance(before, str) and isinstance(more, str):
        return before + more
    parts, added = ([{"type": "text", "text": piece}] if isinstance(piece, str) else piece for piece in (before, more))
    return parts + added


def check_generate(request: Generate) -> None:
    """Raise `SampleError` for limits that no server accepts."""
    if request.max_tokens < 1 or not 0 <= request.temperature < float("inf"):
        raise SampleError(f"max_tokens must be at least 1 and temperature at least 0, not {request.max_tokens} and {request.temperature}")


def list_sampling(request: Generate) -> Json:
    """Return the parameters of sampling, and those of the stream."""
    stops = [stop for stop in request.stop if stop]
    return {
        "max_tokens": request.max_tokens, "temperature": request.temperature, "seed": request.seed,
        **({"stop": stops[:4]} if stops else {}), "stream": True, "stream_options": {"include_usage": True},
    }  # fmt: skip


def read_finish(reason: object, *, is_empty: bool) -> str:
    """Return why an answer ended. Raises `Withheld` if a content filter withheld it, and `Transient` for no reason."""
    if reason == "content_filter":
        raise Withheld(f"the provider's content filter withheld the {'answer' if is_empty else 'rest of the answer'}")
    if not isinstance(reason, str) or not reason:
        raise Transient("the answer has no finish reason")
    if reason in ("error", "abort"):
        raise Transient(f"the server broke off the answer (finish reason: {reason})")
    return _FINISHES.get(reason, reason)


def make_arguments(body: Json, *named: str) -> Json:
    """Return the arguments of a client's method for a body. ``named``: the fields that the method itself requires.

    All others travel as they are: the methods of several versions know different ones.
    """
    rest = {name: value for name, value in body.items() if name not in named}
    return {name: value for name, value in body.items() if name in named} | {"extra_body": rest}
