"""Cut the log-likelihood of a continuation out of an echo: the log-probabilities of all tokens of a text."""

from __future__ import annotations

import math
from typing import Any

from ...api.errors import SampleError
from .faults import Transient
from .reading import Json


def add_up_echo(choice: Json, text: str, seam: int) -> tuple[float, int, bool]:
    """Return the log-likelihood of a text after the character ``seam``, its number of tokens, and whether each is the most likely one.

    A token belongs to the side on which it ends, as in `causal.seams`. Raises `Transient` for an answer of a wrong shape, and
    `SampleError` if the first scored token has no log-probability.
    """
    given = choice.get("logprobs")
    tokens, values = (given.get(name) if isinstance(given, dict) else None for name in ("tokens", "token_logprobs"))
    if not isinstance(given, dict) or not isinstance(tokens, list) or not isinstance(values, list) or not tokens:
        raise Transient("the answer has no log-probabilities of its tokens")
    if len(tokens) != len(values):
        raise Transient(f"the answer has {len(tokens):,} tokens and {len(values)} log-probabilities")
    echoed = choice.get("text")
    if not isinstance(echoed, str) or not echoed.startswith(text):
        raise Transient("the answer does not begin with the text that it was to echo")
    spans = _align(list(map(str, tokens)), echoed, seam) or _read_offsets(given, len(tokens), len(echoed))
    if spans is None:
        raise Transient(
            "the positions of the answer's tokens are not known: its tokens do not join to its text, and it has no 'text_offset'"
        )
    # Of a character's parts, all but the last have no width in some servers' positions.
    scored = [i for i, (start, end) in enumerate(spans) if start < len(text) and (end > seam or start >= seam)]
    # A special token that begins the text has no characters there.
    scored = [i for i in scored if not (values[i] is None and spans[i][0] == spans[i][1])]
    if not scored:
        raise Transient("the answer has no token of the continuation")
    if any(not isinstance(values[i], int | float) or math.isnan(values[i]) for i in scored):
        raise SampleError(
            "the server gives no log-probability for the first token of a text, so an empty context cannot be scored; give a context, or "
            "name the token that begins a text with the model setting 'begin'"
        )
    tops = given.get("top_logprobs")
    is_greedy = isinstance(tops, list) and len(tops) == len(tokens) and all(_is_top(tops[i], values[i]) for i in scored)
    return math.fsum(values[i] for i in scored), len(scored), is_greedy


def _align(tokens: list[str], echoed: str, seam: int) -> list[tuple[int, int]] | None:
    """Return the (start, end) of each token in the text, by joining the tokens from its end back to the character ``seam``.

    The positions that servers give count the characters of a token that the text does not have (``<s>``), or those that stand for
    parts of a character. Tokens before the seam have no span, (0, 0). None: the tokens do not join to the text.
    """
    spans = [(0, 0)] * len(tokens)
    end, index = len(echoed), len(tokens) - 1
    while index >= 0 and end > seam:
        num_broken = next((n for n in range(index + 1) if not _is_broken(tokens[index - n])), index + 1)
        if num_broken:
            start = _find_end(tokens[index - num_broken] if num_broken <= index else "", echoed, end, num_broken)
        else:
            start = end - len(tokens[index]) if echoed.endswith(tokens[index], 0, end) else None
        if start is None or (num_broken and start < seam):
            return None
        first = index - max(1, num_broken) + 1
        spans[first : index + 1] = [(start, end)] * (index + 1 - first)
        end, index = start, first - 1
    return spans if end <= seam else None


def _is_broken(token: str) -> bool:
    """Tell whether a token is a part of a character: servers write it with a replacement character, or its bytes."""
    return "\ufffd" in token or token.startswith(("bytes:", "<0x"))


def _find_end(token: str, text: str, before: int, num: int) -> int | None:
    """Return the last place in a text at which ``token`` ends, ``num`` bytes or more before the character ``before``.

    Each broken token is at least one byte. A token that is not in the text, such as ``<s>``, ends where the text begins.
    """
    places = (place for place in range(before - 1, -1, -1) if len(text[place:before].encode("utf-8", "replace")) >= num)
    return next((place for place in places if text.endswith(token, 0, place)), 0 if before > 0 else None)


def _read_offsets(given: Json, num: int, length: int) -> list[tuple[int, int]] | None:
    """Return the (start, end) of each token as the server gives them; None if it gives none. ``length``: of the text."""
    starts = given.get("text_offset")
    if (
        not isinstance(starts, list)
        or len(starts) != num
        or not all(isinstance(start, int) for start in starts)
        or sorted(starts) != starts
    ):
        return None
    starts = [start - starts[0] for start in starts]
    return list(zip(starts, [*starts[1:], length], strict=True))


def _is_top(top: Any, value: float) -> bool:
    """Tell whether no other token is more likely. ``top``: log-probabilities by token."""
    others = list(top.values()) if isinstance(top, dict) else []
    return bool(others) and all(isinstance(other, int | float) and other <= value for other in others)
