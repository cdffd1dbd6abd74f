"""Check the files of a checkpoint's folder: files of other formats, and missing files."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from ...api.errors import ModelError
from ..common.extras import require_extra

WEIGHTS, INDEX, ADAPTER = "model.safetensors", "model.safetensors.index.json", "adapter_config.json"
TIMM = "timm_wrapper"
"""The ``model_type`` that transformers gives to models of timm."""

_ANYTHING = "anything that runs in Python can be a model: callable:FILE.py:function"
_CONVERT = "pickled weights are never read. Convert them once, without running code: windtunnel convert FOLDER NEW_FOLDER"
_OTHERS = (
    ("*.onnx", "a graph of ONNX", "give it as onnx:FILE, or give the checkpoint that it was exported from"),
    ("model_index.json", "a pipeline of diffusers, which has several models", "give the folder of one that classifies or writes text"),
    ("consolidated*.safetensors", "weights under the names of their makers", "give the files that were converted for transformers"),
    ("pytorch_lora_weights.safetensors", "an adapter without a model", "merge it into its model and save that"),
    ("*.safetensors", f"weights under another name than {WEIGHTS}", f"rename the file where it is the whole model, or write {INDEX}"),
    ("*.bin", "pickled weights", _CONVERT),
    ("*.pt", "pickled weights", _CONVERT),
    ("*.pth", "pickled weights", _CONVERT),
    ("*.ckpt", "pickled weights", _CONVERT),
    ("*.h5", "weights of TensorFlow", f"save them from PyTorch with save_pretrained; {_ANYTHING}"),
    ("*.msgpack", "weights of Flax", f"save them from PyTorch with save_pretrained; {_ANYTHING}"),
    ("*.npz", "arrays of numpy", _ANYTHING),
    ("*.pkl", "a pickle", f"pickles are never read; {_ANYTHING}"),
    ("*.joblib", "a pickle", f"pickles are never read; {_ANYTHING}"),
    ("*.xml", "a model of OpenVINO", f"give the checkpoint that it was exported from; {_ANYTHING}"),
)
"""File names of other formats, what they are, and the fix."""


def check_files(target: str, folder: Path, /) -> None:
    """Raise `ModelError` if a local folder is not a complete checkpoint that transformers can read."""
    if (folder / ADAPTER).is_file():
        raise ModelError(
            f"{target!r} has a PEFT adapter ({ADAPTER}) beside a whole model, so it is not clear which is meant. Move the adapter's "
            f"files to a folder of their own and give that (with base: {target}), or remove them to evaluate the model alone"
        )
    config = read_json(folder / "config.json")
    if config is None:
        other = _describe_other(folder)
        raise ModelError(
            f"the folder {target!r} has no config.json; " + (f"it has {other}" if other else "give the folder that save_pretrained wrote")
        )
    if "architecture" in config and "pretrained_cfg" in config:
        # timm imports torchvision.
        for module in ("timm", "torchvision"):
            require_extra(module, target, "timm")
    if (folder / WEIGHTS).is_file():
        return
    index = read_json(folder / INDEX)
    if index is None:
        other = _describe_other(folder)
        raise ModelError(f"the folder {target!r} has no .safetensors file that transformers reads" + (f": it has {other}" if other else ""))
    table = index.get("weight_map")
    if not isinstance(table, dict) or not table:
        raise ModelError(f"{INDEX} of {target!r} has no weight_map, which names the file of each tensor; copy the file again")
    names = sorted({str(name) for name in table.values()})
    if missing := [name for name in names if not (folder / name).is_file()]:
        raise ModelError(
            f"{target!r} lacks {len(missing):,} of the {len(names):,} files that {INDEX} names: {', '.join(missing[:3])}; copy the whole "
            "checkpoint"
        )


def read_json(path: Path, /) -> dict[str, Any] | None:
    """Read a JSON object; empty if the file has none, None if there is no file."""
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {} if path.is_file() else None
    return value if isinstance(value, dict) else {}


def describe_file(target: str, /) -> str:
    """Explain why a single file is not a checkpoint, with the fix."""
    if (Path(target).parent / "config.json").is_file():
        return f"{target!r} is a file; give its folder"
    for pattern, what, way_out in _OTHERS:
        if Path(target).match(pattern):
            return f"{target!r} is {what}; {way_out}"
    return f"{target!r} is a file; give the folder that save_pretrained wrote"


def _describe_other(folder: Path) -> str:
    """Describe a file of another format in the folder, or a subfolder with a checkpoint, with the fix; else empty."""
    for pattern, what, way_out in _OTHERS:
        if matches := sorted(folder.glob(pattern)):
            return f"{matches[0].name}: {what}; {way_out}"
    nested = sorted(path.parent.name for path in folder.glob("*/config.json"))
    return f"the folder {nested[0]!r}, which has one; give that" if nested else ""
