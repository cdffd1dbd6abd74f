"""Run a graph with ONNX Runtime."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch

from ...api.errors import ModelError
from .files import Export

_CPU, _CUDA = "CPUExecutionProvider", "CUDAExecutionProvider"
Provider = str | tuple[str, Mapping[str, Any]]


class Session:
    """A loaded graph.

    export: the graph and the roles of its inputs.
    device: ``auto``, ``cpu``, ``cuda`` or ``cuda:N``. providers: execution providers that replace those of the device.
    Raises `ModelError` if there is no such provider, or if ONNX Runtime cannot load the graph.
    """

    def __init__(self, export: Export, device: str, providers: Sequence[str] | None) -> None:
        import onnxruntime

        wanted = _choose_providers(device, providers, onnxruntime.get_available_providers())
        options = onnxruntime.SessionOptions()
        # As torch does; by default it takes all cores, whatever a process may use.
        options.intra_op_num_threads = torch.get_num_threads()
        options.log_severity_level = 3
        try:
            self._session = onnxruntime.InferenceSession(str(export.path), options, providers=wanted)
        except Exception as error:  # the library may raise anything for a broken graph
            raise ModelError(f"{str(export.path)!r} cannot be loaded: {error}") from error
        self.providers: tuple[str, ...] = tuple(self._session.get_providers())
        first = wanted[0] if isinstance(wanted[0], str) else wanted[0][0]
        if first not in self.providers:
            raise ModelError(f"ONNX Runtime has {first}, which does not start on this machine; set device: cpu, or mend its libraries")
        self._roles = export.roles
        self.batch = next(iter(export.roles.inputs.values())).size(0)
        """The fixed number of rows of a pass; None if any number fits."""

    def run(self, inputs: Mapping[str, np.ndarray], /) -> np.ndarray:
        """Return the output of a batch, float32.

        inputs: arrays by role, one row per sample. They are converted to the types of the graph.
        """
        num = len(next(iter(inputs.values())))
        if self.batch is None:
            return self._run_rows(inputs)
        parts = []
        for start in range(0, num, self.batch):
            some = {role: rows[start : start + self.batch] for role, rows in inputs.items()}
            parts.append(self._run_rows({role: _repeat_last(rows, self.batch) for role, rows in some.items()}))
        return np.concatenate(parts)[:num]

    def _run_rows(self, inputs: Mapping[str, np.ndarray]) -> np.ndarray:
        known = self._roles.inputs
        arrays = {known[role].name: np.ascontiguousarray(rows, dtype=known[role].dtype) for role, rows in inputs.items()}
        (output,) = self._session.run([self._roles.output.name], arrays)
        return np.asarray(output, dtype=np.float32)


def _repeat_last(rows: np.ndarray, num: int) -> np.ndarray:
    return rows if len(rows) == num else np.concatenate([rows, np.repeat(rows[-1:], num - len(rows), axis=0)])


def _choose_providers(device: str, wanted: Sequence[str] | None, available: Sequence[str]) -> list[Provider]:
    if wanted:
        if missing := [name for name in wanted if name not in available]:
            raise ModelError(f"ONNX Runtime has no provider {missing[0]!r} here; it has {', '.join(available)}")
        return list(wanted)
    kind, _, index = device.partition(":")
    if kind not in ("auto", "cpu", "cuda") or (index and not index.isdecimal()):
        raise ModelError(f"there is no device {device!r}; use auto, cpu, cuda or cuda:N")
    if kind == "cuda" and _CUDA not in available:
        raise ModelError(
            f"device {device!r} needs ONNX Runtime with CUDA, which has {', '.join(available)}: pip install onnxruntime-gpu, or set "
            "device: cpu"
        )
    if kind == "cpu" or _CUDA not in available:
        return [_CPU]
    return [(_CUDA, {"device_id": int(index or 0)}), _CPU]
