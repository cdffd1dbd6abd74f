"""A conversation, each message a text or several parts of any modality."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeAlias

from .base import Modality, Shown
from .text import text_size

Part: TypeAlias = Any
"""A value of any modality: a text, an image, audio, or a plugin's own."""


@dataclass(frozen=True, slots=True)
class Message:
    """One turn of a conversation. ``role``: who says it. ``content``: a text, or parts in order, e.g. ``(Image(...), "What is this?")``."""

    role: str
    content: str

    @property
    def text(self) -> str:
        return self.content

    def with_text(self, text: str, /) -> Message:
        """Return the message with another text."""
        return replace(self, content=text)


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
    """The texts of its messages, and a position for the head of each."""

    name = "chat"
    type = Chat

    def size(self, value: Chat, /) -> int:
        return max(1, sum(text_size(message.content) + 1 for message in value.messages))

    def preview(self, value: Chat, /) -> Shown:
        return Shown(self.name, parts=tuple((message.role, message.content) for message in value.messages))


# ── a prompt: a text, or a chat ───────────────────────────────────────────────────────────────────────────────────────


def chat_of(prompt: object, /) -> Chat | None:
    """Return the prompt where it is a chat."""
    return prompt if isinstance(prompt, Chat) else None


def messages_of(prompt: Part, /) -> tuple[Message, ...]:
    """Return the prompt as messages: those of a chat, and anything else as one of the user's."""
    return prompt.messages if isinstance(prompt, Chat) else (Message("user", prompt),)


def last_text(prompt: object, /) -> str | None:
    """Return the text that a prompt ends with: all of a text, or a chat's last message. None where it is neither, or an empty chat."""
    if isinstance(prompt, Chat):
        return prompt.messages[-1].text if prompt.messages else None
    return prompt if isinstance(prompt, str) else None


def with_last_text(prompt: Part, text: str, /) -> str | Chat:
    """Return the prompt with another text at its end (`last_text`)."""
    if not isinstance(prompt, Chat):
        return text
    *before, last = prompt.messages
    return Chat((*before, last.with_text(text)))


def user_chat(prompt: Part, /, system: Sequence[Message] = ()) -> Chat:
    """Return the prompt as a chat, behind these messages."""
    return Chat((*system, *messages_of(prompt)))
