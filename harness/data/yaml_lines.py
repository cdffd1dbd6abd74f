"""YAML with the line of every key, so that an error can point at it. Safe loading only; a key given twice is an error.

Plain words are read as YAML 1.2 has them, not as PyYAML's 1.1: ``yes``, ``no``, ``on`` and ``off`` are text, and so are dates, times
(12:30) and what is not how a number is written (007, 1_000); ``1e-3`` is a number.
"""

from __future__ import annotations

import re
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
    yaml_implicit_resolvers: dict[str, Any] = {}  # noqa: RUF012 - none of YAML 1.1's


class _Dumper(yaml.SafeDumper):
    """Quotes what either version of YAML would take for something else than text."""


for _tag, _pattern, _beginnings in _PLAIN_WORDS:
    _whole = re.compile(f"(?:{_pattern.pattern})$")
    _Loader.add_implicit_resolver(_tag, _whole, _beginnings)
    _Dumper.add_implicit_resolver(_tag, _whole, _beginnings)

Lines = dict[tuple[str | int, ...], int]
"""Path of keys and indices to a line, counted from 1."""

_MOST_NODES = 100_000
"""Aliases of aliases can make a small file enormous ("billion laughs"); no suite is as large as this."""


def load(text: str, source: str, /) -> tuple[Any, Lines]:
    """The document and its lines. Raises `ConfigError` with source and line."""
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
    """Plain values as YAML that `load` reads back."""
    return yaml.dump(value, Dumper=_Dumper, sort_keys=False, allow_unicode=True)


def load_file(path: Path, /) -> tuple[Any, Lines]:
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise ConfigError(f"{path} cannot be read: {error.strerror or error}") from error
    except UnicodeDecodeError as error:
        raise ConfigError(f"{path} is not UTF-8 text") from error
    return load(text, str(path))


def _walk(node: yaml.Node, path: tuple[str | int, ...], lines: Lines, source: str) -> None:
    lines.setdefault(path, node.start_mark.line + 1)
    if len(lines) > _MOST_NODES:
        raise ConfigError(f"{source}: this YAML has more than {_MOST_NODES:,} entries, its aliases written out")
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
