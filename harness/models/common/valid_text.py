"""Explain errors of tokenizers about invalid text."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from ...api.errors import SampleError


@contextmanager
def refuse_lone_surrogates(text: str, /) -> Iterator[None]:
    """Convert a tokenizer's error in the body to `SampleError` if the text has a lone surrogate."""
    try:
        yield
    except (TypeError, UnicodeEncodeError) as error:
        if any("\ud800" <= char <= "\udfff" for char in text):
            raise SampleError("the text has a lone surrogate, which is not valid Unicode and has no tokens") from error
        raise
