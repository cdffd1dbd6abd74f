"""How far an attack's numbers can be believed: the worst case, seeds, transfer, and the sentences that warn."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from windtunnel.harness.api.errors import ConfigError, IncompleteRun, UnknownName
from windtunnel.harness.api.registry import Registry
from windtunnel.harness.api.scorecard import Scorecard
from windtunnel.harness.plan.planner import plan
from windtunnel.harness.results.summarise import summarise
from windtunnel.harness.run.runner import run_plan
from windtunnel.harness.suite.load import load_suite
from windtunnel.harness.threats import AnyPrompt, EditBudget, LpBall, SuffixBudget, describe_threat, is_wider
from windtunnel.tests.toys import records_of, row, write_suite

PLUGINS = '''
from dataclasses import replace
import itertools

import numpy as np

from windtunnel.harness.modalities.image import Image
from windtunnel.harness.models.python.toy import Words
from windtunnel.harness.api.model import ModelInfo
from windtunnel.harness.api.registry import plugin
from windtunnel.harness.api.requests import Classify
from windtunnel.harness.api.responses import Logits
from windtunnel.harness.api.samples import Sample
from windtunnel.harness.threats import EditBudget, LpBall


@plugin("models", "other")
class Other:
    """noisy: another answer each time. deaf: does not know the word awful. bright: images."""

    def __init__(self, target):
        self.target = target

    def inspect(self):
        kind, labels = ("image", ("dark", "bright")) if self.target == "bright" else ("text", ("negative", "positive"))
        return ModelInfo({"classify": {kind}}, {"gradients"}, labels)

    def load(self, device, dtype):
        return Answering(self.target)


class Answering(Words):
    def __init__(self, target):
        self.name = self.fingerprint = "other:" + target
        self.target, self.noise = target, itertools.count()

    def classify(self, batch):
        if self.target == "bright":
            return [Logits((0.5 - float(r.input.pixels.mean()), float(r.input.pixels.mean()) - 0.5)) for r in batch]
        if self.target == "deaf":
            batch = [replace(r, input=r.input.replace("awful", "")) for r in batch]
        shift = next(self.noise) if self.target == "noisy" else 0
        return [Logits((a.values[0] + shift, a.values[1])) for a in super().classify(batch)]


@plugin("tasks", "goods")
class Goods:
    name, requires, metrics, primary = "goods", frozenset({"classify", "text"}), ("accuracy",), "correct"

    def __init__(self, num: int = 20, parts: tuple = ()):
        self.num, self.parts = num, parts

    def samples(self):
        slices = [{"slice": self.parts[i * len(self.parts) // self.num]} if self.parts else {} for i in range(self.num)]
        return [Sample(f"s{i:02}", f"good thing number {i}", 1, ("negative", "positive"), metadata=slices[i]) for i in range(self.num)]

    def requests(self, sample):
        return [Classify(sample.input, sample.labels)]

    def score(self, sample, responses):
        return {"correct": float(np.argmax(responses[0].values) == sample.target)}


@plugin("tasks", "pictures")
class Pictures(Goods):
    name, requires = "pictures", frozenset({"classify", "image"})

    def samples(self):
        return [Sample(f"p{i:02}", Image(np.full((2, 2, 1), 0.9, np.float32)), 1, ("dark", "bright")) for i in range(self.num)]


class Nothing:
    """Leaves the picture as it is."""

    requires = frozenset({"classify", "image"})

    def __init__(self, epsilon: float = 0.5):
        self.threat = LpBall(epsilon)

    def perturb(self, engine, samples, threat, rng):
        return samples


plugin("attacks", "nothing")(Nothing)


class Digit:
    """Adds the word to the samples whose number is in ``which``. ``draw``: or to a random half."""

    requires = frozenset({"classify", "text"})

    def __init__(self, which: tuple = (), word: str = "awful awful", draw: bool = False, facts: dict = {}, broken: tuple = ()):
        self.which, self.word, self.draw, self.facts, self.threat = which, word, draw, dict(facts), EditBudget()
        self.broken = broken

    def perturb(self, engine, samples, threat, rng):
        def hit(s):
            number = int(s.input.split()[-1])
            if number in self.broken:
                raise ZeroDivisionError("no words")
            return rng(s.id).random() < 0.5 if self.draw else number in self.which

        return [replace(s, input=f"{self.word} {s.input}" if hit(s) else s.input, metadata=self.facts) for s in samples]


plugin("attacks", "digit")(Digit)


@plugin("attacks", "warned")
class Warned(Digit):
    caution = "half a method."


@plugin("attacks", "seeing")
class Seeing(Digit):
    requires = frozenset({"classify", "text", "gradients"})
'''

WORDS = {"model": "other:words", "name": "words"}
DEAF = {"model": "other:deaf", "name": "deaf"}
LOW, HIGH = list(range(8)), list(range(5, 15))


def planned(folder: Path, /, **keys: Any) -> Any:
    (folder / "more_plugins.py").write_text(PLUGINS)
    whole = {"models": [WORDS], "tasks": ["goods"], "plugins": ["toy_plugins.py", "more_plugins.py"], "chunk": 7, **keys}
    suite = load_suite(write_suite(folder, **whole))
    return plan(suite, Registry(suite.plugins))


def run(folder: Path, /, **keys: Any) -> Scorecard:
    run_plan(planned(folder, **keys), folder / "run")
    return summarise(folder / "run")


def test_a_plugins_own_caution_is_flagged(tmp_path: Path) -> None:
    card = run(tmp_path, attacks=[{"attack": "digit"}, {"attack": "warned"}])
    assert [flag for flag in card.manifest["flags"] if "half a method" in flag] == ["words/warned(goods): half a method."]


def flags(card: Scorecard) -> str:
    return "\n".join(card.manifest["flags"])


def test_the_worst_case_is_what_no_attack_breaks(tmp_path: Path) -> None:
    attacks = [{"attack": "digit", "name": "a", "which": LOW}, {"attack": "digit", "name": "b", "which": HIGH}]
    card = run(
        tmp_path, attacks=attacks, gates=["worst_case(goods).robust_accuracy.value <= 0.25", "worst_case(goods).clean_accuracy.n > 19"]
    )
    assert row(card, "a(goods)", "robust_accuracy").estimate.value == pytest.approx(12 / 20)
    worst = row(card, "worst_case(goods)", "robust_accuracy").estimate
    assert (worst.value, worst.n) == (pytest.approx(5 / 20), 20), "0 to 14 are broken by one of the two"
    assert row(card, "worst_case(goods)", "attack_success_rate").estimate.value == pytest.approx(15 / 20)
    assert [g.outcome for g in card.gates] == ["pass", "pass"]
    broken = {r.sample_id for key in ("words/a(goods)", "words/b(goods)") for r in records_of(tmp_path / "run")[key] if r.scores["success"]}
    assert len(broken) == 15


def test_the_worst_case_is_of_the_samples_that_all_attacks_had(tmp_path: Path) -> None:
    attacks = [{"attack": "digit", "name": "a", "which": LOW, "limit": 10}, {"attack": "digit", "name": "b", "which": HIGH}]
    worst = row(run(tmp_path, attacks=attacks), "worst_case(goods)", "robust_accuracy").estimate
    assert (worst.value, worst.n) == (0.0, 10)
    card = summarise(tmp_path / "run")
    assert (
        "words/worst_case(goods): it counts the first 10 samples, which all of its attacks were asked about (a(goods): 10, b(goods): 20)"
        in flags(card)
    )


def test_a_sample_that_could_not_be_attacked_is_not_broken(tmp_path: Path) -> None:
    """By hand: of 20, 0 to 7 fall to one attack, which breaks on 10 to 12; the other finds nothing."""
    attacks = [{"attack": "digit", "name": "a", "which": LOW, "broken": [10, 11, 12]}, {"attack": "digit", "name": "b"}]
    card = run(tmp_path, attacks=attacks)
    for item in ("a(goods)", "worst_case(goods)"):
        robust, success = (row(card, item, name).estimate for name in ("robust_accuracy", "attack_success_rate"))
        assert (robust.value, robust.n, robust.n_unscored) == (pytest.approx(12 / 20), 20, 0)
        assert (success.value, success.n, success.n_unscored) == (pytest.approx(8 / 20), 20, 0)
    assert row(card, "a(goods)", "num_not_attacked").estimate.value == 3
    assert "could not be attacked and keep their clean answer: 3" in row(card, "a(goods)", "robust_accuracy").estimate.reason
    assert (
        "words/a(goods): 3 of 20 samples could not be attacked and keep their clean answer, so that robust accuracy may be too high; "
        "the first error was: ZeroDivisionError: no words" in flags(card)
    )
    assert card.num_failed == 3
    assert card.verdict == "none"


@pytest.mark.parametrize(("num", "verdict"), [(10, "none"), (11, "no_data"), (20, "no_data")])
def test_an_attack_that_failed_on_most_samples_decides_nothing(tmp_path: Path, num: int, verdict: str) -> None:
    card = run(tmp_path, attacks=[{"attack": "digit", "broken": list(range(num))}])
    assert card.verdict == verdict
    assert (f"words/digit(goods): {num} of 20 samples failed, more than half" in flags(card)) is (verdict == "no_data")


def test_each_threat_has_a_worst_case_of_its_own(tmp_path: Path) -> None:
    small = {"type": "edits", "max_words": 2}
    attacks = [
        {"attack": "digit", "name": "a", "which": [0, 1], "threat": small},
        {"attack": "digit", "name": "b", "which": [1, 2], "threat": small},
        {"attack": "digit", "name": "c", "which": LOW},
        {"attack": "digit", "name": "d", "which": HIGH},
    ]
    card = run(tmp_path, attacks=attacks, gates=["worst_case(goods, edits max_words 2).robust_accuracy.value >= 0.85"])
    values = {r.item: r.estimate.value for r in card.rows if r.item.startswith("worst_case") and r.name == "robust_accuracy"}
    assert values == {"worst_case(goods, edits max_words 2)": pytest.approx(17 / 20), "worst_case(goods, edits)": pytest.approx(5 / 20)}
    assert card.verdict == "pass"
    with pytest.raises(ConfigError, match=r"no item 'worst_case\(goods\)'.*worst_case\(goods, edits max_words 2\)"):
        planned(tmp_path, attacks=attacks, gates=["worst_case(goods).robust_accuracy > 0"])


@pytest.mark.parametrize(("parts", "mixed"), [(["harmful", "benign"], []), (["long", "short"], [""])])
def test_a_worst_case_has_the_slices_of_its_attacks(tmp_path: Path, parts: list[str], mixed: list[str]) -> None:
    """By hand: the first ten samples fall, 0 to 7 to one attack and 5 to 9 to the other; of the second half 10 to 14."""
    attacks = [{"attack": "digit", "name": "a", "which": LOW}, {"attack": "digit", "name": "b", "which": HIGH}]
    card = run(tmp_path, tasks=[{"task": "goods", "parts": parts}], attacks=attacks)
    found = {r.name: (r.estimate.value, r.estimate.n) for r in card.rows if r.item == "worst_case(goods)"}
    first, second = parts
    expected = {
        f"robust_accuracy[{first}]": (0.0, 10), f"robust_accuracy[{second}]": (0.5, 10), f"attack_success_rate[{first}]": (1.0, 10),
        f"attack_success_rate[{second}]": (0.5, 10), f"error_rate_under_attack[{second}]": (0.5, 10), f"clean_accuracy[{first}]": (1.0, 10),
    }  # fmt: skip
    assert {name: found[name] for name in expected} == expected
    assert [name for name in ("",) if f"robust_accuracy{name}" in found] == mixed, "a jailbreak and a refused request are never one number"


def test_a_small_radius_counts_for_a_large_one_and_not_the_other_way(tmp_path: Path) -> None:
    """By hand: under two words 0 and 1 fall; the wider threat's own attack breaks 5 to 14."""
    attacks = [
        {"attack": "digit", "name": "a", "which": [0, 1], "threat": {"type": "edits", "max_words": 2}},
        {"attack": "digit", "name": "b", "which": HIGH, "threat": {"type": "edits", "max_words": 9}},
    ]
    card = run(tmp_path, attacks=attacks)
    values = {r.item: r.estimate.value for r in card.rows if r.item.startswith("worst_case") and r.name == "robust_accuracy"}
    assert values == {"worst_case(goods, edits max_words 9)": pytest.approx(8 / 20)}


@pytest.mark.parametrize(("wide", "narrow", "expected"), [
    (LpBall(0.3), LpBall(0.1), True), (LpBall(0.1), LpBall(0.3), False), (LpBall(None), LpBall(0.3), True),
    (LpBall(0.3), LpBall(None), False),
    (LpBall(0.3), LpBall(0.1, "l2"), False), (EditBudget(), EditBudget(max_words=2, max_chars=9), True),
    (EditBudget(max_words=2), EditBudget(max_chars=9), False), (EditBudget(max_words=2), EditBudget(max_words=2, max_share=0.1), True),
    (EditBudget(min_similarity=0.5), EditBudget(min_similarity=0.8), True), (EditBudget(min_similarity=0.8), EditBudget(), False),
    (EditBudget(), EditBudget(same_part_of_speech=True), True), (EditBudget(same_part_of_speech=True), EditBudget(), False),
    (EditBudget(stop_words="builtin"), EditBudget(), False), (AnyPrompt(), SuffixBudget(), False),
    (AnyPrompt(), AnyPrompt(keep_prompt=True), True), (AnyPrompt(keep_prompt=True), AnyPrompt(), True),
    (LpBall(8 / 255), LpBall(0.0313725), True),
])  # fmt: skip
def test_which_threat_holds_which(wide: Any, narrow: Any, expected: bool) -> None:
    assert is_wider(describe_threat(wide), describe_threat(narrow)) is expected


def test_an_attack_without_a_radius_has_no_worst_case(tmp_path: Path) -> None:
    bright = {"model": "other:bright", "name": "bright"}
    boundless = {"type": "lp", "epsilon": None}
    attacks = [
        {"attack": "nothing", "name": "a", "epsilon": 0.1},
        {"attack": "nothing", "name": "b", "epsilon": 0.1},
        {"attack": "nothing", "name": "c", "threat": boundless},
        {"attack": "nothing", "name": "d", "threat": boundless},
    ]
    card = run(tmp_path, models=[bright], tasks=["pictures"], attacks=attacks)
    assert {r.item for r in card.rows if r.item.startswith("worst_case")} == {"worst_case(pictures, linf 0.1)"}


def test_a_curve_of_queries_counts_every_sample_once(tmp_path: Path) -> None:
    attacks = [{"attack": "digit", "which": LOW, "facts": {"num_queries": 20}, "broken": [10, 11, 12]}]
    card = run(tmp_path, attacks=attacks)
    for most, value in ((10, 0.0), (50, 8 / 20)):
        found = row(card, "digit(goods)", f"success_within_{most}_queries").estimate
        assert (found.value, found.n, found.n_unscored) == (pytest.approx(value), 20, 0)


def test_one_attack_has_no_worst_case(tmp_path: Path) -> None:
    card = run(tmp_path, attacks=[{"attack": "digit", "which": LOW}])
    assert not [r for r in card.rows if r.item.startswith("worst_case")]
    with pytest.raises(ConfigError, match=r"the run has no item 'worst_case\(goods\)'"):
        planned(tmp_path, attacks=[{"attack": "digit", "which": LOW}], gates=["worst_case(goods).robust_accuracy > 0"])


def test_seeds_are_repeated_and_their_spread_shown(tmp_path: Path) -> None:
    card = run(tmp_path, attacks=[{"attack": "digit", "draw": True, "seeds": 4}])
    items = ["digit(goods)", "digit#2(goods)", "digit#3(goods)", "digit#4(goods)"]
    rates = [row(card, item, "robust_accuracy").estimate.value for item in items]
    assert len(set(rates)) > 1, "another seed draws others"
    spread = row(card, "digit(goods)", "robust_accuracy_spread").estimate
    assert (spread.value, spread.n) == (pytest.approx(max(rates) - min(rates)), 4)  # type: ignore[type-var, operator]
    assert row(card, "worst_case(goods)", "robust_accuracy").estimate.value <= min(rates)  # type: ignore[operator, type-var]


@pytest.mark.parametrize("order", [[WORDS, DEAF], [DEAF, WORDS]])
def test_twins_of_one_model_are_scored_on_another(tmp_path: Path, order: list[dict[str, Any]]) -> None:
    attack = {"attack": "digit", "which": LOW, "models": ["words"], "transfer": True}
    card = run(tmp_path, models=order, attacks=[attack], gates=["deaf/transfer(digit(goods), words).transfer_success_rate.value <= 0"])
    found = row(card, "transfer(digit(goods), words)", "transfer_success_rate").estimate
    assert (found.value, found.n) == (0.0, 8), "the other model does not hear the word"
    assert row(card, "transfer(digit(goods), words)", "accuracy_on_twins").estimate.n == 8
    assert card.verdict == "pass"


def test_a_twin_that_fools_both_transfers(tmp_path: Path) -> None:
    attack = {"attack": "digit", "which": LOW, "word": "bad bad", "transfer": ["deaf"]}
    card = run(tmp_path, models=[WORDS, DEAF, {"model": "other:noisy", "name": "third"}], attacks=[attack])
    assert row(card, "transfer(digit(goods), words)", "transfer_success_rate").estimate.value == 1.0
    shown = {(r.model, r.item) for r in card.rows if r.item.startswith("transfer")}
    assert shown == {("deaf", "transfer(digit(goods), words)"), ("deaf", "transfer(digit(goods), third)")}, "to whom it was said, no others"


def test_a_model_that_is_not_there_is_told(tmp_path: Path) -> None:
    with pytest.raises(UnknownName, match=r"transfers to the model 'daef'.*Did you mean 'deaf'"):
        planned(tmp_path, models=[WORDS, DEAF], attacks=[{"attack": "digit", "transfer": ["daef"]}])


def test_a_stopped_run_goes_on_with_its_transfers(tmp_path: Path) -> None:
    attack = {"attack": "digit", "which": LOW, "models": ["words"], "transfer": True}
    work = planned(tmp_path, models=[DEAF, WORDS], attacks=[attack])
    run_plan(work, tmp_path / "whole")
    num_chunks = sum(-(-len(item.samples) // 7) for item in work.items)
    for _ in range(num_chunks):
        with pytest.raises(IncompleteRun):
            run_plan(work, tmp_path / "pieces", should_stop=lambda: True)
    run_plan(work, tmp_path / "pieces")
    assert records_of(tmp_path / "pieces") == records_of(tmp_path / "whole")


def test_a_black_box_that_finds_more_is_flagged(tmp_path: Path) -> None:
    blind, seeing = {"attack": "digit", "which": list(range(12))}, {"attack": "seeing", "which": [0]}
    card = run(tmp_path, attacks=[blind, seeing])
    assert "words/digit(goods): without gradients it fools the model on 11 samples that seeing(goods) does not (0 the other way" in flags(
        card
    )


def test_a_white_box_that_finds_more_is_not(tmp_path: Path) -> None:
    card = run(tmp_path, attacks=[{"attack": "digit", "which": [0]}, {"attack": "seeing", "which": list(range(12))}])
    assert "without gradients" not in flags(card)


def test_a_difference_that_may_be_chance_is_not(tmp_path: Path) -> None:
    card = run(tmp_path, attacks=[{"attack": "digit", "which": [0, 1, 2]}, {"attack": "seeing", "which": [3]}])
    assert "without gradients" not in flags(card)


@pytest.mark.parametrize(("epsilon", "flagged"), [(0.5, True), (0.1, False)])
def test_an_epsilon_that_allows_everything_must_reach_chance(tmp_path: Path, epsilon: float, flagged: bool) -> None:
    bright = {"model": "other:bright", "name": "bright"}
    card = run(tmp_path, models=[bright], tasks=["pictures"], attacks=[{"attack": "nothing", "epsilon": epsilon}])
    assert ("stays above chance (1 in 2)" in flags(card)) is flagged


@pytest.mark.parametrize(
    ("facts", "sentence"),
    [
        ({"budget_exhausted": True}, "20 of 20 attacked samples used up the attack's budget"),
        ({"zero_gradient": True}, "the loss had zero gradient on every attacked sample"),
        ({}, ""),
    ],
)
def test_facts_of_twins_become_sentences(tmp_path: Path, facts: dict[str, Any], sentence: str) -> None:
    found = flags(run(tmp_path, attacks=[{"attack": "digit", "facts": facts}]))
    assert sentence in found if sentence else not found


@pytest.mark.parametrize(("model", "moved"), [("noisy", 1.0), ("words", 0.0)])
def test_a_randomised_model_is_flagged_as_such(tmp_path: Path, model: str, moved: float) -> None:
    card = run(tmp_path, models=[{"model": f"other:{model}", "name": model}])
    found = row(card, "batch_invariance(goods)", "max_repeat_drift").estimate.value
    assert found is not None
    assert (found > 0.1) == (moved > 0)
    assert ("it is randomised" in flags(card)) is (moved > 0)
    assert "mixes its batch" not in flags(card)
