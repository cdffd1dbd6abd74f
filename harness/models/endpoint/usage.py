"""The tokens of an answer, from the server or estimated, and what they cost."""

from __future__ import annotations

import json
from typing import Any

from ...api.requests import Usage
from .costs import Price
from .reading import Arrived, Json

_BYTES_PER_TOKEN = 4
"""A token of English text, for servers that report no numbers, and for what a request is expected to take."""


def estimate_tokens(content: object) -> int:
    """Estimate the tokens of a value of JSON from its size."""
    text = content if isinstance(content, str) else json.dumps(content, ensure_ascii=False)
    return -(-len(text.encode("utf-8", "surrogatepass")) // _BYTES_PER_TOKEN)


def read_usage(arrived: Arrived, request: Json, text: str, price: Price) -> Usage:
    """Return the usage of an answer. ``request``: its body. ``text``: all that was generated, for a server that reports no numbers."""
    reported = arrived.body.get("usage")
    counts = reported if isinstance(reported, dict) else {}
    prompt = _get_count(counts, "prompt_tokens", "input_tokens")
    answer = _get_count(counts, "completion_tokens", "output_tokens")
    if prompt is None:
        prompt = estimate_tokens(request.get("messages") or request.get("prompt") or request.get("input") or "")
    if answer is None:
        answer = estimate_tokens(text) if text else 0
    return Usage(prompt, answer, price.cost(prompt, answer), arrived.first_token_s, arrived.seconds)


def has_counts(body: Json) -> bool:
    """Tell whether the server reports the tokens of an answer."""
    counts = body.get("usage")
    return isinstance(counts, dict) and _get_count(counts, "prompt_tokens", "input_tokens") is not None


def _get_count(counts: dict[str, Any], *names: str) -> int | None:
    found = [counts[name] for name in names if isinstance(counts.get(name), int) and not isinstance(counts[name], bool)]
    return found[0] if found and found[0] >= 0 else None
