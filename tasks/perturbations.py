"""Perturb a text slightly, for behavioural tests (Ribeiro et al. 2020, CheckList).

Each function takes a text and a random generator, and returns the changed text, or None if it cannot change
the text.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import TypeVar

import numpy as np

T = TypeVar("T")
Perturb = Callable[[str, np.random.Generator], str | None]


def swap_letters(text: str, rng: np.random.Generator) -> str | None:
    """Swap two adjacent letters inside a word: ``wonderful`` to ``wodnerful``. First and last letters stay."""
    places = [i for word in re.finditer(r"[^\W\d_]{4,}", text) for i in range(word.start() + 1, word.end() - 2) if text[i] != text[i + 1]]
    if not places:
        return None
    i = _pick(places, rng)
    return text[:i] + text[i + 1] + text[i] + text[i + 2 :]


def change_punctuation(text: str, rng: np.random.Generator) -> str | None:
    """Remove the final full stop, question or exclamation mark; add a full stop if there is none."""
    stripped = text.rstrip()
    if not stripped:
        return None
    cut = stripped.rstrip(".!?").rstrip()
    return (cut if cut != stripped else f"{stripped}.") or None


def change_contractions(text: str, rng: np.random.Generator) -> str | None:
    """Expand ``isn't`` and ``is n't`` to ``is not``; if the text has no contraction, contract ``is not`` to
    ``isn't``."""
    return expand(text) or contract(text)


def expand(text: str, /) -> str | None:
    """Expand every contraction, except ``'s``, which may be a genitive."""
    changed = _CONTRACTED.sub(_expand_match, text)
    return changed if changed != text else None


def contract(text: str, /) -> str | None:
    """Contract every pair of words that is commonly contracted."""
    changed = _EXPANDED.sub(_contract_match, text)
    return changed if changed != text else None


def negate(text: str, rng: np.random.Generator) -> str | None:
    """Remove the first "not" after a verb such as "is" or "does"; if there is none, insert one after the
    first "is", "can", "will", ..."""
    text = re.sub(r"\b(can)(not)\b", r"\1 \2", expand(text) or text, flags=re.IGNORECASE)
    negated = _NEGATION.search(text)
    if negated:
        return text[: negated.end(1)] + text[negated.end() :]
    verb = _AFFIRMED.search(text)
    return f"{text[: verb.end()]} not{text[verb.end() :]}" if verb else None


def change_name(text: str, rng: np.random.Generator) -> str | None:
    """Replace a first name by another of the same list, everywhere."""
    return _swap_word(text, rng, (_WOMEN, _MEN))


def change_location(text: str, rng: np.random.Generator) -> str | None:
    """Replace a city or country by another."""
    return _swap_word(text, rng, (_CITIES, _COUNTRIES))


def change_number(text: str, rng: np.random.Generator) -> str | None:
    """Increase a whole number by 1 to 9. Numbers next to a point, comma or letter stay."""
    matches = list(re.finditer(r"(?<![\w.,])[0-9]{1,15}(?![\w]|[.,][0-9])", text))
    if not matches:
        return None
    match = matches[int(rng.integers(len(matches)))]
    return f"{text[: match.start()]}{int(match[0]) + int(rng.integers(1, 10))}{text[match.end() :]}"


def make_append(phrases: Sequence[str], /) -> Perturb:
    """Return a perturbation that appends one of the phrases."""

    def perturb(text: str, rng: np.random.Generator) -> str | None:
        return f"{text.rstrip()} {_pick(phrases, rng)}"

    return perturb


PERTURBATIONS: Mapping[str, Perturb] = {
    "typos": swap_letters,
    "punctuation": change_punctuation,
    "contractions": change_contractions,
    "negation": negate,
    "names": change_name,
    "locations": change_location,
    "numbers": change_number,
}

# ── words ─────────────────────────────────────────────────────────────────────────────────────────────────────────────

_WOMEN = ("Mary", "Sarah", "Emma", "Laura", "Julia", "Alice", "Hannah", "Maria", "Anna", "Grace", "Aisha", "Mei", "Ines", "Olga", "Priya")
_MEN = ("John", "David", "James", "Peter", "Thomas", "Daniel", "Paul", "Mark", "Martin", "Simon", "Ahmed", "Wei", "Diego", "Ivan", "Raj")
_CITIES = ("Paris", "London", "Berlin", "Madrid", "Rome", "Chicago", "Boston", "Seattle", "Tokyo", "Cairo", "Lagos", "Lima", "Delhi")
_COUNTRIES = ("France", "Germany", "Spain", "Italy", "Canada", "Mexico", "Brazil", "Japan", "India", "Kenya", "Egypt", "Norway", "Poland")

_NEGATED = ("is", "are", "was", "were", "do", "does", "did", "has", "have", "had", "would", "should", "could", "might", "must", "need")
_NOT = {"cannot": "can't", "will not": "won't", "shall not": "shan't", **{f"{verb} not": f"{verb}n't" for verb in _NEGATED}}
_WHOLE = {"ca": "cannot", "wo": "will not", "sha": "shall not", **{verb: f"{verb} not" for verb in _NEGATED}}
_VERBS = {"'re": "are", "'ve": "have", "'ll": "will", "'m": "am"}
_CONTRACTED = re.compile(rf"\b({'|'.join(_WHOLE)}) ?n['’]t\b|(?<=\w) ?(['’](?:re|ve|ll|m))\b", re.IGNORECASE)
_EXPANDED = re.compile(rf"\b(?:({'|'.join(_NOT)}|can not)|(i) am|(you|we|they) are)\b(?! not\b)", re.IGNORECASE)
_NEGATION = re.compile(rf"\b(am|can|will|shall|{'|'.join(_NEGATED)})\s+not\b", re.IGNORECASE)
_AFFIRMED = re.compile(r"\b(?:am|is|are|was|were|can|will|would|should|could)\b(?=\s+\w)", re.IGNORECASE)


def _expand_match(match: re.Match[str]) -> str:
    if match[2]:
        return f" {_VERBS[match[2].replace('’', chr(39)).lower()]}"
    return _match_case(_WHOLE[match[1].lower()], match[1])


def _contract_match(match: re.Match[str]) -> str:
    if match[1]:
        return _match_case(_NOT[match[1].lower().replace("can not", "cannot")], match[1])
    return f"{match[2]}'m" if match[2] else f"{match[3]}'re"


def _match_case(word: str, like: str) -> str:
    """Return the word with the case of the first letter that it replaces."""
    return word[0].upper() + word[1:] if like[0].isupper() else word


def _swap_word(text: str, rng: np.random.Generator, lists: Sequence[Sequence[str]]) -> str | None:
    """Replace all occurrences of one word of a list by another of the same list that the text does not
    contain."""
    present = [(word, words) for words in lists for word in words if re.search(rf"\b{word}\b", text)]
    if not present:
        return None
    word, words = present[int(rng.integers(len(present)))]
    other = _pick([w for w in words if not re.search(rf"\b{w}\b", text)] or [w for w in words if w != word], rng)
    return re.sub(rf"\b{word}\b", other, text)


def _pick(choices: Sequence[T], rng: np.random.Generator) -> T:
    return choices[int(rng.integers(len(choices)))]
