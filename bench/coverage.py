"""How often the intervals of each kind of row hold the truth: ``python -m windtunnel.bench.coverage``.

Samples are drawn from known populations (`truths`), and a row's interval is made of each as a scorecard makes it. Promised are 95 %. Every
cell must cover in at least 92.5 % of its draws, and miss in at most 4 % on either side; intervals that hold for any population (of rates
and of bounded means) cover more where samples are few.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from zlib import crc32

import numpy as np
from scipy.special import betaincinv, gammaincinv, ndtri

from ..harness.api.samples import Record
from ..harness.items.reliance.rows import Carrier, compute_overpredictions, find_largest
from ..harness.items.task.judge_rows import Kappa
from ..harness.metrics.base import Floats, Metric
from ..harness.metrics.classification import (
    F1,
    Accuracy,
    BalancedAccuracy,
    F1Macro,
    F1PerClass,
    F1Weighted,
    Matthews,
    PrecisionMacro,
    PrecisionPerClass,
    RecallMacro,
    RecallPerClass,
)
from ..harness.metrics.corpus_scores import Bleu, Chrf, Ter
from ..harness.metrics.entities import EntityF1
from ..harness.metrics.perplexity import TokenPerplexity
from ..harness.metrics.probability import Brier, Ece, LogLoss, RocAuc
from ..harness.metrics.safety import BiasAmbiguous, BiasDisambiguated, ExpectedMaxToxicity, StereotypeGap
from ..harness.metrics.scores import column_mean
from ..harness.metrics.summed import Summed
from ..harness.statistics.comparisons import paired_bootstrap, paired_mean_difference
from ..harness.statistics.groups import Groups
from ..harness.statistics.intervals import TAIL, Interval
from ..harness.statistics.medians import median_interval
from ..harness.statistics.prevalence import correct_rate
from ..harness.statistics.statistic import Columns
from .truths import (  # fmt: skip
    Alike,
    Draw,
    Quantile,
    Truth,
    Uniforms,
    binary,
    calibrated,
    correlated,
    entities,
    judged,
    judges,
    many_classes,
    mislabelled,
    outcomes,
    pair,
    paired,
    ratio,
    score,
    six_words,
    softmax,
    sure,
    translations,
    two_runs,
    words,
)

TWO = ("no", "yes")
SIZES, NUM_GROUPS = (20, 100, 500), (0, 5, 10, 50)
LEAST, MOST_ON_A_SIDE = 92.5, 4.0


def _names(num: int) -> tuple[str, ...]:
    return tuple(map(str, range(num)))


def _bounded(quantile: Quantile, value: float, name: str, low: float = 0.0) -> Truth:
    return Truth(f"mean in [{low:g}, 1]", name, lambda: column_mean("x", low, 1), score("x", quantile), value=value)


def _unbounded(quantile: Quantile, value: float, name: str, low: float | None = 0.0) -> Truth:
    return Truth("mean without bound", name, lambda: column_mean("x", low, None), score("x", quantile), value=value)


def _corpus(metric: type[Summed], name: str, pairs: Draw) -> Truth:
    """The score of a population of 40 pairs is that of all of them, once each."""
    (value,) = metric().evaluate_columns(pairs(np.linspace(0.5 / 40, 1 - 0.5 / 40, 40), np.random.default_rng(0)), ()).values()
    return Truth("corpus score", f"{metric.title}, {name}", metric, pairs, value=value)


def _rate(rate: float) -> Truth:
    return Truth("rate", f"{rate:g}", lambda: column_mean("x"), score("x", lambda u_N: u_N < rate), value=rate)


def _signs(u_N: Uniforms, first: float, second: float) -> Uniforms:
    """1 below the first, -1 from there to the second, else 0."""
    return np.select([u_N < first, u_N < second], [1.0, -1.0], 0.0)


def _lean(u_N: Uniforms) -> Uniforms:
    return _signs(u_N, 0.5, 0.8)


class Corrected(Metric):
    """A rate as a judge sees it, corrected by its errors on answers that people labelled: ``hits`` of 100 that they said yes to, and
    ``rejections`` of 100 that they said no to."""

    name = "corrected"
    needs = frozenset({"seen", "hits", "rejections"})
    higher_is_better = None

    def intervals(self, columns: Columns, labels: tuple[str, ...], groups: Groups, seed: int) -> dict[str, Interval]:
        seen_G2 = np.stack([groups.sums(columns["seen"]), groups.sizes_G], axis=1).astype(np.int64)
        known_G4 = np.zeros((200, 4), dtype=np.int64)
        known_G4[:100, 1] = known_G4[100:, 3] = 1
        known_G4[: int(columns["hits"][0]), 0] = known_G4[100 : 100 + int(columns["rejections"][0]), 2] = 1
        found = correct_rate(seen_G2, known_G4)
        return {self.name: Interval(found.low, found.high, found.reason)}


class PairedDifference(Metric):
    """How much larger the mean of ``a`` is than that of ``b``, whose scores lie between ``low`` and ``high``."""

    name = "difference"
    needs = frozenset({"a", "b"})
    higher_is_better = None

    def __init__(self, low: float | None = 0.0, high: float | None = 1.0) -> None:
        super().__init__()
        self._bounds = low, high

    def intervals(self, columns: Columns, labels: tuple[str, ...], groups: Groups, seed: int) -> dict[str, Interval]:
        names = () if groups.are_single else list(map(str, groups.index_N))
        found = paired_mean_difference(columns["a"], columns["b"], *self._bounds, names)
        return {self.name: Interval(found.low, found.high, found.reason)}


class TwoRuns(Metric):
    """The F1 of a run minus that of another one on the same samples."""

    name = "difference"
    needs = frozenset({"target", "prediction", "other"})
    higher_is_better = None

    def intervals(self, columns: Columns, labels: tuple[str, ...], groups: Groups, seed: int) -> dict[str, Interval]:
        run, other = ({"target": columns["target"], "prediction": columns[name]} for name in ("prediction", "other"))
        names = () if groups.are_single else list(map(str, groups.index_N))
        found = paired_bootstrap(F1Macro(), run, other, labels, groups=names, seed=seed, num_resamples=100)["f1_macro"]
        return {self.name: Interval(found.low, found.high, found.reason)}


class Median(Metric):
    """The median of ``x``."""

    name = "median"
    needs = frozenset({"x"})
    higher_is_better = None

    def intervals(self, columns: Columns, labels: tuple[str, ...], groups: Groups, seed: int) -> dict[str, Interval]:
        return {self.name: median_interval(columns["x"], groups)}


class Overpredicted(Metric):
    """How far a word is overpredicted (`items.reliance.rows`)."""

    name = "overpredicted"
    needs = frozenset({"called", "other", "has"})
    higher_is_better = None

    def intervals(self, columns: Columns, labels: tuple[str, ...], groups: Groups, seed: int) -> dict[str, Interval]:
        carrier = Carrier(columns["called"], columns["other"], columns["has"])
        found = carrier.excess(np.ones(len(columns["has"]), dtype=bool), groups, TAIL)
        return {self.name: Interval(found.low, found.high, found.reason)}


class MaxOverpredicted(Metric):
    """How far the most overpredicted of several words is, as a run's records have them."""

    name = "max_overpredicted"
    needs = frozenset({"called", "other", "has"})
    higher_is_better = None

    def intervals(self, columns: Columns, labels: tuple[str, ...], groups: Groups, seed: int) -> dict[str, Interval]:
        rows = []
        for called, other, has, group in zip(columns["called"], columns["other"], columns["has"], groups.index_N, strict=True):
            over = {f"yes: {word}": 0.0 for word in np.flatnonzero(has)}
            artifacts = {"overpredicted": over, "called": {"yes": float(called)} if other else {}}
            rows.append((Record("s", "i", {}, artifacts=artifacts), None, None if groups.are_single else str(group)))
        found = find_largest(compute_overpredictions(rows).together.values())
        return {self.name: Interval(found.low, found.high, found.reason)}


class Pearson(Metric):
    """A correlation, as a metric of one's own has it: with `resampled` alone."""

    name = "pearson"
    needs = frozenset({"x", "y"})
    higher_is_better = None

    def resampled(self, weights_RN: Floats, columns: Columns, labels: tuple[str, ...]) -> dict[str, Floats]:
        x_N, y_N = columns["x"], columns["y"]
        mean, x, y, xx, yy, xy = (weights_RN @ part_N for part_N in (np.ones_like(x_N), x_N, y_N, x_N**2, y_N**2, x_N * y_N))
        return {self.name: (xy / mean - x * y / mean**2) / np.sqrt((xx / mean - x**2 / mean**2) * (yy / mean - y**2 / mean**2))}


def _maxima(u_N: Uniforms) -> Uniforms:
    """The largest of 25 toxicities, each beta-distributed."""
    return np.asarray(betaincinv(0.3, 2, u_N ** (1 / 25)))


HARD, LIGHT, ALONE = Alike(0.3), Alike(0.1), Alike(0.3, half_alone=True)

TRUTHS: Sequence[Truth] = (
    *map(_rate, (0.002, 0.5, 0.9, 0.99)),
    *(replace(_rate(0.9), alike=alike) for alike in (HARD, LIGHT, ALONE)),
    _bounded(lambda u_N: betaincinv(0.3, 0.2, u_N), 0.6, "U-shaped"),
    replace(_bounded(lambda u_N: betaincinv(0.3, 0.2, u_N), 0.6, "U-shaped"), alike=HARD),
    _bounded(lambda u_N: betaincinv(0.1, 5, u_N), 0.1 / 5.1, "mostly near 0"),
    _bounded(lambda u_N: np.where(u_N < 0.97, 1, 0.5), 0.985, "1 but in 3 %"),
    _bounded(lambda u_N: 2 * betaincinv(6, 4, u_N) - 1, 0.2, "bell", low=-1.0),
    Truth("mean in [0, 1]", "largest of 25 toxicities", ExpectedMaxToxicity, score("toxicity", _maxima)),
    Truth("mean in [-1, 1]", "bias, mostly unknown", BiasAmbiguous, score("lean", lambda u_N: _signs(u_N, 0.06, 0.09)), value=0.03),
    Truth("Brier score", "hard", Brier, binary(0.5, 2), labels=TWO),
    Truth("Brier score", "easy", Brier, binary(0.5, 4.5), labels=TWO),
    Truth("log loss", "hard", LogLoss, binary(0.5, 2), labels=TWO),
    Truth("log loss", "easy", LogLoss, binary(0.5, 4.5), labels=TWO),
    Truth("log loss", "overstated", LogLoss, binary(0.5, 3, 3), labels=TWO),
    Truth("Brier score", "5 classes", Brier, softmax(5, 2), labels=_names(5)),
    Truth("Brier score", "0 and 1", Brier, sure(0.95), labels=TWO),
    Truth("log loss", "0 and 1", LogLoss, sure(0.95), labels=TWO),
    _unbounded(lambda u_N: -np.log1p(-u_N), 1.0, "exponential"),
    _unbounded(lambda u_N: np.ceil(np.log1p(-u_N) / math.log(29 / 30)), 30.0, "counts, geometric"),
    _unbounded(lambda u_N: np.exp(1.5 * ndtri(u_N)), math.exp(1.125), "lognormal, sigma 1.5"),
    Truth(
        "mean in [0, 1]",
        "lognormal, sigma 1.5, cut off",
        lambda: column_mean("x", 0, 100),
        score("x", lambda u_N: np.minimum(100, np.exp(1.5 * ndtri(u_N)))),
    ),
    _unbounded(lambda u_N: np.exp(ndtri(u_N)), math.exp(0.5), "lognormal"),
    _unbounded(lambda u_N: gammaincinv(0.3, u_N), 0.3, "gamma, shape 0.3"),
    _unbounded(ndtri, 0.0, "normal", low=None),
    Truth("perplexity", "documents alike", TokenPerplexity, ratio(0.2)),
    Truth("perplexity", "documents unlike", TokenPerplexity, ratio(0.6)),
    _corpus(EntityF1, "0 to 3 entities a text", entities()),
    *(_corpus(metric, "all kinds", translations()) for metric in (Bleu, Chrf, Ter)),
    *(_corpus(metric, "mostly perfect", translations(are_mostly_perfect=True)) for metric in (Bleu, Chrf, Ter)),
    Truth("ECE", "calibrated", Ece, calibrated(1), labels=TWO, value=0.0),
    Truth("ECE", "overstated 1.3 times", Ece, calibrated(1.3), labels=TWO),
    Truth("ECE", "overstated 3 times", Ece, calibrated(3), labels=TWO),
    Truth("ECE", "10 bins, understated", lambda: Ece(10), calibrated(0.7), labels=TWO),
    Truth("ECE", "5 classes", Ece, softmax(5, 2), labels=_names(5)),
    Truth("accuracy", "hard", Accuracy, binary(0.5, 1.5), labels=TWO),
    Truth("F1", "prevalence 0.1", F1, binary(0.1, 3), labels=TWO),
    Truth("F1", "of a class", F1PerClass, binary(0.1, 3), "f1[yes]", TWO),
    Truth("recall of a class", "prevalence 0.1", RecallPerClass, binary(0.1, 3), "recall[yes]", TWO),
    Truth("precision of a class", "prevalence 0.1", PrecisionPerClass, binary(0.1, 3), "precision[yes]", TWO),
    Truth("macro-F1", "2 classes, rare", F1Macro, binary(0.1, 3), labels=TWO),
    Truth("macro-F1", "20 classes", F1Macro, many_classes(20, 0.8), labels=_names(20)),
    Truth("macro-F1", "20 classes, skewed, good", F1Macro, many_classes(20, 0.98, skewed=True), labels=_names(20)),
    Truth("macro-F1", "20 classes", F1Macro, many_classes(20, 0.8), labels=_names(20), alike=HARD),
    Truth("macro-F1", "100 classes", F1Macro, many_classes(100, 0.7), labels=_names(100)),
    Truth("weighted F1", "20 classes, skewed", F1Weighted, many_classes(20, 0.6, skewed=True), labels=_names(20)),
    Truth("macro precision", "20 classes, skewed", PrecisionMacro, many_classes(20, 0.6, skewed=True), labels=_names(20)),
    Truth("macro recall", "20 classes, skewed", RecallMacro, many_classes(20, 0.6, skewed=True), labels=_names(20)),
    Truth("balanced accuracy", "2 classes, rare", BalancedAccuracy, binary(0.1, 3), labels=TWO),
    Truth("balanced accuracy", "20 classes, skewed", BalancedAccuracy, many_classes(20, 0.6, skewed=True), labels=_names(20)),
    Truth("Matthews", "hard", Matthews, binary(0.5, 1.5), labels=TWO),
    Truth("Matthews", "rare", Matthews, binary(0.1, 3), labels=TWO),
    Truth("ROC-AUC", "hard", RocAuc, binary(0.5, 1), labels=TWO),
    Truth("ROC-AUC", "rare", RocAuc, binary(0.1, 2), labels=TWO),
    Truth("ROC-AUC", "good", RocAuc, binary(0.5, 3.5), labels=TWO),
    Truth("ROC-AUC", "hard", RocAuc, binary(0.5, 1), labels=TWO, alike=HARD),
    Truth("ROC-AUC", "5 % wrong labels", RocAuc, mislabelled(0.5, 0.05), labels=TWO),
    Truth("ROC-AUC", "3 classes", RocAuc, softmax(3, 1.5), labels=_names(3)),
    Truth("ROC-AUC", "3 classes at random", RocAuc, softmax(3, 0), labels=_names(3), value=0.5),
    Truth("kappa", "often yes", Kappa, judges(0.5, 0.8)),
    Truth("kappa", "seldom yes", Kappa, judges(0.1, 0.95)),
    Truth("difference of rates", "0.8 and 0.6", StereotypeGap, pair(0.8, 0.6), value=0.2),
    Truth("difference of rates", "0.98 both", StereotypeGap, pair(0.98, 0.98), value=0.0),
    Truth("paired difference", "rare losses", PairedDifference, paired(lambda u_N: np.where(u_N < 0.05, u_N * 20, 0.0)), value=0.0),
    Truth("paired difference", "0.82 and 0.8", PairedDifference, paired(lambda u_N: u_N < 0.8, 0.1), value=0.02),
    Truth(
        "paired difference without bound", "exponential", lambda: PairedDifference(0, None), paired(lambda u_N: -np.log1p(-u_N)), value=0.0
    ),
    Truth("difference of two F1s", "2 classes", TwoRuns, two_runs(0.8), labels=TWO, value=0.0),
    Truth("median", "counts, geometric", Median, score("x", lambda u_N: np.ceil(np.log1p(-u_N) / math.log(29 / 30))), value=21.0),
    Truth("median", "lognormal", Median, score("x", lambda u_N: np.exp(ndtri(u_N))), value=1.0),
    Truth("overprediction", "0.5 and 0.1", Overpredicted, words(0.5, 0.1), value=0.24),
    Truth("overprediction", "0.95 and 0.02", Overpredicted, words(0.95, 0.02), value=0.558),
    Truth("overprediction", "largest of 6 words, 0.95 and 0.02", MaxOverpredicted, six_words(0.95, 0.02), value=0.558),
    Truth("overprediction", "largest of 6 words without effect", MaxOverpredicted, six_words(0.3, 0.3), value=0.0),
    Truth("number of your own", "correlation 0.6", Pearson, correlated(0.6), value=0.6),
    Truth("rate corrected for a judge", "0.3", Corrected, judged(0.3), value=0.3),
    Truth("rate corrected for a judge", "0.02", Corrected, judged(0.02), value=0.02),
    Truth("bias, unknown left out", "leaning", BiasDisambiguated, score("lean", _lean), value=0.25),
)


@dataclass(frozen=True, slots=True)
class Cell:
    """Of ``draws`` samples of a size and a number of groups: in how many percent the interval held the truth, lay above it, lay below it,
    and there was none; the first three of those that had one."""

    truth: Truth
    n: int
    num_groups: int
    draws: int
    covered: float
    above: float
    below: float
    unbounded: float
    width: float

    @property
    def holds(self) -> bool:
        """Whether it covers, by what the number of draws can tell: a miss of less than two and a half standard errors is none."""
        bounded = self.draws * (1 - self.unbounded / 100)
        if bounded < self.draws / 20:
            return True
        slack = 250 * math.sqrt(0.04 * 0.96 / bounded)
        return self.covered >= LEAST - slack and max(self.above, self.below) <= MOST_ON_A_SIDE + slack


def cover(truth: Truth, n: int, num_groups: int, draws: int, true_value: float | None = None) -> Cell:
    """Draw as many samples, and count whose interval holds the truth."""
    value = truth.true_value() if true_value is None else true_value
    metric, found = truth.metric(), []
    name = truth.number or metric.name
    for seed in range(draws):
        rng = np.random.default_rng((seed, n, num_groups, crc32(f"{truth.kind} {truth.name}".encode())))
        u_N, names = outcomes(n, num_groups, rng, truth.alike)
        columns = truth.draw(u_N, rng)
        interval = metric.intervals(columns, truth.labels, Groups.of(n, names), seed).get(name, Interval.none("undefined"))
        if interval.low is not None and interval.high is not None:
            found.append((interval.low, interval.high))
    if not found:
        return Cell(truth, n, num_groups, draws, 0.0, 0.0, 0.0, 100.0, 0.0)
    low_D, high_D = np.array(found).T
    above, below = (100 * float(np.mean(missed)) for missed in (low_D > value + 1e-9, high_D < value - 1e-9))
    width = float(np.mean(high_D - low_D))
    return Cell(truth, n, num_groups, draws, 100 - above - below, above, below, 100 * (1 - len(found) / draws), width)


def main(draws: int = 300, kind: str = "") -> None:
    """Print the table in Markdown, a row a population and size, a column a number of groups."""
    print(f"| row | population | n | {' | '.join(f'{num} groups' if num else 'no groups' for num in NUM_GROUPS)} |")
    print(f"| --- | --- | --- |{' --- |' * len(NUM_GROUPS)}")
    for truth in TRUTHS:
        if kind not in f"{truth.kind} {truth.name}":
            continue
        value = truth.true_value()
        for n in SIZES:
            row = [shown(cover(truth, n, num, draws, value)) for num in NUM_GROUPS if 2 * num <= n]
            print(
                f"| {truth.kind} | {truth.name}{truth.alike} | {n} | {' | '.join(row + [''] * (len(NUM_GROUPS) - len(row)))} |", flush=True
            )


def shown(cell: Cell) -> str:
    """``95.3 (2.0, 2.7)``: covered, and missed above and below; with the share that was too few to bound."""
    if cell.unbounded == 100:
        return "too few"
    few = f", too few in {cell.unbounded:.0f} %" if cell.unbounded else ""
    return f"{'' if cell.holds else '**'}{cell.covered:.1f} ({cell.above:.1f}, {cell.below:.1f}){'' if cell.holds else '**'}{few}"


if __name__ == "__main__":
    main(*(kind(value) for kind, value in zip((int, str), sys.argv[1:], strict=False)))
