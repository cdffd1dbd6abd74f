"""Texts of which some words or characters were changed."""

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
from ..language.parts_of_speech import has_same_parts_of_speech, load_tagger, tagger_resources
from ..language.stop_words import ENGLISH
from ..modalities.text import TextPair

_ROUNDING = 1e-6
"""Slack for float32 vectors of a sentence encoder."""


@dataclass(frozen=True, slots=True)
class EditBudget(Threat):
    """At most this many words, and this share of the words, of a text may change. None: no bound.

    Words are runs of non-space characters. How many changed is their Levenshtein distance: the fewest that must be replaced, inserted or
    deleted to make one text's words the other's. Characters are counted in the same way, spaces among them. Of a text pair, each text is
    compared with its own counterpart and the counts are added.

    ``min_similarity``: the least angular similarity (1 - angle / pi) of the two texts' vectors by the model in the role ``encoder``.
    ``protected_words``: of these (negations, names) none may be lost, added or moved past another; case does not matter.
    ``stop_words``: those of a list are protected, too: ``builtin`` (English), ``nltk`` (from word data) or ``none``.
    ``same_part_of_speech``: each word stands for one word of the clean text and is tagged as that was, each in its own text; words that
    are added or lost stand for none. ``tagger``: ``nltk`` (universal tags, from word data) or a JSON file of words and tags.
    ``folder``: of the word data, else where NLTK looks; in a suite, its ``resources``.
    """

    max_words: Bound | None = None
    max_share: Share | None = None
    max_chars: Bound | None = None
    min_similarity: Share | None = None
    protected_words: Sequence[str] = ()
    stop_words: str = "none"
    same_part_of_speech: bool = False
    tagger: str = "nltk"
    # What the word data holds is part of a threat, where it lies is not.
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
            raise ConfigError(f"protected_words is a list of words, not {self.protected_words!r}")
        if self.stop_words not in ("none", "builtin", "nltk"):
            raise ConfigError(f"stop_words of a threat is 'none', 'builtin' or 'nltk', not {self.stop_words!r}")

    def resources(self) -> list[Resource]:
        """The word data that it reads."""
        words = [stop_words_resource(self.folder)] if self.stop_words == "nltk" else []
        return [*words, *(tagger_resources(self.tagger, self.folder) if self.same_part_of_speech else ())]

    @property
    def spared(self) -> frozenset[str]:
        """The words that must stay as they are, in small letters."""
        return _spared(tuple(self.protected_words), self.stop_words, self.folder)

    def check_input(self, clean: Sample, /) -> None:
        """Raises `ConfigError` where the sample is no text."""
        _texts(clean)

    def admits(self, clean: Sample, perturbed: Sample, measured: Mapping[str, float] | None = None, /) -> bool:
        """``measured``: what `measure` says of the two. Without it the words and characters alone decide."""
        _texts(clean)
        if type(clean.input) is not type(perturbed.input):
            return False
        if self.min_similarity is not None and measured is not None and not measured["similarity"] >= self.min_similarity - _ROUNDING:
            return False
        if self.spared and [self._kept(t) for t in _texts(clean)] != [self._kept(t) for t in _texts(perturbed)]:
            return False
        bounds = {"words_changed": self.max_words, "share_changed": self.max_share, "chars_changed": self.max_chars}
        if any(bound is not None for bound in bounds.values()):
            moved = self.distance(clean, perturbed)
            if not all(bound is None or moved[name] <= bound for name, bound in bounds.items()):
                return False
        tag = load_tagger(self.tagger, self.folder) if self.same_part_of_speech else None
        pairs = zip(_texts(clean), _texts(perturbed), strict=True)
        return tag is None or all(has_same_parts_of_speech(tag, before, after) for before, after in pairs)

    def _kept(self, text: str) -> list[str]:
        """The protected words of a text, in order."""
        return [word for word in re.findall(r"\w+(?:['’-]\w+)*", text.casefold()) if word in self.spared]

    def distance(self, clean: Sample, perturbed: Sample, /) -> Mapping[str, float]:
        """Raises `ConfigError` where one is no text, `ValueError` where only one is a pair."""
        words = changed = chars = 0
        for before, after in zip(_texts(clean), _texts(perturbed), strict=True):
            words_before = re.findall(r"\S+", before)
            words += len(words_before)
            changed += levenshtein(words_before, re.findall(r"\S+", after))
            chars += levenshtein(before, after)
        share = changed / words if words else float(changed > 0)
        return {"words_changed": float(changed), "share_changed": share, "chars_changed": float(chars)}

    def measure(self, engine: ModelPort, pairs: Sequence[tuple[Sample, Sample]], /) -> list[dict[str, float]]:
        """What the models of the roles say of each clean sample and its twin: ``similarity``; the twin's ``perplexity`` a token, and
        ``perplexity_ratio``, how many times the clean text's it is. Of a text pair, its two texts one after the other."""
        found: list[dict[str, float]] = [{} for _ in pairs]
        texts = [" ".join(_texts(sample)) for pair in pairs for sample in pair]
        if "encoder" in engine.roles:
            vectors = engine.roles["encoder"].run([Embed(text) for text in texts])
            for i, numbers in enumerate(found):
                numbers["similarity"] = _angular(vectors[2 * i].values, vectors[2 * i + 1].values)
        if "language_model" in engine.roles:
            scored = engine.roles["language_model"].run([RollingLogLikelihood(text) for text in texts])
            nats = [-answer.value / max(1, answer.num_tokens) for answer in scored]
            for i, numbers in enumerate(found):
                numbers["perplexity"] = math.exp(nats[2 * i + 1])
                numbers["perplexity_ratio"] = math.exp(nats[2 * i + 1] - nats[2 * i])
        return found


@cache
def _spared(protected: tuple[str, ...], listed: str, folder: str | None) -> frozenset[str]:
    words = ENGLISH if listed == "builtin" else read_nltk_stop_words(folder) if listed == "nltk" else ()
    return frozenset(word.casefold() for word in (*protected, *words))


def _angular(a: Sequence[float], b: Sequence[float]) -> float:
    first, second = np.asarray(a, dtype=np.float64), np.asarray(b, dtype=np.float64)
    first, second = first / np.linalg.norm(first), second / np.linalg.norm(second)
    # Not by the arc cosine, which loses half of the digits where the two are near.
    return float(1 - 2 * np.arctan2(np.linalg.norm(first - second), np.linalg.norm(first + second)) / math.pi)


def _texts(sample: Sample) -> tuple[str, ...]:
    if isinstance(sample.input, str):
        return (sample.input,)
    if isinstance(sample.input, TextPair):
        return (sample.input.first, sample.input.second)
    raise ConfigError(f"an edit budget is about text; sample {sample.id!r} is a {type(sample.input).__name__}")


def levenshtein(a: Sequence[Hashable], b: Sequence[Hashable], /) -> int:
    """Insertions, deletions and substitutions (Levenshtein 1966) of characters or words, on what differs between the common ends."""
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
        # best[j] may still be reached from the left: min over k <= j of best[k] + (j - k), a running minimum.
        row = np.minimum.accumulate(np.concatenate(([i], best)) - columns) + columns
    return int(row[-1])
