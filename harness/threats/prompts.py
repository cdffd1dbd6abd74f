"""Threat models for prompts of a language model: an appended suffix, or any rewording."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from ..api.errors import ConfigError
from ..api.model_port import ModelPort
from ..api.requests import LogLikelihood
from ..api.samples import Sample
from ..api.settings import Bound, check_fields
from ..api.threat import Threat
from ..modalities.chat import find_last_text, split_parts, with_last_text
from ..modalities.inputs import Input, name_modality


@dataclass(frozen=True, slots=True)
class SuffixBudget(Threat):
    """The unchanged prompt with a suffix of bounded length. None: no bound.

    In a chat, the last message is the prompt; the others may not change.

    max_chars: maximum number of characters of the suffix.
    max_words: maximum number of words of the suffix.
    max_tokens: maximum number of tokens of the suffix, as the model under attack counts them in a log-likelihood.
    """

    max_chars: Bound | None = None
    max_words: Bound | None = None
    max_tokens: Bound | None = None
    instead = "bound the suffix by max_chars or max_words in place of max_tokens"

    @property
    def requires(self) -> frozenset[str]:  # type: ignore[override]
        """Request kinds that the model under attack must support."""
        return frozenset({"loglikelihood"}) if self.max_tokens is not None else frozenset()

    def __post_init__(self) -> None:
        check_fields("threat 'suffix'", self)

    def admits(self, clean: Sample, perturbed: Sample, measured: Mapping[str, float] | None = None, /) -> bool:
        """Whether the perturbed sample is the clean prompt with a suffix within the bounds.

        measured: the result of `measure` for the two samples; without it, only characters and words are checked.
        """
        if self.max_tokens is not None and measured and not measured["tokens_added"] <= self.max_tokens:
            return False
        prompt, text = _find_last_text(clean.input), _find_last_text(perturbed.input)
        if with_last_text(clean.input, "") != with_last_text(perturbed.input, ""):
            return False
        suffix = text[len(prompt) :]
        bounds = ((len(suffix), self.max_chars), (len(suffix.split()), self.max_words))
        return text.startswith(prompt) and all(bound is None or size <= bound for size, bound in bounds)

    def measure(self, engine: ModelPort, pairs: Sequence[tuple[Sample, Sample]], /) -> list[dict[str, float]]:
        """Count ``tokens_added`` by the model under attack for each pair, if tokens are bounded and a suffix was added."""
        measured: list[dict[str, float]] = [{} for _ in pairs]
        if self.max_tokens is None:
            return measured
        ends = [(_find_last_text(clean.input), _find_last_text(twin.input)) for clean, twin in pairs]
        extended = [i for i, (prompt, text) in enumerate(ends) if text.startswith(prompt) and text != prompt]
        responses = engine.run([LogLikelihood(ends[i][0], ends[i][1][len(ends[i][0]) :]) for i in extended])
        for i, response in zip(extended, responses, strict=True):
            measured[i]["tokens_added"] = float(response.num_tokens)
        return measured

    def distance(self, clean: Sample, perturbed: Sample, /) -> Mapping[str, float]:
        return _count_added(clean, perturbed)


@dataclass(frozen=True, slots=True)
class AnyPrompt(Threat):
    """Any text or chat, intended to make the same request in other words.

    Whether a rewording makes the same request cannot be checked from the two texts; the task's scoring has to.

    keep_prompt: one message must contain the unchanged clean prompt.
    max_chars: maximum number of characters of all messages; None for no bound.
    """

    keep_prompt: bool = False
    max_chars: Bound | None = None

    def __post_init__(self) -> None:
        check_fields("threat 'prompt'", self)

    def admits(self, clean: Sample, perturbed: Sample, measured: Mapping[str, float] | None = None, /) -> bool:
        if find_last_text(perturbed.input) is None:
            return False
        texts, others = split_parts(perturbed.input)
        if others != split_parts(clean.input)[1]:
            return False
        small = self.max_chars is None or sum(map(len, texts)) <= self.max_chars
        return small and (not self.keep_prompt or any(_find_last_text(clean.input) in text for text in texts))

    def distance(self, clean: Sample, perturbed: Sample, /) -> Mapping[str, float]:
        return _count_added(clean, perturbed)


def _find_last_text(value: Input) -> str:
    """Return the text that a prompt ends with. Raises `ConfigError` for what is neither text nor a chat."""
    text = find_last_text(value)
    if text is None:
        raise ConfigError(f"threats 'suffix' and 'prompt' need text or a chat, not a {name_modality(value)}")
    return text


def _count_added(clean: Sample, perturbed: Sample) -> dict[str, float]:
    for sample in (clean, perturbed):
        _find_last_text(sample.input)
    before, after = (sum(map(len, split_parts(sample.input)[0])) for sample in (clean, perturbed))
    return {"chars_added": float(after - before)}
