"""Perplexity of a corpus: total log-likelihood divided by total length, so that documents are weighted by length.

Perplexity per token depends on the tokenizer. To compare models with different tokenizers, use words or bytes.
"""

from __future__ import annotations

import math
from typing import ClassVar

import numpy as np

from ..statistics.groups import Groups
from ..statistics.intervals import Interval
from ..statistics.skewed import mean_interval
from ..statistics.statistic import Columns
from .base import Floats, Metric


class _Rate(Metric):
    """A function of the rate -(sum of log-likelihoods, in nats) / (sum of lengths) over documents."""

    kind = "perplexity"
    low = 0.0
    higher_is_better = False
    length: ClassVar[str]

    def of_rate(self, nats: Floats) -> Floats:
        """Convert nats per unit to the metric; exp by default."""
        return np.asarray(np.exp(nats))

    def undefined(self, columns: Columns, labels: tuple[str, ...]) -> dict[str, str]:
        if not np.sum(columns[self.length]) > 0:
            return {self.name: f"the documents have no length ({self.length} is 0)"}
        if not np.isfinite(self._values(np.ones((1, len(columns[self.length]))), columns)[0]):
            return {self.name: "the value is too large for a float64"}
        return {}

    def resampled(self, weights_RN: Floats, columns: Columns, labels: tuple[str, ...]) -> dict[str, Floats]:
        return {self.name: self._values(weights_RN, columns)}

    def intervals(self, columns: Columns, labels: tuple[str, ...], groups: Groups, seed: int) -> dict[str, Interval]:
        """Return the interval of the rate, converted to the metric.

        The rate is a ratio estimator, linearised to a mean over documents (Cochran, Sampling Techniques, 1977, 6.3).
        """
        if self.undefined(columns, labels):
            return {}
        nats_N, length_N = -np.asarray(columns["loglikelihood"], dtype=np.float64), np.asarray(columns[self.length], dtype=np.float64)
        rate = float(nats_N.sum() / length_N.sum())
        shares_N = rate + (nats_N - rate * length_N) / length_N.mean()
        interval = mean_interval(shares_N, None, None, groups)
        # exp(700) is close to the largest float64.
        return {self.name: interval.mapped(lambda bound: self.of_rate(np.asarray(min(max(bound, 0.0), 700.0))))}

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


class WordPerplexity(_Rate):
    """exp(-sum of log-likelihoods / sum of words)."""

    name, length = "word_perplexity", "num_words"
    needs = frozenset({"loglikelihood", "num_words"})


class BytePerplexity(_Rate):
    """exp(-sum of log-likelihoods / sum of UTF-8 bytes)."""

    name, length = "byte_perplexity", "num_bytes"
    needs = frozenset({"loglikelihood", "num_bytes"})


class BitsPerByte(BytePerplexity):
    """-sum of log-likelihoods / (ln 2 · sum of UTF-8 bytes): bits per byte of an arithmetic coder that uses the model."""

    name = "bits_per_byte"
    unit = "bits/byte"

    def of_rate(self, nats: Floats) -> Floats:
        return nats / math.log(2)
