"""A suite: which models are put through which tasks, attacks and probes, and which gates they must pass. A file becomes a frozen value."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, PrivateAttr, ValidationError, field_validator, model_validator

from . import codec
from .errors import ConfigError, did_you_mean
from .rows.row_names import DEFAULT_SCORES, FAITHFULNESS
from .yaml_lines import Lines, dump, load_file


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


def _printable(name: str) -> str:
    """A name stands in rows, gates and file names: no control characters, no lone surrogates."""
    if not name.isprintable():
        raise ValueError(f"a name is made of printable characters, not {name!a}")
    return name


Name = Annotated[str, AfterValidator(_printable)]


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
        under = value.get("settings", {})
        if not isinstance(under, Mapping):
            raise ValueError(f"settings is a mapping, not {under!r}")
        for key, setting in (*under.items(), *settings.items()):
            _check_plain(str(key), setting)
        return {**{k: v for k, v in value.items() if k in own}, "settings": {**under, **settings}}


def _check_plain(key: str, value: Any) -> None:
    """YAML makes a date of !!timestamp and bytes of !!binary; a setting is what JSON has."""
    if isinstance(value, Mapping):
        for name, part in value.items():
            _check_plain(f"{key}.{name}", part)
    elif isinstance(value, list | tuple):
        for part in value:
            _check_plain(key, part)
    elif not isinstance(value, str | int | float | bool | None):
        raise ValueError(f"{key}: {value!s} reads as a {type(value).__name__}; put it in quotes")


class ModelSpec(_Plugged):
    """``model``: ``kind:target``. ``name``: what rows and gates call it."""

    model: str
    name: Name = ""

    @field_validator("model")
    @classmethod
    def _has_kind(cls, model: str) -> str:
        kind, colon, target = model.partition(":")
        if not (kind and colon and target):
            raise ValueError(f"{model!r} does not say what kind it is: write hf:{model}, callable:..., torch:... or toy:...")
        return model

    @property
    def kind(self) -> str:
        return self.model.partition(":")[0]

    @property
    def target(self) -> str:
        return self.model.partition(":")[2]


class TaskSpec(_Plugged):
    """``task``: a catalog name or a YAML file. ``models``: which of the suite's models (default: all that can)."""

    task: str
    name: Name = ""
    models: tuple[str, ...] | None = None
    roles: Mapping[str, str] = Field(default_factory=dict)
    limit: int | None = Field(default=None, ge=1)


class AttackSpec(_Plugged):
    """``tasks``: which tasks (default: all it can attack). ``roles``: who plays which. ``threat``: ``{type: lp | edits, ...}`` in place of
    the attack's own. ``seeds``: how many times it is run, each with another seed. ``transfer``: other models that its twins are scored on:
    ``true`` for all, or their names."""

    attack: str
    name: Name = ""
    tasks: tuple[str, ...] | None = None
    models: tuple[str, ...] | None = None
    roles: Mapping[str, str] = Field(default_factory=dict)
    limit: int | None = Field(default=None, ge=1)
    threat: Mapping[str, Any] | None = None
    seeds: int = Field(default=1, ge=1)
    transfer: bool | tuple[str, ...] = False


class ProbeSpec(_Plugged):
    """``scores``: families of `row_names.FAITHFULNESS` that its attributions are scored by, in place of the suite's. ``seeds``: how many
    times it is run, each with another seed, where it draws anything. ``each_word``: explain each word of what a language model writes,
    beside the whole."""

    probe: str
    each_word: bool = False
    scores: tuple[str, ...] | None = None
    name: Name = ""
    tasks: tuple[str, ...] | None = None
    models: tuple[str, ...] | None = None
    roles: Mapping[str, str] = Field(default_factory=dict)
    limit: int | None = Field(default=None, ge=1)
    seeds: int = Field(default=1, ge=1)


class GateSpec(_Frozen):
    """``check``: ``[MODEL/]ITEM.METRIC[.value|.low|.high] >= NUMBER``. ``inconclusive``: what an undecided check means."""

    check: str
    inconclusive: Literal["fail", "warn", "pass"] = "fail"


class BatchSpec(_Frozen):
    tokens: int | None = Field(default=None, ge=1)
    rows: int | None = Field(default=None, ge=1)
    pack: int | None = Field(default=None, ge=0)


_FIRST_KEYS = {
    "models": "model", "auxiliary_models": "model", "tasks": "task", "attacks": "attack", "probes": "probe", "gates": "check"
}  # fmt: skip


class Suite(_Frozen):
    """Everything that decides a run's numbers, and where it runs.

    ``limit``: the first N samples of each task. ``chunk``: at most so many samples have their records written together, which is what a
    killed run may lose. ``scores``: what attributions of probes are scored by (families of `row_names.FAITHFULNESS`).
    ``auxiliary_models``: not evaluated, but there to play roles. ``cache``: a file of answers shared between runs.
    ``check_drift``: ask a few samples once more, alone, to see how far answers move with what else is asked.
    ``resources``: a folder of word lists and the like, for every plugin that has a setting of this name.
    """

    name: Name = "run"
    models: tuple[ModelSpec, ...] = Field(min_length=1)
    auxiliary_models: tuple[ModelSpec, ...] = ()
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
    chunk: int = Field(default=256, ge=1)
    scores: tuple[str, ...] = DEFAULT_SCORES
    batch: BatchSpec = BatchSpec()
    check_drift: bool = True
    cache: str | None = None
    resources: str | None = None
    _places: Mapping[tuple[str | int, ...], str] = PrivateAttr(default_factory=dict)

    @model_validator(mode="after")
    def _has_known_scores(self) -> Suite:
        for name in (*self.scores, *(name for spec in self.probes for name in spec.scores or ())):
            if name not in FAITHFULNESS:
                raise ValueError(f"there is no score {name!r}.{did_you_mean(name, FAITHFULNESS)} They are {', '.join(FAITHFULNESS)}")
        return self

    @field_validator("models", "auxiliary_models", "tasks", "attacks", "probes", "gates", mode="before")
    @classmethod
    def _shorthand(cls, value: Any, info: Any) -> Any:
        """A plain string stands for the entry's first key: ``- sst2`` is ``- {task: sst2}``."""
        key = _FIRST_KEYS[info.field_name]
        if isinstance(value, list | tuple):
            return [{key: entry} if isinstance(entry, str) else entry for entry in value]
        return value

    def place(self, *path: str | int, about: str = "") -> str:
        """``FILE:LINE: `` of an entry, or of the key in it that ``about`` (an error's text) quotes; empty where no file says it."""
        inner = [p for p in self._places if len(p) > len(path) and p[: len(path)] == path and isinstance(p[-1], str)]
        named = next((p for p in inner if repr(p[-1]) in about), path)
        return next((self._places[named[:n]] for n in range(len(named), 0, -1) if named[:n] in self._places), "")

    def model_names(self) -> list[str]:
        """Of the models that are evaluated."""
        return [model_name(spec) for spec in self.models]

    def identity(self) -> str:
        """Hash of all that decides a number: not of where the run is cached or which views are written, nor of the folders that files lie
        in (what is in the files is compared item by item)."""
        return identity_of(self.model_dump(mode="json"))

    def folder_key(self, base: Path) -> str:
        """Hash for the name of a run folder below ``base``: here folders count, those inside of it from there, so that all can be moved."""
        return identity_of(self.model_dump(mode="json"), lambda path: str(path.relative_to(base) if path.is_relative_to(base) else path))

    def to_yaml(self) -> str:
        dumped = self.model_dump(mode="json", exclude_defaults=True)
        return dump(dumped)


_UNDECISIVE = frozenset({"reports", "gates", "cache", "resources", "name", "device", "batch", "check_drift"})


def identity_of(facts: Mapping[str, Any], /, shown: Callable[[Path], str] = lambda path: path.name) -> str:
    """`Suite.identity` of a suite that was written down, whatever else stands beside it. ``shown``: what counts of a file's place."""
    decisive = {key: facts[key] for key in Suite.model_fields if key in facts and key not in _UNDECISIVE}
    moved = {
        "models": portable_model, "auxiliary_models": portable_model, "tasks": portable_task,
        "plugins": lambda plugin, shown: _placed(plugin, shown),
    }  # fmt: skip
    return codec.digest({key: [moved[key](entry, shown) for entry in value] if key in moved else value for key, value in decisive.items()})


def _placed(text: Any, shown: Callable[[Path], str]) -> Any:
    head, colon, tail = text.rpartition(":") if isinstance(text, str) and ".py:" in text else (text, "", "")
    return f"{shown(Path(head))}{colon}{tail}" if isinstance(head, str) and Path(head).is_absolute() else text


def portable_model(spec: Mapping[str, Any], shown: Callable[[Path], str] = lambda path: path.name) -> dict[str, Any]:
    """A model's entry wherever its files lie."""
    kind, colon, target = spec["model"].partition(":")
    return {**spec, "model": f"{kind}{colon}{_placed(target, shown)}"}


def portable_task(spec: Mapping[str, Any], shown: Callable[[Path], str] = lambda path: path.name) -> dict[str, Any]:
    """A task's entry wherever its files lie."""
    settings = dict(spec["settings"])
    if isinstance(data := settings.get("data"), dict):
        settings["data"] = data | {key: _each(data[key], lambda path: _placed(path, shown)) for key in ("files", "python") if key in data}
    return {**spec, "task": _placed(spec["task"], shown), "settings": settings}


def model_name(spec: ModelSpec, /) -> str:
    """The given name, else the last part of the target, e.g. ``minilm`` of ``hf:models/minilm``."""
    return spec.name or spec.target.rstrip("/").rpartition("/")[2].replace(".py:", ":") or spec.model


def task_name(spec: TaskSpec, /) -> str:
    """The given name, else that of the catalog or the file. One with settings may be named by them (``mmlu_anatomy``): the plan knows."""
    return spec.name or (Path(spec.task).stem if spec.task.endswith((".yaml", ".yml")) else spec.task)


def load_suite(path: Path, /, **overrides: Any) -> Suite:
    """Read a suite file. ``overrides``: values of keys in place of the file's (``plugins`` are added to them).

    Relative paths in the file start from its folder, those in overrides from the working folder.
    Raises `ConfigError` with the line and the nearest known key.
    """
    value, lines = load_file(path)
    if not isinstance(value, dict):
        raise ConfigError(f"{path}: a suite is a mapping with 'models' and 'tasks'")
    value.setdefault("name", path.stem)
    given = _rebased(overrides, Path.cwd())
    if "plugins" in given and isinstance(value.get("plugins"), list):
        given["plugins"] = [*value["plugins"], *given["plugins"]]
    kept = {place: line for place, line in lines.items() if place and place[0] not in given}
    return make_suite({**value, **given}, base=path.parent, source=str(path), lines=kept)


def make_suite(value: Mapping[str, Any], *, base: Path, source: str = "command line", lines: Lines | None = None) -> Suite:
    """A suite from plain values. ``base``: the folder that its relative paths start from."""
    places = {path: f"{source}:{line}: " for path, line in (lines or {}).items()}
    known = sorted(Suite.model_fields)
    for key in value:
        if key not in known:
            place = places.get((str(key),), f"{source}: ")
            raise ConfigError(f"{place}a suite has no key {key!r}.{did_you_mean(str(key), known)} Its keys: {', '.join(known)}.")
    try:
        suite = Suite.model_validate(dict(value))
    except ValidationError as error:
        raise ConfigError(_explained(error, source, places)) from error
    named = [
        *((("models", i), "model", model_name(m)) for i, m in enumerate(suite.models)),
        *((("auxiliary_models", i), "model", model_name(m)) for i, m in enumerate(suite.auxiliary_models)),
        *((("tasks", i), "task", task_name(t)) for i, t in enumerate(suite.tasks) if t.name or not t.settings),
    ]
    seen: set[tuple[str, str]] = set()
    for path, kind, name in named:
        if (kind, name) in seen:
            raise ConfigError(f"{places.get(path, f'{source}: ')}two {kind}s are called {name!r}; tell them apart with 'name:'")
        seen.add((kind, name))
    suite = _anchored(suite, base)
    suite._places = places
    return suite


_INNER_KEYS: Mapping[str, type[_Frozen]] = {"gates": GateSpec, "batch": BatchSpec}


def _explained(error: ValidationError, source: str, places: Mapping[tuple[str | int, ...], str]) -> str:
    first = error.errors()[0]
    where = first["loc"]
    message = first["msg"].removeprefix("Value error, ")
    if first["type"] == "extra_forbidden" and where[0] in _INNER_KEYS:
        known = sorted(_INNER_KEYS[str(where[0])].model_fields)
        message = f"there is no such key.{did_you_mean(str(where[-1]), known)} The keys here: {', '.join(known)}"
    elif first["type"] == "missing" and len(where) == 1:
        message = "a suite needs this key"
    elif isinstance(first["input"], str | int | float | None) and first["type"] != "value_error":
        message += f", not {first['input']!r}"
    place = next((places[where[:n]] for n in range(len(where), 0, -1) if where[:n] in places), f"{source}: ")
    dotted = ".".join(str(part) for part in where)
    return f"{place}{dotted + ': ' if dotted else ''}{message}"


def _anchor(text: str, base: Path) -> str:
    """A path that is relative to ``base``, made absolute; anything else as it is."""
    head, colon, tail = text.rpartition(":") if ".py:" in text else (text, "", "")
    candidate = base / head
    looks_local = head.startswith(".") or head.endswith((".yaml", ".yml", ".py")) or candidate.exists()
    return f"{candidate.resolve()}{colon}{tail}" if looks_local and not Path(head).is_absolute() else text


def _anchor_model(model: str, base: Path) -> str:
    kind, colon, target = model.partition(":")
    return f"{kind}{colon}{_anchor(target, base)}" if target else model


def _anchor_task(task: str, base: Path) -> str:
    return _anchor(task, base) if task.endswith((".yaml", ".yml")) else task


def _rebased(overrides: Mapping[str, Any], base: Path) -> dict[str, Any]:
    """Overrides whose plain strings no longer depend on the folder they were given in."""
    anchors = {"models": _anchor_model, "auxiliary_models": _anchor_model, "tasks": _anchor_task, "plugins": _anchor}
    given = dict(overrides)
    for key, anchor in anchors.items():
        if isinstance(given.get(key), list | tuple):
            given[key] = [anchor(entry, base) if isinstance(entry, str) else entry for entry in given[key]]
    for key in ("cache", "resources"):
        if isinstance(given.get(key), str):
            given[key] = str((base / given[key]).resolve())
    return given


def _anchored(suite: Suite, base: Path) -> Suite:
    """Paths made absolute where they exist relative to the suite: the same suite means the same thing from every folder."""

    def models(specs: Sequence[ModelSpec]) -> tuple[ModelSpec, ...]:
        return tuple(spec.model_copy(update={"model": _anchor_model(spec.model, base), "name": model_name(spec)}) for spec in specs)

    tasks = [
        spec.model_copy(update={"task": _anchor_task(spec.task, base), "settings": _anchored_data(spec.settings, base),
                                "name": spec.name if spec.settings else task_name(spec)})
        for spec in suite.tasks
    ]  # fmt: skip
    plugins = dict.fromkeys(_anchor(p, base) for p in suite.plugins)
    changes: dict[str, Any] = {
        "models": models(suite.models), "auxiliary_models": models(suite.auxiliary_models), "tasks": tuple(tasks), "plugins": tuple(plugins)
    }  # fmt: skip
    changes |= {key: str((base / path).resolve()) for key in ("cache", "resources") if (path := getattr(suite, key)) is not None}
    return suite.model_copy(update=changes)


def _each(paths: Any, change: Callable[[Any], Any]) -> Any:
    """A path, a list of them, or either for each split."""
    if isinstance(paths, Mapping):
        return {split: _each(some, change) for split, some in paths.items()}
    return [_each(path, change) for path in paths] if isinstance(paths, list | tuple) else change(paths)


def _anchored_data(settings: Mapping[str, Any], base: Path) -> Mapping[str, Any]:
    """``data.files`` and ``data.python`` of a task's settings, made absolute."""
    data = settings.get("data")
    if not isinstance(data, dict):
        return settings

    def absolute(name: Any) -> Any:
        return str((base / name).resolve()) if isinstance(name, str) and not Path(name).is_absolute() else name

    data = dict(data)
    if "files" in data:
        data["files"] = _each(data["files"], absolute)
    if isinstance(data.get("python"), str) and ".py:" in data["python"]:
        file, _, name = data["python"].rpartition(":")
        data["python"] = f"{absolute(file)}:{name}"
    return {**settings, "data": data}
