"""What rows measure: one table for the page, the command line and the docs."""

from __future__ import annotations

import pytest
from windtunnel.harness.api.item_key import ItemKey
from windtunnel.harness.api.registry import Registry
from windtunnel.harness.api.scorecard import Estimate, Measure, Row
from windtunnel.harness.items.kinds import ROWS
from windtunnel.harness.scorecard.measures import MEASURES, add_direction, explain, measure_of, title_of
from windtunnel.harness.scorecard.names import CONTROLS
from windtunnel.tests.toys import windtunnel

ENDINGS = (*(f"_minus{control}" for control in CONTROLS), *CONTROLS, "_of_prediction", "_between_seeds")


def _row(metric: str, *, control: str = "", about: str = "", part: str = "", better: bool | None = None) -> Row:
    return Row("m", ItemKey("probe", "t", "p"), metric, "quality", Estimate(0.5), better, control=control, about=about, slice=part)


@pytest.mark.parametrize("name", sorted({name for names in ROWS.values() for name in names}))
def test_every_row_has_a_title_a_sentence_and_a_direction(name: str) -> None:
    stem = name if name in MEASURES else next(name.removesuffix(end) for end in ENDINGS if name.endswith(end))
    measure = MEASURES[stem]
    assert measure.title[0].isupper()
    assert "_" not in measure.title
    assert measure.explanation.endswith(".")
    assert measure.higher_is_better in (True, False, None)


def test_no_measure_is_of_a_row_that_is_not_there() -> None:
    names = {name for names in ROWS.values() for name in names}
    assert all(stem in names or any(name.startswith(f"{stem}_") for name in names) for stem in MEASURES)


def test_a_row_in_words() -> None:
    row = _row("rank_correlation", control="random", part="label_flipped")
    assert title_of(row, MEASURES) == "Rank correlation of explanations, random control (label_flipped)"
    assert explain(row, MEASURES) == (
        "Mean rank correlation between two explanations of the same parts. Control: for the same values in a random order. "
        "Over the samples of the slice label_flipped."
    )
    assert title_of(_row("carried", about="negative: useless"), MEASURES) == "Share of the attribution on a word: negative: useless"
    assert title_of(_row("rank_correlation", control="with_lime"), MEASURES) == "Rank correlation of explanations, with lime"
    assert (title_of(_row("x", control="random"), {}), explain(_row("x"), {})) == ("x_random", "")


def test_a_row_has_the_direction_of_its_measure_and_a_control_has_none() -> None:
    measures = {"m": Measure("M", "A sentence.", False)}
    assert add_direction(_row("m"), measures).higher_is_better is False
    assert add_direction(_row("m", control="minus_random"), measures).higher_is_better is False
    assert add_direction(_row("m", control="random"), measures).higher_is_better is None
    assert add_direction(_row("m", better=True), measures).higher_is_better is True, "what the row says itself stands"
    assert add_direction(_row("other"), measures).higher_is_better is None


@pytest.mark.parametrize("name", Registry().names("metrics"))
def test_every_metric_says_what_it_measures(name: str) -> None:
    metric = type(Registry().make("metrics", name))
    assert measure_of(name, metric.__doc__ or "", None).explanation.endswith((".", ")"))


def test_show_explains_a_row() -> None:
    answer = windtunnel("show", "robust_accuracy")
    assert answer.out.startswith("robust_accuracy  (row, higher is better)\n\n  Robust accuracy: Share of all samples")
