"""Read the settings of sentence-transformers: pooling, layers behind it, case, length, and the prompt before every text."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ...api.errors import ModelError
from .files import WEIGHTS, read_json

POOLINGS = {
    "cls": "pooling_mode_cls_token",
    "max": "pooling_mode_max_tokens",
    "mean": "pooling_mode_mean_tokens",
    "mean_sqrt_len_tokens": "pooling_mode_mean_sqrt_len_tokens",
    "weightedmean": "pooling_mode_weightedmean_tokens",
    "lasttoken": "pooling_mode_lasttoken",
}
"""The poolings and their older names, in the order in which vectors are joined."""
ACTIVATIONS = ("Identity", "Tanh", "ReLU", "GELU", "Sigmoid", "SiLU", "LeakyReLU")
"""Activation functions of `torch.nn` that a dense layer may have."""
_KINDS = ("bert", "roberta", "distilbert", "camembert", "albert", "xlm-roberta", "xlnet")
_OF_TRANSFORMER = tuple(f"sentence_{kind}_config.json" for kind in _KINDS)
"""Files in which versions of the library store length and case."""
_INSTEAD = "Give a checkpoint without it, or a Python function: callable:FILE.py:function with answers: embed"


@dataclass(frozen=True, slots=True)
class Dense:
    """A linear layer behind the pooling. weights: its file. activation: the name of a class of `torch.nn`."""

    weights: Path
    activation: str
    adds_input: bool = False


@dataclass(frozen=True, slots=True)
class SentenceSettings:
    """Settings of a sentence encoder.

    poolings: names of `POOLINGS`; the vectors of several are joined.
    layers: what follows the pooling, in order: a `Dense` layer, or None to scale the vector to length 1.
    leaves_prompt_out: the tokens of the prompt are not pooled.
    lowers: texts are lower-cased.
    prompt: text before every input. max_length: in tokens; None if not set.
    """

    poolings: tuple[str, ...] = ("mean",)
    layers: tuple[Dense | None, ...] = ()
    leaves_prompt_out: bool = False
    lowers: bool = False
    prompt: str = ""
    max_length: int | None = None
    notes: tuple[str, ...] = ()


def read_sentence_settings(find: Callable[[str], Path | None], target: str, /) -> SentenceSettings:
    """Read the settings of a checkpoint.

    find: returns the path of a file of the checkpoint, None if there is no such file.

    Raises `ModelError` for settings that are not supported, because they would change the vectors.
    """
    modules = _read_modules(find, target)
    folder = next((path for kind, path in modules if kind == "Pooling"), "1_Pooling")
    pooling = _read(find, f"{folder}/config.json")
    layers = [_read_dense(find, path, target) if kind == "Dense" else None for kind, path in modules if kind in ("Dense", "Normalize")]
    own: Mapping[str, Any] = next((found for name in _OF_TRANSFORMER if (found := _read(find, name))), {})
    prompt = _find_prompt(_read(find, "config_sentence_transformers.json"), target)
    notes = [f"every text has the checkpoint's own prompt before it: {prompt!r}"] if prompt else []
    if not pooling and not modules:
        notes.append("its files set no pooling, so a text's vector is the mean over its tokens")
    return SentenceSettings(
        _read_poolings(pooling, target), tuple(layers), bool(prompt) and pooling.get("include_prompt") is False,
        bool(own.get("do_lower_case")), prompt, own.get("max_seq_length"), tuple(notes),
    )  # fmt: skip


def _read(find: Callable[[str], Path | None], name: str) -> dict[str, Any]:
    """Read a JSON object of the checkpoint; empty if there is no such file."""
    path = find(name)
    return (read_json(path) if path is not None else None) or {}


def _read_modules(find: Callable[[str], Path | None], target: str) -> Sequence[tuple[str, str]]:
    """Return the kind and the folder of each module. Raises `ModelError` for one that is not supported."""
    path = find("modules.json")
    parts = json.loads(path.read_text(encoding="utf-8")) if path is not None else []
    modules = [(str(part.get("type", "")).rpartition(".")[2], str(part.get("path", ""))) for part in parts]
    # Dropout does nothing in evaluation.
    if strange := [kind for kind, _ in modules if kind not in ("Transformer", "Pooling", "Dense", "Normalize", "Dropout")]:
        raise ModelError(
            f"{target!r} has the sentence-transformers module {strange[0]}, which this adapter does not support and which changes the "
            f"vectors. {_INSTEAD}"
        )
    return modules


def _read_poolings(pooling: Mapping[str, Any], target: str) -> tuple[str, ...]:
    mode = pooling.get("pooling_mode")
    modes = [mode] if isinstance(mode, str) else list(mode or [name for name, key in POOLINGS.items() if pooling.get(key)])
    known = {*POOLINGS, *POOLINGS.values()}
    odd = [name for name in modes if name not in known]
    odd += [name for name, on in pooling.items() if on is True and name.startswith("pooling_mode_") and name not in known]
    if odd:
        raise ModelError(f"{target!r} pools by {', '.join(odd)}; this adapter supports {', '.join(POOLINGS)}")
    return tuple(modes) or ("mean",)


def _read_dense(find: Callable[[str], Path | None], folder: str, target: str) -> Dense:
    settings, weights = _read(find, f"{folder}/config.json"), find(f"{folder}/{WEIGHTS}")
    if weights is None:
        raise ModelError(
            f"{target!r} lacks {folder}/{WEIGHTS}, the weights of its dense layer; copy it, or convert its .bin: windtunnel "
            "convert FOLDER NEW_FOLDER"
        )
    ends = ("module_input_name", "module_output_name")
    module, _, activation = str(settings.get("activation_function", "torch.nn.modules.activation.Tanh")).rpartition(".")
    if not module.startswith("torch.nn.") or activation not in ACTIVATIONS:
        raise ModelError(
            f"{target!r} has a dense layer with the activation {activation!r}; this adapter supports {', '.join(ACTIVATIONS)}. {_INSTEAD}"
        )
    if strange := [settings[name] for name in ends if settings.get(name) not in (None, "sentence_embedding")]:
        raise ModelError(f"{target!r} has a dense layer over {strange[0]!r}, not over the pooled vector. {_INSTEAD}")
    return Dense(weights, activation, bool(settings.get("use_residual")))


def _find_prompt(own: Mapping[str, Any], target: str) -> str:
    """Return the default prompt that sentence-transformers puts before a text."""
    prompts, default = own.get("prompts") or {}, own.get("default_prompt_name")
    if default is None:
        return ""
    if default not in prompts:
        raise ModelError(f"{target!r} has no prompt {default!r}, its default_prompt_name; correct its files")
    return str(prompts[default])
