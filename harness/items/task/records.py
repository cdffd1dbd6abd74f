"""Samples to records through the task's own requests and scores. One bad sample is one record with an error."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ...api.errors import SampleError, ends_run, sentence
from ...api.requests import Failure, LogProb, Request
from ...api.samples import Record, Sample
from ...api.task import Task
from ...engine import Engine
from ...engine.batching import isolated
from ...engine.packing import Budget
from ...scorecard.names import DRIFT_SHARE, DRIFT_TOLERANCE


@dataclass(frozen=True, slots=True)
class Judged:
    """A sample's responses and what the task made of them. ``error`` set: nothing else is."""

    responses: Sequence[Any] = ()
    scores: Mapping[str, float | None] | None = None
    artifacts: Mapping[str, Any] | None = None
    error: str | None = None


def judge(engine: Engine, task: Task, samples: Sequence[Sample]) -> list[Judged]:
    """All the samples' requests in one engine call; each sample's answers scored by the task."""
    if task.is_sequential:
        found = isolated(lambda some: _run(engine, task, some), samples)
        answered = [Failure(responses) if isinstance(responses, str) else responses for responses in found]
    else:
        asked = [_asked(task, sample) for sample in samples]
        stream = iter(engine.try_run(_flat(asked)))
        answered = [r if isinstance(r, Failure) else [next(stream) for _ in r] for r in asked]
    return [_judged(task, sample, responses) for sample, responses in zip(samples, answered, strict=True)]


def _run(engine: Engine, task: Task, samples: Sequence[Sample]) -> list[list[Any]]:
    """The responses of a task that decides as it goes, of all the samples at once."""
    answered = [list(responses) for responses in task.run(engine, samples)]
    if len(answered) != len(samples):
        raise SampleError(f"the task's run() answered for {len(answered)} samples of {len(samples)}")
    return answered


def requests_of(task: Task, samples: Sequence[Sample]) -> list[Request[Any]]:
    """What a task will ask for its samples, where that is known beforehand."""
    return [] if task.is_sequential else _flat([_asked(task, sample) for sample in samples])


def task_records(engine: Engine, item: str, task: Task, samples: Sequence[Sample]) -> list[Record]:
    return [
        Record(sample.id, item, j.scores or {}, j.error, {**_likelihoods(j.responses), **(j.artifacts or {}), **slice_of(sample)})
        for sample, j in zip(samples, judge(engine, task, samples), strict=True)
    ]


def _likelihoods(responses: Sequence[Any]) -> dict[str, list[float]]:
    """Of a sample with several continuations, what the model gave each, in nats, as it gave it: before lengths or a softmax."""
    values = [r.value for r in responses if isinstance(r, LogProb)]
    return {"loglikelihoods": values} if len(values) > 1 else {}


def slice_of(sample: Sample, /) -> dict[str, str]:
    """What a record keeps of the part of the set that its sample belongs to."""
    return {"slice": str(sample.metadata["slice"])} if "slice" in sample.metadata else {}


_ALONE = Budget(1, 1, pack=0)


def drift_records(
    engine: Engine, item: str, task: Task, samples: Sequence[Sample], most_tokens: float, exact: Callable[[], Engine] | None = None
) -> list[Record]:  # fmt: skip
    """How far answers are from those that the run got, when the same is asked alone: ``batch_drift`` (law 2), as a share of the answers'
    spread. The first request of each sample is asked, of as many samples as ``most_tokens`` allow, cheapest first.

    ``repeat_drift``: how far the model is from itself; asked once more where it moved, which tells a randomised model from one that mixes
    its batch. ``exact``: gives the same model in float32, where the engine's is not: how far the answer alone is from it is
    ``precision_drift``.
    """
    asked = [_asked(task, sample) for sample in samples]
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


def _asked(task: Task, sample: Sample) -> Any:
    """The sample's requests, or its `Failure`."""

    def checked() -> list[Any]:
        requests = list(task.requests(sample))
        for request in requests:
            if not isinstance(request, Request):
                raise TypeError(f"the task asked with a {type(request).__name__}, which is no request")
            hash(request)
        return requests

    return _isolated(checked)


def _flat(asked: Sequence[Any]) -> list[Any]:
    return [request for requests in asked if not isinstance(requests, Failure) for request in requests]


def _isolated(work: Any) -> Any:
    try:
        return work()
    except BaseException as error:
        if ends_run(error):
            raise
        # A task's code meets hostile data; its error is this sample's record.
        return Failure(sentence(error))


def _judged(task: Task, sample: Sample, responses: Any) -> Judged:
    failure = responses if isinstance(responses, Failure) else next((r for r in responses if isinstance(r, Failure)), None)
    if failure is not None:
        return Judged(error=failure.error)
    scored = _isolated(lambda: (_numbers(task.score(sample, responses)), dict(task.predict(sample, responses))))
    if isinstance(scored, Failure):
        return Judged(error=scored.error)
    (scores, unscored), artifacts = scored
    truncated = sum(getattr(r, "num_truncated", 0) for r in responses)
    if truncated:
        artifacts = {**artifacts, "num_truncated": truncated}
    if unscored:
        artifacts = {**artifacts, "unscored": unscored}
    return Judged(responses, scores, artifacts)


def _numbers(given: Mapping[str, Any]) -> tuple[dict[str, float | None], str]:
    """Scores as finite numbers or None, and why one that was given is None. Unscored is None, never NaN."""
    scores = {str(name): None if value is None else float(value) for name, value in given.items()}
    wrong = [name for name, value in scores.items() if value is not None and not math.isfinite(value)]
    if not wrong:
        return scores, ""
    return {n: None if n in wrong else v for n, v in scores.items()}, "; ".join(f"the task scored {n!r} as {scores[n]}" for n in wrong)
