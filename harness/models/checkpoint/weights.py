"""The tensors of a checkpoint: under which names they are stored, which are missing, left over, or say two things.

Only the heads of the files are read here, but for the few tensors that are compared.
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
"""What torch.compile and data parallel training put before every name."""


@dataclass(frozen=True, slots=True)
class Stored:
    """The tensors of a folder. ``files``: by the name under which each is stored. ``names``: the same without wrappers' prefixes, by
    which a module knows them, to the stored ones. ``notes``: what was changed."""

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
    """Raises `ModelError` where two tensors have one name without their prefixes."""
    from safetensors import safe_open

    index = read_json(folder / INDEX) if not (folder / WEIGHTS).is_file() else None
    paths = [folder / name for name in sorted(set(index.get("weight_map", {}).values()))] if index else [folder / WEIGHTS]
    files: dict[str, Path] = {}
    for path in paths:
        try:
            with safe_open(path, "pt") as file:
                files.update((name, path) for name in file.keys())  # noqa: SIM118 - no mapping
        except Exception as error:  # whatever its library makes of a broken file
            raise ModelError(f"{path.name} of {target!r} cannot be read: {error}; copy the checkpoint anew") from error
    wrapped = [name for name in files if _WRAPPERS.match(name)]
    names = {_WRAPPERS.sub("", name): name for name in files}
    if len(names) < len(files):
        raise ModelError(f"{target!r} stores {wrapped[0]!r} with and without its prefix: which one holds? Save the model without wrappers")
    return Stored(files, names, (f"before the names of its tensors stands {_prefix(wrapped[0])}, which is left out",) if wrapped else ())


def _prefix(name: str) -> str:
    found = _WRAPPERS.match(name)
    return found.group() if found else ""


def state_to_load(stored: Stored, blank: Any, target: str, /) -> tuple[dict[str, Any] | None, tuple[str, ...]]:
    """What has to be loaded in the place of the files as they are, and what is to be said of it; None where they will do.

    blank: the module without weights. Raises `ModelError` where weights that are to be the same are stored as two that differ.
    """
    notes = list(stored.notes)
    given, made = _tied_pair(blank)
    copies: dict[str, str] = {}
    if given and made:
        kept_in, kept_out = (_find(stored.names, name, blank.base_model_prefix) for name in (given, made))
        if kept_out and not kept_in:
            copies[given] = kept_out
            notes.append(f"its embeddings are stored as {kept_out} alone; they are the same weights")
        elif kept_in and kept_out and not _are_same(stored.tensor(kept_in), stored.tensor(kept_out)):
            raise ModelError(
                f"the config of {target!r} says that {kept_in} and {kept_out} are the same weights (tie_word_embeddings), but two are "
                "stored that "
                "differ; write 'tie_word_embeddings': false into its config.json where both were trained, or leave the wrong one out"
            )
    if not stored.needs_renaming and not copies:
        return None, tuple(notes)
    state = {name: stored.tensor(name) for name in stored.names}
    return {**state, **{name: state[kept] for name, kept in copies.items()}}, tuple(notes)


def load_state(kind: Any, state: dict[str, Any], folder: Path, target: str, /, **options: Any) -> Any:
    """What ``kind.from_pretrained`` gives, from these tensors in the place of the folder's files. Raises `ModelError`."""
    from transformers import GenerationConfig

    try:
        module, loading = kind.from_pretrained(None, state_dict=state, **options)
        if (folder / "generation_config.json").is_file():
            module.generation_config = GenerationConfig.from_pretrained(folder)
    except Exception as error:  # whatever a broken checkpoint makes its libraries raise
        raise ModelError(f"model {target!r} cannot be loaded: {error}") from error
    return module, loading


def check_loaded(
    module: Any, missing: Iterable[str], unexpected: Iterable[str], target: str, /, optional: Sequence[str] = ()
) -> tuple[str, ...]:
    """What is to be said of tensors that were left over. Raises `ModelError` for those that the module lacks, and for left-over ones that
    it should have had.

    optional: beginnings of names that need not be there, since nothing reads them.
    """
    meta = [name for name, weight in module.named_parameters() if weight.is_meta]
    lacking = sorted({name for name in (*missing, *meta) if not name.startswith(tuple(optional))})
    left = sorted(unexpected)
    if lacking:
        raise ModelError(
            f"the checkpoint {target!r} lacks trained weights for {_few(lacking)}: it was not trained for {type(module).__name__}. Give a "
            "checkpoint with that head, or fine-tune this one first."
            + (f" It stores {_few(left)}, which that has no place for." if left else "")
        )
    if any("lora_" in name or ".base_layer." in name for name in left):
        raise ModelError(f"{target!r} stores an adapter beside the weights ({_few(left)}): merge it with merge_and_unload() and save that")
    own = {_digits(name) for name, _ in module.named_parameters()}
    if more := [name for name in left if _digits(name) in own]:
        raise ModelError(
            f"{target!r} stores layers beyond those that its config has ({_few(more)}): the model would be another. Correct the number of "
            "layers in its config.json"
        )
    return (f"it stores tensors that {type(module).__name__} has no use for: {_few(left)}",) if left else ()


def _tied_pair(blank: Any) -> tuple[str, str]:
    """The names of the input and the output embeddings that are one and the same weights; empty where they are not."""
    try:
        given, made = blank.get_input_embeddings(), blank.get_output_embeddings()
    except NotImplementedError:  # a network of convolutions has none
        return "", ""
    if given is None or made is None or getattr(given, "weight", 0) is not getattr(made, "weight", 1):
        return "", ""
    names = {module: name for name, module in blank.named_modules()}
    return f"{names[given]}.weight", f"{names[made]}.weight"


def _find(names: Iterable[str], wanted: str, prefix: str) -> str:
    """The stored name of a module's weights: a base model's has the prefix or not."""
    bare = wanted.removeprefix(f"{prefix}.")
    return next((name for name in (wanted, bare, f"{prefix}.{wanted}") if name in names), "")


def _are_same(one: Any, other: Any) -> bool:
    return bool(one.shape == other.shape and (one == other).all())


def _digits(name: str) -> str:
    return re.sub(r"\.\d+\.", ".N.", name)


def _few(names: Sequence[str]) -> str:
    return ", ".join(names[:4]) + (f" and {len(names) - 4} more" if names[4:] else "")
