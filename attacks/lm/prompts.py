"""What all attacks on language models share: where a sample's prompt is, what is wanted, and how a model is shown a prompt."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from ...harness.api.errors import SampleError
from ...harness.api.model_port import ModelPort
from ...harness.api.requests import Failure, Generate
from ...harness.api.samples import Sample
from ...harness.modalities.chat import Chat, last_text, modalities_in, user_chat, with_last_text
from ...harness.modalities.inputs import Input, modality


def prompt_of(sample: Sample, /) -> str:
    """The text that an attack may change: the sample's own, or the last message of its chat."""
    text = last_text(sample.input)
    if text is None:
        raise SampleError(f"an attack on a language model works on text or a chat, not on a {modality(sample.input)}")
    return text


def goal_of(sample: Sample, /) -> str:
    """What is wanted, in plain words: the task's ``goal`` where it says one, else the prompt."""
    return str(sample.metadata.get("goal") or prompt_of(sample))


def is_benign(sample: Sample, /) -> bool:
    """Whether the sample asks for nothing harmful: a search for an answer to it would prove nothing."""
    return sample.metadata.get("harmful") is False


def with_prompt(sample: Sample, text: str, /, **facts: Any) -> Sample:
    """The sample with another text in its prompt's place. ``facts`` are kept in the record."""
    return replace(sample, input=with_last_text(sample.input, text), metadata={**sample.metadata, **facts})


def failed(sample: Sample, error: str, /) -> Sample:
    return replace(sample, metadata={**sample.metadata, "error": error})


def as_sent(engine: ModelPort, sample: Sample, /) -> Input:
    """A sample's prompt as the attacked task sends it, with its system message, header and template; where no task says how, as a message
    to a chat model and as plain text to another."""
    for request in engine.asked(sample):
        if isinstance(request, Generate):
            return request.prompt
    prompt_of(sample)
    return as_shown(engine, user_chat(sample.input))


def as_shown(engine: ModelPort, chat: Chat, /) -> str | Chat:
    """A chat, or its text where the model has no chat template. Raises `SampleError` where the chat then has parts that are no text."""
    if engine.info.takes("generate", "chat"):
        return chat
    if others := modalities_in(chat):
        raise SampleError(f"the model takes no chat, and this one has a part of the modality {min(others)!r}")
    return "\n\n".join(part for message in chat.messages for part in message.parts)


def write(
    engine: ModelPort, prompts: Sequence[Input], max_tokens: int, *, temperature: float = 0.0, seeds: Sequence[int] = ()
) -> list[str | Failure]:
    """What the model writes for each prompt, all in one call. ``seeds``: of each prompt's own draw."""
    asked = [Generate(prompt, max_tokens, temperature=temperature, seed=seeds[i] if temperature else 0) for i, prompt in enumerate(prompts)]
    return [answer if isinstance(answer, Failure) else answer.text for answer in engine.try_run(asked)]
