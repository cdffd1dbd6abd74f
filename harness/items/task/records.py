"""Records of tasks: requests, responses and scores of samples. A bad sample has a record with an error."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ...api.errors import SampleError
from ...api.responses import Completion, Failure, LogProb, Reply, Response
from ...api.samples import Record, Sample
from ...api.task import Task
from ...engine import Engine
from ...engine.batching import isolate_failures
from ..base.requests import flatten, isolate, list_sample_requests


@dataclass(frozen=True, slots=True)
class Judged:
    """A sample's responses, scores and artifacts, or its ``error``."""

    responses: Sequence[Any] = ()
    scores: Mapping[str, float | None] | None = None
    artifacts: Mapping[str, Any] | None = None
    error: str | None = None


def judge(engine: Engine, task: Task, samples: Sequence[Sample]) -> list[Judged]:
    """Send the requests of all samples in one engine call, and score each sample's responses with the task."""
    if task.is_sequential:
        results = isolate_failures(lambda some: _run(engine, task, some), samples)
        answered = [Failure(responses) if isinstance(responses, str) else responses for responses in results]
    else:
        requests = [list_sample_requests(task, sample) for sample in samples]
        stream = iter(engine.try_run(flatten(requests)))
        answered = [r if isinstance(r, Failure) else [next(stream) for _ in r] for r in requests]
    return [_score_sample(task, sample, responses) for sample, responses in zip(samples, answered, strict=True)]


def _run(engine: Engine, task: Task, samples: Sequence[Sample]) -> list[list[Any]]:
    """Return the responses of a task that defines `Task.run`, for all samples at once."""
    answered = [list(responses) for responses in task.run(engine, samples)]
    if len(answered) != len(samples):
        raise SampleError(f"the task's run() answered for {len(answered):,} samples of {len(samples):,}")
    return answered


def make_task_records(engine: Engine, item: str, task: Task, samples: Sequence[Sample]) -> list[Record]:
    """Run a task and return one record per sample, in order."""
    return [
        Record(sample.id, item, j.scores or {}, j.error, {**_list_likelihoods(j.responses), **(j.artifacts or {}), **record_slice(sample)})
        for sample, j in zip(samples, judge(engine, task, samples), strict=True)
    ]


def _list_likelihoods(responses: Sequence[Any]) -> dict[str, list[float]]:
    """Return the log-likelihoods of several continuations in nats, without length normalisation or softmax."""
    values = [r.value for r in responses if isinstance(r, LogProb)]
    return {"loglikelihoods": values} if len(values) > 1 else {}


def record_slice(sample: Sample, /) -> dict[str, str]:
    """Return the artifact with the sample's slice; empty if it has none."""
    return {"slice": str(sample.metadata["slice"])} if "slice" in sample.metadata else {}


def _score_sample(task: Task, sample: Sample, responses: Any) -> Judged:
    failure = responses if isinstance(responses, Failure) else next((r for r in responses if isinstance(r, Failure)), None)
    if failure is not None:
        return Judged(error=failure.error)
    scored = isolate(lambda: (_check_scores(task.score(sample, responses)), dict(task.predict(sample, responses))))
    if isinstance(scored, Failure):
        return Judged(error=scored.error)
    (scores, unscored), artifacts = scored
    truncated = sum(r.num_truncated for r in responses if isinstance(r, Response))
    if truncated:
        artifacts = {**artifacts, "num_truncated": truncated}
    if unscored:
        artifacts = {**artifacts, "unscored": unscored}
    if stopped := [r.num_tokens for r in responses if isinstance(r, Completion) and r.finish == "length"]:
        artifacts = {**artifacts, "cut_at_tokens": max(stopped)}
    return Judged(responses, scores, {**artifacts, **_list_beside_answers([r for r in responses if isinstance(r, Reply)])})


def _list_beside_answers(replies: Sequence[Reply]) -> dict[str, Any]:
    """Return what endpoints give beside the text of an answer: reasoning, tool calls, and that the provider refused."""
    found = {
        "reasoning": "\n\n".join(reply.reasoning for reply in replies if reply.reasoning),
        "tool_calls": [call for reply in replies for call in reply.tool_calls],
        "is_refused_by_provider": any(reply.finish == "refusal" for reply in replies),
    }
    return {name: value for name, value in found.items() if value}


def _check_scores(raw: Mapping[str, Any]) -> tuple[dict[str, float | None], str]:
    """Return the scores as finite numbers or None, and the reason if a score is not finite."""
    scores = {str(name): None if value is None else float(value) for name, value in raw.items()}
    wrong = [name for name, value in scores.items() if value is not None and not math.isfinite(value)]
    if not wrong:
        return scores, ""
    return {n: None if n in wrong else v for n, v in scores.items()}, "; ".join(f"the task scored {n!r} as {scores[n]}" for n in wrong)
