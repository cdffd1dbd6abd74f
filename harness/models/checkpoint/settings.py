"""Settings in ``config.json`` and ``generation_config.json`` besides the architecture: applied, ignored with a note, or
refused."""

from __future__ import annotations

import json
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

from ...api.errors import ModelError
from ..common.labels import are_numbered
from .quantisation import check_quantisation

_TYPES: dict[str, tuple[tuple[type, ...], str]] = {
    "architectures": ((list,), "a list of names"),
    "auto_map": ((dict,), "an object"),
    "hidden_size": ((int, list), "a whole number"),
    "id2label": ((dict,), "an object from numbers to names"),
    "label2id": ((dict,), "an object from names to numbers"),
    "model_type": ((str,), "a text"),
    "num_hidden_layers": ((int,), "a whole number"),
    "num_labels": ((int,), "a whole number"),
    "problem_type": ((str,), "a text"),
    "quantization_config": ((dict,), "an object"),
    "vocab_size": ((int,), "a whole number"),
}
"""Types of the entries that are read before transformers reads them."""

_OUTPUTS = {"return_dict": True, "output_hidden_states": False, "output_attentions": False, "torchscript": False}
"""Outputs of a pass, which the harness chooses itself."""

_WRITING = {
    "repetition_penalty": 1.0, "encoder_repetition_penalty": 1.0, "no_repeat_ngram_size": 0, "encoder_no_repeat_ngram_size": 0,
    "min_length": 0, "min_new_tokens": None, "bad_words_ids": None, "suppress_tokens": None, "begin_suppress_tokens": None,
    "forced_bos_token_id": None, "forced_eos_token_id": None, "sequence_bias": None, "exponential_decay_length_penalty": None,
    "guidance_scale": None, "stop_strings": None, "diversity_penalty": 0.0, "penalty_alpha": None, "num_beams": 1, "dola_layers": None,
    "remove_invalid_values": False, "renormalize_logits": False, "watermarking_config": None,
}  # fmt: skip
"""Generation settings that change the greedy text, and their neutral values."""


def check_config(raw: Mapping[str, Any], target: str, /) -> tuple[str, ...]:
    """Return notes about a configuration. Raises `ModelError` for settings that cannot be applied.

    raw: the content of config.json, before transformers processes it.
    """
    _check_types(raw, target)
    _check_classes(raw, target)
    notes = [*check_quantisation(raw.get("quantization_config"), target)]
    if raw.get("auto_map"):
        notes.append("its config refers to custom code (auto_map), which runs only if trust_remote_code is set")
    return tuple(notes)


def settle_config(config: Any, raw: Mapping[str, Any], /) -> None:
    """Reset the output settings of a configuration, and read class names that are only in ``label2id``."""
    for name, value in _OUTPUTS.items():
        if hasattr(config, name):
            # Some are read-only properties.
            with suppress(AttributeError):
                setattr(config, name, value)
    named, numbered = raw.get("id2label"), _read_class_names(raw.get("label2id"))
    are_all = bool(numbered) and sorted(numbered) == list(range(len(numbered)))
    if are_all and not are_numbered(_sort_names(numbered)) and (not named or (len(named) == len(numbered) and _are_unnamed(named))):
        config.id2label = numbered


def settle_timm(config: Any, /) -> None:
    """Set the architecture of a model of timm, and drop the number of classes that timm repeats among its arguments."""
    config.architectures = config.architectures or ["TimmWrapperForImageClassification"]
    if config.model_args:
        config.model_args = {name: value for name, value in config.model_args.items() if name != "num_classes"}


def check_rotary(config: Any, target: str, /) -> None:
    """Raise `ModelError` if transformers 4 would silently ignore rotary settings in the format of version 5."""
    import transformers

    settings = getattr(config, "rope_parameters", None)
    if not settings or int(transformers.__version__.partition(".")[0]) >= 5:
        return
    scaled = settings.get("rope_type", "default") != "default"
    is_lost = settings.get("rope_theta") != getattr(config, "rope_theta", None)
    if is_lost or (scaled and not getattr(config, "rope_scaling", None)):
        raise ModelError(
            f"{target!r} was saved by transformers 5, whose 'rope_parameters' the installed version ignores, so positions "
            "would be wrong. Install transformers 5, or set 'rope_theta' (and 'rope_scaling') in its config.json"
        )


def _check_types(raw: Mapping[str, Any], target: str) -> None:
    """Raise `ModelError` for an entry of another type, such as a text in place of a list."""
    for name, (kinds, words) in _TYPES.items():
        value = raw.get(name)
        if value is not None and not isinstance(value, kinds):
            raise ModelError(f"{name} in config.json of {target!r} must be {words}, not {json.dumps(value)[:60]}; correct it")
    if not all(isinstance(name, str) for name in raw.get("architectures") or ()):
        raise ModelError(f"architectures in config.json of {target!r} must be a list of names; correct it")


def _check_classes(raw: Mapping[str, Any], target: str) -> None:
    """Raise `ModelError` if ``id2label``, ``label2id``, ``num_labels`` and ``problem_type`` contradict each other."""
    names, count = raw.get("id2label"), raw.get("num_labels", raw.get("_num_labels"))
    if isinstance(names, dict) and isinstance(count, int) and count != len(names):
        raise ModelError(f"the config of {target!r} has {count} classes (num_labels) but names {len(names)} (id2label); correct it")
    if raw.get("problem_type") == "single_label_classification" and 1 in (count, len(names or ())):
        raise ModelError(
            f"the config of {target!r} has problem_type: single_label_classification with one output, which leaves no choice; remove "
            "problem_type from its config.json if the output is the log-odds of a yes"
        )
    named, numbered = _read_class_names(dict(zip((names or {}).values(), names or {}, strict=True))), _read_class_names(raw.get("label2id"))
    # Different names are leftovers of another model; id2label is used. The same names in another order are a contradiction.
    if named and numbered != named and sorted(numbered.values()) == sorted(named.values()):
        raise ModelError(
            f"the config of {target!r} contradicts itself: id2label is {named}, label2id {raw['label2id']}. Correct the "
            "one that is wrong in its config.json"
        )


def _read_class_names(places: Any) -> dict[int, str]:
    """Return class names by number; empty if there are none."""
    try:
        return {int(place): str(name) for name, place in (places or {}).items()}
    except (AttributeError, TypeError, ValueError):
        return {}


def _sort_names(names: Mapping[int, str]) -> list[str]:
    return [names[place] for place in sorted(names)]


def _are_unnamed(names: Mapping[str, Any]) -> bool:
    return are_numbered(_sort_names({int(place): str(name) for place, name in names.items()}))


def list_generation_notes(config: Any, /) -> tuple[str, ...]:
    """Return a note about ignored generation settings that change the greedy text. Requests set sampling themselves."""
    settings = {name: getattr(config, name, usual) for name, usual in _WRITING.items()}
    unusual = [f"{name} {value}" for name, value in settings.items() if value not in (None, _WRITING[name])]
    if not unusual:
        return ()
    return (f"its generation config sets {', '.join(unusual)[:200]}, which is not applied: greedy takes the most likely token",)
