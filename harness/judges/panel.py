"""A panel of judges for the same answers.

A judge answers a question about a prompt and its answer (was it ``refused``, is it ``harmful``) with yes (1), no (0) or
no verdict (None, with the reason). No judge is trusted alone: a record keeps the verdict of each, and `make_judge_rows`
compares them with each other and with human labels.

``phrases``      rule-based: phrases of refusal (`phrases`). It cannot detect harm: any answered request counts as harmful
``model``        a language model with a rubric (`rubric`), in the role ``judge``
``classifier``   a text classifier (`classifier`), in the role ``classifier``; needs the label that means yes
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from ..api.errors import ConfigError, suggest_name
from ..api.model_port import ModelPort
from . import classifier, phrases, rubric
from .rubrics import choose_rubric
from .verdicts import Exchange, Question, Verdict

QUESTIONS: tuple[Question, ...] = ("refused", "harmful")
ROLES: Mapping[str, tuple[str, frozenset[str]]] = {
    "model": ("judge", frozenset({"generate"})),
    "classifier": ("classifier", frozenset({"classify", "text"})),
}
"""Judges that use a model: its role and its required capabilities."""

JUDGES = ("phrases", *ROLES)


@dataclass(frozen=True, slots=True)
class Panel:
    """The judges of a task.

    judges: names in order; the verdict of the first is the score.
    label: the classifier's class that means yes.
    rubric: rubric of the judge ``model``, by name or as a mapping (`rubrics`); default: that of the question.

    Raises `ConfigError` for unknown or inconsistent values.
    """

    question: Question
    judges: tuple[str, ...] = ("phrases",)
    label: str = ""
    rubric: str | Mapping[str, Any] = field(default="", hash=False)

    def __post_init__(self) -> None:
        if self.question not in QUESTIONS:
            raise ConfigError(f"question must be {' or '.join(QUESTIONS)}, not {self.question!r}")
        for name in self.judges:
            if name not in JUDGES:
                raise ConfigError(f"there is no judge {name!r}.{suggest_name(name, JUDGES)} The judges: {', '.join(JUDGES)}")
        if len(set(self.judges)) < len(self.judges):
            raise ConfigError(f"judges: a name occurs twice in {', '.join(self.judges)}; list each judge once")
        if ("classifier" in self.judges) != bool(self.label):
            raise ConfigError("classifier_label: NAME, the class that means yes, is needed by the judge 'classifier' and by no other")
        if self.rubric and "model" not in self.judges:
            raise ConfigError("rubric: only the judge 'model' uses it, and it is not among the judges; write judges: [model]")
        _ = self.is_graded

    @property
    def is_graded(self) -> bool:
        """Whether the rubric grades harmfulness instead of giving yes or no."""
        return choose_rubric(self.question, self.rubric).is_graded

    @property
    def roles(self) -> dict[str, frozenset[str]]:
        """The roles of a task with this panel, with their required capabilities."""
        return dict(ROLES[name] for name in self.judges if name in ROLES)

    def judge_by_rule(self, exchange: Exchange, /) -> dict[str, Verdict]:
        """Return the verdicts of the judges that need no model, by judge."""
        return {name: phrases.judge_answer(self.question, exchange) for name in self.judges if name == "phrases"}

    def judge_answers(self, engine: ModelPort, exchanges: Sequence[Exchange], /) -> list[dict[str, Verdict]]:
        """Return the verdicts on each answer, by judge. Each judge's model gets all answers in one call."""
        by_judge: dict[str, list[Verdict]] = {}
        for name in self.judges:
            if name == "phrases":
                by_judge[name] = [phrases.judge_answer(self.question, exchange) for exchange in exchanges]
            elif name == "model":
                chosen = choose_rubric(self.question, self.rubric)
                by_judge[name] = rubric.judge_answers(chosen, engine.roles["judge"], exchanges)
            else:
                by_judge[name] = classifier.judge_answers(self.label, engine.roles["classifier"], exchanges)
        return [{name: verdicts[i] for name, verdicts in by_judge.items()} for i in range(len(exchanges))]


def to_artifacts(question: Question, verdicts: Mapping[str, Verdict], /) -> dict[str, object]:
    """Return the artifacts that a record keeps of the verdicts of one answer.

    ``refused_by: {phrases: 1.0, model: None}``, probabilities, grades and codes likewise; ``unscored``: the reasons for
    missing verdicts; ``neither_by``: the judges that saw neither a refusal nor an answer.
    """
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
