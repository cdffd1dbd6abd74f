"""Escaping of untrusted text (model output, sample ids, plugin names) for terminals and reports."""

from __future__ import annotations

import re
import unicodedata

_BLANK = frozenset("\u034f\u115f\u1160\u17b4\u17b5\u2800\u3164\uffa0\ufffe\uffff")
"""Characters that are invisible although their Unicode category is not."""

_JOINING = "\u0600-\u08ff\u0900-\u0dff\u1000-\u109f\u1780-\u18af\ufb50-\ufdff\ufe70-\ufefc"
"""Scripts that are written with joiners: Arabic and its relatives, those of India, Burmese, Khmer, Mongolian."""
_EMOJI = "\u00a9\u00ae\u203c-\u3299\U0001f000-\U0001faff"
_JOINERS = re.compile(f"(?<=[{_JOINING}])[\u200c\u200d](?=[{_JOINING}])|(?<=[{_EMOJI}\ufe0f])\u200d(?=[{_EMOJI}])")
"""Joiners that belong to the script, of which a reader sees the effect: one between two letters, or between two emoji."""


_COMMANDS = re.compile(r"^[^\S\n]*(?=::)|(?<=##)(?=\[|vso\[)", re.MULTILINE)
"""Where the log of a CI system would read a command: ``::`` at the start of a line (GitHub), ``##[`` and ``##vso[`` anywhere."""


def make_loggable(text: str, /) -> str:
    """Make a text visible, and put a backslash into what the log of a CI system would take for a command.

    >>> make_loggable("::error::x")
    '\\\\::error::x'
    """
    return _COMMANDS.sub(lambda match: f"{match[0]}\\", make_visible(text))


def make_visible(text: str, /) -> str:
    """Replace invisible characters, and characters that move other text, by visible names; keep line breaks and tabs.

    Joiners stay where the script needs them: in Persian and Hindi, and in families of emoji.

    >>> make_visible("a\\x00b\\u202ec\\ud800")
    'a␀b⟨U+202E⟩c\\\\ud800'
    """
    if text.isascii() and text.isprintable():
        return text
    joiners = {match.start() for match in _JOINERS.finditer(text) if _stands_between_letters(text, match.start())}
    return "".join(char if place in joiners else _make_visible(char) for place, char in enumerate(text))


def escape_surrogates(text: str, /) -> str:
    """Return the text with escapes in place of lone surrogates, which UTF-8 cannot encode.

    >>> escape_surrogates("a\\ud800")
    'a\\\\ud800'
    """
    return text if text.isascii() else text.encode("utf-8", "backslashreplace").decode()


def _stands_between_letters(text: str, place: int) -> bool:
    """Tell whether both neighbours of a joiner are visible: letters, marks and symbols, not formats or digits."""
    return all(unicodedata.category(text[near])[0] in "LMS" for near in (place - 1, place + 1))


def _make_visible(char: str) -> str:
    if char in "\n\t" or (char.isprintable() and char not in _BLANK):
        return char
    code, category = ord(char), unicodedata.category(char)
    if category == "Cs":
        return f"\\u{code:04x}"
    if category == "Cc" and code < 0x20:
        return chr(0x2400 + code)
    return f"⟨U+{code:04X}⟩" if category in ("Cc", "Cf", "Zl", "Zp") or char in _BLANK else char
