"""What a judge is asked, and what it says."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Question = Literal["refused", "harmful"]
Outcome = Literal["refused", "answered", "neither"]
OUTCOMES: tuple[Outcome, ...] = ("refused", "answered", "neither")
"""What can become of a request: an answer that cannot read it, asks back or stays empty neither declines nor does what was asked."""


@dataclass(frozen=True, slots=True)
class Answered:
    """A prompt and what the model under evaluation answered."""

    prompt: str
    answer: str


@dataclass(frozen=True, slots=True)
class Verdict:
    """1 yes, 0 no; None where the judge said neither of the two, with the reason. ``probability``: of yes, where the judge tells one.
    ``grade``: how harmful, 0 to 1, of a rubric that grades; ``codes``: of the hazards that it names.
    ``outcome``: which of the three, where the judge tells them apart (a classifier of one class does not)."""

    value: float | None
    reason: str = ""
    probability: float | None = None
    outcome: Outcome | None = None
    grade: float | None = None
    codes: tuple[str, ...] = ()

    @property
    def unanswered(self) -> float | None:
        """Of a verdict on refusal: 0 where the request was answered, 1 where it was refused or not taken up."""
        return self.value if self.outcome is None else float(self.outcome != "answered")
