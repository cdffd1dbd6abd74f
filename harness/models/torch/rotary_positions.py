"""Rotary position embeddings that depend on the length of a pass: which texts may share one, and a reset between passes.

``dynamic`` (NTK) embeddings are recomputed for each length beyond the trained one. ``longrope`` has two sets, for passes
up to the trained length and for longer ones. A batch or pack is one pass, so a long text would change the responses of
short texts in it.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Mapping
from typing import Any

FIXED = frozenset({"", "default", "linear", "yarn", "llama3", "proportional", "mrope", "axial"})
"""Kinds of embeddings that do not depend on the length of the pass. All others are treated like ``dynamic``."""


class TurningPositions:
    """Length-dependent rotary embeddings of a module.

    limit: number of tokens up to which embeddings do not depend on the length of the pass; None for any length.
    """

    def __init__(self, module: Any) -> None:
        text = module.config.get_text_config()
        settings = list(list_rope_settings(text))
        turning = [given for given in settings if get_rope_type(given) not in FIXED]
        self._is_dynamic = any(get_rope_type(given) != "longrope" for given in turning)
        # Implementations differ in which of these lengths they use, so all are treated as limits.
        sources = [*turning, {name: getattr(text, name, None) for name in _LENGTHS}]
        self._limits = sorted({given[name] for given in sources for name in _LENGTHS if given.get(name)}) if turning else []
        self.limit: int | None = self._limits[0] if self._limits else None
        if self._is_dynamic:
            # After a pass beyond the limit, transformers would reuse its embeddings for shorter passes.
            for part in module.modules():
                if hasattr(part, "max_seq_len_cached") and any(name.endswith(_ORIGINAL) for name in vars(part) | part._buffers):
                    part.register_forward_pre_hook(_forget)

    def alike(self, length: int, /) -> Hashable:
        """Return a key that texts of this length in tokens must share to be in one pass."""
        if self.limit is None or length <= self.limit:
            return None
        return length if self._is_dynamic else sum(length > limit for limit in self._limits)


_LENGTHS = ("original_max_position_embeddings", "max_position_embeddings")
_ORIGINAL = "original_inv_freq"


def list_rope_settings(config: Any, /) -> Iterator[Mapping[str, Any]]:
    """Yield each set of rotary settings of a configuration of transformers 4 (``rope_scaling``) or 5 (``rope_parameters``).

    A model with different types of layers has one set per type.
    """
    for name in ("rope_parameters", "rope_scaling"):
        settings = getattr(config, name, None)
        if isinstance(settings, Mapping):
            nested = [value for value in settings.values() if isinstance(value, Mapping)]
            yield from nested or [settings]


def get_rope_type(settings: Mapping[str, Any], /) -> str:
    """Return the ``rope_type``, called ``type`` in older checkpoints; ``su`` is the former name of longrope."""
    kind = str(settings.get("rope_type") or settings.get("type") or "")
    return "longrope" if kind == "su" else kind


def _forget(rotary: Any, args: Any) -> None:
    for name in [n for n in (*vars(rotary), *rotary._buffers) if n.endswith(_ORIGINAL)]:
        layers = name.removesuffix(_ORIGINAL)
        setattr(rotary, f"{layers}max_seq_len_cached", rotary.original_max_seq_len)
        now = getattr(rotary, f"{layers}inv_freq")
        rotary.register_buffer(f"{layers}inv_freq", getattr(rotary, name).to(now.device), persistent=False)
