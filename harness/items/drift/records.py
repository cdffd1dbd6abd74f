"""How far answers move that are asked again, alone."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from ...api.requests import Failure
from ...api.samples import Record, Sample
from ...api.task import Task
from ...engine import Engine
from ...engine.packing import Budget
from ...scorecard.names import DRIFT_SHARE, DRIFT_TOLERANCE
from ..base.requests import requests_of_sample

_ALONE = Budget(1, 1, pack=0)


def make_drift_records(
    engine: Engine, item: str, task: Task, samples: Sequence[Sample], most_tokens: float, exact: Callable[[], Engine] | None = None
) -> list[Record]:  # fmt: skip
    """How far answers are from those that the run got, when the same is asked alone: ``batch_drift`` (law 2), as a share of the answers'
    spread. The first request of each sample is asked, of as many samples as ``most_tokens`` allow, cheapest first.

    ``repeat_drift``: how far the model is from itself; asked once more where it moved, which tells a randomised model from one that mixes
    its batch. ``exact``: gives the same model in float32, where the engine's is not: how far the answer alone is from it is
    ``precision_drift``.
    """
    asked = [requests_of_sample(task, sample) for sample in samples]
    firsts = {i: requests[0] for i, requests in enumerate(asked) if not isinstance(requests, Failure) and requests}
    answered = zip(firsts, engine.known(list(firsts.values())), strict=True)
    given = {i: answer for i, answer in answered if answer is not None and answer.numbers()}
    chosen = _affordable({i: engine.tokens_of(firsts[i]) for i in given}, most_tokens / (1 if exact is None else 2))
    unit = math.sqrt(math.fsum(a.spread() ** 2 for a in given.values()) / max(1, len(given))) or 1.0

    def alone(of: Engine, which: Sequence[int]) -> dict[int, Any]:
        return dict(zip(which, of.uncached([firsts[i] for i in which], _ALONE), strict=True)) if which else {}

    once = alone(engine, chosen)
    batch = {i: _distance(given[i], answer, unit) for i, answer in once.items()}
    again = alone(engine, [i for i, gap in batch.items() if gap is not None and gap > DRIFT_TOLERANCE])
    precise = alone(exact(), chosen) if exact is not None and chosen else {}
    records = []
    for i, (sample, requests) in enumerate(zip(samples, asked, strict=True)):
        if isinstance(requests, Failure):
            records.append(Record(sample.id, item, {}, requests.error))
        elif i in once:
            scores = {"batch_drift": batch[i], "repeat_drift": _distance(once[i], again[i], unit) if i in again else batch[i]}
            records.append(Record(sample.id, item, scores | ({"precision_drift": _distance(once[i], precise[i], unit)} if precise else {})))
        else:
            cost = f"asking again would take more than {DRIFT_SHARE:.0%} of the task's tokens"
            records.append(
                Record(sample.id, item, {}, artifacts={"unscored": cost if i in given else "there is no answer to compare with"})
            )
    return records


def _affordable(costs: Mapping[int, int], most: float) -> list[int]:
    """As many as can be had for so much, by what each costs; nothing is free."""
    chosen: list[int] = []
    for i in sorted(costs, key=lambda i: (costs[i], i)):
        if costs[i] and sum(costs[k] for k in chosen) + costs[i] <= most:
            chosen.append(i)
    return sorted(chosen)


def _distance(a: Any, b: Any, unit: float) -> float | None:
    """The largest change of a number, in ``unit``."""
    if isinstance(a, Failure) or isinstance(b, Failure):
        return None
    largest: float = max(abs(x - y) for x, y in zip(a.numbers(), b.numbers(), strict=True))
    return largest / unit
