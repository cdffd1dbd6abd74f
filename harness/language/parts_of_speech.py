"""Parts of speech of English words, by NLTK's tagger or by a list of words."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from functools import cache, lru_cache
from pathlib import Path
from typing import TypeAlias

from ..api.errors import ConfigError
from ..api.resources import Resource
from ..modalities.words import word_spans
from .nltk_data import nltk, nltk_resource, required

Tagger: TypeAlias = Callable[[Sequence[str]], list[tuple[str, str]]]
"""Words to pairs of word and universal part of speech (NOUN, VERB, ADJ, ADV, PRON, DET, ADP, NUM, CONJ, PRT, ., X)."""


_TAGGER = "taggers/averaged_perceptron_tagger_eng"


_TAGSET = "taggers/universal_tagset"


def tagger_resources(tagger: str, folder: str | None, /) -> list[Resource]:
    if tagger != "nltk":
        path = Path(tagger) if Path(tagger).is_file() else None
        advice = "it is a JSON file of words and their universal tags"
        return [Resource(f"the tagger {tagger}", path is not None, tagger, advice, path=path)]
    return [nltk_resource(_TAGGER, "NLTK's tagger", folder), nltk_resource(_TAGSET, "the universal tag set", folder)]


def part_of_speech(tagger: str, folder: str | None, /) -> Tagger:
    """``nltk``: NLTK's perceptron tagger, which reads the words around a word too, its tags made universal: TextAttack's own choice.

    A path: a JSON object of lower-case words and their tags. A word that is not in it is a NOUN, or X where it has no letter.
    Raises `ConfigError` where a file is missing.
    """
    if tagger == "nltk":
        tag, tagset = required(_TAGGER, "NLTK's tagger", folder), required(_TAGSET, "the universal tag set", folder)
        return _perceptron(tag, tagset / "en-ptb.map")
    if not Path(tagger).is_file():
        raise ConfigError(f"there is no tagger file {tagger}: it is 'nltk', or a JSON object of words and their universal tags")
    return _lexicon(Path(tagger), Path(tagger).stat().st_mtime_ns)


def same_parts_of_speech(tag: Tagger, before: str, after: str, /) -> bool:
    """Whether the second text has a word of the same part of speech in the place of each of the first's, marks among them. Each is tagged
    in its own text; a word that stayed is not compared."""
    words, others = ([text[start:end] for start, end in word_spans(text)] for text in (before, after))
    if len(words) != len(others):
        return False
    return all(a == b or tag_a == tag_b for (a, tag_a), (b, tag_b) in zip(tag(words), tag(others), strict=True))


@cache
def _perceptron(tagger: Path, tagset: Path) -> Tagger:
    made = nltk().tag.perceptron.PerceptronTagger(load=False)
    parts = [json.loads((tagger / f"{tagger.name}.{part}.json").read_text(encoding="utf-8")) for part in ("weights", "tagdict", "classes")]
    made.model.weights, made.tagdict, made.classes = parts[0], parts[1], set(parts[2])
    made.model.classes = made.classes
    universal = dict(line.split("\t")[:2] for line in tagset.read_text(encoding="utf-8").splitlines() if "\t" in line)

    def tag(words: tuple[str, ...]) -> list[tuple[str, str]]:
        return [(word, universal.get(found, "X")) for word, found in made.tag(list(words))]

    return _remembered(tag)


@cache
def _lexicon(path: Path, written: int) -> Tagger:
    tags = json.loads(path.read_text(encoding="utf-8"))

    def tag(words: tuple[str, ...]) -> list[tuple[str, str]]:
        return [(word, tags.get(word.lower(), "NOUN" if any(map(str.isalpha, word)) else "X")) for word in words]

    return _remembered(tag)


def _remembered(tag: Callable[[tuple[str, ...]], list[tuple[str, str]]]) -> Tagger:
    kept = lru_cache(maxsize=2**15)(tag)
    return lambda words: kept(tuple(words))
