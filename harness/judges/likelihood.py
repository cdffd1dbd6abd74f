"""A verdict from a language model that does not follow orders: not what it writes, but which of the allowed words it finds likeliest.

A small model answers a rubric with a speech. Asked for the log-likelihood of each allowed word as the beginning of its answer, it always
gives a verdict, and a probability with it. The words of one prompt share all of it, so that they cost little more than one.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from ..api.model_port import ModelPort
from ..api.requests import Failure, LogLikelihood, LogProb
from ..modalities.chat import Chat, Message

Shares = tuple[float, ...]


def can_weigh(judge: ModelPort, /) -> bool:
    return "loglikelihood" in judge.info.answers


def weighed(judge: ModelPort, prompts: Sequence[str], words: Sequence[str], /) -> list[Shares | Failure]:
    """Of each prompt, how likely the judge finds each of the words, as shares that sum to 1. A word counts with and without a capital.

    A model with a chat template is asked in it; another one reads the prompt as plain text that the word, after a space, goes on with.
    """
    in_chat = judge.info.takes("loglikelihood", "chat")
    shapes = [list(dict.fromkeys((word, word.capitalize()))) for word in words]
    asked = [
        LogLikelihood(Chat((Message("user", prompt),)) if in_chat else prompt, shape, " ")
        for prompt in prompts
        for among in shapes
        for shape in among
    ]
    answers = iter(judge.try_run(asked))
    found: list[Shares | Failure] = []
    for _ in prompts:
        said = [[next(answers) for _ in among] for among in shapes]
        failed = next((answer for among in said for answer in among if isinstance(answer, Failure)), None)
        found.append(failed or _shares(words, said))
    return found


def _shares(words: Sequence[str], said: Sequence[Sequence[LogProb]]) -> Shares:
    # Relative to the likeliest, so that none of a long prompt's unlikely words falls to zero.
    most = max(answer.value for among in said for answer in among)
    sums = [math.fsum(math.exp(answer.value - most) for answer in among) for among in said]
    lengths = [among[0].num_tokens for among in said]
    # Where "10" is written as "1" and "0", what "1" begins includes it.
    weights = [
        weight - math.fsum(sums[b] for b, other in enumerate(words) if lengths[b] > lengths[a] and other.startswith(word))
        for a, (word, weight) in enumerate(zip(words, sums, strict=True))
    ]
    total = math.fsum(weights)
    return tuple(max(0.0, weight) / total for weight in weights)
