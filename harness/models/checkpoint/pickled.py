"""Convert pickled weights (``.bin``) to safetensors, on request only.

A pickle may run any code when it is read. torch reads these without running any (``weights_only``): a file with
anything but tensors is refused.
"""

from __future__ import annotations

import json
import pickle
import re
import shutil
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ...api.errors import ModelError
from ..common.fingerprint import PATTERNS
from .adapter import ADAPTER_WEIGHTS
from .files import INDEX, WEIGHTS, read_json

if TYPE_CHECKING:
    import torch

_FORMS = {"pytorch_model.bin": WEIGHTS, "adapter_model.bin": ADAPTER_WEIGHTS}
"""Pickled files of transformers and PEFT, and what replaces them."""
_PICKLED_INDEX = "pytorch_model.bin.index.json"
_SAFE = (2, 6)
"""The first release of torch whose ``weights_only`` cannot be tricked (CVE-2025-32434)."""


def convert(folder: Path, out: Path, /) -> list[str]:
    """Write a copy of a checkpoint with safetensors in place of pickled weights, and return the names of the new files.

    folder: a folder with pytorch_model.bin, its parts with an index, or adapter_model.bin. out: a new or empty folder.

    Raises `ModelError` if a file contains anything but tensors by name, or nothing is to be converted.
    """
    import torch
    from safetensors.torch import save_file

    if tuple(map(int, torch.__version__.split(".")[:2])) < _SAFE:
        raise ModelError(f"torch {torch.__version__} can run code while it reads a pickle (CVE-2025-32434): pip install 'torch>=2.6'")
    names = _list_pickles(folder)
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise ModelError(f"{str(out)!r} is there already; name a new folder")
    weights: dict[str, str] = {}
    out.mkdir(parents=True, exist_ok=True)
    try:
        for name, converted in names.items():
            state = read_pickle(folder / name)
            # A tensor that shares its memory with another, such as tied weights, is stored twice.
            (out / converted).parent.mkdir(parents=True, exist_ok=True)
            tensors = {key: value.detach().contiguous().clone() for key, value in state.items()}
            save_file(tensors, out / converted, metadata={"format": "pt"})
            weights.update(dict.fromkeys(state, converted))
        if (folder / _PICKLED_INDEX).is_file():
            _write_index(out / INDEX, weights)
        for path in _list_others(folder, out):
            (out / path.relative_to(folder)).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, out / path.relative_to(folder))
    except BaseException:
        shutil.rmtree(out)
        raise
    return list(names.values())


def read_pickle(path: Path, /) -> dict[str, torch.Tensor]:
    """Read tensors by name without running code. Raises `ModelError` for anything else."""
    import torch

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about unusual protocols
            state: Any = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise ModelError(
            f"{str(path)!r} contains more than tensors ({_name_global(error)}), which could run code when it is read; it is not "
            "converted. Get the checkpoint as safetensors from its source"
        ) from error
    except Exception as error:  # the library may raise anything for a broken file
        raise ModelError(f"{str(path)!r} cannot be read: {error}; copy the checkpoint again") from error
    if not isinstance(state, dict) or not all(isinstance(key, str) and isinstance(value, torch.Tensor) for key, value in state.items()):
        keys = ", ".join(map(str, list(state)[:5])) if isinstance(state, dict) else type(state).__name__
        raise ModelError(f"{str(path)!r} has no tensors by name, but {keys}; it is no checkpoint of transformers or PEFT")
    return state


def _list_pickles(folder: Path) -> dict[str, str]:
    """Return the name of the converted file by that of the pickled one. Raises `ModelError` if there are none, or some are missing."""
    if not folder.is_dir():
        raise ModelError(f"there is no folder {str(folder)!r}")
    if (folder / WEIGHTS).is_file() or (folder / INDEX).is_file() or (folder / ADAPTER_WEIGHTS).is_file():
        raise ModelError(f"{str(folder)!r} has safetensors already, which are read as they are: hf:{folder}")
    index = read_json(folder / _PICKLED_INDEX)
    if index is None:
        # Modules of sentence-transformers have weights in subfolders.
        paths = [path.relative_to(folder) for name in _FORMS for path in sorted(folder.rglob(name))]
        known = {str(path): str(path.with_name(_FORMS[path.name])) for path in paths if not _is_hidden(path)}
        if not known:
            raise ModelError(f"{str(folder)!r} has neither {' nor '.join(_FORMS)}")
        return known
    table = index.get("weight_map")
    parts = sorted({str(name) for name in table.values()}) if isinstance(table, dict) else []
    if not parts or any(Path(name).name != name for name in parts):
        raise ModelError(f"{_PICKLED_INDEX} of {str(folder)!r} names no files of its folder (weight_map)")
    if missing := [name for name in parts if not (folder / name).is_file()]:
        raise ModelError(f"{str(folder)!r} lacks {', '.join(missing[:3])}, which {_PICKLED_INDEX} names; copy the whole checkpoint")
    return {name: name.replace("pytorch_model", "model").removesuffix(".bin") + ".safetensors" for name in parts}


def _list_others(folder: Path, out: Path) -> list[Path]:
    """Return the configuration, tokenizer and further files that belong to a checkpoint, in subfolders too."""
    kept = [pattern for pattern in PATTERNS if pattern != "*.safetensors"]
    paths = {path for pattern in kept for path in folder.rglob(pattern) if path.is_file() and path.name != _PICKLED_INDEX}
    return sorted(path for path in paths if not path.is_relative_to(out) and not _is_hidden(path.relative_to(folder)))


def _is_hidden(path: Path) -> bool:
    return any(part.startswith(".") for part in path.parts)


def _write_index(path: Path, weights: dict[str, str]) -> None:
    path.write_text(json.dumps({"metadata": {}, "weight_map": weights}, indent=2), encoding="utf-8")


def _name_global(error: Exception) -> str:
    """Return the name that a pickle refers to, such as ``posix.system``, from torch's message."""
    match = re.search(r"GLOBAL ([\w.]+)", str(error))
    return match.group(1) if match else "objects of Python"
