"""Texts to tokens: a window of texts in one go, and the next window's in a thread while the model runs this one's."""

from __future__ import annotations

import copy
from collections.abc import Callable, Hashable, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, Generic, TypeVar

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")


class Tokenised(Generic[K, V]):
    """``make(tokenizer, texts)`` gives what is known of each text, in order. One of them that is no text fails all: then none is known."""

    def __init__(self, tokenizer: Any, make: Callable[[Any, list[K]], list[V]]) -> None:
        self._tokenizer, self._make = tokenizer, make
        self._known: dict[K, V] = {}
        self._next: Future[dict[K, V]] | None = None
        self._thread: tuple[ThreadPoolExecutor, Any] | None = None

    def window(self, texts: Iterable[K], /) -> None:
        """Know these. What was known before is forgotten, but for what `ahead` was told of."""
        ready = self._next.result() if self._next is not None else {}
        self._next = None
        self._known = ready | self._made(self._tokenizer, [text for text in dict.fromkeys(texts) if text not in ready])

    def ahead(self, texts: Iterable[K], /) -> None:
        """Begin with those of the next window, in a thread."""
        if self._thread is None:
            # A tokenizer keeps how it last cut a text, and refuses two callers at a time that cut otherwise: the thread has its own.
            self._thread = ThreadPoolExecutor(1, "tokens"), copy.deepcopy(self._tokenizer)
        thread, tokenizer = self._thread
        self._next = thread.submit(self._made, tokenizer, list(dict.fromkeys(texts)))

    def get(self, text: K, /) -> V | None:
        return self._known.get(text)

    def _made(self, tokenizer: Any, texts: list[K]) -> dict[K, V]:
        try:
            return dict(zip(texts, self._make(tokenizer, texts), strict=True)) if texts else {}
        except (TypeError, UnicodeEncodeError):
            # Each on its own says which of them it is.
            return {}
