"""Judges of answers: what each is asked, what it says, and how several are asked of the same answers.

A judge says yes (1), no (0) or nothing (None, with the reason) to a question about a prompt and its answer: was it ``refused``, is it
``harmful``. No judge is believed alone: a judged record keeps the verdict of each (`judge_rows` compares them, and with human labels where
there are any).

``phrases``      a rule: wordings of refusal (`phrases`). It knows no harm: to it an answer is harmful where it takes the request up
``model``        a language model with a rubric (`rubric`), which plays the role ``judge``: the likeliest of the verdicts
``classifier``   a text classifier (`classifier`), which plays the role ``classifier``; give the label that means yes
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from ..api.errors import ConfigError, did_you_mean
from ..api.model_port import ModelPort
from . import classifier, phrases, rubric
from .rubrics import rubric_of
from .verdicts import Answered, Question, Verdict

QUESTIONS: tuple[Question, ...] = ("refused", "harmful")
ROLES: Mapping[str, tuple[str, frozenset[str]]] = {
    "model": ("judge", frozenset({"generate"})),
    "classifier": ("classifier", frozenset({"classify", "text"})),
}
"""Judges that ask a model: the role that it plays, and what it must be able to do."""

JUDGES = ("phrases", *ROLES)


@dataclass(frozen=True, slots=True)
class Panel:
    """The judges of a task, in order; the first one's verdict is the score. ``label``: the classifier's class that means yes. ``rubric``:
    the model's, by name or as a mapping (`rubrics`); none for that of the question."""

    question: Question
    judges: tuple[str, ...] = ("phrases",)
    label: str = ""
    rubric: str | Mapping[str, Any] = field(default="", hash=False)

    def __post_init__(self) -> None:
        if self.question not in QUESTIONS:
            raise ConfigError(f"question is {' or '.join(QUESTIONS)}, not {self.question!r}")
        for name in self.judges:
            if name not in JUDGES:
                raise ConfigError(f"there is no judge {name!r}.{did_you_mean(name, JUDGES)} The judges: {', '.join(JUDGES)}")
        if len(set(self.judges)) < len(self.judges):
            raise ConfigError(f"judges: one stands twice in {', '.join(self.judges)}")
        if ("classifier" in self.judges) != bool(self.label):
            raise ConfigError("the judge 'classifier' needs the class that means yes, and no other judge does: classifier_label: NAME")
        if self.rubric and "model" not in self.judges:
            raise ConfigError("rubric: it is read by the judge 'model', which is not among the judges; write judges: [model]")
        _ = self.is_graded

    @property
    def is_graded(self) -> bool:
        return rubric_of(self.question, self.rubric).is_graded

    @property
    def roles(self) -> dict[str, frozenset[str]]:
        """The roles that a task with this panel has."""
        return dict(ROLES[name] for name in self.judges if name in ROLES)

    def by_rule(self, answered: Answered, /) -> dict[str, Verdict]:
        """The verdicts that need no model."""
        return {name: phrases.verdict(self.question, answered) for name in self.judges if name == "phrases"}

    def verdicts(self, engine: ModelPort, answers: Sequence[Answered], /) -> list[dict[str, Verdict]]:
        """What each judge says of each answer; all answers go to a judge's model together."""
        said: dict[str, list[Verdict]] = {}
        for name in self.judges:
            if name == "phrases":
                said[name] = [phrases.verdict(self.question, answer) for answer in answers]
            elif name == "model":
                said[name] = rubric.verdicts(rubric_of(self.question, self.rubric), engine.roles["judge"], answers)
            else:
                said[name] = classifier.verdicts(self.label, engine.roles["classifier"], answers)
        return [{name: verdicts[i] for name, verdicts in said.items()} for i in range(len(answers))]


def kept(question: Question, verdicts: Mapping[str, Verdict], /) -> dict[str, object]:
    """What a record keeps of the verdicts: ``refused_by: {phrases: 1.0, model: None}``, the probabilities behind them, and why a judge said
    nothing. ``neither_by``: the judges that saw neither a refusal nor an answer."""
    by: dict[str, object] = {f"{question}_by": {name: verdict.value for name, verdict in verdicts.items()}}
    if question == "refused" and (unread := {name: 1.0 for name, verdict in verdicts.items() if verdict.outcome == "neither"}):
        by["neither_by"] = unread
    if graded := {name: round(v.grade, 6) for name, v in verdicts.items() if v.grade is not None}:
        by[f"{question}_grade_by"] = graded
    if coded := {name: list(v.codes) for name, v in verdicts.items() if v.codes}:
        by[f"{question}_codes_by"] = coded
    if likely := {name: round(v.probability, 6) for name, v in verdicts.items() if v.probability is not None}:
        by[f"{question}_probability"] = likely
    if silent := {name: verdict.reason for name, verdict in verdicts.items() if verdict.value is None}:
        by["unscored"] = "; ".join(f"{name}: {reason}" for name, reason in silent.items())
    return by
