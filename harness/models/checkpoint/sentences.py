"""Read the settings of sentence-transformers: pooling, normalisation, case, length, and the prompt before every text."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from ...api.errors import ModelError

_MODULES = frozenset({"Transformer", "Pooling", "Normalize"})
_POOLING = frozenset({"pooling_mode_cls_token", "pooling_mode_mean_tokens", "include_prompt"})
_KINDS = ("bert", "roberta", "distilbert", "camembert", "albert", "xlm-roberta", "xlnet")
_OF_TRANSFORMER = tuple(f"sentence_{kind}_config.json" for kind in _KINDS)
"""Files in which versions of the library store length and case."""


@dataclass(frozen=True, slots=True)
class SentenceSettings:
    """Settings of a sentence encoder.

    first: use the vector of the first token instead of the mean over all tokens.
    normalises: vectors have length 1. lowers: texts are lower-cased.
    prompt: text before every input. max_length: in tokens; None if not set.
    """

    first: bool = False
    normalises: bool = False
    lowers: bool = False
    prompt: str = ""
    max_length: int | None = None
    notes: tuple[str, ...] = ()


def read_sentence_settings(read: Callable[[str], Any], target: str, /) -> SentenceSettings:
    """Read the settings of a checkpoint.

    read: returns the JSON of a file of the checkpoint, None if there is no such file.

    Raises `ModelError` for settings that are not supported, because they would change the vectors.
    """
    modules = read("modules.json") or []
    kinds = [str(part.get("type", "")).rpartition(".")[2] for part in modules]
    if strange := [kind for kind in kinds if kind not in _MODULES]:
        raise ModelError(
            f"{target!r} has the sentence-transformers module {strange[0]}, which this adapter does not support and which changes the "
            "vectors. Give a checkpoint without it, or a Python function: callable:FILE.py:function with answers: embed"
        )
    folder = next((str(part.get("path")) for part, kind in zip(modules, kinds, strict=True) if kind == "Pooling"), "1_Pooling")
    pooling = read(f"{folder}/config.json") or {}
    first = _reads_first(pooling, target)
    own: Mapping[str, Any] = next((found for name in _OF_TRANSFORMER if (found := read(name))), {})
    prompt = _find_prompt(read("config_sentence_transformers.json") or {}, target)
    if prompt and pooling.get("include_prompt") is False:
        raise ModelError(
            f"{target!r} excludes its prompt from the mean (include_prompt: false), which this adapter does not support; give a Python "
            "function: callable:FILE.py:function with answers: embed"
        )
    notes = [f"every text has the checkpoint's own prompt before it: {prompt!r}"] if prompt else []
    if not pooling and not modules:
        notes.append("its files set no pooling, so a text's vector is the mean over its tokens")
    return SentenceSettings(
        first, "Normalize" in kinds, bool(own.get("do_lower_case")), prompt, own.get("max_seq_length"), tuple(notes)
    )  # fmt: skip


def _reads_first(pooling: Mapping[str, Any], target: str) -> bool:
    mode = pooling.get("pooling_mode", "mean" if pooling.get("pooling_mode_mean_tokens") else None)
    first = bool(pooling.get("pooling_mode_cls_token")) or mode == "cls"
    odd = [name for name, on in pooling.items() if on is True and name not in _POOLING]
    if mode not in (None, "mean", "cls"):
        odd.append(str(mode))
    if odd or (first and pooling.get("pooling_mode_mean_tokens")):
        both = ", ".join(odd) or "the mean and the first token, one after the other"
        raise ModelError(f"{target!r} pools by {both}; this adapter supports the mean or the first token")
    return first


def _find_prompt(own: Mapping[str, Any], target: str) -> str:
    """Return the default prompt that sentence-transformers puts before a text."""
    prompts, default = own.get("prompts") or {}, own.get("default_prompt_name")
    if default is None:
        return ""
    if default not in prompts:
        raise ModelError(f"{target!r} has no prompt {default!r}, its default_prompt_name; correct its files")
    return str(prompts[default])
