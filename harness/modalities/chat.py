"""The chat modality: conversations whose messages are a text or several parts of any modality."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeAlias

from .base import Modality, Shown, find_modality, require_modality

Part: TypeAlias = Any
"""A value of any modality: a text, an image, audio, or a value of a plugin's modality."""


@dataclass(frozen=True, slots=True)
class Message:
    """One turn of a conversation.

    role: role of the speaker, e.g. ``system``, ``user`` or ``assistant``.
    content: a text, or a tuple of parts in order, e.g. ``(Image(...), "What is this?")``.
    Raises `TypeError` if the content is neither.
    """

    role: str
    content: str | tuple[Part, ...]

    def __post_init__(self) -> None:
        if not isinstance(self.content, str | tuple):
            raise TypeError(f"the content of a message is a text or a tuple of parts, not a {type(self.content).__name__}")

    @property
    def parts(self) -> tuple[Part, ...]:
        """Parts of the message in order. A text is one part."""
        return (self.content,) if isinstance(self.content, str) else self.content

    @property
    def text(self) -> str:
        """Text of the message: the last part that is a text; empty if there is none."""
        return next((part for part in reversed(self.parts) if isinstance(part, str)), "")

    def with_text(self, text: str, /) -> Message:
        """Return the message with its `text` replaced. If it has none, the text is appended as the last part."""
        if isinstance(self.content, str):
            return replace(self, content=text)
        place = max((i for i, part in enumerate(self.content) if isinstance(part, str)), default=len(self.content))
        return replace(self, content=(*self.content[:place], text, *self.content[place + 1 :]))


@dataclass(frozen=True, slots=True)
class Chat:
    """A conversation. The model's chat template converts it to a prompt.

    If the last message has the role ``assistant``, the model continues it.

    messages: messages in order.
    """

    messages: tuple[Message, ...]

    @property
    def begun(self) -> str:
        """Text of the assistant's unfinished last message; empty if the last message has another role."""
        last = self.messages[-1] if self.messages else None
        return last.text if last is not None and last.role == "assistant" else ""


class ChatModality(Modality[Chat]):
    """The modality of conversations. Its size is that of all parts plus one position per message for its header."""

    name = "chat"
    type = Chat

    def size(self, value: Chat, /) -> int:
        return max(1, sum(1 + sum(require_modality(part).size(part) for part in message.parts) for message in value.messages))

    def preview(self, value: Chat, /) -> Shown:
        return Shown(self.name, parts=tuple((message.role, _preview_part(part)) for message in value.messages for part in message.parts))

    def bare(self, value: Chat, /) -> list[dict[str, Any]]:
        """Return the messages as chat endpoints take them. The content of a message of several parts is a list of them."""
        return [{"role": message.role, "content": _make_bare_content(message)} for message in value.messages]

    def num_bytes(self, value: Chat, /) -> int:
        return max(super().num_bytes(value), sum(require_modality(part).num_bytes(part) for m in value.messages for part in m.parts))


def _preview_part(part: Part) -> str | Shown:
    """Return a text unchanged, and the preview of any other part."""
    known = find_modality(part)
    return str(part) if known is None or isinstance(part, str) else known.preview(part)


def _make_bare_content(message: Message) -> str | list[Any]:
    if message.content == message.text:
        return message.text
    return [require_modality(part).bare(part) for part in message.parts]


def list_modalities_in(chat: Chat, /) -> frozenset[str]:
    """Return the names of the modalities of a chat's parts except text."""
    return frozenset(require_modality(part).name for message in chat.messages for part in message.parts) - {"text"}


# ── prompts: a text or a chat ─────────────────────────────────────────────────────────────────────────────────────────


def as_chat(prompt: object, /) -> Chat | None:
    """Return the prompt if it is a chat; else None."""
    return prompt if isinstance(prompt, Chat) else None


def list_messages(prompt: Part, /) -> tuple[Message, ...]:
    """Return the messages of a chat, or any other prompt as one user message."""
    return prompt.messages if isinstance(prompt, Chat) else (Message("user", prompt if isinstance(prompt, str) else (prompt,)),)


def find_last_text(prompt: object, /) -> str | None:
    """Return a text prompt itself, or the text of a chat's last message; None for an empty chat or any other prompt."""
    if isinstance(prompt, Chat):
        return prompt.messages[-1].text if prompt.messages else None
    return prompt if isinstance(prompt, str) else None


def split_parts(prompt: Part, /) -> tuple[list[str], list[Part]]:
    """Return the parts of a prompt that are texts, and the other parts, both in order."""
    parts = [part for message in list_messages(prompt) for part in message.parts]
    return [part for part in parts if isinstance(part, str)], [part for part in parts if not isinstance(part, str)]


def with_last_text(prompt: Part, text: str, /) -> str | Chat:
    """Return the prompt with its `find_last_text` replaced. A prompt that is not a chat is replaced as a whole."""
    if not isinstance(prompt, Chat):
        return text
    *before, last = prompt.messages
    return Chat((*before, last.with_text(text)))


def make_chat(prompt: Part, /, system: Sequence[Message] = ()) -> Chat:
    """Return the prompt as a chat.

    prompt: a chat, or a value of any modality, which becomes a user message.
    system: messages to put before the prompt.
    """
    return Chat((*system, *list_messages(prompt)))
