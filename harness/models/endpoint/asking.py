"""Ask an endpoint: many requests at a time, and each of them again where that may help."""

from __future__ import annotations

import queue
import threading
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from ...api.errors import IncompleteRun, SampleError, ends_run
from ...api.requests import Failure, Request, Response
from ...engine.units import make_failure
from .clients import import_library
from .costs import Spending
from .faults import Barred, Fault, Refused, Stopped, Transient, WrongModel
from .keys import Key
from .limits import Limits
from .reading import Json, convert_error, read_answer
from .settings import Settings
from .usage import estimate_tokens, has_counts
from .wire import Wire

Job = tuple[Wire, Request[Response]]
"""A request, and the wire that it takes."""

_THROTTLED_ATTEMPTS = 100
"""Attempts that the server may turn away for their number. They say nothing about the request."""
_FIRST_WAIT_S, _LONGEST_WAIT_S = 0.5, 30.0
_LONGEST_PAUSE_S = 300.0
"""The longest pause that a server may ask for; a daily limit ends the run instead."""


@dataclass(frozen=True, slots=True)
class Answered:
    """A response, the model's name in the answer, and whether the server counted its tokens."""

    response: Response
    model: str
    has_counts: bool
    is_streamed: bool


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

    # ── many requests ─────────────────────────────────────────────────────────────────────────────────────────────────

    def ask_all(self, jobs: Sequence[Job]) -> Iterator[tuple[int, Response | Failure]]:
        """Yield the index of each job and its response, as they arrive; a `Failure` for one that failed.

        Raises an error that ends the run (`IncompleteRun`) after all answers that were under way.
        """
        waiting = deque(enumerate(jobs))
        arrived: queue.SimpleQueue[tuple[int, Response | Failure] | BaseException | None] = queue.SimpleQueue()
        # A thread asks on only when an answer was taken and stored: a killed process loses at most one answer a thread.
        stored = threading.Semaphore(0)
        self.limits.restart()

        def work() -> None:
            try:
                while waiting:
                    try:
                        index, job = waiting.popleft()
                    except IndexError:
                        break
                    arrived.put((index, self._ask_or_fail(job)))
                    stored.acquire()
            except Stopped:
                pass
            except BaseException as error:  # noqa: BLE001 - raised again in the thread that waits for the answers
                waiting.clear()
                self.limits.stop()
                arrived.put(error)
            finally:
                arrived.put(None)

        # Daemons, so that a second Ctrl-C does not wait for a slow server.
        threads = [threading.Thread(target=work, daemon=True) for _ in range(min(int(self._settings.concurrency), len(jobs)))]
        running, fatal = len(threads), None
        try:
            for thread in threads:
                thread.start()
            while running:
                message = arrived.get()
                if message is None:
                    running -= 1
                elif isinstance(message, BaseException):
                    fatal = fatal or message
                else:
                    yield message
                    stored.release()
        finally:
            waiting.clear()
            self.limits.stop()
            stored.release(max(1, len(threads)))
        if fatal is not None:
            raise fatal

    def _ask_or_fail(self, job: Job) -> Response | Failure:
        try:
            return self.ask(job)
        except Stopped:
            raise
        except BaseException as error:
            if ends_run(error):
                raise
            return make_failure(error)

    # ── one request ───────────────────────────────────────────────────────────────────────────────────────────────────

    def ask(self, job: Job) -> Response:
        """Ask until there is an answer, or the faults of a request are lasting.

        Raises `SampleError` if this request has no answer, and `IncompleteRun` if none would have.
        """
        before = self.limits.num_answered
        try:
            return self.attempt(job, self._settings.attempts).response
        except Barred as fault:
            raise self._make_end(f"refuses all requests: {fault}") from None
        except Refused as fault:
            raise SampleError(f"the endpoint refuses the request: {fault}") from None
        except Transient as fault:
            if self.limits.num_answered == before:
                self._require_alive(fault)
            raise SampleError(f"the endpoint gave no answer after {self._settings.attempts} attempts; the last fault: {fault}") from None

    def _require_alive(self, last: Transient) -> None:
        """Raise `IncompleteRun` if the endpoint does not answer a short request either."""
        if self.pulse is None:
            return
        try:
            self.attempt(self.pulse, 2)
        except WrongModel as fault:
            raise self._make_end(
                f"changed: {fault}. Answers of two models cannot stand in one run: name the exact version, or choose a new run folder"
            ) from None
        except Fault:
            raise self._make_end(f"does not answer any more: {last}") from None

    def _make_end(self, what: str) -> IncompleteRun:
        return IncompleteRun(f"{self.name} at {self._settings.base_url} {what}. All answers are kept; run it again to resume")

    def attempt(self, job: Job, attempts: int) -> Answered:
        """Ask up to a number of times, and again when the server is only too busy. Raises a `Fault` or `SampleError`."""
        tenacity = self._tenacity
        wire, request = job
        body = wire.write(request)
        grow = tenacity.wait_random_exponential(_FIRST_WAIT_S, _LONGEST_WAIT_S)
        throttled = 0

        def wait(state: Any) -> float:
            fault = state.outcome.exception()
            after_s = fault.after_s if fault.after_s is not None else 0.0
            return float(max(after_s, grow(state)))

        def should_stop(state: Any) -> bool:
            nonlocal throttled
            throttled += state.outcome.exception().is_throttled
            return bool(state.attempt_number - throttled >= attempts or throttled >= _THROTTLED_ATTEMPTS)

        repeat = tenacity.Retrying(
            retry=tenacity.retry_if_exception_type(Transient), stop=should_stop, wait=wait, sleep=self.limits.sleep, reraise=True
        )
        answered: Answered = repeat(self._try_once, wire, request, body)
        return answered

    def _try_once(self, wire: Wire, request: Request[Response], body: Json) -> Answered:
        prompt = estimate_tokens({name: body[name] for name in ("messages", "prompt", "input", "system") if name in body})
        longest = int(body.get("max_tokens") or body.get("max_completion_tokens") or 0)
        expected = self._settings.price.cost(prompt, longest)
        self.spending.reserve(expected)
        entered = self.limits.enter(prompt + longest)
        cost = 0.0
        fault: Exception | None = None
        try:
            if entered is None:
                raise Stopped("the run ends")
            arrived = read_answer(lambda: wire.send(self._client, body), self._key, wire.is_token, wire.merge)
            response = wire.read(arrived, request, body)
            cost = response.usage.cost if response.usage is not None else 0.0
            return Answered(response, str(arrived.body.get("model") or ""), has_counts(arrived.body), arrived.first_token_s is not None)
        except Exception as error:  # noqa: BLE001 - of several libraries; what is no fault is raised below
            fault = convert_error(error, self._key)
        finally:
            self.spending.settle(expected, cost)
            if entered is not None:
                is_busy = isinstance(fault, Transient) and fault.is_throttled
                after_s = fault.after_s if isinstance(fault, Transient) else None
                self.limits.leave(
                    entered, is_throttled=is_busy, is_answered=fault is None or isinstance(fault, SampleError), after_s=after_s
                )
        if isinstance(fault, Transient) and (fault.after_s or 0) > _LONGEST_PAUSE_S:
            raise Barred(f"the server wants to be asked again only after {fault.after_s:.0f} s ({fault})", 429)
        # Without its cause, whose request holds the key.
        raise fault from None
