"""Rotary position embeddings that change with the length of a pass: what may share a pass then, and a module that remembers no length.

``dynamic`` ones (NTK) are made anew for each length beyond the trained one, ``longrope`` has two sets, for passes up to the trained length
and for longer ones. A batch, or a pack, is one pass: a long text in it would change what its short neighbours are answered.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Mapping
from typing import Any

FIXED = frozenset({"", "default", "linear", "yarn", "llama3", "proportional", "mrope", "axial"})
"""Kinds by which a position is what it is in a pass of any length. One that is not named here is taken to change, as ``dynamic`` does."""


class TurningPositions:
    """``limit``: tokens of a pass up to which all positions are as they are alone; None where that is so at any length."""

    def __init__(self, module: Any) -> None:
        text = module.config.get_text_config()
        settings = list(rope_settings(text))
        turning = [given for given in settings if kind_of(given) not in FIXED]
        self._is_dynamic = any(kind_of(given) != "longrope" for given in turning)
        # Implementations differ in which of these they go by; between two of them a pass may have turned or not.
        sources = [*turning, {name: getattr(text, name, None) for name in _LENGTHS}]
        self._limits = sorted({given[name] for given in sources for name in _LENGTHS if given.get(name)}) if turning else []
        self.limit: int | None = self._limits[0] if self._limits else None
        if self._is_dynamic:
            # Of a pass beyond the limit, transformers keeps the embeddings for the shorter ones that follow.
            for part in module.modules():
                if hasattr(part, "max_seq_len_cached") and any(name.endswith(_ORIGINAL) for name in vars(part) | part._buffers):
                    part.register_forward_pre_hook(_forget)

    def alike(self, length: int, /) -> Hashable:
        """What passes of so many tokens must share to be one."""
        if self.limit is None or length <= self.limit:
            return None
        return length if self._is_dynamic else sum(length > limit for limit in self._limits)


_LENGTHS = ("original_max_position_embeddings", "max_position_embeddings")
_ORIGINAL = "original_inv_freq"


def rope_settings(config: Any, /) -> Iterator[Mapping[str, Any]]:
    """Each set of rotary settings of a configuration, as transformers 4 (``rope_scaling``) and 5 (``rope_parameters``) keep them; a model
    whose layers differ has a set for each type of layer."""
    for name in ("rope_parameters", "rope_scaling"):
        given = getattr(config, name, None)
        if isinstance(given, Mapping):
            nested = [value for value in given.values() if isinstance(value, Mapping)]
            yield from nested or [given]


def kind_of(settings: Mapping[str, Any], /) -> str:
    """``rope_type``, which older checkpoints call ``type``; the first name of longrope was ``su``."""
    kind = str(settings.get("rope_type") or settings.get("type") or "")
    return "longrope" if kind == "su" else kind


def _forget(rotary: Any, args: Any) -> None:
    for name in [n for n in (*vars(rotary), *rotary._buffers) if n.endswith(_ORIGINAL)]:
        layers = name.removesuffix(_ORIGINAL)
        setattr(rotary, f"{layers}max_seq_len_cached", rotary.original_max_seq_len)
        now = getattr(rotary, f"{layers}inv_freq")
        rotary.register_buffer(f"{layers}inv_freq", getattr(rotary, name).to(now.device), persistent=False)
