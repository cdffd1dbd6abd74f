"""Escaping of untrusted text (model output, sample ids, plugin names) for terminals and reports."""

from __future__ import annotations

import unicodedata

_BLANK = frozenset("\u034f\u115f\u1160\u17b4\u17b5\u2800\u3164\uffa0\ufffe\uffff")
"""Characters that are invisible although their Unicode category is not."""


def make_visible(text: str, /) -> str:
    """Replace invisible characters, and characters that move other text, by visible names; keep line breaks and tabs.

    >>> visible("a\\x00b\\u202ec\\ud800")
    'a␀b⟨U+202E⟩c\\\\ud800'
    """
    if text.isascii() and text.isprintable():
        return text
    return "".join(map(_make_visible, text))


def escape_surrogates(text: str, /) -> str:
    """Return the text with escapes in place of lone surrogates, which UTF-8 cannot encode.

    >>> escape_surrogates("a\\ud800")
    'a\\\\ud800'
    """
    return text if text.isascii() else text.encode("utf-8", "backslashreplace").decode()


def _make_visible(char: str) -> str:
    if char in "\n\t" or (char.isprintable() and char not in _BLANK):
        return char
    code, category = ord(char), unicodedata.category(char)
    if category == "Cs":
        return f"\\u{code:04x}"
    if category == "Cc" and code < 0x20:
        return chr(0x2400 + code)
    return f"⟨U+{code:04X}⟩" if category in ("Cc", "Cf", "Zl", "Zp") or char in _BLANK else char
