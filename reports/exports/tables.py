"""``samples.csv`` and ``samples.parquet``: one row per sample and item, with the sample's input, for spreadsheets and programs."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ...harness.api.report import Report, RunFrames
from ...harness.api.scorecard import Scorecard
from ...harness.api.visible_text import escape_surrogates, make_visible
from .plain_files import to_plain

if TYPE_CHECKING:
    import pandas as pd

_FORMULA = ("=", "+", "-", "@", "＝", "＋", "－", "＠", "\t", "|", "%")
"""The beginnings of a cell that spreadsheets read as a formula or a command."""


class SamplesCsv(Report):
    """Write `windtunnel.Run.samples` with inputs as CSV for spreadsheets.

    A text that a spreadsheet would run as a formula begins with an apostrophe, and invisible characters are spelled out;
    ``samples.parquet`` has the texts unchanged. Sequences are JSON.
    """

    suffix = "samples.csv"

    def write(self, scorecard: Scorecard, run: RunFrames, folder: Path, /) -> None:
        frame = join_inputs(run)
        for name in (name for name in frame.columns if frame[name].dtype.kind not in "biuf"):
            frame[name] = frame[name].map(_make_cell, na_action="ignore")
        frame.columns = [_make_cell(name) for name in frame.columns]
        frame.to_csv(folder / self.suffix, index=False, lineterminator="\n", encoding="utf-8")


class SamplesParquet(Report):
    """Write `windtunnel.Run.samples` with inputs as Parquet. A column of mixed types, such as classes and texts, holds JSON."""

    suffix = "samples.parquet"

    def write(self, scorecard: Scorecard, run: RunFrames, folder: Path, /) -> None:
        frame = join_inputs(run)
        for name in (name for name in frame.columns if frame[name].dtype == object):
            frame[name] = _unify(frame[name])
        frame.columns = [escape_surrogates(name) for name in frame.columns]
        frame.to_parquet(folder / self.suffix, index=False)


def join_inputs(run: RunFrames, /) -> pd.DataFrame:
    """Return the frame of samples with the column ``input`` after the sample's id."""
    frame = run.samples().rename(columns={"input": "artifact.input"})
    inputs = run.inputs().set_index(["task", "sample_id"])["input"].to_dict()
    place = list(frame.columns).index("sample_id") + 1
    frame.insert(place, "input", [inputs.get(key) for key in zip(frame["task"], frame["sample_id"], strict=True)])
    return frame


def _make_cell(value: Any) -> Any:
    """Return a cell's value as visible text that no spreadsheet runs; numbers and truth values are unchanged."""
    if isinstance(value, bool | int | float):
        return value
    text = make_visible(value if isinstance(value, str) else json.dumps(to_plain(value), ensure_ascii=False))
    return f"'{text}" if text.lstrip().startswith(_FORMULA) or text.startswith(_FORMULA) else text


def _unify(column: pd.Series[Any]) -> pd.Series[Any]:
    """Return a column of one type: texts without lone surrogates, or JSON if the types are mixed."""
    kinds = {type(value) for value in column.dropna()}
    if kinds <= {str}:
        return column.map(escape_surrogates, na_action="ignore")
    if kinds == {tuple}:
        return column.map(lambda numbers: [float(number) for number in numbers], na_action="ignore")
    if len(kinds) == 1:
        return column
    return column.map(lambda value: json.dumps(to_plain(value), ensure_ascii=False), na_action="ignore")
