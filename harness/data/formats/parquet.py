"""Parquet: typed columns, with the class names and images that `datasets` declares in the metadata."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ...api.errors import DataError
from .encoded_image import EncodedImage
from .rows import Contents, Row, keep_rows

_BATCH_ROWS = 256


@dataclass(frozen=True, kw_only=True)
class Parquet:
    """Columns with the types of the file: a time is a `datetime`, a decimal a `Decimal`."""

    def read(self, paths: Sequence[Path], /) -> Contents:
        from pyarrow import ArrowException, parquet

        columns: list[tuple[str, ...]] = []
        names: dict[str, tuple[str, ...]] = {}

        def rows() -> Iterator[Row]:
            for path in paths:
                try:
                    with parquet.ParquetFile(path) as file:
                        columns.append(_list_columns(path, file.schema_arrow.names, paths[0], columns))
                        features = _read_features(file.schema_arrow.metadata)
                        names.update(_read_class_names(path, features, names))
                        images = [name for name, kind in features.items() if kind.get("_type") == "Image"]
                        for batch in file.iter_batches(_BATCH_ROWS):
                            for row in batch.to_pylist():
                                yield row | {name: EncodedImage.from_struct(row[name], f"{name} in {path.name}") for name in images}
                except (ArrowException, OSError) as error:
                    raise DataError(f"{path} cannot be read as parquet: {' '.join(str(error).split())[:400]}") from error

        kept = keep_rows(rows())
        return Contents(kept, columns[0], names)


def _list_columns(path: Path, names: Sequence[str], first: Path, before: Sequence[tuple[str, ...]]) -> tuple[str, ...]:
    twice = [name for name, num in Counter(names).items() if num > 1]
    if twice:
        raise DataError(f"{path}: the column {twice[0]!r} occurs twice; rename one of them")
    if before and set(names) != set(before[0]):
        raise DataError(
            f"{path} has the columns {', '.join(names)}, but {first} has {', '.join(before[0])}; "
            "files of one data set need the same columns"
        )
    return tuple(names)


def _read_features(metadata: Mapping[bytes, bytes] | None) -> dict[str, dict[str, Any]]:
    """Return the column features that `datasets` stored; empty if another program wrote the file."""
    try:
        features = json.loads((metadata or {}).get(b"huggingface", b"{}"))["info"]["features"]
        return {str(name): kind for name, kind in features.items() if isinstance(kind, dict)}
    except (ValueError, KeyError, TypeError, AttributeError):
        return {}


def _read_class_names(
    path: Path, features: Mapping[str, Mapping[str, Any]], before: Mapping[str, tuple[str, ...]]
) -> dict[str, tuple[str, ...]]:
    class_names = {
        name: tuple(map(str, kind["names"])) for name, kind in features.items() if kind.get("_type") == "ClassLabel" and "names" in kind
    }
    for name, names in class_names.items():
        if before.get(name, names) != names:
            raise DataError(
                f"{path}: the classes of {name!r} are {', '.join(names)}, but {', '.join(before[name])} in the files before; "
                "files of one data set need the same classes"
            )
    return class_names
