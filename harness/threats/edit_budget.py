"""Threat model for text: a budget of changed words or characters."""

from __future__ import annotations

import math
import re
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache

import numpy as np

from ..api.errors import ConfigError
from ..api.model_port import ModelPort
from ..api.requests import Embed, RollingLogLikelihood
from ..api.resources import Resource
from ..api.samples import Sample
from ..api.settings import Bound, Share, check_fields
from ..api.threat import Threat
from ..language.nltk_data import read_nltk_stop_words, stop_words_resource
from ..language.parts_of_speech import has_same_parts_of_speech, list_tagger_resources, load_tagger
from ..language.stop_words import ENGLISH
from ..modalities.inputs import list_texts, name_modality

_ROUNDING = 1e-6
"""Tolerance for float32 vectors of a sentence encoder."""


@dataclass(frozen=True, slots=True)
class EditBudget(Threat):
    """A bound on the changes to a text. None: no bound.

    Words are runs of non-space characters. The number of changed words is the Levenshtein distance between the texts as
    lists of words; characters, including spaces, are counted likewise. For a text pair, the counts of both texts add up.

    max_words: maximum number of changed words.
    max_share: maximum number of changed words as a fraction of the words of the clean text.
    max_chars: maximum number of changed characters.
    min_similarity: minimum angular similarity (1 - angle / pi) of the embeddings by the model in the role ``encoder``.
    protected_words: words (negations, names) that may not be removed, added or reordered; case does not matter.
    stop_words: list of further protected words: ``builtin`` (English), ``nltk`` (from word data) or ``none``.
    same_part_of_speech: each changed word must keep its part-of-speech tag; words may not be added or removed.
    tagger: ``nltk`` (universal tags, from word data) or a JSON file of words and tags.
    folder: folder of the word data (default: NLTK's folders); in a suite, its ``resources``.
    """

    max_words: Bound | None = None
    max_share: Share | None = None
    max_chars: Bound | None = None
    min_similarity: Share | None = None
    protected_words: Sequence[str] = ()
    stop_words: str = "none"
    same_part_of_speech: bool = False
    tagger: str = "nltk"
    # The content of the word data is part of a threat, its location is not.
    folder: str | None = field(default=None, compare=False)

    @property
    def roles(self) -> Mapping[str, frozenset[str]]:  # type: ignore[override]
        return {} if self.min_similarity is None else {"encoder": frozenset({"embed"})}

    @property
    def optional_roles(self) -> Mapping[str, frozenset[str]]:  # type: ignore[override]
        return {"encoder": frozenset({"embed"}), "language_model": frozenset({"rolling_loglikelihood"})}

    def __post_init__(self) -> None:
        check_fields("threat 'edits'", self)
        if isinstance(self.protected_words, str) or not all(isinstance(w, str) and w for w in self.protected_words):
            raise ConfigError(f"protected_words must be a list of words, not {self.protected_words!r}")
        if self.stop_words not in ("none", "builtin", "nltk"):
            raise ConfigError(f"stop_words of a threat must be 'none', 'builtin' or 'nltk', not {self.stop_words!r}")

    def resources(self) -> list[Resource]:
        """List the word data that the threat needs."""
        words = [stop_words_resource(self.folder)] if self.stop_words == "nltk" else []
        return [*words, *(list_tagger_resources(self.tagger, self.folder) if self.same_part_of_speech else ())]

    @property
    def protected(self) -> frozenset[str]:
        """The protected words and stop words, case-folded."""
        return _load_protected_words(tuple(self.protected_words), self.stop_words, self.folder)

    def check_input(self, clean: Sample, /) -> None:
        """Raise `ConfigError` if the sample is not text."""
        _list_texts(clean)

    def admits(self, clean: Sample, perturbed: Sample, measured: Mapping[str, float] | None = None, /) -> bool:
        """Whether the perturbed sample is within the budget.

        measured: the result of `measure` for the two samples; without it, only words and characters are checked.
        """
        _list_texts(clean)
        if type(clean.input) is not type(perturbed.input):
            return False
        if self.min_similarity is not None and measured is not None and not measured["similarity"] >= self.min_similarity - _ROUNDING:
            return False
        before, after = _list_texts(clean), _list_texts(perturbed)
        if self.protected and [self._list_protected(t) for t in before] != [self._list_protected(t) for t in after]:
            return False
        bounds = {"words_changed": self.max_words, "share_changed": self.max_share, "chars_changed": self.max_chars}
        if any(bound is not None for bound in bounds.values()):
            distance = self.distance(clean, perturbed)
            if not all(bound is None or distance[name] <= bound for name, bound in bounds.items()):
                return False
        tag = load_tagger(self.tagger, self.folder) if self.same_part_of_speech else None
        return tag is None or all(has_same_parts_of_speech(tag, a, b) for a, b in zip(before, after, strict=True))

    def _list_protected(self, text: str) -> list[str]:
        """Return the protected words of a text, in order."""
        return [word for word in re.findall(r"\w+(?:['’-]\w+)*", text.casefold()) if word in self.protected]

    def distance(self, clean: Sample, perturbed: Sample, /) -> Mapping[str, float]:
        """Count the changes: ``words_changed``, ``share_changed`` (of the clean words) and ``chars_changed``.

        Raises `ConfigError` if a sample is not text, `ValueError` if only one is a pair.
        """
        words = changed = chars = 0
        for before, after in zip(_list_texts(clean), _list_texts(perturbed), strict=True):
            words_before = re.findall(r"\S+", before)
            words += len(words_before)
            changed += levenshtein(words_before, re.findall(r"\S+", after))
            chars += levenshtein(before, after)
        share = changed / words if words else float(changed > 0)
        return {"words_changed": float(changed), "share_changed": share, "chars_changed": float(chars)}

    def measure(self, engine: ModelPort, pairs: Sequence[tuple[Sample, Sample]], /) -> list[dict[str, float]]:
        """Measure each pair of a clean and a perturbed sample with the models of the roles.

        Returns ``similarity`` (role ``encoder``); ``perplexity`` of the perturbed text, per token, and
        ``perplexity_ratio`` to that of the clean text (role ``language_model``). The texts of a text pair are joined.
        """
        measured: list[dict[str, float]] = [{} for _ in pairs]
        texts = [" ".join(_list_texts(sample)) for pair in pairs for sample in pair]
        if "encoder" in engine.roles:
            vectors = engine.roles["encoder"].run([Embed(text) for text in texts])
            for i, numbers in enumerate(measured):
                numbers["similarity"] = _compute_angular_similarity(vectors[2 * i].values, vectors[2 * i + 1].values)
        if "language_model" in engine.roles:
            scored = engine.roles["language_model"].run([RollingLogLikelihood(text) for text in texts])
            nats = [-answer.value / max(1, answer.num_tokens) for answer in scored]
            for i, numbers in enumerate(measured):
                numbers["perplexity"] = math.exp(nats[2 * i + 1])
                numbers["perplexity_ratio"] = math.exp(nats[2 * i + 1] - nats[2 * i])
        return measured


@cache
def _load_protected_words(protected: tuple[str, ...], stop_words: str, folder: str | None) -> frozenset[str]:
    words = ENGLISH if stop_words == "builtin" else read_nltk_stop_words(folder) if stop_words == "nltk" else ()
    return frozenset(word.casefold() for word in (*protected, *words))


def _compute_angular_similarity(a: Sequence[float], b: Sequence[float]) -> float:
    first, second = np.asarray(a, dtype=np.float64), np.asarray(b, dtype=np.float64)
    first, second = first / np.linalg.norm(first), second / np.linalg.norm(second)
    # The arc cosine would lose half of the digits for nearly equal vectors.
    return float(1 - 2 * np.arctan2(np.linalg.norm(first - second), np.linalg.norm(first + second)) / math.pi)


def _list_texts(sample: Sample) -> tuple[str, ...]:
    texts = list_texts(sample.input)
    if not texts:
        raise ConfigError(f"threat 'edits' needs text; sample {sample.id!r} is a {name_modality(sample.input)}")
    return texts


def levenshtein(a: Sequence[Hashable], b: Sequence[Hashable], /) -> int:
    """Return the least number of insertions, deletions and substitutions that turn one sequence into the other.

    A common prefix and suffix are skipped first. Source: Levenshtein 1966.
    """
    start = 0
    while start < min(len(a), len(b)) and a[start] == b[start]:
        start += 1
    stop = 0
    while stop < min(len(a), len(b)) - start and a[-1 - stop] == b[-1 - stop]:
        stop += 1
    a, b = a[start : len(a) - stop], b[start : len(b) - stop]
    codes = {item: code for code, item in enumerate(dict.fromkeys(b))}
    codes_b = np.fromiter((codes[item] for item in b), dtype=np.int64, count=len(b))
    columns = np.arange(len(b) + 1)
    row = columns.copy()
    for i, item in enumerate(a, 1):
        best = np.minimum(row[1:] + 1, row[:-1] + (codes_b != codes.get(item, -1)))
        # Insertions: min over k <= j of best[k] + (j - k), as a running minimum.
        row = np.minimum.accumulate(np.concatenate(([i], best)) - columns) + columns
    return int(row[-1])
