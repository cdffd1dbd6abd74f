"""What both suffix searches share: a target to make likely, how likely a suffix makes it, and where each search stands."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from ...harness.api.errors import SampleError
from ...harness.api.model_port import ModelPort
from ...harness.api.requests import Failure, LogLikelihood
from ...harness.api.samples import Sample
from .prompts import as_sent, failed, goal_of, is_benign, prompt_of, with_prompt


@dataclass(slots=True)
class Search:
    """A sample's search. ``loss``: nats a token of the target has under the best suffix; ``losses``: of each round's suffix, from the first
    on. ``reached``: the model's likeliest answer begins with the target. ``stopped``: why it goes no further."""

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
        return LogLikelihood(as_sent(engine, with_prompt(self.sample, prompt_of(self.sample) + suffix)), self.target)

    def take(self, suffix: str, loss: float, reached: bool) -> None:
        """Go on from this suffix."""
        self.suffix = suffix
        self.losses.append(loss)
        if loss < self.loss or reached:
            self.best, self.loss, self.reached = suffix, loss, reached

    def twin(self) -> Sample:
        if self.stopped and not self.losses:
            return failed(self.sample, self.stopped)
        facts = {
            "num_queries": self.queries,
            "target_loss": self.loss,
            "target_reached": self.reached,
            "losses": self.losses,
            "budget_exhausted": self.is_open,
        }
        why = {"stopped": self.stopped} if self.stopped else {}
        return with_prompt(self.sample, prompt_of(self.sample) + self.best, wanted=self.target, **facts, **why)


def target_of(sample: Sample, target: str, /) -> str:
    """The beginning of an answer that complies: the sample's own, or the setting with the goal filled in."""
    own = sample.metadata.get("target")
    if own:
        return str(own)
    goal = goal_of(sample).strip().rstrip("?.!")
    return target.replace("{goal}", goal[:1].lower() + goal[1:])


def ask(engine: ModelPort, asked: Mapping[int, Sequence[str]], searches: Sequence[Search], /) -> dict[int, list[tuple[float, bool] | None]]:
    """Of each search's suffixes, the target's loss in nats a token and whether it is the likeliest answer; None where asking failed. All
    searches in one call: what their prompts have in common is computed once."""
    requests = [searches[i].request(engine, suffix) for i, suffixes in asked.items() for suffix in suffixes]
    answers = iter(engine.try_run(requests))
    found: dict[int, list[tuple[float, bool] | None]] = {}
    for i, suffixes in asked.items():
        said = [next(answers) for _ in suffixes]
        searches[i].queries += len(suffixes)
        found[i] = [None if isinstance(a, Failure) else (-a.value / a.num_tokens, a.is_greedy) for a in said]
        why = next((a.error for a in said if isinstance(a, Failure)), "")
        if why and all(one is None for one in found[i]):
            searches[i].stopped = why
    return found


def begun(engine: ModelPort, samples: Sequence[Sample], target: str, init: str, draws: Sequence[np.random.Generator], /) -> list[Search]:
    """A search a sample, its first suffix asked. Benign samples are not searched."""
    searches = []
    for sample, draw in zip(samples, draws, strict=True):
        try:
            search = Search(sample, target_of(sample, target), init, draw)
        except SampleError as error:
            search = Search(sample, "", init, draw, stopped=str(error))
        searches.append(search)
    first = {i: [init] for i, search in enumerate(searches) if not search.stopped and not is_benign(search.sample)}
    for i, (said,) in ask(engine, first, searches).items():
        if said is not None:
            searches[i].take(init, *said)
    return searches
