"""Run many searches together that each wait for one answer at a time, and pool their questions into one list
per round.

A library that attacks one example at a time calls the model deep inside its own loops. In a greenlet, such a
search can sleep inside this call while the others catch up:

    search 1   ask [a b] ─┐          ┌─ … ask [f]   ─┐
    search 2   ask [c]   ─┼─ answer ─┼─ … ask [g h] ─┼─ answer ─ …
    search 3   ask [d e] ─┘          └─ … returns    └─ (search 4 begins)

A search does not depend on its neighbours: it gets the answers to its own questions and its own global random
state of Python and NumPy. So it returns what it would return alone.
"""

from __future__ import annotations

import random
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import import_module
from itertools import islice
from typing import Any, Generic, TypeAlias, TypeVar

import numpy as np

from ...harness.api.errors import describe_error
from ...harness.system.interrupts import is_interrupt

Q = TypeVar("Q")
A = TypeVar("A")
T = TypeVar("T")

Ask: TypeAlias = Callable[[Sequence[Q]], Sequence[A]]


@dataclass(frozen=True, slots=True)
class Search(Generic[Q, A, T]):
    """A search. ``run(ask)`` does the work and calls ``ask`` for answers.

    seed: seed of its global random state.
    weight: its memory as a multiple of an ordinary search.
    """

    run: Callable[[Ask[Q, A]], T]
    seed: int
    weight: float = 1.0


def run_pooled(searches: Sequence[Search[Q, A, T]], answer: Ask[Q, A], /, *, num_pooled: int = 256) -> list[T | Exception]:
    """Run the searches; return the result of each, or the exception that ended it, in order.

    answer: called once per round with the questions of all active searches. An exception from it, and an
        interrupt, ends all searches.
    num_pooled: maximum sum of the weights of active searches; at least one always runs.
    """
    outcomes: dict[int, T | Exception] = {}
    waiting = deque(enumerate(searches))
    active: dict[int, _Sleeper[Q, A, T]] = {}

    def has_room(search: Search[Q, A, T]) -> bool:
        return not active or sum(sleeper.search.weight for sleeper in active.values()) + search.weight <= num_pooled

    def settle(index: int) -> None:
        outcome = active[index].outcome
        if outcome is not None:
            outcomes[index] = outcome[0]
            del active[index]

    try:
        while waiting or active:
            with _keep_global_random():
                while waiting and has_room(waiting[0][1]):
                    index, search = waiting.popleft()
                    active[index] = _Sleeper(search)
                    active[index].wake()
                    settle(index)
            questions = [question for sleeper in active.values() for question in sleeper.questions]
            answers = iter(_check_count(answer, questions))
            with _keep_global_random():
                for index, sleeper in list(active.items()):
                    sleeper.wake(list(islice(answers, len(sleeper.questions))))
                    settle(index)
    finally:
        with _keep_global_random():
            for sleeper in active.values():
                sleeper.kill()
    return [outcomes[index] for index in range(len(searches))]


def _check_count(answer: Ask[Q, A], questions: list[Q]) -> Sequence[A]:
    answers = answer(questions) if questions else ()
    assert len(answers) == len(questions), f"{len(answers):,} answers to {len(questions):,} questions"
    return answers


class _Sleeper(Generic[Q, A, T]):
    """A search in its greenlet: awake inside `wake`, otherwise asleep with ``questions``, until it has an
    ``outcome``. Keeps its own state of the global random generators."""

    def __init__(self, search: Search[Q, A, T]) -> None:
        self.questions: Sequence[Q] = ()
        self.outcome: tuple[T | Exception] | None = None
        self.search = search
        random.seed(search.seed % 2**32)
        np.random.seed(search.seed % 2**32)
        self._random = _get_global_random()
        self._greenlet: Any = import_module("greenlet").greenlet(self._run)

    def wake(self, *answers: Sequence[A]) -> None:
        _set_global_random(self._random)
        self._greenlet.switch(*answers)
        self._random = _get_global_random()

    def kill(self) -> None:
        if self._greenlet:  # true while it runs
            _set_global_random(self._random)
            self._greenlet.throw()

    def _run(self) -> None:
        try:
            self.outcome = (self.search.run(self._ask),)
        except BaseException as error:
            if is_interrupt(error):
                raise
            # The exception of a search is its outcome; the others continue.
            self.outcome = (error if isinstance(error, Exception) else RuntimeError(describe_error(error)),)

    def _ask(self, questions: Sequence[Q]) -> Sequence[A]:
        if not questions:
            return ()
        self.questions = questions
        answers: Sequence[A] = self._greenlet.parent.switch()
        return answers


@contextmanager
def _keep_global_random() -> Iterator[None]:
    """Restore Python's and NumPy's global random generators afterwards."""
    outer = _get_global_random()
    try:
        yield
    finally:
        _set_global_random(outer)


def _get_global_random() -> tuple[Any, Any]:
    return random.getstate(), np.random.get_state()


def _set_global_random(state: tuple[Any, Any]) -> None:
    random.setstate(state[0])
    np.random.set_state(state[1])
