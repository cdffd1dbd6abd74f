"""Whether the network may be used, and that nobody uses it unasked."""

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
"""``datasets`` and ``evaluate`` count what is loaded, of local files too, by a request to a host of their makers' (the last one)."""


def is_offline() -> bool:
    """True under ``--offline`` and where any of Hugging Face's own switches says so."""
    names = ("HF_HUB_OFFLINE", "HF_DATASETS_OFFLINE", "TRANSFORMERS_OFFLINE")
    return any(os.environ.get(name, "").lower() in _TRUE for name in names)


def go_offline() -> None:
    """Set Hugging Face's switches for this process. They are read when its libraries are imported: call this first."""
    os.environ["HF_HUB_OFFLINE"] = os.environ["HF_DATASETS_OFFLINE"] = "1"


def stay_silent() -> None:
    """Nobody is told what this process does, and no socket is opened where nothing was asked for. To be called before other imports.

    What is imported to talk to the hub (urllib3) tries, when it is imported, whether a socket of IPv6 can be had: it is told so instead.
    """
    os.environ.update(_SILENT)
    has_ipv6, socket.has_ipv6 = socket.has_ipv6, False
    try:
        connection: Any = import_module("urllib3.util.connection")
        connection.HAS_IPV6 = has_ipv6
    except ImportError:  # a version of the hub's library that has another to talk with
        pass
    finally:
        socket.has_ipv6 = has_ipv6
