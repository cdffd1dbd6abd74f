"""Read rows from files: find the files, choose their format, and fingerprint their content."""

from __future__ import annotations

import glob
import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ..api.errors import DataError
from ..store import codec
from .formats import BY_SUFFIX, FORMATS
from .formats.encoded_image import SUFFIXES
from .formats.format import make_format
from .formats.image_folder import walk
from .formats.open_files import COMPRESSED
from .formats.rows import Rows
from .spec import DataSpec


def read_files(spec: DataSpec, /) -> Rows:
    """Read the rows of a spec's files. Raises `DataError`."""
    patterns = spec.files
    if isinstance(patterns, Mapping):
        patterns = patterns[spec.choose_split([str(name) for name in patterns])]
    patterns = [patterns] if isinstance(patterns, str) else patterns or ()
    paths = [path for pattern in patterns for path in _expand(pattern, spec.base)]
    twice = next((path for path in paths if paths.count(path) > 1), None) if len(set(paths)) < len(paths) else None
    if twice:
        raise DataError(f"{spec}: {twice} is named twice, which would repeat its rows; name it once")
    name = spec.format or _find_common_format(paths, spec)
    if name != "imagefolder" and any(p.is_dir() for p in paths):
        fix = f"give a glob, e.g. files: {paths[0].name}/*.jsonl"
        raise DataError(f"{spec} is a folder, which only format imagefolder reads; {fix}")
    reader = make_format(name, FORMATS[name], spec.options)
    fingerprint = _fingerprint(paths, name, spec.options)
    contents = reader.read(paths)
    return Rows(contents.rows, contents.columns, fingerprint, contents.class_names, str(spec), contents.notes, contents.hint)


def _expand(pattern: str, base: Path) -> list[Path]:
    """Return the files of a path or glob, sorted. Raises `DataError` if there is none."""
    path = (base / pattern).resolve()
    # Path.glob takes no absolute pattern.
    paths = [path] if path.exists() else sorted(Path(p).resolve() for p in glob.glob(str(base / pattern), recursive=True))  # noqa: PTH207
    if not paths:
        raise DataError(
            f"there is no file {path}; a relative path starts from the folder of the file that names it (else from the working folder)"
        )
    return paths


def _find_common_format(paths: Sequence[Path], spec: DataSpec) -> str:
    formats = {_format_of(path, spec): path for path in reversed(paths)}
    if len(formats) > 1:
        examples = ", ".join(f"{path.name} ({name})" for name, path in sorted(formats.items()))
        fix = "name files of one format, or set data: {format: ...}"
        raise DataError(f"{spec} has files of several formats: {examples}; {fix}")
    return next(iter(formats))


def _format_of(path: Path, spec: DataSpec) -> str:
    """Return the name of the format that a file's suffix stands for. Raises `DataError` for an unknown suffix."""
    if path.is_dir():
        return "imagefolder"
    suffixes = [s.lower() for s in path.suffixes if s.lower() not in COMPRESSED]
    last = suffixes[-1] if suffixes else ""
    kind = "imagefolder" if last in SUFFIXES else BY_SUFFIX.get(last)
    if kind is None:
        fix = f"set data: {{format: ...}} to one of {', '.join(FORMATS)}"
        raise DataError(f"{spec}: the format of {path.name} is not known from its suffix; {fix}")
    return kind


def _fingerprint(paths: Sequence[Path], kind: str, options: Mapping[str, Any]) -> str:
    """Digest the format, its options and the bytes of the files; for a folder also file names, which hold the classes."""
    total = hashlib.sha256(codec.dumps([kind, options]).encode())
    for path in paths:
        for file in walk(path) if path.is_dir() else [path]:
            if path.is_dir():
                total.update(file.relative_to(path).as_posix().encode("utf-8", "surrogateescape") + b"\0")
            try:
                with file.open("rb") as stream:
                    total.update(hashlib.file_digest(stream, "sha256").digest())
            except OSError as error:
                if not path.is_dir():
                    raise DataError(f"{file} cannot be read: {error.strerror or error}") from error
                total.update(b"unreadable")  # one image among many: only its sample fails
    return total.hexdigest()
