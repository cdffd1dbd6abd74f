"""Read the words that a user names for attacks."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TypeAlias

from ...api.errors import ModelError
from ...api.import_target import resolve

Words: TypeAlias = str | list[str]


def read_vocabulary(given: Words | None, /) -> tuple[str, ...]:
    """Return the words, without repetitions and empty ones; none for None.

    given: the words; or a text file with a word a line; or ``file.py:function`` of a function that returns them.
    Raises `ModelError` if there is no such file, or if it has no words.
    """
    if given is None:
        return ()
    words = tuple(dict.fromkeys(word.strip() for word in _read(given) if word.strip()))
    if not words:
        raise ModelError(f"vocabulary: {given!r} has no words")
    return words


def _read(given: Words) -> Sequence[str]:
    if not isinstance(given, str):
        return given
    path = Path(given).expanduser()
    if ":" in given and not path.exists():
        found = resolve(given)()
        if isinstance(found, str) or not all(isinstance(word, str) for word in found):
            raise ModelError(f"vocabulary: {given} must return a list of words")
        return list(found)
    try:
        return path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise ModelError(f"vocabulary: the file {given!r} cannot be read ({error}); give a text file with a word a line") from error
