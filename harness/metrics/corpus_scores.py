"""Scores of a whole corpus of generated texts: BLEU, chrF and TER, by sacrebleu.

Each is a function of statistics that are summed over texts (matched and counted n-grams, edits, lengths), so that a
resample costs one sum, not a new comparison of texts.

Shape legend: N samples, R resamples, K statistics of a text.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from typing import Any, ClassVar

import numpy as np

from ..api.errors import ConfigError
from ..statistics.groups import Groups
from ..statistics.intervals import Interval, Z
from ..statistics.means import FEW_GROUPS, effective_rate, rate
from ..statistics.skewed import mean_interval
from ..statistics.statistic import Columns
from .base import Floats, Metric
from .libraries import import_library


class CorpusScore(Metric):
    """A score of sacrebleu. A subclass names it and makes sacrebleu's metric."""

    kind = "corpus score"
    needs = frozenset({"prediction", "references"})
    higher_is_better: ClassVar[bool | None] = True
    low = 0.0
    high: ClassVar[float | None] = 100.0

    @abstractmethod
    def make_scorer(self) -> Any:
        """Return sacrebleu's metric."""

    def make_perfect(self, text_1K: Floats) -> Floats:
        """Return the statistics of a perfect text as long as this one, float [1, K]; for scores with a largest value."""
        raise NotImplementedError

    def make_wrong(self, text_1K: Floats) -> Floats:
        """Return the statistics of a text as long as this one without a match, float [1, K]; for scores with a largest value."""
        raise NotImplementedError

    def signature(self, num_references: int) -> str:
        """Return sacrebleu's signature: everything that the score depends on. num_references: the number per text."""
        scorer = self.make_scorer()
        scorer.num_refs = num_references
        return str(scorer.get_signature())

    def evaluate_columns(self, columns: Columns, labels: tuple[str, ...]) -> dict[str, float]:
        statistics_NK = self._count(columns)
        return {self.name: float(self._score(statistics_NK.sum(axis=0, keepdims=True))[0])}

    def resampled(self, weights_RN: Floats, columns: Columns, labels: tuple[str, ...]) -> dict[str, Floats]:
        return {self.name: self._score(weights_RN @ self._count(columns))}

    def intervals(self, columns: Columns, labels: tuple[str, ...], groups: Groups, seed: int) -> dict[str, Interval]:
        """Return the interval from the texts' influence on the score, which the jackknife measures (Tukey 1958)."""
        statistics_NK = self._count(columns)
        value = float(self._score(statistics_NK.sum(axis=0, keepdims=True))[0])
        if self.high is None:
            return {self.name: self._bound_ratio(statistics_NK, value, groups)}
        return {self.name: self._bound_share(statistics_NK, value, self.high, groups)}

    def _bound_ratio(self, statistics_NK: Floats, value: float, groups: Groups) -> Interval:
        """Return the interval of the mean of the pseudovalues, which have no bound."""
        total_1K, num = statistics_NK.sum(axis=0, keepdims=True), len(statistics_NK)
        pseudo_N = value + (num - 1) * (value - self._score(total_1K - statistics_NK)) if num > 1 else np.array([value])
        interval = mean_interval(pseudo_N + value - pseudo_N.mean(), None, None, groups)
        return interval.mapped(lambda bound: max(bound, self.low or 0.0))

    def _bound_share(self, statistics_NK: Floats, value: float, high: float, groups: Groups) -> Interval:
        """Return the interval of a rate of as many trials as have the score's variance.

        z² / 2 perfect texts and as many without a match are added, so that a perfect result has a variance too (Agresti & Coull 1998).
        """
        right_1K = statistics_NK.mean(axis=0, keepdims=True)
        ends_2K, prior = np.concatenate([self.make_perfect(right_1K), self.make_wrong(right_1K)]), Z**2 / 2
        total_1K = statistics_NK.sum(axis=0, keepdims=True) + prior * ends_2K.sum(axis=0, keepdims=True)
        smoothed, size = float(self._score(total_1K)[0]), len(statistics_NK) + 2 * prior
        influence_N, influence_2 = (size * (smoothed - self._score(total_1K - some)) for some in (statistics_NK, ends_2K))
        variance = (np.square(influence_N).sum() + prior * np.square(influence_2).sum()) / size
        swing = float(np.square(influence_2[0] - influence_2[1]))
        effective = groups.effective_size(influence_N - influence_N.mean(), swing)
        perfect = groups.effective_size(np.zeros(len(influence_N)), swing)
        if effective is None or perfect is None:
            return Interval.none(FEW_GROUPS)
        low, top = effective_rate(value, smoothed, float(variance) / effective, 0.0, high)
        best = high if groups.are_single else high * rate(perfect, perfect)[0]
        return Interval(min(low, best), top)

    def _count(self, columns: Columns) -> Floats:
        """Return the statistics of each text, float [N, K]."""
        pairs = [(str(text), _list_texts(texts)) for text, texts in zip(columns["prediction"], columns["references"], strict=True)]
        # Equal pairs are counted once: the edits of TER take a millisecond.
        place_of = {pair: place for place, pair in enumerate(dict.fromkeys(pairs))}
        most = max(len(references) for _, references in place_of)
        streams = [[texts[place] if place < len(texts) else None for _, texts in place_of] for place in range(most)]
        counted = self.make_scorer()._extract_corpus_statistics([text for text, _ in place_of], streams)
        return np.asarray(counted, dtype=np.float64)[[place_of[pair] for pair in pairs]]

    def _score(self, totals_RK: Floats) -> Floats:
        scorer = self.make_scorer()
        # sacrebleu writes counts as whole numbers; the mean length of several references is none.
        rows = ([int(total) if total.is_integer() else total for total in totals] for totals in totals_RK.tolist())
        return np.array([scorer._compute_score_from_stats(row).score for row in rows])


def _list_texts(references: str | Sequence[str]) -> tuple[str, ...]:
    return (references,) if isinstance(references, str) else tuple(references)


class Bleu(CorpusScore):
    """BLEU of the corpus, 0 to 100: n-grams of up to four words that the text shares with a reference, with a penalty for short texts.

    Source: Papineni et al. 2002, computed by sacrebleu (Post 2018) with its tokenizer 13a.
    """

    name = "bleu"
    title = "BLEU"
    tokenizer: ClassVar[str] = "13a"

    def make_scorer(self) -> Any:
        module = import_library("sacrebleu.metrics", f"the metric {self.name!r}")
        try:
            return module.BLEU(tokenize=self.tokenizer, force=True)
        except ImportError as error:
            raise ConfigError(f"the metric {self.name!r} cannot use sacrebleu's tokenizer {self.tokenizer!r}: {error}") from error

    # Statistics: lengths of text and reference, then matches and totals of each order.
    def make_perfect(self, text_1K: Floats) -> Floats:
        length_11, totals_1O = text_1K[:, 1:2], text_1K[:, 6:]
        return np.concatenate([length_11, length_11, totals_1O, totals_1O], axis=1)

    def make_wrong(self, text_1K: Floats) -> Floats:
        return np.concatenate([text_1K[:, :2], 0 * text_1K[:, 2:6], text_1K[:, 6:]], axis=1)


class BleuInternational(Bleu):
    """BLEU with sacrebleu's tokenizer intl, which splits at punctuation of all scripts."""

    name = "bleu_intl"
    title = "BLEU (intl)"
    tokenizer = "intl"


class BleuCharacters(Bleu):
    """BLEU over characters, for languages that are written without spaces."""

    name = "bleu_char"
    title = "BLEU (characters)"
    tokenizer = "char"


class BleuChinese(Bleu):
    """BLEU with sacrebleu's tokenizer zh, which splits Chinese into characters."""

    name = "bleu_zh"
    title = "BLEU (Chinese)"
    tokenizer = "zh"


class BleuJapanese(Bleu):
    """BLEU with sacrebleu's tokenizer ja-mecab: pip install 'sacrebleu[ja]'."""

    name = "bleu_ja"
    title = "BLEU (Japanese)"
    tokenizer = "ja-mecab"


class Chrf(CorpusScore):
    """chrF of the corpus, 0 to 100: F-score of shared character n-grams, which needs no tokenizer and suits rich morphology.

    Source: Popović 2015, computed by sacrebleu.
    """

    name = "chrf"
    title = "chrF"

    def make_scorer(self) -> Any:
        return import_library("sacrebleu.metrics", f"the metric {self.name!r}").CHRF()

    # Statistics: n-grams of the text, of the reference and of both, for each order.
    def make_perfect(self, text_1K: Floats) -> Floats:
        return np.repeat(text_1K[:, 1::3], 3, axis=1)

    def make_wrong(self, text_1K: Floats) -> Floats:
        unmatched_1K: Floats = text_1K * np.tile([1.0, 1.0, 0.0], text_1K.shape[1] // 3)
        return unmatched_1K


class Ter(CorpusScore):
    """Translation edit rate of the corpus in percent: edits and shifts of words per word of the reference; lower is better.

    Source: Snover et al. 2006, computed by sacrebleu.
    """

    name = "ter"
    title = "Translation edit rate"
    high = None
    higher_is_better = False

    def make_scorer(self) -> Any:
        return import_library("sacrebleu.metrics", f"the metric {self.name!r}").TER()
