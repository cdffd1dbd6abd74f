"""Split the tokens of a text into context and continuation.

A context and its continuation are tokenised as one text. Each token belongs to the side on which it ends; a token that
spans the boundary is scored as a whole.

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
    """The tokens of a text, without added special tokens. ``encoding``: the tokenizer's encoding, with character offsets."""

    ids: list[int]
    encoding: Any

    @property
    def spans(self) -> list[tuple[int, int]]:
        spans: list[tuple[int, int]] = self.encoding.offsets
        return spans

    def num_before(self, seam: int, /) -> int:
        """Return the number of tokens that end at or before the character ``seam``.

        A token of width 0 there belongs to the text after it, with which it would be one token in a larger vocabulary.
        """
        num = len(self.ids)
        while num:
            start, end = self.encoding.token_to_chars(num - 1) or (seam, seam)
            if end <= seam and start < seam:
                break
            num -= 1
        return num


class PlainTokenizer:
    """A fast tokenizer that adds no special tokens. It is immutable, so threads can share it.

    tokenizer: transformers' tokenizer. Its post-processor is removed, because it also excludes the space before a word
        from the word's offsets.
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
        """Tokenise texts. Raises `TypeError` or `UnicodeEncodeError` for invalid text."""
        return [Tokens(e.ids, e) for e in self._backend.encode_batch(list(texts), add_special_tokens=False)]
