"""Requests to the units that are batched, rows of units, and the answers of units to responses."""

from __future__ import annotations

import math
from collections.abc import Hashable, Sequence
from dataclasses import dataclass, is_dataclass
from typing import Any

from ..api.errors import CapabilityError, ModelError, NonFiniteError, SampleError, ends_run
from ..api.model import Model, ModelInfo
from ..api.requests import Completion, Failure, Request, Response


@dataclass(slots=True)
class Unit:
    """A piece of a request that is batched on its own. ``part``: its place among the pieces of request ``index``.

    ``batch_key``: what must be equal within its batch beside the request's own key, from the model's ``batch_key(unit)`` where it has
    one: a shape that cannot be padded, say.
    """

    index: int
    part: int
    data: Any
    length: int
    batch_key: Hashable = None


Row = list[Unit]
"""What one row of a batch answers: a unit, and others that are read off the same row. The longest is first."""


def split_requests(model: Model, info: ModelInfo, requests: Sequence[Request[Any]], /) -> tuple[list[Unit], dict[int, Failure]]:
    """The units of all requests, and the failures of those that cannot be split, by the request's place.

    Raises `CapabilityError` where the model cannot answer a kind at all.
    """
    units: list[Unit] = []
    failures: dict[int, Failure] = {}
    model.prepare(requests)
    for index, request in enumerate(requests):
        if model.method_for(request.kind) is None:
            raise CapabilityError(f"model {model.name!r} cannot answer {request.kind!r}; it answers {info}")
        try:
            pieces = model.split(request)
            if not pieces:
                raise SampleError(f"model {model.name!r} found nothing in the {request.kind!r} request to run")
            units += [Unit(index, part, piece, model.length(piece), model.batch_key(piece)) for part, piece in enumerate(pieces)]
        except BaseException as error:
            if ends_run(error):
                raise
            # Hostile input must end as this request's failure, whatever it raises.
            failures[index] = failure_of(error)
    return units, failures


def rows_of(model: Model, units: Sequence[Unit], /) -> list[Row]:
    """Units by the row of a batch that answers them: one each, unless the model reads several off one row."""
    return [[units[i] for i in row] for row in model.shared_rows([unit.data for unit in units])]


def join_answers(model: Model, request: Request[Any], parts: dict[int, Any], /) -> Any:
    """The response of a request, from the answers to its units by their ``part``; a failure where one of them failed."""
    ordered = [parts[i] for i in sorted(parts)] if len(parts) > 1 else list(parts.values())
    failed = next((p for p in ordered if isinstance(p, Failure)), None)
    if failed is not None:
        return failed
    return _check(model.name, request, model.join(request, ordered))


def positions(unit: Unit, answer: Any) -> int:
    """Positions that the answer takes on its own. The last token that is written is never read."""
    if isinstance(answer, Completion) and answer.num_prompt_tokens:
        return answer.num_prompt_tokens + max(0, answer.num_tokens - 1)
    return unit.length


_LONGEST_ERROR = 2000


def failure_of(error: BaseException) -> Failure:
    """A message may quote the sample: it is cut, and made text that any file can hold."""
    message = f"{type(error).__name__}: {error}".encode("utf-8", "backslashreplace").decode()
    return Failure(message if len(message) <= _LONGEST_ERROR else message[:_LONGEST_ERROR] + " ...")


def _check(name: str, request: Request[Any], response: Any) -> Any:
    """The response, or the failure of one that holds NaN or infinity, or of what is none."""
    if not (isinstance(response, Response) and is_dataclass(response)):
        what = f"answered a {request.kind!r} request by a {type(response).__name__}; an answer is a dataclass derived from Response"
        return failure_of(ModelError(f"model {name!r} {what}"))
    numbers = response.numbers()
    if all(map(math.isfinite, numbers)):
        return response
    bad = sum(not math.isfinite(number) for number in numbers)
    return failure_of(
        NonFiniteError(
            f"model {name!r} answered NaN or infinity in {bad} of {len(numbers)} numbers of a {request.kind!r} request; "
            "half precision overflowing is the usual cause: set dtype to float32 or bfloat16"
        )
    )
