"""Read text, values and class indices from the columns of a row.

A field is the name of a column (``text: sentence``) or a Jinja template over the columns (``text: "{{ title
}}. {{ body }}"``), which runs in a sandbox. Write ``{{ this['Best Answer'] }}`` for a column whose name is
not an identifier. A template never prints values without a text form: None, true, a time or a nested value is
an error of that sample, not the text ``None``.
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


def clean_wikihow(text: str) -> str:
    """Apply HellaSwag's WikiHow clean-up: `` [title]`` ends a sentence, other [bracketed] marks and double spaces are removed.

    >>> clean_wikihow("How to wave [title] Raise a hand [step] slowly ")
    'How to wave. Raise a hand slowly'
    """
    text = text.strip().replace(" [title]", ". ")
    return re.sub(r"\[.*?\]", "", text).replace("  ", " ")


_WIKITEXT = (
    (r" @([-,.])@ ", r"\1"),  # numbers and compounds, as in 1 @,@ 000
    (r" ([:;.,!?)\]}])(?=\s|$)", r"\1"),
    (r"([(\[{]) ", r"\1"),
    (r'" ([^"\n]*?) "', r'"\1"'),
    (r"(?<=\w) '(?=(?:s|t|m|d|ll|re|ve)\b)", "'"),
    (r" n't\b", "n't"),
    (r"(?<=s) ' ", "' "),
)


def detokenize_wikitext(text: str) -> str:
    """Join WikiText's spaced tokens to running text: ``1 @,@ 000 ( more )`` becomes ``1,000 (more)``.

    >>> detokenize_wikitext('He said " yes , it \\'s 1 @.@ 5 m ( long ) " .')
    'He said "yes, it\\'s 1.5 m (long)".'
    """
    for pattern, replacement in _WIKITEXT:
        text = re.sub(pattern, replacement, text)
    return text


def _check_printable(value: Any) -> Any:
    value = value.item() if isinstance(value, np.generic) else value
    if isinstance(value, bool) or (isinstance(value, float) and not math.isfinite(value)):
        raise TypeError(f"a template printed {spell(value)}, which is not text; write a template such as {{{{ 'yes' if x else 'no' }}}}")
    if isinstance(value, str | int | float | Decimal | jinja2.Undefined):
        return value
    if isinstance(value, date | time):
        raise TypeError(f"a template printed a {type(value).__name__}; write its format, as in {{{{ x.isoformat() }}}}")
    raise TypeError(f"a template printed {'None' if value is None else type(value).__name__}, which is not text")


def spell(value: Any, /) -> str:
    """Write a value as a file would: true and false as in JSON and YAML."""
    return str(value).lower() if isinstance(value, bool | np.bool_) else str(value)


_ENVIRONMENT = SandboxedEnvironment(undefined=jinja2.StrictUndefined, finalize=_check_printable, keep_trailing_newline=True)
_ENVIRONMENT.filters.update(strip=str.strip, wikihow=clean_wikihow, wikitext_detokenize=detokenize_wikitext)


class Field:
    """Read one setting from a row.

    key: name of the setting, for errors.
    source: a column or a template.
    literal: a source without braces is a constant, not a column (``choices: [A, B]``).

    ``columns`` are the columns that it reads. Raises `ConfigError` if the template has a syntax error.
    """

    def __init__(self, key: str, source: str, *, literal: bool = False) -> None:
        self.key, self.source = key, source
        self._is_column = not literal and "{{" not in source and "{%" not in source
        try:
            self._template = _ENVIRONMENT.from_string(source)
            self.columns = {source} if self._is_column else _find_columns(_ENVIRONMENT.parse(source))
            alone = re.fullmatch(r"\s*\{\{((?:(?!\}\}|\{\{).)*)\}\}\s*", source, re.DOTALL)
            self._expression = _ENVIRONMENT.compile_expression(alone[1], undefined_to_none=False) if alone else None
        except jinja2.TemplateSyntaxError as error:
            raise ConfigError(f"{key}: the template {source!r} has a syntax error: {error.message}") from error

    def text(self, row: Row, /) -> str:
        """Return the text of the row, which may be empty. Raises `SampleError` if there is none."""
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
        """Return the value of the column or of a single ``{{ expression }}``, otherwise the rendered text.
        Raises `SampleError` if it is missing."""
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
        """Return the value as text, or None if the column is empty."""
        value = row.get(self.source) if self._is_column else None
        return None if self._is_column and (value is None or _is_nan(value)) else spell(self.value(row))


def _is_nan(value: Any) -> bool:
    return isinstance(value, float | np.floating) and math.isnan(value)


def _find_columns(template: jinja2.nodes.Template) -> set[str]:
    """Return the columns that a template reads, including ``this['A column']``."""
    columns = jinja2.meta.find_undeclared_variables(template)
    if _ROW in columns:
        columns.remove(_ROW)
        items = [(a.node, getattr(a.arg, "value", None)) for a in template.find_all(jinja2.nodes.Getitem)]
        attributes = [(a.node, a.attr) for a in template.find_all(jinja2.nodes.Getattr)]
        for node, name in (*items, *attributes):
            if isinstance(node, jinja2.nodes.Name) and node.name == _ROW and isinstance(name, str):
                columns.add(name)
    return columns


Label = str | int | bool
"""A class name in a task file; YAML reads 1 and true as other types than text."""


class ClassLabels:
    """Map the values of a data set to indices of class names.

    A value is looked up in ``label_map``, then among the names. Any other whole number, or text of one
    (``1``, not ``01``), is an index. True and false match the names ``true`` and ``false`` in any case, and
    are never an index. If the data set declares class names, its numbers mean those names, so that an order
    of folders is never confused with the order of ``names``; only if none of them is known do numbers count
    by position.

    names: names of the classes, in order.
    label_map: names for values of the data set.
    declared: class names that the data set declares.

    Raises `ConfigError` if there are no names, a name occurs twice, or ``label_map`` contains an unknown
    name.
    """

    def __init__(self, names: Sequence[Label], label_map: Mapping[Label, Label] | None = None, declared: Sequence[str] = ()) -> None:
        self.names = tuple(map(spell, names)) or tuple(declared)
        if not self.names:
            raise ConfigError("the data set declares no class names; set labels: [name, ...] in the order of the classes")
        if len(set(self.names)) != len(self.names):
            raise ConfigError(f"labels must be distinct, not {', '.join(self.names)}")
        self._map = {spelling: spell(name) for name in names if isinstance(name, bool) for spelling in _list_spellings(name)}
        for key, name in (label_map or {}).items():
            if spell(name) not in self.names:
                raise ConfigError(f"label_map contains {spell(name)!r}, which is none of the labels {', '.join(self.names)}")
            self._map |= dict.fromkeys(_list_spellings(key), spell(name))
        self._declared = tuple(declared)
        if declared and not any(name in self._map or name in self.names for name in declared):
            if len(declared) != len(self.names):
                raise ConfigError(f"the data set declares {len(declared)} classes ({', '.join(declared)}); labels names {len(self.names)}")
            self._declared = ()

    def index(self, value: Any, /) -> int:
        """Return the class index of ``value``. Raises `SampleError` if it matches no class."""
        value = value.item() if isinstance(value, np.generic) else value
        number = _parse_whole_number(value)
        spellings = _list_spellings(value) if isinstance(value, str | int | float | Decimal) else ()
        named: tuple[str, ...] = ()
        if number is not None and not isinstance(value, str):
            spellings, named = (str(number), *spellings), self._declared[number : number + 1] if number >= 0 else ()
        for known in (*spellings, *named):
            if known in self._map:
                return self.names.index(self._map[known])
        for known in named if self._declared and not isinstance(value, str | bool) else spellings:
            if known in self.names:
                return self.names.index(known)
        if number is not None and 0 <= number < len(self.names) and (isinstance(value, str) or not self._declared):
            return number
        more = f", … ({len(self.names)})" if len(self.names) > _LABELS_SHOWN else ""
        known = spell(value) if isinstance(value, bool | np.bool_) else repr(value)
        fix = f"map it to a label with label_map: {{{spell(value)}: {self.names[0]}, ...}}"
        raise SampleError(f"label {known} is none of {', '.join(self.names[:_LABELS_SHOWN])}{more}; {fix}")


def _list_spellings(value: Any) -> tuple[str, ...]:
    """Return the ways in which files write a value, such as true in JSON, Python and spreadsheets."""
    text = spell(value)
    if isinstance(value, bool | np.bool_):
        return text, text.capitalize(), text.upper()
    return (text, text.strip()) if _parse_whole_number(value) is not None else (text,)


def find_choice(value: Any, choices: Sequence[str], /) -> int:
    """Return the index of a multiple-choice target.

    Text that equals a choice, ignoring surrounding spaces, selects it. Any other whole number is an index.

    >>> find_choice("2", ["1", "2", "3", "4"]), find_choice(2, ["1", "2", "3", "4"]), find_choice("1", ["yes", "no"])
    (1, 2, 1)
    """
    if isinstance(value, str):
        for form in (str, str.strip):
            known = [form(choice) for choice in choices]
            if form(value) in known:
                return known.index(form(value))
    number = _parse_whole_number(value)
    if number is not None and 0 <= number < len(choices):
        return number
    named = next((text for text in _list_spellings(value) if text in choices), None) if isinstance(value, bool | np.bool_) else None
    if named is not None:
        return choices.index(named)
    raise SampleError(f"target {value!r} is neither one of the {len(choices)} choices nor an index into them")


def _parse_whole_number(value: Any) -> int | None:
    value = value.item() if isinstance(value, np.generic) else value  # rows of a Python function may contain numpy scalars
    if isinstance(value, bool):
        return None
    if isinstance(value, str):
        return int(value) if re.fullmatch(r"\s*-?(0|[1-9][0-9]{0,8})\s*", value) else None
    return int(value) if isinstance(value, int | float) and value == value // 1 else None
