"""Intervals, paired tests and corrections, against scipy, hand values, plain loops and each other."""

from __future__ import annotations

import dataclasses
import math
import subprocess
import sys
from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats as scipy_stats
from windtunnel.harness import statistics
from windtunnel.harness.api.errors import DataError
from windtunnel.harness.api.scorecard import Estimate
from windtunnel.harness.metrics.base import Metric
from windtunnel.harness.metrics.classification import (
    F1,
    Accuracy,
    BalancedAccuracy,
    F1Macro,
    F1PerClass,
    Matthews,
    PrecisionPerClass,
    RecallPerClass,
)
from windtunnel.harness.metrics.corruption import MeanCorruptionError
from windtunnel.harness.metrics.perplexity import TokenPerplexity
from windtunnel.harness.metrics.probability import Ece, LogLoss, RocAuc
from windtunnel.harness.metrics.safety import CommonPrefix, Mc2, StereotypeGap
from windtunnel.harness.metrics.scores import Acc, Mean
from windtunnel.harness.statistics import Groups, bounded_mean, comparisons, rate
from windtunnel.harness.statistics import bootstrap as resampling
from windtunnel.harness.statistics.differences import difference_interval
from windtunnel.harness.statistics.medians import median_interval
from windtunnel.harness.statistics.ranking import area_interval
from windtunnel.harness.statistics.skewed import mean_interval

LABELS = ("negative", "positive")
quick = settings(max_examples=40, deadline=None, database=None, derandomize=True)


class MeanOfX(Mean):
    """A number on the whole line, whose interval is the bootstrap's."""

    name = "x"
    needs = frozenset({"x"})
    higher_is_better = True

    def score(self, columns: Any, labels: tuple[str, ...]) -> Any:
        return columns["x"]


def classified(n: int, accuracy: float, seed: int) -> dict[str, np.ndarray[Any, Any]]:
    rng = np.random.default_rng(seed)
    target = rng.integers(0, 2, n)
    positive = np.clip(rng.normal(0.3 + 0.4 * target, 0.2), 0, 1)
    return {
        "target": target,
        "prediction": np.where(rng.random(n) < accuracy, target, 1 - target),
        "probabilities": np.stack([1 - positive, positive], axis=1),
    }


# ── rates and means ───────────────────────────────────────────────────────────────────────────────────────────────────


def bounds(interval: Any) -> tuple[float, float]:
    assert interval.low is not None, interval.reason
    assert interval.high is not None
    return interval.low, interval.high


def width(interval: Any) -> float:
    low, high = bounds(interval)
    return high - low


def ones(successes: int, n: int) -> np.ndarray[Any, Any]:
    return (np.arange(n) < successes).astype(float)


@quick
@given(data=st.data(), n=st.integers(1, 3000))
def test_a_rate_is_scipys_exact_interval(data: st.DataObject, n: int) -> None:
    successes = data.draw(st.integers(0, n))
    expected = scipy_stats.binomtest(successes, n).proportion_ci(method="exact")
    assert rate(successes, n) == pytest.approx((expected.low, expected.high), rel=1e-9, abs=1e-12)
    assert bounds(bounded_mean(ones(successes, n), 0, 1)) == pytest.approx((expected.low, expected.high), rel=1e-9, abs=1e-12)
    # The same rate on another scale.
    assert bounds(bounded_mean(3 * ones(successes, n) - 1, -1, 2)) == pytest.approx((3 * expected.low - 1, 3 * expected.high - 1), abs=1e-9)


@pytest.mark.parametrize(("successes", "n"), [(-1, 3), (4, 3), (0, 0), (math.nan, 3)])
def test_what_is_no_rate_is_refused(successes: float, n: int) -> None:
    with pytest.raises(DataError, match="a rate needs 0 <= successes"):
        rate(successes, n)


@pytest.mark.parametrize(
    "draw", [lambda r: r.beta(2, 2, 30), lambda r: r.beta(0.3, 0.2, 30), lambda r: np.where(r.random(30) < 0.8, 1, 0.5)]
)
def test_a_bounded_mean_is_gaffkes_by_simulation(draw: Any) -> None:
    """Quantiles of the mean of the sample and one value at the end of the scale, under weights uniform on the simplex."""
    rng = np.random.default_rng(0)
    values_N = draw(rng)
    weights_RN = rng.dirichlet(np.ones(31), size=20_000)
    low = np.quantile(weights_RN @ np.append(values_N, 0.0), 0.025)
    high = np.quantile(weights_RN @ np.append(values_N, 1.0), 0.975)
    assert bounds(bounded_mean(values_N, 0, 1)) == pytest.approx((low, high), abs=0.012)


@quick
@given(values=st.lists(st.floats(0, 1), min_size=1, max_size=30))
def test_a_bounded_mean_holds_its_value_and_keeps_to_its_scale(values: list[float]) -> None:
    low, high = bounds(bounded_mean(np.array(values), 0, 1))
    assert 0 <= low <= np.mean(values) + 1e-12
    assert np.mean(values) - 1e-12 <= high <= 1
    mirrored = bounds(bounded_mean(1 - np.array(values), 0, 1))
    assert mirrored == pytest.approx((1 - high, 1 - low), abs=1e-9)


def test_a_perfect_mean_has_the_interval_of_a_perfect_rate() -> None:
    for metric, column in ((Mc2(), "mc2"), (CommonPrefix(), "common_prefix")):
        found = statistics.estimate(metric, {column: np.ones(100)}, ())[column]
        assert bounds(found) == pytest.approx(rate(100, 100))
    nearly = statistics.estimate(Mc2(), {"mc2": np.full(100, 0.999)}, ())["mc2"]
    assert nearly.low == pytest.approx(0.999 * rate(100, 100)[0])


def test_partial_credit_is_surer_than_all_or_nothing() -> None:
    values_N = np.random.default_rng(0).uniform(0.4, 0.6, 100)
    assert width(bounded_mean(values_N, 0, 1)) < 0.5 * width(bounded_mean(ones(50, 100), 0, 1))


def test_scores_out_of_bounds_are_refused() -> None:
    with pytest.raises(DataError, match="between 0 and 1, but are from 0 to 3"):
        bounded_mean(np.array([0.0, 3.0]), 0, 1)


def test_the_loss_of_the_worst_label_is_the_ceiling() -> None:
    sure = np.array([[0.999, 0.001]] * 30)
    found = statistics.estimate(LogLoss(), {"target": np.zeros(30, dtype=int), "probabilities": sure}, LABELS)["log_loss"]
    assert found.value == pytest.approx(-math.log(0.999))
    chance, ceiling = rate(0, 30)[1], -math.log(0.001)
    assert found.high == pytest.approx(found.value + chance * (ceiling - found.value), rel=1e-6)
    never = statistics.estimate(LogLoss(), {"target": np.zeros(30, dtype=int), "probabilities": np.array([[1.0, 0.0]] * 30)}, LABELS)
    assert never["log_loss"].high == pytest.approx(chance * -math.log(np.finfo(float).eps), rel=1e-6)


def test_a_mean_over_a_baseline_ends_where_all_is_wrong() -> None:
    columns = {"error_over_baseline": np.zeros(50), "most_error_over_baseline": np.full(50, 1.6)}
    assert statistics.estimate(MeanCorruptionError(), columns, ())["mce"].high == pytest.approx(1.6 * rate(0, 50)[1])


def test_without_bounds_few_values_are_not_bounded() -> None:
    rng = np.random.default_rng(0)
    assert "too few to bound: 49 values" in mean_interval(rng.normal(size=49), None, None).reason
    assert "the same" in mean_interval(np.ones(60), None, None).reason
    assert "make up most of their sum" in mean_interval(np.append(np.zeros(99), 7.0), 0.0, None).reason
    assert "not finite" in mean_interval(np.append(np.ones(99), np.inf), 0.0, None).reason
    assert "10 groups" in mean_interval(rng.normal(size=100), None, None, Groups.of(100, [str(i % 10) for i in range(100)])).reason
    values_N = rng.normal(size=400)
    low, high = bounds(mean_interval(values_N, None, None))
    half = 1.96 * values_N.std() / 20
    assert values_N.mean() - 1.3 * half < low < values_N.mean() - 0.99 * half
    assert values_N.mean() + 0.99 * half < high < values_N.mean() + 1.3 * half


# ── groups ────────────────────────────────────────────────────────────────────────────────────────────────────────────


def grouped(n: int, num_groups: int) -> list[str]:
    return [str(index * num_groups // n) for index in range(n)]


def test_groups_of_one_are_no_groups() -> None:
    columns = {"acc": ones(31, 40)}
    alone = statistics.estimate(Acc(), columns, (), groups=[str(index) for index in range(40)])
    assert alone == statistics.estimate(Acc(), columns, ()) == statistics.estimate(Acc(), columns, (), groups=[None] * 40)


def test_ten_copies_of_a_sample_are_worth_no_more_than_one() -> None:
    acc = (np.random.default_rng(0).random(50) < 0.6).astype(float)
    copied = bounded_mean(np.repeat(acc, 10), 0, 1, Groups.of(500, grouped(500, 50)))
    assert width(copied) >= 0.95 * width(bounded_mean(acc, 0, 1))


def test_groups_whose_members_are_independent_cost_little() -> None:
    acc = (np.random.default_rng(0).random(1000) < 0.7).astype(float)
    alone, in_groups = bounded_mean(acc, 0, 1), bounded_mean(acc, 0, 1, Groups.of(1000, grouped(1000, 100)))
    assert width(alone) <= width(in_groups) < 1.15 * width(alone)


def test_below_five_groups_there_is_no_interval() -> None:
    found = bounded_mean(ones(30, 40), 0, 1, Groups.of(40, grouped(40, 4)))
    assert found.low is None
    assert "too few to bound" in found.reason
    assert bounded_mean(ones(30, 40), 0, 1, Groups.of(40, grouped(40, 5))).low is not None


@pytest.mark.parametrize("successes", [50, 80, 95, 99, 100])
def test_fewer_groups_are_never_surer(successes: int) -> None:
    """The wrong answers spread evenly, so that no number of groups looks more alike than another."""
    wrong = set(np.linspace(0, 99, 100 - successes).astype(int).tolist())
    values_N = np.array([float(index not in wrong) for index in range(100)])
    widths = [width(bounded_mean(values_N, 0, 1, Groups.of(100, grouped(100, num)))) for num in (100, 50, 20, 10, 5)]
    assert widths == sorted(widths)


@pytest.mark.parametrize("num_groups", [5, 10, 20, 50, 100])
@pytest.mark.parametrize("loss", [1.0, 0.3])
def test_a_better_result_is_never_bounded_worse(num_groups: int, loss: float) -> None:
    """One error after the other, also where it makes the groups more alike. Errors in part are exact to a thousandth."""
    rng = np.random.default_rng(num_groups)
    unequal = [*range(num_groups), *(num_groups * rng.random(100 - num_groups) ** 1.5).astype(int)]
    for names in (grouped(100, num_groups), list(map(str, unequal))):
        groups = Groups.of(100, names)
        for order in (np.arange(100), rng.permutation(100)):
            found = [bounds(bounded_mean(1 - loss * (order < wrong), 0, 1, groups)) for wrong in range(0, 101, 1 if loss == 1 else 3)]
            for side in (0, 1):
                assert all(worse[side] <= better[side] + (1e-9 if loss == 1 else 1e-3) for better, worse in pairwise(found))


@pytest.mark.parametrize("metric", [Accuracy(), F1Macro(), BalancedAccuracy(), Matthews(), F1PerClass()], ids=lambda metric: metric.name)
def test_perfect_is_never_bounded_worse_than_one_error(metric: Metric) -> None:
    target = np.arange(100) % 2
    one_error = target.copy()
    one_error[0] = 1
    for groups in ((), grouped(100, 20)):
        perfect, nearly = (
            next(iter(statistics.estimate(metric, {"target": target, "prediction": p}, LABELS, groups=groups).values()))
            for p in (target, one_error)
        )
        assert perfect.low >= nearly.low  # type: ignore[operator]
        assert perfect.high == 1


# ── numbers of classes ────────────────────────────────────────────────────────────────────────────────────────────────


def _of_counts(right: tuple[int, int], missed: tuple[int, int] = (0, 0)) -> dict[str, np.ndarray[Any, Any]]:
    """So many samples of each of two classes that are predicted right, and so many that are taken for the other."""
    kinds = [(0, 0, right[0]), (1, 1, right[1]), (0, 1, missed[0]), (1, 0, missed[1])]
    target, prediction = (np.repeat([kind[place] for kind in kinds], [kind[2] for kind in kinds]) for place in (0, 1))
    return {"target": target, "prediction": prediction}


def test_a_ratio_of_a_class_has_the_exact_interval_over_what_it_is_of() -> None:
    columns = _of_counts((30, 8), (3, 2))
    for metric, name, successes, n in ((RecallPerClass(), "recall[positive]", 8, 10), (PrecisionPerClass(), "precision[positive]", 8, 11)):
        assert bounds(statistics.estimate(metric, columns, LABELS)[name]) == pytest.approx(rate(successes, n))
    # F1 = 2 J / (1 + J) of J = TP / (TP + FP + FN), a share of the samples that the class is about.
    low, high = rate(8, 13)
    for metric, name in ((F1PerClass(), "f1[positive]"), (F1(), "f1")):
        assert bounds(statistics.estimate(metric, columns, LABELS)[name]) == pytest.approx((2 * low / (1 + low), 2 * high / (1 + high)))
    never = statistics.estimate(PrecisionPerClass(), _of_counts((30, 0), (0, 8)), LABELS)["precision[positive]"]
    assert (never.value, never.low) == (0.0, None)
    assert "never predicted" in never.reason


def test_the_interval_of_a_class_average_is_about_the_bootstraps_where_samples_are_many() -> None:
    rng = np.random.default_rng(3)
    target = rng.integers(0, 4, 2000)
    prediction = np.where(rng.random(2000) < 0.8, target, rng.integers(0, 4, 2000))
    columns, labels = {"target": target, "prediction": prediction}, tuple("abcd")
    for metric in (F1Macro(), BalancedAccuracy(), Matthews()):
        weights_RN = resampling.bootstrap_weights(2000, (), 400, np.random.default_rng(0))
        values_R = metric.resampled(weights_RN, columns, labels)[metric.name]
        found = statistics.estimate(metric, columns, labels)[metric.name]
        assert width(found) == pytest.approx(3.92 * values_R.std(), rel=0.12)


def test_rare_classes_are_not_bounded() -> None:
    many = np.repeat(np.arange(50), 2)
    found = statistics.estimate(F1Macro(), {"target": many, "prediction": many}, tuple(map(str, range(50))))["f1_macro"]
    assert "too few to bound: 50 of 50 classes" in found.reason


def test_a_thousand_classes_take_no_matrix() -> None:
    target = np.random.default_rng(0).integers(0, 1000, 20_000)
    found = statistics.estimate(F1Macro(), {"target": target, "prediction": target}, tuple(map(str, range(1000))))["f1_macro"]
    assert 0.999 < found.low < 1 == found.high  # type: ignore[operator]


# ── probabilities ─────────────────────────────────────────────────────────────────────────────────────────────────────


def of_positive(positive: np.ndarray[Any, Any], target: np.ndarray[Any, Any]) -> dict[str, np.ndarray[Any, Any]]:
    return {"target": target.astype(int), "probabilities": np.stack([1 - positive, positive], axis=1)}


def test_the_variance_of_an_area_is_delongs_by_a_plain_loop() -> None:
    from windtunnel.harness.statistics.ranking import _place_samples

    rng = np.random.default_rng(0)
    positive_N, score_N = rng.random(60) < 0.4, np.round(rng.normal(size=60), 1)
    area, error_N = _place_samples(positive_N, score_N)
    wins = [[(p > q) + (p == q) / 2 for q in score_N[~positive_N]] for p in score_N[positive_N]]
    rows, columns = np.mean(wins, axis=1), np.mean(wins, axis=0)
    assert area == pytest.approx(np.mean(wins))
    assert float(np.square(error_N).sum()) == pytest.approx(rows.var(ddof=1) / len(rows) + columns.var(ddof=1) / len(columns))


def test_the_mean_area_of_several_classes_is_as_sure_as_the_jackknife_says() -> None:
    """Their errors are correlated, but not equal."""
    rng = np.random.default_rng(2)
    target_N, score_NK = rng.integers(0, 3, 240), rng.random((240, 3))
    is_positive_NK = target_N[:, None] == np.arange(3)

    def mean_area(kept_N: Any) -> float:
        areas = [
            scipy_stats.mannwhitneyu(score_N[kept_N & positive_N], score_N[kept_N & ~positive_N]).statistic
            / ((kept_N & positive_N).sum() * (kept_N & ~positive_N).sum())
            for positive_N, score_N in zip(is_positive_NK.T, score_NK.T, strict=True)
        ]
        return float(np.mean(areas))

    without = [mean_area(np.arange(240) != left_out) for left_out in range(240)]
    deviation = math.sqrt(239 * np.var(without))
    found = area_interval(list(zip(is_positive_NK.T, score_NK.T, strict=True)), Groups.of(240))
    assert 1 < width(found) / (2 * 1.96 * deviation) < 1.15


def test_an_area_needs_ten_of_either_kind() -> None:
    positive = np.linspace(0, 1, 60)
    found = statistics.estimate(RocAuc(), of_positive(positive, positive > 0.86), LABELS)["roc_auc"]
    assert (found.value, found.low) == (1.0, None)
    assert "9 samples" in found.reason
    enough = statistics.estimate(RocAuc(), of_positive(positive, positive > 0.5), LABELS)["roc_auc"]
    assert 0.8 < enough.low < enough.high == 1  # type: ignore[operator]


def test_the_error_of_a_calibrated_model_may_be_0() -> None:
    rng = np.random.default_rng(5)
    for n in (100, 500, 2000):
        positive = 1 / (1 + np.exp(-rng.normal(0, 2, n)))
        found = statistics.estimate(Ece(), of_positive(positive, rng.random(n) < positive), LABELS)["ece"]
        assert found.low == 0
        assert found.high < 2.5 / math.sqrt(n)  # type: ignore[operator]
    wrong = statistics.estimate(Ece(), of_positive(np.full(500, 0.95), np.arange(500) % 2), LABELS)["ece"]
    assert 0.38 < wrong.low < 0.45 < wrong.high < 0.52  # type: ignore[operator]
    few = statistics.estimate(Ece(), of_positive(np.full(99, 0.95), np.ones(99)), LABELS)["ece"]
    assert "too few to bound: 99 samples" in few.reason


# ── two kinds of samples, documents ───────────────────────────────────────────────────────────────────────────────────


def test_a_difference_of_rates_is_newcombes() -> None:
    """Method 10 of 1998 by its formula, from the exact bounds of both rates."""
    values_N, is_first_N = np.concatenate([ones(40, 50), ones(20, 40)]), np.arange(90) < 50
    (l1, u1), (l2, u2) = rate(40, 50), rate(20, 40)
    low, high = bounds(difference_interval(values_N, is_first_N, 0.0, 1.0, Groups.of(90)))
    assert low == pytest.approx(0.3 - math.hypot(0.8 - l1, u2 - 0.5))
    assert high == pytest.approx(0.3 + math.hypot(u1 - 0.8, 0.5 - l2))


def test_twins_that_agree_make_a_gap_surer() -> None:
    rng = np.random.default_rng(0)
    easy_P = rng.random(100) < 0.7
    columns = {"acc": np.repeat(easy_P, 2).astype(float), "stereotypical": np.tile([1.0, 0.0], 100)}
    pairs = [str(i // 2) for i in range(200)]
    paired, alone = (statistics.estimate(StereotypeGap(), columns, (), groups=groups)["stereotype_gap"] for groups in (pairs, ()))
    assert width(paired) < 0.5 * width(alone)


def test_a_perplexity_is_bounded_through_its_rate() -> None:
    rng = np.random.default_rng(0)
    length = rng.integers(50, 150, 200)
    loglikelihood = -length * rng.gamma(30, 0.1, 200)
    found = statistics.estimate(TokenPerplexity(), {"loglikelihood": loglikelihood, "num_tokens": length}, ())["token_perplexity"]
    rate_ = -loglikelihood.sum() / length.sum()
    error = np.sqrt(np.square(-loglikelihood - rate_ * length).sum()) / length.sum()
    low, high = bounds(found)
    assert found.value == pytest.approx(math.exp(rate_))
    assert math.log(low) == pytest.approx(rate_ - 1.96 * error, abs=error)
    assert math.log(high) == pytest.approx(rate_ + 1.96 * error, abs=error)
    few = statistics.estimate(TokenPerplexity(), {"loglikelihood": loglikelihood[:9], "num_tokens": length[:9]}, ())["token_perplexity"]
    assert "too few to bound" in few.reason


# ── medians ───────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("n", [6, 20, 101, 500])
def test_a_median_lies_between_the_ranks_of_a_binomial(n: int) -> None:
    """The innermost ranks that at most a fortieth of all samples have the median beyond."""
    low, high = bounds(median_interval(np.random.default_rng(n).permutation(n).astype(float)))
    assert low + high == n - 1
    assert scipy_stats.binom.cdf(low, n, 0.5) <= 0.025 < scipy_stats.binom.cdf(low + 1, n, 0.5)


def test_a_median_of_five_is_not_bounded() -> None:
    assert "too few to bound" in median_interval(np.arange(5.0)).reason


def test_groups_widen_a_median() -> None:
    values_N = np.repeat(np.arange(40.0), 10)
    in_groups, alone = median_interval(values_N, Groups.of(400, grouped(400, 40))), median_interval(values_N)
    assert width(in_groups) > 2 * width(alone)


# ── estimate ──────────────────────────────────────────────────────────────────────────────────────────────────────────


class Median(Metric):
    """A number that only the bootstrap bounds."""

    name = "median"
    needs = frozenset({"x"})
    higher_is_better = True

    def resampled(self, weights_RN: Any, columns: Any, labels: tuple[str, ...]) -> Any:
        order = np.argsort(columns["x"])
        places = (np.cumsum(weights_RN[:, order], axis=1) >= weights_RN.sum(axis=1, keepdims=True) / 2).argmax(axis=1)
        return {"median": columns["x"][order][places]}


def test_a_metric_of_which_nothing_is_known_has_the_bootstrap_of_a_plain_loop() -> None:
    x = np.random.default_rng(0).exponential(size=80)
    weights_RN = resampling.bootstrap_weights(80, (), 1000, np.random.default_rng(5))
    values = [np.sort(np.repeat(x, weights.astype(int)))[39] for weights in weights_RN]
    found = statistics.estimate(Median(), {"x": x}, (), seed=5)["median"]
    tail = scipy_stats.norm.cdf(-math.sqrt(80 / 79) * scipy_stats.t.ppf(0.975, 79))
    assert bounds(found) == pytest.approx(tuple(np.quantile(values, [tail, 1 - tail])))
    assert "too few to bound" in statistics.estimate(Median(), {"x": x[:40]}, ())["median"].reason


def test_no_samples_give_none_with_a_reason_for_every_number() -> None:
    columns = {"prediction": np.empty(0, dtype=int), "target": np.empty(0, dtype=int)}
    found = statistics.estimate(F1PerClass(), columns, LABELS, n_unscored=4)
    assert found == dict.fromkeys(("f1[negative]", "f1[positive]"), Estimate(None, n_unscored=4, reason="no sample could be scored"))


def test_an_undefined_number_is_none_with_a_reason() -> None:
    columns = {"prediction": np.array([0, 0, 0]), "target": np.array([0, 0, 0]), "probabilities": np.full((3, 2), 0.5)}
    assert statistics.estimate(RocAuc(), columns, LABELS) == {"roc_auc": Estimate(None, n=3, reason="the target has one class only")}
    found = statistics.estimate(F1PerClass(), columns, LABELS)
    assert (found["f1[negative]"].value, found["f1[positive]"].value) == (1.0, None)
    assert "neither" in found["f1[positive]"].reason


def test_missing_and_uneven_columns_are_named() -> None:
    with pytest.raises(DataError, match="'f1_macro' needs the column 'target'"):
        statistics.estimate(F1Macro(), {"prediction": np.array([0])}, LABELS)
    with pytest.raises(DataError, match="prediction 1, target 2"):
        statistics.estimate(F1Macro(), {"prediction": np.array([0]), "target": np.array([0, 1])}, LABELS)
    with pytest.raises(DataError, match="groups 1"):
        statistics.estimate(F1Macro(), {"prediction": np.array([0, 1]), "target": np.array([0, 1])}, LABELS, groups=["a"])
    with pytest.raises(DataError, match="1 groups for 2 samples"):
        resampling.bootstrap_weights(2, ["a"], 3, np.random.default_rng(0))


def test_samples_to_decide() -> None:
    estimate = Estimate(0.8, low=0.7, high=0.85, n=100)
    assert statistics.samples_to_decide(estimate, 0.75) == 401  # half the room below: four times the samples, and one to exclude it
    assert statistics.samples_to_decide(estimate, 0.85) == 101
    assert statistics.samples_to_decide(estimate, 0.3) == 5
    assert statistics.samples_to_decide(estimate, 0.8) is None
    assert statistics.samples_to_decide(Estimate(None), 0.8) is None
    assert statistics.samples_to_decide(dataclasses.replace(estimate, low=None), 0.7) is None
    assert statistics.samples_to_decide(estimate, 0.8 + 1e-300) is None


@pytest.mark.parametrize("threshold", [0.72, 0.76, 0.83])
def test_about_as_many_samples_do_decide(threshold: float) -> None:
    needed = statistics.samples_to_decide(Estimate(0.8, *rate(80, 100), n=100), threshold)
    assert needed is not None

    def excluded(n: int) -> bool:
        low, high = rate(0.8 * n, n)
        return not low <= threshold <= high

    assert excluded(math.ceil(1.3 * needed))
    assert not excluded(math.floor(0.6 * needed))


# ── resampling ────────────────────────────────────────────────────────────────────────────────────────────────────────

groupings = st.lists(st.one_of(st.none(), st.sampled_from("abc")), min_size=1, max_size=12)


@quick
@given(groups=groupings, seed=st.integers(0, 99))
def test_a_group_is_drawn_whole_and_as_many_groups_as_there_are(groups: Sequence[str | None], seed: int) -> None:
    weights_RN = resampling.bootstrap_weights(len(groups), groups, 7, np.random.default_rng(seed))
    assert weights_RN.shape == (7, len(groups))
    first = [index for index, group in enumerate(groups) if group is None or list(groups).index(group) == index]
    assert np.all(weights_RN[:, first].sum(axis=1) == len(first))
    for group in {*groups} - {None}:
        members = weights_RN[:, [other == group for other in groups]]
        assert np.all(members == members[:, :1])


def test_weights_are_multinomial() -> None:
    weights_RN = resampling.bootstrap_weights(5, (), 20_000, np.random.default_rng(0))
    assert np.all(weights_RN.sum(axis=1) == 5)
    assert weights_RN.mean(axis=0) == pytest.approx(np.ones(5), abs=0.03)
    covariance = np.eye(5) - 1 / 5  # n p (1 - p) on the diagonal, -n p p beside it
    assert np.cov(weights_RN.T) == pytest.approx(covariance, abs=0.03)


@pytest.mark.parametrize("groups", [(), ["a", "a", "b", None, "b", None, "c"]])
@pytest.mark.parametrize("chunk_bytes", [1, 3 * 8 * 7, 10**9])
def test_chunks_change_no_number(monkeypatch: pytest.MonkeyPatch, groups: list[str | None], chunk_bytes: int) -> None:
    columns, cluster_N = {"x": np.arange(7.0) ** 2}, Groups.of(7, groups).index_N

    def values() -> list[np.ndarray[Any, Any]]:
        (found,) = resampling.resampled(MeanOfX(), [columns], (), cluster_N, 3, 50)
        swapped = comparisons.swapped_differences(MeanOfX(), (columns, {"x": np.zeros(7)}), (), cluster_N, 3, 50)
        return [found["x"], swapped["x"]]

    whole = values()
    for module in (resampling, comparisons):
        monkeypatch.setattr(module, "CHUNK_BYTES", chunk_bytes)
    assert np.array_equal(values(), whole)


def test_a_chunk_stays_small() -> None:
    class Watched(MeanOfX):
        largest = 0

        def per_sample(self, columns: Any, labels: tuple[str, ...]) -> None:  # type: ignore[override]
            return None

        def resampled(self, weights_RN: Any, columns: Any, labels: tuple[str, ...]) -> Any:
            Watched.largest = max(Watched.largest, weights_RN.nbytes)
            return super().resampled(weights_RN, columns, labels)

    statistics.paired_bootstrap(Watched(), {"x": np.arange(100_000.0)}, {"x": np.zeros(100_000)}, (), num_resamples=30)
    assert 0 < Watched.largest <= resampling.CHUNK_BYTES


@pytest.mark.parametrize(("n", "expected"), [(1, 1000), (100_000, 1000), (200_000, 500), (10**6, 200), (10**9, 200)])
def test_many_samples_are_resampled_less_often(n: int, expected: int) -> None:
    assert resampling.resamples_for(n) == expected


# ── two runs ──────────────────────────────────────────────────────────────────────────────────────────────────────────


def outcomes(both: int, only_a: int, only_b: int, neither: int) -> tuple[list[bool], list[bool]]:
    a = [True] * both + [True] * only_a + [False] * only_b + [False] * neither
    b = [True] * both + [False] * only_a + [True] * only_b + [False] * neither
    return a, b


def test_mcnemar_by_hand() -> None:
    # 1 of 6 discordant: 2 (1 + 6) / 2^6.
    assert statistics.mcnemar(*outcomes(10, 1, 5, 3)) == statistics.McNemar(1, 5, pytest.approx(14 / 64))
    assert statistics.mcnemar(*outcomes(4, 0, 0, 2)).p_value == 1.0
    assert statistics.mcnemar(*outcomes(0, 15, 15, 0)).p_value == 1.0
    with pytest.raises(DataError):
        statistics.mcnemar([True], [True, False])


def test_two_f1s_are_put_together_as_by_a_plain_loop() -> None:
    a, b, metric = classified(80, 0.8, seed=1), classified(80, 0.7, seed=1), F1Macro()
    found = statistics.paired_bootstrap(metric, a, b, LABELS, seed=4, num_resamples=60)["f1_macro"]

    def f1_of(run: dict[str, np.ndarray[Any, Any]], rows: Any = slice(None)) -> float:
        return metric.evaluate_columns({name: column[rows] for name, column in run.items()}, LABELS)["f1_macro"]

    repeated = [np.repeat(np.arange(80), w.astype(int)) for w in resampling.bootstrap_weights(80, (), 60, np.random.default_rng(4))]
    correlation = np.corrcoef(*([f1_of(run, rows) for rows in repeated] for run in (a, b)))[0, 1] * 80 / 84
    (l1, u1), (l2, u2) = (bounds(metric.intervals(run, LABELS, Groups.of(80), 0)["f1_macro"]) for run in (a, b))
    v1, v2 = f1_of(a), f1_of(b)
    assert found.value == pytest.approx(v1 - v2)
    for bound, x, y in ((found.low, v1 - l1, u2 - v2), (found.high, u1 - v1, v2 - l2)):
        assert abs(bound - (v1 - v2)) == pytest.approx(math.sqrt(x * x + y * y - 2 * correlation * x * y))  # type: ignore[operator]
    # The runs change places, sample by sample.
    num_as_large = 1
    for kept_N in np.random.default_rng(4).random((60, 80)) < 0.5:
        first, second = (
            {name: np.where(kept_N if a[name].ndim == 1 else kept_N[:, None], x[name], y[name]) for name in a} for x, y in ((a, b), (b, a))
        )
        num_as_large += abs(f1_of(first) - f1_of(second)) >= abs(v1 - v2) - 1e-12
    assert found.p_value == pytest.approx(num_as_large / 61)


@pytest.mark.parametrize("metric", [Accuracy(), F1Macro()], ids=lambda metric: metric.name)
@pytest.mark.parametrize("groups", [(), [str(i // 4) for i in range(20)]], ids=["alone", "groups"])
def test_twenty_samples_are_enough_to_compare_two_runs(metric: Metric, groups: list[str]) -> None:
    """Of two runs that are equally good, on the same samples."""
    covered, rejected = 0, 0
    for seed in range(50):
        rng = np.random.default_rng(seed)
        target, alike = rng.integers(0, 2, 20), rng.random(20) < 0.5
        wrong = [rng.random(20) < 0.25 for _ in range(3)]
        runs = [{"target": target, "prediction": np.where(np.where(alike, wrong[2], own), 1 - target, target)} for own in wrong[:2]]
        found = statistics.paired_bootstrap(metric, *runs, LABELS, groups=groups, seed=seed, num_resamples=79)[metric.name]
        covered += found.low is None or found.low <= 0 <= found.high  # type: ignore[operator]
        rejected += found.p_value is not None and found.p_value <= 0.05
    assert covered >= 45
    assert rejected <= 6


def test_pairing_removes_what_the_runs_share() -> None:
    rng = np.random.default_rng(0)
    difficulty = rng.normal(size=200)
    a, b = {"x": difficulty + 0.05 + 0.1 * rng.normal(size=200)}, {"x": difficulty}
    found = statistics.paired_bootstrap(MeanOfX(), a, b, ())["x"]
    assert found.low is not None
    assert found.low > 0
    assert found.p_value < 1e-6  # type: ignore[operator]
    assert width(statistics.estimate(MeanOfX(), a, ())["x"]) > 5 * (found.high - found.low)  # type: ignore[operator]


def test_paired_p_values_are_uniform_where_nothing_changed() -> None:
    rng = np.random.default_rng(0)
    metric = MeanOfX()
    p_values = [
        statistics.paired_bootstrap(metric, {"x": rng.normal(size=60)}, {"x": rng.normal(size=60)}, (), seed=i, num_resamples=199)[
            "x"
        ].p_value
        for i in range(200)
    ]
    assert np.mean([p <= 0.05 for p in p_values]) <= 0.10  # type: ignore[operator]
    assert np.mean([p <= 0.50 for p in p_values]) == pytest.approx(0.5, abs=0.12)  # type: ignore[operator]


def test_paired_bootstrap_at_the_edges() -> None:
    x = {"x": np.array([1.0, 2.0, 4.0])}
    same = statistics.paired_bootstrap(MeanOfX(), x, x, ())["x"]
    assert (same.value, same.low, same.p_value) == (0.0, None, 1.0)
    moved = statistics.paired_bootstrap(MeanOfX(), {"x": x["x"] + 1}, x, ())["x"]
    assert (moved.value, moved.low, moved.p_value) == (1.0, None, None)
    assert moved.reason
    empty = statistics.paired_bootstrap(MeanOfX(), {"x": np.empty(0)}, {"x": np.empty(0)}, ())["x"]
    assert empty == statistics.Difference(None, reason="no sample could be scored")
    one_class = {"target": np.zeros(3, dtype=int), "probabilities": np.full((3, 2), 0.5)}
    assert statistics.paired_bootstrap(RocAuc(), one_class, one_class, LABELS)["roc_auc"].reason == "the target has one class only"
    with pytest.raises(DataError, match="same samples"):
        statistics.paired_bootstrap(MeanOfX(), x, {"x": np.zeros(2)}, ())


def test_groups_widen_a_difference_too() -> None:
    x = np.repeat(np.random.default_rng(0).normal(size=60), 10)
    groups = [str(index // 10) for index in range(600)]
    wide = statistics.paired_bootstrap(MeanOfX(), {"x": x}, {"x": 0 * x}, (), groups=groups)["x"]
    narrow = statistics.paired_bootstrap(MeanOfX(), {"x": x}, {"x": 0 * x}, ())["x"]
    assert wide.high - wide.low > 2.5 * (narrow.high - narrow.low)  # type: ignore[operator]


@pytest.mark.parametrize("groups", [(), [str(i // 4) for i in range(80)]])
def test_a_paired_mean_difference_covers(groups: list[str]) -> None:
    """Rare large losses, which a t interval does not see; and its p-value rejects where its interval excludes 0."""
    rng, covered = np.random.default_rng(0), []
    for _ in range(400):
        a, b = (np.where(rng.random(80) < 0.03, rng.random(80), 0.0) for _ in range(2))
        found = statistics.paired_mean_difference(a, b, 0, 1, groups)
        covered.append(found.low <= 0 <= found.high)  # type: ignore[operator]
        assert (found.p_value > 0.05) == covered[-1] or groups  # type: ignore[operator]
    assert np.mean(covered) >= 0.95


def test_a_paired_mean_difference_at_its_edges() -> None:
    same = statistics.paired_mean_difference([0.2, 0.4], [0.2, 0.4], 0, 1)
    assert (same.value, same.p_value) == (0.0, 1.0)
    assert -same.low == same.high > 0.8  # type: ignore[operator]
    assert statistics.paired_mean_difference([], [], 0, 1).value is None
    all_better = statistics.paired_mean_difference(np.ones(40), np.zeros(40), 0, 1)
    assert (all_better.low, all_better.high) == pytest.approx((2 * scipy_stats.binomtest(40, 40).proportion_ci().low - 1, 1.0))
    few = statistics.paired_mean_difference(np.ones(40), np.zeros(40), 0, 1, ["a", "b"] * 20)
    assert few.low is None
    assert "too few to bound" in few.reason
    with pytest.raises(DataError, match="one score per sample"):
        statistics.paired_mean_difference([1.0], [1.0, 0.0], 0, 1)
    with pytest.raises(DataError, match="must be between -1 and 1"):
        statistics.paired_mean_difference([3.0], [0.0], 0, 1)


# ── many tests ────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_holm_by_hand() -> None:
    assert statistics.holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert statistics.holm([0.6, 0.9]) == [1.0, 1.0]
    assert statistics.holm([]) == []


@quick
@given(p_values=st.lists(st.floats(0, 1), min_size=1, max_size=8))
def test_holm_rejects_what_the_step_down_procedure_rejects(p_values: list[float]) -> None:
    alpha, m, rejected = 0.05, len(p_values), set()
    for step, index in enumerate(sorted(range(m), key=p_values.__getitem__)):
        if (m - step) * p_values[index] > alpha:
            break
        rejected.add(index)
    assert {index for index, p in enumerate(statistics.holm(p_values)) if p <= alpha} == rejected


def test_importing_stats_imports_no_torch() -> None:
    code = "import sys, windtunnel.harness.statistics; sys.exit(bool({'torch', 'evaluate', 'sklearn'} & sys.modules.keys()))"
    assert subprocess.run([sys.executable, "-c", code], check=False, cwd="/").returncode == 0


def test_an_area_allows_for_wrong_labels_that_were_not_drawn() -> None:
    """5 % of the positives rank below all negatives, so that the area is 0.95; in one sample of thirteen there is none of them."""
    rng = np.random.default_rng(5)
    num_above = 0
    for _ in range(150):
        positive_N = rng.random(100) < 0.5
        far_N = np.where(positive_N, np.where(rng.random(100) < 0.05, -9.0, 9.0), 0.0)
        found = area_interval([(positive_N, rng.standard_normal(100) + far_N)], Groups.of(100))
        assert found.low is not None
        num_above += found.low > 0.95
    assert num_above <= 6
