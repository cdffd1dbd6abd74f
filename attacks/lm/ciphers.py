"""Encodings of a text that keep its meaning. Each can be undone, except for distinctions that the target
alphabet lacks."""

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


def to_rot13(text: str) -> str:
    return codecs.encode(text, "rot13")


def to_leetspeak(text: str) -> str:
    return text.translate(str.maketrans({**_LEET, **{letter.upper(): digit for letter, digit in _LEET.items()}}))


def to_zero_width(text: str) -> str:
    """Insert a zero-width space between all characters: the text looks the same, the tokens differ."""
    return _ZERO_WIDTH.join(text)


def to_homoglyphs(text: str) -> str:
    """Replace Latin letters by Cyrillic ones of the same shape."""
    return text.translate(str.maketrans(_HOMOGLYPHS))


def to_morse(text: str) -> str:
    """Encode in Morse code, with spaces between letters and `` / `` between words. Other characters stay."""
    return " / ".join(" ".join(_MORSE.get(letter, letter) for letter in word) for word in text.lower().split())


CIPHERS: Mapping[str, tuple[Callable[[str], str], str]] = {
    "base64": (to_base64, "is written in Base64"),
    "rot13": (to_rot13, "is written in ROT13, each letter moved by thirteen places"),
    "leetspeak": (to_leetspeak, "is written in leetspeak"),
    "zero_width": (to_zero_width, ""),
    "homoglyphs": (to_homoglyphs, ""),
    "morse": (to_morse, "is written in Morse code, with / between words"),
}
"""Function and description of each cipher; no description if the text looks plain."""
