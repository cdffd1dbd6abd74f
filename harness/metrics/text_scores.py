"""Means of the scores of generated texts that are compared with references."""

from __future__ import annotations

from .scores import ColumnMean


class Adequate(ColumnMean):
    """Share of the texts that reach the task's threshold of similarity to a reference (its setting ``adequate``)."""

    kind = "rate"
    name = column = "adequate"
    title = "Adequate texts"
    needs = frozenset({column})


class SentenceChrf(ColumnMean):
    """Mean chrF of single texts, 0 to 100."""

    kind = "mean without bound"
    name = column = "sentence_chrf"
    title = "Mean sentence chrF"
    needs = frozenset({column})
    high = 100.0


class AnswerF1(ColumnMean):
    """Mean F1 of the words that an answer shares with the best reference, without case, punctuation and articles.

    Source: Rajpurkar et al. 2016.
    """

    name = column = "answer_f1"
    title = "Answer F1"
    needs = frozenset({column})


class Rouge1(ColumnMean):
    """Mean ROUGE-1: F-score of the words that a summary shares with the reference, stemmed. Source: Lin 2004, computed by rouge-score."""

    name = column = "rouge1"
    title = "ROUGE-1"
    needs = frozenset({column})


class Rouge2(ColumnMean):
    """Mean ROUGE-2: F-score of the pairs of words that a summary shares with the reference. Source: Lin 2004, computed by rouge-score."""

    name = column = "rouge2"
    title = "ROUGE-2"
    needs = frozenset({column})


class RougeLsum(ColumnMean):
    """Mean ROUGE-Lsum: F-score of the longest common sequences of words, line by line. Source: Lin 2004, computed by rouge-score."""

    name = column = "rougeLsum"
    title = "ROUGE-L"
    needs = frozenset({column})


class NovelBigrams(ColumnMean):
    """Mean share of a summary's pairs of words that its text does not have: 0 for a summary of copied phrases. Source: See et al. 2017."""

    name = column = "novel_bigrams"
    needs = frozenset({column})
    higher_is_better = None


class Compression(ColumnMean):
    """Mean number of words of a summary per word of its text."""

    kind = "mean without bound"
    name = column = "compression"
    needs = frozenset({column})
    high = None
    higher_is_better = None
