"""Inputs of models that read only text."""

from __future__ import annotations

from collections.abc import Iterable

from ...api.errors import SampleError
from ...modalities.chat import Message
from ...modalities.inputs import Input, list_texts, name_modality


def require_text(value: Input, /) -> str:
    """Return the text of a value. Raises `SampleError` for any other modality."""
    texts = list_texts(value)
    if len(texts) != 1:
        raise SampleError(f"this model reads text, not {name_modality(value)}")
    return texts[0]


def make_text_messages(messages: Iterable[Message], /) -> list[dict[str, str]]:
    """Return the messages as chat templates take them, ``role`` and ``content``. Raises `SampleError` where one is not a single text."""
    return [{"role": message.role, "content": _get_text(message)} for message in messages]


def _get_text(message: Message) -> str:
    others = [name for part in message.parts if (name := name_modality(part)) != "text"]
    if others:
        raise SampleError(f"this model reads text, and the message of {message.role!r} has a part of the modality {others[0]!r}")
    if len(message.parts) != 1:
        raise SampleError(f"this model reads one text a message, and that of {message.role!r} has {len(message.parts)}; join them to one")
    return message.text
