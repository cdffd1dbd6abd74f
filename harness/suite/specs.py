"""Suites as frozen values: their entries, names and identity."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    PrivateAttr,
    ValidationError,
    ValidatorFunctionWrapHandler,
    field_validator,
    model_validator,
)  # fmt: skip

from ..api.errors import suggest_name
from ..api.scorecard import MAX_UNSCORED
from ..data.yaml_lines import SUFFIXES, dump
from ..scorecard.gates.entries import GateSpec
from ..scorecard.names import DEFAULT_SCORES, FAITHFULNESS
from ..store import codec


class Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


def _check_printable(name: str) -> str:
    """Reject control characters and lone surrogates: names occur in rows, gates and file names."""
    if not name.isprintable():
        raise ValueError(f"a name must consist of printable characters, not {name!a}")
    return name


Name = Annotated[str, AfterValidator(_check_printable)]


class _Plugged(Frozen):
    """An entry for a plugin. Keys that are not fields are settings of the plugin."""

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
            raise ValueError(f"settings must be a mapping, not {under!r}")
        for key, setting in (*under.items(), *settings.items()):
            _check_plain(str(key), setting)
        return {**{k: v for k, v in value.items() if k in own}, "settings": {**under, **settings}}


def _check_plain(key: str, value: Any) -> None:
    """Reject types that JSON does not have, such as the dates and bytes of YAML's !!timestamp and !!binary."""
    if isinstance(value, Mapping):
        for name, part in value.items():
            _check_plain(f"{key}.{name}", part)
    elif isinstance(value, list | tuple):
        for part in value:
            _check_plain(key, part)
    elif not isinstance(value, str | int | float | bool | None):
        raise ValueError(f"{key}: {value!s} reads as a {type(value).__name__}; put it in quotes")


class ModelSpec(_Plugged):
    """A model. ``model``: ``kind:target``. ``name``: its name in rows and gates."""

    model: str
    name: Name = ""

    @field_validator("model")
    @classmethod
    def _has_kind(cls, model: str) -> str:
        kind, colon, target = model.partition(":")
        if not (kind and colon and target):
            raise ValueError(f"{model!r} has no kind; write hf:{model}, callable:..., torch:... or toy:...")
        return model

    @property
    def kind(self) -> str:
        return self.model.partition(":")[0]

    @property
    def target(self) -> str:
        return self.model.partition(":")[2]


class TaskSpec(_Plugged):
    """A task. ``task``: a catalog name or a YAML file. ``models``: names of models (default: all that are capable)."""

    task: str
    name: Name = ""
    models: tuple[str, ...] | None = None
    roles: Mapping[str, str] = Field(default_factory=dict)
    limit: int | None = Field(default=None, ge=1)


class AttackSpec(_Plugged):
    """An attack.

    tasks: names of tasks (default: all that it can attack).
    roles: model by role.
    threat: ``{type: lp | edits, ...}``, replaces the default threat of the attack.
    seeds: number of runs, each with another seed.
    transfer: other models that score the perturbed samples: ``true`` for all, or their names.
    """

    attack: str
    name: Name = ""
    tasks: tuple[str, ...] | None = None
    models: tuple[str, ...] | None = None
    roles: Mapping[str, str] = Field(default_factory=dict)
    limit: int | None = Field(default=None, ge=1)
    threat: Mapping[str, Any] | None = None
    seeds: int = Field(default=1, ge=1)
    transfer: bool | tuple[str, ...] = False

    @property
    def program(self) -> str:
        return self.attack


class ProbeSpec(_Plugged):
    """A probe.

    scores: families of `names.FAITHFULNESS` that score its attributions (default: those of the suite).
    seeds: number of runs, each with another seed, for a probe that draws random numbers.
    each_word: also explain each word of a generated text, besides the text as a whole.
    """

    probe: str
    each_word: bool = False
    scores: tuple[str, ...] | None = None
    name: Name = ""
    tasks: tuple[str, ...] | None = None
    models: tuple[str, ...] | None = None
    roles: Mapping[str, str] = Field(default_factory=dict)
    limit: int | None = Field(default=None, ge=1)
    seeds: int = Field(default=1, ge=1)

    @property
    def program(self) -> str:
        return self.probe


class ReportSpec(_Plugged):
    """A report by name. Keys beside ``report`` are its settings."""

    report: str


class BatchSpec(Frozen):
    """Fixed batch limits. ``tokens`` and ``rows`` per batch; ``pack``: tokens per pack, 0 for no packing."""

    tokens: int | None = Field(default=None, ge=1)
    rows: int | None = Field(default=None, ge=1)
    pack: int | None = Field(default=None, ge=0)


_FIRST_KEYS = {
    "models": "model", "auxiliary_models": "model", "tasks": "task", "attacks": "attack", "probes": "probe", "gates": "check",
    "reports": "report",
}  # fmt: skip


class LooksSpec(Frozen):
    """Fixed looks of ``stop``. looks: their number, equally spaced over the samples of an item; the last is the end."""

    looks: int = Field(ge=2, le=20)


class StopSpec(Frozen):
    """Where an item may end. decided: at a fixed look, if its gates are decided."""

    decided: LooksSpec


NO_BASELINE = "none"
"""The value of ``baseline`` before there is one."""


class Suite(Frozen):
    """A run: all that determines its numbers, and where it executes.

    limit: use only the first N samples of each task.
    shuffle: a seed; take the samples of each task in a random order, so that a limit takes a random part.
    chunk: maximum number of samples whose records are written in one transaction; a killed run loses at most one chunk.
    scores: families of `names.FAITHFULNESS` that score the attributions of probes.
    auxiliary_models: models that are not evaluated but play roles.
    cache: file of responses shared between runs.
    check_drift: run a few samples again, alone, to measure how much responses depend on the rest of the batch.
    baseline: run folder or baseline file that gates with ``drop`` compare with; ``none`` if there is none yet, so that they are missing.
    baseline_model: the only model of the baseline to compare with; by default that of the same name, or the only one.
    stop: ``decided`` ends each item as soon as its gates are decided; the intervals then hold at any number of samples.
        ``{decided: {looks: 4}}`` ends it at one of 4 looks, at which the intervals hold.
    max_unscored: the largest share of unscored samples with which a row can pass a gate.
    resources: folder of word lists and similar data, for every plugin with a setting of this name.
    """

    name: Name = "run"
    models: tuple[ModelSpec, ...] = Field(default=(), min_length=1)
    auxiliary_models: tuple[ModelSpec, ...] = ()
    tasks: tuple[TaskSpec, ...] = Field(default=(), min_length=1)
    attacks: tuple[AttackSpec, ...] = ()
    probes: tuple[ProbeSpec, ...] = ()
    gates: tuple[GateSpec, ...] = ()
    baseline: str | None = None
    baseline_model: str | None = None
    reports: tuple[ReportSpec, ...] = tuple(ReportSpec(report=name) for name in ("json", "html", "markdown", "junit", "verdict"))
    plugins: tuple[str, ...] = ()
    limit: int | None = Field(default=None, ge=1)
    shuffle: int | None = Field(default=None, ge=0)
    seed: int = Field(default=0, ge=0)
    device: str = "auto"
    dtype: Literal["auto", "float32", "bfloat16", "float16"] = "auto"
    chunk: int = Field(default=256, ge=1)
    scores: tuple[str, ...] = DEFAULT_SCORES
    batch: BatchSpec = BatchSpec()
    check_drift: bool = True
    stop: Literal["decided"] | StopSpec | None = None
    max_unscored: float = Field(default=MAX_UNSCORED, ge=0, le=1)
    cache: str | None = None
    resources: str | None = None
    _places: Mapping[tuple[str | int, ...], str] = PrivateAttr(default_factory=dict)

    @model_validator(mode="after")
    def _has_known_scores(self) -> Suite:
        for name in (*self.scores, *(name for spec in self.probes for name in spec.scores or ())):
            if name not in FAITHFULNESS:
                raise ValueError(f"there is no score {name!r}.{suggest_name(name, FAITHFULNESS)} The scores: {', '.join(FAITHFULNESS)}")
        return self

    @field_validator("reports")
    @classmethod
    def _has_each_report_once(cls, reports: tuple[ReportSpec, ...]) -> tuple[ReportSpec, ...]:
        names = [spec.report for spec in reports]
        if twice := next((name for name in names if names.count(name) > 1), ""):
            raise ValueError(f"the report {twice!r} is named twice, and both would write the same files; leave one out")
        return reports

    @field_validator("models", "auxiliary_models", "tasks", "attacks", "probes", "gates", "reports", mode="before")
    @classmethod
    def _expand_shorthand(cls, value: Any, info: Any) -> Any:
        """Expand a plain string to the entry's first key: ``- sst2`` is ``- {task: sst2}``."""
        key = _FIRST_KEYS[info.field_name]
        if isinstance(value, list | tuple):
            return [{key: entry} if isinstance(entry, str) else entry for entry in value]
        return value

    @field_validator("stop", mode="wrap")
    @classmethod
    def _say_what_stops(cls, value: Any, validate: ValidatorFunctionWrapHandler) -> Any:
        try:
            return validate(value)
        except ValidationError as error:
            raise ValueError(f"write decided, or {{decided: {{looks: 4}}}} for 2 to 20 fixed looks, not {value!r}") from error

    @property
    def num_looks(self) -> int:
        """The number of fixed looks at which an item may end; 0 if there are none."""
        return self.stop.decided.looks if isinstance(self.stop, StopSpec) else 0

    @property
    def baseline_path(self) -> Path | None:
        """The run folder or file to compare with; None if there is none, or none yet."""
        return Path(self.baseline) if self.baseline not in (None, NO_BASELINE) else None

    def entries(self, section: str) -> Sequence[AttackSpec | ProbeSpec]:
        """The entries of ``attacks`` or ``probes``."""
        entries: Mapping[str, Sequence[AttackSpec | ProbeSpec]] = {"attacks": self.attacks, "probes": self.probes}
        return entries[section]

    def place(self, *path: str | int, about: str = "") -> str:
        """Return ``FILE:LINE: `` of an entry, or of the key in it that an error text ``about`` quotes; empty without a file."""
        inner = [p for p in self._places if len(p) > len(path) and p[: len(path)] == path and isinstance(p[-1], str)]
        named = next((p for p in inner if repr(p[-1]) in about), path)
        return next((self._places[named[:n]] for n in range(len(named), 0, -1) if named[:n] in self._places), "")

    def identity(self) -> str:
        """Return a hash of all that determines a number: not of caches, reports or gates, nor of the folders of files.

        The content of files is compared item by item.
        """
        return digest_suite(self.model_dump(mode="json"))

    def folder_key(self, base: Path) -> str:
        """Return the hash for the name of a run folder below ``base``.

        Here folders count; those inside ``base`` relative to it, so that ``base`` can be moved.
        """
        return digest_suite(self.model_dump(mode="json"), lambda path: str(path.relative_to(base) if path.is_relative_to(base) else path))

    def folder_name(self, base: Path) -> str:
        """Return the name of the run folder below ``base``: the suite's name without unsafe characters, and a hash."""
        safe = re.sub(r"[^\w.-]+", "-", self.name).strip(".-")[:80] or "run"
        return f"{safe}-{self.folder_key(base)[:8]}"

    def to_yaml(self) -> str:
        dumped = self.model_dump(mode="json", exclude_defaults=True)
        return dump(dumped)


_UNDECISIVE = frozenset({
    "reports", "gates", "baseline", "baseline_model", "cache", "resources", "name", "device", "batch", "check_drift", "max_unscored", "stop"
})  # fmt: skip


def digest_suite(facts: Mapping[str, Any], /, shorten: Callable[[Path], str] = lambda path: path.name) -> str:
    """Return the `Suite.identity` of a recorded suite. ``shorten``: the part of an absolute path that counts."""
    decisive = {key: facts[key] for key in Suite.model_fields if key in facts and key not in _UNDECISIVE}
    moved = {
        "models": make_portable_model, "auxiliary_models": make_portable_model, "tasks": make_portable_task,
        "plugins": lambda plugin, shorten: _shorten_path(plugin, shorten),
    }  # fmt: skip
    return codec.digest(
        {key: [moved[key](entry, shorten) for entry in value] if key in moved else value for key, value in decisive.items()}
    )


def _shorten_path(text: Any, shorten: Callable[[Path], str]) -> Any:
    head, colon, tail = text.rpartition(":") if isinstance(text, str) and ".py:" in text else (text, "", "")
    return f"{shorten(Path(head))}{colon}{tail}" if isinstance(head, str) and Path(head).is_absolute() else text


def make_portable_model(spec: Mapping[str, Any], shorten: Callable[[Path], str] = lambda path: path.name) -> dict[str, Any]:
    """Return a model's entry as it determines answers: with shortened paths, and without the pace of an endpoint."""
    kind, colon, target = spec["model"].partition(":")
    settings = {name: value for name, value in spec["settings"].items() if name not in _PACE}
    return {**spec, "model": f"{kind}{colon}{_shorten_path(target, shorten)}", "settings": settings}


_PACE = frozenset(
    {"price", "max_cost", "concurrency", "requests_per_minute", "tokens_per_minute", "timeout", "attempts", "api_key_env", "check_identity"}
)  # fmt: skip
"""Settings of models that say how fast and for how much an endpoint is asked, and change no answer."""


def make_portable_task(spec: Mapping[str, Any], shorten: Callable[[Path], str] = lambda path: path.name) -> dict[str, Any]:
    """Return a task's entry with shortened paths, the same wherever its files are."""
    settings = dict(spec["settings"])
    if isinstance(data := settings.get("data"), dict):
        settings["data"] = data | {
            key: change_each(data[key], lambda path: _shorten_path(path, shorten)) for key in ("files", "python") if key in data
        }
    return {**spec, "task": _shorten_path(spec["task"], shorten), "settings": settings}


def name_model(spec: ModelSpec, /) -> str:
    """Return the name of a model: as set, else the last part of the target, e.g. ``minilm`` for ``hf:models/minilm``."""
    return spec.name or spec.target.rstrip("/").rpartition("/")[2].replace(".py:", ":") or spec.model


def name_task(spec: TaskSpec, /) -> str:
    """Return the name of a task: as set, else that of the catalog entry or file.

    The plan may derive another name from the settings (``mmlu_anatomy``).
    """
    return spec.name or (Path(spec.task).stem if spec.task.endswith(SUFFIXES) else spec.task)


def change_each(paths: Any, change: Callable[[Any], Any]) -> Any:
    """Apply a function to a path, to each of a list of paths, or to those of each split."""
    if isinstance(paths, Mapping):
        return {split: change_each(some, change) for split, some in paths.items()}
    return [change_each(path, change) for path in paths] if isinstance(paths, list | tuple) else change(paths)
