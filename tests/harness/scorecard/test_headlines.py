"""The headline row of an item, the gates beside their rows, and the reason of a verdict."""

from __future__ import annotations

from dataclasses import replace

import pytest
from windtunnel.harness.api.item_key import ItemKey
from windtunnel.harness.api.scorecard import Estimate, Row, Scorecard
from windtunnel.harness.scorecard.gates import Gate, check_gates, decide_verdict
from windtunnel.harness.scorecard.gates.readings import explain_verdict, read_gates
from windtunnel.harness.scorecard.headlines import choose_headline, choose_headlines

TASK = ItemKey("task", "notes")


def make_row(metric: str, dimension: str = "quality", *, model: str = "a", key: ItemKey = TASK, **parts: str) -> Row:
    return Row(model, key, metric, dimension, Estimate(0.8, 0.7, 0.9, 100), **parts)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("rows", "headline"),
    [
        ([make_row("f1", about="negative"), make_row("accuracy"), make_row("ece", "calibration")], "accuracy"),
        ([make_row("f1", about="negative"), make_row("matthews"), make_row("accuracy", slice="short")], "accuracy[short]"),
        ([make_row("f1", about="negative"), make_row("matthews")], "matthews"),
        ([make_row("f1", about="negative")], "f1[negative]"),
        (
            [make_row("rank_correlation", "interpretability", slice="flipped"), make_row("aligned_share", "interpretability")],
            "rank_correlation[flipped]",
        ),
        ([make_row("attack_success_rate", "robustness"), make_row("robust_accuracy", "robustness")], "robust_accuracy"),
        ([make_row("aopc", "interpretability", control="random"), make_row("infidelity", "interpretability")], "infidelity"),
        ([make_row("forward_passes", "efficiency"), make_row("refusal_rate", "safety")], "refusal_rate"),
        ([make_row("forward_passes", "efficiency")], None),
        ([], None),
    ],
)
def test_an_items_headline(rows: list[Row], headline: str | None) -> None:
    chosen = choose_headline(rows)
    assert (chosen and chosen.name) == headline


def test_a_row_with_a_value_stands_before_one_without() -> None:
    unscored = replace(make_row("refusal_rate", "safety"), estimate=Estimate(None, reason="no sample is harmful"))
    chosen = choose_headline([unscored, make_row("over_refusal_rate", "safety")])
    assert chosen is not None
    assert chosen.name == "over_refusal_rate"
    assert choose_headline([unscored]) == unscored


def test_a_dimension_has_its_own_headline() -> None:
    rows = [make_row("accuracy"), make_row("log_loss", "calibration"), make_row("ece", "calibration"), make_row("acc", model="b")]
    assert [row.name for row in choose_headlines(rows, "calibration")] == ["ece"]
    assert [(row.model, row.name) for row in choose_headlines(rows)] == [("a", "accuracy"), ("b", "acc")]


def make_card(*gates: str, complete: bool = True, inconclusive: str = "fail") -> Scorecard:
    rows = (make_row("accuracy"), replace(make_row("accuracy", model="b"), estimate=Estimate(0.6, 0.5, 0.7, 100)), make_row("auc"))
    nothing = replace(make_row("mcc"), estimate=Estimate(None, reason="one class alone"))
    card = Scorecard(manifest={}, rows=(*rows, nothing), complete=complete)
    results = check_gates([Gate.parse(gate, inconclusive) for gate in gates], card)
    return replace(card, gates=results, verdict=decide_verdict(results, complete=complete))


@pytest.mark.parametrize(
    ("gates", "reason"),
    [
        ([], "The suite has no gates, so that nothing was decided."),
        (["a/notes.accuracy >= 0.65"], "The gate passes: notes.accuracy of a is 0.8 (0.7 to 0.9, n = 100), asked >= 0.65."),
        (["a/notes.accuracy >= 0.5", "notes.accuracy.value < 0.9"],
         "All 2 gates pass, the narrowest: notes.accuracy.value of a is 0.8 (0.7 to 0.9, n = 100), asked < 0.9."),
        (["a/notes.accuracy >= 0.5", "notes.accuracy >= 0.75", "notes.auc >= 0.95"],
         "2 of 3 gates fail: notes.accuracy of b is 0.6 (0.5 to 0.7, n = 100), asked >= 0.75."),
        (["notes.auc >= 0.5", "notes.auc >= 0.75"],
         "1 of 2 gates is inconclusive: notes.auc of a is 0.8 (0.7 to 0.9, n = 100), asked >= 0.75."),
        (["notes.mcc >= 0.5"], "The gate has no data: notes.mcc >= 0.5: a: not scored: one class alone."),
    ],
)  # fmt: skip
def test_the_reason_of_a_verdict_is_the_gate_that_decides(gates: list[str], reason: str) -> None:
    card = make_card(*gates)
    assert explain_verdict(card, read_gates(card)) == reason
    unfinished = replace(card, complete=False)
    assert explain_verdict(unfinished, read_gates(unfinished)).startswith(f"{reason} Some planned samples have no record")


@pytest.mark.parametrize("gates", [[], ["notes.auc >= 0.5"], ["notes.auc >= 0.75"]])
def test_mostly_failed_samples_are_a_reason_whatever_the_gates_say(gates: list[str]) -> None:
    card = make_card(*gates)
    unusable = replace(card, verdict="no_data", mostly_failed=True)
    reason = explain_verdict(card, read_gates(card))
    failed = "More than half of the samples of an item failed, so that its numbers decide nothing."
    assert explain_verdict(unusable, read_gates(unusable)) == f"{reason} {failed}"
