"""Records of drift: changes of answers that are repeated alone."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from ...api.responses import Failure
from ...api.samples import Record, Sample
from ...api.task import Task
from ...engine import Engine
from ...engine.packing import Budget
from ...scorecard.names import DRIFT_SHARE, DRIFT_TOLERANCE
from ..base.requests import list_sample_requests

_ALONE = Budget(1, 1, pack=0)


def make_drift_records(
    engine: Engine, item: str, task: Task, samples: Sequence[Sample], most_tokens: float, exact: Callable[[], Engine] | None = None
) -> list[Record]:  # fmt: skip
    """Repeat the first request of each sample alone, and return one record per sample.

    Scores, as shares of the answers' spread: ``batch_drift``, the change from the run's answer; ``repeat_drift``, the change when an
    answer with batch drift is repeated once more, which distinguishes a randomised model from one that mixes its batch;
    ``precision_drift``, the distance from the answer in float32.

    ``most_tokens``: the token budget; the cheapest samples come first.
    ``exact``: loads the model in float32; None if the engine's model runs in float32.
    """
    asked = [list_sample_requests(task, sample) for sample in samples]
    firsts = {i: requests[0] for i, requests in enumerate(asked) if not isinstance(requests, Failure) and requests}
    answered = zip(firsts, engine.known(list(firsts.values())), strict=True)
    given = {i: answer for i, answer in answered if answer is not None and answer.numbers()}
    chosen = _choose_affordable({i: engine.tokens_of(firsts[i]) for i in given}, most_tokens / (1 if exact is None else 2))
    unit = math.sqrt(math.fsum(a.spread() ** 2 for a in given.values()) / max(1, len(given))) or 1.0

    def alone(of: Engine, which: Sequence[int]) -> dict[int, Any]:
        return dict(zip(which, of.uncached([firsts[i] for i in which], _ALONE), strict=True)) if which else {}

    once = alone(engine, chosen)
    batch = {i: _measure_distance(given[i], answer, unit) for i, answer in once.items()}
    again = alone(engine, [i for i, gap in batch.items() if gap is not None and gap > DRIFT_TOLERANCE])
    precise = alone(exact(), chosen) if exact is not None and chosen else {}
    records = []
    for i, (sample, requests) in enumerate(zip(samples, asked, strict=True)):
        if isinstance(requests, Failure):
            records.append(Record(sample.id, item, {}, requests.error))
        elif i in once:
            scores = {"batch_drift": batch[i], "repeat_drift": _measure_distance(once[i], again[i], unit) if i in again else batch[i]}
            records.append(
                Record(sample.id, item, scores | ({"precision_drift": _measure_distance(once[i], precise[i], unit)} if precise else {}))
            )
        else:
            cost = f"asking again would take more than {DRIFT_SHARE:.0%} of the task's tokens"
            records.append(
                Record(sample.id, item, {}, artifacts={"unscored": cost if i in given else "there is no answer to compare with"})
            )
    return records


def _choose_affordable(costs: Mapping[int, int], most: float) -> list[int]:
    """Choose as many samples as the budget allows, cheapest first. Samples with a cost of 0 are not chosen."""
    chosen: list[int] = []
    for i in sorted(costs, key=lambda i: (costs[i], i)):
        if costs[i] and sum(costs[k] for k in chosen) + costs[i] <= most:
            chosen.append(i)
    return sorted(chosen)


def _measure_distance(a: Any, b: Any, unit: float) -> float | None:
    """Return the largest change of a number, in ``unit``."""
    if isinstance(a, Failure) or isinstance(b, Failure):
        return None
    largest: float = max(abs(x - y) for x, y in zip(a.numbers(), b.numbers(), strict=True))
    return largest / unit
