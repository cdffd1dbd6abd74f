"""The command of this process as text that may be published: secrets are replaced by ``***``."""

from __future__ import annotations

import re
import shlex
import sys
from collections.abc import Sequence
from pathlib import PurePath

HIDDEN = "***"

_NAME = r"[\w.-]*(?:key|token(?!i[sz]er|s\b)|secret|passw|pwd|credential|cookie|authorization)[\w.-]*"
_OPTION = re.compile(rf"--?{_NAME}", re.IGNORECASE)
_NAMED = re.compile(rf"""(?P<name>{_NAME}["']?\s*[=:]\s*["']?)(?P<value>(?:bearer\s+|basic\s+)?[^\s"',;&}}]+)""", re.IGNORECASE)
_PERSON_OF_URL = re.compile(r"(?<=://)[^\s/?#]*@")
_BEARER = re.compile(r"\b(bearer|basic)\s+[\w.~+/=-]{8,}", re.IGNORECASE)
_KNOWN = re.compile(r"\b(?:hf_|sk-|pk-|gh[a-z]_|github_pat_|glpat-|xox[a-z]-|AKIA|AIza|eyJ)[\w.-]{10,}")
"""Prefixes of the keys of well-known services, and of JSON web tokens."""


def describe_command(arguments: Sequence[str] | None = None, /) -> str:
    """Return a command as a line for a shell, without secrets.

    arguments: the program and its arguments; by default those of this process. Of the program only the file's name is kept.
    """
    program, *rest = sys.argv if arguments is None else arguments
    path = PurePath(program)
    name = path.parent.name if path.name == "__main__.py" else path.name
    return " ".join(map(_quote, [name or "python", *hide_secrets(rest)]))


def _quote(argument: str) -> str:
    return argument if argument == HIDDEN else shlex.quote(argument)


def hide_secrets(arguments: Sequence[str], /) -> list[str]:
    """Return the arguments with ``***`` in place of secrets.

    A secret is the value of an option or of a ``name=value`` whose name speaks of a key, a token or a password; the user of a URL; a
    bearer's token; or a value that begins like a key of a well-known service.
    """
    shown, is_value = [], False
    for argument in arguments:
        shown.append(HIDDEN if is_value and not argument.startswith("-") else _hide_within(argument))
        is_value = _OPTION.fullmatch(argument) is not None
    return shown


def _hide_within(text: str) -> str:
    text = _PERSON_OF_URL.sub(f"{HIDDEN}@", text)
    text = _NAMED.sub(rf"\g<name>{HIDDEN}", text)
    text = _BEARER.sub(rf"\1 {HIDDEN}", text)
    return _KNOWN.sub(HIDDEN, text)
