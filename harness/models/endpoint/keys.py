"""Keys come from the environment, and are hidden in every text that leaves the room."""

from __future__ import annotations

import base64
import html
import json
import os
from collections.abc import Iterable
from typing import Any
from urllib.parse import quote

from ...api.errors import ConfigError, ModelError
from .settings import Settings

HIDDEN = "[key hidden]"
_NO_KEY = "none"
"""Sent to a local server, which seldom wants a key."""


class Key:
    """An API key. It has no representation. ``value``: the key itself, for the client only. ``others``: further values to hide."""

    def __init__(self, value: str, others: Iterable[str] = ()) -> None:
        self.value = value
        written = {form for secret in (value, *others) if len(secret) > len(_NO_KEY) for form in _list_forms(secret)}
        self._forms = sorted(written, key=len, reverse=True)

    def __repr__(self) -> str:
        return HIDDEN

    def hide(self, text: str) -> str:
        """Return the text without the key."""
        for form in self._forms:
            text = text.replace(form, HIDDEN)
        return text

    def hide_in(self, value: Any) -> Any:
        """Return a value of JSON without the key in any of its texts."""
        if isinstance(value, str):
            return self.hide(value)
        if isinstance(value, dict):
            return {self.hide(str(name)): self.hide_in(part) for name, part in value.items()}
        return [self.hide_in(part) for part in value] if isinstance(value, list) else value


def _list_forms(secret: str) -> set[str]:
    """Return the ways in which a text may hold a secret."""
    in_json = json.dumps(secret)[1:-1]
    encoded = base64.b64encode(secret.encode()).decode()
    in_address, in_code = quote(secret, safe=""), repr(secret)[1:-1]
    return {secret, quote(secret), in_address, in_code, in_json, in_json.replace("/", "\\/"), html.escape(secret), encoded}


def _list_header_values(kind: str) -> list[str]:
    """Return the values of the headers that a client adds from the environment, one a line."""
    lines = os.environ.get(f"{kind.upper()}_CUSTOM_HEADERS", "").splitlines()
    return [line.partition(":")[2].strip() for line in lines]


def read_key(settings: Settings, *, is_local: bool) -> Key:
    """Read the key of an endpoint. ``is_local``: its server runs on this machine, and may want no key.

    Raises `ModelError` if the variable is missing or malformed, and `ConfigError` if the suite holds the key itself.
    """
    name = settings.api_key_env
    value = os.environ.get(name, "").strip()
    if not value and not is_local:
        raise ModelError(
            f"{settings.kind}:{settings.target} needs a key in the environment variable {name}; set it, or name another with api_key_env"
        )
    if not all("!" <= character <= "~" for character in value):
        raise ModelError(f"the environment variable {name} holds characters that no key has (spaces, line ends or others); set it anew")
    key = Key(value or _NO_KEY, _list_header_values(settings.kind))
    shown = repr((settings.target, settings.base_url, settings.extra, settings.version))
    if key.hide(shown) != shown:
        raise ConfigError(f"the suite holds the key of {name} itself, which records would keep; remove it there")
    return key
