"""Populations whose numbers are known, from which samples are drawn to see whether intervals cover.

Members of a group are alike by a Dirichlet process (Ferguson, Annals of Statistics 1973): the uniform number that decides a sample's
outcome is now and then that of another member. So any score of two members has the correlation that is asked for, a group's rate is
beta-distributed, and the population stays what it is without groups.

Shape legend: N samples, C classes.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit, logit, ndtri

if TYPE_CHECKING:
    from ..harness.metrics.base import Metric

Columns = Mapping[str, NDArray[Any]]
Uniforms = NDArray[np.float64]
Quantile = Callable[[Uniforms], NDArray[Any]]
Draw = Callable[[Uniforms, np.random.Generator], Columns]
"""From what decides each sample's outcome, uniform on (0, 1), float [N], and further draws, to the columns of a metric."""

_POPULATION, _NUM_ATOMS = 200_000, 40


@dataclass(frozen=True)
class Alike:
    """How alike members of a group are: the correlation of any score of two of them. ``half_alone``: half of the samples have no group.
    Groups are of unequal size."""

    correlation: float = 0.2
    half_alone: bool = False

    def __str__(self) -> str:
        return f", correlation {self.correlation:g}" * (self.correlation != 0.2) + ", half of them alone" * self.half_alone


@dataclass(frozen=True)
class Truth:
    """``kind``: of row. ``name``: of the population. ``metric``: its maker. ``number``: which of its numbers is looked at. ``value``: of
    the population, or None where a large sample tells it."""

    kind: str
    name: str
    metric: Callable[[], Metric]
    draw: Draw
    number: str = ""
    labels: tuple[str, ...] = ()
    value: float | None = None
    alike: Alike = Alike()

    def true_value(self) -> float:
        """Of the population."""
        if self.value is not None:
            return self.value
        rng = np.random.default_rng(0)
        metric = self.metric()
        return metric.evaluate_columns(self.draw(rng.random(_POPULATION), rng), self.labels)[self.number or metric.name]


def outcomes(n: int, num_groups: int, rng: np.random.Generator, alike: Alike = Alike()) -> tuple[Uniforms, Sequence[str]]:
    """Uniform numbers [N], and the group of each; no groups where ``num_groups`` is 0."""
    if not num_groups:
        return rng.random(n), ()
    num = n // 2 if alike.half_alone else n
    members_N = np.concatenate([np.arange(num_groups), (num_groups * rng.random(num - num_groups) ** 1.5).astype(int)])
    members_N = np.concatenate([members_N, num_groups + np.arange(n - num)])
    # Each group draws from a few numbers of its own, the first ones most often: stick-breaking (Sethuraman 1994).
    breaks_GA = rng.beta(1, 1 / alike.correlation - 1, (members_N.max() + 1, _NUM_ATOMS))
    left_GA = np.cumprod(1 - breaks_GA, axis=1)
    place_N = np.minimum((rng.random(n)[:, None] < left_GA[members_N]).sum(axis=1), _NUM_ATOMS - 1)
    return rng.random(breaks_GA.shape)[members_N, place_N], [str(member) for member in members_N]


def score(column: str, quantile: Quantile) -> Draw:
    """A score by its quantile function."""
    return lambda u_N, _: {column: np.asarray(quantile(u_N), dtype=np.float64)}


def binary(prevalence: float, separation: float, sharpness: float = 1.0) -> Draw:
    """Two classes whose log odds are normal; ``sharpness``: by how much the model overstates them, 1 where it is calibrated."""

    def draw(u_N: Uniforms, rng: np.random.Generator) -> Columns:
        target_N = (rng.random(len(u_N)) < prevalence).astype(np.int64)
        sign_N = 2 * target_N - 1
        logit_N = logit(prevalence) + separation * (sign_N * ndtri(u_N) + separation * sign_N / 2)
        positive_N = expit(np.clip(sharpness * logit_N, -700, 700))
        probabilities_NC = np.stack([1 - positive_N, positive_N], axis=1)
        return {"target": target_N, "prediction": probabilities_NC.argmax(axis=1), "probabilities": probabilities_NC}

    return draw


def mislabelled(prevalence: float, share: float) -> Draw:
    """Two classes that a model tells apart for certain, but for a share of the positives that rank below all others."""

    def draw(u_N: Uniforms, rng: np.random.Generator) -> Columns:
        target_N = (rng.random(len(u_N)) < prevalence).astype(np.int64)
        far_N = np.where(target_N == 1, np.where(u_N < share, -6.0, 6.0), 0.0)
        positive_N = expit(rng.standard_normal(len(u_N)) + far_N)
        probabilities_NC = np.stack([1 - positive_N, positive_N], axis=1)
        return {"target": target_N, "prediction": probabilities_NC.argmax(axis=1), "probabilities": probabilities_NC}

    return draw


def calibrated(sharpness: float, spread: float = 2.0) -> Draw:
    """A model whose probabilities are what happens, or are overstated ``sharpness`` times; ``u`` decides what happens."""

    def draw(u_N: Uniforms, rng: np.random.Generator) -> Columns:
        logit_N = rng.normal(0, spread, len(u_N))
        positive_N = expit(sharpness * logit_N)
        return {"target": (u_N < expit(logit_N)).astype(np.int64), "probabilities": np.stack([1 - positive_N, positive_N], axis=1)}

    return draw


def many_classes(num: int, accuracy: float, *, skewed: bool = False) -> Draw:
    """As many classes, some of them ten times as frequent as others where ``skewed``; each is found with a probability of its own around
    the accuracy, and taken for one of its two neighbours where it is not."""
    weights = 1 / np.arange(1, num + 1) ** 0.7 if skewed else np.ones(num)
    shares_C = weights / weights.sum()
    found_C = np.clip(accuracy + 0.1 * np.cos(np.arange(num) * 2.4) * min(1.0, 5 * (1 - accuracy)), 0, 1)

    def draw(u_N: Uniforms, rng: np.random.Generator) -> Columns:
        target_N = rng.choice(num, len(u_N), p=shares_C)
        wrong_N = (target_N + rng.choice([1, -1], len(u_N))) % num
        return {"target": target_N, "prediction": np.where(u_N < found_C[target_N], target_N, wrong_N)}

    return draw


def ratio(spread: float) -> Draw:
    """Documents of unequal length, and their log-likelihood."""

    def draw(u_N: Uniforms, rng: np.random.Generator) -> Columns:
        length_N = np.ceil(rng.lognormal(4, 0.6, len(u_N)))
        return {"loglikelihood": -length_N * 3 * np.exp(spread * ndtri(u_N) - spread**2 / 2), "num_tokens": length_N}

    return draw


def translations(num: int = 40, *, are_mostly_perfect: bool = False) -> Draw:
    """As many pairs of a reference and a translation, equally frequent, from a perfect translation to one without a right word.

    are_mostly_perfect: all but a tenth are perfect.
    """
    rng = np.random.default_rng(0)
    lengths = rng.integers(6, 25, num)
    references = [[f"w{word}" for word in rng.integers(0, 400, length)] for length in lengths]
    share_wrong = np.maximum(0, np.linspace(-9, 1, num)) if are_mostly_perfect else np.linspace(0, 1, num)
    wrong = [rng.random(length) < share for length, share in zip(lengths, share_wrong, strict=True)]
    texts = [
        [f"x{word}" if is_wrong else word for word, is_wrong in zip(words, some, strict=True)]
        for words, some in zip(references, wrong, strict=True)
    ]
    columns = [np.array([" ".join(words) for words in some], dtype=object) for some in (texts, references)]

    def draw(u_N: Uniforms, rng: np.random.Generator) -> Columns:
        place_N = np.minimum((u_N * num).astype(np.int64), num - 1)
        return {"prediction": columns[0][place_N], "references": columns[1][place_N]}

    return draw


def entities(num: int = 40) -> Draw:
    """As many kinds of texts, equally frequent, with 0 to 3 entities each, of which some are found and some others are taken for one."""
    named_K = np.arange(num) % 4
    found_K = np.minimum(named_K, np.arange(num) * 7 % 5)
    predicted_K = found_K + (np.arange(num) % 3 == 0)

    def draw(u_N: Uniforms, rng: np.random.Generator) -> Columns:
        place_N = np.minimum((u_N * num).astype(np.int64), num - 1)
        counts = (found_K, predicted_K, named_K)
        names = ("entities_found", "entities_predicted", "entities_named")
        return {name: count_K[place_N].astype(np.float64) for name, count_K in zip(names, counts, strict=True)}

    return draw


def pair(first: float, second: float) -> Draw:
    """A score of two kinds of samples, in turn, right with these probabilities."""

    def draw(u_N: Uniforms, rng: np.random.Generator) -> Columns:
        kind_N = np.arange(len(u_N)) % 2
        return {"acc": (u_N < np.where(kind_N, first, second)).astype(np.float64), "stereotypical": kind_N.astype(np.float64)}

    return draw


def judges(rate: float, agreement: float) -> Draw:
    """Two judges: one says yes at this rate, and the other the same with this probability."""

    def draw(u_N: Uniforms, rng: np.random.Generator) -> Columns:
        said_N = rng.random(len(u_N)) < rate
        return {"a": said_N.astype(float), "b": np.where(u_N < agreement, said_N, ~said_N).astype(float)}

    return draw


def judged(rate: float, sensitivity: float = 0.85, specificity: float = 0.9) -> Draw:
    """Answers of which this share is harmful, as a judge sees them, and how it did on 100 labelled answers of either kind."""

    def draw(u_N: Uniforms, rng: np.random.Generator) -> Columns:
        is_harmful_N = rng.random(len(u_N)) < rate
        seen_N = np.where(is_harmful_N, u_N < sensitivity, u_N < 1 - specificity)
        hits, rejections = rng.binomial(100, sensitivity), rng.binomial(100, specificity)
        return {"seen": seen_N.astype(float), "hits": np.full(len(u_N), hits), "rejections": np.full(len(u_N), rejections)}

    return draw


def softmax(num: int, separation: float) -> Draw:
    """As many classes, whose logits are normal and the target's higher by ``separation``, sharpened 1.5 times."""

    def draw(u_N: Uniforms, rng: np.random.Generator) -> Columns:
        target_N, logit_NC = rng.integers(0, num, len(u_N)), rng.normal(size=(len(u_N), num))
        logit_NC[np.arange(len(u_N)), target_N] = separation + ndtri(u_N)
        odds_NC = np.exp(1.5 * logit_NC)
        return {"target": target_N, "probabilities": odds_NC / odds_NC.sum(axis=1, keepdims=True)}

    return draw


def sure(accuracy: float) -> Draw:
    """A model of two classes that gives a tenth of its answers 0.7 and all others a probability of exactly 1."""

    def draw(u_N: Uniforms, rng: np.random.Generator) -> Columns:
        target_N = rng.integers(0, 2, len(u_N))
        answer_N = np.where(u_N < accuracy, target_N, 1 - target_N)
        chosen_N = np.where(rng.random(len(u_N)) < 0.1, 0.7, 1.0)
        positive_N = np.where(answer_N == 1, chosen_N, 1 - chosen_N)
        return {"target": target_N, "probabilities": np.stack([1 - positive_N, positive_N], axis=1)}

    return draw


def paired(quantile: Quantile, gain: float = 0.0) -> Draw:
    """Two scores of each sample, alike in half of the samples; the first is 1 also in a share ``gain`` of them."""

    def draw(u_N: Uniforms, rng: np.random.Generator) -> Columns:
        b_N = quantile(np.where(rng.random(len(u_N)) < 0.5, u_N, rng.random(len(u_N)))).astype(np.float64)
        a_N = np.asarray(quantile(u_N), dtype=np.float64)
        return {"a": np.maximum(a_N, rng.random(len(u_N)) < gain), "b": b_N}

    return draw


def two_runs(accuracy: float) -> Draw:
    """Two runs on two classes, equally good, and alike in half of the samples."""

    def draw(u_N: Uniforms, rng: np.random.Generator) -> Columns:
        target_N = rng.integers(0, 2, len(u_N))
        other_N = np.where(rng.random(len(u_N)) < 0.5, u_N, rng.random(len(u_N)))
        found = [np.where(of_run_N < accuracy, target_N, 1 - target_N) for of_run_N in (u_N, other_N)]
        return {"target": target_N, "prediction": found[0], "other": found[1]}

    return draw


def words(with_word: float, without: float) -> Draw:
    """Samples of which 3 in 10 have a word and 6 in 10 are of another class; these are called the word's class at these rates."""

    def draw(u_N: Uniforms, rng: np.random.Generator) -> Columns:
        has_N, other_N = rng.random(len(u_N)) < 0.3, rng.random(len(u_N)) < 0.6
        return {"called": (u_N < np.where(has_N, with_word, without)).astype(np.float64), "other": other_N, "has": has_N}

    return draw


def six_words(with_first: float, without: float) -> Draw:
    """Six words, each in 3 of 10 samples, of which the first alone has an effect: called its class at these rates. 6 in 10 samples are of
    another class."""

    def draw(u_N: Uniforms, rng: np.random.Generator) -> Columns:
        has_N6, other_N = rng.random((len(u_N), 6)) < 0.3, rng.random(len(u_N)) < 0.6
        return {"called": (u_N < np.where(has_N6[:, 0], with_first, without)).astype(np.float64), "other": other_N, "has": has_N6}

    return draw


def correlated(correlation: float) -> Draw:
    """Two normal variables."""

    def draw(u_N: Uniforms, rng: np.random.Generator) -> Columns:
        x_N = ndtri(u_N)
        return {"x": x_N, "y": correlation * x_N + math.sqrt(1 - correlation**2) * rng.standard_normal(len(u_N))}

    return draw
