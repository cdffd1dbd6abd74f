"""The requests of a task's samples."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeVar

from ...api.errors import ends_run, sentence
from ...api.requests import Failure, Request
from ...api.samples import Sample
from ...api.task import Task

T = TypeVar("T")


def isolate(work: Callable[[], T]) -> T | Failure:
    """The result of a plugin's code, or a `Failure` with its error: hostile data may break it, and that is one sample's record."""
    try:
        return work()
    except BaseException as error:
        if ends_run(error):
            raise
        return Failure(sentence(error))


def requests_of_sample(task: Task, sample: Sample) -> list[Request[Any]] | Failure:
    """The task's requests for one sample, or the `Failure` of making them."""

    def make_requests() -> list[Request[Any]]:
        requests = list(task.requests(sample))
        for request in requests:
            if not isinstance(request, Request):
                raise TypeError(f"the task asked with a {type(request).__name__}, which is no request")
            hash(request)
        return requests

    return isolate(make_requests)


def requests_of(task: Task, samples: Sequence[Sample]) -> list[Request[Any]]:
    """All requests of these samples that are known beforehand; none where the task decides as it goes."""
    return [] if task.is_sequential else flatten([requests_of_sample(task, sample) for sample in samples])


def flatten(requests: Sequence[list[Request[Any]] | Failure]) -> list[Request[Any]]:
    """The requests of several samples as one list, without those of samples that failed."""
    return [request for own in requests if not isinstance(own, Failure) for request in own]
