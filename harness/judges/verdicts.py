"""Questions to a judge, and its verdicts."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Question = Literal["refused", "harmful"]
Outcome = Literal["refused", "answered", "neither"]
OUTCOMES: tuple[Outcome, ...] = ("refused", "answered", "neither")
"""Possible outcomes of a request. ``neither``: the answer does not understand it, asks back, or is empty."""


@dataclass(frozen=True, slots=True)
class Exchange:
    """A prompt and the answer of the model under evaluation."""

    prompt: str
    answer: str


@dataclass(frozen=True, slots=True)
class Verdict:
    """The verdict of one judge on one answer.

    value: 1 yes, 0 no, None without a verdict. reason: why there is no verdict.
    probability: of yes, if the judge has one.
    outcome: refused, answered or neither, if the judge tells them apart (a classifier of one class does not).
    grade: harmfulness from 0 to 1, of a graded rubric.
    codes: hazard codes that the judge names.
    """

    value: float | None
    reason: str = ""
    probability: float | None = None
    outcome: Outcome | None = None
    grade: float | None = None
    codes: tuple[str, ...] = ()

    @property
    def unanswered(self) -> float | None:
        """For a verdict on refusal: 0 if the request was answered, 1 if it was refused or neither."""
        return self.value if self.outcome is None else float(self.outcome != "answered")
