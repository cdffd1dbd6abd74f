"""Text made safe to show: model output, sample ids and plugin names are hostile, on a terminal as in a report."""

from __future__ import annotations

import unicodedata

_BLANK = frozenset("\u034f\u115f\u1160\u17b4\u17b5\u2800\u3164\uffa0\ufffe\uffff")
"""Characters that draw nothing though their category does not say so."""


def visible(text: str, /) -> str:
    """Spell out everything that cannot be seen, or that moves other text; line breaks and tabs stay.

    >>> visible("a\\x00b\\u202ec\\ud800")
    'a␀b⟨U+202E⟩c\\\\ud800'
    """
    if text.isascii() and text.isprintable():
        return text
    return "".join(map(_mark, text))


def _mark(char: str) -> str:
    if char in "\n\t" or (char.isprintable() and char not in _BLANK):
        return char
    code, category = ord(char), unicodedata.category(char)
    if category == "Cs":
        return f"\\u{code:04x}"
    if category == "Cc" and code < 0x20:
        return chr(0x2400 + code)
    return f"⟨U+{code:04X}⟩" if category in ("Cc", "Cf", "Zl", "Zp") or char in _BLANK else char
