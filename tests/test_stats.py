"""Intervals, paired tests and corrections, against scipy, hand values, plain loops and known coverage."""

from __future__ import annotations

import dataclasses
import math
import subprocess
import sys
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats as scipy_stats
from windtunnel.harness import statistics
from windtunnel.harness.errors import DataError
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
from windtunnel.harness.metrics.perplexity import TokenPerplexity
from windtunnel.harness.metrics.probability import Ece, RocAuc
from windtunnel.harness.metrics.scores import Acc, Mean
from windtunnel.harness.scorecard import Estimate
from windtunnel.harness.statistics import estimates as stats

LABELS = ("negative", "positive")
quick = settings(max_examples=60, deadline=None, database=None, derandomize=True)


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


# ── Wilson ────────────────────────────────────────────────────────────────────────────────────────────────────────────


@quick
@given(data=st.data(), n=st.integers(1, 3000), confidence=st.sampled_from([0.8, 0.95, 0.99]))
def test_wilson_is_scipys(data: st.DataObject, n: int, confidence: float) -> None:
    successes = data.draw(st.integers(0, n))
    expected = scipy_stats.binomtest(successes, n).proportion_ci(confidence, method="wilson")
    assert stats.wilson(successes, n, confidence) == pytest.approx((expected.low, expected.high), rel=1e-9, abs=1e-12)


def test_wilson_at_the_ends_has_a_width_and_exact_bounds() -> None:
    assert stats.wilson(0, 10) == (0.0, pytest.approx(0.2775, abs=1e-4))
    assert stats.wilson(10, 10) == (pytest.approx(0.7225, abs=1e-4), 1.0)


@pytest.mark.parametrize(("successes", "n"), [(-1, 3), (4, 3), (0, 0), (math.nan, 3)])
def test_wilson_refuses_what_is_no_rate(successes: float, n: int) -> None:
    with pytest.raises(DataError, match="for a rate"):
        stats.wilson(successes, n)


# ── resamples ─────────────────────────────────────────────────────────────────────────────────────────────────────────

groupings = st.lists(st.one_of(st.none(), st.sampled_from("abc")), min_size=1, max_size=12)


@quick
@given(groups=groupings, seed=st.integers(0, 99))
def test_a_group_is_drawn_whole_and_as_many_groups_as_there_are(groups: list[str | None], seed: int) -> None:
    weights_RN = stats.bootstrap_weights(len(groups), groups, 7, np.random.default_rng(seed))
    assert weights_RN.shape == (7, len(groups))
    first = [index for index, group in enumerate(groups) if group is None or groups.index(group) == index]
    assert np.all(weights_RN[:, first].sum(axis=1) == len(first))
    for group in {*groups} - {None}:
        members = weights_RN[:, [other == group for other in groups]]
        assert np.all(members == members[:, :1])


def test_weights_are_multinomial() -> None:
    weights_RN = stats.bootstrap_weights(5, (), 20_000, np.random.default_rng(0))
    assert np.all(weights_RN.sum(axis=1) == 5)
    assert weights_RN.mean(axis=0) == pytest.approx(np.ones(5), abs=0.03)
    covariance = np.eye(5) - 1 / 5  # n p (1 - p) on the diagonal, -n p p beside it
    assert np.cov(weights_RN.T) == pytest.approx(covariance, abs=0.03)


@pytest.mark.parametrize("groups", [(), ["a", "a", "b", None, "b", None, "c"]])
@pytest.mark.parametrize("chunk_bytes", [1, 3 * 8 * 7, 10**9])
def test_chunks_change_no_number(monkeypatch: pytest.MonkeyPatch, groups: list[str | None], chunk_bytes: int) -> None:
    columns, metric = {"x": np.arange(7.0) ** 2}, MeanOfX()
    whole = stats.estimate(metric, columns, (), groups=groups, seed=3, num_resamples=50)
    monkeypatch.setattr(stats, "CHUNK_BYTES", chunk_bytes)
    assert stats.estimate(metric, columns, (), groups=groups, seed=3, num_resamples=50) == whole


def test_a_chunk_stays_small(monkeypatch: pytest.MonkeyPatch) -> None:
    class Watched(MeanOfX):
        largest = 0

        def resampled(self, weights_RN: Any, columns: Any, labels: tuple[str, ...]) -> Any:
            Watched.largest = max(Watched.largest, weights_RN.nbytes)
            return super().resampled(weights_RN, columns, labels)

    stats.estimate(Watched(), {"x": np.arange(100_000.0)}, (), num_resamples=30)
    assert 0 < Watched.largest <= stats.CHUNK_BYTES


@pytest.mark.parametrize(("n", "expected"), [(1, 1000), (100_000, 1000), (200_000, 500), (10**6, 200), (10**9, 200)])
def test_many_samples_are_resampled_less_often(n: int, expected: int) -> None:
    assert stats.resamples_for(n) == expected


def test_fewer_resamples_move_a_bound_by_little() -> None:
    x = np.random.default_rng(0).exponential(size=2000)
    many, few = ([stats.estimate(MeanOfX(), {"x": x}, (), seed=seed, num_resamples=num)["x"] for seed in range(20)] for num in (1000, 200))
    width = many[0].high - many[0].low
    assert all(abs(a.low - b.low) < 0.15 * width and abs(a.high - b.high) < 0.15 * width for a, b in zip(many, few, strict=True))


def test_groups_are_gone_over_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """However many chunks the resamples take: of a million samples each is one resample."""
    calls, real = [], stats._clusters
    monkeypatch.setattr(stats, "CHUNK_BYTES", 1)
    monkeypatch.setattr(stats, "_clusters", lambda n, groups: calls.append(n) or real(n, groups))
    stats.estimate(MeanOfX(), {"x": np.arange(8.0)}, (), groups=list("aabbccdd"), num_resamples=50)
    assert calls == [8]


# ── estimate ──────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("groups", [(), [str(index // 4) for index in range(60)]])
@pytest.mark.parametrize("metric", [F1Macro(), F1PerClass(), RocAuc(), Ece()], ids=lambda metric: metric.name)
def test_the_bootstrap_is_the_plain_loop(metric: Any, groups: list[str]) -> None:
    columns = classified(60, 0.8, seed=1)
    weights_RN = stats.bootstrap_weights(60, groups, 100, np.random.default_rng(5))
    drawn = [np.repeat(np.arange(60), weights.astype(int)) for weights in weights_RN]
    values = [metric.evaluate_columns({name: column[rows] for name, column in columns.items()}, LABELS) for rows in drawn]
    for name, found in stats.estimate(metric, columns, LABELS, groups=groups, seed=5, num_resamples=100).items():
        low, high = np.percentile([value[name] for value in values], [2.5, 97.5])
        assert (found.low, found.high) == pytest.approx((min(low, found.value), max(high, found.value)), rel=1e-9)
        assert found.value == metric.evaluate_columns(columns, LABELS)[name]
        assert found.n == 60


def test_a_rate_takes_wilsons_interval() -> None:
    columns = classified(40, 0.8, seed=0)
    right = int(np.sum(columns["target"] == columns["prediction"]))
    found = stats.estimate(Accuracy(), columns, LABELS, n_unscored=3)["accuracy"]
    assert found == Estimate(right / 40, *stats.wilson(right, 40), n=40, n_unscored=3)


def test_groups_of_one_are_no_groups() -> None:
    columns = classified(40, 0.8, seed=0)
    alone = stats.estimate(Accuracy(), columns, LABELS, groups=[str(index) for index in range(40)])
    assert alone == stats.estimate(Accuracy(), columns, LABELS) == stats.estimate(Accuracy(), columns, LABELS, groups=[None] * 40)


def test_ten_copies_of_a_sample_are_worth_one() -> None:
    rng = np.random.default_rng(0)
    x, copies = rng.normal(size=50), 10
    clustered = stats.estimate(MeanOfX(), {"x": np.repeat(x, copies)}, (), groups=[str(i // copies) for i in range(500)])["x"]
    pretended = stats.estimate(MeanOfX(), {"x": np.repeat(x, copies)}, ())["x"]
    honest = stats.estimate(MeanOfX(), {"x": x}, ())["x"]
    assert width(clustered) == pytest.approx(width(honest), rel=0.1)
    assert width(clustered) == pytest.approx(math.sqrt(copies) * width(pretended), rel=0.15)

    acc = (x > 0).astype(float)
    found = stats.estimate(Acc(), {"acc": np.repeat(acc, copies)}, (), groups=[str(i // copies) for i in range(500)])["acc"]
    assert width(found) > 2.5 * width(stats.estimate(Acc(), {"acc": np.repeat(acc, copies)}, ())["acc"])


def test_groups_whose_members_are_independent_cost_little() -> None:
    acc = (np.random.default_rng(0).random(1000) < 0.7).astype(float)
    grouped = stats.estimate(Acc(), {"acc": acc}, (), groups=[str(index // 10) for index in range(1000)])["acc"]
    assert width(grouped) == pytest.approx(width(stats.estimate(Acc(), {"acc": acc}, ())["acc"]), rel=0.2)


def test_a_clustered_rate_of_one_is_judged_by_its_clusters() -> None:
    found = stats.estimate(Acc(), {"acc": np.ones(30)}, (), groups=[str(index // 10) for index in range(30)])["acc"]
    assert (found.low, found.high) == stats.wilson(3, 3)


def width(estimate: Estimate) -> float:
    assert estimate.low is not None
    assert estimate.high is not None
    return estimate.high - estimate.low


def test_coverage() -> None:
    """Of 300 samples of 60 from a known distribution, about 95 % have an interval around the true mean (binomial 3 sigma: 3.8 %)."""
    rng = np.random.default_rng(0)
    metric = MeanOfX()
    found = [stats.estimate(metric, {"x": rng.exponential(size=60)}, (), seed=i, num_resamples=400)["x"] for i in range(300)]
    covered = np.mean([e.low <= 1.0 <= e.high for e in found])  # type: ignore[operator]
    assert 0.90 <= covered <= 0.985


def test_the_seed_is_all_the_randomness() -> None:
    columns = classified(50, 0.7, seed=0)
    np.random.seed(0)
    first = stats.estimate(F1Macro(), columns, LABELS, seed=1)
    np.random.seed(1)
    assert stats.estimate(F1Macro(), columns, LABELS, seed=1) == first
    assert stats.estimate(F1Macro(), columns, LABELS, seed=2) != first


def test_no_samples_give_none_with_a_reason_for_every_number() -> None:
    columns = {"prediction": np.empty(0, dtype=int), "target": np.empty(0, dtype=int)}
    found = stats.estimate(F1PerClass(), columns, LABELS, n_unscored=4)
    assert found == dict.fromkeys(("f1[negative]", "f1[positive]"), Estimate(None, n_unscored=4, reason="no sample could be scored"))


def test_an_undefined_number_is_none_with_a_reason() -> None:
    columns = {"prediction": np.array([0, 0, 0]), "target": np.array([0, 0, 0]), "probabilities": np.full((3, 2), 0.5)}
    assert stats.estimate(RocAuc(), columns, LABELS) == {"roc_auc": Estimate(None, n=3, reason="the target has one class only")}
    found = stats.estimate(F1PerClass(), columns, LABELS)
    assert (found["f1[negative]"].value, found["f1[positive]"].value) == (1.0, None)
    assert "neither" in found["f1[positive]"].reason


@pytest.mark.parametrize("n", [1, 5])
def test_no_spread_is_no_evidence(n: int) -> None:
    same = stats.estimate(TokenPerplexity(), {"loglikelihood": np.full(n, -0.1), "num_tokens": np.full(n, 3)}, ())["token_perplexity"]
    assert (same.low, same.high) == (None, None), "rounding is no spread"
    assert "same value" in same.reason
    columns = {"prediction": np.arange(n) % 2, "target": np.arange(n) % 2}
    found = stats.estimate(F1Macro(), columns, LABELS)["f1_macro"]
    assert (found.value, found.high, found.reason) == (1.0, 1.0, "")
    assert found.low < stats.wilson(n, n)[0]  # type: ignore[operator]


def _of_counts(right: tuple[int, int], missed: tuple[int, int] = (0, 0)) -> dict[str, np.ndarray]:
    """So many samples of each of two classes that are predicted right, and so many that are taken for the other."""
    kinds = [(0, 0, right[0]), (1, 1, right[1]), (0, 1, missed[0]), (1, 0, missed[1])]
    target, prediction = (np.repeat([kind[place] for kind in kinds], [kind[2] for kind in kinds]) for place in (0, 1))
    return {"target": target, "prediction": prediction}


def test_at_its_bound_a_ratio_has_wilsons_interval_over_what_it_is_of() -> None:
    perfect = _of_counts((30, 8))
    low, high = stats.wilson(8, 8)
    for metric, name in ((RecallPerClass(), "recall[positive]"), (PrecisionPerClass(), "precision[positive]")):
        found = stats.estimate(metric, perfect, LABELS)[name]
        assert (found.low, found.high) == pytest.approx((low, high))
    # F1 = 2 J / (1 + J) of J = TP / (TP + FP + FN), a share of the samples that the class is about.
    for metric, name in ((F1PerClass(), "f1[positive]"), (F1(), "f1")):
        found = stats.estimate(metric, perfect, LABELS)[name]
        assert (found.low, found.high) == pytest.approx((2 * low / (1 + low), 1.0))
    # None of 8 found, 3 taken for it.
    none = stats.estimate(F1PerClass(), _of_counts((30, 0), (3, 8)), LABELS)["f1[positive]"]
    most = stats.wilson(0, 11)[1]
    assert (none.value, none.low, none.high) == pytest.approx((0.0, 0.0, 2 * most / (1 + most)))


def test_a_perfect_mean_over_classes_loses_what_errors_in_the_rarest_would_cost() -> None:
    z2, columns = stats._Z**2, _of_counts((30, 8))
    recall, found = 8 / (8 + z2), {m.name: stats.estimate(m, columns, LABELS)[m.name] for m in (BalancedAccuracy(), F1Macro(), Matthews())}
    assert found["balanced_accuracy"].low == pytest.approx((1 + recall) / 2)
    assert found["f1_macro"].low == pytest.approx((2 * 8 / (2 * 8 + z2) + 2 * 30 / (2 * 30 + z2)) / 2)
    assert 0 < found["matthews"].low < found["f1_macro"].low < 1 == found["matthews"].high  # type: ignore[operator]
    # Of 1,000 classes a few errors in one are next to nothing: no penalty for their number.
    many = np.repeat(np.arange(1000), 5)
    wide = stats.estimate(F1Macro(), {"target": many, "prediction": many}, tuple(map(str, range(1000))))["f1_macro"]
    assert 0.999 < wide.low < 1  # type: ignore[operator]


def test_a_perfect_ranking_is_as_sure_as_its_rarer_class() -> None:
    positive = np.concatenate([np.linspace(0.1, 0.4, 50), np.linspace(0.6, 0.9, 8)])
    columns = {"target": np.repeat([0, 1], [50, 8]), "probabilities": np.stack([1 - positive, positive], axis=1)}
    found = stats.estimate(RocAuc(), columns, LABELS)["roc_auc"]
    # 8 pairs of a positive and a negative that have no sample in common are independent, and all of them are won.
    assert (found.low, found.high) == pytest.approx(stats.wilson(8, 8))


def test_copies_of_a_sample_make_a_perfect_score_no_surer() -> None:
    once, copied = (
        stats.estimate(F1Macro(), _of_counts((6 * n, 6 * n)), LABELS, groups=[str(i // n) for i in range(12 * n)] if n > 1 else ())[
            "f1_macro"
        ]
        for n in (1, 10)
    )
    assert copied.low == pytest.approx(once.low)


def test_bounds_at_1_cover() -> None:
    """Of worlds in which some samples are missed, those whose 40 samples show nothing of it and whose bound lies above the truth: few."""
    rng = np.random.default_rng(0)
    for miss in (0.05, 0.1, 0.15, 0.2):
        truth_f1 = 2 * (1 - miss) / (2 * (1 - miss) + miss)  # of the positive class, of which the share ``miss`` is missed
        found = stats.estimate(F1(), _of_counts((20, 20)), LABELS)["f1"]
        all_right = float((rng.random((20_000, 20)) > miss).all(1).mean())
        assert (all_right if found.low > truth_f1 else 0.0) <= 0.05  # type: ignore[operator]


def test_resamples_that_leave_a_number_undefined_are_passed_over_until_they_are_half() -> None:
    positive = np.linspace(0.9, 0.1, 6)
    columns = {"target": np.array([0, 0, 1, 0, 0, 0]), "probabilities": np.stack([1 - positive, positive], axis=1)}
    found = stats.estimate(RocAuc(), columns, LABELS)["roc_auc"]  # 2 in 3 resamples hold the one positive
    assert found.low is not None
    assert found.low < 0.6 == found.value < found.high  # type: ignore[operator]
    assert stats._percentiles(np.array([1.0, 2.0, 3.0, math.nan, math.nan]), 2.0)[:2] == pytest.approx((1.05, 2.95))
    assert stats._percentiles(np.array([1.0, 2.0, math.nan, math.nan]), 2.0)[:2] == (None, None)


def test_an_interval_holds_its_value_even_of_a_biased_statistic() -> None:
    # Of 20 samples at a confidence of 0.6 exactly 12 are right, of 20 at 0.7 14, ...: an ECE of 0, which hardly a resample can have.
    positive = np.repeat([0.6, 0.7, 0.8, 0.9], 20)
    target = np.concatenate([np.arange(20) < num_right for num_right in (12, 14, 16, 18)]).astype(int)
    found = stats.estimate(Ece(), {"target": target, "probabilities": np.stack([1 - positive, positive], axis=1)}, LABELS)["ece"]
    assert found.low == found.value == pytest.approx(0, abs=1e-12)
    assert 0.05 < found.high < 0.25  # type: ignore[operator]


def test_missing_and_uneven_columns_are_named() -> None:
    with pytest.raises(DataError, match="'f1_macro' needs the column 'target'"):
        stats.estimate(F1Macro(), {"prediction": np.array([0])}, LABELS)
    with pytest.raises(DataError, match="prediction 1, target 2"):
        stats.estimate(F1Macro(), {"prediction": np.array([0]), "target": np.array([0, 1])}, LABELS)
    with pytest.raises(DataError, match="groups 1"):
        stats.estimate(F1Macro(), {"prediction": np.array([0, 1]), "target": np.array([0, 1])}, LABELS, groups=["a"])
    with pytest.raises(DataError, match="1 groups for 2 samples"):
        stats.bootstrap_weights(2, ["a"], 3, np.random.default_rng(0))


# ── samples to decide ─────────────────────────────────────────────────────────────────────────────────────────────────


def test_samples_to_decide() -> None:
    estimate = Estimate(0.8, low=0.7, high=0.85, n=100)
    assert stats.samples_to_decide(estimate, 0.75) == 401  # half the room below: four times the samples, and one to exclude it
    assert stats.samples_to_decide(estimate, 0.85) == 101
    assert stats.samples_to_decide(estimate, 0.3) == 5
    assert stats.samples_to_decide(estimate, 0.8) is None
    assert stats.samples_to_decide(Estimate(None), 0.8) is None
    assert stats.samples_to_decide(dataclasses.replace(estimate, low=None), 0.7) is None
    assert stats.samples_to_decide(estimate, 0.8 + 1e-300) is None


@pytest.mark.parametrize("threshold", [0.72, 0.76, 0.83])
def test_about_as_many_samples_do_decide(threshold: float) -> None:
    small = Estimate(0.8, *stats.wilson(80, 100), n=100)
    needed = stats.samples_to_decide(small, threshold)
    assert needed is not None

    def excluded(n: int) -> bool:
        low, high = stats.wilson(0.8 * n, n)
        return not low <= threshold <= high

    assert excluded(math.ceil(1.3 * needed))
    assert not excluded(math.floor(0.7 * needed))


# ── two runs ──────────────────────────────────────────────────────────────────────────────────────────────────────────


def outcomes(both: int, only_a: int, only_b: int, neither: int) -> tuple[list[bool], list[bool]]:
    a = [True] * both + [True] * only_a + [False] * only_b + [False] * neither
    b = [True] * both + [False] * only_a + [True] * only_b + [False] * neither
    return a, b


def test_mcnemar_by_hand() -> None:
    # 1 of 6 discordant: 2 (1 + 6) / 2^6.
    assert statistics.mcnemar(*outcomes(10, 1, 5, 3)) == statistics.McNemar(1, 5, "exact", None, pytest.approx(14 / 64))
    # (|10 - 25| - 1)^2 / 35 = 5.6
    found = statistics.mcnemar(*outcomes(10, 10, 25, 3))
    assert found == statistics.McNemar(10, 25, "chi2", pytest.approx(5.6), pytest.approx(math.erfc(math.sqrt(5.6 / 2))))
    assert statistics.mcnemar(*outcomes(4, 0, 0, 2)).p_value == 1.0
    assert statistics.mcnemar(*outcomes(0, 15, 15, 0)).p_value == 1.0
    assert (statistics.mcnemar(*outcomes(0, 12, 12, 0)).method, statistics.mcnemar(*outcomes(0, 12, 13, 0)).method) == ("exact", "chi2")
    with pytest.raises(DataError):
        statistics.mcnemar([True], [True, False])


def test_mcnemars_two_forms_agree_where_they_meet() -> None:
    exact = scipy_stats.binomtest(14, 40).pvalue
    assert statistics.mcnemar(*outcomes(0, 14, 26, 0)).p_value == pytest.approx(exact, rel=0.1)


def test_paired_bootstrap_is_the_plain_loop() -> None:
    a, b = classified(80, 0.8, seed=1), classified(80, 0.7, seed=1)
    found = statistics.paired_bootstrap(F1Macro(), a, b, LABELS, seed=4, num_resamples=150)["f1_macro"]
    differences = []
    for weights in stats.bootstrap_weights(80, (), 150, np.random.default_rng(4)):
        rows = np.repeat(np.arange(80), weights.astype(int))
        of_a, of_b = (F1Macro().evaluate_columns({k: v[rows] for k, v in run.items()}, LABELS)["f1_macro"] for run in (a, b))
        differences.append(of_a - of_b)
    share = min(sum(d <= 0 for d in differences), sum(d >= 0 for d in differences))
    assert (found.low, found.high) == pytest.approx(tuple(np.percentile(differences, [2.5, 97.5])), rel=1e-9)
    assert found.p_value == pytest.approx(2 * (share + 1) / 151)
    assert found.value == pytest.approx(
        F1Macro().evaluate_columns(a, LABELS)["f1_macro"] - F1Macro().evaluate_columns(b, LABELS)["f1_macro"]
    )


def test_pairing_removes_what_the_runs_share() -> None:
    rng = np.random.default_rng(0)
    difficulty = rng.normal(size=200)
    a, b = {"x": difficulty + 0.05 + 0.1 * rng.normal(size=200)}, {"x": difficulty}
    found = statistics.paired_bootstrap(MeanOfX(), a, b, ())["x"]
    assert found.low is not None
    assert found.low > 0
    assert found.p_value == pytest.approx(2 / 1001)
    assert width(stats.estimate(MeanOfX(), a, ())["x"]) > 5 * (found.high - found.low)  # type: ignore[operator]


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
    x = np.repeat(np.random.default_rng(0).normal(size=30), 10)
    groups = [str(index // 10) for index in range(300)]
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
    with pytest.raises(DataError, match="one score a sample"):
        statistics.paired_mean_difference([1.0], [1.0, 0.0], 0, 1)
    with pytest.raises(DataError, match="lies between -1 and 1"):
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
