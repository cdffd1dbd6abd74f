"""No gate passes on an item of which half was not scored, whatever its kind and whatever failed; and the first error is said everywhere."""

from __future__ import annotations

from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import pytest
from windtunnel.harness.api.scorecard import GateResult, Row, Scorecard
from windtunnel.harness.results.baseline import load_baseline
from windtunnel.harness.scorecard.gates import Gate, check_gate
from windtunnel.harness.scorecard.gates.judgement import Drop, Threshold
from windtunnel.tests.toys import PLUGINS, windtunnel, write_suite

HALF = "n0,n1,n2,n3,n8,n10,n11,n12,n13,n15"
"""Ten of the twenty notes that the model gets right, and four of the eight that are asked again for drift."""
WRONG = ",n9,n14"
"""Two of the four that it gets wrong."""

BREAKING = '''

@plugin("attacks", "breaks")
class Breaks(Swap):
    """Turns good into bad, and falls over on some samples."""

    def __init__(self, ids: str = ""):
        super().__init__()
        self.ids = ids.split(",")

    def perturb(self, engine, samples, threat, rng):
        if any(sample.id in self.ids for sample in samples):
            raise RuntimeError("lost in the search")
        return super().perturb(engine, samples, threat, rng)


@plugin("probes", "stumbles")
class Stumbles(ByLength):
    """A word's letters are its weight, but for some samples."""

    def __init__(self, ids: str = ""):
        self.ids = ids.split(",")

    def attribute(self, engine, samples):
        if any(sample.id in self.ids for sample in samples):
            raise RuntimeError("lost in the words")
        return super().attribute(engine, samples)
'''

TASK, DRIFT, ATTACK, WORST = "notes", "batch_invariance(notes)", "breaks(notes)", "worst_case(notes)"
PROBE, OTHER, WORDS = "stumbles(notes)", "by_length(notes)", "word_reliance(stumbles(notes))"
SHIFT, TRANSFER = "explanation_shift(stumbles(notes), breaks(notes))", "transfer(breaks(notes), words)"

FAILING = {
    "task": ({"task": HALF + WRONG}, "division by zero", {TASK, DRIFT, ATTACK, WORST, WORDS, SHIFT, TRANSFER}),
    "attack": ({"attack": HALF}, "lost in the search", {ATTACK, WORST, SHIFT, TRANSFER}),
    "probe": ({"probe": HALF + WRONG}, "lost in the words", {PROBE, WORDS, SHIFT}),
}
"""Which samples fail, the error, and the items that are computed from them."""

SCORES = ["erasure", "plausibility", "twins", "words"]


def make_suite(folder: Path, fails: dict[str, str], **keys: Any) -> Path:
    where = f"score:{fails['task']}" if "task" in fails else ""
    suite = write_suite(
        folder, tasks=[{"task": "notes", "num": 24, "fail": where}],
        models=[{"model": "slow:words", "name": name} for name in ("words", "second")],
        attacks=[{"attack": "breaks", "ids": fails.get("attack", ""), "transfer": True}, {"attack": "swap", "seeds": 2}],
        probes=[{"probe": "stumbles", "ids": fails.get("probe", "")}, "by_length"], scores=SCORES, check_drift=True, **keys,
    )  # fmt: skip
    (folder / "toy_plugins.py").write_text(PLUGINS + BREAKING)
    return suite


@pytest.fixture(scope="module")
def cards(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Scorecard]:
    """Scorecards with evidence of a run without failures, and of one for each part that fails."""
    found = {}
    for name, fails in {"nothing": {}, **{name: fails for name, (fails, *_) in FAILING.items()}}.items():
        folder = tmp_path_factory.mktemp(name)
        assert windtunnel("run", make_suite(folder, fails), "--out", folder / "run", "-q").code in (0, 3)
        found[name] = load_baseline(folder / "run")
    return found


def list_passing(row: Row) -> list[Gate]:
    """Return gates that the row's value passes."""
    value, e = row.estimate.value, row.estimate
    asks = [Threshold("value", op, value or 0.0) for op in (">=", "<=")]
    asks += [Threshold(None, ">=", e.low)] if e.low is not None else []
    return [Gate(str(each), row.model, row.item, row.name, each) for each in asks]


def judge_all(card: Scorecard, items: set[str], baseline: Scorecard | None = None) -> list[tuple[Row, GateResult]]:
    rows = [row for row in (*card.rows, *card.times) if row.item in items and row.estimate.value is not None]
    assert {row.item for row in rows} == items
    gates = [(row, Gate("drop", row.model, row.item, row.name, drop=Drop(1e6), allow_mismatch=True)) for row in rows]
    if baseline is None:
        gates = [(row, gate) for row in rows for gate in list_passing(row)]
    return [(row, check_gate(gate, card, baseline)) for row, gate in gates]


@pytest.mark.parametrize("failing", FAILING)
def test_no_gate_passes_on_an_item_of_which_half_failed(cards: dict[str, Scorecard], failing: str) -> None:
    _, error, items = FAILING[failing]
    for row, result in judge_all(cards[failing], items):
        assert result.outcome == "inconclusive", (row.item, row.name, result)
        assert error in result.detail, (row.item, row.name, result.detail)
    for row, result in judge_all(cards[failing], {TASK} - items):
        assert result.outcome == "pass", (row.item, row.name, result)
    for card, baseline in ((cards[failing], cards["nothing"]), (cards["nothing"], cards[failing])):
        for row, result in judge_all(card, items, baseline):
            assert result.outcome in ("inconclusive", "no_data", "missing"), (row.item, row.name, result)


def test_gates_pass_where_nothing_failed(cards: dict[str, Scorecard]) -> None:
    items = FAILING["task"][-1]
    assert {result.outcome for _, result in judge_all(cards["nothing"], items)} == {"pass"}
    assert "pass" in {result.outcome for _, result in judge_all(cards["nothing"], items, cards["nothing"])}


def test_the_agreement_of_two_probes_counts_what_one_failed_on(cards: dict[str, Scorecard]) -> None:
    rows = [row for row in cards["probe"].rows if row.name.startswith("rank_correlation_with_")]
    assert [(row.estimate.n, row.estimate.n_unscored) for row in rows] == [(12, 12)] * 2


def test_the_first_error_is_said_everywhere(tmp_path: Path) -> None:
    """A share that the suite allows changes nothing; a larger one leaves the gate open, and the run fails."""
    gate = "breaks(notes).robust_accuracy.value >= 0"
    suite = make_suite(tmp_path, {"attack": HALF}, gates=[gate])
    answer = windtunnel("run", suite, "--out", tmp_path / "run", "-q")
    assert answer.code == 1, answer.out + answer.err
    sentence = "10 of 20 samples of words/breaks(notes) failed, more than &#39;max_unscored&#39; allows"
    case = next(c for c in ET.parse(tmp_path / "run" / "junit.xml").iter("testcase") if c.get("name") == gate)
    texts = [answer.out, (tmp_path / "run" / "scorecard.html").read_text(), case[0].get("message") or ""]
    for text in texts:
        assert "10 of 20 samples of words/breaks(notes) failed" in text or sentence in text
        assert "the first error was: RuntimeError: lost in the search" in text
