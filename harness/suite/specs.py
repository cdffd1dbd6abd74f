"""A suite as a frozen value: its entries, their names, and its identity."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, PrivateAttr, field_validator, model_validator

from ..api.errors import did_you_mean
from ..data.yaml_lines import dump
from ..scorecard.names import DEFAULT_SCORES, FAITHFULNESS
from ..store import codec


class Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


def _printable(name: str) -> str:
    """A name stands in rows, gates and file names: no control characters, no lone surrogates."""
    if not name.isprintable():
        raise ValueError(f"a name is made of printable characters, not {name!a}")
    return name


Name = Annotated[str, AfterValidator(_printable)]


class _Plugged(Frozen):
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


class GateSpec(Frozen):
    """``check``: ``[MODEL/]ITEM.METRIC[.value|.low|.high] >= NUMBER``. ``inconclusive``: what an undecided check means."""

    check: str
    inconclusive: Literal["fail", "warn", "pass"] = "fail"


class BatchSpec(Frozen):
    tokens: int | None = Field(default=None, ge=1)
    rows: int | None = Field(default=None, ge=1)
    pack: int | None = Field(default=None, ge=0)


_FIRST_KEYS = {
    "models": "model", "auxiliary_models": "model", "tasks": "task", "attacks": "attack", "probes": "probe", "gates": "check"
}  # fmt: skip


class Suite(Frozen):
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

    def identity(self) -> str:
        """Hash of all that decides a number: not of where the run is cached or which views are written, nor of the folders that files lie
        in (what is in the files is compared item by item)."""
        return identity_of(self.model_dump(mode="json"))

    def folder_key(self, base: Path) -> str:
        """Hash for the name of a run folder below ``base``: here folders count, those inside of it from there, so that all can be moved."""
        return identity_of(self.model_dump(mode="json"), lambda path: str(path.relative_to(base) if path.is_relative_to(base) else path))

    def folder_name(self, base: Path) -> str:
        """Of a run folder below ``base``. A suite's name may hold slashes and worse; its folder stays where it is put."""
        safe = re.sub(r"[^\w.-]+", "-", self.name).strip(".-")[:80] or "run"
        return f"{safe}-{self.folder_key(base)[:8]}"

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
        settings["data"] = data | {
            key: change_each(data[key], lambda path: _placed(path, shown)) for key in ("files", "python") if key in data
        }
    return {**spec, "task": _placed(spec["task"], shown), "settings": settings}


def model_name(spec: ModelSpec, /) -> str:
    """The given name, else the last part of the target, e.g. ``minilm`` of ``hf:models/minilm``."""
    return spec.name or spec.target.rstrip("/").rpartition("/")[2].replace(".py:", ":") or spec.model


def task_name(spec: TaskSpec, /) -> str:
    """The given name, else that of the catalog or the file. One with settings may be named by them (``mmlu_anatomy``): the plan knows."""
    return spec.name or (Path(spec.task).stem if spec.task.endswith((".yaml", ".yml")) else spec.task)


def change_each(paths: Any, change: Callable[[Any], Any]) -> Any:
    """A path, a list of them, or either for each split."""
    if isinstance(paths, Mapping):
        return {split: change_each(some, change) for split, some in paths.items()}
    return [change_each(path, change) for path in paths] if isinstance(paths, list | tuple) else change(paths)
