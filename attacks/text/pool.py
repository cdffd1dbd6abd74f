"""Many searches that each wait for one answer at a time, driven together: what they ask is pooled into one list a round.

A library that attacks one example at a time calls the model from deep inside its own loops. Run in a greenlet, such a search can be left
asleep in the middle of that call while the others catch up:

    search 1   ask [a b] ─┐          ┌─ … ask [f]   ─┐
    search 2   ask [c]   ─┼─ answer ─┼─ … ask [g h] ─┼─ answer ─ …
    search 3   ask [d e] ─┘          └─ … returns    └─ (search 4 begins)

Nothing a search sees depends on its neighbours: it gets the answers to its own questions, and Python's and NumPy's global random state are
its own while it is awake. So what it returns is what it would have returned alone.
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

from ...harness.api.errors import sentence
from ...harness.system.interrupts import is_interrupt

Q = TypeVar("Q")
A = TypeVar("A")
T = TypeVar("T")

Ask: TypeAlias = Callable[[Sequence[Q]], Sequence[A]]


@dataclass(frozen=True, slots=True)
class Search(Generic[Q, A, T]):
    """``run(ask)`` does the work and calls ``ask`` whenever it needs answers.

    ``seed``: where its global random state begins. ``weight``: how many ordinary searches it is as heavy as, in memory.
    """

    run: Callable[[Ask[Q, A]], T]
    seed: int
    weight: float = 1.0


def pooled(searches: Sequence[Search[Q, A, T]], answer: Ask[Q, A], /, *, num_pooled: int = 256) -> list[T | Exception]:
    """What each search returned, or the exception that ended it, in order.

    ``answer`` is called once a round with the questions of all searches under way. Their weights sum to at most ``num_pooled`` (one may
    always run); as one ends, the next begins. What ``answer`` raises, and an interrupt anywhere, ends all of them.
    """
    outcomes: dict[int, T | Exception] = {}
    waiting = deque(enumerate(searches))
    begun: dict[int, _Sleeper[Q, A, T]] = {}

    def has_room(search: Search[Q, A, T]) -> bool:
        return not begun or sum(sleeper.search.weight for sleeper in begun.values()) + search.weight <= num_pooled

    def settle(index: int) -> None:
        outcome = begun[index].outcome
        if outcome is not None:
            outcomes[index] = outcome[0]
            del begun[index]

    try:
        while waiting or begun:
            with _global_random_kept():
                while waiting and has_room(waiting[0][1]):
                    index, search = waiting.popleft()
                    begun[index] = _Sleeper(search)
                    begun[index].wake()
                    settle(index)
            questions = [question for sleeper in begun.values() for question in sleeper.questions]
            answers = iter(_counted(answer, questions))
            with _global_random_kept():
                for index, sleeper in list(begun.items()):
                    sleeper.wake(list(islice(answers, len(sleeper.questions))))
                    settle(index)
    finally:
        with _global_random_kept():
            for sleeper in begun.values():
                sleeper.kill()
    return [outcomes[index] for index in range(len(searches))]


def _counted(answer: Ask[Q, A], questions: list[Q]) -> Sequence[A]:
    answers = answer(questions) if questions else ()
    assert len(answers) == len(questions), f"{len(answers)} answers to {len(questions)} questions"
    return answers


class _Sleeper(Generic[Q, A, T]):
    """A search in its greenlet: awake inside `wake`, asleep with its ``questions`` otherwise, until it has an ``outcome``.

    It leaves its own state in the global random generators.
    """

    def __init__(self, search: Search[Q, A, T]) -> None:
        self.questions: Sequence[Q] = ()
        self.outcome: tuple[T | Exception] | None = None
        self.search = search
        random.seed(search.seed % 2**32)
        np.random.seed(search.seed % 2**32)
        self._random = _global_random()
        self._greenlet: Any = import_module("greenlet").greenlet(self._run)

    def wake(self, *answers: Sequence[A]) -> None:
        _set_global_random(self._random)
        self._greenlet.switch(*answers)
        self._random = _global_random()

    def kill(self) -> None:
        if self._greenlet:  # true while begun and not over
            _set_global_random(self._random)
            self._greenlet.throw()

    def _run(self) -> None:
        try:
            self.outcome = (self.search.run(self._ask),)
        except BaseException as error:
            if is_interrupt(error):
                raise
            # A search's own failure is its outcome; the others go on.
            self.outcome = (error if isinstance(error, Exception) else RuntimeError(sentence(error)),)

    def _ask(self, questions: Sequence[Q]) -> Sequence[A]:
        if not questions:
            return ()
        self.questions = questions
        answers: Sequence[A] = self._greenlet.parent.switch()
        return answers


@contextmanager
def _global_random_kept() -> Iterator[None]:
    """Python's and NumPy's global generators are afterwards as they were before."""
    outer = _global_random()
    try:
        yield
    finally:
        _set_global_random(outer)


def _global_random() -> tuple[Any, Any]:
    return random.getstate(), np.random.get_state()


def _set_global_random(state: tuple[Any, Any]) -> None:
    random.setstate(state[0])
    np.random.set_state(state[1])
