"""The source of rows: a data set on the Hub, files, or a Python function."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

from ..api.errors import ConfigError, DataError, suggest_name
from .formats import FORMATS

_OPTIONS = frozenset(option.name for format in FORMATS.values() for option in fields(format))
"""The options of all formats."""


@dataclass(frozen=True, slots=True)
class DataSpec:
    """The source of rows. The constructor checks it without reading disk or network.

    It has one of three forms (in YAML, under ``data:``)::

        {hub: stanfordnlp/sst2, config: default, split: validation, revision: main}
        {files: dev.tsv, options: {column_names: [sentence, label]}}     # a path, a list, a glob, or one of these per split
        {python: "my_data.py:rows"}                                      # or module:function; returns an iterable of dicts

    split: name of the split; optional if there is only one.
    options: for files, the fields of their format in `formats`; for a Hub data set, arguments of its `datasets` builder.
    base: folder that relative paths start from.

    Raises `ConfigError` for none or several of the three forms, or an unknown format.
    """

    hub: str | None = None
    config: str | None = None
    revision: str | None = None
    files: str | Sequence[str] | Mapping[str, str | Sequence[str]] | None = None
    format: str | None = None
    python: str | None = None
    split: str | None = None
    options: Mapping[str, Any] = field(default_factory=dict)
    base: Path = field(default_factory=Path)

    def __post_init__(self) -> None:
        forms = [name for name in ("hub", "files", "python") if getattr(self, name)]
        if len(forms) != 1:
            raise ConfigError(f"data needs exactly one of 'hub', 'files' or 'python'; it has {' and '.join(forms) or 'none of them'}")
        allowed = {"hub": {"config", "revision", "options"}, "files": {"format", "options"}, "python": set[str]()}[forms[0]]
        for name in ("config", "revision", "format", "options"):
            if getattr(self, name) and name not in allowed:
                raise ConfigError(f"data: {name!r} does not go with {forms[0]!r}; leave it out")
        if self.format and self.format not in FORMATS:
            raise ConfigError(f"data: no format {self.format!r}.{suggest_name(self.format, FORMATS)} The formats: {', '.join(FORMATS)}.")
        if not isinstance(self.options, Mapping):
            raise ConfigError(f"data: options is a mapping such as {{encoding: cp1252}}, not {self.options!r}")
        if self.python and not all(self.python.rpartition(":")):
            raise ConfigError(f"data: python is 'module:function' or 'file.py:function', not {self.python!r}")

    @classmethod
    def parse(cls, value: object, base: Path | None = None) -> DataSpec:
        """Build a spec from its YAML mapping. ``base``: folder that relative paths start from, that of the YAML file."""
        if isinstance(value, DataSpec):
            return value
        if not isinstance(value, Mapping):
            raise ConfigError(f"data is a mapping such as {{files: rows.jsonl}} or {{hub: owner/name, split: test}}, not {value!r}")
        known = [f.name for f in fields(cls) if f.name != "base"]
        for key in value:
            if key in _OPTIONS:
                raise ConfigError(f"data has no key {key!r}, which is an option of a format: write options: {{{key}: {value[key]}}}")
            if key not in known:
                raise ConfigError(f"data has no key {key!r}.{suggest_name(str(key), known)} Its keys: {', '.join(known)}.")
        for key in ("hub", "config", "revision", "format", "python", "split"):
            if not isinstance(value.get(key), str | None):
                raise ConfigError(f"data: {key} is text, not {value[key]!r}; put it in quotes")
        return cls(**value, base=base or Path())

    def describe_hub(self) -> dict[str, str]:
        """Return the place on the Hub: ``hub``, ``config``, ``split`` and ``revision`` where set; empty for other data."""
        place = {"hub": self.hub, "config": self.config, "split": self.split, "revision": self.revision}
        return {key: value for key, value in place.items() if value} if self.hub else {}

    def at(self, split: str) -> DataSpec:
        """Return the same data set at another split. Raises `DataError` if its files are not listed by split."""
        if self.files and not isinstance(self.files, Mapping):
            fix = f"name the files of each split: data: {{files: {{test: ..., {split}: ...}}}}"
            raise DataError(f"{self} has no split {split!r}; {fix}")
        return DataSpec(**({f.name: getattr(self, f.name) for f in fields(self)} | {"split": split}))

    def choose_split(self, splits: Sequence[str], /) -> str:
        """Return the split to read, from those available. Raises `DataError` if it is missing or ambiguous."""
        if self.split is None and len(splits) == 1:
            return splits[0]
        if self.split is None or self.split not in splits:
            wrong = f"has no split {self.split!r}.{suggest_name(self.split, splits)}" if self.split else "needs a split."
            raise DataError(f"{self} {wrong} Its splits: {', '.join(splits)}.")
        return self.split

    def __str__(self) -> str:
        parts = [str(p) for p in (self.hub or self.python or self.files, self.config, self.split) if p]
        return f"data set {' / '.join(parts)}"
