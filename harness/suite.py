"""A suite: which models are put through which tasks, attacks and probes, and which gates they must pass. A file becomes a frozen value."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from . import codec
from .errors import ConfigError, did_you_mean
from .yaml_lines import Lines, load_file


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class _Plugged(_Frozen):
    """Keys that are not the harness's are the plugin's own settings."""

    settings: Mapping[str, Any] = Field(default_factory=dict)

    @model_validator(mode="before")
    @classmethod
    def _gather(cls, value: Any) -> Any:
        if not isinstance(value, dict):
            return value
        own = set(cls.model_fields)
        settings = {k: v for k, v in value.items() if k not in own}
        return {**{k: v for k, v in value.items() if k in own}, "settings": {**value.get("settings", {}), **settings}}


class ModelSpec(_Plugged):
    """``model``: ``kind:target``. ``name``: what rows and gates call it."""

    model: str
    name: str = ""

    @property
    def kind(self) -> str:
        return self.model.partition(":")[0]

    @property
    def target(self) -> str:
        return self.model.partition(":")[2]


class TaskSpec(_Plugged):
    """``task``: a catalog name or a YAML file. ``models``: which of the suite's models (default: all that can)."""

    task: str
    name: str = ""
    models: tuple[str, ...] | None = None
    limit: int | None = Field(default=None, ge=1)


class AttackSpec(_Plugged):
    """``tasks``: which tasks (default: all it can attack). ``threat``: ``{type: lp | edits, ...}`` in place of the attack's own."""

    attack: str
    name: str = ""
    tasks: tuple[str, ...] | None = None
    models: tuple[str, ...] | None = None
    limit: int | None = Field(default=None, ge=1)
    threat: Mapping[str, Any] | None = None


class ProbeSpec(_Plugged):
    probe: str
    name: str = ""
    tasks: tuple[str, ...] | None = None
    models: tuple[str, ...] | None = None
    limit: int | None = Field(default=None, ge=1)


class GateSpec(_Frozen):
    """``check``: ``[MODEL/]ITEM.METRIC[.value|.low|.high] >= NUMBER``. ``inconclusive``: what an undecided check means."""

    check: str
    inconclusive: Literal["fail", "warn", "pass"] = "fail"


class BatchSpec(_Frozen):
    tokens: int | None = Field(default=None, ge=1)
    rows: int | None = Field(default=None, ge=1)


class Suite(_Frozen):
    """Everything that decides a run's numbers, and where it runs.

    ``limit``: the first N samples of each task. ``chunk``: samples whose records are written together (what a killed run may lose).
    ``cache``: a file of answers shared between runs.
    """

    name: str = "run"
    models: tuple[ModelSpec, ...] = Field(min_length=1)
    tasks: tuple[TaskSpec, ...] = Field(min_length=1)
    attacks: tuple[AttackSpec, ...] = ()
    probes: tuple[ProbeSpec, ...] = ()
    gates: tuple[GateSpec, ...] = ()
    reports: tuple[str, ...] = ("json", "html", "markdown", "junit")
    plugins: tuple[str, ...] = ()
    limit: int | None = Field(default=None, ge=1)
    seed: int = Field(default=0, ge=0)
    device: str = "auto"
    dtype: Literal["auto", "float32", "bfloat16", "float16"] = "auto"
    chunk: int = Field(default=64, ge=1)
    batch: BatchSpec = BatchSpec()
    cache: str | None = None

    @field_validator("models", "tasks", "attacks", "probes", "gates", mode="before")
    @classmethod
    def _shorthand(cls, value: Any, info: Any) -> Any:
        """A plain string stands for the entry's first key: ``- sst2`` is ``- {task: sst2}``."""
        key = {"models": "model", "tasks": "task", "attacks": "attack", "probes": "probe", "gates": "check"}[info.field_name]
        if isinstance(value, list | tuple):
            return [{key: entry} if isinstance(entry, str) else entry for entry in value]
        return value

    @model_validator(mode="after")
    def _names(self) -> Suite:
        for spec in self.models:
            if ":" not in spec.model:
                raise ValueError(
                    f"model {spec.model!r} does not say what kind it is: write hf:{spec.model}, callable:..., torch:... or toy:..."
                )
        for kind, names in (("model", self.model_names()), ("task", [task_name(t) for t in self.tasks])):
            twice = sorted({name for name in names if names.count(name) > 1})
            if twice:
                raise ValueError(f"two {kind}s are called {twice[0]!r}; tell them apart with 'name:'")
        return self

    def model_names(self) -> list[str]:
        """The given names, else the last part of the target, e.g. ``minilm`` of ``hf:models/minilm``."""
        return [spec.name or spec.target.rstrip("/").rpartition("/")[2].replace(".py:", ":") or spec.model for spec in self.models]

    def identity(self) -> str:
        """Hash of all that decides a number (not of where the run is cached or which views are written)."""
        decisive = self.model_dump(mode="json", exclude={"reports", "gates", "cache", "name"})
        return codec.digest(decisive)

    def to_yaml(self) -> str:
        dumped = self.model_dump(mode="json", exclude_defaults=True)
        return yaml.safe_dump(dumped, sort_keys=False, allow_unicode=True)


def task_name(spec: TaskSpec, /) -> str:
    return spec.name or (Path(spec.task).stem if spec.task.endswith((".yaml", ".yml")) else spec.task)


def load_suite(path: Path, /, **overrides: Any) -> Suite:
    """Read a suite file. Relative paths in it are relative to it. Raises `ConfigError` with the line and the nearest known key."""
    value, lines = load_file(path)
    if not isinstance(value, dict):
        raise ConfigError(f"{path}: a suite is a mapping with 'models' and 'tasks'")
    value.setdefault("name", path.stem)
    return make_suite({**value, **overrides}, base=path.parent, source=str(path), lines=lines)


def make_suite(value: Mapping[str, Any], *, base: Path, source: str = "command line", lines: Lines | None = None) -> Suite:
    """A suite from plain values. ``base``: the folder that its relative paths start from."""
    _check_keys(value, source, lines or {})
    try:
        suite = Suite.model_validate(dict(value))
    except ValidationError as error:
        first = error.errors()[0]
        where = first["loc"]
        line = next((lines[where[:n]] for n in range(len(where), 0, -1) if lines and where[:n] in lines), None)
        place = f"{source}:{line}" if line else source
        dotted = ".".join(str(part) for part in where)
        raise ConfigError(f"{place}: {dotted + ': ' if dotted else ''}{first['msg'].removeprefix('Value error, ')}") from error
    return _anchored(suite, base)


def _check_keys(value: Mapping[str, Any], source: str, lines: Lines) -> None:
    known = set(Suite.model_fields)
    for key in value:
        if key not in known:
            line = lines.get((str(key),))
            place = f"{source}:{line}" if line else source
            raise ConfigError(f"{place}: a suite has no key {key!r}.{did_you_mean(str(key), known)} Its keys: {', '.join(sorted(known))}.")


def _anchored(suite: Suite, base: Path) -> Suite:
    """Paths made absolute where they exist relative to the suite: the same suite means the same thing from every folder."""

    def anchor(text: str) -> str:
        head, colon, tail = text.partition(":") if ".py:" in text else (text, "", "")
        candidate = base / head
        looks_local = head.startswith(".") or head.endswith((".yaml", ".yml", ".py")) or candidate.exists()
        return f"{candidate.resolve()}{colon}{tail}" if looks_local and not Path(head).is_absolute() else text

    names = suite.model_names()
    models = [
        spec.model_copy(update={"model": f"{spec.kind}:{anchor(spec.target)}", "name": name})
        for spec, name in zip(suite.models, names, strict=True)
    ]
    tasks = [
        spec.model_copy(update={"task": anchor(spec.task) if spec.task.endswith((".yaml", ".yml")) else spec.task,
                                "settings": _anchored_data(spec.settings, base), "name": task_name(spec)})
        for spec in suite.tasks
    ]  # fmt: skip
    return suite.model_copy(update={"models": tuple(models), "tasks": tuple(tasks), "plugins": tuple(anchor(p) for p in suite.plugins)})


def _anchored_data(settings: Mapping[str, Any], base: Path) -> Mapping[str, Any]:
    """``data.files`` and ``data.python`` of a task's settings, made absolute."""
    data = settings.get("data")
    if not isinstance(data, dict):
        return settings

    def absolute(name: Any) -> Any:
        return str((base / name).resolve()) if isinstance(name, str) and not Path(name).is_absolute() else name

    data = dict(data)
    if "files" in data:
        files = data["files"]
        data["files"] = [absolute(f) for f in files] if isinstance(files, list) else absolute(files)
    if isinstance(data.get("python"), str) and ".py:" in data["python"]:
        file, _, name = data["python"].rpartition(":")
        data["python"] = f"{absolute(file)}:{name}"
    return {**settings, "data": data}
