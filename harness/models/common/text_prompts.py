"""What a model that reads text alone is given."""

from __future__ import annotations

from ...api.errors import SampleError
from ...modalities.inputs import Input, modality, texts_of


def text_of(value: Input, /) -> str:
    """Return the one text that the value is. Raises `SampleError` where it is anything else."""
    texts = texts_of(value)
    if len(texts) != 1:
        raise SampleError(f"this model reads text, not {modality(value)}")
    return texts[0]
