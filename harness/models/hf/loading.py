"""Load a module with its weights, and check them: names, missing and unused tensors, adapters."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from ..checkpoint.adapter import merge_adapter
from ..checkpoint.quantisation import build_quantisation, check_groups, silence_casts
from ..checkpoint.weights import check_layers, check_loaded, load_state, prepare_state, read_names

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

    config, adapter, place, target = source.config(), source.adapter, source.place, source.target
    options: dict[str, Any] = {"config": config, "dtype": dtype, "output_loading_info": True, **_choose_placement(source, device)}
    # Before transformers 5, the default attention leaves out the cap of Gemma 2's scores.
    is_capped = getattr(config.get_text_config(), "attn_logit_softcapping", None)
    if attention := source.attention or ("eager" if is_capped else ""):
        options["attn_implementation"] = attention
    folder = place.folder() if place.gguf is None else None
    blank = _build_blank(auto, config, source.trust_remote_code) if folder is not None else None
    if blank is not None and source.quantization is not None:
        check_groups(source.quantization, blank, target)
    state, notes = None, tuple[str, ...]()
    if folder is not None and blank is not None and not source.method:
        stored = read_names(folder, target)
        check_layers(stored.names, blank, target)
        state, notes = prepare_state(stored, blank, target)
    with _hide_bars():
        if state is None or folder is None:
            module, loading = place.pretrained(auto, **options, **({} if place.gguf else {"use_safetensors": True}))
        else:
            module, loading = load_state(type(blank), state, folder, target, **options)
    saved = tuple(adapter.read_saved()) if adapter is not None else ()
    notes += check_loaded(module, loading["missing_keys"], loading["unexpected_keys"], target, (*optional, *saved))
    if adapter is not None:
        module = merge_adapter(module, adapter)
        notes += (f"its {adapter.kind} adapter is merged into the weights of {target}",)
    module.eval()
    if "device_map" not in options:
        module.to(device)
        pack_linears(module)
    return module, notes


def _choose_placement(source: HuggingFace, device: torch.device) -> dict[str, Any]:
    """Return the options for quantised weights and for several devices, which transformers places while it loads them."""
    options: dict[str, Any] = {}
    if source.quantization is not None:
        options["quantization_config"] = build_quantisation(source.quantization, source.target)
    if source.method:
        silence_casts()
    if source.device_map is not None or source.method:
        options["device_map"] = source.device_map if source.device_map is not None else {"": device}
    return options


def _build_blank(auto: Any, config: Any, trust_remote_code: bool) -> Any:
    """Build the module without weights, for the names of its tensors; None if impossible."""
    import torch

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
