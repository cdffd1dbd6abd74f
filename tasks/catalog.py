"""The task catalog: a task is a YAML file, ``catalog/NAME.yaml`` for built-in tasks, or any
``PATH.yaml`` or ``PATH.json``.

A file names its ``family``, describes the task (`ABOUT`), and sets the family's settings::

    family: text_classification
    title: Our support tickets
    data: {files: tickets.jsonl}        # relative to this file
    text: "{{ subject }}. {{ body }}"
    label: topic
    labels: [billing, bug, praise]
    metrics: [accuracy, f1_macro]

``params`` defines further settings of a file: ``params: {subject: anatomy}`` fills ``${subject}`` everywhere
in the file.

Entry points use the module's ``__getattr__``: ``windtunnel.tasks.catalog:sst2`` is the `TaskFactory` of that
name.
"""

from __future__ import annotations

import importlib
import inspect
import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..harness.api.errors import ConfigError, UnknownName, suggest_name
from ..harness.api.task import TaskFiles
from ..harness.data import DataSpec
from ..harness.data.yaml_lines import SUFFIXES, load_file

if TYPE_CHECKING:
    from pydantic_core import ErrorDetails

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
    "translation": "Translation",
    "summarisation": "Summarisation",
    "extractive_answers": "ExtractiveAnswers",
    "generated_answers": "GeneratedAnswers",
    "tagging": "Tagging",
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
"""Keys of a file that are not settings. ``name``: the task's name with filled ``params``; ``example``: a row in the data set's format."""

_PARAM_VALUE = re.compile(r"[\w.-]+")


def list_names() -> list[str]:
    """List the names of the built-in tasks."""
    return sorted(path.stem for path in FOLDER.glob("*.yaml"))


def load_task(name_or_path: str | Path, /, **settings: Any) -> RowTask:
    """Load a task of the catalog by name, or of a YAML file by path, and override settings.

    Reads no data until samples are needed. Paths in a ``data`` setting start from the working folder; pass
    ``DataSpec.parse(data, base)`` for another.

    Raises `UnknownName` for an unknown task, and `ConfigError`, with the line, for an invalid key or value.
    """
    return find_factory(name_or_path)(**settings)


class _File(TaskFiles):
    """Load your own task: a YAML or JSON file of about ten lines. In a suite or after --tasks, use the path itself:
    ``my_task.yaml``. A file names its family; ``windtunnel show FAMILY`` lists the keys that it can have."""

    def __call__(self, *, path: str, **settings: Any) -> RowTask:
        return load_task(path, **settings)

    def families(self) -> Collection[str]:
        return FAMILIES

    def members(self, family: str, /) -> Collection[str]:
        return [name for name in list_names() if load_file(FOLDER / f"{name}.yaml")[0].get("family") == family]

    def find_family(self, name: str, /) -> tuple[str, Mapping[str, inspect.Parameter]]:
        settings = {key: parameter for key, parameter in list_settings(name).items() if key != "name"}
        return inspect.getdoc(_import_family(name)) or "", settings


file = _File()


def find_factory(name_or_path: str | Path, /) -> TaskFactory:
    """Return the factory of a task, by name or path."""
    path = Path(name_or_path)
    if path.suffix in SUFFIXES:
        if not path.is_file():
            raise ConfigError(f"task file {path.resolve()} does not exist")
        return TaskFactory(TaskFile.read(path))
    if str(name_or_path) not in list_names():
        raise UnknownName(
            f"there is no task {str(name_or_path)!r}.{suggest_name(str(name_or_path), list_names())} "
            f"The catalog has {', '.join(list_names())}; name your own task by a path that ends in .yaml or .json."
        )
    return _load_built_in(str(name_or_path))


@cache
def _load_built_in(name: str) -> TaskFactory:
    return TaskFactory(TaskFile.read(FOLDER / f"{name}.yaml"))


def __getattr__(name: str) -> TaskFactory:
    if name.startswith("_") or name not in list_names():
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}, and the catalog has no such task")
    return find_factory(name)


@dataclass(frozen=True, slots=True)
class TaskFile:
    """A parsed task file. ``lines`` maps the dotted path of each key to its line."""

    path: Path
    content: Mapping[str, Any]
    lines: Mapping[str, int]

    @classmethod
    def read(cls, path: Path, /) -> TaskFile:
        """Read a task file. Raises `ConfigError`, with the line, if it is not a YAML mapping, or a key is
        duplicate, unknown or missing."""
        content, line_of_key = load_file(path)
        if not isinstance(content, dict):
            raise ConfigError(f"{path} is not a mapping; a task file starts with family: {' or '.join(FAMILIES)}")
        lines = {".".join(map(str, key)): line for key, line in line_of_key.items()}
        file = cls(path, content, lines)
        file._check()
        return file

    def where(self, key: str) -> str:
        return f"{self.path}:{self.lines[key]}" if key in self.lines else str(self.path)

    def _check(self) -> None:
        family = self.content.get("family")
        if family is None and "tasks" in self.content:
            raise ConfigError(f"{self.path} is a suite, not a task file; give it as windtunnel run {self.path.name}")
        if family not in FAMILIES:
            raise ConfigError(
                f"{self.where('family')}: there is no family {family!r}.{suggest_name(str(family), FAMILIES)} "
                f"Families: {', '.join(FAMILIES)}."
            )
        known = [*ABOUT, *list_settings(family)]
        known.remove("name")
        for key in self.content:
            if key not in [*known, "name"]:
                raise ConfigError(
                    f"{self.where(key)}: a {family} task has no key {key!r}.{suggest_name(key, known)} Its keys: {', '.join(known)}."
                )
        for key, parameter in list_settings(family).items():
            if parameter.default is parameter.empty and key not in self.content and key != "name":
                raise ConfigError(f"{self.path}: a {family} task needs the key {key!r}")
        for key in ("title", "description", "citation", "license", "homepage", "dimension", "name"):
            if not isinstance(self.content.get(key, ""), str):
                raise ConfigError(f"{self.where(key)}: {key} must be text, not {self.content[key]!r}; put it in quotes")
        for key in ("params", "example"):
            if not isinstance(self.content.get(key, {}), dict):
                raise ConfigError(f"{self.where(key)}: {key} must be a mapping, not {self.content[key]!r}")


class TaskFactory:
    """Create the task of one file, as a plugin: keyword parameters are the settings, the docstring is the
    file's description."""

    def __init__(self, file: TaskFile, /) -> None:
        self.file = file
        content = file.content
        self.__name__ = str(content.get("name", file.path.stem)) if "params" not in content else file.path.stem
        self.__doc__ = "\n\n".join(
            str(content[key]).strip() for key in ("title", "description", "citation", "license", "homepage") if content.get(key)
        )
        settings = [p for name, p in list_settings(content["family"]).items() if name not in ("name", "data")]
        params = [
            inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=value) for name, value in content.get("params", {}).items()
        ]
        data = inspect.Parameter("data", inspect.Parameter.KEYWORD_ONLY, default=content.get("data"))
        parameters = [p.replace(default=content[p.name]) if p.name in content else p for p in settings]
        self.__signature__ = inspect.Signature([data, *params, *parameters])

    def __repr__(self) -> str:
        return f"<task {self.__name__} from {self.file.path}>"

    @property
    def example(self) -> Mapping[str, Any]:
        """A row in the data set's format, written for the catalog."""
        return dict(self.file.content.get("example", {}))

    def __call__(self, **settings: Any) -> RowTask:
        """Create the task. Raises `ConfigError` for an unknown setting or a wrong type."""
        for key in settings:
            if key not in self.__signature__.parameters:
                known = list(self.__signature__.parameters)
                raise ConfigError(
                    f"task {self.__name__!r} has no setting {key!r}.{suggest_name(key, known)} Its settings: {', '.join(known)}."
                )
        content = self.file.content
        is_named = "name" in content and any(name in settings for name in content.get("params", {}))
        params = {name: settings.pop(name, value) for name, value in content.get("params", {}).items()}
        filled = _fill({key: value for key, value in content.items() if key not in ("params", "example")}, params)
        if "labels" in settings and "labels" in content and "label_map" not in settings:
            settings["label_map"] = self._rename_labels(settings["labels"])
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

        family = _import_family(self.file.content["family"])
        task: RowTask = family.__new__(family)
        try:
            # pydantic checks each value against the annotation of its parameter.
            validate_call(config=ConfigDict(arbitrary_types_allowed=True, strict=True))(family.__init__)(task, name=name, **settings)
            return task
        except ValidationError as error:
            first = error.errors()[0]
            key = str(first["loc"][0])
            where = f"task {self.__name__!r}, setting {key!r}" if key in overridden else self.file.where(key)
            raise ConfigError(f"{where}: {key}: {_explain_value(first)}") from error
        except ConfigError as error:
            key = str(error).partition(" ")[0].rstrip(":")
            raise ConfigError(f"{self.file.where(key) if key not in overridden else f'task {self.__name__!r}'}: {error}") from error

    def _rename_labels(self, labels: Any) -> dict[str, str]:
        """Return the label map from the data's values to the new labels, which replace the file's labels one
        by one."""
        old = self.file.content["labels"]
        if not isinstance(labels, list | tuple) or len(labels) != len(old):
            raise ConfigError(
                f"task {self.__name__!r}: labels renames {', '.join(old)} in this order, so it needs {len(old)} names, not {labels!r}"
            )
        rename = {str(name): label for name, label in zip(old, labels, strict=True)}
        return rename | {str(key): rename[name] for key, name in self.file.content.get("label_map", {}).items()}


def _explain_value(error: ErrorDetails) -> str:
    """Explain why a value is none that its setting can have, where YAML or JSON reads another type than was meant."""
    value, kind = error["input"], error["type"]
    if isinstance(value, str) and kind == "sequence_str":
        return f"this is a list; write [{value}]"
    if kind in ("string_type", "int_type", "bool_type") and (value is None or isinstance(value, float)):
        written = "null" if value is None else str(value)
        return f"{written} is read as {'nothing' if value is None else 'a number'}, not as text; put it in quotes: '{written}'"
    return f"{'.'.join(map(str, error['loc'][1:]))}{': ' if error['loc'][1:] else ''}{error['msg']}, not {value!r}"


def _fill(value: Any, params: Mapping[str, Any]) -> Any:
    if isinstance(value, str):
        for name, text in params.items():
            # Only letters, digits, _ . and -, so that a value cannot inject template code.
            if not isinstance(text, str) or not _PARAM_VALUE.fullmatch(text):
                raise ConfigError(f"{name} may contain only letters, digits, '_', '.' and '-', not {text!r}")
            value = value.replace(f"${{{name}}}", text)
        return value
    if isinstance(value, list):
        return [_fill(item, params) for item in value]
    if isinstance(value, dict):
        return {key: _fill(item, params) for key, item in value.items()}
    return value


def _import_family(family: str) -> Any:
    return getattr(importlib.import_module(f".{family}", __package__), FAMILIES[family])


@cache
def list_settings(family: str) -> dict[str, inspect.Parameter]:
    """Return the keyword settings of a family: its own, then the common ones."""
    from .base import Common, RowTask

    settings = inspect.signature(_import_family(family)).parameters
    common = {name: p for name, p in inspect.signature(RowTask).parameters.items() if name in Common.__annotations__}
    return {name: p for name, p in settings.items() if p.kind is not p.VAR_KEYWORD} | common
