"""How fast an endpoint is asked: a number of requests at a time that follows what the server allows, and rates per minute."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable


class Limits:
    """Lets threads send their requests. Each calls `enter` before a request, and `leave` after it.

    The number of requests at a time is halved when the server answers that there are too many, and grows by one for each round of
    answers, as in TCP's congestion control (Jacobson 1988). A pause that the server asks for holds for all threads.

    most: the largest number of requests at a time.
    requests_per_minute, tokens_per_minute: rates; None: no limit. Requests are sent evenly, so that no minute has more.
    clock: the present moment in seconds.

    num_answered: the number of requests that were answered.
    """

    def __init__(
        self, most: int, requests_per_minute: float | None = None, tokens_per_minute: float | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:  # fmt: skip
        self._most, self._clock = most, clock
        self._requests, self._tokens = requests_per_minute, tokens_per_minute
        self._changed = threading.Condition()
        self._allowed, self._sent = float(most), 0
        self._next_at = self._pause_until = self._halved_at = float("-inf")
        self._is_stopped = False
        self.num_answered = 0

    @property
    def allowed(self) -> int:
        """The number of requests at a time that the server is known to allow."""
        return max(1, int(self._allowed))

    def enter(self, tokens: float) -> float | None:
        """Wait until a request may be sent. Returns the moment, or None if the work was stopped. ``tokens``: its expected tokens."""
        with self._changed:
            while not self._is_stopped:
                now = self._clock()
                wait = max(self._next_at, self._pause_until) - now
                if self._sent < self.allowed and wait <= 0:
                    self._sent += 1
                    rates = ((1.0, self._requests), (tokens, self._tokens))
                    self._next_at = now + max(60 * amount / rate if rate else 0.0 for amount, rate in rates)
                    return now
                self._changed.wait(wait if wait > 0 else None)
        return None

    def leave(self, entered: float, *, is_throttled: bool = False, is_answered: bool = False, after_s: float | None = None) -> None:
        """Return the place of a request. ``entered``: the result of `enter`. ``after_s``: the pause that the server asks for."""
        with self._changed:
            now = self._clock()
            self._sent -= 1
            if is_throttled and entered >= self._halved_at:
                # Requests sent before the last halving say nothing about the new number.
                self._allowed, self._halved_at = max(1.0, self._allowed / 2), now
            elif is_answered:
                self.num_answered += 1
                self._allowed = min(float(self._most), self._allowed + 1 / self._allowed)
            if is_throttled and after_s is not None:
                self._pause_until = max(self._pause_until, now + after_s)
            self._changed.notify_all()

    def sleep(self, seconds: float) -> None:
        """Wait, unless the work is stopped."""
        with self._changed:
            self._changed.wait_for(lambda: self._is_stopped, seconds)

    def stop(self) -> None:
        """Wake all threads, and let no request be sent any more."""
        with self._changed:
            self._is_stopped = True
            self._changed.notify_all()

    def restart(self) -> None:
        """Let requests be sent again."""
        with self._changed:
            self._is_stopped = False
