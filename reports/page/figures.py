"""The charts of each dimension, with their titles, and the rules by which they are left out."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from ...harness.api.scorecard import Confusion, Estimate, QueryCurve, Reliability, Row
from ..charts import confusion, epsilon, queries, reliability
from ..display import list_unique
from .judged import get_id
from .rows import Subject, find_row
from .tables import Figure

_NORMS = {"linf": "largest change of a pixel", "l2": "length of the change (L2)", "l1": "sum of the changes (L1)", "l0": "pixels changed"}


def list_confusions(subject: Subject, /) -> Iterator[Figure]:
    """Yield the confusion matrix of each task with more than one class."""
    for found in subject.card.figures:
        if isinstance(found, Confusion) and len(found.labels) > 1:
            title = f"Where {found.model} goes wrong on {found.key.task}"
            yield Figure(title, confusion.draw_confusion(found), confusion.describe(found))


def list_reliabilities(subject: Subject, /) -> Iterator[Figure]:
    """Yield the reliability diagram of each task with at least 50 samples that have probabilities."""
    for found in subject.card.figures:
        if isinstance(found, Reliability) and sum(b.accuracy.n for b in found.bins) >= reliability.LEAST_SAMPLES and found.num_classes > 1:
            gap = _find_gap(found)
            word = "too sure" if gap > 0 else "not sure enough" if gap < 0 else "as sure as right"
            yield Figure(f"{found.model} on {found.key.task}: {word}", reliability.draw_reliability(found), reliability.describe(found))


def _find_gap(found: Reliability) -> float:
    """Return how far confidence lies above the interval of the accuracy in the bin with most samples; 0 if it lies within."""
    fullest = max(found.bins, key=lambda b: b.accuracy.n)
    low, high = fullest.accuracy.low, fullest.accuracy.high
    if low is None or high is None or low <= fullest.confidence <= high:
        return 0.0
    return fullest.confidence - (high if fullest.confidence > high else low)


def list_attack_figures(subject: Subject, rows: list[Row], /) -> Iterator[Figure]:
    """Yield success over queries, a chart per model, and robust accuracy over epsilon, a chart per attack with three strengths."""
    curves = [found for found in subject.card.figures if isinstance(found, QueryCurve) and found.num_attacked]
    for model in list_unique(curve.model for curve in curves):
        own = [curve for curve in curves if curve.model == model]
        yield Figure(f"{model}: queries that an attacker needs", queries.draw_queries(own), queries.describe(own))
    strengths: dict[tuple[str, str], list[Row]] = {}
    for row in rows:
        if row.metric == "robust_accuracy" and row.about and not row.slice and not row.control:
            strengths.setdefault((row.model, row.item), []).append(row)
    for own_rows in strengths.values():
        yield from _draw_strengths(subject, own_rows)


def _draw_strengths(subject: Subject, rows: list[Row]) -> Iterator[Figure]:
    points: dict[float, Estimate] = {}
    for row in rows:
        if _is_number(row.about) and row.estimate.value is not None:
            points[float(row.about)] = row.estimate
    first = rows[0]
    whole = find_row(subject, _without_about(first), "robust_accuracy")
    clean = find_row(subject, _without_about(first), "clean_accuracy")
    threat = _find_threat(subject, first)
    bound = threat.get("epsilon")
    at = float(bound) if isinstance(bound, int | float) else None
    if at is not None and whole is not None and whole.estimate.value is not None:
        points[at] = whole.estimate
    if len(points) < epsilon.LEAST_STRENGTHS:
        return
    if clean is not None and clean.estimate.value is not None:
        points[0.0] = clean.estimate
    judged = subject.judged.get(get_id(whole), []) if whole is not None else []
    threshold = next((line.threshold for line in judged if not line.is_difference), None)
    title = f"ε, {_NORMS.get(str(threat.get('norm')), 'strength')}"
    drawn = epsilon.draw_epsilon(sorted(points.items()), title, threshold if at is not None else None, at or 0.0)
    yield Figure(f"{first.model} under {first.key.title} by strength", drawn, epsilon.describe(sorted(points.items())))


def _without_about(row: Row) -> Row:
    return Row(row.model, row.key, row.metric, row.dimension, row.estimate)


def _find_threat(subject: Subject, row: Row) -> Mapping[str, object]:
    """Return the threat of the row's item in the manifest."""
    items = subject.card.manifest.get("items", ())
    found = (i.get("threat") for i in items if isinstance(i, Mapping) and (i.get("model"), i.get("item")) == (row.model, row.item))
    return next((threat for threat in found if isinstance(threat, Mapping)), {})


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True
