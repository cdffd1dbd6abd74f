"""Where a continuation begins among the tokens of a text.

A context and its continuation are one text, and its tokens are those that the tokenizer makes of the whole. Each token belongs to the side
on which it ends; one that stands on both sides of the seam is scored, whole.

    context "an ab", continuation "le"         " an" | " able"
    context "Answer:", continuation " B"       "Answer" ":" | " B"
    context "Answer: ", continuation "B"       "Answer" ":" | " B"
    context "Answer:\n", continuation "B"      "Answer" ":" "\n" | "B"
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Tokens:
    """A text's tokens, without special ones around them. ``encoding``: where in the text each token stands, as the tokenizer gives it."""

    ids: list[int]
    encoding: Any

    @property
    def spans(self) -> list[tuple[int, int]]:
        spans: list[tuple[int, int]] = self.encoding.offsets
        return spans

    def num_before(self, seam: int, /) -> int:
        """How many tokens end at or before the character ``seam``. One of no width there belongs to what follows, with which it would be
        one token if the vocabulary had it."""
        num = len(self.ids)
        while num:
            start, end = self.encoding.token_to_chars(num - 1) or (seam, seam)
            if end <= seam and start < seam:
                break
            num -= 1
        return num


class PlainTokenizer:
    """A fast tokenizer without what it puts around a text. It is never written to, so that threads share it.

    ``tokenizer``: transformers' own. Its post-processor is left out because it also takes the space before a word out of the word's place.
    """

    def __init__(self, tokenizer: Any) -> None:
        self._backend = copy.deepcopy(tokenizer.backend_tokenizer)
        self._backend.post_processor = None
        self._backend.no_truncation()
        self._backend.no_padding()
        self._backend.encode_special_tokens = bool(getattr(tokenizer, "split_special_tokens", False))

    def __deepcopy__(self, memo: Any) -> PlainTokenizer:
        return self

    def tokens(self, texts: Sequence[str], /) -> list[Tokens]:
        """Raises `TypeError` or `UnicodeEncodeError` for what is no text."""
        return [Tokens(e.ids, e) for e in self._backend.encode_batch(list(texts), add_special_tokens=False)]
