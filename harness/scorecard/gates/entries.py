"""Entries of gates: in a suite, in a file, and on the command line."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from ...api.errors import ConfigError, suggest_name
from ...data.yaml_lines import SUFFIXES, load, load_file
from .gate import Gate
from .judgement import Drop

Entry = str | Mapping[str, Any]
"""A gate as it is written: a check, or a mapping with the keys of `GateSpec`."""


class GateSpec(BaseModel):
    """A gate.

    check: ``[MODEL/]ITEM.METRIC[.PART] >= NUMBER``; without operator and number if it has ``drop`` or ``relative``.
    drop: allowed change for the worse against the baseline. relative: the same as a share of the baseline's value.
    inconclusive: verdict if undecided. missing: verdict if the row is missing.
    tier: whether the gate decides, warns or only reports. slice: name of a slice. slices: each slice.
    min_n: number of scored samples below which the gate is inconclusive.
    allow_mismatch: compare with a baseline of other data, prompts, tasks or settings, on the samples that both have.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    check: str
    inconclusive: Literal["fail", "warn", "pass"] = "fail"
    drop: float | None = Field(default=None, ge=0, allow_inf_nan=False)
    relative: float | None = Field(default=None, ge=0, allow_inf_nan=False)
    tier: Literal["critical", "supporting", "advisory"] = "critical"
    slice: str = ""
    slices: Literal["", "every"] = ""
    min_n: int = Field(default=0, ge=0)
    missing: Literal["missing", "fail", "warn", "pass"] = "missing"
    allow_mismatch: bool = False

    def parse(self) -> Gate:
        """Return the gate. Raises `ConfigError` if the check is invalid."""
        against = self.drop is not None or self.relative is not None
        gate = Gate.parse_path(self.check, Drop(self.drop, self.relative)) if against else Gate.parse(self.check)
        if self.slice and self.slices:
            raise ConfigError(f"{self.check!r}: a gate has a 'slice' or 'slices', not both")
        return replace(
            gate, inconclusive=self.inconclusive, missing=self.missing, tier=self.tier, slice=self.slice, slices=self.slices,
            min_n=self.min_n, allow_mismatch=self.allow_mismatch,
        )  # fmt: skip


def parse_entry(entry: Entry, /) -> Gate:
    """Return the gate of an entry: a check, or a mapping with the keys of `GateSpec`. Raises `ConfigError`."""
    keys = {"check": entry} if isinstance(entry, str) else entry
    known = sorted(GateSpec.model_fields)
    if not isinstance(keys, Mapping) or not isinstance(keys.get("check"), str):
        raise ConfigError(f"a gate is a check, or has the key 'check' and others of {', '.join(known)}; got {entry!r}")
    for key in keys:
        if key not in known:
            raise ConfigError(f"a gate has no key {key!r}.{suggest_name(str(key), known)} Its keys: {', '.join(known)}")
    try:
        spec = GateSpec.model_validate(dict(keys))
    except ValidationError as error:
        first = error.errors()[0]
        raise ConfigError(f"{'.'.join(map(str, first['loc']))}: {first['msg']}, not {first['input']!r}") from error
    return spec.parse()


def read_argument(text: str, /) -> list[Entry]:
    """Return the entries of an argument of the command line: those of a file of gates, a check, or ``{check: ..., ...}``."""
    if text.lstrip().startswith("{"):
        return [load(text, "command line")[0]]
    is_file = text.endswith(SUFFIXES) or (not any(sign in text for sign in "<>") and Path(text).exists())
    return load_entries(Path(text)) if is_file else [text]


def load_gates(path: Path) -> list[Gate]:
    """Load the gates of a YAML file. Raises `ConfigError` as `load_entries` does."""
    return [parse_entry(entry) for entry in load_entries(path)]


def load_entries(path: Path) -> list[Entry]:
    """Load the entries of a YAML file of gates.

    The file has a list, or a mapping with the key ``gates``; each entry is one of `parse_entry`. Raises `ConfigError` with
    the line of an invalid entry.
    """
    value, lines = load_file(path)
    listed, where = (value.get("gates"), ("gates",)) if isinstance(value, dict) else (value, ())
    if not isinstance(listed, list) or not listed:
        raise ConfigError(f"{path}: this file holds no gates; write a list such as '- sst2.accuracy >= 0.85'")
    for index, entry in enumerate(listed):
        try:
            parse_entry(entry)
        except ConfigError as error:
            raise ConfigError(f"{path}:{lines.get((*where, index), 1)}: {error}") from error
    return listed
