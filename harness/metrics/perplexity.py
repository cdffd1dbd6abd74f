"""Perplexities of a corpus: summed log-likelihood over summed length, so that long documents count by their length.

A perplexity a token depends on the tokenizer; only those a word and a byte compare models with different ones.
"""

from __future__ import annotations

import math
from typing import ClassVar

import datasets
import numpy as np

from ..statistics.groups import Groups
from ..statistics.intervals import Interval
from ..statistics.skewed import mean_interval
from ..statistics.statistic import Columns
from .base import Floats, Metric


class _Rate(Metric):
    """A function of -(sum of log-likelihoods, nats) / (sum of units), over documents."""

    kind = "perplexity"
    higher_is_better = False
    length: ClassVar[str]

    def of_rate(self, nats: Floats) -> Floats:
        """From nats a unit to the metric: exp, unless a subclass says otherwise."""
        return np.asarray(np.exp(nats))

    def undefined(self, columns: Columns, labels: tuple[str, ...]) -> dict[str, str]:
        if not np.sum(columns[self.length]) > 0:
            return {self.name: f"the documents have no length ({self.length} is 0)"}
        if not np.isfinite(self._values(np.ones((1, len(columns[self.length]))), columns)[0]):
            return {self.name: "too large for a float64"}
        return {}

    def resampled(self, weights_RN: Floats, columns: Columns, labels: tuple[str, ...]) -> dict[str, Floats]:
        return {self.name: self._values(weights_RN, columns)}

    def intervals(self, columns: Columns, labels: tuple[str, ...], groups: Groups, seed: int) -> dict[str, Interval]:
        """Of the rate, as the mean of what each document makes of it (the ratio estimator, linearised: Cochran, Sampling Techniques, 1977,
        6.3), turned into the metric."""
        if self.undefined(columns, labels):
            return {}
        nats_N, length_N = -np.asarray(columns["loglikelihood"], dtype=np.float64), np.asarray(columns[self.length], dtype=np.float64)
        rate = float(nats_N.sum() / length_N.sum())
        shares_N = rate + (nats_N - rate * length_N) / length_N.mean()
        found = mean_interval(shares_N, None, None, groups)
        # Up to the largest number there is.
        return {self.name: found.mapped(lambda bound: self.of_rate(np.asarray(min(max(bound, 0.0), 700.0))))}

    def _values(self, weights_RN: Floats, columns: Columns) -> Floats:
        nats_R = -(weights_RN @ np.asarray(columns["loglikelihood"], dtype=np.float64))
        length_R = weights_RN @ np.asarray(columns[self.length], dtype=np.float64)
        rate_R = np.divide(nats_R, length_R, out=np.full(len(nats_R), np.nan), where=length_R > 0)
        with np.errstate(over="ignore"):
            values_R = self.of_rate(rate_R)
        return np.where(np.isfinite(values_R), values_R, np.nan)


class TokenPerplexity(_Rate):
    """exp(-sum of log-likelihoods / sum of tokens)."""

    name, length = "token_perplexity", "num_tokens"
    needs = frozenset({"loglikelihood", "num_tokens"})
    inputs: ClassVar = {"loglikelihood": datasets.Value("float64"), "num_tokens": datasets.Value("int64")}


class WordPerplexity(_Rate):
    """exp(-sum of log-likelihoods / sum of words)."""

    name, length = "word_perplexity", "num_words"
    needs = frozenset({"loglikelihood", "num_words"})
    inputs: ClassVar = {"loglikelihood": datasets.Value("float64"), "num_words": datasets.Value("int64")}


class BytePerplexity(_Rate):
    """exp(-sum of log-likelihoods / sum of UTF-8 bytes)."""

    name, length = "byte_perplexity", "num_bytes"
    needs = frozenset({"loglikelihood", "num_bytes"})
    inputs: ClassVar = {"loglikelihood": datasets.Value("float64"), "num_bytes": datasets.Value("int64")}


class BitsPerByte(BytePerplexity):
    """-sum of log-likelihoods / (ln 2 · sum of UTF-8 bytes): the bits that an arithmetic coder driven by the model spends on a byte."""

    name = "bits_per_byte"
    unit = "bits/byte"

    def of_rate(self, nats: Floats) -> Floats:
        return nats / math.log(2)
