"""Tiny checkpoints, exported to ONNX."""

from __future__ import annotations

import functools
import shutil
import tempfile
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
import transformers
from windtunnel.tests import tiny


class Tuples(torch.nn.Module):
    """A model of transformers with inputs in a fixed order, and one output."""

    def __init__(self, module: Any, inputs: Sequence[str], output: str) -> None:
        super().__init__()
        self.module, self.inputs, self.output = module, inputs, output

    def forward(self, *arguments: torch.Tensor) -> torch.Tensor:
        result: torch.Tensor = getattr(self.module(**dict(zip(self.inputs, arguments, strict=True))), self.output)
        return result


def export(
    module: Any, path: Path, examples: dict[str, torch.Tensor], output: str = "logits", *, names: dict[str, str] | None = None,
    fixed: bool = False, dynamo: bool = False,
) -> Path:  # fmt: skip
    """Write a graph. names: other names of inputs. fixed: it takes only the shapes of the examples. dynamo: with torch's newer exporter."""
    inputs = [(names or {}).get(name, name) for name in examples]
    wrapped = Tuples(module, list(examples), output).eval()
    axes = {0: "batch", 1: "tokens"} if next(iter(examples.values())).ndim == 2 else {0: "batch"}
    options: dict[str, Any] = {"dynamic_axes": {} if fixed else dict.fromkeys(inputs, axes) | {output: {0: "batch"}}}
    if dynamo:
        options = {"dynamic_shapes": (tuple(dict.fromkeys(axes, torch.export.Dim.DYNAMIC) for _ in inputs),), "external_data": True}
    with warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore")
        torch.onnx.export(
            wrapped, tuple(examples.values()), str(path), input_names=inputs, output_names=[output], dynamo=dynamo, verbose=False,
            **options,
        )  # fmt: skip
    return path


@functools.cache
def plain(name: str) -> Any:
    """The tiny checkpoint of that name as transformers loads it. No exporter reads the adapter's own, whose weights are packed."""
    config = transformers.AutoConfig.from_pretrained(tiny.checkpoint(name))
    return getattr(transformers, config.architectures[0]).from_pretrained(tiny.checkpoint(name)).eval()


@functools.cache
def folder(name: str, **options: Any) -> Path:
    """The tiny checkpoint of that name as a folder with a graph and without its weights."""
    place = Path(tempfile.mkdtemp(prefix="windtunnel-onnx-"))
    shutil.copytree(tiny.checkpoint(name), place, dirs_exist_ok=True, ignore=shutil.ignore_patterns("*.safetensors"))
    if name == "vit":
        examples = {"pixel_values": torch.rand(2, 3, 32, 32)}
    else:
        encoded = tiny.shared(name).tokenizer(["the cat sat", "a good dog"], padding=True, return_tensors="pt")
        examples = {key: encoded[key] for key in ("input_ids", "attention_mask", "token_type_ids") if key in encoded}
    export(plain(name), place / "model.onnx", examples, **options)
    return place
