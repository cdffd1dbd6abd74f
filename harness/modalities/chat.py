"""A conversation."""

from __future__ import annotations

from dataclasses import dataclass

from .base import Modality, Shown
from .text import text_size


@dataclass(frozen=True, slots=True)
class Message:
    role: str
    content: str


@dataclass(frozen=True, slots=True)
class Chat:
    """A conversation; the model's own chat template turns it into a prompt. A last message of the role ``assistant`` is an answer that
    is begun: the model goes on from there."""

    messages: tuple[Message, ...]


class ChatModality(Modality[Chat]):
    """The texts of its messages, and a position for the head of each."""

    name = "chat"
    type = Chat

    def size(self, value: Chat, /) -> int:
        return max(1, sum(text_size(message.content) + 1 for message in value.messages))

    def preview(self, value: Chat, /) -> Shown:
        return Shown(self.name, parts=tuple((message.role, message.content) for message in value.messages))
