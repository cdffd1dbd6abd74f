"""Which files a checkpoint's folder has: those that transformers reads, those of others, and those that are missing."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from ...api.errors import ModelError

WEIGHTS, INDEX, ADAPTER = "model.safetensors", "model.safetensors.index.json", "adapter_config.json"

_ANYTHING = "anything that runs in Python can be a model: callable:FILE.py:function"
_CONVERT = (
    "pickled weights are never read. Convert them once with "
    "AutoModel.from_pretrained(...).save_pretrained(..., safe_serialization=True) where you trust the file"
)
_OTHERS = (
    ("*.gguf", "GGUF, which this adapter does not read", f"give the checkpoint that it was converted from; {_ANYTHING}"),
    ("*.onnx", "ONNX, which this adapter does not read", f"give the checkpoint that it was exported from; {_ANYTHING}"),
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
"""File names of other formats, what they are, and the way out."""


def check_files(target: str, folder: Path, /) -> None:
    """Raises `ModelError` where a local folder is not the checkpoint of a whole model that transformers reads."""
    if (folder / ADAPTER).is_file():
        raise ModelError(_about_adapter(target, folder))
    config = read_json(folder / "config.json")
    if config is None:
        found = _other(folder)
        raise ModelError(
            f"the folder {target!r} has no config.json; " + (f"it has {found}" if found else "give the folder that save_pretrained wrote")
        )
    if "architecture" in config and "model_type" not in config:
        raise ModelError(
            f"{target!r} is a model of timm ({config['architecture']}): make it in Python, torch:FILE.py:function, where the function "
            "returns "
            "timm.create_model(...) with its normalisation before it"
        )
    if (folder / WEIGHTS).is_file():
        return
    index = read_json(folder / INDEX)
    if index is None:
        found = _other(folder)
        raise ModelError(f"the folder {target!r} has no .safetensors file that transformers reads" + (f": it has {found}" if found else ""))
    names = sorted(set(index.get("weight_map", {}).values()))
    if missing := [name for name in names if not (folder / name).is_file()]:
        raise ModelError(
            f"{target!r} lacks {len(missing)} of the {len(names)} files that {INDEX} names: {', '.join(missing[:3])}; copy the whole "
            "checkpoint"
        )


def read_json(path: Path, /) -> dict[str, Any] | None:
    """A JSON object, or None where there is no such file or it is none."""
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {} if path.is_file() else None
    return found if isinstance(found, dict) else {}


def about_file(target: str, /) -> str:
    """Why one file is no checkpoint."""
    if (Path(target).parent / "config.json").is_file():
        return f"{target!r} is a file; give the folder that it is in"
    for pattern, what, way_out in _OTHERS:
        if Path(target).match(pattern):
            return f"{target!r} is {what}; {way_out}"
    return f"{target!r} is a file; give the folder that save_pretrained wrote"


def _other(folder: Path) -> str:
    for pattern, what, way_out in _OTHERS:
        if found := sorted(folder.glob(pattern)):
            return f"{found[0].name}: {what}; {way_out}"
    nested = sorted(path.parent.name for path in folder.glob("*/config.json"))
    return f"the folder {nested[0]!r}, which has one; give that" if nested else ""


def _about_adapter(target: str, folder: Path) -> str:
    said = read_json(folder / ADAPTER) or {}
    base = target if (folder / WEIGHTS).is_file() or (folder / INDEX).is_file() else said.get("base_model_name_or_path") or "BASE"
    kind = said.get("peft_type") or "PEFT"
    return (
        f"{target!r} holds a {kind} adapter ({ADAPTER}), of the model {base!r}: without it the numbers would be that model's. Merge the "
        "two once "
        f"with PeftModel.from_pretrained(base, {target!r}).merge_and_unload().save_pretrained(NEW), save the tokenizer there too, and "
        "give NEW; "
        f"to evaluate the base alone, give a folder without {ADAPTER}"
    )
