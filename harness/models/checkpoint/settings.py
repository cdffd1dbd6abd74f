"""What ``config.json`` and ``generation_config.json`` ask for beside the architecture: obeyed, set aside, or refused."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from importlib.util import find_spec
from typing import Any

from ...api.errors import ModelError
from ..common.labels import are_numbered

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


def check_config(raw: Mapping[str, Any], target: str, /) -> tuple[str, ...]:
    """What is to be said of a configuration. Raises `ModelError` for what cannot be obeyed.

    raw: config.json as it stands, before transformers makes something of it.
    """
    quantised = raw.get("quantization_config")
    _check_quantised(quantised, target)
    _check_classes(raw, target)
    notes = []
    if quantised:
        notes.append(f"its weights are quantised ({quantised.get('quant_method')})")
    if raw.get("auto_map"):
        notes.append("its config names code of its own (auto_map); it is run where trust_remote_code is set, and only there")
    return tuple(notes)


def settle_config(config: Any, raw: Mapping[str, Any], /) -> None:
    """Take back what a configuration asks of a pass, and read class names that stand in ``label2id`` alone."""
    for name, value in _OUTPUTS.items():
        if hasattr(config, name):
            # Of some, the property of the same name is computed.
            with suppress(AttributeError):
                setattr(config, name, value)
    named, numbered = raw.get("id2label"), _by_place(raw.get("label2id"))
    are_all = bool(numbered) and sorted(numbered) == list(range(len(numbered)))
    if are_all and not are_numbered(_ordered(numbered)) and (not named or (len(named) == len(numbered) and _are_unnamed(named))):
        config.id2label = numbered


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


def _check_classes(raw: Mapping[str, Any], target: str) -> None:
    """``id2label``, ``label2id``, ``num_labels`` and ``problem_type`` may say several things."""
    names, count = raw.get("id2label"), raw.get("num_labels", raw.get("_num_labels"))
    if isinstance(names, dict) and isinstance(count, int) and count != len(names):
        raise ModelError(f"the config of {target!r} has {count} classes (num_labels) and names {len(names)} (id2label): correct it")
    if raw.get("problem_type") == "single_label_classification" and 1 in (count, len(names or ())):
        raise ModelError(
            f"the config of {target!r} says problem_type: single_label_classification of one output, which is no choice; leave "
            "problem_type out of its config.json where the output is the log-odds of a yes"
        )
    named, numbered = _by_place(dict(zip((names or {}).values(), names or {}, strict=True))), _by_place(raw.get("label2id"))
    # Names that differ were left from another model: id2label is the one that is read. The same names in another order are a swap.
    if named and numbered != named and sorted(numbered.values()) == sorted(named.values()):
        raise ModelError(
            f"the config of {target!r} contradicts itself: id2label is {named}, label2id {raw['label2id']}. Correct the "
            "one that is wrong in its config.json"
        )


def _by_place(places: Any) -> dict[int, str]:
    """Class names by their numbers; empty where they have none."""
    try:
        return {int(place): str(name) for name, place in (places or {}).items()}
    except (AttributeError, TypeError, ValueError):
        return {}


def _ordered(names: Mapping[int, str]) -> list[str]:
    return [names[place] for place in sorted(names)]


def _are_unnamed(names: Mapping[str, Any]) -> bool:
    return are_numbered(_ordered({int(place): str(name) for place, name in names.items()}))


def generation_notes(config: Any, /) -> tuple[str, ...]:
    """What a generation config asks for and a request decides: sampling goes without saying, what changes the likeliest text does not."""
    asked = {name: getattr(config, name, usual) for name, usual in _WRITING.items()}
    unusual = [f"{name} {value}" for name, value in asked.items() if value not in (None, _WRITING[name])]
    if not unusual:
        return ()
    return (f"its generation config asks for {', '.join(unusual)[:200]}, which is not applied: greedy is the likeliest token",)
