"""Prompts of a language model: with something behind them, or put in other words."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from ..api.errors import ConfigError
from ..api.model_port import ModelPort
from ..api.requests import LogLikelihood
from ..api.samples import Sample
from ..api.settings import Bound, check_fields
from ..api.threat import Threat
from ..modalities.chat import Chat
from ..modalities.inputs import Input


@dataclass(frozen=True, slots=True)
class SuffixBudget(Threat):
    """The clean prompt, character for character, and behind it at most ``max_chars`` characters, ``max_words`` words and ``max_tokens``
    tokens of the model under attack. None: no bound.

    Of a chat the last message is the prompt, and the others may not change. Tokens are counted by the model itself, in the log-likelihood
    of the suffix behind the prompt.
    """

    max_chars: Bound | None = None
    max_words: Bound | None = None
    max_tokens: Bound | None = None
    instead = "bound the suffix by max_chars or max_words in place of max_tokens"

    @property
    def requires(self) -> frozenset[str]:  # type: ignore[override]
        """What the model under attack has to answer."""
        return frozenset({"loglikelihood"}) if self.max_tokens is not None else frozenset()

    def __post_init__(self) -> None:
        check_fields("threat 'suffix'", self)

    def admits(self, clean: Sample, perturbed: Sample, measured: Mapping[str, float] | None = None, /) -> bool:
        """``measured``: what `measure` says of the two. Without it the characters and words alone decide."""
        if self.max_tokens is not None and measured and not measured["tokens_added"] <= self.max_tokens:
            return False
        before, after = _turns(clean.input), _turns(perturbed.input)
        if type(clean.input) is not type(perturbed.input) or before[:-1] != after[:-1] or before[-1][0] != after[-1][0]:
            return False
        prompt, text = before[-1][1], after[-1][1]
        suffix = text[len(prompt) :]
        bounds = ((len(suffix), self.max_chars), (len(suffix.split()), self.max_words))
        return text.startswith(prompt) and all(bound is None or size <= bound for size, bound in bounds)

    def measure(self, engine: ModelPort, pairs: Sequence[tuple[Sample, Sample]], /) -> list[dict[str, float]]:
        """``tokens_added``, of the model under attack, where they are bounded and something was added."""
        found: list[dict[str, float]] = [{} for _ in pairs]
        if self.max_tokens is None:
            return found
        ends = [(_turns(clean.input)[-1][1], _turns(twin.input)[-1][1]) for clean, twin in pairs]
        grown = [i for i, (prompt, text) in enumerate(ends) if text.startswith(prompt) and text != prompt]
        answers = engine.run([LogLikelihood(ends[i][0], ends[i][1][len(ends[i][0]) :]) for i in grown])
        for i, answer in zip(grown, answers, strict=True):
            found[i]["tokens_added"] = float(answer.num_tokens)
        return found

    def distance(self, clean: Sample, perturbed: Sample, /) -> Mapping[str, float]:
        return _grown(clean, perturbed)


@dataclass(frozen=True, slots=True)
class AnyPrompt(Threat):
    """Any text or chat that asks for the same thing. ``keep_prompt``: the clean prompt must stand in it, character for character.

    Whether a rewording still asks for the same is nothing that two texts alone can tell; the task's scoring of the answer has to.
    """

    keep_prompt: bool = False
    max_chars: Bound | None = None

    def __post_init__(self) -> None:
        check_fields("threat 'prompt'", self)

    def admits(self, clean: Sample, perturbed: Sample, measured: Mapping[str, float] | None = None, /) -> bool:
        if not isinstance(perturbed.input, str | Chat):
            return False
        texts = [text for _, text in _turns(perturbed.input)]
        small = self.max_chars is None or sum(map(len, texts)) <= self.max_chars
        return small and (not self.keep_prompt or any(_turns(clean.input)[-1][1] in text for text in texts))

    def distance(self, clean: Sample, perturbed: Sample, /) -> Mapping[str, float]:
        return _grown(clean, perturbed)


def _turns(value: Input) -> list[tuple[str, str]]:
    """A prompt's messages as (role, text). Raises `ConfigError` for what is neither text nor a chat."""
    if isinstance(value, str):
        return [("user", value)]
    if isinstance(value, Chat) and value.messages:
        return [(m.role, m.content) for m in value.messages]
    raise ConfigError(f"a budget of a prompt is about text or a chat, not {type(value).__name__}")


def _grown(clean: Sample, perturbed: Sample) -> dict[str, float]:
    before, after = (sum(len(text) for _, text in _turns(s.input)) for s in (clean, perturbed))
    return {"chars_added": float(after - before)}
