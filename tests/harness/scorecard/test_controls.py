"""What a score is above its control: a row from the samples' own differences, and a flag that errs as seldom as it promises."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from windtunnel.harness.api.item_key import ItemKey
from windtunnel.harness.api.probe import Probe
from windtunnel.harness.api.requests import Classify
from windtunnel.harness.api.samples import Attribution, Record, Sample, SampleRng
from windtunnel.harness.api.scorecard import Estimate, Row
from windtunnel.harness.engine import Engine
from windtunnel.harness.items.kinds import ROWS
from windtunnel.harness.items.probe.records import make_probe_records
from windtunnel.harness.items.probe.rows import make_probe_rows
from windtunnel.harness.modalities.words import word_spans
from windtunnel.harness.models.python.toy import Words
from windtunnel.harness.scorecard.columns import Table
from windtunnel.harness.scorecard.controls import add_cautions, make_control_flags, make_control_rows, make_difference_row
from windtunnel.harness.scorecard.names import BETWEEN_CLASSES, FAITHFULNESS
from windtunnel.harness.statistics import paired_mean_difference
from windtunnel.harness.store import StoredItem

Floats = NDArray[np.float64]
ITEM = StoredItem(1, "m", ItemKey("probe", "t", "p"), 0, "", "", "", 0, {"scores": ("erasure",)})
SCORES = FAITHFULNESS["erasure"]


def table_of(groups: list[str] | None = None, **columns: Floats) -> Table:
    num = len(next(iter(columns.values())))
    given = [{name: float(values[i]) for name, values in columns.items() if not np.isnan(values[i])} for i in range(num)]
    return Table.of(((Record(str(i), "p(t)", own), None, groups[i] if groups else None) for i, own in enumerate(given)), None)


def flags_of(real: Floats, random: Floats) -> list[str]:
    rows = list(make_control_rows(ITEM, table_of(comprehensiveness=real, comprehensiveness_random=random), SCORES))
    return list(make_control_flags(ITEM, rows))


def falls(draws: np.random.Generator, num: int, gain: float) -> tuple[Floats, Floats]:
    """Falls of the probability of samples that are hard or easy, and of both orders alike but for the gain."""
    height = draws.beta(2, 1, num)
    return tuple(height * np.clip(draws.beta(0.6, 1.4, num) + more, 0, 1) for more in (gain, 0.0))  # type: ignore[return-value]


class TestRows:
    def test_the_difference_is_paired(self) -> None:
        draws = np.random.default_rng(0)
        real, random = falls(draws, 40, 0.2)
        real[3], random[5] = np.nan, np.nan
        both = ~np.isnan(real) & ~np.isnan(random)
        row = make_difference_row(ITEM, table_of(a=real, a_random=random), "a", "a_random", "a", True, control="random")
        found = paired_mean_difference(real[both], random[both], 0, 1)
        assert row.estimate.value == pytest.approx(float(np.mean(real[both] - random[both])))
        assert (row.estimate.low, row.estimate.high, row.estimate.n) == (found.low, found.high, 38)

    def test_every_score_has_a_row_for_every_control(self) -> None:
        columns = {f"{name}{c}": np.linspace(0, 1, 9) for name in SCORES for c in ("", "_random", "_randomised")}
        rows = {row.name: row for row in make_control_rows(ITEM, table_of(**columns), SCORES)}
        assert set(rows) == {f"{name}_minus{c}" for name in SCORES for c in ("_random", "_randomised")}
        assert set(rows) <= set(ROWS["probe"]), "so that they can be gated before a run"
        assert rows["sufficiency_minus_random"].higher_is_better is False

    def test_a_score_beyond_its_bounds_has_an_interval_all_the_same(self) -> None:
        draws = np.random.default_rng(1)
        row = make_difference_row(ITEM, table_of(a=draws.normal(9, 1, 90), b=draws.normal(0, 1, 90)), "a", "b", "a", None, control="random")
        assert row.estimate.low is not None
        assert row.estimate.low > 7

    def test_few_groups_bound_nothing(self) -> None:
        real, random = falls(np.random.default_rng(2), 40, 0.5)
        row = make_difference_row(ITEM, table_of([f"g{i % 3}" for i in range(40)], a=real, b=random), "a", "b", "x", True, control="random")
        assert row.estimate.low is None
        assert "too few" in row.estimate.reason


class TestFlag:
    @pytest.mark.parametrize("num", [20, 75, 200])
    def test_a_random_probe_is_flagged_but_for_the_promised_rate(self, num: int) -> None:
        draws = np.random.default_rng(num)
        silent = sum(not flags_of(*falls(draws, num, 0.0)) for _ in range(400))
        # 2.5 % of 400 are 10; 20 or more have a probability of 0.3 %.
        assert silent < 20

    def test_a_worse_probe_is_flagged_and_a_better_one_is_not(self) -> None:
        draws = np.random.default_rng(7)
        worse, better = ([flags_of(*falls(draws, 75, gain)) for _ in range(40)] for gain in (-0.3, 0.4))
        assert all(worse)
        assert any("are less comprehensive" in flag for found in worse for flag in found)
        assert not any(better)

    def test_a_difference_within_its_noise_is_flagged(self) -> None:
        """The means alone would say that it is better."""
        real, random = falls(np.random.default_rng(3), 75, 0.0)
        random += real.mean() - random.mean() - 2e-4
        assert real.mean() > random.mean()
        (flag,) = flags_of(real, random)
        assert "are not shown to be more comprehensive than random ones" in flag
        assert "n = 75" in flag

    def test_too_few_samples_show_nothing(self) -> None:
        assert "not shown" in flags_of(np.array([0.5, 0.6]), np.array([0.1, 0.1]))[0]


def test_the_flag_speaks_of_the_curves_where_there_is_no_erasure() -> None:
    columns: dict[str, Any] = {"aopc": np.full(30, 0.1), "aopc_random": np.linspace(0.05, 0.2, 30)}
    rows = list(make_control_rows(ITEM, table_of(**columns), FAITHFULNESS["curves"]))
    assert "aopc" in "".join(make_control_flags(ITEM, rows))


class Either(Probe):
    """A map that says how strongly a word acts, whatever class is asked about; or one that has a sign."""

    requires = frozenset({"classify", "text"})

    def __init__(self, *, blind: bool) -> None:
        self.blind, self.target = blind, "predicted"

    def attribute(self, engine: Any, samples: Sequence[Sample], /) -> list[Attribution]:
        answers = engine.run([Classify(s.input, s.labels) for s in samples])
        found = []
        for sample, answer in zip(samples, answers, strict=True):
            target = int(np.argmax(answer.values)) if self.target == "predicted" else int(sample.target or 0)
            spans = word_spans(str(sample.input))
            signed = [Words.balance(str(sample.input)[a:b]) * (1, 2, -1)[i % 3] * (2 * target - 1) for i, (a, b) in enumerate(spans)]
            found.append(Attribution(sample.id, target, np.abs(signed) if self.blind else np.array(signed), spans))
        return found


@pytest.mark.parametrize("blind", [True, False])
def test_a_method_that_is_blind_to_the_class_is_told(blind: bool) -> None:
    labels = ("negative", "positive")
    samples = [
        Sample(f"s{i}", f"{w} a good film and a {v} end", i % 2, labels)
        for i, (w, v) in enumerate([("bad", "sad"), ("great", "awful")] * 5)
    ]
    engine = Engine(Words(), Words.info)
    records = make_probe_records(engine, "p(t)", Either(blind=blind), SampleRng(0), samples, ("classes",))
    assert all((r.scores[BETWEEN_CLASSES] == pytest.approx(1)) is blind for r in records)
    item = replace(ITEM, facts={"scores": ("classes",)})
    table = Table.of(((record, None, None) for record in records), None)
    rows = make_probe_rows(item, table)
    flags = list(make_control_flags(item, rows))
    stayed = Row(item.model, item.key, "flipped_explanation_unmoved", "interpretability", Estimate(0.8, n=5, reason="so far"), None)
    *others, told = add_cautions([*rows, stayed])
    assert others == rows
    assert told == (replace(stayed, estimate=replace(stayed.estimate, reason=told.estimate.reason)) if blind else stayed)
    assert ("so far; the method is blind to the class" in told.estimate.reason) is blind
    assert [("blind to the class" in flag) for flag in flags] == ([True] if blind else [])


def test_the_next_class_is_asked_about() -> None:
    asked: list[int] = []

    class Asks(Either):
        def attribute(self, engine: Any, samples: Sequence[Sample], /) -> list[Attribution]:
            asked.extend(int(s.target or 0) for s in samples if self.target == "gold")
            return super().attribute(engine, samples)

    samples = [Sample("s", "a good film", 0, ("negative", "positive"))]
    make_probe_records(Engine(Words(), Words.info), "p(t)", Asks(blind=True), SampleRng(0), samples, ("classes",))
    assert asked == [0], "the class that was not predicted"
