"""Rows from files: which files are meant, which format they are in, and the fingerprint of their content."""

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
from .formats.opened import COMPRESSED
from .formats.rows import Rows
from .spec import DataSpec


def read_files(spec: DataSpec, /) -> Rows:
    """The rows of a spec's files. Raises `DataError`."""
    named = spec.files
    if isinstance(named, Mapping):
        named = named[spec.choose_split([str(name) for name in named])]
    paths = [path for one in ([named] if isinstance(named, str) else named or ()) for path in _expand(one, spec.base)]
    twice = next((path for path in paths if paths.count(path) > 1), None) if len(set(paths)) < len(paths) else None
    if twice:
        raise DataError(f"{spec}: {twice} is named twice; its rows would be there twice")
    name = spec.format or _common_format(paths, spec)
    if name != "imagefolder" and any(p.is_dir() for p in paths):
        raise DataError(f"{spec} is a folder, which only format imagefolder reads; give a glob, e.g. files: {paths[0].name}/*.jsonl")
    reader = make_format(name, FORMATS[name], spec.options)
    fingerprint = _fingerprint(paths, name, spec.options)
    found = reader.read(paths)
    return Rows(found.rows, found.columns, fingerprint, found.class_names, str(spec), found.notes, found.hint)


def _expand(name: str, base: Path) -> list[Path]:
    path = (base / name).resolve()
    # Path.glob takes no absolute pattern.
    found = [path] if path.exists() else sorted(Path(p).resolve() for p in glob.glob(str(base / name), recursive=True))  # noqa: PTH207
    if not found:
        raise DataError(f"there is no file {path}; a relative path starts from the file that names it (else from the working folder)")
    return found


def _common_format(paths: Sequence[Path], spec: DataSpec) -> str:
    formats = {_guess(path, spec): path for path in reversed(paths)}
    if len(formats) > 1:
        shown = ", ".join(f"{path.name} ({name})" for name, path in sorted(formats.items()))
        raise DataError(f"{spec} has files of several formats: {shown}; name those of one, or say data: {{format: ...}}")
    return next(iter(formats))


def _guess(path: Path, spec: DataSpec) -> str:
    if path.is_dir():
        return "imagefolder"
    suffixes = [s.lower() for s in path.suffixes if s.lower() not in COMPRESSED]
    last = suffixes[-1] if suffixes else ""
    kind = "imagefolder" if last in SUFFIXES else BY_SUFFIX.get(last)
    if kind is None:
        raise DataError(f"{spec}: the format of {path.name} is not known from its suffix; give data: {{format: ...}}: {', '.join(FORMATS)}")
    return kind


def _fingerprint(paths: Sequence[Path], kind: str, options: Mapping[str, Any]) -> str:
    """Over format, options and bytes; of a folder also the names, since its images' classes are in them."""
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
                total.update(b"unreadable")  # one of many images: its sample fails
    return total.hexdigest()
