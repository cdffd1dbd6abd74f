"""Helpers of both suffix searches: the target, the loss of a suffix, and the state of each search."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import cast

import numpy as np

from ...harness.api.errors import SampleError
from ...harness.api.model_port import ModelPort
from ...harness.api.requests import LogLikelihood
from ...harness.api.responses import Failure
from ...harness.api.samples import Sample
from ...harness.modalities.chat import Chat
from .prompts import fail, format_as_task, is_benign, read_goal, read_prompt, replace_prompt


@dataclass(slots=True)
class Search:
    """The search for one sample.

    loss: loss of the target under the best suffix, nats per token.
    losses: loss of each round's suffix.
    reached: whether the model's most likely answer starts with the target.
    stopped: reason if the search cannot continue.
    """

    sample: Sample
    target: str
    suffix: str
    draw: np.random.Generator
    best: str = ""
    loss: float = float("inf")
    reached: bool = False
    queries: int = 0
    losses: list[float] = field(default_factory=list)
    stopped: str = ""

    @property
    def is_open(self) -> bool:
        return not self.reached and not self.stopped

    def request(self, engine: ModelPort, suffix: str, /) -> LogLikelihood:
        prompt = format_as_task(engine, replace_prompt(self.sample, read_prompt(self.sample) + suffix))
        return LogLikelihood(cast(str | Chat, prompt), self.target)

    def take(self, suffix: str, loss: float, reached: bool) -> None:
        """Continue from this suffix."""
        self.suffix = suffix
        self.losses.append(loss)
        if loss < self.loss or reached:
            self.best, self.loss, self.reached = suffix, loss, reached

    def twin(self) -> Sample:
        if self.stopped and not self.losses:
            return fail(self.sample, self.stopped)
        facts = {
            "num_queries": self.queries,
            "target_loss": self.loss,
            "target_reached": self.reached,
            "losses": self.losses,
            "budget_exhausted": self.is_open,
        }
        why = {"stopped": self.stopped} if self.stopped else {}
        return replace_prompt(self.sample, read_prompt(self.sample) + self.best, wanted=self.target, **facts, **why)


def make_target(sample: Sample, target: str, /) -> str:
    """Return the beginning of a compliant answer: the sample's own, or the setting filled with the goal."""
    sample_target = sample.metadata.get("target")
    if sample_target:
        return str(sample_target)
    goal = read_goal(sample).strip().rstrip("?.!")
    return target.replace("{goal}", goal[:1].lower() + goal[1:])


def query_suffixes(
    engine: ModelPort, suffixes_of: Mapping[int, Sequence[str]], searches: Sequence[Search], /
) -> dict[int, list[tuple[float, bool] | None]]:
    """Return for each search's suffixes the target's loss (nats per token) and whether the target is the most
    likely answer; None for a failed request. All searches share one engine call, which computes shared
    prefixes once."""
    requests = [searches[i].request(engine, suffix) for i, suffixes in suffixes_of.items() for suffix in suffixes]
    answers = iter(engine.try_run(requests))
    losses: dict[int, list[tuple[float, bool] | None]] = {}
    for i, suffixes in suffixes_of.items():
        responses = [next(answers) for _ in suffixes]
        searches[i].queries += len(suffixes)
        losses[i] = [None if isinstance(a, Failure) else (-a.value / a.num_tokens, a.is_greedy) for a in responses]
        why = next((a.error for a in responses if isinstance(a, Failure)), "")
        if why and all(loss is None for loss in losses[i]):
            searches[i].stopped = why
    return losses


def start_searches(
    engine: ModelPort, samples: Sequence[Sample], target: str, init: str, draws: Sequence[np.random.Generator], /
) -> list[Search]:
    """Start a search per sample and query its first suffix. Benign samples are not searched."""
    searches = []
    for sample, draw in zip(samples, draws, strict=True):
        try:
            search = Search(sample, make_target(sample, target), init, draw)
        except SampleError as error:
            search = Search(sample, "", init, draw, stopped=str(error))
        searches.append(search)
    first = {i: [init] for i, search in enumerate(searches) if not search.stopped and not is_benign(search.sample)}
    for i, (loss,) in query_suffixes(engine, first, searches).items():
        if loss is not None:
            searches[i].take(init, *loss)
    return searches
