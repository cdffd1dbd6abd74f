"""Helpers of all language model attacks: locate a sample's prompt and goal, format prompts for a model,
generate text."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from ...harness.api.errors import SampleError
from ...harness.api.model_port import ModelPort
from ...harness.api.requests import Generate
from ...harness.api.responses import Failure
from ...harness.api.samples import Sample
from ...harness.modalities.chat import Chat, find_last_text, list_modalities_in, make_chat, with_last_text
from ...harness.modalities.inputs import Input, name_modality


def read_prompt(sample: Sample, /) -> str:
    """Return the text that an attack may change: the sample's own, or the last message of its chat. Raises
    `SampleError`."""
    text = find_last_text(sample.input)
    if text is None:
        raise SampleError(f"an attack on a language model works on text or a chat, not on a {name_modality(sample.input)}")
    return text


def read_goal(sample: Sample, /) -> str:
    """Return the goal in plain words: the task's ``goal``, or the prompt."""
    return str(sample.metadata.get("goal") or read_prompt(sample))


def is_benign(sample: Sample, /) -> bool:
    """Return whether the sample is benign; a search for an answer to it would prove nothing."""
    return sample.metadata.get("harmful") is False


def replace_prompt(sample: Sample, text: str, /, **facts: Any) -> Sample:
    """Return the sample with another prompt. ``facts`` are added to its record."""
    return replace(sample, input=with_last_text(sample.input, text), metadata={**sample.metadata, **facts})


def fail(sample: Sample, error: str, /) -> Sample:
    """Return the sample with an error."""
    return replace(sample, metadata={**sample.metadata, "error": error})


def format_as_task(engine: ModelPort, sample: Sample, /) -> Input:
    """Return the prompt as the attacked task sends it, with system message, header and template; without a
    task, as a message to a chat model and as plain text to others."""
    for request in engine.asked(sample):
        if isinstance(request, Generate):
            return request.prompt
    read_prompt(sample)
    return format_chat(engine, make_chat(sample.input))


def format_chat(engine: ModelPort, chat: Chat, /) -> str | Chat:
    """Return the chat, or its text if the model has no chat template. Raises `SampleError` if the chat then
    has parts without text."""
    if engine.info.takes("generate", "chat"):
        return chat
    if others := list_modalities_in(chat):
        raise SampleError(
            f"the model accepts no chat, and this chat has a part of the modality {min(others)!r}, which cannot be written as text"
        )
    return "\n\n".join(part for message in chat.messages for part in message.parts)


def generate(
    engine: ModelPort, prompts: Sequence[Input], max_tokens: int, *, temperature: float = 0.0, seeds: Sequence[int] = ()
) -> list[str | Failure]:
    """Generate text for each prompt, in one engine call.

    max_tokens: maximum length of each text.
    temperature: sampling temperature.
    seeds: seed of each prompt.
    """
    requests = [
        Generate(prompt, max_tokens, temperature=temperature, seed=seeds[i] if temperature else 0) for i, prompt in enumerate(prompts)
    ]
    return [answer if isinstance(answer, Failure) else answer.text for answer in engine.try_run(requests)]
