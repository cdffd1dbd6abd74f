"""Metrics of plugins, held to the contract before a run. Our own are held to it by tests, and not loaded here: that takes torch."""

from __future__ import annotations

from collections.abc import Mapping

from ..api.registry import Registry


def check_foreign(origins: Mapping[str, str], registry: Registry, /) -> None:
    """``origins``: where each metric of a task comes from. Raises `ConfigError` with what one of them lacks."""
    for name, origin in origins.items():
        if not origin.startswith("windtunnel "):
            from .base import check_metric

            check_metric(name, registry.make("metrics", name))
