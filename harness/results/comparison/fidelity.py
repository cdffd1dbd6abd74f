"""How much the answers and explanations of two sides differ, whether or not they are right.

Shape legend: C classes, P parts of an input.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from ...api.comparison import Flip
from ...api.item_key import ItemKey
from ...api.samples import Record
from ...api.scorecard import Estimate, Measure, Row
from ...items.probe.faithfulness.ranks import rank_correlation
from ...metrics.scores import column_mean
from ...statistics import estimate
from .samples import MOST_FLIPS, Records

_LEAST_CHANCE = 1e-12

_MEANS: Mapping[str, tuple[float | None, float | None]] = {
    "answers_changed": (0.0, 1.0), "kl_divergence": (0.0, None), "loglikelihood_change": (0.0, None),
    "explanation_rank_correlation": (-1.0, 1.0), "explanations_moved": (0.0, 1.0),
}  # fmt: skip
"""The means over samples, with the bounds of their scores."""

_LARGEST = ("kl_divergence", "loglikelihood_change")
"""The scores whose largest value has a row as well."""

FIDELITY: Mapping[str, Measure] = {
    "answers_changed": Measure("Answers changed", "Share of samples with another answer.", None, "rate", 0.0, 1.0),
    "kl_divergence": Measure(
        "Divergence of probabilities", "Mean Kullback-Leibler divergence of the class probabilities, baseline to candidate, in nats.", None
    ),
    "max_kl_divergence": Measure(
        "Largest divergence of probabilities", "Largest Kullback-Leibler divergence of the class probabilities of a sample, in nats.", None
    ),
    "loglikelihood_change": Measure(
        "Change of log-likelihoods", "Mean size of the change of the log-likelihoods of choices or texts, in nats.", None
    ),
    "max_loglikelihood_change": Measure(
        "Largest change of log-likelihoods", "Largest mean size of the change of the log-likelihoods of a sample, in nats.", None
    ),
    "explanation_rank_correlation": Measure(
        "Rank correlation of explanations", "Mean rank correlation of the two explanations of a sample for the same class.", None
    ),
    "explanations_moved": Measure(
        "Explanations moved",
        "Share of samples whose two explanations for the same class have a rank correlation below 0.5.",
        None,
        "rate",
        0.0,
        1.0,
    ),
}
"""The meaning of each row of fidelity."""

MOVED = 0.5
"""Two explanations of one answer with a rank correlation below this have moved."""


def compare_outputs(baseline: Records, candidate: Records, model: str, /) -> tuple[list[Row], list[Flip]]:
    """Return the rows of fidelity, and the explanations that moved though the answer stayed, the most moved first.

    The scores, by sample: whether the prediction differs; the Kullback-Leibler divergence of the class probabilities,
    baseline to candidate, in nats; the mean size of the change of the log-likelihoods of the choices, or of the text, in
    nats; and the rank correlation of the attributions for the same class.
    """
    rows: list[Row] = []
    moved: list[Flip] = []
    for key, item in candidate.items.items():
        if key not in baseline.items:
            continue
        before = {record.sample_id: _select(record) for record in baseline.store.records(baseline.items[key])}
        scores: dict[str, list[float]] = defaultdict(list)
        item_moved = []
        for record in candidate.store.records(item):
            if record.sample_id in before:
                for name, value in _score(before[record.sample_id], _select(record)):
                    scores[name].append(value)
                    if name == "explanation_rank_correlation":
                        scores["explanations_moved"].append(float(value < MOVED))
                        if value < MOVED:
                            item_moved.append(Flip(item.key, record.sample_id, "explanation moved", size=1 - value))
        moved += sorted(item_moved, key=lambda flip: -(flip.size or 0.0))[:MOST_FLIPS]
        rows += _make_rows(model, item.key, scores)
    return rows, moved


def _select(record: Record) -> dict[str, Any]:
    """Return the comparable parts of a record."""
    artifacts = record.artifacts
    loglikelihoods = artifacts.get("loglikelihoods")
    if loglikelihoods is None and record.scores.get("loglikelihood") is not None:
        loglikelihoods = (record.scores["loglikelihood"],)
    attribution = artifacts.get("attribution")
    return {
        "answer": None if attribution else artifacts.get("prediction", artifacts.get("output")),
        "probabilities": None if attribution else artifacts.get("probabilities"), "loglikelihoods": loglikelihoods,
        "values": None if attribution is None else np.asarray(attribution["values"], dtype=np.float64).ravel(),
        "target": None if attribution is None else attribution["target"],
    }  # fmt: skip


def _score(before: Mapping[str, Any], after: Mapping[str, Any]) -> Iterator[tuple[str, float]]:
    """Yield the name and the value of each score that both records allow."""
    if before["answer"] is not None and after["answer"] is not None:
        yield "answers_changed", float(before["answer"] != after["answer"])
    if _are_alike(before["probabilities"], after["probabilities"]):
        first_C, second_C = (np.maximum(np.asarray(each["probabilities"], dtype=np.float64), _LEAST_CHANCE) for each in (before, after))
        yield "kl_divergence", max(0.0, float(first_C @ np.log(first_C / second_C)))
    if _are_alike(before["loglikelihoods"], after["loglikelihoods"]):
        yield "loglikelihood_change", float(np.mean(np.abs(np.subtract(before["loglikelihoods"], after["loglikelihoods"]))))
    if _are_alike(before["values"], after["values"]) and before["target"] == after["target"]:
        correlation = rank_correlation(before["values"], after["values"])
        if correlation is not None:
            yield "explanation_rank_correlation", correlation


def _are_alike(before: Sequence[float] | None, after: Sequence[float] | None) -> bool:
    return before is not None and after is not None and 0 < len(before) == len(after)


def _make_rows(model: str, key: ItemKey, scores: Mapping[str, Sequence[float]]) -> Iterator[Row]:
    for name, bounds in _MEANS.items():
        if values := scores.get(name):
            values_N = np.array([value for value in values if np.isfinite(value)], dtype=np.float64)
            dimension = "interpretability" if name.startswith("explanation") else "quality"
            mean = estimate(column_mean(name, *bounds), {name: values_N}, ())[name]
            yield Row(model, key, name, dimension, mean)
            if name in _LARGEST and len(values_N):
                yield Row(model, key, f"max_{name}", dimension, Estimate(float(values_N.max()), n=len(values_N)))
