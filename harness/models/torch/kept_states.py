"""Recurrent states that a module keeps from one pass to the next: a pass without a cache begins from none.

RecurrentGemma's layers hold theirs as attributes, of whatever batch was read last: a batch of another size fails then.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

_STATE = "recurrent_states"


def begin_each_pass_anew(module: Any, /) -> None:
    """Have the states of ``module`` (a language model of transformers) forgotten before each pass that keeps no cache."""
    if any(hasattr(part, _STATE) for part in module.modules()):
        module.base_model.register_forward_pre_hook(_forget, with_kwargs=True)


def _forget(body: Any, args: Any, options: Mapping[str, Any]) -> None:
    if options.get("use_cache") is False:
        for part in body.modules():
            if hasattr(part, _STATE):
                setattr(part, _STATE, None)
