"""Ask many requests at a time: threads take them one by one, and hand over their answers as they arrive."""

from __future__ import annotations

import queue
import threading
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from typing import TypeVar

from ...api.errors import ends_run
from ...api.responses import Failure
from ...engine.units import make_failure
from .faults import Stopped
from .limits import Limits

J = TypeVar("J")
A = TypeVar("A")


def ask_all(jobs: Sequence[J], ask: Callable[[J], A], limits: Limits, most: int) -> Iterator[tuple[int, A | Failure]]:
    """Yield the index of each job and its answer, as they arrive; a `Failure` for one that failed.

    ask: answers one job. limits: are stopped if an error ends the run. most: the largest number of threads.
    Raises an error that ends the run (`IncompleteRun`) after all answers that were under way.
    """
    waiting = deque(enumerate(jobs))
    arrived: queue.SimpleQueue[tuple[int, A | Failure] | BaseException | None] = queue.SimpleQueue()
    # A thread asks on only when an answer was taken and stored: a killed process loses at most one answer a thread.
    stored = threading.Semaphore(0)
    limits.restart()

    def work() -> None:
        try:
            while waiting:
                try:
                    index, job = waiting.popleft()
                except IndexError:
                    break
                arrived.put((index, _ask_or_fail(ask, job)))
                stored.acquire()
        except Stopped:
            pass
        except BaseException as error:  # noqa: BLE001 - raised again in the thread that waits for the answers
            waiting.clear()
            limits.stop()
            arrived.put(error)
        finally:
            arrived.put(None)

    # Daemons, so that a second Ctrl-C does not wait for a slow server.
    threads = [threading.Thread(target=work, daemon=True) for _ in range(min(most, len(jobs)))]
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
        limits.stop()
        stored.release(max(1, len(threads)))
    if fatal is not None:
        raise fatal


def _ask_or_fail(ask: Callable[[J], A], job: J) -> A | Failure:
    try:
        return ask(job)
    except Stopped:
        raise
    except BaseException as error:
        if ends_run(error):
            raise
        return make_failure(error)
