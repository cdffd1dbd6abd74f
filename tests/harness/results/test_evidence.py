"""The scored samples behind rows give the rows' numbers again, and pair by id."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from windtunnel.harness.metrics.scores import column_mean, column_median
from windtunnel.harness.results.summarise import summarise
from windtunnel.harness.statistics import Evidence, get_evidence, pair_evidence
from windtunnel.harness.statistics.evidence import hash_id
from windtunnel.tests.toys import windtunnel, write_suite

COUNTED = {"efficiency"}
COMPUTED_OTHERWISE = {"num_outside_threat", "num_not_attacked", "robust_accuracy_spread", "overpredicted", "max_overpredicted"}
KEYS: dict[str, Any] = {"attacks": ["swap"], "probes": [{"probe": "by_length", "limit": 5}]}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("evidence")
    assert windtunnel("run", write_suite(folder, **KEYS), "--out", folder / "run", "-q").code == 0
    return folder / "run"


def test_each_number_is_computed_again_from_its_evidence(folder: Path) -> None:
    rows = summarise(folder, keep_evidence=True).rows
    kept = [(row, evidence) for row in rows if (evidence := get_evidence(row)) is not None]
    without = {row.metric for row in rows if get_evidence(row) is None and row.dimension not in COUNTED}
    assert len(kept) > 20
    assert without <= COMPUTED_OTHERWISE
    for row, evidence in kept:
        again, known = evidence.estimate(), row.estimate
        assert len(set(evidence.ids_N.tolist())) == known.n if known.n else not len(evidence.ids_N)
        assert (again.value, again.n, again.n_unscored) == (known.value, known.n, known.n_unscored), row.name
        if known.low is not None:
            assert (again.low, again.high) == pytest.approx((known.low, known.high)), row.name


def test_a_scorecard_keeps_no_evidence_unless_asked(folder: Path) -> None:
    plain, kept = summarise(folder), summarise(folder, keep_evidence=True)
    assert plain.rows == kept.rows
    assert all(row.evidence is None for row in plain.rows)


def test_pairs_are_the_samples_of_both_in_the_order_of_the_first() -> None:
    first, second = _evidence("d b a", [4, 2, 1]), _evidence("a c d", [10, 30, 40])
    one, other = pair_evidence(first, second)
    assert one.ids_N.tolist() == other.ids_N.tolist() == [hash_id("d"), hash_id("a")]
    assert (one.columns["x"].tolist(), other.columns["x"].tolist()) == ([4, 1], [40, 10])
    assert one.groups == ("d", "a")


def test_a_sample_may_be_drawn_twice() -> None:
    drawn = _evidence("a b", [1, 5]).take(np.array([1, 1, 0]))
    assert drawn.columns["x"].tolist() == [5, 5, 1]
    assert drawn.groups == ("b", "b", "a")
    assert drawn.estimate().value == pytest.approx(11 / 3)


@pytest.mark.parametrize("n", [1, 2, 7, 10])
def test_a_resampled_median_is_that_of_repeated_samples(n: int) -> None:
    rng = np.random.default_rng(n)
    values_N, weights_RN = rng.integers(0, 5, n).astype(float), rng.integers(0, 3, (200, n)).astype(float)
    weights_RN = weights_RN[weights_RN.sum(axis=1) > 0]
    found_R = column_median("x").resampled(weights_RN, {"x": values_N}, ())["x"]
    assert found_R.tolist() == [float(np.median(np.repeat(values_N, weights_N.astype(int)))) for weights_N in weights_RN]


def _evidence(ids: str, values: list[float]) -> Evidence:
    ids_N = np.array([hash_id(name) for name in ids.split()], dtype=np.uint64)
    return Evidence(column_mean("x", None, None), "x", {"x": np.array(values, dtype=float)}, (), ids_N, ids.split())
