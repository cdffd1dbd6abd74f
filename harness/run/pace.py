"""Estimate how long the rest of a run takes."""

from __future__ import annotations

from collections.abc import Mapping


class Pace:
    """Estimates the rest of a run from the parts that are done.

    shares: the rough share of each item in the work of the run, by model and item (`plan.shares`).

    An item in progress goes on at its own pace. An item that has not started takes as long as its share says at the pace of the run so
    far, which is a rough number that each finished item corrects.
    """

    def __init__(self, shares: Mapping[tuple[str, str], float]) -> None:
        self._waiting = dict(shares)
        self._share_done = self._seconds = 0.0

    def finish(self, model: str, item: str, part: float, seconds: float) -> None:
        """Count a finished item. part: the part of its samples that took the seconds; the rest had records before."""
        self._share_done += self._waiting.pop((model, item), 0.0) * part
        self._seconds += seconds

    def estimate_left(self, model: str, item: str, part: float, left: float, seconds: float) -> float | None:
        """Estimate the seconds that the run still takes; None while nothing is done that tells the pace.

        model, item: the item in progress.
        part: the part of its samples that this run has done. left: the part that is still to do. seconds: the time spent on it.
        """
        share = self._waiting.get((model, item), 0.0)
        done = self._share_done + share * part
        if done <= 0:
            return None
        pace = (self._seconds + seconds * bool(part)) / done
        own = seconds * left / part if part > 0 else share * left * pace
        return own + (sum(self._waiting.values()) - share) * pace
