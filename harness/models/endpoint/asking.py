"""Ask an endpoint a request, and ask it again where that may help."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from ...api.errors import IncompleteRun, SampleError
from ...api.model import Streamed
from ...api.requests import Request
from ...api.responses import Response
from .clients import import_library
from .costs import Spending
from .faults import Barred, Fault, Refused, Stopped, Transient, WrongModel
from .keys import Key
from .limits import Limits
from .reading import Arrived, Json, convert_error, read_answer
from .settings import Settings
from .usage import estimate_most, has_counts, read_cost
from .wire import Wire

Job = tuple[Wire, Request[Response]]
"""A request, and the wire that it takes."""

_THROTTLED_ATTEMPTS = 100
"""Attempts that the server may turn away for their number while it answers others. They say nothing about the request."""
_SHUT_OUT_ATTEMPTS = 20
"""The same, if it answers no others either: with the waits below, about five minutes."""
_PULSE_ATTEMPTS = 3
_FIRST_WAIT_S, _LONGEST_WAIT_S = 0.5, 30.0
_LONGEST_PAUSE_S = 300.0
"""The longest pause that a server may ask for; a daily limit ends the run instead."""


@dataclass(frozen=True, slots=True)
class Answered:
    """A response, and what arrived with it.

    body: the JSON of the answer. has_counts: whether the server counted its tokens. streamed: its times.
    """

    response: Response
    body: Json
    has_counts: bool
    streamed: Streamed

    @property
    def model(self) -> str:
        """The name that the model has in the answer; empty if there is none."""
        return str(self.body.get("model") or "")


class Asker:
    """Asks one endpoint. Threads share it.

    pulse: a short request, which tells whether an endpoint that failed still answers; None: it is not known yet.
    """

    def __init__(self, settings: Settings, client: Any, key: Key) -> None:
        self._settings, self._client, self._key = settings, client, key
        self._tenacity = import_library("tenacity", settings.kind)
        self.name = f"{settings.kind}:{settings.target}"
        self.limits = Limits(int(settings.concurrency), settings.requests_per_minute, settings.tokens_per_minute)
        self.spending = Spending(settings.max_cost, self.name)
        self.pulse: Job | None = None

    def ask(self, job: Job) -> Answered:
        """Ask until there is an answer, or the faults of a request are lasting.

        Raises `SampleError` if this request has no answer, and `IncompleteRun` if none would have.
        """
        try:
            return self.attempt(job, self._settings.attempts)
        except Refused as fault:
            raise SampleError(f"the endpoint refuses the request: {fault}") from None
        except Barred as fault:
            self._require_alive(f"refuses all requests: {fault}")
            raise SampleError(f"the endpoint refuses the request, and answers others: {fault}") from None
        except Transient as fault:
            self._require_alive(f"does not answer any more: {fault}")
            raise SampleError(f"the endpoint gave no answer after {self._settings.attempts} attempts; the last fault: {fault}") from None

    def _require_alive(self, what: str) -> None:
        """Raise `IncompleteRun` if the endpoint does not answer a short request either. ``what``: what it does."""
        if self.pulse is None:
            return
        try:
            self.attempt(self.pulse, _PULSE_ATTEMPTS)
        except WrongModel as fault:
            what = f"changed: {fault}. Answers of two models cannot stand in one run: name the exact version, or choose a new run folder"
        except Stopped:
            raise
        except (Fault, SampleError):
            pass
        else:
            return
        raise IncompleteRun(f"{self.name} at {self._settings.base_url} {what}. All answers are kept; run it again to resume")

    def attempt(self, job: Job, attempts: int) -> Answered:
        """Ask up to a number of times, and again when the server is only too busy. Raises a `Fault` or `SampleError`."""
        tenacity = self._tenacity
        wire, request = job
        body = wire.write(request)
        grow = tenacity.wait_random_exponential(_FIRST_WAIT_S, _LONGEST_WAIT_S)
        throttled, before = 0, self.limits.num_answered

        def wait(state: Any) -> float:
            fault = state.outcome.exception()
            return float(max(fault.after_s or 0.0, grow(state)))

        def should_stop(state: Any) -> bool:
            nonlocal throttled
            throttled += state.outcome.exception().is_throttled
            most = _THROTTLED_ATTEMPTS if self.limits.num_answered > before else _SHUT_OUT_ATTEMPTS
            return bool(state.attempt_number - throttled >= attempts or throttled >= most)

        repeat = tenacity.Retrying(
            retry=tenacity.retry_if_exception_type(Transient), stop=should_stop, wait=wait, sleep=self.limits.sleep, reraise=True
        )
        answered: Answered = repeat(self._try_once, wire, request, body)
        return answered

    def _try_once(self, wire: Wire, request: Request[Response], body: Json) -> Answered:
        """Send a body when its turn comes. Raises a `Fault` or `SampleError`, without its cause, whose request holds the key."""
        num_prompt_tokens, num_tokens = estimate_most(body)
        expected = self._settings.price.cost(num_prompt_tokens, num_tokens)
        self.spending.reserve(expected)
        entered = self.limits.enter(num_prompt_tokens + num_tokens)
        if entered is None:
            self.spending.settle(expected, 0.0)
            raise Stopped("the run ends")
        cost, outcome = self._send(wire, request, body)
        self.spending.settle(expected, cost)
        fault = outcome if isinstance(outcome, Transient) else None
        self.limits.leave(
            entered,
            is_throttled=fault is not None and fault.is_throttled,
            is_answered=isinstance(outcome, Answered | SampleError),
            after_s=fault.after_s if fault is not None else None,
        )
        if isinstance(outcome, Answered):
            return outcome
        raise outcome from None

    def _send(self, wire: Wire, request: Request[Response], body: Json) -> tuple[float, Answered | Exception]:
        """Send a body once. Returns what the server bills for it, also for an answer that cannot be used, and the answer or its fault."""
        cost = 0.0
        try:
            arrived = read_answer(lambda: wire.send(self._client, body), self._key, wire.is_token, wire.merge, self._settings.timeout)
            cost = read_cost(arrived.body, self._settings.price)
            response = wire.read(arrived.body, request, body)
            if response.usage is not None:
                cost = response.usage.cost
            return cost, Answered(response, arrived.body, has_counts(arrived.body), _time_stream(arrived, response))
        except Exception as error:  # noqa: BLE001 - of several libraries; what is no fault is returned as it is
            fault = convert_error(error, self._key)
            if isinstance(fault, Transient) and (fault.after_s or 0) > _LONGEST_PAUSE_S:
                fault = Barred(f"the server wants to be asked again only after {fault.after_s:.0f} s ({fault})", 429)
            return cost, fault


def _time_stream(arrived: Arrived, response: Response) -> Streamed:
    """Return the times of an answer; none if it arrived as a whole."""
    if arrived.first_token_s is None or response.usage is None:
        return Streamed()
    return Streamed(1, arrived.first_token_s, max(0, response.usage.num_tokens - 1), arrived.seconds - arrived.first_token_s)
