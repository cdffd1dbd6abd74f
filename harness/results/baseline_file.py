"""Baseline files: the numbers of a run, and what pairs them by sample with those of another run, without its texts.

A file is JSON of a few hundred kB that a repository can hold. Ids of samples are hashes, unless texts are written. Its SHA-256 is that
of its content, so that a change is noticed whenever the file is read; how the JSON is written does not matter.

Shape legend: N samples of a row, P samples of the file.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..api.errors import ConfigError, UserError
from ..api.item_key import ItemKey
from ..api.registry import Registry
from ..api.scorecard import Estimate, Row, SampleView, Scorecard, Shown
from ..items.task.judge_rows import Kappa
from ..metrics.base import make_metric
from ..metrics.scores import ColumnMean, ColumnMedian, column_mean, column_median
from ..statistics import Evidence, get_evidence
from ..statistics.geometric import GeometricMean, geometric_mean
from ..statistics.intervals import TAIL
from ..statistics.statistic import Statistic
from .packed_arrays import ArrayWriter, read_arrays

FILE_NAME = "baseline.json"
"""The copy of its baseline in a run folder, from which reports and gates are made again."""

SCHEMA = 1
"""Version of the format. It increases when the meaning of a key changes."""

_FORMAT = "windtunnel baseline"
_DIGEST = "sha256"
_REMEDY = "write the file again with 'windtunnel baseline RUN'"
_LARGEST_FILE = 64 * 2**20
_FIELDS = ("model", "metric", "dimension", "higher_is_better", "unit", "slice", "control", "about")
_SEEN = ("model", "task", "id", "target", "prediction", "correct", "error", "output")


class ChangedBaseline(ConfigError):
    """A baseline file whose content is not the one that was written."""


def read_kept_baseline(folder: Path, /, registry: Registry | None = None) -> Scorecard | None:
    """Read the baseline that a run folder keeps; None if it keeps none. Raises `ConfigError` if it cannot be read."""
    path = folder / FILE_NAME
    return read_file(path, registry) if path.exists() else None


def read_file(path: Path, /, registry: Registry | None = None) -> Scorecard:
    """Read a baseline file. Raises `ConfigError` for a file that is no baseline, is broken, or is of a newer version."""
    try:
        if path.stat().st_size > _LARGEST_FILE:
            raise ConfigError(f"{path}: a baseline file has at most {_LARGEST_FILE >> 20} MiB; pass the run folder")
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        why = error.strerror if isinstance(error, OSError) else f"it is not UTF-8: {error}"
        raise ConfigError(f"{path}: this is neither a run folder nor a baseline file ({why})") from error
    return read_baseline(text, str(path), registry)


def write_baseline(card: Scorecard, /, registry: Registry | None = None) -> str:
    """Return the text of a baseline file.

    ``card``: a scorecard that keeps its evidence. The texts of its samples are written if it has samples.
    ``registry``: the metrics; by default the installed ones.
    """
    from ... import __version__

    arrays, pool = ArrayWriter(), _IdPool()
    known = registry or Registry()
    rows, times = ([_write_row(row, arrays, pool, known) for row in rows] for rows in (card.rows, card.times))
    head = {
        "format": _FORMAT, "schema": SCHEMA, "windtunnel": __version__, "complete": card.complete, "num_failed": card.num_failed,
        "num_samples": card.num_samples, "verdict": card.verdict, "ids": arrays.add(pool.ids_P),
    }  # fmt: skip
    samples = [_write_view(view) for view in card.samples]
    lists: dict[str, Sequence[object]] = {"arrays": arrays.entries, "rows": rows, "times": times, "samples": samples}
    parts = [f"{_dump(name)}: {_dump(value)}" for name, value in {**head, "manifest": _make_finite(card.manifest)}.items()]
    # A line per row: a repository then shows what has changed.
    parts += [f"{_dump(name)}: [\n" + ",\n".join(map(_dump, entries)) + "\n]" for name, entries in lists.items()]
    content = ",\n".join(parts)
    return f"{{\n{content},\n{_dump(_DIGEST)}: {_dump(_compute_digest(json.loads(f'{{{content}}}')))}\n}}\n"


def _compute_digest(whole: Mapping[str, Any]) -> str:
    """Return the SHA-256 of a baseline's content, without the digest that it holds. Raises `ValueError` for NaN."""
    content = {name: value for name, value in whole.items() if name != _DIGEST}
    return hashlib.sha256(_dump(content).encode("ascii")).hexdigest()


def read_baseline(text: str, source: str, /, registry: Registry | None = None) -> Scorecard:
    """Read the text of a baseline file. ``source``: its name, for errors. Raises `ConfigError`."""
    try:
        whole = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise ConfigError(f"{source}: this is no baseline file ({error}); {_REMEDY}") from error
    if not isinstance(whole, dict) or whole.get("format") != _FORMAT:
        raise ConfigError(f"{source}: this is no baseline file; {_REMEDY}")
    schema = whole.get("schema")
    if type(schema) is not int or schema > SCHEMA:
        raise ConfigError(
            f"{source}: a newer version of windtunnel ({whole.get('windtunnel')}) wrote this baseline (schema {schema}, "
            f"this version reads {SCHEMA}); update windtunnel, or {_REMEDY}"
        )
    _require_unchanged(whole, source)
    try:
        arrays, known = read_arrays(whole["arrays"]), registry or Registry()
        ids_P = arrays[whole["ids"]].astype(np.uint64)

        def read_rows(name: str) -> tuple[Row, ...]:
            return tuple(_read_row(entry, arrays, ids_P, known) for entry in whole[name])

        return Scorecard(
            manifest=dict(whole["manifest"]), rows=read_rows("rows"), times=read_rows("times"),
            verdict=str(whole["verdict"]), complete=whole["complete"] is True, num_failed=int(whole["num_failed"]),
            num_samples=int(whole["num_samples"]), samples=tuple(map(_read_view, whole["samples"])),
        )  # fmt: skip
    except (ConfigError, KeyError, TypeError, ValueError, IndexError, AttributeError) as error:
        raise ConfigError(f"{source}: this baseline file is broken ({type(error).__name__}: {error}); {_REMEDY}") from error


def _require_unchanged(whole: Mapping[str, Any], source: str) -> None:
    """Raise `ChangedBaseline` if a baseline's content is not that of its digest, and `ConfigError` if it has none."""
    try:
        found, kept = _compute_digest(whole), whole.get(_DIGEST)
    except (ValueError, RecursionError) as error:
        raise ConfigError(f"{source}: this baseline file is broken ({error}); {_REMEDY}") from error
    if found != kept:
        held = f"it holds the SHA-256 {kept}" if kept else "it holds no SHA-256"
        raise ChangedBaseline(f"{source}: this baseline was changed after it was written: {held}, and its content has {found}; {_REMEDY}")


class _IdPool:
    """The hashes of the ids of all samples, in the order of their first use."""

    def __init__(self) -> None:
        self._places: dict[int, int] = {}

    @property
    def ids_P(self) -> NDArray[np.uint64]:
        """All hashes."""
        return np.array(list(self._places), dtype=np.uint64)

    def steps(self, ids_N: NDArray[np.uint64], /) -> NDArray[np.int64]:
        """Return the steps from each id's place in the pool to the next, which are mostly 1 and pack well, int [N]."""
        places = [self._places.setdefault(key, len(self._places)) for key in ids_N.tolist()]
        return np.asarray(np.diff(np.array(places, dtype=np.int64), prepend=0), dtype=np.int64)


def _write_row(row: Row, arrays: ArrayWriter, pool: _IdPool, registry: Registry) -> dict[str, Any]:
    facts = {name: value for name in _FIELDS if (value := getattr(row, name)) not in ("", None)}
    evidence = get_evidence(row)
    written = None if evidence is None else _write_evidence(evidence, arrays, pool, registry)
    return {
        **facts, "key": row.key.to_json(), "estimate": {k: v for k, v in asdict(row.estimate).items() if v not in ("", None)},
        **({"evidence": written} if written else {}),
    }  # fmt: skip


def _read_row(facts: Mapping[str, Any], arrays: list[NDArray[Any]], ids_P: NDArray[np.uint64], registry: Registry) -> Row:
    estimate = Estimate(**{"value": None, **facts["estimate"]})
    for number in (estimate.value, estimate.low, estimate.high):
        if number is not None and not (isinstance(number, int | float) and math.isfinite(number)):
            raise ValueError(f"{number!r} is not a number")
    if not all(isinstance(facts.get(name, ""), str) for name in _FIELDS if name != "higher_is_better"):
        raise ValueError("a row has a field that is no text")
    if facts.get("higher_is_better") not in (None, True, False):
        raise ValueError(f"higher_is_better is true or false, not {facts['higher_is_better']!r}")
    fields = {"higher_is_better": None, **{name: facts[name] for name in _FIELDS if name in facts}}
    row = Row(key=ItemKey.from_json(facts["key"]), estimate=estimate, **fields)
    evidence = _read_evidence(facts["evidence"], arrays, ids_P, registry) if "evidence" in facts else None
    return replace(row, evidence=evidence)


def _write_evidence(evidence: Evidence, arrays: ArrayWriter, pool: _IdPool, registry: Registry) -> dict[str, Any] | None:
    """Return the evidence as JSON; None if another process could not compute its number, or if it holds texts."""
    statistic = _write_statistic(evidence.statistic, registry)
    if statistic is None or any(values.dtype.kind not in "biuf" for values in evidence.columns.values()):
        return None
    codes: dict[str | None, int] = {None: -1}
    groups = [codes.setdefault(group, len(codes) - 1) for group in evidence.groups]
    return {
        "statistic": statistic, "name": evidence.name, "labels": list(evidence.labels), "n_unscored": evidence.n_unscored,
        "seed": evidence.seed, "ids": arrays.add(pool.steps(evidence.ids_N)),
        "groups": arrays.add(np.array(groups, dtype=np.int64)) if groups else None,
        "columns": {name: arrays.add(np.asarray(values)) for name, values in sorted(evidence.columns.items())},
        **({"tail": evidence.tail} if evidence.tail != TAIL else {}),
    }  # fmt: skip


def _read_evidence(facts: Mapping[str, Any], arrays: list[NDArray[Any]], ids_P: NDArray[np.uint64], registry: Registry) -> Evidence | None:
    """Return the evidence; None if its metric is not installed. Raises `ValueError` if its arrays differ in length."""
    statistic = _read_statistic(facts["statistic"], registry)
    ids_N = ids_P[np.cumsum(arrays[facts["ids"]])]
    columns = {str(name): arrays[place] for name, place in facts["columns"].items()}
    codes = [] if facts["groups"] is None else arrays[facts["groups"]].tolist()
    if {len(values) for values in (*columns.values(), codes or ids_N)} != {len(ids_N)}:
        raise ValueError("the columns of a row have different lengths")
    if len(np.unique(ids_N)) != len(ids_N):
        raise ValueError("a row has a sample twice")
    if statistic is None:
        return None
    if missing := sorted(statistic.needs - columns.keys()):
        raise ValueError(f"a row lacks the column {missing[0]!r}")
    groups = tuple(None if code < 0 else str(code) for code in codes)
    labels = tuple(map(str, facts["labels"]))
    tail = float(facts.get("tail", TAIL))
    return Evidence(statistic, str(facts["name"]), columns, labels, ids_N, groups, int(facts["n_unscored"]), int(facts["seed"]), tail)


def _write_statistic(statistic: Statistic, registry: Registry) -> dict[str, Any] | None:
    """Return how another process makes the statistic again; None if it cannot."""
    if isinstance(statistic, Kappa):
        return {"kappa": True}
    if statistic.name in registry.names("metrics") and type(make_metric(statistic.name, registry)) is type(statistic):
        return {"metric": statistic.name}
    if isinstance(statistic, ColumnMean):
        return {"mean": statistic.column, "low": statistic.low, "high": statistic.high}
    if isinstance(statistic, GeometricMean):
        return {"geometric_mean": statistic.name}
    return {"median": statistic.column} if isinstance(statistic, ColumnMedian) else None


def _read_statistic(facts: Mapping[str, Any], registry: Registry) -> Statistic | None:
    if "kappa" in facts:
        return Kappa()
    if "mean" in facts:
        return column_mean(str(facts["mean"]), *(None if facts[end] is None else float(facts[end]) for end in ("low", "high")))
    if "geometric_mean" in facts:
        return geometric_mean(str(facts["geometric_mean"]))
    if "median" in facts:
        return column_median(str(facts["median"]))
    try:
        return make_metric(str(facts["metric"]), registry) if facts["metric"] in registry.names("metrics") else None
    except UserError:
        return None


def _write_view(view: SampleView) -> dict[str, Any]:
    return {**{name: getattr(view, name) for name in _SEEN}, "input": view.input.text}


def _read_view(facts: Mapping[str, Any]) -> SampleView:
    return SampleView(**{name: facts[name] for name in _SEEN}, input=Shown("text", text=str(facts["input"])))


def _dump(value: Any) -> str:
    return json.dumps(value, ensure_ascii=True, allow_nan=False, sort_keys=True, separators=(",", ":"))


def _make_finite(value: Any) -> Any:
    """Return a JSON value with None in place of the infinite numbers of settings, which JSON lacks."""
    if isinstance(value, Mapping):
        return {str(key): _make_finite(part) for key, part in value.items()}
    if isinstance(value, list | tuple):
        return [_make_finite(part) for part in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
