"""Check the metrics of plugins before a run. Built-in metrics are checked by tests, and not loaded here."""

from __future__ import annotations

from collections.abc import Mapping

from ..api.registry import Registry


def check_foreign(origins: Mapping[str, str], registry: Registry, /) -> None:
    """Check each metric that does not belong to Windtunnel. ``origins``: origin of each metric, by name.

    Raises `ConfigError` with the missing parts of an incomplete metric.
    """
    for name, origin in origins.items():
        if not origin.startswith("windtunnel "):
            from .base import check_metric

            check_metric(name, registry.make("metrics", name))
