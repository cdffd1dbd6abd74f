"""What sentence-transformers' files say of an encoder: pooling, normalisation, case, length, and the prompt before every text."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from ...api.errors import ModelError

_MODULES = frozenset({"Transformer", "Pooling", "Normalize"})
_POOLING = frozenset({"pooling_mode_cls_token", "pooling_mode_mean_tokens", "include_prompt"})
_KINDS = ("bert", "roberta", "distilbert", "camembert", "albert", "xlm-roberta", "xlnet")
_OF_TRANSFORMER = tuple(f"sentence_{kind}_config.json" for kind in _KINDS)
"""Where a version of the library keeps length and case."""


@dataclass(frozen=True, slots=True)
class SentenceSettings:
    """``first``: the first token's vector instead of the mean over all. ``prompt``: what stands before every text. ``max_length`` in
    tokens, None where the files name none."""

    first: bool = False
    normalises: bool = False
    lowers: bool = False
    prompt: str = ""
    max_length: int | None = None
    notes: tuple[str, ...] = ()


def read_sentence_settings(read: Callable[[str], Any], target: str, /) -> SentenceSettings:
    """read: a file's name in the checkpoint to its JSON, None where there is none. Raises `ModelError` for what would make other
    vectors."""
    modules = read("modules.json") or []
    kinds = [str(part.get("type", "")).rpartition(".")[2] for part in modules]
    if strange := [kind for kind in kinds if kind not in _MODULES]:
        raise ModelError(
            f"{target!r} has the sentence-transformers module {strange[0]}, which this adapter does not run: its vectors would be others. "
            "Give a checkpoint without it, or a Python function: callable:FILE.py:function with answers: embed"
        )
    folder = next((str(part.get("path")) for part, kind in zip(modules, kinds, strict=True) if kind == "Pooling"), "1_Pooling")
    pooling = read(f"{folder}/config.json") or {}
    first = _reads_first(pooling, target)
    own: Mapping[str, Any] = next((found for name in _OF_TRANSFORMER if (found := read(name))), {})
    prompt = _prompt(read("config_sentence_transformers.json") or {}, target)
    if prompt and pooling.get("include_prompt") is False:
        raise ModelError(
            f"{target!r} leaves its prompt out of the mean (include_prompt: false), which this adapter does not; give a Python function: "
            "callable:FILE.py:function with answers: embed"
        )
    notes = [f"every text has the checkpoint's own prompt before it: {prompt!r}"] if prompt else []
    if not pooling and not modules:
        notes.append("its files name no pooling: a text's vector is the mean over its tokens")
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
        raise ModelError(f"{target!r} pools by {both}; this adapter knows the mean or the first token")
    return first


def _prompt(own: Mapping[str, Any], target: str) -> str:
    """The prompt that sentence-transformers puts before a text where nobody names one."""
    prompts, default = own.get("prompts") or {}, own.get("default_prompt_name")
    if default is None:
        return ""
    if default not in prompts:
        raise ModelError(f"{target!r} names the prompt {default!r} (default_prompt_name) and has none of that name: correct its files")
    return str(prompts[default])
