"""A server of OpenAI's and Anthropic's interfaces for tests: what it answers, and its faults, are a script's."""

from __future__ import annotations

import json
import threading
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

Says = Callable[[str], str]
Fault = Callable[["Call"], "Answer | None"]


@dataclass
class Call:
    """A request: its path, its body, its headers, and how often this body was sent before."""

    path: str
    body: dict[str, Any]
    headers: Mapping[str, str]
    number: int

    @property
    def prompt(self) -> str:
        """The text of the prompt, or the last message."""
        if "prompt" in self.body:
            return str(self.body["prompt"])
        content = self.body["messages"][-1]["content"] if "messages" in self.body else self.body["input"]
        return content if isinstance(content, str) else " ".join(part.get("text", "") for part in content)


@dataclass
class Answer:
    """What the server sends. ``cut_at``: bytes after which it drops the connection; None: it does not."""

    body: Any
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    cut_at: int | None = None


class Server(ThreadingHTTPServer):
    """``says``: answers a prompt. ``fault``: another answer to a call, or None. ``model``: its name.

    calls: all requests. answered: how often each prompt was answered well.
    """

    daemon_threads = True

    def __init__(self, says: Says, fault: Fault, model: str, answer: Callable[[Call], Any] | None) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.says, self.fault, self.model = says, fault, model
        self.answer = answer or self.make_body
        self.calls: list[Call] = []
        self.answered: Counter[str] = Counter()
        self.lock = threading.Lock()
        self._sent: Counter[str] = Counter()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}/v1"

    def record(self, path: str, body: dict[str, Any], headers: Mapping[str, str]) -> Call:
        with self.lock:
            key = json.dumps([path, body], sort_keys=True)
            call = Call(path, body, headers, self._sent[key])
            self._sent[key] += 1
            self.calls.append(call)
        return call

    def make_body(self, call: Call) -> Any:
        """The whole answer to a call, or the events of a stream."""
        text = self.says(call.prompt) + (f" {call.body.get('seed')}" if call.body.get("temperature") else "")
        usage = {"prompt_tokens": len(call.prompt.split()), "completion_tokens": len(text.split())}
        usage["total_tokens"] = sum(usage.values())
        head = {"id": "1", "object": "chat.completion", "created": 0, "model": self.model}
        if call.path.endswith("/embeddings"):
            return {"object": "list", "model": self.model, "data": [{"index": 0, "embedding": [len(text), 1.0]}], "usage": usage}
        if call.path.endswith("/messages"):
            return {
                "id": "1", "type": "message", "role": "assistant", "model": self.model, "content": [{"type": "text", "text": text}],
                "stop_reason": "end_turn", "usage": {"input_tokens": usage["prompt_tokens"], "output_tokens": usage["completion_tokens"]},
            }  # fmt: skip
        is_chat = call.path.endswith("/chat/completions")
        if call.body.get("stream"):
            pieces = [{"delta": {"content": word}} if is_chat else {"text": word} for word in split_words(text)]
            choices = [{"index": 0, "finish_reason": None, **piece} for piece in pieces]
            last = {"index": 0, "finish_reason": "stop", **({"delta": {}} if is_chat else {"text": ""})}
            return [*({**head, "choices": [c]} for c in [*choices, last]), {**head, "choices": [], "usage": usage}]
        content = {"message": {"role": "assistant", "content": text}} if is_chat else {"text": text}
        return {**head, "choices": [{"index": 0, "finish_reason": "stop", **content}], "usage": usage}


class _Handler(BaseHTTPRequestHandler):
    server: Server

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["content-length"])))
        call = self.server.record(self.path, body, {k.lower(): v for k, v in self.headers.items()})
        wrong = self.server.fault(call)
        answer = wrong or Answer(self.server.answer(call))
        content = encode(answer.body)
        if wrong is None:
            # Before it is sent: a client may read the count as soon as it has the answer.
            with self.server.lock:
                self.server.answered[call.prompt] += 1
        try:
            self.send_response(answer.status)
            for name, value in {"content-type": find_type(answer.body), "content-length": str(len(content)), **answer.headers}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(content if answer.cut_at is None else content[: answer.cut_at])
            self.wfile.flush()
        except OSError:
            return
        if answer.cut_at is not None:
            self.close_connection = True
            self.connection.close()

    def log_message(self, format: str, *args: Any) -> None:
        pass


def split_words(text: str) -> Iterator[str]:
    """Yield the words of a text, each with the space before it."""
    for index, word in enumerate(text.split(" ")):
        yield word if not index else f" {word}"


def encode(body: Any) -> bytes:
    if isinstance(body, bytes):
        return body
    if isinstance(body, list):
        return b"".join(b"data: %b\n\n" % json.dumps(event).encode() for event in body) + b"data: [DONE]\n\n"
    return json.dumps(body).encode()


def find_type(body: Any) -> str:
    return "text/event-stream" if isinstance(body, list) else "application/json"


@contextmanager
def serve(
    says: Says = lambda prompt: prompt[::-1], fault: Fault = lambda call: None, model: str = "m",
    answer: Callable[[Call], Any] | None = None, paths: Sequence[str] = ("/chat/completions",),
) -> Iterator[Server]:  # fmt: skip
    """Run a server on this machine. ``paths``: the ends of the paths that it offers."""

    def find_fault(call: Call) -> Answer | None:
        if not call.path.endswith(tuple(paths)):
            return Answer({"error": {"message": "no such path"}}, 404)
        return fault(call)

    server = Server(says, find_fault, model, answer)
    thread = threading.Thread(target=server.serve_forever, daemon=True, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
