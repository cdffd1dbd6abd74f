"""Find and check the metrics of tasks before a run. Built-in metrics are checked by tests, and not loaded here."""

from __future__ import annotations

from ..api.bases import require_methods
from ..api.errors import ConfigError
from ..api.registry import Registry
from ..identity.programs import name_origin
from .base import Metric, make_metric
from .evaluate_module import PREFIX, add_module


def find_metric(metric: object, registry: Registry, /) -> tuple[str, str]:
    """Find one of a task's metrics: the name of one, ``evaluate:MODULE``, a class derived from `Metric`, or an object of such a class.

    Returns its name and its origin; a module, class or object joins the registry. Raises `ConfigError` for anything else, with what a
    plugin's metric lacks, or where another metric has its name.
    """
    if not isinstance(metric, str):
        return _add_metric(metric, registry)
    if metric.startswith(PREFIX) and metric not in registry.names("metrics"):
        return metric, add_module(metric, registry)
    origin = registry.get("metrics", metric).origin
    if not origin.startswith("windtunnel "):
        make_metric(metric, registry)
    return metric, origin


def _add_metric(metric: object, registry: Registry) -> tuple[str, str]:
    made = metric() if isinstance(metric, type) and issubclass(metric, Metric) else metric
    if not isinstance(made, Metric):
        raise ConfigError(
            f"{metric!r:.80} is no metric: give the name of one ('windtunnel list metrics'), a class derived from windtunnel.Metric, "
            "or an object of such a class"
        )
    require_methods(f"metric {type(made).__name__!r}", made, Metric)
    known = made.name in registry.names("metrics") and registry.get("metrics", made.name)
    if not known or not _is_same(known.load(), known.origin, made):
        registry.add_object("metrics", made.name, made, lambda: made)
    return made.name, registry.get("metrics", made.name).origin


def _is_same(factory: object, origin: str, made: object) -> bool:
    """Whether a known metric is the class of an object, or the same object or an equal one."""
    return factory is type(made) or origin == name_origin(made)
