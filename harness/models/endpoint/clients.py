"""The clients of the services, imported when they are used. They never redirect, retry or read proxies for this machine."""

from __future__ import annotations

import logging
from importlib import import_module
from ipaddress import ip_address
from typing import Any

from ...api.errors import ModelError
from ...system.installs import ENDPOINTS
from ...system.offline import is_offline
from ...system.quiet_import import silence_imports
from .keys import Key
from .settings import Settings


def is_local(host: str) -> bool:
    """Tell whether a host is this machine."""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost" or host.endswith(".localhost")


def check_network(settings: Settings) -> None:
    """Raise `ModelError` if the network is off and the endpoint is on another machine."""
    if is_offline() and not is_local(settings.host):
        raise ModelError(
            f"{settings.kind}:{settings.target} is at {settings.base_url}, and the network is off: only servers on this machine can be "
            "asked. Set base_url to a local server, or turn the network on"
        )


def import_library(name: str, kind: str) -> Any:
    """Import a library of the extra. Raises `ModelError` with the command that installs it. ``kind``: the kind of the model."""
    try:
        with silence_imports():
            return import_module(name)
    except ImportError as error:
        raise ModelError(f"models of the kind {kind!r} need the package {name}: {ENDPOINTS}") from error


def silence_logs(kind: str) -> None:
    """Stop a client and its HTTP library from logging requests and answers, whose headers may hold the key (``OPENAI_LOG=debug``)."""
    for name in (kind, "httpx", "httpx2", "httpcore", "httpcore2"):
        logger = logging.getLogger(name)
        logger.setLevel(max(logger.level, logging.WARNING))


def make_client(settings: Settings, key: Key) -> Any:
    """Create the client of ``settings.kind``. Retries are this package's own."""
    check_network(settings)
    library = import_library(settings.kind, settings.kind)
    silence_logs(settings.kind)
    # A redirect would take the prompts, and on the same host the key, to an address that nobody named.
    http = library.DefaultHttpxClient(follow_redirects=False, trust_env=not is_local(settings.host), timeout=settings.timeout)
    client = library.OpenAI if settings.kind == "openai" else library.Anthropic
    return client(api_key=key.value, base_url=settings.base_url, max_retries=0, timeout=settings.timeout, http_client=http)
