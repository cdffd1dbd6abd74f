"""How an encoder-decoder decodes: the checkpoint's own generation settings, without its sampling."""

from __future__ import annotations

import copy
from typing import Any

_PART_OF_THE_SYSTEM = {
    "num_beams": 1, "length_penalty": 1.0, "early_stopping": False, "no_repeat_ngram_size": 0, "encoder_no_repeat_ngram_size": 0,
    "repetition_penalty": 1.0, "min_length": 0, "min_new_tokens": None, "num_beam_groups": 1,
}  # fmt: skip
"""Settings that an encoder-decoder was published with and that its users keep, and their neutral values."""

_SAMPLING = ("do_sample", "temperature", "top_k", "top_p", "typical_p", "min_p", "epsilon_cutoff", "eta_cutoff")
_OF_BEAMS = ("length_penalty", "early_stopping", "num_beam_groups", "diversity_penalty")


def choose_decoding(own: Any, *, beams: int | None, forced: int | None, start: int, pad: int, ends: list[int]) -> Any:
    """Return transformers' generation settings: the checkpoint's, without sampling.

    own: the checkpoint's generation settings.
    beams: number of beams instead of the checkpoint's; 1 is greedy.
    forced: token with which every answer begins (a language), instead of the checkpoint's.
    start: the decoder's start token. pad: padding token. ends: tokens that end an answer.
    """
    chosen, usual = copy.deepcopy(own), type(own)()
    # The length is set by each request; sampling settings would only cause warnings.
    for name in (*_SAMPLING, "max_length"):
        setattr(chosen, name, getattr(usual, name, None))
    chosen.update(return_dict_in_generate=True, decoder_start_token_id=start, pad_token_id=pad, eos_token_id=ends or None)
    chosen.num_beams = beams if beams is not None else chosen.num_beams or 1
    if chosen.num_beams == 1:
        make_greedy(chosen)
    if forced is not None:
        chosen.forced_bos_token_id = forced
    return chosen


def make_greedy(settings: Any, /) -> Any:
    """Return the settings without beams, changed in place."""
    usual = type(settings)()
    settings.num_beams = 1
    for name in _OF_BEAMS:
        setattr(settings, name, getattr(usual, name, None))
    return settings


def describe_decoding(chosen: Any, /) -> str:
    """Describe how answers are decoded, for readers of a scorecard."""
    values = {name: getattr(chosen, name, usual) for name, usual in _PART_OF_THE_SYSTEM.items()}
    unusual = [f"{name} {value}" for name, value in values.items() if value not in (None, _PART_OF_THE_SYSTEM[name])]
    return f"it decodes with {', '.join(unusual)}" if unusual else "it decodes greedily"
