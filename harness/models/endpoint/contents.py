"""Message parts as the services take them: texts, images as PNG, audio as WAV, each in base64."""

from __future__ import annotations

import base64
import io
from collections.abc import Callable, Collection
from typing import Any

import numpy as np

from ...api.errors import SampleError
from ...modalities.audio import Audio, encode_wav
from ...modalities.chat import Chat, list_messages
from ...modalities.image import Image
from ...modalities.inputs import Input, name_modality

Encode = Callable[[Any], dict[str, Any]]


def encode_messages(prompt: Input, takes: Collection[str], encode: Encode) -> list[dict[str, Any]]:
    """Return the messages of a prompt, ``role`` and ``content``. A prompt without messages is one message of the user.

    takes: the modalities besides text that the model takes. encode: makes the service's part of a text, an image or a waveform.
    Raises `SampleError` for any other part, and for a chat without messages.
    """
    messages = list_messages(prompt)
    if not messages:
        raise SampleError("the chat has no message to answer")
    for message in messages:
        for part in message.parts:
            name = name_modality(part)
            refuse_surrogates(str(part) if name == "text" else "")
            if name != "text" and name not in takes:
                raise SampleError(f"the model takes no {name} in a message; its setting 'parts' names the modalities that it takes")
    return [{"role": m.role, "content": m.text if m.content == m.text else [encode(part) for part in m.parts]} for m in messages]


def refuse_surrogates(text: str) -> None:
    """Raise `SampleError` for a text with a lone surrogate, which cannot be sent."""
    if any("\ud800" <= character <= "\udfff" for character in text):
        raise SampleError("the text has a lone surrogate, which is not valid Unicode and cannot be sent")


def is_begun(prompt: Input) -> bool:
    """Tell whether the last message of a prompt is the beginning of the answer."""
    return isinstance(prompt, Chat) and bool(prompt.begun)


def encode_for_openai(part: Any) -> dict[str, Any]:
    """Return a part of a message as OpenAI's interface takes it."""
    if isinstance(part, Image):
        return {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{encode_image(part)}"}}
    if isinstance(part, Audio):
        return {"type": "input_audio", "input_audio": {"data": encode_wav(part).partition(",")[2], "format": "wav"}}
    return {"type": "text", "text": str(part)}


def encode_for_anthropic(part: Any) -> dict[str, Any]:
    """Return a part of a message as Anthropic's interface takes it."""
    if isinstance(part, Image):
        return {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": encode_image(part)}}
    return {"type": "text", "text": str(part)}


def encode_image(image: Image) -> str:
    """Return the pixels as PNG in base64, at their own size, with 8 bits a channel."""
    from PIL import Image as Pillow

    pixels_HWC = np.asarray(image.pixels)
    if pixels_HWC.dtype != np.uint8:
        pixels_HWC = (pixels_HWC.clip(0, 1) * 255).round().astype(np.uint8)
    buffer = io.BytesIO()
    Pillow.fromarray(pixels_HWC[:, :, 0] if pixels_HWC.shape[2] == 1 else pixels_HWC).save(buffer, format="PNG")
    return base64.b64encode(buffer.getvalue()).decode()
