"""The adapter that runs an architecture, and what it can do. Imports no torch, so that planning does not."""

from __future__ import annotations

from collections.abc import Mapping, Set
from dataclasses import dataclass
from typing import Any

from ...api.errors import ModelError


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of model.

    file: module in this folder. adapter: class in that module. answers: as in `ModelInfo`.
    """

    file: str
    adapter: str
    answers: Mapping[str, Set[str]]
    is_differentiable: bool = False

    @property
    def reads_text(self) -> bool:
        return any(modality != "image" for modalities in self.answers.values() for modality in modalities)


CLASSIFIER = Kind("text_classifier", "HFTextClassifier", {"classify": {"text", "pair"}}, True)
CAUSAL = Kind(
    "causal_lm",
    "HFCausalLM",
    {"loglikelihood": {"text", "chat"}, "rolling_loglikelihood": {"text"}, "generate": {"text", "chat"}},
    True,
)
MASKED = Kind("masked_lm", "HFMaskedLM", {"pseudo_loglikelihood": {"text"}, "fill_mask": {"text"}})
SEQ2SEQ = Kind("seq2seq_lm", "HFSeq2SeqLM", {"loglikelihood": {"text"}, "generate": {"text"}}, True)
TAGGER = Kind("token_tagger", "HFTagger", {"tag": {"text"}})
SPANS = Kind("span_finder", "HFSpanFinder", {"answer": {"pair"}})
IMAGES = Kind("image_classifier", "HFImageClassifier", {"classify": {"image"}}, True)
ENCODER = Kind("text_encoder", "HFEncoder", {"embed": {"text"}})

_ENDINGS = {
    "SequenceClassification": CLASSIFIER,
    "TokenClassification": TAGGER,
    "QuestionAnswering": SPANS,
    "CausalLM": CAUSAL,
    "MaskedLM": MASKED,
    "LMHeadModel": CAUSAL,
    "ImageClassification": IMAGES,
    "Model": ENCODER,
}
"""Kind by suffix of the architecture's name; the first match counts."""

_WRITERS = ("ForConditionalGeneration", "MTModel", "EncoderDecoderModel", "WithLMHeadModel")
"""Suffixes of encoder-decoders that write text, if their encoder reads text."""

_NO_GRADIENTS = frozenset({"canine", "xlnet"})
"""Models without exactly one lookup of token embeddings per pass (XLNet: transposed), so that features cannot
replace its result. The same holds for encoder-decoders, which have two."""


def choose_kind(config: Any, target: str, /) -> Kind:
    """Return the kind of a configuration's architecture. Raises `ModelError` for others."""
    architectures = config.architectures or []
    for architecture in architectures:
        if architecture.endswith(_WRITERS) and _writes_text(config):
            return SEQ2SEQ
        for ending, kind in _ENDINGS.items():
            if architecture.endswith(ending):
                if kind is ENCODER:
                    _check_encoder(config, architecture, target)
                return kind
    named = ", ".join(architectures) or "checkpoint without an architecture"
    raise ModelError(
        f"{target!r} is a {named}; this adapter supports architectures that end in {', '.join(_ENDINGS)}, "
        f"and encoder-decoders that read text ({', '.join(_WRITERS)}). "
        "Wrap others in a Python function: callable:module:function"
    )


def _writes_text(config: Any) -> bool:
    """Whether the model has a decoder, and an encoder that reads text rather than images or sounds."""
    reads_other = any(hasattr(config, name) for name in ("vision_config", "audio_config", "num_mel_bins", "feat_extract_norm"))
    return bool(getattr(config, "is_encoder_decoder", False)) and not reads_other


def _check_encoder(config: Any, architecture: str, target: str) -> None:
    """Raise `ModelError` for a headless model that is no text encoder: for images or audio, or with a decoder."""
    reads_text = getattr(config, "vocab_size", None) and not getattr(config, "vision_config", None)
    if not reads_text or (getattr(config, "is_encoder_decoder", False) and not architecture.endswith("EncoderModel")):
        why = "has a decoder besides its encoder" if reads_text else "does not read plain text"
        raise ModelError(
            f"{target!r} is a {architecture}, which {why}, so it is not a text encoder. Wrap it in a Python "
            "function: callable:module:function"
        )


def list_features(config: Any, kind: Kind, /) -> frozenset[str]:
    """Return what a model of this kind offers besides answers: ``gradients``, ``attention``, ``vocabulary``."""
    if not kind.is_differentiable:
        return frozenset()
    if kind is SEQ2SEQ:
        return frozenset({"gradients"})
    is_pair = getattr(config, "is_encoder_decoder", False)
    if kind is CLASSIFIER and (is_pair or config.model_type in _NO_GRADIENTS):
        return frozenset()
    # Models with windowed attention, which list heads by stage, do not attend to all positions.
    attends = isinstance(getattr(config, "num_attention_heads", None), int)
    words = {"vocabulary"} if kind is CLASSIFIER else set()
    return frozenset({"gradients"} | words | ({"attention"} if attends else set()))
