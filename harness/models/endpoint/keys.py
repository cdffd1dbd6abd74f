"""Keys come from the environment, and are hidden in every text that leaves the room."""

from __future__ import annotations

import html
import json
import os
from typing import Any
from urllib.parse import quote

from ...api.errors import ConfigError, ModelError
from .settings import Settings

HIDDEN = "[key hidden]"
_NO_KEY = "none"
"""Sent to a local server, which seldom wants a key."""


class Key:
    """An API key. ``value``: the key itself, for the client only. It has no representation."""

    def __init__(self, value: str) -> None:
        self.value = value
        in_json = json.dumps(value)[1:-1]
        written = {value, quote(value), quote(value, safe=""), in_json, in_json.replace("/", "\\/"), repr(value)[1:-1], html.escape(value)}
        self._forms = sorted(written, key=len, reverse=True) if len(value) > len(_NO_KEY) else []

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
    key = Key(value or _NO_KEY)
    shown = repr((settings.target, settings.base_url, settings.extra, settings.version))
    if key.hide(shown) != shown:
        raise ConfigError(f"the suite holds the key of {name} itself, which records would keep; remove it there")
    return key
