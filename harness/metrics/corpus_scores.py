"""Scores of a whole corpus of generated texts: BLEU, chrF and TER, by sacrebleu.

Shape legend: N samples, R resamples, K statistics of a text, O orders of n-grams.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from typing import Any, ClassVar

import numpy as np

from ..api.errors import ConfigError
from ..statistics.statistic import Columns
from .base import Floats
from .libraries import import_library
from .summed import Summed


class CorpusScore(Summed):
    """A score of sacrebleu. A subclass names it and makes sacrebleu's metric."""

    needs = frozenset({"prediction", "references"})
    high: ClassVar[float | None] = 100.0

    @abstractmethod
    def make_scorer(self) -> Any:
        """Return sacrebleu's metric."""

    def signature(self, num_references: int) -> str:
        """Return sacrebleu's signature: everything that the score depends on. num_references: the number per text."""
        scorer = self.make_scorer()
        scorer.num_refs = num_references
        return str(scorer.get_signature())

    def count(self, columns: Columns) -> Floats:
        """Return the statistics of each text, float [N, K]."""
        pairs = [(str(text), _list_texts(texts)) for text, texts in zip(columns["prediction"], columns["references"], strict=True)]
        # Equal pairs are counted once: the edits of TER take a millisecond.
        place_of = {pair: place for place, pair in enumerate(dict.fromkeys(pairs))}
        most = max(len(references) for _, references in place_of)
        streams = [[texts[place] if place < len(texts) else None for _, texts in place_of] for place in range(most)]
        counted = self.make_scorer()._extract_corpus_statistics([text for text, _ in place_of], streams)
        return np.asarray(counted, dtype=np.float64)[[place_of[pair] for pair in pairs]]

    def score_totals(self, totals_RK: Floats) -> Floats:
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
