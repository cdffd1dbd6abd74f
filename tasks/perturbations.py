"""Small changes to a text, for behavioural tests (Ribeiro et al. 2020, CheckList).

Each is a function of the text and a random generator that gives the changed text, or None where there is nothing that it could change.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import TypeVar

import numpy as np

T = TypeVar("T")
Perturb = Callable[[str, np.random.Generator], str | None]


def typos(text: str, rng: np.random.Generator) -> str | None:
    """Two neighbouring letters inside a word swap places: ``wonderful`` to ``wodnerful``. First and last letters stay."""
    places = [i for word in re.finditer(r"[^\W\d_]{4,}", text) for i in range(word.start() + 1, word.end() - 2) if text[i] != text[i + 1]]
    if not places:
        return None
    i = _pick(places, rng)
    return text[:i] + text[i + 1] + text[i] + text[i + 2 :]


def punctuation(text: str, rng: np.random.Generator) -> str | None:
    """The full stop, question or exclamation mark at the end goes; where there is none, a full stop comes."""
    bare = text.rstrip()
    if not bare:
        return None
    cut = bare.rstrip(".!?").rstrip()
    return (cut if cut != bare else f"{bare}.") or None


def contractions(text: str, rng: np.random.Generator) -> str | None:
    """``isn't`` and ``is n't`` become ``is not``; where a text has no contraction, ``is not`` becomes ``isn't``."""
    return expand(text) or contract(text)


def expand(text: str, /) -> str | None:
    """Every contraction written out. ``'s`` stays, for it may be a genitive."""
    changed = _CONTRACTED.sub(_expanded, text)
    return changed if changed != text else None


def contract(text: str, /) -> str | None:
    """Every pair of words contracted that usually is."""
    changed = _EXPANDED.sub(_contracted, text)
    return changed if changed != text else None


def negation(text: str, rng: np.random.Generator) -> str | None:
    """The first "not" after a verb such as "is" or "does" goes; where there is none, one comes after the first "is", "can", "will", ..."""
    text = re.sub(r"\b(can)(not)\b", r"\1 \2", expand(text) or text, flags=re.IGNORECASE)
    negated = _NEGATION.search(text)
    if negated:
        return text[: negated.end(1)] + text[negated.end() :]
    verb = _AFFIRMED.search(text)
    return f"{text[: verb.end()]} not{text[verb.end() :]}" if verb else None


def names(text: str, rng: np.random.Generator) -> str | None:
    """A first name becomes another one of the same list, wherever it stands."""
    return _swapped(text, rng, (_WOMEN, _MEN))


def locations(text: str, rng: np.random.Generator) -> str | None:
    """A city or country becomes another one."""
    return _swapped(text, rng, (_CITIES, _COUNTRIES))


def numbers(text: str, rng: np.random.Generator) -> str | None:
    """A whole number becomes one that is larger by 1 to 9. Numbers with a point, a comma or a letter stay."""
    found = list(re.finditer(r"(?<![\w.,])[0-9]{1,15}(?![\w]|[.,][0-9])", text))
    if not found:
        return None
    match = found[int(rng.integers(len(found)))]
    return f"{text[: match.start()]}{int(match[0]) + int(rng.integers(1, 10))}{text[match.end() :]}"


def append(phrases: Sequence[str], /) -> Perturb:
    """One of the phrases comes after the text."""

    def perturb(text: str, rng: np.random.Generator) -> str | None:
        return f"{text.rstrip()} {_pick(phrases, rng)}"

    return perturb


PERTURBATIONS: Mapping[str, Perturb] = {
    "typos": typos,
    "punctuation": punctuation,
    "contractions": contractions,
    "negation": negation,
    "names": names,
    "locations": locations,
    "numbers": numbers,
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


def _expanded(match: re.Match[str]) -> str:
    if match[2]:
        return f" {_VERBS[match[2].replace('’', chr(39)).lower()]}"
    return _cased(_WHOLE[match[1].lower()], match[1])


def _contracted(match: re.Match[str]) -> str:
    if match[1]:
        return _cased(_NOT[match[1].lower().replace("can not", "cannot")], match[1])
    return f"{match[2]}'m" if match[2] else f"{match[3]}'re"


def _cased(word: str, like: str) -> str:
    """The word with the first letter's case of the one it replaces."""
    return word[0].upper() + word[1:] if like[0].isupper() else word


def _swapped(text: str, rng: np.random.Generator, lists: Sequence[Sequence[str]]) -> str | None:
    """One of the words of a list, all its occurrences, to another of the same list that the text has not."""
    found = [(word, words) for words in lists for word in words if re.search(rf"\b{word}\b", text)]
    if not found:
        return None
    word, words = found[int(rng.integers(len(found)))]
    other = _pick([w for w in words if not re.search(rf"\b{w}\b", text)] or [w for w in words if w != word], rng)
    return re.sub(rf"\b{word}\b", other, text)


def _pick(choices: Sequence[T], rng: np.random.Generator) -> T:
    return choices[int(rng.integers(len(choices)))]
