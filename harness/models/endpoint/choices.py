"""The choices of an answer of OpenAI's interface: joined from a stream, and what the setting ``extra`` asks of them."""

from __future__ import annotations

import json
from collections.abc import Callable

from .faults import Transient
from .reading import Json


def merge_choices(events: list[Json], add: Callable[[Json, Json], None]) -> Json:
    """Join the events of a stream to the JSON of a whole answer. ``add``: adds a piece of a choice to the choice.

    Raises `Transient` for a stream without its end.
    """
    whole: Json = {}
    choices: dict[int, Json] = {}
    for event in events:
        whole |= {name: event[name] for name in ("model", "usage", "error", "system_fingerprint") if event.get(name)}
        for piece in event.get("choices") or ():
            if isinstance(piece, dict):
                choice = choices.setdefault(piece.get("index") or 0, {"finish_reason": None})
                choice["finish_reason"] = piece.get("finish_reason") or choice["finish_reason"]
                _add_log_probs(choice, piece.get("logprobs"))
                add(choice, piece)
    if "error" not in whole and not all(choice["finish_reason"] for choice in choices.values() or ({"finish_reason": None},)):
        raise Transient(f"the stream ended after {len(events)} events without a finish reason")
    return whole | {"choices": [choices[index] for index in sorted(choices)]}


def _add_log_probs(choice: Json, more: object) -> None:
    """Add the log-probabilities of a piece: lists by name, as they come."""
    if isinstance(more, dict):
        known = choice.setdefault("logprobs", {})
        for name, values in more.items():
            if isinstance(values, list):
                known[name] = [*known.get(name, ()), *values]


def list_others(answer: Json) -> list[Json]:
    """Return the choices after the first."""
    return [choice for choice in answer.get("choices", ())[1:] if isinstance(choice, dict)]


def read_log_probs(choice: Json) -> tuple[float, ...]:
    """Return the log-probabilities of a choice's tokens; empty if it has none."""
    given = choice.get("logprobs")
    if not isinstance(given, dict):
        return ()
    listed = given.get("content")  # of chats; `token_logprobs` of texts
    values = [part.get("logprob") for part in listed if isinstance(part, dict)] if isinstance(listed, list) else given.get("token_logprobs")
    return tuple(float(value) for value in values or () if isinstance(value, int | float))


def list_dropped(request: Json, answer: Json, text: str, finish: str) -> tuple[str, ...]:
    """Return the fields of a request that the server dropped, by the shape of its answer.

    request: the body of the request. text, finish: of the answer's first choice.
    """
    choices = answer["choices"]
    dropped = ["n"] if isinstance(request.get("n"), int) and len(choices) < request["n"] else []
    if request.get("logprobs") and not read_log_probs(choices[0]) and text:
        dropped.append("logprobs")
    wanted = request.get("response_format")
    if isinstance(wanted, dict) and str(wanted.get("type")).startswith("json") and finish == "stop" and not _is_json(text):
        dropped.append("response_format")
    return tuple(dropped)


def _is_json(text: str) -> bool:
    try:
        json.loads(text)
    except (ValueError, RecursionError):
        return False
    return True
