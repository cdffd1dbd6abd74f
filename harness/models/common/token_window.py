"""Tokenise a window of texts at once, and the next window in a thread while the model runs."""

from __future__ import annotations

import copy
from collections.abc import Callable, Hashable, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, Generic, TypeVar

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")


class Tokenised(Generic[K, V]):
    """A cache of tokenised texts, for one window of texts at a time.

    make: ``make(tokenizer, texts)`` returns the tokens of each text, in order. If one text is invalid, the whole window
        stays empty, and the caller tokenises text by text.
    """

    def __init__(self, tokenizer: Any, make: Callable[[Any, list[K]], list[V]]) -> None:
        self._tokenizer, self._make = tokenizer, make
        self._known: dict[K, V] = {}
        self._next: Future[dict[K, V]] | None = None
        self._thread: tuple[ThreadPoolExecutor, Any] | None = None

    def window(self, texts: Iterable[K], /) -> None:
        """Tokenise these texts, and drop all others. Uses the texts that `ahead` has tokenised."""
        ready = self._next.result() if self._next is not None else {}
        self._next = None
        self._known = ready | self._tokenise(self._tokenizer, [text for text in dict.fromkeys(texts) if text not in ready])

    def ahead(self, texts: Iterable[K], /) -> None:
        """Start tokenising the texts of the next window in a thread."""
        if self._thread is None:
            # A tokenizer stores its last truncation settings and fails with two concurrent callers, so the thread has a copy.
            self._thread = ThreadPoolExecutor(1, "tokens"), copy.deepcopy(self._tokenizer)
        thread, tokenizer = self._thread
        self._next = thread.submit(self._tokenise, tokenizer, list(dict.fromkeys(texts)))

    def get(self, text: K, /) -> V | None:
        """Return the tokens of a text in the window, else None."""
        return self._known.get(text)

    def _tokenise(self, tokenizer: Any, texts: list[K]) -> dict[K, V]:
        try:
            return dict(zip(texts, self._make(tokenizer, texts), strict=True)) if texts else {}
        except (TypeError, UnicodeEncodeError):
            # Tokenising text by text shows which text is invalid.
            return {}
