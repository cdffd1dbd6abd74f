"""Load the tokenizer and the image processor beside a graph."""

from __future__ import annotations

from typing import Any

from ...api.errors import ModelError
from ..checkpoint.image_processor import ImageProcessor
from ..checkpoint.tokens import settle_tokenizer
from .files import Export


def load_tokenizer(export: Export, target: str, /) -> tuple[Any, tuple[str, ...]]:
    """Load the tokenizer of the graph's folder, and notes for the scorecard. Raises `ModelError`."""
    from transformers import AutoTokenizer, PreTrainedTokenizerFast

    is_bare = not (export.folder / "tokenizer_config.json").is_file() and not export.config.get("model_type")
    kind = PreTrainedTokenizerFast if is_bare else AutoTokenizer
    try:
        tokenizer = kind.from_pretrained(str(export.folder), local_files_only=True)
    except Exception as error:  # the library may raise anything for broken files
        raise ModelError(f"the tokenizer in {str(export.folder)!r} cannot be loaded: {error}") from error
    return tokenizer, settle_tokenizer(tokenizer, target)


def load_processor(export: Export, channels: int, target: str, /) -> ImageProcessor | None:
    """Load the image processor of the graph's folder; None if there is none. Raises `ModelError`."""
    if export.find_file("preprocessor_config.json") is None:
        return None
    from transformers import AutoImageProcessor

    try:
        processor = AutoImageProcessor.from_pretrained(str(export.folder), local_files_only=True)
    except Exception as error:  # the library may raise anything for broken files
        raise ModelError(f"the image processor in {str(export.folder)!r} cannot be loaded: {error}") from error
    return ImageProcessor(processor, channels, target)


def note_dtype(export: Export, dtype: str, /) -> tuple[str, ...]:
    """Return a note if another number format is wanted than that of the graph, which is fixed when it is exported."""
    own = export.roles.output.dtype
    return () if dtype in ("auto", own) else (f"its graph computes in {own}, so dtype {dtype} is not applied",)
