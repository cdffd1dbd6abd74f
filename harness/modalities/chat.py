"""A conversation, each message a text or several parts of any modality."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeAlias

from .base import Modality, Shown, known_modality, modality_of

Part: TypeAlias = Any
"""A value of any modality: a text, an image, audio, or a plugin's own."""


@dataclass(frozen=True, slots=True)
class Message:
    """One turn of a conversation.

    role: who says it.
    content: a text, or a tuple of parts in order, e.g. ``(Image(...), "What is this?")``.
    Raises `TypeError` where the content is neither.
    """

    role: str
    content: str | tuple[Part, ...]

    def __post_init__(self) -> None:
        if not isinstance(self.content, str | tuple):
            raise TypeError(f"the content of a message is a text or a tuple of parts, not a {type(self.content).__name__}")

    @property
    def parts(self) -> tuple[Part, ...]:
        """What the message consists of; a text is one part."""
        return (self.content,) if isinstance(self.content, str) else self.content

    @property
    def text(self) -> str:
        """Its text; of several parts, the last one that is a text, and the empty text where none is."""
        return next((part for part in reversed(self.parts) if isinstance(part, str)), "")

    def with_text(self, text: str, /) -> Message:
        """Return the message with another text in the place of `text`, behind all parts where there is none."""
        if isinstance(self.content, str):
            return replace(self, content=text)
        place = max((i for i, part in enumerate(self.content) if isinstance(part, str)), default=len(self.content))
        return replace(self, content=(*self.content[:place], text, *self.content[place + 1 :]))


@dataclass(frozen=True, slots=True)
class Chat:
    """A conversation; the model's own chat template turns it into a prompt. A last message of the role ``assistant`` is an answer that
    is begun: the model goes on from there."""

    messages: tuple[Message, ...]

    @property
    def begun(self) -> str:
        """What the assistant has begun to answer; empty where it has not."""
        last = self.messages[-1] if self.messages else None
        return last.text if last is not None and last.role == "assistant" else ""


class ChatModality(Modality[Chat]):
    """The parts of its messages, and a position for the head of each."""

    name = "chat"
    type = Chat

    def size(self, value: Chat, /) -> int:
        return max(1, sum(1 + sum(known_modality(part).size(part) for part in message.parts) for message in value.messages))

    def preview(self, value: Chat, /) -> Shown:
        return Shown(self.name, parts=tuple((message.role, _shown(part)) for message in value.messages for part in message.parts))

    def num_bytes(self, value: Chat, /) -> int:
        return max(super().num_bytes(value), sum(known_modality(part).num_bytes(part) for m in value.messages for part in m.parts))


def _shown(part: Part) -> str | Shown:
    """A text as it is; anything else as its modality shows it."""
    known = modality_of(part)
    return str(part) if known is None or isinstance(part, str) else known.preview(part)


def modalities_in(chat: Chat, /) -> frozenset[str]:
    """Return the names of the modalities of its parts, beside text."""
    return frozenset(known_modality(part).name for message in chat.messages for part in message.parts) - {"text"}


# ── a prompt: a text, or a chat ───────────────────────────────────────────────────────────────────────────────────────


def chat_of(prompt: object, /) -> Chat | None:
    """Return the prompt where it is a chat."""
    return prompt if isinstance(prompt, Chat) else None


def messages_of(prompt: Part, /) -> tuple[Message, ...]:
    """Return the prompt as messages: those of a chat, and anything else as one of the user's."""
    return prompt.messages if isinstance(prompt, Chat) else (Message("user", prompt if isinstance(prompt, str) else (prompt,)),)


def last_text(prompt: object, /) -> str | None:
    """Return the text that a prompt ends with: all of a text, or that of a chat's last message. None where it is neither, or an empty
    chat."""
    if isinstance(prompt, Chat):
        return prompt.messages[-1].text if prompt.messages else None
    return prompt if isinstance(prompt, str) else None


def texts_and_others(prompt: Part, /) -> tuple[list[str], list[Part]]:
    """Return all texts of a prompt, and all of its parts that are no text, each in order."""
    parts = [part for message in messages_of(prompt) for part in message.parts]
    return [part for part in parts if isinstance(part, str)], [part for part in parts if not isinstance(part, str)]


def with_last_text(prompt: Part, text: str, /) -> str | Chat:
    """Return the prompt with another text at its end (`last_text`)."""
    if not isinstance(prompt, Chat):
        return text
    *before, last = prompt.messages
    return Chat((*before, last.with_text(text)))


def user_chat(prompt: Part, /, system: Sequence[Message] = ()) -> Chat:
    """Return the prompt as a chat, behind these messages."""
    return Chat((*system, *messages_of(prompt)))
