"""Modules of Hugging Face `evaluate` as metrics. The library is imported only for them: it imports torch and transformers."""

from __future__ import annotations

import importlib
import inspect
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from ..api.errors import ConfigError
from ..api.registry import Registry
from ..identity.code import collect_code
from ..statistics.bootstrap import bootstrap_intervals
from ..statistics.groups import Groups
from ..statistics.intervals import Interval
from ..statistics.statistic import Columns
from ..system.interrupts import is_interrupt
from ..system.quiet_import import silence_imports
from .base import Floats, Metric

PREFIX = "evaluate:"
"""The beginning of the names of these metrics."""

_NUM_RESAMPLES = 200


class EvaluateModule(Metric):
    """A module of `evaluate` as a metric, with the percentile bootstrap of 200 resamples as its interval.

    ``evaluate:MODULE`` among a task's metrics is this class with its defaults. A subclass, registered as a plugin, sets what
    the module does not tell: `higher_is_better`, `low`, `high`, `unit` and the following attributes.

    module: path of the module's script or folder, or its name in the cache of `evaluate`. Nothing is downloaded.
    arguments: the column that each input of the module takes, by the name of the input.
    options: further arguments of the module's ``compute``, such as ``{"average": "macro"}``.
    values: names of the module's values that are metrics; by default one with the module's own name.
    """

    module: ClassVar[str]
    arguments: ClassVar[Mapping[str, str]] = {"predictions": "prediction", "references": "target"}
    options: ClassVar[Mapping[str, Any]] = {}
    values: ClassVar[tuple[str, ...]] = ()
    higher_is_better = None

    def __init_subclass__(cls) -> None:
        cls.needs = frozenset(cls.arguments.values())
        if "name" not in vars(cls):
            cls.name = Path(cls.module).stem
        cls.values = cls.values or (cls.name,)

    def __init__(self) -> None:
        load_module(self.module)

    def names(self, labels: tuple[str, ...]) -> tuple[str, ...]:
        return self.values

    def undefined(self, columns: Columns, labels: tuple[str, ...]) -> dict[str, str]:
        found = self._compute(columns)
        return {name: "the module gives no finite number" for name in self.values if not np.isfinite(found[name])}

    def evaluate_columns(self, columns: Columns, labels: tuple[str, ...]) -> dict[str, float]:
        return {name: value for name, value in self._compute(columns).items() if np.isfinite(value)}

    def intervals(self, columns: Columns, labels: tuple[str, ...], groups: Groups, seed: int) -> Mapping[str, Interval]:
        return bootstrap_intervals(self, columns, labels, groups, seed, _NUM_RESAMPLES)

    def resampled(self, weights_RN: Floats, columns: Columns, labels: tuple[str, ...]) -> dict[str, Floats]:
        """Compute the module on each resample; NaN where it raises, as for one that has a single class.

        Raises `ValueError` for weights that are no counts: a module takes no weights.
        """
        if np.any(weights_RN != np.round(weights_RN)):
            raise ValueError(f"the module {self.module!r} takes no weights")
        rows = [self._compute_resample(columns, weights_N) for weights_N in weights_RN]
        return {name: np.array([row.get(name, np.nan) for row in rows]) for name in self.values}

    def _compute_resample(self, columns: Columns, weights_N: Floats) -> dict[str, float]:
        drawn_M = np.repeat(np.arange(len(weights_N)), weights_N.astype(np.int64))
        try:
            return self._compute({name: values[drawn_M] for name, values in columns.items()})
        except BaseException as error:
            if is_interrupt(error):
                raise
            return {}

    def _compute(self, columns: Columns) -> dict[str, float]:
        """Return the number of each of `values`. Raises `KeyError` for one that the module does not give."""
        inputs = {argument: columns[column].tolist() for argument, column in self.arguments.items()}
        answer = load_module(self.module).compute(**inputs, **self.options)
        if missing := [name for name in self.values if name not in answer]:
            raise KeyError(f"the module {self.module!r} gives no {missing[0]!r}; set 'values' to some of {', '.join(answer)}")
        return {name: float(answer[name]) for name in self.values}


def add_module(name: str, registry: Registry, /) -> str:
    """Add ``evaluate:MODULE`` to the metrics of a registry, and return its origin: the name with a hash of the module's code.

    Raises `ConfigError` if the module is neither a file nor in the cache, or cannot be imported.
    """
    module = name.removeprefix(PREFIX)
    about = f"The module {module} of Hugging Face evaluate."
    kind = type("EvaluateModule", (EvaluateModule,), {"__module__": __name__, "module": module, "__doc__": about})
    registry.add("metrics", name, kind, describe_module(module))
    return registry.get("metrics", name).origin


def describe_module(module: str, /) -> str:
    """Return the name of a module with a hash of its code, as records keep it. Raises `ConfigError` as `load_module` does."""
    file = inspect.getsourcefile(type(load_module(module)))
    assert file is not None
    return f"{PREFIX}{module} sha256:{collect_code(Path(file)).digest[:12]}"


@cache
def load_module(module: str, /) -> Any:
    """Load a module of `evaluate` from a path or from its cache, without the network.

    Raises `ConfigError` if it is in neither place, or cannot be imported.
    """
    with silence_imports():
        library = importlib.import_module("evaluate")
        try:
            with _go_offline(library):
                return library.load(module, keep_in_memory=True)
        except FileNotFoundError as error:
            raise ConfigError(
                f"there is no module {module!r} of evaluate: neither a script or folder of this path, nor in its cache; nothing is "
                f"downloaded, so load it once: python -c \"import evaluate; evaluate.load('{module}')\""
            ) from error
        except BaseException as error:
            if is_interrupt(error):
                raise
            raise ConfigError(f"the module {module!r} of evaluate cannot be loaded: {type(error).__name__}: {error}") from error


@contextmanager
def _go_offline(library: Any) -> Iterator[None]:
    """Keep `evaluate` off the network in the body, whatever its own switch says."""
    before, library.config.HF_EVALUATE_OFFLINE = library.config.HF_EVALUATE_OFFLINE, True
    try:
        yield
    finally:
        library.config.HF_EVALUATE_OFFLINE = before
