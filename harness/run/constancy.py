"""Whether the model behind an endpoint is still the one that the run began with."""

from __future__ import annotations

from ..api.requests import Request
from ..api.responses import Completion, Failure, Response
from ..engine import Engine

_TOLERANCE = 0.02
"""The largest difference of numbers that is not a change, as a share of their spread: servers round by their batches."""


class Constancy:
    """Asks `Model.identity_requests` at the start of a run and after each chunk, and compares the answers.

    The first answers are those of the first start of the run: they are stored with its answers. A request whose answer is not the same
    twice in a row tells nothing, and is not asked again.
    """

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._requests = list(engine.model.identity_requests())
        self._first: dict[Request[Response], Response] = {}
        self._is_started = False

    def start(self) -> None:
        """Ask for the first answers, unless the run has them. Later calls do nothing."""
        if self._is_started:
            return
        self._is_started = True
        answers = self._engine.try_run(self._requests)
        self._first = {request: a for request, a in zip(self._requests, answers, strict=True) if not isinstance(a, Failure)}

    def has_changed(self) -> bool:
        """Tell whether the model has changed since the first answers."""
        for request, first in list(self._first.items()):
            now = self._ask(request)
            if now is None or _is_same(now, first):
                continue
            again = self._ask(request)
            if again is not None and _is_same(again, now):
                return True
            del self._first[request]
        return False

    def _ask(self, request: Request[Response]) -> Response | None:
        (answer,) = self._engine.uncached([request], self._engine.budget)
        return None if isinstance(answer, Failure) else answer


def _is_same(one: Response, other: Response) -> bool:
    if isinstance(one, Completion) and isinstance(other, Completion):
        return one.text == other.text
    pairs = list(zip(one.numbers(), other.numbers(), strict=False))
    return len(one.numbers()) == len(other.numbers()) and all(abs(a - b) <= _TOLERANCE * other.spread() for a, b in pairs)
