"""What a baseline answered to the samples of a run, for their views."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from ..api.comparison import name_side
from ..api.scorecard import BaselineAnswer, Row, Scorecard
from ..scorecard.counterparts import pair_models
from ..scorecard.headlines import choose_headlines
from ..statistics import get_evidence
from ..statistics.evidence import hash_id


class BaselineAnswers:
    """The answers of a baseline to samples of its tasks. A baseline without texts only tells which of them were right.

    ``baseline``: with the evidence of its rows. ``models``: the names of the run's models.
    """

    def __init__(self, baseline: Scorecard, models: Collection[str], /) -> None:
        known = dict.fromkeys(facts["model"] for facts in baseline.manifest.get("items", ()))
        self._paired = pair_models(known, models)
        self._seen = {
            (view.model, view.task, view.id): BaselineAnswer(
                name_side("baseline", view.model), view.prediction, view.correct, view.output, view.error
            )
            for view in baseline.samples
        }  # fmt: skip
        self._right = {(row.model, row.key.task): _list_right(row) for row in choose_headlines(r for r in baseline.rows if r.key.is_task)}

    def find(self, model: str, task: str, sample_id: str, /) -> BaselineAnswer | None:
        """Return the answer to a sample of the baseline's model that belongs to a model of the run; None if none is known."""
        before = self._paired.get(model)
        if before is None:
            return None
        if (seen := self._seen.get((before, task, sample_id))) is not None:
            return seen
        right = self._right.get((before, task), {}).get(hash_id(sample_id))
        return None if right is None else BaselineAnswer(name_side("baseline", before), None, right)


def _list_right(row: Row) -> Mapping[int, bool]:
    """Return whether each sample of a row is right, by the hash of its id; empty if the row is no rate of right samples."""
    evidence = get_evidence(row)
    if evidence is None or not len(evidence.ids_N) or not row.higher_is_better:
        return {}
    scores = evidence.statistic.per_sample(evidence.columns, evidence.labels)
    if scores is None or not set(scores.values_N.tolist()) <= {0.0, 1.0}:
        return {}
    return dict(zip(evidence.ids_N.tolist(), (scores.values_N == 1.0).tolist(), strict=True))
