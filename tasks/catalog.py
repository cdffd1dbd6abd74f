"""The catalog: a task is a YAML file, ``catalog/NAME.yaml`` for the built-in ones, any ``PATH.yaml`` for a user's own.

A file names its ``family``, says what the task is (`ABOUT`), and gives the family's settings::

    family: text_classification
    title: Our support tickets
    data: {files: tickets.jsonl}        # relative to this file
    text: "{{ subject }}. {{ body }}"
    label: topic
    labels: [billing, bug, praise]
    metrics: [accuracy, f1_macro]

``params`` are settings of the file's own: ``params: {subject: anatomy}`` fills ``${subject}`` wherever the file says it.

As entry points: ``windtunnel.tasks.catalog:sst2`` is, by the module's ``__getattr__``, a `TaskFactory` of that name.
"""

from __future__ import annotations

import importlib
import inspect
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..harness.api.errors import ConfigError, UnknownName, did_you_mean
from ..harness.data import DataSpec
from ..harness.data.yaml_lines import load_file

if TYPE_CHECKING:
    from .base import RowTask

FOLDER = Path(__file__).with_name("catalog")
FAMILIES = {
    "text_classification": "TextClassification",
    "image_classification": "ImageClassification",
    "corrupted_images": "CorruptedImages",
    "multiple_choice": "MultipleChoice",
    "cloze": "Cloze",
    "perplexity": "Perplexity",
    "generation": "Generation",
    "sentence_pairs": "SentencePairs",
    "behaviors": "Behaviors",
    "bbq": "BBQ",
    "coreference": "Coreference",
    "toxicity": "Toxicity",
    "truth": "Truth",
    "memorisation": "Memorisation",
    "checklist": "Checklist",
    "templates": "Templates",
    "judged_answers": "JudgedAnswers",
    "guarded_documents": "GuardedDocuments",
}
ABOUT = ("family", "name", "title", "description", "citation", "license", "homepage", "dimension", "params", "example")
"""Keys of a file that are not settings. ``name``: the task's name where ``params`` change it; ``example``: a row as the data set has it."""

_PARAM_VALUE = re.compile(r"[\w.-]+")


def names() -> list[str]:
    """The built-in tasks."""
    return sorted(path.stem for path in FOLDER.glob("*.yaml"))


def load_task(name_or_path: str | Path, /, **settings: Any) -> RowTask:
    """A task of the catalog by name, or of a YAML file by path, with some of its settings replaced.

    Reads no data: that happens when samples are asked for. Paths in a ``data`` setting start from the working folder; give
    ``DataSpec.parse(data, base)`` for another.

    Raises `UnknownName`: no such task. `ConfigError`: a key or value that the file or the family cannot have, with the line.
    """
    return factory(name_or_path)(**settings)


def file(*, path: str, **settings: Any) -> RowTask:
    """A task of your own: a YAML file of about ten lines. In a suite or after --tasks, name the file itself: ``my_task.yaml``."""
    return load_task(path, **settings)


def factory(name_or_path: str | Path, /) -> TaskFactory:
    path = Path(name_or_path)
    if path.suffix in (".yaml", ".yml"):
        if not path.is_file():
            raise ConfigError(f"there is no task file {path.resolve()}")
        return TaskFactory(TaskFile.read(path))
    if str(name_or_path) not in names():
        raise UnknownName(
            f"there is no task {str(name_or_path)!r}.{did_you_mean(str(name_or_path), names())} The catalog has {', '.join(names())}; "
            "a task of your own is a path that ends in .yaml."
        )
    return _built_in(str(name_or_path))


@cache
def _built_in(name: str) -> TaskFactory:
    return TaskFactory(TaskFile.read(FOLDER / f"{name}.yaml"))


def __getattr__(name: str) -> TaskFactory:
    if name.startswith("_") or name not in names():
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}, and the catalog no task of that name")
    return factory(name)


@dataclass(frozen=True, slots=True)
class TaskFile:
    """A task file as read. ``lines``: the line of each key, by its dotted path."""

    path: Path
    content: Mapping[str, Any]
    lines: Mapping[str, int]

    @classmethod
    def read(cls, path: Path, /) -> TaskFile:
        """Raises `ConfigError`, with the line: it is no YAML mapping, a key stands twice, is unknown or is needed and missing."""
        content, found = load_file(path)
        if not isinstance(content, dict):
            raise ConfigError(f"{path} is no mapping; a task file begins with family: {' or '.join(FAMILIES)}")
        lines = {".".join(map(str, key)): line for key, line in found.items()}
        file = cls(path, content, lines)
        file._check()
        return file

    def where(self, key: str) -> str:
        return f"{self.path}:{self.lines[key]}" if key in self.lines else str(self.path)

    def _check(self) -> None:
        family = self.content.get("family")
        if family not in FAMILIES:
            raise ConfigError(
                f"{self.where('family')}: no family {family!r}.{did_you_mean(str(family), FAMILIES)} Families: {', '.join(FAMILIES)}."
            )
        known = [*ABOUT, *_settings(family)]
        known.remove("name")
        for key in self.content:
            if key not in [*known, "name"]:
                raise ConfigError(
                    f"{self.where(key)}: no key {key!r} in a {family} task.{did_you_mean(key, known)} Its keys: {', '.join(known)}."
                )
        for key, parameter in _settings(family).items():
            if parameter.default is parameter.empty and key not in self.content and key != "name":
                raise ConfigError(f"{self.path}: a {family} task needs {key!r}, and the file does not give it")
        for key in ("title", "description", "citation", "license", "homepage", "dimension", "name"):
            if not isinstance(self.content.get(key, ""), str):
                raise ConfigError(f"{self.where(key)}: {key} is text, not {self.content[key]!r}; put it in quotes")
        for key in ("params", "example"):
            if not isinstance(self.content.get(key, {}), dict):
                raise ConfigError(f"{self.where(key)}: {key} is a mapping, not {self.content[key]!r}")


class TaskFactory:
    """Makes the task of one file, as a plugin: its keyword parameters are the settings, its docstring what the file says of itself."""

    def __init__(self, file: TaskFile, /) -> None:
        self.file = file
        said = file.content
        self.__name__ = str(said.get("name", file.path.stem)) if "params" not in said else file.path.stem
        self.__doc__ = "\n\n".join(
            str(said[key]).strip() for key in ("title", "description", "citation", "license", "homepage") if said.get(key)
        )
        settings = [p for name, p in _settings(said["family"]).items() if name not in ("name", "data")]
        own = [inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=value) for name, value in said.get("params", {}).items()]
        data = inspect.Parameter("data", inspect.Parameter.KEYWORD_ONLY, default=said.get("data"))
        given = [p.replace(default=said[p.name]) if p.name in said else p for p in settings]
        self.__signature__ = inspect.Signature([data, *own, *given])

    def __repr__(self) -> str:
        return f"<task {self.__name__} from {self.file.path}>"

    @property
    def example(self) -> Mapping[str, Any]:
        """A row as the data set has them (written for the catalog, not taken from the data)."""
        return dict(self.file.content.get("example", {}))

    def __call__(self, **settings: Any) -> RowTask:
        """Raises `ConfigError`: a setting that there is not, or of the wrong type."""
        for key in settings:
            if key not in self.__signature__.parameters:
                known = list(self.__signature__.parameters)
                raise ConfigError(
                    f"task {self.__name__!r} has no setting {key!r}.{did_you_mean(key, known)} Its settings: {', '.join(known)}."
                )
        said = self.file.content
        is_named = "name" in said and any(name in settings for name in said.get("params", {}))
        params = {name: settings.pop(name, value) for name, value in said.get("params", {}).items()}
        filled = _fill({key: value for key, value in said.items() if key not in ("params", "example")}, params)
        if "labels" in settings and "labels" in said and "label_map" not in settings:
            settings["label_map"] = self._renamed(settings["labels"])
        in_file = {key: value for key, value in filled.items() if key not in ABOUT}
        if "data" not in settings and "data" in in_file:
            try:
                in_file["data"] = DataSpec.parse(in_file["data"], self.file.path.resolve().parent)
            except ConfigError as error:
                bad = next((k for k in self.file.lines if k.startswith("data.") and repr(k[5:]) in str(error)), "data")
                raise ConfigError(f"{self.file.where(bad)}: {error}") from error
        elif settings.get("data") is not None:
            settings["data"] = DataSpec.parse(settings["data"])
        task = self._make(filled.get("name", self.file.path.stem), {**in_file, **settings}, set(settings))
        task.named_by_settings = str(filled["name"]) if is_named else ""
        for key in ("title", "description", "citation", "dimension"):
            setattr(task, key, filled.get(key, getattr(task, key)).strip())
        return task

    def _make(self, name: str, settings: dict[str, Any], overridden: set[str]) -> RowTask:
        from pydantic import ConfigDict, ValidationError, validate_call

        family = _family(self.file.content["family"])
        task: RowTask = family.__new__(family)
        try:
            # pydantic checks each value against the annotation of the parameter: no second list of settings to keep.
            validate_call(config=ConfigDict(arbitrary_types_allowed=True, strict=True))(family.__init__)(task, name=name, **settings)
            return task
        except ValidationError as error:
            first = error.errors()[0]
            key = str(first["loc"][0])
            where = f"task {self.__name__!r}, setting {key!r}" if key in overridden else self.file.where(key)
            raise ConfigError(f"{where}: {'.'.join(map(str, first['loc']))}: {first['msg']}, not {first['input']!r}") from error
        except ConfigError as error:
            key = str(error).partition(" ")[0].rstrip(":")
            raise ConfigError(f"{self.file.where(key) if key not in overridden else f'task {self.__name__!r}'}: {error}") from error

    def _renamed(self, labels: Any) -> dict[str, str]:
        """Labels that a user gives replace those of the file one by one, so the data's old names lead to the new ones."""
        old = self.file.content["labels"]
        if not isinstance(labels, list | tuple) or len(labels) != len(old):
            raise ConfigError(
                f"task {self.__name__!r}: labels renames {', '.join(old)}, in this order, and needs {len(old)} names, not {labels!r}"
            )
        rename = {str(name): label for name, label in zip(old, labels, strict=True)}
        return rename | {str(key): rename[name] for key, name in self.file.content.get("label_map", {}).items()}


def _fill(value: Any, params: Mapping[str, Any]) -> Any:
    if isinstance(value, str):
        for name, given in params.items():
            # Letters, digits, _ . - only: what is filled into a template can then be no template itself.
            if not isinstance(given, str) or not _PARAM_VALUE.fullmatch(given):
                raise ConfigError(f"{name} is made of letters, digits, '_', '.' and '-', not {given!r}")
            value = value.replace(f"${{{name}}}", given)
        return value
    if isinstance(value, list):
        return [_fill(item, params) for item in value]
    if isinstance(value, dict):
        return {key: _fill(item, params) for key, item in value.items()}
    return value


def _family(family: str) -> Any:
    return getattr(importlib.import_module(f".{family}", __package__), FAMILIES[family])


@cache
def _settings(family: str) -> dict[str, inspect.Parameter]:
    """A family's keyword settings: its own, then those that all have."""
    from .base import Common, RowTask

    own = inspect.signature(_family(family)).parameters
    common = {name: p for name, p in inspect.signature(RowTask).parameters.items() if name in Common.__annotations__}
    return {name: p for name, p in own.items() if p.kind is not p.VAR_KEYWORD} | common
