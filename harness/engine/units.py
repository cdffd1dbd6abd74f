"""Split requests into units for batching, and join the answers of units into responses."""

from __future__ import annotations

import math
from collections.abc import Hashable, Sequence
from dataclasses import dataclass, is_dataclass
from typing import Any

from ..api.errors import CapabilityError, ModelError, NonFiniteError, SampleError, ends_run
from ..api.model import Model, ModelInfo
from ..api.requests import R, Request
from ..api.responses import Completion, Failure, Response


@dataclass(slots=True)
class Unit:
    """A piece of a request that is batched separately.

    index: index of the request. part: index among the pieces of the request.
    data: the piece, as the model splits it. length: in tokens.
    batch_key: from the model; must be equal within a batch, like the request's own key (a shape that cannot be padded,
        for example).
    """

    index: int
    part: int
    data: Any
    length: int
    batch_key: Hashable = None


Row = list[Unit]
"""The units that one row of a batch answers. The longest is first, the others are read from the same row."""


def require_responses(answers: Sequence[R | Failure], /) -> list[R]:
    """Return the responses. Raises `SampleError` with the message of the first failure."""
    responses: list[R] = []
    for answer in answers:
        if isinstance(answer, Failure):
            raise SampleError(answer.error)
        responses.append(answer)
    return responses


def split_requests(model: Model, info: ModelInfo, requests: Sequence[Request[Response]], /) -> tuple[list[Unit], dict[int, Failure]]:
    """Split requests into units. Returns the units, and the failures of requests that cannot be split, by index.

    Raises `CapabilityError` if the model does not support a request's kind.
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
                raise SampleError(f"model {model.name!r} split the {request.kind!r} request into no pieces")
            units += [Unit(index, part, piece, model.length(piece), model.batch_key(piece)) for part, piece in enumerate(pieces)]
        except BaseException as error:
            if ends_run(error):
                raise
            # Any exception, such as one from hostile input, is a failure of this request only.
            failures[index] = make_failure(error)
    return units, failures


def group_by_row(model: Model, units: Sequence[Unit], /) -> list[Row]:
    """Group units by the row that answers them: one unit per row, unless the model reads several from one row."""
    return [[units[i] for i in row] for row in model.shared_rows([unit.data for unit in units])]


def join_answers(model: Model, request: Request[Response], parts: dict[int, Any], /) -> Any:
    """Join the answers to the units of a request, by ``part``, into its response; a `Failure` if one of them failed."""
    ordered = [parts[i] for i in sorted(parts)] if len(parts) > 1 else list(parts.values())
    failure = next((p for p in ordered if isinstance(p, Failure)), None)
    if failure is not None:
        return failure
    return _check_response(model.name, request, model.join(request, ordered))


def count_positions(unit: Unit, answer: Any) -> int:
    """Return the number of positions for computing the answer alone. The last generated token is never an input."""
    if isinstance(answer, Completion) and answer.num_prompt_tokens:
        return answer.num_prompt_tokens + max(0, answer.num_tokens - 1)
    return unit.length


_LONGEST_ERROR = 2000


def make_failure(error: BaseException) -> Failure:
    """Convert an error to a `Failure`, with a truncated message that is valid Unicode (it may quote the sample)."""
    message = f"{type(error).__name__}: {error}".encode("utf-8", "backslashreplace").decode()
    return Failure(message if len(message) <= _LONGEST_ERROR else message[:_LONGEST_ERROR] + " ...")


def _check_response(name: str, request: Request[Response], response: Any) -> Any:
    """Return the response, or a `Failure` if it is not a `Response` or has NaN or infinity."""
    if not (isinstance(response, Response) and is_dataclass(response)):
        what = f"answered a {request.kind!r} request by a {type(response).__name__}; an answer is a dataclass derived from Response"
        return make_failure(ModelError(f"model {name!r} {what}"))
    numbers = response.numbers()
    if all(map(math.isfinite, numbers)):
        return response
    bad = sum(not math.isfinite(number) for number in numbers)
    return make_failure(
        NonFiniteError(
            f"model {name!r} answered NaN or infinity in {bad:,} of {len(numbers):,} numbers of a {request.kind!r} request; "
            "half precision overflowing is the usual cause: set dtype to float32 or bfloat16"
        )
    )
