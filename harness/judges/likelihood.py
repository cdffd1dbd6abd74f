"""Judge with log-likelihoods: the verdict is the allowed word that a language model finds most likely, not its text.

A small model often ignores the format that a rubric asks for. The log-likelihood of each allowed word as the start of
the reply always gives a verdict, with a probability. The words share the prompt as prefix, so they cost little more
than one.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from ..api.model_port import ModelPort
from ..api.requests import LogLikelihood
from ..api.responses import Failure, LogProb
from ..modalities.chat import Chat, Message

Shares = tuple[float, ...]


def can_weigh(judge: ModelPort, /) -> bool:
    """Whether a model returns log-likelihoods."""
    return "loglikelihood" in judge.info.answers


def weigh_words(judge: ModelPort, prompts: Sequence[str], words: Sequence[str], /) -> list[Shares | Failure]:
    """Return the probabilities of the words as the reply to each prompt, normalised to sum to 1.

    A word counts both with and without a capital. For a model with a chat template, the prompt is a user message;
    otherwise it is plain text that continues with a space and the word.
    """
    in_chat = judge.info.takes("loglikelihood", "chat")
    spellings = [list(dict.fromkeys((word, word.capitalize()))) for word in words]
    requests = [
        LogLikelihood(Chat((Message("user", prompt),)) if in_chat else prompt, spelling, " ")
        for prompt in prompts
        for of_word in spellings
        for spelling in of_word
    ]
    responses = iter(judge.try_run(requests))
    shares: list[Shares | Failure] = []
    for _ in prompts:
        by_word = [[next(responses) for _ in of_word] for of_word in spellings]
        failure = next((response for of_word in by_word for response in of_word if isinstance(response, Failure)), None)
        known = [[response for response in of_word if isinstance(response, LogProb)] for of_word in by_word]
        shares.append(failure or _normalise(words, known))
    return shares


def _normalise(words: Sequence[str], by_word: Sequence[Sequence[LogProb]]) -> Shares:
    # Relative to the most likely word, so that no word after a long prompt underflows to zero.
    largest = max(log_prob.value for of_word in by_word for log_prob in of_word)
    sums = [math.fsum(math.exp(log_prob.value - largest) for log_prob in of_word) for of_word in by_word]
    lengths = [of_word[0].num_tokens for of_word in by_word]
    # If "10" has the tokens "1" and "0", the probability of "1" includes that of "10".
    weights = [
        weight - math.fsum(sums[b] for b, other in enumerate(words) if lengths[b] > lengths[a] and other.startswith(word))
        for a, (word, weight) in enumerate(zip(words, sums, strict=True))
    ]
    total = math.fsum(weights)
    return tuple(max(0.0, weight) / total for weight in weights)
