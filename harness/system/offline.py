"""Switch the network off, and disable telemetry."""

from __future__ import annotations

import os
import socket
from importlib import import_module
from typing import Any

_TRUE = {"1", "on", "true", "yes"}

_SILENT = {
    "HF_HUB_DISABLE_TELEMETRY": "1", "DISABLE_TELEMETRY": "1", "DO_NOT_TRACK": "1",
    "HF_UPDATE_DOWNLOAD_COUNTS": "0",
}  # fmt: skip
"""The last one: ``datasets`` and ``evaluate`` report every load, even of local files, to a server of Hugging Face."""


def is_offline() -> bool:
    """Whether ``--offline`` or any of Hugging Face's own switches is set."""
    names = ("HF_HUB_OFFLINE", "HF_DATASETS_OFFLINE", "TRANSFORMERS_OFFLINE")
    return any(os.environ.get(name, "").lower() in _TRUE for name in names)


def go_offline() -> None:
    """Set Hugging Face's offline switches for this process. Call it before importing its libraries, which read them once."""
    os.environ["HF_HUB_OFFLINE"] = os.environ["HF_DATASETS_OFFLINE"] = "1"


def disable_telemetry() -> None:
    """Disable telemetry, and keep imports from opening sockets. Call it before other imports.

    urllib3, which the hub client uses, opens an IPv6 socket at import to test for support. Its result is set here instead.
    """
    os.environ.update(_SILENT)
    has_ipv6, socket.has_ipv6 = socket.has_ipv6, False
    try:
        connection: Any = import_module("urllib3.util.connection")
        connection.HAS_IPV6 = has_ipv6
    except ImportError:  # newer versions of the hub client use another HTTP library
        pass
    finally:
        socket.has_ipv6 = has_ipv6
