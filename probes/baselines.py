"""The neutral input of gradient probes, if the setting ``baseline`` replaces the model's own.

The neutral input determines what an attribution is relative to (P. Sturmfels, S. Lundberg, S.-I. Lee,
Visualizing the Impact of Feature Attribution Baselines, Distill 2020).

Shape legend: B batch, L tokens, D embedding, C channels, H height, W width.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, TypeAlias

import numpy as np

from ..harness.api.errors import ConfigError
from ..harness.api.model import EMBEDDINGS, PIXELS, Differentiable, Encoded
from ..harness.modalities.image import Image, ImageModality

if TYPE_CHECKING:
    import torch

Baseline: TypeAlias = str | float | None
"""A neutral input. None is the model's own: padding tokens (for a language model the word "the") or a black image.

For text, a token, or 0 for zero embeddings. For images, a grey in [0, 1], or ``mean`` or ``blur``: the image with all
of its pixels removed in this way (`Modality.ways`).
"""


def check_baseline(baseline: Baseline, /) -> Baseline:
    """Return the setting, numbers as floats. Raises `ConfigError` if it is neither None, a text nor in [0, 1]."""
    if baseline is None or (isinstance(baseline, str) and baseline):
        return baseline
    if isinstance(baseline, bool | str) or not isinstance(baseline, int | float) or not 0 <= baseline <= 1:
        raise ConfigError(f"baseline is a token or 0 for text, and for images a grey in [0, 1], 'mean' or 'blur', not {baseline!r}")
    return float(baseline)


def describe_baseline(baseline: Baseline, /) -> str:
    """Return a description of the neutral input."""
    return "the model's own neutral input" if baseline is None else str(baseline)


def with_baseline(net: Differentiable, encoded: Encoded, baseline: Baseline, /) -> Encoded:
    """Return the batch with another neutral input. Tokens outside the text, such as special tokens, are kept.

    net: the differentiable model.
    encoded: the batch.
    baseline: neutral input; None returns the batch unchanged.
    Raises `ConfigError` if the setting does not apply to the inputs.
    """
    if baseline is None:
        return encoded
    if encoded.domain not in (EMBEDDINGS, PIXELS):
        raise ConfigError(f"baseline: {baseline!r} is for text or images, and the model's features are {encoded.domain!r}; leave it out")
    made = _make_neutral_images(encoded.features, baseline) if encoded.domain == PIXELS else _embed_neutral(net, encoded, baseline)
    return replace(encoded, baseline=made)


def _embed_neutral(net: Differentiable, encoded: Encoded, baseline: str | float) -> torch.Tensor:
    """Return the neutral embeddings [B, L, D]."""
    import torch

    features_BLD = encoded.features
    if isinstance(baseline, str):
        neutral_D = net.lexicon().embed([_find_token_id(net, baseline)])[0]
    elif baseline == 0:
        neutral_D = torch.zeros_like(features_BLD[0, 0])
    else:
        raise ConfigError(f"baseline: {baseline} is a grey, and this is text: give a token, or 0 for embeddings of zeros")
    is_part_BL = torch.tensor([[tuple(span) != (0, 0) for span in row] for row in encoded.spans], device=features_BLD.device)
    return torch.where(is_part_BL[:, :, None], neutral_D, encoded.baseline)


def _find_token_id(net: Differentiable, text: str) -> int:
    """Return the id of a token, given by its name in the vocabulary or as text.

    Raises `ConfigError` if the text is not exactly one token.
    """
    tokenizer = net.tokenizer
    if tokenizer is None:
        ((own, _),) = net.lexicon().tokenize([text])
        if len(own) != 1:
            raise ConfigError(f"baseline: {text!r} is not one token but {len(own)}; give a text that is one")
        return own[0]
    known: int | None = tokenizer.convert_tokens_to_ids(text)
    if known is not None and tokenizer.convert_ids_to_tokens(known) == text:
        return known
    ids: Sequence[int] = tokenizer(text, add_special_tokens=False)["input_ids"]
    # A text outside the vocabulary would become the unknown token.
    if len(ids) != 1 or ids[0] == tokenizer.unk_token_id:
        raise ConfigError(f"baseline: {text!r} is not one token but {tokenizer.convert_ids_to_tokens(ids)}; name one of the vocabulary")
    return ids[0]


def _make_neutral_images(pixels_BCHW: torch.Tensor, baseline: str | float) -> torch.Tensor:
    """Return the neutral images [B, C, H, W]."""
    import torch

    if not isinstance(baseline, str):
        return torch.full_like(pixels_BCHW, baseline)
    images = ImageModality()
    if baseline not in images.ways:
        raise ConfigError(f"baseline: {baseline!r} is for text; of images it is a grey in [0, 1], or one of {', '.join(images.ways)}")
    shown = [Image(pixels_CHW.permute(1, 2, 0).numpy()) for pixels_CHW in pixels_BCHW.detach().float().cpu()]
    empty = [images.without(image, images.parts(image), baseline) for image in shown]
    return torch.stack([torch.from_numpy(np.array(image.pixels)).permute(2, 0, 1) for image in empty]).to(pixels_BCHW)
