"""Load suite files into frozen values. Errors name the file and the line."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ValidationError

from ..api.errors import ConfigError, suggest_name
from ..data.yaml_lines import SUFFIXES, Lines, load, load_file
from ..scorecard.gates.entries import GateSpec
from .specs import NO_BASELINE, BatchSpec, ModelSpec, ReportSpec, Suite, change_each, name_model, name_task


def load_suite(path: Path, /, **overrides: Any) -> Suite:
    """Load a suite file. A task file is a suite of this task and the models in ``overrides``.

    overrides: values that replace those of the file, by key; ``plugins`` are added to the file's.

    Relative paths in the file start from its folder, those in overrides from the working folder.

    Raises `ConfigError` with the line, and the closest known key.
    """
    value, lines = load_file(path)
    if not isinstance(value, dict):
        raise ConfigError(f"{path}: a suite is a mapping with 'models' and 'tasks'")
    overrides = _anchor_overrides(overrides, Path.cwd())
    if "family" in value and "tasks" not in value:
        if "models" not in overrides:
            raise ConfigError(f"{path} is a task file, not a suite: add the model that it tests", argument="model")
        return make_suite({"name": path.stem, "tasks": [str(path.resolve())], **overrides}, base=Path.cwd())
    value.setdefault("name", path.stem)
    if "plugins" in overrides and isinstance(value.get("plugins"), list):
        overrides["plugins"] = [*value["plugins"], *overrides["plugins"]]
    lines = {key_path: line for key_path, line in lines.items() if key_path and key_path[0] not in overrides}
    return make_suite({**value, **overrides}, base=path.parent, source=str(path), lines=lines)


def make_suite(
    value: Mapping[str, Any], *, base: Path, source: str = "command line", lines: Lines | None = None,
    required: Collection[str] = ("models", "tasks"),
) -> Suite:  # fmt: skip
    """Build a suite from plain values.

    base: folder that relative paths start from. source: where the values come from, for errors.
    lines: line of each key in the source.
    required: the keys that must be given.

    Raises `ConfigError`.
    """
    places = {path: f"{source}:{line}: " for path, line in (lines or {}).items()}
    known = sorted(Suite.model_fields)
    for key in value:
        if key not in known:
            place = places.get((str(key),), f"{source}: ")
            raise ConfigError(f"{place}a suite has no key {key!r}.{suggest_name(str(key), known)} Its keys: {', '.join(known)}.")
    for key in required:
        if key not in value:
            raise ConfigError(f"{source}: {key}: a suite needs this key")
    try:
        suite = Suite.model_validate(dict(value))
    except ValidationError as error:
        raise ConfigError(_explain(error, source, places)) from error
    named = [
        *((("models", i), "model", name_model(m)) for i, m in enumerate(suite.models)),
        *((("auxiliary_models", i), "model", name_model(m)) for i, m in enumerate(suite.auxiliary_models)),
        *((("tasks", i), "task", name_task(t)) for i, t in enumerate(suite.tasks) if t.name or not t.settings),
    ]
    seen: set[tuple[str, str]] = set()
    for path, kind, name in named:
        if (kind, name) in seen:
            raise ConfigError(f"{places.get(path, f'{source}: ')}two {kind}s are called {name!r}; tell them apart with 'name:'")
        seen.add((kind, name))
    suite = _anchor_suite(suite, base)
    suite._places = places
    return suite


def read_report(text: str, /) -> ReportSpec:
    """Return a report of the command line: a name, or ``{report: NAME, ...}`` with settings. Raises `ConfigError`."""
    value = load(text, "command line")[0] if text.lstrip().startswith("{") else {"report": text}
    try:
        return ReportSpec.model_validate(value)
    except ValidationError as error:
        raise ConfigError(_explain(error, "command line", {})) from error


_INNER_KEYS: Mapping[str, type[BaseModel]] = {"gates": GateSpec, "batch": BatchSpec}


def _explain(error: ValidationError, source: str, places: Mapping[tuple[str | int, ...], str]) -> str:
    first = error.errors()[0]
    where = first["loc"]
    message = first["msg"].removeprefix("Value error, ")
    if first["type"] == "extra_forbidden" and where[0] in _INNER_KEYS:
        known = sorted(_INNER_KEYS[str(where[0])].model_fields)
        message = f"unknown key.{suggest_name(str(where[-1]), known)} The keys here: {', '.join(known)}"
    elif first["type"] == "too_short":
        message = "the list is empty; name at least one"
    elif first["type"] == "tuple_type":
        fix = f"write [{first['input']}]" if isinstance(first["input"], str) else f"not {first['input']!r}"
        message = f"this is a list; {fix}"
    elif isinstance(first["input"], str | int | float | None) and first["type"] != "value_error":
        message += f", not {first['input']!r}"
    place = next((places[where[:n]] for n in range(len(where), 0, -1) if where[:n] in places), f"{source}: ")
    dotted = ".".join(str(part) for part in where)
    return f"{place}{dotted + ': ' if dotted else ''}{message}"


_PATHS = ("baseline", "cache", "resources")
"""Keys of a suite whose value is a path."""


def _anchor_path(path: str, base: Path) -> str:
    return path if path == NO_BASELINE else str((base / path).resolve())


def _anchor(text: str, base: Path) -> str:
    """Make a path relative to ``base`` absolute; return any other text unchanged."""
    head, colon, tail = text.rpartition(":") if ".py:" in text else (text, "", "")
    candidate = base / head
    looks_local = head.startswith(".") or head.endswith((*SUFFIXES, ".py")) or candidate.exists()
    return f"{candidate.resolve()}{colon}{tail}" if looks_local and not Path(head).is_absolute() else text


def _anchor_model(model: str, base: Path) -> str:
    kind, colon, target = model.partition(":")
    return f"{kind}{colon}{_anchor(target, base)}" if target else model


def _anchor_task(task: str, base: Path) -> str:
    return _anchor(task, base) if task.endswith(SUFFIXES) else task


def _anchor_overrides(overrides: Mapping[str, Any], base: Path) -> dict[str, Any]:
    """Make the relative paths in overrides absolute."""
    anchors = {"models": _anchor_model, "auxiliary_models": _anchor_model, "tasks": _anchor_task, "plugins": _anchor}
    anchored = dict(overrides)
    for key, anchor in anchors.items():
        if isinstance(anchored.get(key), list | tuple):
            anchored[key] = [anchor(entry, base) if isinstance(entry, str) else entry for entry in anchored[key]]
    for key in _PATHS:
        if isinstance(anchored.get(key), str):
            anchored[key] = _anchor_path(anchored[key], base)
    return anchored


def _anchor_suite(suite: Suite, base: Path) -> Suite:
    """Make paths that exist relative to the suite absolute, so that the working folder does not matter."""

    def models(specs: Sequence[ModelSpec]) -> tuple[ModelSpec, ...]:
        return tuple(spec.model_copy(update={"model": _anchor_model(spec.model, base), "name": name_model(spec)}) for spec in specs)

    tasks = [
        spec.model_copy(update={"task": _anchor_task(spec.task, base), "settings": _anchor_data(spec.settings, base),
                                "name": spec.name if spec.settings else name_task(spec)})
        for spec in suite.tasks
    ]  # fmt: skip
    plugins = dict.fromkeys(_anchor(p, base) for p in suite.plugins)
    changes: dict[str, Any] = {
        "models": models(suite.models), "auxiliary_models": models(suite.auxiliary_models), "tasks": tuple(tasks), "plugins": tuple(plugins)
    }  # fmt: skip
    changes |= {key: _anchor_path(path, base) for key in _PATHS if (path := getattr(suite, key)) is not None}
    return suite.model_copy(update=changes)


def _anchor_data(settings: Mapping[str, Any], base: Path) -> Mapping[str, Any]:
    """Make ``data.files`` and ``data.python`` of a task's settings absolute."""
    data = settings.get("data")
    if not isinstance(data, dict):
        return settings

    def absolute(name: Any) -> Any:
        return str((base / name).resolve()) if isinstance(name, str) and not Path(name).is_absolute() else name

    data = dict(data)
    if "files" in data:
        data["files"] = change_each(data["files"], absolute)
    if isinstance(data.get("python"), str) and ".py:" in data["python"]:
        file, _, name = data["python"].rpartition(":")
        data["python"] = f"{absolute(file)}:{name}"
    return {**settings, "data": data}
