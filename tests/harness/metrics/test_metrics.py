"""Every metric against its definition in plain Python, on the samples themselves and on materialised resamples."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
import sklearn
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import metrics as sk
from windtunnel.harness.api.errors import DataError
from windtunnel.harness.api.scorecard import DIMENSIONS
from windtunnel.harness.metrics import base, classification, perplexity, probability, safety, scores

METRICS = {
    cls.name: cls
    for module in (classification, probability, scores, perplexity, safety)
    for cls in vars(module).values()
    if isinstance(cls, type) and issubclass(cls, base.Metric) and "name" in vars(cls)
}


MEANS = (
    "stereotype",
    "refused",
    "harmful",
    "harmful_grade",
    "neither",
    "mc2",
    "common_prefix",
    "memorised",
    "failed",
    "toxicity",
    "toxic",
    "held",
)
TOXIC = ("expected_max_toxicity", "toxic_rate")
NEITHER = {"neither_rate", "stereotype_score", "stereotype_gap", "bias_ambiguous", "bias_disambiguated"}
"""Metrics whose best value lies in the middle."""


@dataclass(frozen=True)
class Row:
    """One sample. ``odds``: whole numbers in proportion to the probabilities, so that the definitions can be computed exactly."""

    target: int
    prediction: int
    odds: tuple[int, ...]
    acc: float
    loglikelihood: float
    length: int

    def p(self, index: int) -> Fraction:
        return Fraction(self.odds[index], sum(self.odds))


def lean(row: Row) -> int:
    """BBQ's answer: unknown, biased or counter-biased."""
    return (0, 1, -1, 1)[row.prediction]


def columns_of(rows: list[Row]) -> dict[str, np.ndarray[Any, Any]]:
    acc = np.array([row.acc for row in rows], dtype=float)
    length = np.array([row.length for row in rows], dtype=float)
    return {
        "target": np.array([row.target for row in rows], dtype=np.int64),
        "prediction": np.array([row.prediction for row in rows], dtype=np.int64),
        "probabilities": np.array([[float(row.p(c)) for c in range(len(row.odds))] for row in rows]),
        "loglikelihood": np.array([row.loglikelihood for row in rows], dtype=float),
        **dict.fromkeys(("acc", "acc_norm", "exact_match", *MEANS), acc),
        "lean": np.array([lean(row) for row in rows], dtype=float),
        "stereotypical": np.array([row.target % 2 for row in rows], dtype=float),
        **dict.fromkeys(("num_tokens", "num_words", "num_bytes"), length),
    }


@st.composite
def cases(draw: st.DrawFn) -> tuple[list[Row], tuple[str, ...], list[list[int]]]:
    """Rows with few distinct values (ties, absent classes, single samples), labels, and three resamples' counts."""
    num_classes = draw(st.integers(2, 4))
    index = st.integers(0, num_classes - 1)
    row = st.builds(
        Row,
        target=index,
        prediction=index,
        odds=st.lists(st.integers(0, 3), min_size=num_classes, max_size=num_classes).filter(any).map(tuple),
        acc=st.sampled_from([0.0, 1.0]),
        loglikelihood=st.sampled_from([0.0, -0.5, -3.25, -40.0]),
        length=st.integers(0, 4),
    )
    rows = draw(st.lists(row, min_size=1, max_size=9))
    counts = st.lists(st.integers(0, 3), min_size=len(rows), max_size=len(rows)).filter(any)
    return rows, tuple("abcd"[:num_classes]), draw(st.lists(counts, min_size=3, max_size=3))


# ── the definitions ───────────────────────────────────────────────────────────────────────────────────────────────────


def count(rows: list[Row], condition: Callable[[Row], bool]) -> int:
    return sum(1 for row in rows if condition(row))


def precision(rows: list[Row], c: int) -> float:
    predicted = count(rows, lambda row: row.prediction == c)
    return count(rows, lambda row: row.prediction == c == row.target) / predicted if predicted else 0.0


def recall(rows: list[Row], c: int) -> float:
    support = count(rows, lambda row: row.target == c)
    return count(rows, lambda row: row.prediction == c == row.target) / support if support else 0.0


def f1(rows: list[Row], c: int) -> float:
    p, r = precision(rows, c), recall(rows, c)
    return 2 * p * r / (p + r) if p + r else 0.0


def occurring(rows: list[Row]) -> list[int]:
    return sorted({row.target for row in rows} | {row.prediction for row in rows})


def mean(values: Any) -> float:
    values = list(values)
    return float(sum(values) / len(values))


def macro(of_class: Callable[[list[Row], int], float]) -> Callable[[list[Row]], float]:
    return lambda rows: mean(of_class(rows, c) for c in occurring(rows))


def matthews(rows: list[Row]) -> float | None:
    """Pearson's correlation of the one-hot target and prediction, summed over classes (Gorodkin 2004)."""
    if len({row.target for row in rows}) < 2:
        return None

    def covariance(x: str, y: str) -> Fraction:
        total = Fraction(0)
        for c in range(4):
            xs, ys = ([Fraction(getattr(row, name) == c) for row in rows] for name in (x, y))
            x_mean, y_mean = sum(xs) / len(xs), sum(ys) / len(ys)
            total += sum(((a - x_mean) * (b - y_mean) for a, b in zip(xs, ys, strict=True)), Fraction(0))
        return total

    spread = covariance("target", "target") * covariance("prediction", "prediction")
    return float(covariance("target", "prediction")) / math.sqrt(spread) if spread else 0.0


def roc_auc(rows: list[Row]) -> float | None:
    targets = {row.target for row in rows}
    if len(targets) < 2:
        return None

    def one_vs_rest(c: int) -> float:
        wins = [
            Fraction(1) if p.p(c) > n.p(c) else Fraction(1, 2) if p.p(c) == n.p(c) else Fraction(0)
            for p in rows
            if p.target == c
            for n in rows
            if n.target != c
        ]
        return mean(wins)

    return one_vs_rest(1) if len(rows[0].odds) == 2 else mean(one_vs_rest(c) for c in targets)


def log_loss(rows: list[Row]) -> float:
    eps = 2.0**-52
    return mean(-math.log(min(max(float(row.p(row.target)), eps), 1 - eps)) for row in rows)


def brier(rows: list[Row]) -> float:
    num_classes = len(rows[0].odds)
    if num_classes == 2:
        return mean((row.p(1) - row.target) ** 2 for row in rows)
    return mean(sum((row.p(c) - (row.target == c)) ** 2 for c in range(num_classes)) for row in rows)


def ece(rows: list[Row]) -> float:
    bins: dict[int, list[Fraction]] = {}
    for row in rows:
        confidence = max(row.p(c) for c in range(len(row.odds)))
        right = row.odds.index(max(row.odds)) == row.target
        bins.setdefault(math.ceil(confidence * 15), []).append(right - confidence)
    return float(sum(abs(sum(gaps)) for gaps in bins.values()) / len(rows))


def rate(rows: list[Row]) -> float | None:
    length = sum(row.length for row in rows)
    return -sum(row.loglikelihood for row in rows) / length if length else None


def perplexity_of(rows: list[Row]) -> float | None:
    nats = rate(rows)
    return None if nats is None else math.exp(nats)


def per_class(stem: str, of_class: Callable[[list[Row], int], float]) -> Callable[[list[Row]], dict[str, float | None]]:
    def reference(rows: list[Row]) -> dict[str, float | None]:
        here = occurring(rows)
        return {f"{stem}[{'abcd'[c]}]": of_class(rows, c) if c in here else None for c in range(len(rows[0].odds))}

    return reference


REFERENCES: dict[str, Callable[[list[Row]], Any]] = {
    "accuracy": lambda rows: mean(row.target == row.prediction for row in rows),
    "balanced_accuracy": lambda rows: mean(recall(rows, c) for c in {row.target for row in rows}),
    "precision_macro": macro(precision),
    "recall_macro": macro(recall),
    "f1_macro": macro(f1),
    "f1_micro": lambda rows: mean(row.target == row.prediction for row in rows),
    "f1_weighted": lambda rows: mean(f1(rows, row.target) for row in rows),
    "precision_per_class": per_class("precision", precision),
    "recall_per_class": per_class("recall", recall),
    "f1_per_class": per_class("f1", f1),
    "f1": lambda rows: f1(rows, 1) if len(rows[0].odds) == 2 and 1 in occurring(rows) else None,
    "matthews": matthews,
    "roc_auc": roc_auc,
    "log_loss": log_loss,
    "brier": brier,
    "ece": ece,
    "exact_match": lambda rows: mean(row.acc for row in rows),
    "acc": lambda rows: mean(row.acc for row in rows),
    "acc_norm": lambda rows: mean(row.acc for row in rows),
    "token_perplexity": perplexity_of,
    "word_perplexity": perplexity_of,
    "byte_perplexity": perplexity_of,
    "bits_per_byte": lambda rows: None if rate(rows) is None else rate(rows) / math.log(2),
}


def bias_disambiguated(rows: list[Row]) -> float | None:
    """Parrish et al. 2022, equation 1."""
    num_biased, num_known = count(rows, lambda row: lean(row) == 1), count(rows, lambda row: lean(row) != 0)
    return 2 * num_biased / num_known - 1 if num_known else None


def bias_ambiguous(rows: list[Row]) -> float:
    """Parrish et al. 2022, equation 2, where "unknown" is the right answer."""
    accuracy = mean(lean(row) == 0 for row in rows)
    return (1 - accuracy) * (bias_disambiguated(rows) or 0.0)


def stereotype_gap(rows: list[Row]) -> float | None:
    pro, anti = ([row.acc for row in rows if row.target % 2 == kind] for kind in (1, 0))
    return mean(pro) - mean(anti) if pro and anti else None


REFERENCES |= {
    **dict.fromkeys(
        (
            "stereotype_score",
            "refusal_rate",
            "over_refusal_rate",
            "harmful_rate",
            "harmful_grade",
            "neither_rate",
            "mc2",
            "common_prefix",
            "memorised",
            "failure_rate",
            "held",
            *TOXIC,
        ),
        lambda rows: mean(row.acc for row in rows),
    ),
    "bias_ambiguous": bias_ambiguous,
    "bias_disambiguated": bias_disambiguated,
    "stereotype_gap": stereotype_gap,
}


def reference(name: str, rows: list[Row]) -> dict[str, float | None]:
    value = REFERENCES[name](rows)
    return value if isinstance(value, dict) else {name: value}


def close(expected: dict[str, float | None]) -> Any:
    """Equal up to rounding, with NaN for what is not defined."""
    return pytest.approx({key: math.nan if value is None else value for key, value in expected.items()}, rel=1e-9, abs=1e-12, nan_ok=True)


# ── the family's tester ───────────────────────────────────────────────────────────────────────────────────────────────


def test_every_metric_has_a_definition_here() -> None:
    assert set(METRICS) == set(REFERENCES)


@pytest.mark.parametrize("name", sorted(METRICS))
@settings(max_examples=20, deadline=None, database=None, derandomize=True)
@given(case=cases())
def test_value_and_resamples_follow_the_definition(name: str, case: tuple[list[Row], tuple[str, ...], list[list[int]]]) -> None:
    rows, labels, counts = case
    metric, columns = METRICS[name](), columns_of(rows)
    expected = reference(name, rows)
    values, undefined = metric.evaluate_columns(columns, labels), metric.undefined(columns, labels)

    assert metric.names(labels) == tuple(expected)
    assert {key: values.get(key, math.nan) for key in expected} == close(expected)
    assert undefined.keys() == {key for key, value in expected.items() if value is None} == expected.keys() - values.keys()
    assert all(undefined.values()), "each with its reason"
    assert all(type(value) is float for value in values.values())

    weights_RN = np.array([[1] * len(rows), *counts], dtype=float)
    resampled = metric.resampled(weights_RN, columns, labels)
    assert tuple(resampled) == metric.names(labels)
    for r, weights in enumerate(weights_RN):
        resample = [row for row, weight in zip(rows, weights, strict=True) for _ in range(int(weight))]
        assert {key: values_R[r] for key, values_R in resampled.items()} == close(reference(name, resample)), resample


@pytest.mark.parametrize("name", sorted(METRICS))
def test_facts(name: str) -> None:
    metric = METRICS[name]()
    assert metric.dimension in DIMENSIONS
    assert type(metric).intervals is not base.Metric.intervals, "the bootstrap covers less than it promises"
    lower = {
        *TOXIC,
        "log_loss",
        "brier",
        "ece",
        "bits_per_byte",
        "over_refusal_rate",
        "harmful_rate",
        "harmful_grade",
        "common_prefix",
        "memorised",
        "failure_rate",
    }
    assert metric.higher_is_better is (None if name in NEITHER else name not in lower and "perplexity" not in name)
    assert (metric.dimension == "calibration") == (name in {"log_loss", "brier", "ece"})
    assert type(metric).__doc__


def random_rows(num_rows: int, seed: int) -> list[Row]:
    numbers = np.random.default_rng(seed).integers(0, 4, (num_rows, 7)).tolist()
    return [Row(t, p, tuple(1 + odd for odd in odds), float(t == p), -float(odds[0]), length) for t, p, length, *odds in numbers]


LARGE = random_rows(200, seed=0)


@pytest.mark.parametrize(
    ("name", "direct"),
    [
        ("accuracy", lambda t, p, q, w: sk.accuracy_score(t, p, sample_weight=w)),
        ("balanced_accuracy", lambda t, p, q, w: sk.balanced_accuracy_score(t, p, sample_weight=w)),
        ("precision_macro", lambda t, p, q, w: sk.precision_score(t, p, average="macro", sample_weight=w)),
        ("recall_macro", lambda t, p, q, w: sk.recall_score(t, p, average="macro", sample_weight=w)),
        ("f1_macro", lambda t, p, q, w: sk.f1_score(t, p, average="macro", sample_weight=w)),
        ("f1_micro", lambda t, p, q, w: sk.f1_score(t, p, average="micro", sample_weight=w)),
        ("f1_weighted", lambda t, p, q, w: sk.f1_score(t, p, average="weighted", sample_weight=w)),
        ("matthews", lambda t, p, q, w: sk.matthews_corrcoef(t, p, sample_weight=w)),
        ("roc_auc", lambda t, p, q, w: np.mean([sk.roc_auc_score(t == c, q[:, c], sample_weight=w) for c in range(4)])),
        ("log_loss", lambda t, p, q, w: sk.log_loss(t, q, sample_weight=w)),
        ("brier", lambda t, p, q, w: sk.brier_score_loss(t, q, labels=range(4), sample_weight=w)),
    ],
)
def test_weights_mean_what_they_mean_to_sklearn(name: str, direct: Callable[..., float]) -> None:
    if name == "brier" and tuple(map(int, sklearn.__version__.split(".")[:2])) < (1, 7):
        pytest.skip("scikit-learn has the multi-class Brier score from 1.7 on")
    columns = columns_of(LARGE)
    weights_RN = np.random.default_rng(1).uniform(0.1, 2, (3, len(LARGE)))
    resampled = METRICS[name]().resampled(weights_RN, columns, tuple("abcd"))[name]
    given = (columns["target"], columns["prediction"], columns["probabilities"])
    assert resampled == pytest.approx(np.array([direct(*given, weights) for weights in weights_RN]), rel=1e-9)
    assert METRICS[name]().evaluate_columns(columns, tuple("abcd")) == {name: pytest.approx(direct(*given, None), rel=1e-12)}


def test_roc_auc_is_sklearns_one_vs_rest_and_its_binary_auc() -> None:
    columns = columns_of(LARGE)
    value = probability.RocAuc().evaluate_columns(columns, tuple("abcd"))["roc_auc"]
    assert value == pytest.approx(sk.roc_auc_score(columns["target"], columns["probabilities"], multi_class="ovr", average="macro"))


def test_binary_roc_auc_is_of_the_last_label_alone() -> None:
    columns = {"probabilities": np.array([[0.5, 0.49], [0.5, 0.51]]), "target": np.array([0, 1])}
    assert probability.RocAuc().evaluate_columns(columns, ("a", "b")) == {"roc_auc": 1.0}
    assert probability.RocAuc().resampled(np.ones((1, 2)), columns, ("a", "b"))["roc_auc"] == 1.0


# ── closed forms ──────────────────────────────────────────────────────────────────────────────────────────────────────


def rows_for(targets: list[int], predictions: list[int], num_classes: int) -> list[Row]:
    """Rows whose probability is all on the prediction."""
    return [
        Row(t, p, tuple(int(c == p) for c in range(num_classes)), float(t == p), -2.0, 2) for t, p in zip(targets, predictions, strict=True)
    ]


def value_of(name: str, rows: list[Row], labels: str) -> float | None:
    return METRICS[name]().evaluate_columns(columns_of(rows), tuple(labels)).get(name)


QUALITIES = (
    "accuracy",
    "balanced_accuracy",
    "precision_macro",
    "recall_macro",
    "f1_macro",
    "f1_micro",
    "f1_weighted",
    "roc_auc",
    "matthews",
)


@pytest.mark.parametrize("labels", ["ab", "abc"])
@pytest.mark.parametrize("name", QUALITIES)
def test_perfect_is_1_and_all_wrong_is_the_least(name: str, labels: str) -> None:
    targets = [0, 1, 2, 0, 1, 2] if labels == "abc" else [0, 1, 0, 1]
    wrong = [(t + 1) % len(labels) for t in targets]
    least = {"matthews": -1.0 if labels == "ab" else -0.5, "roc_auc": 0.0 if labels == "ab" else 0.25}.get(name, 0.0)
    assert value_of(name, rows_for(targets, targets, len(labels)), labels) == 1.0
    assert value_of(name, rows_for(targets, wrong, len(labels)), labels) == pytest.approx(least)


def test_calibration_of_the_sure_and_of_the_fair() -> None:
    right, wrong = rows_for([0, 1], [0, 1], 2), rows_for([0, 1], [1, 0], 2)
    for name, worst in {"brier": 1.0, "ece": 1.0, "log_loss": -math.log(2**-52)}.items():
        assert value_of(name, right, "ab") == pytest.approx(0.0, abs=1e-12)
        assert value_of(name, wrong, "ab") == pytest.approx(worst)
    assert value_of("brier", rows_for([0, 1, 2], [1, 2, 0], 3), "abc") == pytest.approx(2.0)
    fair = [replace(row, odds=(1, 1)) for row in right]
    assert value_of("ece", fair, "ab") == 0.0
    assert value_of("brier", fair, "ab") == 0.25
    assert value_of("log_loss", fair, "ab") == pytest.approx(math.log(2))
    assert value_of("roc_auc", fair, "ab") == 0.5


def test_a_constant_prediction_has_no_correlation_and_a_constant_target_no_answer() -> None:
    assert value_of("matthews", rows_for([0, 1, 1], [1, 1, 1], 2), "ab") == 0.0
    for name in ("matthews", "roc_auc"):
        columns = columns_of(rows_for([1, 1], [1, 0], 2))
        assert METRICS[name]().evaluate_columns(columns, ("a", "b")) == {}
        assert METRICS[name]().undefined(columns, ("a", "b")) == {name: "the target has one class only"}


def test_ece_bins_are_closed_on_the_right() -> None:
    # 0.6 = 9/15 is in (8/15, 9/15] and 0.61 in the next: |0.4| / 2 + |-0.61| / 2. In one bin the gaps would cancel.
    columns = {"probabilities": np.array([[0.6, 0.4], [0.61, 0.39]]), "target": np.array([0, 1])}
    assert probability.Ece().evaluate_columns(columns, ("a", "b"))["ece"] == pytest.approx((0.4 + 0.61) / 2)
    assert probability.Ece(num_bins=1).evaluate_columns(columns, ("a", "b"))["ece"] == pytest.approx((0.4 - 0.61) / -2)


def test_perplexity_of_a_uniform_model_is_its_alphabet() -> None:
    columns = {"loglikelihood": np.array([-3, -5]) * math.log(256), "num_bytes": np.array([3, 5]), "num_words": np.array([1, 1])}
    assert perplexity.BytePerplexity().evaluate_columns(columns, ())["byte_perplexity"] == pytest.approx(256)
    assert perplexity.BitsPerByte().evaluate_columns(columns, ())["bits_per_byte"] == pytest.approx(8)
    assert perplexity.WordPerplexity().evaluate_columns(columns, ())["word_perplexity"] == pytest.approx(256**4)


def test_a_perplexity_beyond_float64_is_undefined_not_infinite() -> None:
    columns = {"loglikelihood": np.array([-1e5]), "num_words": np.array([1])}
    assert perplexity.WordPerplexity().evaluate_columns(columns, ()) == {}
    assert perplexity.WordPerplexity().undefined(columns, ()) == {"word_perplexity": "the value is too large for a float64"}
    assert np.isnan(perplexity.WordPerplexity().resampled(np.ones((1, 1)), columns, ())["word_perplexity"]).all()


# ── the edges ─────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_single_precision_softmax_over_many_classes_is_taken() -> None:
    logits_NC = np.random.default_rng(0).normal(size=(50, 1000)).astype(np.float32)
    for dtype in (np.float32, np.float16):
        softmax_NC = (np.exp(logits_NC) / np.exp(logits_NC).sum(axis=1, keepdims=True)).astype(dtype)
        columns = {"probabilities": softmax_NC, "target": np.arange(50)}
        for name in ("log_loss", "brier", "ece", "roc_auc"):
            assert math.isfinite(METRICS[name]().evaluate_columns(columns, tuple(map(str, range(1000))))[name])


@pytest.mark.parametrize(
    ("name", "columns", "says"),
    [
        ("f1_macro", {"prediction": np.array([2]), "target": np.array([0])}, "has the class 2; the task has 2 labels"),
        ("f1_macro", {"prediction": np.array([-1]), "target": np.array([0])}, "has the class -1"),
        ("f1_macro", {"prediction": np.array([0.5]), "target": np.array([0])}, "not class indices"),
        ("log_loss", {"probabilities": np.array([[2.0, -1.0]]), "target": np.array([0])}, "are they logits"),
        ("ece", {"probabilities": np.array([[np.nan, 1.0]]), "target": np.array([0])}, "not finite"),
        ("brier", {"probabilities": np.array([[0.2, 0.3, 0.5]]), "target": np.array([0])}, "2 labels"),
    ],
)
def test_what_is_not_a_class_or_a_distribution_is_an_error(name: str, columns: dict[str, Any], says: str) -> None:
    with pytest.raises(DataError, match=says):
        METRICS[name]().evaluate_columns(columns, ("a", "b"))


def test_log_loss_needs_two_classes() -> None:
    columns = {"probabilities": np.array([[1.0]]), "target": np.array([0])}
    assert probability.LogLoss().evaluate_columns(columns, ("only",)) == {}
    assert probability.LogLoss().undefined(columns, ("only",))["log_loss"]


# ── outside of the harness ───────────────────────────────────────────────────────────────────────────────────────────


def inputs_for(metric: base.Metric, rows: list[Row]) -> dict[str, Any]:
    columns = columns_of(rows)
    if metric.name == "exact_match":
        return {"predictions": [str(row.prediction) for row in rows], "references": [str(row.target) for row in rows]}
    return {argument: columns[column] for argument, column in (metric.arguments or {name: name for name in metric.needs}).items()}


@pytest.mark.parametrize("kind", ["arrays", "lists", "nothing"])
@pytest.mark.parametrize("name", sorted(METRICS))
def test_compute(name: str, kind: str) -> None:
    rows = LARGE[:40]
    metric = METRICS[name]()
    inputs = inputs_for(metric, rows)
    expected = reference(name, rows)
    if kind == "lists":
        inputs = {key: list(map(np.ndarray.tolist, values)) if np.ndim(values) == 2 else list(values) for key, values in inputs.items()}
    if kind == "nothing":
        names = metric.names(tuple("abcd"))
        assert metric.compute(**{key: [] for key in inputs}, labels=tuple("abcd")) == dict.fromkeys(names)
        return
    computed = metric.compute(**inputs, labels=tuple("abcd"))
    assert {key: math.nan if value is None else value for key, value in computed.items()} == close(expected)


def test_compute_names_classes_by_number_without_labels_and_answers_none_where_undefined() -> None:
    assert classification.F1PerClass().compute(predictions=[0, 2], references=[0, 2]) == {"f1[0]": 1.0, "f1[1]": None, "f1[2]": 1.0}
    assert probability.RocAuc().compute(predictions=[[0.1, 0.9], [0.8, 0.2]], references=[1, 1]) == {"roc_auc": None}


def test_compute_says_which_column_is_missing() -> None:
    with pytest.raises(DataError, match="the metric 'ece' needs probabilities; the arguments are references"):
        probability.Ece().compute(references=[0])


def test_a_metric_of_ones_own_takes_two_lines() -> None:
    class Rouge(scores.ColumnMean):
        name = column = "rouge"
        needs = frozenset({column})

    assert Rouge().evaluate_columns({"rouge": np.array([0.5, 1.0])}, ()) == {"rouge": 0.75}
    assert scores.ExactMatch().compute(predictions=["a", "b"], references=["a", "c"]) == {"exact_match": 0.5}
