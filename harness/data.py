"""Rows of a data set, through the `datasets` library: from the Hub, from files, or from a Python function.

Three forms, exactly one of which a `DataSpec` has (as YAML, under ``data:``)::

    {hub: stanfordnlp/sst2, config: default, split: validation, revision: main}
    {files: dev.tsv, options: {column_names: [sentence, label]}}     # a path, a list, a glob, or {split: any of these}
    {python: "my_data.py:rows"}                                      # or module:function; gives an iterable of dicts

The format is guessed from the suffix, through ``.gz``, ``.bz2`` and ``.xz``: csv, tsv, json (one object a line, or an array), parquet,
text (one row a line), imagefolder (a folder of class folders), webdataset (``.tar``; ``__key__`` is a member's path without suffix).
A csv or tsv cell stays the text that stands in the file: no number, no missing value is read into it. Tsv has no quoting.

`load` is the only function that touches disk or network, and the only one that imports `datasets`.
"""

from __future__ import annotations

import glob
import hashlib
import re
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, cast

import numpy as np

from . import codec
from .errors import ConfigError, DataError, UserError, did_you_mean
from .inputs import Image
from .json_surrogates import rows_with_surrogates
from .offline import is_offline
from .python_target import resolve
from .spool import Spool

Row = Mapping[str, Any]

FORMATS = ("csv", "tsv", "json", "jsonl", "parquet", "text", "imagefolder", "webdataset")
_BY_SUFFIX = {
    ".csv": "csv", ".tsv": "tsv", ".json": "json", ".jsonl": "json", ".ndjson": "json", ".parquet": "parquet", ".txt": "text",
    ".tar": "webdataset", ".png": "imagefolder", ".jpg": "imagefolder", ".jpeg": "imagefolder",
}  # fmt: skip
_COMPRESSED = (".gz", ".bz2", ".xz")
_CONNECT_TIMEOUT_S = 5.0


@dataclass(frozen=True, slots=True)
class DataSpec:
    """Where rows come from; see the module for its three forms. Checked when made, without touching disk or network.

    ``split``: may be left out where there is one only. ``options``: passed to the `datasets` builder (``delimiter``, ``quoting``,
    ``encoding``, ``sample_by``, ``field``, ``data_files``, ...). ``base``: the folder that relative paths start from.

    Raises `ConfigError`: none or several of the three forms, a format there is not.
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
            raise ConfigError(f"data needs one of 'hub', 'files' or 'python', and has {' and '.join(forms) or 'none of them'}")
        allowed = {"hub": {"config", "revision", "options"}, "files": {"format", "options"}, "python": set[str]()}[forms[0]]
        for name in ("config", "revision", "format", "options"):
            if getattr(self, name) and name not in allowed:
                raise ConfigError(f"data: {name!r} does not go with {forms[0]!r}; leave it out")
        if self.format and self.format not in FORMATS:
            raise ConfigError(f"data: no format {self.format!r}.{did_you_mean(self.format, FORMATS)} The formats: {', '.join(FORMATS)}.")
        if self.python and not all(self.python.rpartition(":")):
            raise ConfigError(f"data: python is 'module:function' or 'file.py:function', not {self.python!r}")

    @classmethod
    def parse(cls, value: object, base: Path | None = None) -> DataSpec:
        """A spec from its YAML mapping, whose relative paths start from ``base`` (the folder of the file that says it)."""
        if isinstance(value, DataSpec):
            return value
        if not isinstance(value, Mapping):
            raise ConfigError(f"data is a mapping such as {{files: rows.jsonl}} or {{hub: owner/name, split: test}}, not {value!r}")
        known = [f.name for f in fields(cls) if f.name != "base"]
        for key in value:
            if key not in known:
                raise ConfigError(f"data has no key {key!r}.{did_you_mean(str(key), known)} Its keys: {', '.join(known)}.")
        for key in ("hub", "config", "revision", "format", "python", "split"):
            if not isinstance(value.get(key), str | None):
                raise ConfigError(f"data: {key} is text, not {value[key]!r}; put it in quotes")
        return cls(**value, base=base or Path())

    def at(self, split: str) -> DataSpec:
        """The same data set at another split. Raises `DataError` where a lone file leaves no other split to go to."""
        if self.files and not isinstance(self.files, Mapping):
            raise DataError(f"{self} has no split {split!r}; name the files of each: data: {{files: {{test: ..., {split}: ...}}}}")
        return DataSpec(**({f.name: getattr(self, f.name) for f in fields(self)} | {"split": split}))

    def __str__(self) -> str:
        parts = [str(p) for p in (self.hub or self.python or self.files, self.config, self.split) if p]
        return f"data set {' / '.join(parts)}"


@dataclass(frozen=True, slots=True)
class Rows:
    """A loaded data set. ``rows``: a sequence of mappings, read (and images decoded, to PIL) when asked for.

    ``fingerprint``: SHA-256 of the content. ``class_names``: names of the classes, by column, where the data set declares them.
    """

    rows: Sequence[Row]
    columns: tuple[str, ...]
    fingerprint: str
    class_names: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    source: str = "data set"

    def require(self, columns: Sequence[str], /) -> None:
        """Raises `DataError`, which lists the columns there are, when one of these is not among them."""
        for column in columns:
            if column not in self.columns:
                raise DataError(
                    f"{self.source} has no column {column!r}.{did_you_mean(column, self.columns)} Its columns: {', '.join(self.columns)}."
                )


def load(spec: DataSpec, /) -> Rows:
    """Read a data set.

    Offline (`is_offline`) a Hub data set comes from the local cache or not at all,
    at once. Code of a data set's repository is never run.

    Raises `DataError`: a file, split or data set that is not there, no rows, a file that does not read as its format.
    """
    read = _from_hub if spec.hub else _from_files if spec.files else _from_python
    rows = read(spec)
    if not len(rows.rows):
        raise DataError(f"{spec} is empty; check the path, the split and the format")
    return rows


# ── Python ────────────────────────────────────────────────────────────────────────────────────────────────────────────


def _from_python(spec: DataSpec) -> Rows:
    target = cast(str, spec.python)
    if target.partition(":")[0].endswith(".py"):
        target = str(spec.base / target)
    function = resolve(target)
    columns: dict[str, None] = {}

    def checked() -> Iterator[Row]:
        for row in function(spec.split) if spec.split else function():
            if not isinstance(row, Mapping):
                raise DataError(f"{spec} must give dicts, one a row; it gives {type(row).__name__}")
            columns.update(dict.fromkeys(map(str, row)))
            yield row

    try:
        rows = Spool.of(checked())
    except UserError:
        raise
    except Exception as error:
        raise DataError(f"{spec}: {type(error).__name__}: {error}") from error
    try:
        fingerprint = codec.digest_all({k: _recordable(v) for k, v in row.items()} for row in rows)
    except TypeError as error:
        raise DataError(f"{spec}: a row holds a value without a fingerprint: {error}") from error
    return Rows(rows, tuple(columns), fingerprint, source=str(spec))


def _recordable(value: Any) -> Any:
    if isinstance(value, bytes):
        return value.hex()
    return Image(np.asarray(value)) if hasattr(value, "getbands") else value  # getbands: a PIL image


# ── files ─────────────────────────────────────────────────────────────────────────────────────────────────────────────


def _from_files(spec: DataSpec) -> Rows:
    named = spec.files
    if isinstance(named, Mapping):
        named = named[_pick(spec, [str(name) for name in named])]
    paths = [path for one in ([named] if isinstance(named, str) else named or ()) for path in _expand(one, spec.base)]
    kind = spec.format or _guess(paths[0], spec)
    if kind != "imagefolder" and any(p.is_dir() for p in paths):
        raise DataError(f"{spec} is a folder, which only format imagefolder reads; give a glob, e.g. files: {paths[0].name}/*.jsonl")
    fingerprint = _fingerprint(paths, kind, spec.options)
    options = dict(spec.options)
    if kind in ("csv", "tsv"):
        options = _cells_as_text(paths[0], kind, options, spec)
    builder_name = {"tsv": "csv", "jsonl": "json"}.get(kind, kind)
    patterns = [glob.escape(str(p)) + ("/**" if p.is_dir() else "") for p in paths]
    if builder_name == "json" and not options and (rows := rows_with_surrogates(paths)):
        return Rows(rows, tuple(rows[0]), fingerprint, source=str(spec))
    with _quiet() as datasets, _data_errors(spec):
        # The library keys its cache by path and time of change; ours is keyed by content, so that a changed file is never read from it.
        cache = Path(datasets.config.HF_DATASETS_CACHE) / "windtunnel" / fingerprint[:32]
        builder = datasets.load_dataset_builder(builder_name, data_files={"data": patterns}, cache_dir=str(cache), **options)
        builder.download_and_prepare()
        return _rows_of(builder, "data", fingerprint, spec)


def _expand(name: str, base: Path) -> list[Path]:
    path = (base / name).resolve()
    # Path.glob takes no absolute pattern.
    found = [path] if path.exists() else sorted(Path(p).resolve() for p in glob.glob(str(base / name), recursive=True))  # noqa: PTH207
    if not found:
        raise DataError(f"there is no file {path}; a relative path starts from the file that names it (else from the working folder)")
    return found


def _guess(path: Path, spec: DataSpec) -> str:
    if path.is_dir():
        return "imagefolder"
    suffixes = [s.lower() for s in path.suffixes if s.lower() not in _COMPRESSED]
    kind = _BY_SUFFIX.get(suffixes[-1] if suffixes else "")
    if kind is None:
        raise DataError(f"{spec}: the format of {path.name} is not known from its suffix; give data: {{format: ...}}: {', '.join(FORMATS)}")
    return kind


def _fingerprint(paths: Sequence[Path], kind: str, options: Mapping[str, Any]) -> str:
    """Over format, options and bytes; of a folder also the names, since its images' classes are in them."""
    total = hashlib.sha256(codec.dumps([kind, options]).encode())
    for path in paths:
        for file in sorted(p for p in path.rglob("*") if p.is_file()) if path.is_dir() else [path]:
            if path.is_dir():
                total.update(file.relative_to(path).as_posix().encode("utf-8", "surrogateescape") + b"\0")
            with file.open("rb") as stream:
                total.update(hashlib.file_digest(stream, "sha256").digest())
    return total.hexdigest()


def _cells_as_text(path: Path, kind: str, options: dict[str, Any], spec: DataSpec) -> dict[str, Any]:
    """Options that keep every cell as written: left to itself pandas reads ``1.50`` as 1.5 and an answer ``None`` or ``NA`` as missing."""
    import pandas as pd
    from datasets import Features, Value

    options = {"na_filter": False, "delimiter": "\t" if kind == "tsv" else ",", "quoting": 3 if kind == "tsv" else 0} | options
    same = ("quoting", "quotechar", "escapechar", "doublequote", "skiprows", "comment", "encoding", "skipinitialspace")
    how = {key: options[key] for key in same if key in options}
    try:
        first = pd.read_csv(path, sep=options["delimiter"], header=None, nrows=1, dtype=str, na_filter=False, **how)
    except (ValueError, OSError) as error:  # pandas' parser errors are ValueErrors
        raise DataError(f"{spec} does not read as {kind}: {error}") from error
    found = [str(cell) or f"Unnamed: {place}" for place, cell in enumerate(first.iloc[0])]  # pandas' own name for a column without one
    names = options.get("column_names") or found
    if len(names) != len(found):
        raise DataError(f"{spec}: column_names has {len(names)} names, the first line {len(found)} cells; name them all")
    if len(set(names)) != len(names):
        raise DataError(f"{spec}: the columns {', '.join(names)} are not unique; give options: {{column_names: [...]}}")
    return options | {"features": Features({name: Value("string") for name in names})}


# ── Hub ───────────────────────────────────────────────────────────────────────────────────────────────────────────────


def _from_hub(spec: DataSpec) -> Rows:
    name = cast(str, spec.hub)
    with _quiet() as datasets, _data_errors(spec):
        offline = is_offline()
        commit = None if offline else _commit(spec)
        if commit:
            builder = datasets.load_dataset_builder(name, spec.config, revision=commit, **spec.options)
            builder.download_and_prepare()
        else:
            builder = _cached(spec, "offline" if offline else f"the Hub did not answer within {_CONNECT_TIMEOUT_S:.0f} s")
        split = _pick(spec, [str(s) for s in builder.info.splits])
        dataset = builder.as_dataset(split=split)
        fingerprint = codec.digest([name, spec.config, split, spec.revision, dataset._fingerprint])
        return _rows_of(builder, split, fingerprint, spec)


def _commit(spec: DataSpec) -> str | None:
    """The commit that ``revision`` stands for now, or None when the Hub is out of reach. One request, one timeout, no retries."""
    import huggingface_hub
    from huggingface_hub.errors import HfHubHTTPError

    try:
        info = huggingface_hub.HfApi().dataset_info(cast(str, spec.hub), revision=spec.revision, timeout=_CONNECT_TIMEOUT_S)
    except HfHubHTTPError as error:
        status = error.response.status_code if error.response is not None else 0
        if status in (401, 403):
            raise DataError(
                f"{spec} needs access: accept its terms at https://huggingface.co/datasets/{spec.hub} and set HF_TOKEN (or check the name)"
            ) from error
        if status == 404:
            raise DataError(f"the Hub has no {spec} at revision {spec.revision or 'main'}; check the name and the revision") from error
        return None
    except Exception as error:
        # Which HTTP library raises depends on the version of huggingface_hub: requests before 1.0, httpx from 1.0, httpx2 from 2.0.
        if isinstance(error, OSError) or type(error).__module__.startswith(("httpx", "httpcore", "requests")):
            return None
        raise
    return info.sha


def _cached(spec: DataSpec, why: str) -> Any:
    """The builder of a data set that was loaded on this machine before."""
    from datasets.packaged_modules.cache.cache import Cache

    name = cast(str, spec.hub)
    arguments = ", ".join(repr(a) for a in (name, spec.config) if a) + (f", revision={spec.revision!r}" if spec.revision else "")
    advice = (
        f'where there is a network, run: python -c "from datasets import load_dataset; load_dataset({arguments})" '
        "(and share its HF_HOME), or point at local files: data: {files: ...}"
    )
    try:
        builder = Cache(
            repo_id=name, dataset_name=name.split("/")[-1], config_name=spec.config, version="auto", hash="auto", **spec.options
        )
    except ValueError as error:
        raise DataError(f"{spec} is not in the local cache ({why}; {' '.join(str(error).split())}); {advice}") from error
    if spec.revision and re.fullmatch("[0-9a-f]{40}", spec.revision) and builder.hash != spec.revision:
        raise DataError(f"{spec}: the local cache holds revision {builder.hash}, not {spec.revision} ({why}); {advice}")
    return builder


def is_cached(spec: DataSpec, /) -> bool:
    """Whether a Hub data set was loaded on this machine before: offline, `load` finds it."""
    try:
        with _quiet():
            _cached(spec, "offline")
    except DataError:
        return False
    return True


# ── shared ────────────────────────────────────────────────────────────────────────────────────────────────────────────


def _pick(spec: DataSpec, splits: Sequence[str]) -> str:
    if spec.split is None and len(splits) == 1:
        return splits[0]
    if spec.split is None or spec.split not in splits:
        wrong = f"has no split {spec.split!r}.{did_you_mean(spec.split, splits)}" if spec.split else "needs a split."
        raise DataError(f"{spec} {wrong} Its splits: {', '.join(splits)}.")
    return spec.split


def _rows_of(builder: Any, split: str, fingerprint: str, spec: DataSpec) -> Rows:
    if not builder.info.splits[split].num_examples:
        return Rows((), (), fingerprint, source=str(spec))
    dataset = builder.as_dataset(split=split)
    names = {column: tuple(f.names) for column, f in dataset.features.items() if type(f).__name__ == "ClassLabel"}
    return Rows(dataset, tuple(dataset.column_names), fingerprint, names, str(spec))


@contextmanager
def _data_errors(spec: DataSpec) -> Iterator[None]:
    """What `datasets` raises becomes one `DataError` that begins with the innermost cause."""
    try:
        yield
    except UserError:
        raise
    except Exception as error:
        cause: BaseException = error
        while cause.__cause__ is not None:
            cause = cause.__cause__
        text = " ".join(str(cause).split())[:400]
        raise DataError(f"{spec} cannot be read: {type(cause).__name__}: {text}. Check format, options and config.") from error


@contextmanager
def _quiet() -> Iterator[Any]:
    """The `datasets` module, its logs and progress bars off; both are as before afterwards."""
    import datasets.utils
    import huggingface_hub.utils

    verbosity = datasets.logging.get_verbosity()
    shown = [module for module in (datasets.utils, huggingface_hub.utils) if not module.are_progress_bars_disabled()]
    datasets.logging.set_verbosity(datasets.logging.CRITICAL)  # what it would log as an error it also raises
    for module in shown:
        module.disable_progress_bars()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ResourceWarning)  # the csv builder of datasets 5.0 leaves its file to the garbage collector
            yield datasets
    finally:
        datasets.logging.set_verbosity(verbosity)
        for module in shown:
            module.enable_progress_bars()
