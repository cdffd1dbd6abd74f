"""Load YAML and JSON with the line of every key, for error messages. Safe loading only; a duplicate key is an error.

Plain scalars follow YAML 1.2, not PyYAML's 1.1: ``yes``, ``no``, ``on`` and ``off`` are text, and so are dates, times
(12:30) and numbers in unusual notation (007, 1_000); ``1e-3`` is a number.
"""

from __future__ import annotations

import json
import re
from contextlib import suppress
from pathlib import Path
from typing import Any

import yaml

from ..api.errors import ConfigError

_PLAIN_WORDS = (
    ("tag:yaml.org,2002:null", re.compile(r"~|null|Null|NULL|"), ["~", "n", "N", ""]),
    ("tag:yaml.org,2002:bool", re.compile(r"true|True|TRUE|false|False|FALSE"), list("tTfF")),
    ("tag:yaml.org,2002:int", re.compile(r"-?(?:0|[1-9][0-9]*)"), list("-0123456789")),
    (
        "tag:yaml.org,2002:float",
        re.compile(r"[-+]?(?:(?:\.[0-9]+|[0-9]+\.[0-9]*)(?:[eE][-+]?[0-9]+)?|[0-9]+[eE][-+]?[0-9]+|\.(?:inf|Inf|INF))|\.(?:nan|NaN|NAN)"),
        list("-+.0123456789"),
    ),
    ("tag:yaml.org,2002:merge", re.compile(r"<<"), ["<"]),
)  # fmt: skip


class _Loader(yaml.CSafeLoader if yaml.__with_libyaml__ else yaml.SafeLoader):  # type: ignore[misc]
    yaml_implicit_resolvers: dict[str, Any] = {}  # noqa: RUF012 - without those of YAML 1.1


class _Dumper(yaml.SafeDumper):
    """Quotes text that either version of YAML would read as another type."""


for _tag, _pattern, _beginnings in _PLAIN_WORDS:
    _whole = re.compile(f"(?:{_pattern.pattern})$")
    _Loader.add_implicit_resolver(_tag, _whole, _beginnings)
    _Dumper.add_implicit_resolver(_tag, _whole, _beginnings)

Lines = dict[tuple[str | int, ...], int]
"""Line number, from 1, by path of keys and indices."""

SUFFIXES = (".yaml", ".yml", ".json")
"""The endings of the files that `load_file` reads, by which a task file is told from the name of a task."""

_MAX_NODES = 100_000
"""Limit against nested aliases that expand a small file enormously ("billion laughs"). No real suite is as large."""


def load(text: str, source: str, /) -> tuple[Any, Lines]:
    """Parse a YAML document and return its value and lines. Raises `ConfigError` with source and line."""
    lines: Lines = {}
    try:
        node = yaml.compose(text, Loader=_Loader)
        if node is not None:
            _walk(node, (), lines, source)
        value = yaml.load(text, Loader=_Loader)  # a safe loader
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 1
        raise ConfigError(f"{source}:{line}: this is not YAML: {error.problem}") from error
    except yaml.YAMLError as error:
        raise ConfigError(f"{source}: this is not YAML: {' '.join(str(error).split())}") from error
    except RecursionError as error:
        raise ConfigError(f"{source}: this YAML is nested too deep, or an alias in it contains itself") from error
    except ValueError as error:
        raise ConfigError(f"{source}: this is not YAML: {error}; put it in quotes if it is text") from error
    return value, lines


def dump(value: Any, /) -> str:
    """Write plain values as YAML that `load` reads back unchanged."""
    return yaml.dump(value, Dumper=_Dumper, sort_keys=False, allow_unicode=True)


def load_file(path: Path, /) -> tuple[Any, Lines]:
    """Parse a YAML file, or a JSON file by its suffix, and return its value and lines. Raises `ConfigError`."""
    try:
        text = path.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise ConfigError(f"{path} cannot be read: {error.strerror or error}") from error
    except UnicodeDecodeError as error:
        line = error.object.count(b"\n", 0, error.start) + 1
        raise ConfigError(f"{path}:{line}: the byte 0x{error.object[error.start]:02x} is not UTF-8; save the file as UTF-8") from error
    return _load_json(text, str(path)) if path.suffix == ".json" else load(text, str(path))


def _load_json(text: str, source: str) -> tuple[Any, Lines]:
    """Parse a JSON document and return its value and lines, as `load`."""
    lines: Lines = {}
    with suppress(yaml.YAMLError, RecursionError, ValueError):  # JSON that is no YAML, such as with tabs, has no lines
        node = yaml.compose(text, Loader=_Loader)
        if node is not None:
            _walk(node, (), lines, source)

    def build(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        keys = [key for key, _ in pairs]
        if twice := next((key for key in keys if keys.count(key) > 1), None):
            raise ConfigError(f"{source}: the key {twice!r} is given twice in one object")
        return dict(pairs)

    try:
        return json.loads(text, object_pairs_hook=build), lines
    except json.JSONDecodeError as error:
        raise ConfigError(f"{source}:{error.lineno}: this is not JSON: {error.msg}") from error
    except RecursionError as error:
        raise ConfigError(f"{source}: this JSON is nested too deep") from error


def _walk(node: yaml.Node, path: tuple[str | int, ...], lines: Lines, source: str) -> None:
    lines.setdefault(path, node.start_mark.line + 1)
    if len(lines) > _MAX_NODES:
        raise ConfigError(f"{source}: this YAML has more than {_MAX_NODES:,} entries after expanding its aliases")
    if isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            child = (*path, str(key.value))
            if child in lines:
                raise ConfigError(f"{source}:{key.start_mark.line + 1}: the key {key.value!r} is given twice, first in line {lines[child]}")
            lines[child] = key.start_mark.line + 1
            _walk(value, child, lines, source)
    elif isinstance(node, yaml.SequenceNode):
        for index, value in enumerate(node.value):
            _walk(value, (*path, index), lines, source)
