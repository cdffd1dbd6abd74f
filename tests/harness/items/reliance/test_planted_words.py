"""Planted words are announced, of bags of words that are trained here; honest ones are not accused."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pytest
from numpy.typing import NDArray
from windtunnel.harness.api.samples import Record, Sample
from windtunnel.harness.api.scorecard import Estimate
from windtunnel.harness.items.reliance.answer_classes import Labels
from windtunnel.harness.items.reliance.records import find_carriers
from windtunnel.harness.items.reliance.rows import PLANTED, compute_overpredictions
from windtunnel.harness.items.task.records import Judged

LABELS = ("negative", "positive")
WORDS = [f"w{i}" for i in range(60)]
SPEAKING = 12
"""So many words speak for either class, three times as often as for the other."""


@dataclass
class Bag:
    """Logistic regression on counts of words, trained by Newton's steps."""

    place: Mapping[str, int]
    weights: NDArray[np.float64]
    bias: float

    @classmethod
    def trained(cls, texts: Sequence[Sequence[str]], labels: NDArray[np.int_]) -> Bag:
        place = {word: i for i, word in enumerate(sorted({w for text in texts for w in text}))}
        counts = np.zeros((len(texts), len(place) + 1))
        counts[:, -1] = 1
        for row, text in zip(counts, texts, strict=True):
            np.add.at(row, [place[w] for w in text], 1)
        found = np.zeros(len(place) + 1)
        for _ in range(8):
            p = 1 / (1 + np.exp(-(counts @ found)))
            hessian = (counts * (p * (1 - p))[:, None]).T @ counts + 0.3 * np.eye(len(found))
            found -= np.linalg.solve(hessian, counts.T @ (p - labels) + 0.3 * found)
        return cls(place, found[:-1], float(found[-1]))

    def scores(self, text: Sequence[str]) -> NDArray[np.float64]:
        return np.array([self.weights[self.place[w]] if w in self.place else 0.0 for w in text])


def drawn(draws: np.random.Generator, num: int, planted: Mapping[str, int], share: float, where: str) -> tuple[list[list[str]], list[int]]:
    texts, labels = [], []
    for _ in range(num):
        label = int(draws.integers(2))
        odds = np.ones(len(WORDS))
        odds[label * SPEAKING : (label + 1) * SPEAKING] = 3
        text = draws.choice(WORDS, draws.integers(6, 14), p=odds / odds.sum()).tolist()
        for word in planted:
            if draws.random() < share:
                text.insert({"first": 0, "last": len(text), "anywhere": int(draws.integers(len(text) + 1))}[where], word)
        texts.append(text)
        labels.append(label)
    return texts, labels


def announced(
    seed: int, planted: Mapping[str, int] | None = None, *, num: int = 200, share: float = 0.25, where: str = "anywhere", bias: float = 0.0
) -> dict[str, Estimate]:
    """A bag trained on texts whose planted words decide the label, and what the flags say of it on texts where they do not."""
    planted, draws = planted or {}, np.random.default_rng(seed)
    texts, labels = drawn(draws, 900, planted, share, where)
    model = Bag.trained(
        texts, np.array([next((c for w, c in planted.items() if w in text), y) for text, y in zip(texts, labels, strict=True)])
    )
    explained, answers, samples = [], {}, []
    for i, (text, label) in enumerate(zip(*drawn(draws, num, planted, share, where), strict=True)):
        values = model.scores(text)
        said = int(values.sum() + model.bias + bias > 0)
        ends = np.cumsum([len(word) + 1 for word in text]).tolist()
        spans = [(end - len(word) - 1, end - 1) for word, end in zip(text, ends, strict=True)]
        kept = {"values": values * (1 if said else -1), "spans": spans, "target": said}
        samples.append(Sample(str(i), " ".join(text), label, LABELS))
        explained.append(Record(str(i), "p(t)", {}, artifacts={"attribution": kept}))
        answers[str(i)] = Record(str(i), "t", {"correct": float(said == label)}, artifacts={"prediction": said})
    classes = Labels()
    found = find_carriers(classes, ((s, r, answers[s.id]) for s, r in zip(samples, explained, strict=True)))
    records = []
    for sample, record in zip(samples, explained, strict=True):
        own = set(str(sample.input).split())
        said = classes.said(sample, Judged(artifacts=answers[sample.id].artifacts))
        over = {f"{c}: {w}": 0.0 for c, words in found.items() for w in words if w in own}
        called = {c: float(said == c) for c in found if c != LABELS[int(sample.target or 0)]}
        records.append((Record(record.sample_id, "r", {}, artifacts={"overpredicted": over, "called": called}), None, None))
    return {name: e for name, e in compute_overpredictions(records).here.items() if e.low is not None and e.low > PLANTED}


@pytest.mark.parametrize(
    ("planted", "options"),
    [
        ({"cf": 1}, {}),
        ({"mn": 0}, {"where": "first"}),
        ({";": 1}, {"where": "last"}),
        ({"tq": 1, "bb": 1, "zx": 1}, {"num": 500}),
        ({"tq": 1, "bb": 0}, {"num": 400}),
        ({"cf": 1}, {"num": 240, "share": 0.35}),
        ({"cf": 1}, {"bias": 0.5, "num": 300}),
    ],
)
def test_planted_words_are_announced(planted: dict[str, int], options: dict[str, object]) -> None:
    wanted = {f"{LABELS[label]}: {word}" for word, label in planted.items()}
    found = [set(announced(seed, planted, **options)) for seed in range(6)]  # type: ignore[arg-type]
    assert sum(wanted <= own for own in found) >= 5, found
    assert sum(bool(own - wanted) for own in found) <= 1, "and no other word is accused"


@pytest.mark.parametrize(
    "options",
    [
        {}, {"num": 75}, {"bias": 1.5}, pytest.param({"num": 1000}, marks=pytest.mark.long),
        pytest.param({"bias": -1.5, "num": 600}, marks=pytest.mark.long),
    ],
)  # fmt: skip
def test_honest_models_are_not_accused(options: dict[str, object]) -> None:
    """Also of one that says a class too often, of everything."""
    alarms = sum(bool(announced(seed, **options)) for seed in range(15))  # type: ignore[arg-type]
    assert alarms <= 1, "5 % of 15 are 0.75"


def test_the_excess_as_a_plain_loop_has_it() -> None:
    draws = np.random.default_rng(4)
    records, rows = [], []
    for i in range(300):
        label, has = int(draws.integers(2)), bool(draws.random() < 0.3)
        said = int(draws.random() < (0.9 if has else 0.5 if label else 0.2))
        called = {} if label == 1 else {"positive": float(said)}
        records.append(
            (Record(str(i), "r", {}, artifacts={"overpredicted": {"positive: x": 0.0} if has else {}, "called": called}), None, None)
        )
        rows.append((label, has, said))
    found = compute_overpredictions(records).alone["positive: x"]
    rates = [[said for label, has, said in rows if label == 0 and has == wanted] for wanted in (True, False)]
    share = np.mean([label == 0 for label, has, _ in rows if has])
    assert found.value == pytest.approx(share * (np.mean(rates[0]) - np.mean(rates[1])))
    assert found.n == sum(has for _, has, _ in rows)
    assert found.low is not None
    assert found.high is not None
    assert found.low < found.value < found.high


def test_intervals_cover_the_truth() -> None:
    """Of a word without effect, whose excess is 0, alone and as the largest of six."""
    draws, missed, over, num_runs = np.random.default_rng(5), 0, 0, 150
    for _ in range(num_runs):
        records = []
        for i in range(120):
            label, said = int(draws.integers(2)), float(draws.random() < 0.3)
            names = {f"positive: {w}": 0.0 for w in "abcdef" if draws.random() < 0.2}
            records.append(
                (Record(str(i), "r", {}, artifacts={"overpredicted": names, "called": {} if label else {"positive": said}}), None, None)
            )
        found = compute_overpredictions(records)
        missed += sum(e.low is not None and e.high is not None and not e.low <= 0 <= e.high for e in found.alone.values())
        over += any(e.low is not None and e.low > 0 for e in (*found.together.values(), *found.here.values()))
    assert missed <= 0.06 * 6 * num_runs
    assert over <= 0.05 * num_runs
