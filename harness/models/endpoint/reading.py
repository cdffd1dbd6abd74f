"""Read an answer of an endpoint, streamed or whole, as plain JSON. Its status says little: its shape is checked."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass
from typing import Any

from .faults import Fault, Transient, WrongModel, classify_status
from .keys import Key

Json = dict[str, Any]

_LONGEST_TIMEOUTS = 10


@dataclass(frozen=True, slots=True)
class Arrived:
    """An answer. ``body``: its JSON. ``first_token_s``: seconds until its first token; None if it arrived as a whole. ``seconds``: all."""

    body: Json
    first_token_s: float | None
    seconds: float


def read_answer(
    send: Callable[[], Any], key: Key, is_token: Callable[[Json], bool], merge: Callable[[list[Json]], Json], timeout: float
) -> Arrived:  # fmt: skip
    """Send a request and read its answer.

    send: sends it and returns the client's raw response. key: hidden in all texts.
    is_token: tells whether an event of a stream brings text. merge: joins the events to the JSON of a whole answer.
    timeout: the longest wait for a part of the answer, in seconds; the whole may take ten times as long.
    Raises a `Fault` or `Withheld`, whose text names no key.
    """
    started = time.perf_counter()
    first: float | None = None
    raw = send()
    with closing(raw.http_response):
        parts = limit_time(raw.http_response.iter_bytes(), _LONGEST_TIMEOUTS * timeout)
        if "text/event-stream" in raw.headers.get("content-type", ""):
            events = []
            for event in read_events(parts):
                events.append(event)
                if first is None and is_token(event):
                    first = time.perf_counter() - started
            body = merge(events)
        else:
            body = parse_object(b"".join(parts))
    body = key.hide_in(body)
    raise_error_inside(body, key)
    return Arrived(body, first, time.perf_counter() - started)


def limit_time(parts: Iterable[bytes], most_s: float) -> Iterator[bytes]:
    """Yield the parts of an answer. Raises `Transient` if they take too long: each of them may be in time, and none the last."""
    end = time.monotonic() + most_s
    for part in parts:
        if time.monotonic() > end:
            raise Transient(f"the answer is not complete after {most_s:g} s")
        yield part


def read_events(parts: Iterable[bytes]) -> Iterator[Json]:
    """Yield the events of a stream of server-sent events. Raises `Transient` for one that is no JSON object.

    The clients' own readers build an object of many classes for each token, half a millisecond of CPU, and take characters such as
    U+2028 inside a text for the end of a line.
    """
    for line in _split_lines(parts):
        if line.startswith(b"data:"):
            content = line.removeprefix(b"data:").strip()
            if content == b"[DONE]":
                break
            yield parse_object(content)


def _split_lines(parts: Iterable[bytes]) -> Iterator[bytes]:
    rest = b""
    for part in parts:
        *lines, rest = (rest + part).split(b"\n")
        yield from lines
    yield rest


def parse_object(content: bytes) -> Json:
    """Parse a JSON object. Raises `Transient` for anything else."""
    try:
        body = json.loads(content)
    except (ValueError, RecursionError):
        raise Transient(f"the answer is not JSON ({len(content):,} bytes)") from None
    if not isinstance(body, dict):
        raise Transient(f"the answer is a JSON {type(body).__name__}, not an object")
    return body


def raise_error_inside(body: Json, key: Key) -> None:
    """Raise the fault of an answer with status 200 that holds an error, as routers send it."""
    if error := body.get("error"):
        code = error.get("code") if isinstance(error, dict) else None
        raise classify_status(code if isinstance(code, int) and code >= 400 else 500, {}, json.dumps(body), key)


_LIBRARIES = {"openai", "anthropic", "httpx", "httpx2", "httpcore", "httpcore2", "h11", "json", "pydantic", "pydantic_core"}
"""Packages whose exceptions are faults of a connection or of an answer."""


def convert_error(error: Exception, key: Key) -> Exception:
    """Return the fault that an exception of a client stands for, without its request, whose headers hold the key.

    Any other exception is returned as it is.
    """
    if isinstance(error, Fault) or (
        type(error).__module__.partition(".")[0] not in _LIBRARIES and not isinstance(error, OSError | UnicodeError)
    ):
        return error
    response = getattr(error, "response", None)  # the clients' and the HTTP library's exceptions have no common base
    if response is not None and getattr(error, "status_code", None) is not None:
        return classify_status(int(error.status_code), _get_headers(response), _get_text(response), key)  # type: ignore[attr-defined]
    cause = error.__cause__ or error.__context__
    said = f"{type(error).__name__}: {error}" + (f" ({type(cause).__name__}: {cause})" if cause is not None else "")
    return Transient(key.hide(" ".join(said.split())), is_answered=False)


def _get_headers(response: Any) -> Mapping[str, str]:
    headers: Mapping[str, str] = response.headers
    return headers


def _get_text(response: Any) -> str:
    try:
        return str(response.text)
    except Exception:  # noqa: BLE001 - a body that was cut, or was streamed, raises exceptions of several libraries
        return ""


def require_text(value: object, what: str) -> str:
    """Return a text; None counts as empty. Raises `Transient` for another type. ``what``: the field, for the message."""
    if value is None:
        return ""
    if not isinstance(value, str):
        raise Transient(f"{what} is a {type(value).__name__}, not a text")
    return value


def read_content(content: object) -> tuple[str, str]:
    """Return the text and the reasoning of a message's content: a text, or a list of parts. Raises `Transient` for anything else."""
    if not isinstance(content, list):
        return require_text(content, "the content of the message"), ""
    parts = [part for part in content if isinstance(part, dict)]
    text, reasoning = (
        "".join(_join_parts(part, name) for part in parts if part.get("type") in types)
        for name, types in (("text", ("text", "output_text")), ("thinking", ("thinking", "reasoning")))
    )
    return text, reasoning


def _join_parts(part: Json, name: str) -> str:
    """Return the text of a part, which may consist of parts itself."""
    value = part.get(name)
    return read_content(value)[0] if isinstance(value, list) else require_text(value or part.get("text"), f"the {name} of a part")


def require_choice(body: Json) -> Json:
    """Return the first of the answer's choices. Raises `Transient` if there is none."""
    choices = body.get("choices")
    if not isinstance(choices, list) or not choices or not isinstance(choices[0], dict):
        raise Transient(f"the answer has no choices; it has {', '.join(sorted(map(str, body))) or 'nothing'}")
    choice: Json = choices[0]
    return choice


def check_model(body: Json, served: str) -> None:
    """Raise `WrongModel` if an answer names another model than ``served``; an answer without a name passes."""
    name = body.get("model")
    if isinstance(name, str) and name and served and name != served:
        raise WrongModel(name, served)
