"""Check the tensors of a checkpoint: their names, and missing, unused or contradictory ones.

Only the headers of the files are read, and the few tensors that are compared.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ...api.errors import ModelError
from .files import INDEX, WEIGHTS, read_json

_WRAPPERS = re.compile(r"^(?:_orig_mod\.|module\.)+")
"""Prefixes that torch.compile and data parallel training add to every name."""


@dataclass(frozen=True, slots=True)
class Stored:
    """The tensors of a folder.

    files: file by stored name. names: stored name by the name in the module, without prefixes of wrappers.
    notes: notes for the reader of a scorecard.
    """

    files: dict[str, Path]
    names: dict[str, str]
    notes: tuple[str, ...] = field(default=())

    @property
    def needs_renaming(self) -> bool:
        return any(name != stored for name, stored in self.names.items())

    def tensor(self, name: str, /) -> Any:
        from safetensors import safe_open

        stored = self.names[name]
        with safe_open(self.files[stored], "pt") as file:
            return file.get_tensor(stored)


def read_names(folder: Path, target: str, /) -> Stored:
    """Read the names of all tensors. Raises `ModelError` if two have the same name without prefixes, or a file is broken."""
    from safetensors import safe_open

    index = read_json(folder / INDEX) if not (folder / WEIGHTS).is_file() else None
    paths = [folder / name for name in sorted(set(index.get("weight_map", {}).values()))] if index else [folder / WEIGHTS]
    files: dict[str, Path] = {}
    for path in paths:
        try:
            with safe_open(path, "pt") as file:
                files.update((name, path) for name in file.keys())  # noqa: SIM118 - no mapping
        except Exception as error:  # the library may raise anything for a broken file
            raise ModelError(f"{path.name} of {target!r} cannot be read: {error}; copy the checkpoint again") from error
    wrapped = [name for name in files if _WRAPPERS.match(name)]
    names = {_WRAPPERS.sub("", name): name for name in files}
    if len(names) < len(files):
        raise ModelError(f"{target!r} stores {wrapped[0]!r} both with and without its prefix; save the model without wrappers")
    return Stored(files, names, (f"the prefix {_find_prefix(wrapped[0])} of its tensor names is ignored",) if wrapped else ())


def _find_prefix(name: str) -> str:
    match = _WRAPPERS.match(name)
    return match.group() if match else ""


def prepare_state(stored: Stored, blank: Any, target: str, /) -> tuple[dict[str, Any] | None, tuple[str, ...]]:
    """Return the state dict to load instead of the files, or None if the files can be loaded unchanged; and notes.

    blank: the module without weights. Raises `ModelError` if tied weights are stored as two different tensors.
    """
    notes = list(stored.notes)
    given, made = _find_tied_pair(blank)
    copies: dict[str, str] = {}
    if given and made:
        kept_in, kept_out = (_find(stored.names, name, blank.base_model_prefix) for name in (given, made))
        if kept_out and not kept_in:
            copies[given] = kept_out
            notes.append(f"its embeddings are stored only as {kept_out}, with which they are tied")
        elif kept_in and kept_out and not _are_same(stored.tensor(kept_in), stored.tensor(kept_out)):
            raise ModelError(
                f"the config of {target!r} ties {kept_in} and {kept_out} (tie_word_embeddings), but the stored tensors differ; set "
                "'tie_word_embeddings': false in its config.json if both were trained, or remove the wrong one"
            )
    if not stored.needs_renaming and not copies:
        return None, tuple(notes)
    state = {name: stored.tensor(name) for name in stored.names}
    return {**state, **{name: state[kept] for name, kept in copies.items()}}, tuple(notes)


def check_layers(names: Iterable[str], blank: Any, target: str, /) -> None:
    """Raise `ModelError` if the config has more or fewer layers than the files, before weights are read.

    names: of the stored tensors. blank: the module without weights.
    """
    unread = [re.compile(pattern) for pattern in blank._keys_to_ignore_on_load_unexpected or ()]
    prefix = f"{blank.base_model_prefix}."
    stored = _count_layers(name.removeprefix(prefix) for name in names if not any(one.search(name) for one in unread))
    expected = _count_layers(name.removeprefix(prefix) for name, _ in blank.named_parameters())
    for stack in sorted(stored.keys() & expected.keys()):
        if stored[stack] != expected[stack]:
            raise ModelError(
                f"the config of {target!r} has {expected[stack]} layers ({stack}N), but its files store {stored[stack]}; correct "
                "the number of layers in its config.json, or copy the whole checkpoint"
            )


def _count_layers(names: Iterable[str]) -> dict[str, int]:
    """Return the number of layers by the name before their number: ``encoder.layer.``."""
    numbers: dict[str, set[int]] = {}
    for name in names:
        if match := re.match(r"([^0-9]*\.)(\d+)\.", name):
            numbers.setdefault(match.group(1), set()).add(int(match.group(2)))
    return {stack: len(found) for stack, found in numbers.items()}


def load_state(kind: Any, state: dict[str, Any], folder: Path, target: str, /, **options: Any) -> Any:
    """Load a module with ``kind.from_pretrained`` from a state dict instead of the folder's files. Raises `ModelError`."""
    from transformers import GenerationConfig

    try:
        module, loading = kind.from_pretrained(None, state_dict=state, **options)
        if (folder / "generation_config.json").is_file():
            module.generation_config = GenerationConfig.from_pretrained(folder)
    except Exception as error:  # the libraries may raise anything for a broken checkpoint
        raise ModelError(f"model {target!r} cannot be loaded: {error}") from error
    return module, loading


def check_loaded(
    module: Any, missing: Iterable[str], unexpected: Iterable[str], target: str, /, optional: Sequence[str] = ()
) -> tuple[str, ...]:
    """Return notes about unused tensors. Raises `ModelError` for missing tensors, and for unused ones that matter.

    optional: prefixes of names that may be missing, because nothing reads them.
    """
    meta = [name for name, weight in module.named_parameters() if weight.is_meta]
    lacking = sorted({name for name in (*missing, *meta) if not name.startswith(tuple(optional))})
    left = sorted(unexpected)
    if lacking:
        raise ModelError(
            f"the checkpoint {target!r} lacks trained weights for {_list_few(lacking)}: it was not trained for "
            f"{type(module).__name__}. Give a "
            "checkpoint with that head, or fine-tune this one first." + (f" It has {_list_few(left)}, which are not used." if left else "")
        )
    if any("lora_" in name or ".base_layer." in name for name in left):
        raise ModelError(
            f"{target!r} stores an adapter besides the weights ({_list_few(left)}); merge it with merge_and_unload() and save that"
        )
    own = {_remove_digits(name) for name, _ in module.named_parameters()}
    if more := [name for name in left if _remove_digits(name) in own]:
        raise ModelError(
            f"{target!r} stores more layers than its config has ({_list_few(more)}); correct the number of layers in its config.json"
        )
    return (f"it stores tensors that {type(module).__name__} does not use: {_list_few(left)}",) if left else ()


def _find_tied_pair(blank: Any) -> tuple[str, str]:
    """Return the names of the tied input and output embeddings; empty if they are not tied."""
    try:
        given, made = blank.get_input_embeddings(), blank.get_output_embeddings()
    except NotImplementedError:  # a network of convolutions has none
        return "", ""
    if given is None or made is None or getattr(given, "weight", 0) is not getattr(made, "weight", 1):
        return "", ""
    names = {module: name for name, module in blank.named_modules()}
    return f"{names[given]}.weight", f"{names[made]}.weight"


def _find(names: Iterable[str], wanted: str, prefix: str) -> str:
    """Return the stored name of a weight, with or without the prefix of the base model; empty if it is not stored."""
    bare = wanted.removeprefix(f"{prefix}.")
    return next((name for name in (wanted, bare, f"{prefix}.{wanted}") if name in names), "")


def _are_same(one: Any, other: Any) -> bool:
    return bool(one.shape == other.shape and (one == other).all())


def _remove_digits(name: str) -> str:
    return re.sub(r"\.\d+\.", ".N.", name)


def _list_few(names: Sequence[str]) -> str:
    return ", ".join(names[:4]) + (f" and {len(names) - 4:,} more" if names[4:] else "")
