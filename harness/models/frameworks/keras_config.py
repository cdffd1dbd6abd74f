"""Read the embedding layers of a Keras file, without Keras and without weights."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

_EMBEDDINGS = ("Embedding", "ReversibleEmbedding")


def list_embeddings(path: Path, /) -> list[str]:
    """Return the names of the layers that embed tokens; none for a file that cannot be read, whose error comes when it is loaded."""
    try:
        config = json.loads(_read_config(path))
    except (OSError, KeyError, ValueError, zipfile.BadZipFile):
        return []
    return list(dict.fromkeys(_find_embeddings(config)))


def _read_config(path: Path) -> str | bytes:
    if zipfile.is_zipfile(path):
        with zipfile.ZipFile(path) as archive:
            return archive.read("config.json")
    import h5py

    with h5py.File(path) as file:
        text: str | bytes = file.attrs["model_config"]
        return text


def _find_embeddings(config: Any) -> Iterator[str]:
    if isinstance(config, list):
        for part in config:
            yield from _find_embeddings(part)
    elif isinstance(config, dict):
        inner = config.get("config")
        if config.get("class_name") in _EMBEDDINGS and isinstance(inner, dict):
            yield str(inner.get("name"))
        else:
            yield from _find_embeddings(list(config.values()))
