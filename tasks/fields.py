"""From a row's columns to text, values and class indices.

A field is a column's name (``text: sentence``) or a Jinja template over the columns (``text: "{{ title }}. {{ body }}"``), which runs in a
sandbox. A column whose name is no plain word is ``{{ this['Best Answer'] }}``. What is no text is never printed: None, true, a time or a
nested value in a template is that sample's error, not the text ``None``.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from datetime import date, time
from decimal import Decimal
from typing import Any

import jinja2
import jinja2.meta
import jinja2.nodes
import numpy as np
from jinja2.sandbox import SandboxedEnvironment

from ..harness.api.errors import ConfigError, SampleError
from ..harness.data import Row

_LABELS_SHOWN = 10
_ROW = "this"
_ROW_ERRORS = (jinja2.TemplateError, TypeError, ValueError, ArithmeticError, LookupError, AttributeError)


def wikihow(text: str) -> str:
    """HellaSwag's WikiHow clean-up: `` [title]`` ends a sentence, other [bracketed] marks go, double spaces close up.

    >>> wikihow("How to wave [title] Raise a hand [step] slowly ")
    'How to wave. Raise a hand slowly'
    """
    text = text.strip().replace(" [title]", ". ")
    return re.sub(r"\[.*?\]", "", text).replace("  ", " ")


_WIKITEXT = (
    (r" @([-,.])@ ", r"\1"),  # numbers and compounds: 1 @,@ 000
    (r" ([:;.,!?)\]}])(?=\s|$)", r"\1"),
    (r"([(\[{]) ", r"\1"),
    (r'" ([^"\n]*?) "', r'"\1"'),
    (r"(?<=\w) '(?=(?:s|t|m|d|ll|re|ve)\b)", "'"),
    (r" n't\b", "n't"),
    (r"(?<=s) ' ", "' "),
)


def wikitext_detokenize(text: str) -> str:
    """WikiText's spaced tokens as running text: ``1 @,@ 000 ( more )`` becomes ``1,000 (more)``.

    >>> wikitext_detokenize('He said " yes , it \\'s 1 @.@ 5 m ( long ) " .')
    'He said "yes, it\\'s 1.5 m (long)".'
    """
    for pattern, replacement in _WIKITEXT:
        text = re.sub(pattern, replacement, text)
    return text


def _printable(value: Any) -> Any:
    value = value.item() if isinstance(value, np.generic) else value
    if isinstance(value, bool) or (isinstance(value, float) and not math.isfinite(value)):
        raise TypeError(f"a template printed {spelled(value)}, which is no text; write what is meant, as in {{{{ 'yes' if x else 'no' }}}}")
    if isinstance(value, str | int | float | Decimal | jinja2.Undefined):
        return value
    if isinstance(value, date | time):
        raise TypeError(f"a template printed a {type(value).__name__}; write how it is to look, as in {{{{ x.isoformat() }}}}")
    raise TypeError(f"a template printed {'None' if value is None else type(value).__name__}, which is no text")


def spelled(value: Any, /) -> str:
    """A value as a file would have it: true and false as in JSON and YAML."""
    return str(value).lower() if isinstance(value, bool | np.bool_) else str(value)


_ENVIRONMENT = SandboxedEnvironment(undefined=jinja2.StrictUndefined, finalize=_printable, keep_trailing_newline=True)
_ENVIRONMENT.filters.update(strip=str.strip, wikihow=wikihow, wikitext_detokenize=wikitext_detokenize)


class Field:
    """One setting that reads a row.

    ``literal``: a source without braces stands for itself instead of for a column (``choices: [A, B]``).
    ``columns``: the columns it needs. Raises `ConfigError` where the template does not parse.
    """

    def __init__(self, key: str, source: str, *, literal: bool = False) -> None:
        self.key, self.source = key, source
        self._is_column = not literal and "{{" not in source and "{%" not in source
        try:
            self._template = _ENVIRONMENT.from_string(source)
            self.columns = {source} if self._is_column else _columns(_ENVIRONMENT.parse(source))
            alone = re.fullmatch(r"\s*\{\{((?:(?!\}\}|\{\{).)*)\}\}\s*", source, re.DOTALL)
            self._expression = _ENVIRONMENT.compile_expression(alone[1], undefined_to_none=False) if alone else None
        except jinja2.TemplateSyntaxError as error:
            raise ConfigError(f"{key}: the template {source!r} does not parse: {error.message}") from error

    def text(self, row: Row, /) -> str:
        """Raises `SampleError` where the row gives no text; empty text is text."""
        if not self._is_column:
            try:
                return self._template.render({_ROW: row, **row})
            except _ROW_ERRORS as error:
                raise SampleError(f"{self.key}: {error}") from error
        value = row.get(self.source)
        if not isinstance(value, str):
            kind = "None" if value is None else f"{type(value).__name__}, not text"
            is_number = isinstance(value, int | float | np.number) and not isinstance(value, bool)
            advice = f'; as text: "{{{{ this[{self.source!r}] }}}}"' if is_number else ""
            raise SampleError(f"{self.key}: column {self.source!r} is {kind}{advice}")
        return value

    def value(self, row: Row, /) -> Any:
        """The column's or the lone ``{{ expression }}``'s own value; else the rendered text. Raises `SampleError` where there is none."""
        if self._is_column:
            value = row.get(self.source)
        elif self._expression is None:
            return self.text(row)
        else:
            try:
                value = self._expression({_ROW: row, **row})
            except _ROW_ERRORS as error:
                raise SampleError(f"{self.key}: {error}") from error
        if value is None or isinstance(value, jinja2.Undefined) or _is_nan(value):
            raise SampleError(f"{self.key}: {self.source!r} is {'NaN' if _is_nan(value) else 'None'}")
        return value

    def name(self, row: Row, /) -> str | None:
        """The value as text; None where a column holds none."""
        value = row.get(self.source) if self._is_column else None
        return None if self._is_column and (value is None or _is_nan(value)) else spelled(self.value(row))


def _is_nan(value: Any) -> bool:
    return isinstance(value, float | np.floating) and math.isnan(value)


def _columns(template: jinja2.nodes.Template) -> set[str]:
    """The columns that a template names, also those of ``this['A column']``."""
    found = jinja2.meta.find_undeclared_variables(template)
    if _ROW in found:
        found.remove(_ROW)
        items = [(a.node, getattr(a.arg, "value", None)) for a in template.find_all(jinja2.nodes.Getitem)]
        attributes = [(a.node, a.attr) for a in template.find_all(jinja2.nodes.Getattr)]
        for node, name in (*items, *attributes):
            if isinstance(node, jinja2.nodes.Name) and node.name == _ROW and isinstance(name, str):
                found.add(name)
    return found


Label = str | int | bool
"""A class name in a task file: YAML reads 1 and true as no text."""


class ClassLabels:
    """Class names in order, and the way from a data set's own values to an index into them.

    A value is looked up in ``label_map``, then among the names; a number that neither has is an index. Text that is a whole number is such
    a number, too (``1``, not ``01``). True and false are called ``true`` and ``false``, whatever their case; they are never an index. Where
    the data set declares class names of its own (``declared``), its numbers mean those names: they are matched by name, so that an order of
    folders is never taken for the order of ``names``; only if none is known here do they count by position.

    Raises `ConfigError`: no names, a name twice, a ``label_map`` to a name there is not.
    """

    def __init__(self, names: Sequence[Label], label_map: Mapping[Label, Label] | None = None, declared: Sequence[str] = ()) -> None:
        self.names = tuple(map(spelled, names)) or tuple(declared)
        if not self.names:
            raise ConfigError("the data set declares no class names; give labels: [name, ...] in the order of the classes")
        if len(set(self.names)) != len(self.names):
            raise ConfigError(f"labels must differ from each other, and are {', '.join(self.names)}")
        self._map = {way: spelled(name) for name in names if isinstance(name, bool) for way in _spellings(name)}
        for key, name in (label_map or {}).items():
            if spelled(name) not in self.names:
                raise ConfigError(f"label_map leads to {spelled(name)!r}, which is not among the labels {', '.join(self.names)}")
            self._map |= dict.fromkeys(_spellings(key), spelled(name))
        self._declared = tuple(declared)
        if declared and not any(name in self._map or name in self.names for name in declared):
            if len(declared) != len(self.names):
                raise ConfigError(f"the data set declares {len(declared)} classes ({', '.join(declared)}); labels names {len(self.names)}")
            self._declared = ()

    def index(self, value: Any, /) -> int:
        """Raises `SampleError` where ``value`` stands for none of the classes."""
        value = value.item() if isinstance(value, np.generic) else value
        number = _whole_number(value)
        given = _spellings(value) if isinstance(value, str | int | float | Decimal) else ()
        named: tuple[str, ...] = ()
        if number is not None and not isinstance(value, str):
            given, named = (str(number),), self._declared[number : number + 1] if number >= 0 else ()
        for known in (*given, *named):
            if known in self._map:
                return self.names.index(self._map[known])
        for known in named if self._declared and not isinstance(value, str | bool) else given:
            if known in self.names:
                return self.names.index(known)
        if number is not None and 0 <= number < len(self.names) and (isinstance(value, str) or not self._declared):
            return number
        more = f", … ({len(self.names)})" if len(self.names) > _LABELS_SHOWN else ""
        raise SampleError(
            f"label {value!r} is none of {', '.join(self.names[:_LABELS_SHOWN])}{more}; label_map can name what it stands for"
        )


def _spellings(value: Any) -> tuple[str, ...]:
    """How a value may stand in a file: true as JSON, Python or a spreadsheet writes it."""
    text = spelled(value)
    if isinstance(value, bool | np.bool_):
        return text, text.capitalize(), text.upper()
    return (text, text.strip()) if _whole_number(value) is not None else (text,)


def choice_index(value: Any, choices: Sequence[str], /) -> int:
    """The index that a multiple-choice target means: text is one of the choices, with or without space around it, where there is such a
    one; else text that is a whole number, and any number, is an index.

    >>> choice_index("2", ["1", "2", "3", "4"]), choice_index(2, ["1", "2", "3", "4"]), choice_index("1", ["yes", "no"])
    (1, 2, 1)
    """
    if isinstance(value, str):
        for form in (str, str.strip):
            known = [form(choice) for choice in choices]
            if form(value) in known:
                return known.index(form(value))
    number = _whole_number(value)
    if number is not None and 0 <= number < len(choices):
        return number
    named = next((text for text in _spellings(value) if text in choices), None) if isinstance(value, bool | np.bool_) else None
    if named is not None:
        return choices.index(named)
    raise SampleError(f"target {value!r} is no index into {len(choices)} choices and none of them")


def _whole_number(value: Any) -> int | None:
    value = value.item() if isinstance(value, np.generic) else value  # rows of a Python function hold numpy's own numbers
    if isinstance(value, bool):
        return None
    if isinstance(value, str):
        return int(value) if re.fullmatch(r"\s*-?(0|[1-9][0-9]{0,8})\s*", value) else None
    return int(value) if isinstance(value, int | float) and value == value // 1 else None
