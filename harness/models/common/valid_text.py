"""Text that a tokenizer can take."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from ...api.errors import SampleError


@contextmanager
def tokenising(text: str, /) -> Iterator[None]:
    """Around a call of a tokenizer. Raises `SampleError` for its own error where the text holds a lone surrogate."""
    try:
        yield
    except (TypeError, UnicodeEncodeError) as error:
        if any("\ud800" <= char <= "\udfff" for char in text):
            raise SampleError("the text holds a lone surrogate, which is not valid Unicode and has no tokens") from error
        raise
