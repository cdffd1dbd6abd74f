"""Reset recurrent states that a module keeps between passes.

RecurrentGemma's layers store the states of the last batch as attributes, so a batch of another size would fail.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

_STATE = "recurrent_states"


def reset_states_before_passes(module: Any, /) -> None:
    """Reset the states of a transformers language model before each pass without a cache."""
    if any(hasattr(part, _STATE) for part in module.modules()):
        module.base_model.register_forward_pre_hook(_forget, with_kwargs=True)


def _forget(body: Any, args: Any, options: Mapping[str, Any]) -> None:
    if options.get("use_cache") is False:
        for part in body.modules():
            if hasattr(part, _STATE):
                setattr(part, _STATE, None)
