"""The settings of an endpoint, checked."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

from ...api.errors import ConfigError
from .costs import Price

_SECRET = re.compile(
    r"(api[-_]?)?keys?|authorization|.*(api[-_]?key|secret|password|credential)|((access|auth|api|bearer)[-_]?)?token|bearer|(extra[-_])?headers?",
    re.IGNORECASE,
)
"""Names of fields that hold keys."""
APIS = ("auto", "chat", "completions", "embeddings")


@dataclass(frozen=True, slots=True)
class Settings:
    """The settings of an endpoint; `source` explains each.

    kind: the kind of model, ``openai`` or ``anthropic``, for messages.
    """

    kind: str
    target: str
    base_url: str
    api_key_env: str
    api: str = "auto"
    parts: tuple[str, ...] = ()
    extra: Mapping[str, Any] = field(default_factory=dict)
    price: Price = field(default_factory=Price)
    max_cost: float | None = None
    concurrency: int = 16
    requests_per_minute: float | None = None
    tokens_per_minute: float | None = None
    timeout: float = 120.0
    attempts: int = 6
    check_identity: bool = True
    version: str = ""
    begin: str = ""

    def __post_init__(self) -> None:
        """Raises `ConfigError` for a value that is not possible."""
        where = f"{self.kind}:{self.target}"
        address = urlsplit(self.base_url)
        if "@" in self.base_url or address.query or address.fragment:
            raise ConfigError(
                f"{where}: base_url holds a user, a password, a query or a fragment, which records would keep; keep keys in the "
                "environment and name the variable with api_key_env"
            )
        if address.scheme not in ("http", "https") or not address.hostname:
            raise ConfigError(f"{where}: base_url must be an address such as http://localhost:8000/v1, not {self.base_url!r}")
        if not re.fullmatch("[A-Z_][A-Z0-9_]*", self.api_key_env):
            raise ConfigError(
                f"{where}: api_key_env is the name of an environment variable, in capitals, such as OPENAI_API_KEY. It is not shown here, "
                "because it may be a key; put keys into the environment"
            )
        if self.api not in APIS:
            raise ConfigError(f"{where}: api is one of {', '.join(APIS)}, not {self.api!r}")
        if unknown := sorted(set(self.parts) - {"image", "audio"}):
            raise ConfigError(f"{where}: parts may name image and audio, not {unknown[0]!r}")
        if not isinstance(self.extra, Mapping):
            raise ConfigError(f"{where}: extra is a mapping of further fields of each request, not a {type(self.extra).__name__}")
        if secret := _find_secret(self.extra):
            raise ConfigError(
                f"{where}: extra holds {secret!r}, which records would keep; keep keys in the environment and name the variable with "
                "api_key_env. A server that wants another header is reached through a proxy on this machine that adds it"
            )
        whole = {"concurrency": self.concurrency, "attempts": self.attempts}
        rates = {"requests_per_minute": self.requests_per_minute, "tokens_per_minute": self.tokens_per_minute}
        for name, value in {"max_cost": self.max_cost, "timeout": self.timeout, **rates, **whole}.items():
            if value is not None and (isinstance(value, bool) or not isinstance(value, int | float) or not value > 0):
                raise ConfigError(f"{where}: {name} must be a number above 0, not {value!r}")
        for name, number in whole.items():
            if number != int(number):
                raise ConfigError(f"{where}: {name} must be a whole number, not {number!r}")
        if self.max_cost is not None and not self.price:
            raise ConfigError(f"{where}: max_cost needs the price, in US dollars per million tokens: price: {{input: 0.15, output: 0.6}}")

    @property
    def host(self) -> str:
        """The host of the address."""
        return urlsplit(self.base_url).hostname or ""


def _find_secret(value: object) -> str:
    """Return the first name in a value that names a key; empty if there is none."""
    if isinstance(value, Mapping):
        named = next((str(name) for name in value if _SECRET.fullmatch(str(name))), "")
        return named or next(filter(None, map(_find_secret, value.values())), "")
    return next(filter(None, map(_find_secret, value)), "") if isinstance(value, list | tuple) else ""
