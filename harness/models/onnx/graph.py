"""Read the inputs and outputs of an ONNX file, without its weights and without ONNX Runtime.

The file is a protocol buffer: https://github.com/onnx/onnx/blob/main/onnx/onnx.proto names the fields, and
https://protobuf.dev/programming-guides/encoding/ describes the bytes.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from ...api.errors import ModelError

_GRAPH = 7
"""Field of a model."""
_NODE, _INITIALIZER, _INPUT, _OUTPUT, _SPARSE = 1, 5, 11, 12, 15
"""Fields of a graph."""
_FUNCTION, _FUNCTION_NODE, _ATTRIBUTE = 25, 7, 5
"""Fields of a model, of a function and of a node."""
_DEEPEST = 60
"""Maximum depth of parts in parts."""
_TYPES = {
    1: "float32", 2: "uint8", 3: "int8", 5: "int16", 6: "int32", 7: "int64", 8: "string", 9: "bool", 10: "float16", 11: "float64",
    16: "bfloat16",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Tensor:
    """An input or output of a graph.

    dtype: name of its number format; empty if it is not a tensor. shape: its sizes, None where any size fits; None: the graph
    states no shape.
    """

    name: str
    dtype: str
    shape: tuple[int | None, ...] | None

    def __str__(self) -> str:
        """Return it as errors show it: "input_ids int64 [?, ?]"."""
        sizes = "" if self.shape is None else f" [{', '.join('?' if size is None else str(size) for size in self.shape)}]"
        return f"{self.name} {self.dtype or 'of an unknown type'}{sizes}"

    @property
    def rank(self) -> int | None:
        return None if self.shape is None else len(self.shape)

    def size(self, axis: int, /) -> int | None:
        """Return the fixed size of an axis; None if any size fits."""
        return self.shape[axis] if self.shape is not None and axis < len(self.shape) else None


@dataclass(frozen=True, slots=True)
class Graph:
    """The inputs and outputs of a graph, and the files beside it that hold its weights."""

    inputs: tuple[Tensor, ...]
    outputs: tuple[Tensor, ...]
    data_files: tuple[str, ...] = ()


def read_graph(path: Path, /) -> Graph:
    """Read the inputs, the outputs and the names of the weight files.

    Raises `ModelError` if the file is no ONNX graph, or if a weight file is missing or lies elsewhere.
    """
    try:
        with path.open("rb") as stream:
            graph = _read_model(stream, os.fstat(stream.fileno()).st_size)
    except (EOFError, ValueError) as error:
        raise ModelError(f"{str(path)!r} is not an ONNX graph, or is cut short; export or copy it again") from error
    if not graph.inputs or not graph.outputs:
        raise ModelError(f"{str(path)!r} is not an ONNX graph: it has no inputs and outputs; export or copy it again")
    for name in graph.data_files:
        if Path(name).is_absolute() or ".." in re.split(r"[/\\]", name):
            raise ModelError(f"{path.name!r} keeps weights in {name!r}, outside of its folder; export it again")
        if not (path.parent / name).is_file():
            raise ModelError(f"{str(path)!r} keeps its weights in {name!r}, which is missing; copy that file into the same folder")
    return graph


def _read_model(stream: BinaryIO, size: int) -> Graph:
    inputs: list[Tensor] = []
    outputs: list[Tensor] = []
    weights: set[str] = set()
    files: dict[str, None] = {}
    for field, length in _walk(stream, size):
        if field == _FUNCTION:
            files.update(_find_files(stream, length, "function"))
        if field != _GRAPH:
            continue
        for part, part_length in _walk(stream, length):
            if part == _INITIALIZER:
                name, file = _read_weight(stream, part_length)
                weights.add(name)
                files.update({file: None} if file else {})
            elif part in (_INPUT, _OUTPUT):
                (inputs if part == _INPUT else outputs).append(_read_tensor(stream, part_length))
            elif part in (_NODE, _SPARSE):
                files.update(_find_files(stream, part_length, "node" if part == _NODE else "sparse"))
    # Older exports list the weights among the inputs.
    return Graph(tuple(one for one in inputs if one.name not in weights), tuple(outputs), tuple(files))


_CONTENT: dict[str, dict[int, str]] = {
    "function": {_FUNCTION_NODE: "node"},
    "node": {_ATTRIBUTE: "attribute"},
    "attribute": {5: "tensor", 6: "graph", 10: "tensor", 11: "graph", 22: "sparse", 23: "sparse"},
    "graph": {_NODE: "node", _INITIALIZER: "tensor", _SPARSE: "sparse"},
    "sparse": {1: "tensor", 2: "tensor"},
}
"""The fields of each part that hold further parts: the branches of a condition have weights of their own."""


def _find_files(stream: BinaryIO, size: int, kind: str, depth: int = 0) -> dict[str, None]:
    """Return the files that hold the weights inside a part of a graph. Raises `ValueError` if parts nest too deeply."""
    if depth > _DEEPEST:
        raise ValueError("nested too deeply")
    if kind == "tensor":
        _, file = _read_weight(stream, size)
        return {file: None} if file else {}
    files: dict[str, None] = {}
    for field, length in _walk(stream, size):
        if field in _CONTENT[kind]:
            files.update(_find_files(stream, length, _CONTENT[kind][field], depth + 1))
    return files


def _read_weight(stream: BinaryIO, size: int) -> tuple[str, str]:
    """Return the name of a weight, and the file that holds it; empty for the graph's own."""
    name = file = ""
    for field, length in _walk(stream, size):
        if field == 8:
            name = _read_text(stream, length)
        elif field == 13:
            entry = {part: _read_text(stream, part_length) for part, part_length in _walk(stream, length)}
            file = entry.get(2, "") if entry.get(1) == "location" else file
    return name, file


def _read_tensor(stream: BinaryIO, size: int) -> Tensor:
    name, dtype, shape = "", "", None
    for field, length in _walk(stream, size):
        if field == 1:
            name = _read_text(stream, length)
        elif field == 2:
            for kind, kind_length in _walk(stream, length):
                if kind == 1:
                    dtype, shape = _read_type(stream, kind_length)
    return Tensor(name, dtype, shape)


def _read_type(stream: BinaryIO, size: int) -> tuple[str, tuple[int | None, ...] | None]:
    dtype, shape = "", None
    for field, length in _walk(stream, size):
        if field == 1:
            dtype = _TYPES.get(length, "")
        elif field == 2:
            shape = tuple(_read_size(stream, part_length) for part, part_length in _walk(stream, length) if part == 1)
    return dtype, shape


def _read_size(stream: BinaryIO, size: int) -> int | None:
    # A fixed size below 1 is some exporters' way to write that any size fits.
    return next((value for field, value in _walk(stream, size) if field == 1 and 0 < value < 1 << 62), None)


# ── bytes ─────────────────────────────────────────────────────────────────────────────────────────────────────────────


def _walk(stream: BinaryIO, size: int) -> Iterator[tuple[int, int]]:
    """Yield the number of each field, and its length if it has content, which the caller may read, else its value."""
    end = stream.tell() + size
    while stream.tell() < end:
        key = _read_number(stream)
        field, kind = key >> 3, key & 7
        value = 8 if kind == 1 else 4 if kind == 5 else _read_number(stream)
        has_content = kind in (1, 2, 5)
        if kind not in (0, 1, 2, 5) or field == 0 or (has_content and stream.tell() + value > end):
            raise ValueError("not a protocol buffer")
        after = stream.tell() + (value if has_content else 0)
        yield field, value
        stream.seek(after)


def _read_number(stream: BinaryIO) -> int:
    number = 0
    for shift in range(0, 70, 7):
        byte = stream.read(1)
        if not byte:
            raise EOFError
        number |= (byte[0] & 0x7F) << shift
        if byte[0] < 0x80:
            return number
    raise ValueError("not a protocol buffer")


def _read_text(stream: BinaryIO, length: int) -> str:
    return stream.read(length).decode("utf-8", "replace")
