"""Tag parts of speech of English words, with NLTK's tagger or a word list."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from functools import cache, lru_cache
from pathlib import Path
from typing import TypeAlias

from ..api.errors import ConfigError
from ..api.resources import Resource
from ..modalities.words import word_spans
from .nltk_data import describe_nltk_package, import_nltk, require_package

Tagger: TypeAlias = Callable[[Sequence[str]], list[tuple[str, str]]]
"""Maps words to (word, universal tag): NOUN, VERB, ADJ, ADV, PRON, DET, ADP, NUM, CONJ, PRT, ``.`` or X."""

_TAGGER = "taggers/averaged_perceptron_tagger_eng"
_TAGSET = "taggers/universal_tagset"


def list_tagger_resources(tagger: str, folder: str | None, /) -> list[Resource]:
    """List the resources that `load_tagger` reads for the same arguments."""
    if tagger != "nltk":
        path = Path(tagger) if Path(tagger).is_file() else None
        advice = "write a JSON file of words and their universal tags"
        return [Resource(f"the tagger {tagger}", path is not None, tagger, advice, path=path)]
    return [describe_nltk_package(_TAGGER, "NLTK's tagger", folder), describe_nltk_package(_TAGSET, "the universal tag set", folder)]


def load_tagger(tagger: str, folder: str | None, /) -> Tagger:
    """Load a part-of-speech tagger.

    tagger: ``nltk`` for NLTK's perceptron tagger with universal tags, which uses context, as TextAttack does; or the path
        of a JSON object of lower-case words and their tags, in which a missing word is a NOUN, or X without a letter.
    folder: first folder to search for NLTK's data.

    Raises `ConfigError` if a file is missing.
    """
    if tagger == "nltk":
        weights = require_package(_TAGGER, "NLTK's tagger", folder)
        tagset = require_package(_TAGSET, "the universal tag set", folder)
        return _load_perceptron(weights, tagset / "en-ptb.map")
    if not Path(tagger).is_file():
        raise ConfigError(f"there is no tagger file {tagger}; give 'nltk', or a JSON object of words and their universal tags")
    return _load_lexicon(Path(tagger), Path(tagger).stat().st_mtime_ns)


def has_same_parts_of_speech(tag: Tagger, before: str, after: str, /) -> bool:
    """Whether two texts have equally many words and marks, with the same tags wherever the words differ.

    Each word is tagged in its own text. Equal words are not compared.
    """
    words, others = ([text[start:end] for start, end in word_spans(text)] for text in (before, after))
    if len(words) != len(others):
        return False
    return all(a == b or tag_a == tag_b for (a, tag_a), (b, tag_b) in zip(tag(words), tag(others), strict=True))


@cache
def _load_perceptron(folder: Path, tagset: Path) -> Tagger:
    tagger = import_nltk().tag.perceptron.PerceptronTagger(load=False)
    weights, tagdict, classes = (
        json.loads((folder / f"{folder.name}.{part}.json").read_text(encoding="utf-8")) for part in ("weights", "tagdict", "classes")
    )
    tagger.model.weights, tagger.tagdict, tagger.classes = weights, tagdict, set(classes)
    tagger.model.classes = tagger.classes
    universal = dict(line.split("\t")[:2] for line in tagset.read_text(encoding="utf-8").splitlines() if "\t" in line)

    def tag(words: tuple[str, ...]) -> list[tuple[str, str]]:
        return [(word, universal.get(penn_tag, "X")) for word, penn_tag in tagger.tag(list(words))]

    return _cache_tags(tag)


@cache
def _load_lexicon(path: Path, modified_ns: int) -> Tagger:
    tags = json.loads(path.read_text(encoding="utf-8"))

    def tag(words: tuple[str, ...]) -> list[tuple[str, str]]:
        return [(word, tags.get(word.lower(), "NOUN" if any(map(str.isalpha, word)) else "X")) for word in words]

    return _cache_tags(tag)


def _cache_tags(tag: Callable[[tuple[str, ...]], list[tuple[str, str]]]) -> Tagger:
    cached = lru_cache(maxsize=2**15)(tag)
    return lambda words: cached(tuple(words))
