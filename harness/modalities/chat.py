"""A conversation."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Message:
    role: str
    content: str


@dataclass(frozen=True, slots=True)
class Chat:
    """A conversation; the model's own chat template turns it into a prompt. A last message of the role ``assistant`` is an answer that
    is begun: the model goes on from there."""

    messages: tuple[Message, ...]
