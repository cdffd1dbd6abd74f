"""Load a module with its weights, and check them: names, missing and unused tensors, adapters."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from ..checkpoint.adapter import merge_adapter
from ..checkpoint.weights import check_loaded, load_state, prepare_state, read_names

if TYPE_CHECKING:
    import torch

    from .source import HuggingFace


def load_module(
    source: HuggingFace, auto: Any, device: torch.device, dtype: torch.dtype, optional: Sequence[str] = ()
) -> tuple[Any, tuple[str, ...]]:
    """Load the module with its weights, in evaluation mode on the device, and notes for the scorecard.

    auto: class of transformers that builds the module. optional: prefixes of weights that may be missing.

    Raises `ModelError` if the checkpoint lacks other weights.
    """
    from ..torch.packed_linear import pack_linears

    config, adapter, target = source.config(), source.adapter, source.target
    # Before transformers 5, the default attention leaves out the cap of Gemma 2's scores.
    is_capped = getattr(config.get_text_config(), "attn_logit_softcapping", None)
    attention = source.attention or ("eager" if is_capped else "")
    options: dict[str, Any] = {"attn_implementation": attention} if attention else {}
    folder = source.place.folder()
    blank = _build_blank(auto, config, source.trust_remote_code)
    state, notes = None, tuple[str, ...]()
    if folder is not None and blank is not None:
        state, notes = prepare_state(read_names(folder, target), blank, target)
    options |= {"config": config, "use_safetensors": True, "dtype": dtype, "output_loading_info": True}
    with _hide_bars():
        if state is None or folder is None:
            module, loading = source.place.pretrained(auto, **options)
        else:
            module, loading = load_state(type(blank), state, folder, target, **options)
    saved = tuple(adapter.read_saved()) if adapter is not None else ()
    notes += check_loaded(module, loading["missing_keys"], loading["unexpected_keys"], target, (*optional, *saved))
    if adapter is not None:
        module = merge_adapter(module, adapter)
        notes += (f"its {adapter.kind} adapter is merged into the weights of {target}",)
    module.eval().to(device)
    pack_linears(module)
    return module, notes


def _build_blank(auto: Any, config: Any, trust_remote_code: bool) -> Any:
    """Build the module without weights, for the names of its tensors; None if impossible, or for quantised weights."""
    import torch

    if getattr(config, "quantization_config", None):
        return None
    try:
        with torch.device("meta"):
            return auto.from_config(config, trust_remote_code=trust_remote_code)
    except Exception:  # noqa: BLE001 - custom code may not support meta tensors; loading raises real errors
        return None


@contextmanager
def _hide_bars() -> Iterator[None]:
    """Disable transformers' progress bars while weights load, because the run shows its own."""
    from transformers.utils import logging

    shown = logging.is_progress_bar_enabled()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        if shown:
            logging.enable_progress_bar()
