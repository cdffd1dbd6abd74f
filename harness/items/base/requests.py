"""The requests of a task's samples."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeVar

from ...api.errors import describe_error, ends_run
from ...api.requests import Request
from ...api.responses import Failure, Response
from ...api.samples import Sample
from ...api.task import Task

T = TypeVar("T")


def isolate(work: Callable[[], T]) -> T | Failure:
    """Return the result of a plugin's code, or a `Failure` with its error, so that bad data fails only one sample."""
    try:
        return work()
    except BaseException as error:
        if ends_run(error):
            raise
        return Failure(describe_error(error))


def list_sample_requests(task: Task, sample: Sample) -> list[Request[Response]] | Failure:
    """Return the task's requests for one sample, or a `Failure` if it raises."""

    def make_requests() -> list[Request[Response]]:
        requests = list(task.requests(sample))
        for request in requests:
            if not isinstance(request, Request):
                raise TypeError(f"the task returned a {type(request).__name__}, which is not a Request")
            hash(request)
        return requests

    return isolate(make_requests)


def list_requests(task: Task, samples: Sequence[Sample]) -> list[Request[Response]]:
    """Return the requests of samples; empty if they depend on earlier answers."""
    return [] if task.is_sequential else flatten([list_sample_requests(task, sample) for sample in samples])


def flatten(requests: Sequence[list[Request[Response]] | Failure]) -> list[Request[Response]]:
    """Return the requests of several samples as one list, without samples that failed."""
    return [request for sample_requests in requests if not isinstance(sample_requests, Failure) for request in sample_requests]
