"""What ``config.json`` and ``generation_config.json`` ask for beside the architecture: obeyed, set aside, or refused."""

from __future__ import annotations

from collections.abc import Mapping
from importlib.util import find_spec
from typing import Any

from ...errors import ModelError
from ..labels import are_numbered

_QUANTISERS = {
    "bitsandbytes": "bitsandbytes", "gptq": "optimum", "awq": "awq", "aqlm": "aqlm", "quanto": "optimum.quanto", "eetq": "eetq",
    "hqq": "hqq", "compressed-tensors": "compressed_tensors", "torchao": "torchao", "vptq": "vptq", "spqr": "spqr_quant",
    "auto-round": "auto_round", "quark": "quark", "fbgemm_fp8": "fbgemm_gpu", "mxfp4": "kernels",
}  # fmt: skip
"""The package that a kind of quantised weights needs, as transformers names the kind."""

_OUTPUTS = {"return_dict": True, "output_hidden_states": False, "output_attentions": False, "torchscript": False}
"""What a pass gives is the harness's to ask for."""

_WRITING = {
    "repetition_penalty": 1.0, "encoder_repetition_penalty": 1.0, "no_repeat_ngram_size": 0, "encoder_no_repeat_ngram_size": 0,
    "min_length": 0, "min_new_tokens": None, "bad_words_ids": None, "suppress_tokens": None, "begin_suppress_tokens": None,
    "forced_bos_token_id": None, "forced_eos_token_id": None, "sequence_bias": None, "exponential_decay_length_penalty": None,
    "guidance_scale": None, "stop_strings": None, "diversity_penalty": 0.0, "penalty_alpha": None, "num_beams": 1, "dola_layers": None,
    "remove_invalid_values": False, "renormalize_logits": False, "watermarking_config": None,
}  # fmt: skip
"""What a generation config can ask for that changes the likeliest text, and its value where it asks for nothing."""


def check_config(config: Any, raw: Mapping[str, Any], target: str, /) -> tuple[str, ...]:
    """What is to be said of a configuration. Raises `ModelError` for what cannot be obeyed.

    raw: config.json as it stands, which transformers changes as it reads it.
    """
    _check_quantised(raw.get("quantization_config"), target)
    _check_names(config, raw, target)
    for name, value in _OUTPUTS.items():
        if hasattr(config, name):
            # As it stands in the file: of some, the property of the same name is computed.
            try:
                setattr(config, name, value)
            except AttributeError:
                continue
    notes = []
    if raw.get("quantization_config"):
        notes.append(f"its weights are quantised ({raw['quantization_config'].get('quant_method')})")
    if raw.get("auto_map"):
        notes.append("its config names code of its own (auto_map); it is run where trust_remote_code is set, and only there")
    return tuple(notes)


def _check_quantised(given: Any, target: str) -> None:
    if not given:
        return
    kind = str(given.get("quant_method") or ("bitsandbytes" if given.get("load_in_4bit") or given.get("load_in_8bit") else "unnamed"))
    package = _QUANTISERS.get(kind)
    if package is not None and not _is_installed(package):
        raise ModelError(
            f"the weights of {target!r} are quantised by {kind}, which needs the package {package.partition('.')[0]!r} (and mostly a GPU): "
            "install it, or give the checkpoint that was quantised"
        )


def _is_installed(package: str) -> bool:
    try:
        return find_spec(package) is not None
    except ModuleNotFoundError:
        return False


def _check_names(config: Any, raw: Mapping[str, Any], target: str) -> None:
    """``id2label``, ``label2id`` and ``num_labels`` may say three things."""
    names, places = raw.get("id2label"), raw.get("label2id")
    count = raw.get("num_labels", raw.get("_num_labels"))
    if isinstance(names, dict) and isinstance(count, int) and count != len(names):
        raise ModelError(f"the config of {target!r} has {count} classes (num_labels) and names {len(names)} (id2label): correct it")
    if not isinstance(places, dict) or not places:
        return
    try:
        numbered = {int(place): str(name) for name, place in places.items()}
        named = {int(place): str(name) for place, name in (names or {}).items()}
    except (TypeError, ValueError) as error:
        raise ModelError(f"the config of {target!r} numbers its classes by {places}: correct label2id") from error
    ordered = [named[place] for place in sorted(named)]
    if sorted(numbered) == list(range(len(numbered))) and (not named or (len(named) == len(numbered) and are_numbered(ordered))):
        if not are_numbered([numbered[place] for place in sorted(numbered)]):
            config.id2label = numbered
    elif named and numbered != named and len(numbered) == len(named):
        raise ModelError(
            f"the config of {target!r} contradicts itself: id2label is {named}, label2id {dict(places)}. Name the classes in the order of "
            "the "
            "outputs with the model setting labels: [...]"
        )


def generation_notes(config: Any, /) -> tuple[str, ...]:
    """What a generation config asks for and a request decides: sampling goes without saying, what changes the likeliest text does not."""
    asked = {name: getattr(config, name, usual) for name, usual in _WRITING.items()}
    unusual = [f"{name} {value}" for name, value in asked.items() if value not in (None, _WRITING[name])]
    if not unusual:
        return ()
    return (f"its generation config asks for {', '.join(unusual)[:200]}, which is not applied: greedy is the likeliest token",)
