"""The tokens of an answer, from the server or estimated, and what they cost."""

from __future__ import annotations

import json
from typing import Any

from ...api.responses import Usage
from .costs import Price
from .reading import Json

_BYTES_PER_TOKEN = 4
"""A token of English text, for servers that report no numbers, and for what a request is expected to take."""


def estimate_tokens(content: object) -> int:
    """Estimate the tokens of a value of JSON from its size."""
    text = content if isinstance(content, str) else json.dumps(content, ensure_ascii=False)
    return -(-len(text.encode("utf-8", "surrogatepass")) // _BYTES_PER_TOKEN)


def estimate_most(request: Json) -> tuple[int, int]:
    """Estimate the tokens of a request, and the most that its answer may have."""
    prompt = {name: request[name] for name in ("messages", "prompt", "input", "system") if name in request}
    return estimate_tokens(prompt), int(request.get("max_tokens") or request.get("max_completion_tokens") or 0)


def read_usage(answer: Json, request: Json, text: str, price: Price) -> Usage:
    """Return the usage of an answer to a request. ``text``: all that was generated, for a server that reports no numbers."""
    num_prompt_tokens, num_tokens = _read_counts(answer)
    if num_prompt_tokens is None:
        num_prompt_tokens = estimate_tokens(request.get("messages") or request.get("prompt") or request.get("input") or "")
    if num_tokens is None:
        num_tokens = estimate_tokens(text) if text else 0
    return Usage(num_prompt_tokens, num_tokens, price.cost(num_prompt_tokens, num_tokens))


def read_cost(answer: Json, price: Price) -> float:
    """Return the cost of the tokens that the server reports; 0 if it reports none."""
    return price.cost(*(count or 0 for count in _read_counts(answer)))


def has_counts(answer: Json) -> bool:
    """Tell whether the server reports the tokens of an answer."""
    return _read_counts(answer)[0] is not None


def _read_counts(answer: Json) -> tuple[int | None, int | None]:
    """Return the reported tokens of the request and of the answer; None: not reported."""
    counts = answer.get("usage")
    if not isinstance(counts, dict):
        return None, None
    return _get_count(counts, "prompt_tokens", "input_tokens"), _get_count(counts, "completion_tokens", "output_tokens")


def _get_count(counts: dict[str, Any], *names: str) -> int | None:
    found = [counts[name] for name in names if isinstance(counts.get(name), int) and not isinstance(counts[name], bool)]
    return found[0] if found and found[0] >= 0 else None
