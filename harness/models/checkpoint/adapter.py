"""PEFT adapters: read their files, find their base model, and merge them into its weights."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ...api.errors import ModelError
from ..common.extras import require_extra
from .files import ADAPTER, INDEX, WEIGHTS, read_json

ADAPTER_WEIGHTS = "adapter_model.safetensors"
_HEADS = {"SEQ_CLS": "ForSequenceClassification", "CAUSAL_LM": "ForCausalLM", "FEATURE_EXTRACTION": "Model"}
"""The ending of an architecture, by the adapter's kind of task."""
_PREFIX = "base_model.model."
_UNMERGED = frozenset({"PROMPT_TUNING", "MULTITASK_PROMPT_TUNING", "P_TUNING", "PREFIX_TUNING", "ADAPTION_PROMPT", "CPT"})
"""Adapters that are no change of weights."""


@dataclass(frozen=True, slots=True)
class Adapter:
    """An adapter and its base model.

    folder: the adapter's. base: a folder or a hub name. kind: the method, such as ``LORA``.
    ending: the ending of the architecture that it was trained with; empty if its files do not state it.
    """

    folder: Path
    base: str
    kind: str
    ending: str

    def check_files(self) -> None:
        """Raise `ModelError` if the adapter cannot be merged, or its weights or peft are missing."""
        require_extra("peft", str(self.folder), "peft")
        if self.kind in _UNMERGED:
            raise ModelError(
                f"{str(self.folder)!r} is an adapter of the kind {self.kind}, which adds inputs and changes no weights; this is "
                "not supported. Wrap it in a Python function: callable:FILE.py:function"
            )
        if not (self.folder / ADAPTER_WEIGHTS).is_file():
            raise ModelError(
                f"the adapter {str(self.folder)!r} has no {ADAPTER_WEIGHTS}; pickled weights are never read. Convert them once, "
                "without running code: windtunnel convert FOLDER NEW_FOLDER"
            )
        if not self.base:
            raise ModelError(
                f"the adapter {str(self.folder)!r} does not name its base model; name it with the model setting base: FOLDER or hub name"
            )

    def settle(self, config: Any, /) -> None:
        """Set the architecture that the adapter was trained with, and the number of classes of the head that it stores."""
        if self.ending and not any(str(name).endswith(self.ending) for name in config.architectures or ()):
            config.architectures = [f"Peft{self.ending}"]
            heads = [shape for name, shape in self.read_saved().items() if name.endswith("weight") and len(shape) == 2]
            if self.ending == _HEADS["SEQ_CLS"] and heads:
                config.num_labels = heads[-1][0]

    def read_saved(self) -> Mapping[str, Sequence[int]]:
        """Return the shapes of the weights that the adapter stores whole, such as a head, by their names in the base model."""
        from safetensors import safe_open

        with safe_open(self.folder / ADAPTER_WEIGHTS, "pt") as file:
            names = {name.removeprefix(_PREFIX): name for name in file.keys()}  # noqa: SIM118 - no mapping
            whole = {own: name for own, name in names.items() if "lora_" not in own and "ia3_" not in own and "hada_" not in own}
            return {own: file.get_slice(name).get_shape() for own, name in whole.items()}


def read_adapter(target: str, base: str | None, /) -> Adapter | None:
    """Return the adapter in a folder; None if the folder has none, or has a whole model beside it.

    base: base model that replaces the one in the adapter's files.
    """
    folder = Path(target)
    settings = read_json(folder / ADAPTER)
    if settings is None or (folder / WEIGHTS).is_file() or (folder / INDEX).is_file():
        return None
    known = str(settings.get("base_model_name_or_path") or "")
    ending = _HEADS.get(str(settings.get("task_type")), "")
    return Adapter(folder, base or known, str(settings.get("peft_type") or "PEFT"), ending)


def merge_adapter(module: Any, adapter: Adapter, /) -> Any:
    """Merge an adapter into the weights of its base model, and return the base model. Raises `ModelError` if they do not fit."""
    from peft import PeftModel

    try:
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            adapted = PeftModel.from_pretrained(module, str(adapter.folder), torch_device="cpu")
            merged = adapted.merge_and_unload(safe_merge=True)
    except Exception as error:  # the library may raise anything for a broken adapter
        first = (str(error).strip().splitlines() or [""])[0]
        raise ModelError(f"the adapter {str(adapter.folder)!r} does not fit its base model {adapter.base!r}: {first}") from error
    if missing := next((str(one.message) for one in caught if "missing adapter keys" in str(one.message)), ""):
        raise ModelError(f"the adapter {str(adapter.folder)!r} does not fit its base model {adapter.base!r}: {missing[:200]}")
    return merged
