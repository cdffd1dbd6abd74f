"""Compare short answers with references as SQuAD does: without case, punctuation and articles.

Source: Rajpurkar et al. 2016, SQuAD, section 6.1.
"""

from __future__ import annotations

import re
import string
from collections import Counter
from collections.abc import Sequence

_ARTICLES = re.compile(r"\b(?:a|an|the)\b")
_PUNCTUATION = str.maketrans("", "", string.punctuation)


def compare_answers(answer: str, references: Sequence[str], /) -> dict[str, float]:
    """Return ``exact_match`` and ``answer_f1``, the best over the references. Without references, only an empty answer is right.

    >>> compare_answers("the Eiffel tower!", ["Eiffel Tower", "a tower in Paris"])
    {'exact_match': 1.0, 'answer_f1': 1.0}
    """
    words = split_answer(answer)
    pairs = [(words, split_answer(reference)) for reference in references or [""]]
    return {
        "exact_match": max(float(own == other) for own, other in pairs),
        "answer_f1": max(_compute_f1(own, other) for own, other in pairs),
    }


def split_answer(text: str, /) -> list[str]:
    """Return the words of an answer, lower case, without punctuation and English articles."""
    return _ARTICLES.sub(" ", text.lower().translate(_PUNCTUATION)).split()


def _compute_f1(words: Sequence[str], others: Sequence[str]) -> float:
    """Return the F1 of shared words; of an answer without words, whether the other has none either."""
    if not words or not others:
        return float(not words and not others)
    shared = (Counter(words) & Counter(others)).total()
    return 2 * shared / (len(words) + len(others))
