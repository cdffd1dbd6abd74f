"""The state of generating text after a prompt, token by token."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from transformers import LogitsProcessor, StoppingCriteria

from ...api.requests import Generate
from ...api.responses import Completion
from ..common.stop_strings import cut
from ..torch.logits import make_nan_error


@dataclass(frozen=True, slots=True)
class Prompt:
    ids: list[int]
    request: Generate
    num_truncated: int = 0


class Writing:
    """A growing continuation. It is ``done`` at an end token, a stop string or the maximum number of tokens.

    Each step decodes only the tail: a token is at least one byte, so a stop string of n bytes is in the last n tokens.
    """

    def __init__(self, prompt: Prompt, tokenizer: Any, ends: Collection[int]) -> None:
        self.prompt, self.done = prompt, False
        self._tokenizer, self._ends = tokenizer, ends
        self._tail = 8 + max((len(s.encode("utf-8", "replace")) for s in prompt.request.stop), default=0)
        self._stops = [stop for stop in prompt.request.stop if stop]
        self._generator = torch.Generator().manual_seed(prompt.request.seed) if prompt.request.temperature > 0 else None
        self._has_stopped = False
        self._ids: list[int] = []

    @property
    def num_tokens(self) -> int:
        return len(self._ids)

    def add(self, token: int, /) -> None:
        self._ids.append(token)
        if self._stops:
            recent = self._tokenizer.decode(self._ids[-self._tail :], skip_special_tokens=True)
            self._has_stopped = any(stop in recent for stop in self._stops)
        self.done = self._has_stopped or token in self._ends or len(self._ids) >= self.prompt.request.max_tokens

    def add_all(self, tokens: Sequence[int], /) -> None:
        """Add the tokens of a whole answer, which may be padded behind its end."""
        for token in tokens:
            if not self.done:
                self.add(token)

    def completion(self) -> Completion:
        return make_completion(self.prompt, self._ids, self._tokenizer, self._ends, has_stopped=self._has_stopped)

    def noise(self, size: int, /) -> torch.Tensor:
        """Draw Gumbel noise [size] from the generator of this prompt, independent of the rest of the batch."""
        assert self._generator is not None
        uniform = torch.rand(size, generator=self._generator, dtype=torch.float64)
        return -torch.log(-torch.log(uniform.clamp_min(1e-300)))


def make_completion(prompt: Prompt, ids: Sequence[int], tokenizer: Any, ends: Collection[int], *, has_stopped: bool) -> Completion:
    """Return the text of generated tokens, without the end token and the stop string. ``has_stopped``: a stop string ended it."""
    ended = ids[-1] in ends
    text = tokenizer.decode(ids[:-1] if ended else ids, skip_special_tokens=True)
    before_stop = cut(text, prompt.request.stop)
    finish = "stop" if has_stopped or ended or before_stop != text else "length"
    return Completion(before_stop, len(ids), finish, len(prompt.ids), prompt.num_truncated)


def apply_temperature(logits_BV: torch.Tensor, writings: Sequence[Writing]) -> torch.Tensor:
    """Return scores [B, V] whose argmax is the next token of each row.

    At temperature 0 it is the most likely token, else a sample from the softmax at the prompts' common temperature: the
    largest entry of logits / temperature + Gumbel noise is an exact sample (Gumbel 1954; Maddison et al. 2014).
    """
    temperature = writings[0].prompt.request.temperature
    if not temperature:
        return logits_BV
    noise_BV = torch.stack([w.noise(logits_BV.shape[1]) for w in writings])
    return logits_BV / temperature + noise_BV.to(logits_BV.device, logits_BV.dtype)


class StopWhenDone(StoppingCriteria):
    """Passes each row's newest token to its `Writing`, and returns which rows are done (they continue with padding)."""

    def __init__(self, writings: Sequence[Writing]) -> None:
        self._writings = writings

    def __call__(self, input_ids: torch.Tensor, scores: Any, **kwargs: Any) -> torch.Tensor:
        for writing, token in zip(self._writings, input_ids[:, -1].tolist(), strict=True):
            if not writing.done:
                writing.add(token)
        return torch.tensor([writing.done for writing in self._writings], device=input_ids.device)


class NextScores(LogitsProcessor):
    """Computes the scores whose argmax is the next token. NaN, for which argmax would return a token, is checked at the end.

    has_beams: the scores are those of beams, which are compared by their sums and stay as they are.
    """

    def __init__(self, writings: Sequence[Writing], *, has_beams: bool = False) -> None:
        self._writings, self._has_beams = writings, has_beams
        self._nan: torch.Tensor | None = None

    def __call__(self, input_ids: torch.Tensor, scores: torch.Tensor) -> torch.Tensor:
        nan = scores.isnan().any()
        self._nan = nan if self._nan is None else self._nan | nan
        return scores if self._has_beams else apply_temperature(scores, self._writings)

    def check(self, name: str) -> None:
        """Raise `NonFiniteError` if a score was NaN. name: name of the model."""
        if self._nan is not None and bool(self._nan):
            raise make_nan_error(name)
