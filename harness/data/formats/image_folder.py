"""Images in class folders."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from ...api.errors import DataError
from .encoded_image import SUFFIXES, EncodedImage
from .rows import Contents, Row, keep_rows

_METADATA = ("metadata.csv", "metadata.jsonl")
_SHOWN = 3


@dataclass(frozen=True, kw_only=True)
class ImageFolder:
    """One row per image, sorted by path. Columns: ``image``, and ``label``, the index of its class folder sorted by name.

    Every file with an image suffix is a row, even if it cannot be decoded. Other files are counted in the notes; hidden
    files and folders are skipped. If the folder has a ``metadata.csv`` or ``metadata.jsonl``, the rows are those of that
    file: ``file_name`` names the image, other columns are kept, and a ``label`` column replaces the class folders.

    class_folder: for images more than one folder deep, whether the ``first`` or the ``last`` folder is the class.
    """

    class_folder: Literal["", "first", "last"] = ""

    def read(self, paths: Sequence[Path], /) -> Contents:
        if len(paths) == 1 and paths[0].is_dir():
            root = paths[0]
            images, others = _list_images(root)
            metadata = [path for path in others if path.parent == root and path.name in _METADATA]
            others = [path for path in others if path not in metadata]
            classes = {path: self._find_class(path.relative_to(root)) for path in images}
            empty = sorted(p.name for p in root.iterdir() if p.is_dir() and not p.name.startswith(".") and p.name not in classes.values())
        elif any(path.is_dir() for path in paths):
            raise DataError(f"{paths[0]}: give one folder of class folders, or images by a glob such as {paths[0].name}/*.png")
        else:
            root, others, metadata, empty = Path(), [p for p in paths if not _is_image(p)], [], []
            images = [path for path in paths if _is_image(path)]
            classes = {path: path.parent.name for path in images}
        if not images:
            suffixes = ", ".join(sorted(SUFFIXES))
            raise DataError(f"{paths[0]} has no images (files that end in {suffixes}); it has {_summarise(others)}")
        names = tuple(sorted({name for name in classes.values() if name is not None}))
        notes = list(_list_notes(root, others, empty, [path for path, name in classes.items() if name is None] if names else []))
        if metadata:
            return _read_metadata(root, metadata, classes, names, notes)
        rows = keep_rows(_make_row(path, root, names, classes[path]) for path in images)
        return Contents(rows, ("image", "label") if names else ("image",), {"label": names} if names else {}, tuple(notes))

    def _find_class(self, path: Path) -> str | None:
        folders = path.parts[:-1]
        if len(folders) > 1 and not self.class_folder:
            raise DataError(
                f"{path.as_posix()!r} is {len(folders)} folders deep: which of them is the class? Set files: to the folder that holds "
                "the class folders, or set data: {options: {class_folder: first}} (or last)"
            )
        return folders[-1 if self.class_folder == "last" else 0] if folders else None


def walk(folder: Path, /) -> Iterator[Path]:
    """Yield the files below a folder, sorted, without hidden ones. Follows links, and visits each folder once."""
    seen: set[str] = set()
    for place, folders, files in os.walk(folder, followlinks=True):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        real = os.path.realpath(place)
        if real in seen:
            folders.clear()
            continue
        seen.add(real)
        yield from (Path(place, name) for name in sorted(files) if not name.startswith("."))


def _is_image(path: Path) -> bool:
    return path.suffix.lower() in SUFFIXES


def _list_images(folder: Path) -> tuple[list[Path], list[Path]]:
    """Return the images and the other files below a folder."""
    files = sorted(walk(folder), key=lambda path: path.relative_to(folder).as_posix())
    return [path for path in files if _is_image(path)], [path for path in files if not _is_image(path)]


def _make_row(path: Path, root: Path, names: Sequence[str], label: str | None) -> Row:
    image = EncodedImage(path.relative_to(root).as_posix() if root.parts else path.name, path)
    return {"image": image, "label": None if label is None else names.index(label)} if names else {"image": image}


def _read_metadata(
    root: Path, metadata: Sequence[Path], classes: dict[Path, str | None], names: tuple[str, ...], notes: list[str]
) -> Contents:
    from .json_rows import Json
    from .separated import Csv

    if len(metadata) > 1:
        raise DataError(f"{root} has both {' and '.join(_METADATA)}; keep one of them")
    table = (Csv() if metadata[0].suffix == ".csv" else Json()).read(metadata)
    if "file_name" not in table.columns:
        columns = ", ".join(table.columns)
        raise DataError(f"{metadata[0]} has no column 'file_name', which names each row's image; its columns: {columns}")
    has_label = "label" in table.columns
    used: set[Path] = set()

    def rows() -> Iterator[Row]:
        for row in table.rows:
            path = root / str(row["file_name"])
            if ".." in path.relative_to(root).parts:
                raise DataError(f"{metadata[0]}: file_name {row['file_name']!r} is not in the folder")
            used.add(path)
            others = {k: v for k, v in row.items() if k != "file_name"}
            yield {**_make_row(path, root, () if has_label else names, classes.get(path)), **others}

    kept = keep_rows(rows())
    if unnamed := [path for path in classes if path not in used]:
        notes.append(f"images that {metadata[0].name} does not name: {_summarise(unnamed)}")
    class_names = {"label": names} if names and not has_label else {}
    named = ("image", *class_names, *(name for name in table.columns if name != "file_name"))
    return Contents(kept, named, class_names, (*notes, *table.notes))


def _list_notes(root: Path, others: Sequence[Path], empty: Sequence[str], without: Sequence[Path]) -> Iterator[str]:
    if others:
        yield f"files that are not images: {_summarise(others)}"
    if empty:
        yield f"folders without an image: {len(empty)} ({', '.join(empty[:_SHOWN])}{', …' if len(empty) > _SHOWN else ''})"
    if without:
        yield f"images outside of class folders: {_summarise(without)}"


def _summarise(paths: Sequence[Path]) -> str:
    shown = ", ".join(path.name for path in paths[:_SHOWN])
    return f"{len(paths):,} files" + (f" ({shown}{', …' if len(paths) > _SHOWN else ''})" if paths else "")
