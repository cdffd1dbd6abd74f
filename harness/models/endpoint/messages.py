"""Chats of Anthropic's interface: prompts to ``/v1/messages``, and answers back."""

from __future__ import annotations

import json
from typing import Any

from ...api.errors import SampleError, Withheld
from ...api.requests import Generate, Request
from ...api.responses import Reply, Response
from ..common.stop_strings import cut
from .chat import check_generate, make_arguments
from .contents import encode_for_anthropic, encode_messages
from .faults import Transient
from .reading import Json, check_model, require_text
from .usage import read_usage
from .wire import Wire

_FINISHES = {
    "end_turn": "stop", "stop_sequence": "stop", "max_tokens": "length", "model_context_window_exceeded": "length",
    "tool_use": "tool_calls", "refusal": "refusal",
}  # fmt: skip


class MessagesWire(Wire):
    """Sends `Generate` requests as messages. A begun answer is continued."""

    path = "/v1/messages"

    def write(self, request: Request[Response]) -> Json:
        assert isinstance(request, Generate)
        check_generate(request)
        messages = encode_messages(request.prompt, self.settings.parts, encode_for_anthropic)
        systems = [message["content"] for message in messages if message["role"] == "system"]
        others = [message for message in messages if message["role"] != "system"]
        if not all(isinstance(text, str) for text in systems) or not others:
            raise SampleError("system messages must be texts" if others else "the chat has no message to answer")
        stops = [stop for stop in request.stop if stop.strip()]
        body = {
            "model": self.settings.target, "messages": others, "max_tokens": request.max_tokens, "temperature": request.temperature,
            **({"system": "\n\n".join(systems)} if systems else {}), **({"stop_sequences": stops} if stops else {}), "stream": True,
        }  # fmt: skip
        return self.adapt(body)

    def send(self, client: Any, body: Json) -> Any:
        return client.messages.with_raw_response.create(**make_arguments(body, "model", "messages", "max_tokens", "stream"))

    def is_token(self, event: Json) -> bool:
        return event.get("type") == "content_block_delta"

    def merge(self, events: list[Json]) -> Json:
        whole: Json = {}
        blocks: dict[int, Json] = {}
        usage: Json = {}
        is_over = False
        for event in events:
            kind = event.get("type")
            if kind == "message_start":
                whole = dict(event.get("message") or {})
                usage |= whole.get("usage") or {}
            elif kind == "content_block_start":
                blocks[event.get("index") or 0] = dict(event.get("content_block") or {})
            elif kind == "content_block_delta":
                _add_delta(blocks.setdefault(event.get("index") or 0, {}), event.get("delta") or {})
            elif kind == "message_delta":
                whole |= {name: value for name, value in (event.get("delta") or {}).items() if value is not None}
                usage |= {name: value for name, value in (event.get("usage") or {}).items() if value is not None}
            elif kind == "error":
                return {"error": event.get("error") or "error"}
            is_over |= kind == "message_stop"
        if not is_over:
            raise Transient(f"the stream ended after {len(events)} events without its end")
        return whole | {"content": [blocks[index] for index in sorted(blocks)], "usage": usage}

    def read(self, answer: Json, request: Request[Response], body: Json) -> Reply:
        assert isinstance(request, Generate)
        check_model(answer, self.dialect.served)
        blocks = answer.get("content")
        if not isinstance(blocks, list) or not all(isinstance(block, dict) for block in blocks):
            raise Transient("the answer has no content")
        text, reasoning = (
            "".join(require_text(block.get(name), f"the {name} of a block") for block in blocks if block.get("type") == name)
            for name in ("text", "thinking")
        )
        calls = tuple(
            json.dumps({"name": block.get("name"), "arguments": block.get("input")}, sort_keys=True)
            for block in blocks
            if block.get("type") == "tool_use"
        )
        reason = answer.get("stop_reason")
        if not isinstance(reason, str) or not reason:
            raise Transient("the answer has no stop reason")
        finish = _FINISHES.get(reason, reason)
        if finish == "refusal" and not text:
            raise Withheld("the provider refused to answer (stop_reason: refusal)")
        usage = read_usage(answer, body, text + reasoning, self.settings.price)
        return Reply(
            cut(text, request.stop), usage.num_tokens, finish, usage.num_prompt_tokens, usage=usage, reasoning=reasoning, tool_calls=calls
        )


def _add_delta(block: Json, delta: Json) -> None:
    """Add a piece of a streamed block."""
    for name, of in (("text", "text"), ("thinking", "thinking")):
        if isinstance(delta.get(name), str):
            block[of] = block.get(of, "") + delta[name]
    if isinstance(delta.get("partial_json"), str):
        before = block.get("input") if isinstance(block.get("input"), str) else ""
        block["input"] = before + delta["partial_json"]
