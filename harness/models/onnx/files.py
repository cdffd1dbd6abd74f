"""Find the graph and the files that prepare its inputs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ...api.errors import ModelError
from .graph import Graph
from .roles import Roles

_CONFIGS = ("config.json", "preprocessor_config.json", "tokenizer.json", "tokenizer_config.json")


@dataclass(frozen=True, slots=True)
class Export:
    """An exported model.

    path: the file of the graph. folder: the folder of the configuration, and of the tokenizer or processor.
    config: the content of ``config.json``; empty if there is none.
    """

    path: Path
    folder: Path
    graph: Graph
    config: Mapping[str, Any]
    roles: Roles

    @property
    def has_classes(self) -> bool:
        """Whether the configuration is that of a classifier of transformers."""
        return bool(self.config.get("architectures") or self.config.get("id2label"))

    def find_file(self, name: str, /) -> Path | None:
        """Return the path of a file beside the configuration; None if there is none."""
        path = self.folder / name
        return path if path.is_file() else None


def find_graph(target: str, /) -> Path:
    """Return the file of a graph.

    target: the file, or a folder with one graph, or one named ``model.onnx``.
    Raises `ModelError` if there is none, or several.
    """
    path = Path(target).expanduser()
    if path.is_file():
        return path
    if not path.is_dir():
        raise ModelError(f"there is no file or folder {target!r}")
    found = sorted([*path.glob("*.onnx"), *path.glob("onnx/*.onnx")])
    if not found:
        raise ModelError(f"the folder {target!r} has no .onnx file; export one, or give the checkpoint as hf:{target}")
    named = [one for one in found if one.name == "model.onnx"]
    if len(found) > 1 and len(named) != 1:
        raise ModelError(f"the folder {target!r} has {len(found)} graphs ({', '.join(one.name for one in found[:6])}); give one of them")
    return (named or found)[0]


def find_folder(path: Path, checkpoint: str | None, /) -> Path:
    """Return the folder with the configuration: the given one, that of the graph, or the one above.

    Raises `ModelError` if the given one does not exist.
    """
    if checkpoint is not None:
        folder = Path(checkpoint).expanduser()
        if not folder.is_dir():
            raise ModelError(f"checkpoint: there is no folder {checkpoint!r}")
        return folder
    places = [path.parent, path.resolve().parent.parent]
    return next((place for place in places if any((place / name).is_file() for name in _CONFIGS)), path.parent)
