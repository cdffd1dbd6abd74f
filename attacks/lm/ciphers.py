"""Ways to write a text that keep what it says; each can be undone, but for what the target alphabet cannot tell apart."""

from __future__ import annotations

import base64
import codecs
import re
from collections.abc import Callable, Mapping

_CODES = (
    ".- -... -.-. -.. . ..-. --. .... .. .--- -.- .-.. -- -. --- .--. --.- .-. ... - ..- ...- .-- -..- -.-- --.. "
    "----- .---- ..--- ...-- ....- ..... -.... --... ---.. ----. "
    ".-.-.- --..-- ..--.. .----. -.-.-- -..-. -.--. -.--.- .-... ---... -.-.-. -...- .-.-. -....- ..--.- .-..-. .--.-."
)
_MORSE = dict(zip("abcdefghijklmnopqrstuvwxyz0123456789.,?'!/()&:;=+-_\"@", re.split(" ", _CODES), strict=True))
_LEET: dict[str, str | int | None] = {"a": "4", "b": "8", "e": "3", "g": "9", "i": "1", "l": "|", "o": "0", "s": "5", "t": "7", "z": "2"}
_HOMOGLYPHS: dict[str, str | int | None] = {
    "a": "а", "c": "с", "e": "е", "i": "і", "j": "ј", "o": "о", "p": "р", "s": "ѕ", "x": "х", "y": "у", "A": "А", "B": "В", "C": "С",
    "E": "Е", "H": "Н", "I": "І", "J": "Ј", "K": "К", "M": "М", "O": "О", "P": "Р", "S": "Ѕ", "T": "Т", "X": "Х", "Y": "Ү",
}  # fmt: skip
_ZERO_WIDTH = "\u200b"


def to_base64(text: str) -> str:
    return base64.b64encode(text.encode("utf-8")).decode()


def rot13(text: str) -> str:
    return codecs.encode(text, "rot13")


def leetspeak(text: str) -> str:
    return text.translate(str.maketrans({**_LEET, **{letter.upper(): digit for letter, digit in _LEET.items()}}))


def zero_width(text: str) -> str:
    """A zero-width space between any two characters: the same to the eye, other tokens."""
    return _ZERO_WIDTH.join(text)


def homoglyphs(text: str) -> str:
    """Latin letters as Cyrillic ones of the same shape."""
    return text.translate(str.maketrans(_HOMOGLYPHS))


def to_morse(text: str) -> str:
    """Letters apart by a space, words by `` / ``. What Morse has no code for stays as it is."""
    return " / ".join(" ".join(_MORSE.get(letter, letter) for letter in word) for word in text.lower().split())


CIPHERS: Mapping[str, tuple[Callable[[str], str], str]] = {
    "base64": (to_base64, "is written in Base64"),
    "rot13": (rot13, "is written in ROT13, each letter moved by thirteen places"),
    "leetspeak": (leetspeak, "is written in leetspeak"),
    "zero_width": (zero_width, ""),
    "homoglyphs": (homoglyphs, ""),
    "morse": (to_morse, "is written in Morse code, with / between words"),
}
"""By name: how to write, and what the reader has to be told of it (nothing, where it looks like plain text)."""
