"""What word-level attacks know of English: a thesaurus, a part-of-speech tagger, word vectors. Read from files, never fetched.

Everything is looked for in the folder that the suite names (``resources:``) and then where NLTK looks (``NLTK_DATA``, ``~/nltk_data``).
The folder is laid out as NLTK's own::

    corpora/wordnet/                            WordNet                  nltk.downloader wordnet
    corpora/stopwords/english                   stop words               nltk.downloader stopwords
    taggers/averaged_perceptron_tagger_eng/     tagger, as JSON          nltk.downloader averaged_perceptron_tagger_eng
    taggers/universal_tagset/en-ptb.map         its tags made universal  nltk.downloader universal_tagset
    vectors.txt                                 word vectors, see `word_vectors`
    intentional.txt                             look-alike characters    https://www.unicode.org/Public/security/latest/intentional.txt

NLTK's older tagger (``averaged_perceptron_tagger``) is a pickle, which is never read.
"""

from __future__ import annotations

import json
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import cache, lru_cache
from pathlib import Path
from types import SimpleNamespace
from typing import Any, TypeAlias

import numpy as np

from ...harness.errors import ConfigError
from ...harness.resources import Resource
from .textattack_import import import_quietly

Tagger: TypeAlias = Callable[[Sequence[str]], list[tuple[str, str]]]
"""Words to pairs of word and universal part of speech (NOUN, VERB, ADJ, ADV, PRON, DET, ADP, NUM, CONJ, PRT, ., X)."""

_TAGGER = "taggers/averaged_perceptron_tagger_eng"
_TAGSET = "taggers/universal_tagset"
_WORDNET = "corpora/wordnet"


def places(folder: str | None, /) -> list[Path]:
    """Where NLTK's packages are looked for, in order."""
    nltk = import_quietly("nltk")
    return [Path(place) for place in ([folder] if folder else []) + [place for place in nltk.data.path if place]]


@contextmanager
def trusted(folder: str | None, /) -> Iterator[None]:
    """Inside, NLTK reads from the folder: it opens only what lies where ``nltk.data.path`` says."""
    data = import_quietly("nltk").data
    before = list(data.path)
    data.path[:] = ([str(Path(folder).resolve())] if folder else []) + before
    try:
        yield
    finally:
        data.path[:] = before


def found(package: str, folder: str | None, /) -> Path | None:
    return next(((place / package).resolve() for place in places(folder) if (place / package).exists()), None)


def nltk_resource(package: str, name: str, folder: str | None, /) -> Resource:
    """An NLTK package that is read from its unpacked folder. It is fetched into ``folder``, where there is one."""
    short = package.rpartition("/")[2]
    into = f" -d {folder}" if folder else ""

    def fetch() -> None:
        import_quietly("nltk").download(short, download_dir=folder, quiet=True, raise_on_error=True)

    looked = f"{package} of " + ", ".join(str(place) for place in places(folder))
    path = found(package, folder)
    return Resource(name, path is not None, looked, f"get it with: python -m nltk.downloader{into} {short}", fetch, path)


def _required(package: str, name: str, folder: str | None) -> Path:
    path = found(package, folder)
    if path is None:
        said = nltk_resource(package, name, folder)
        raise ConfigError(f"{said.name} is not there (looked for in {said.looked}); {said.advice}")
    return path


# ── WordNet ───────────────────────────────────────────────────────────────────────────────────────────────────────────


def wordnet_resource(folder: str | None, /) -> Resource:
    return nltk_resource(_WORDNET, "WordNet", folder)


def wordnet(folder: str | None, /) -> Any:
    """What TextAttack asks of ``nltk.corpus.wordnet``: ``langs()`` and ``synsets(word, lang="eng")``. Raises `ConfigError`."""
    return _wordnet(_required(_WORDNET, "WordNet", folder))


@cache
def _wordnet(path: Path) -> Any:
    module = import_quietly("nltk.corpus.reader.wordnet")
    with warnings.catch_warnings(action="ignore"):  # it says that it knows no other language
        reader = module.WordNetCorpusReader(str(path), None)
    return SimpleNamespace(langs=lambda: ["eng"], synsets=reader.synsets)


# ── look-alikes ───────────────────────────────────────────────────────────────────────────────────────────────────────

HOMOGLYPHS = "intentional.txt"


def homoglyphs_resource(folder: str | None, /) -> Resource:
    looked = ", ".join(str(place / HOMOGLYPHS) for place in places(folder))
    advice = "save https://www.unicode.org/Public/security/latest/intentional.txt there"
    path = found(HOMOGLYPHS, folder)
    return Resource("Unicode's table of look-alikes", path is not None, looked, advice, path=path)


# ── parts of speech ───────────────────────────────────────────────────────────────────────────────────────────────────


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
        tag, tagset = _required(_TAGGER, "NLTK's tagger", folder), _required(_TAGSET, "the universal tag set", folder)
        return _perceptron(tag, tagset / "en-ptb.map")
    if not Path(tagger).is_file():
        raise ConfigError(f"there is no tagger file {tagger}: it is 'nltk', or a JSON object of words and their universal tags")
    return _lexicon(Path(tagger))


@cache
def _perceptron(tagger: Path, tagset: Path) -> Tagger:
    made = import_quietly("nltk.tag.perceptron").PerceptronTagger(load=False)
    parts = [json.loads((tagger / f"{tagger.name}.{part}.json").read_text(encoding="utf-8")) for part in ("weights", "tagdict", "classes")]
    made.model.weights, made.tagdict, made.classes = parts[0], parts[1], set(parts[2])
    made.model.classes = made.classes
    universal = dict(line.split("\t")[:2] for line in tagset.read_text(encoding="utf-8").splitlines() if "\t" in line)

    def tag(words: tuple[str, ...]) -> list[tuple[str, str]]:
        return [(word, universal.get(found, "X")) for word, found in made.tag(list(words))]

    return _remembered(tag)


@cache
def _lexicon(path: Path) -> Tagger:
    tags = json.loads(path.read_text(encoding="utf-8"))

    def tag(words: tuple[str, ...]) -> list[tuple[str, str]]:
        return [(word, tags.get(word.lower(), "NOUN" if any(map(str.isalpha, word)) else "X")) for word in words]

    return _remembered(tag)


def _remembered(tag: Callable[[tuple[str, ...]], list[tuple[str, str]]]) -> Tagger:
    kept = lru_cache(maxsize=2**15)(tag)
    return lambda words: kept(tuple(words))


# ── word vectors ──────────────────────────────────────────────────────────────────────────────────────────────────────


def vectors_path(vectors: str | None, folder: str | None, /) -> Path | None:
    """The setting, or ``vectors.txt`` of the resource folder."""
    path = Path(vectors) if vectors else Path(folder, "vectors.txt") if folder else None
    return path if path is not None and path.is_file() else None


def vectors_resource(vectors: str | None, folder: str | None, /) -> Resource:
    looked = vectors or (f"{folder}/vectors.txt" if folder else "no place: neither 'vectors' nor 'resources' is set")
    advice = (
        "give vectors: FILE, on each line a word and its numbers. The recipe's own are the counter-fitted PARAGRAM-SL999 vectors of "
        "https://github.com/nmrksic/counter-fitting"
    )
    path = vectors_path(vectors, folder)
    return Resource("word vectors", path is not None, looked, advice, path=path)


def word_vectors(textattack: Any, vectors: str | None, folder: str | None, /) -> Any:
    """A ``textattack.shared.WordEmbedding`` from a text file: a word and its numbers on each line, parted by spaces.

    A first line of two numbers (word2vec's header) is passed over. Neighbours are nearest by Euclidean distance, as in TextAttack's own
    table. Raises `ConfigError`.
    """
    path = vectors_path(vectors, folder)
    if path is None:
        said = vectors_resource(vectors, folder)
        raise ConfigError(f"the word vectors are not there (looked for in {said.looked}); {said.advice}")
    return _word_vectors(textattack, path)


@cache
def _word_vectors(textattack: Any, path: Path) -> Any:
    lines = [line.rstrip().split(" ") for line in path.read_text(encoding="utf-8").splitlines()]
    rows = [row for i, row in enumerate(lines) if len(row) > 2 or (i > 0 and len(row) == 2)]
    try:
        matrix = np.array([row[1:] for row in rows], dtype=np.float32)
    except ValueError as error:
        raise ConfigError(f"{path}: on each line stand a word and its numbers, of equal count, parted by spaces: {error}") from error
    index = {row[0]: i for i, row in enumerate(rows)}
    if len(index) < len(rows) or not len(rows):
        raise ConfigError(f"{path} names a word twice, or none")
    return textattack.shared.WordEmbedding(matrix, index, {i: word for word, i in index.items()}, _Neighbours(matrix))


class _Neighbours:
    """Each word's row of all words, nearest first and itself before all, computed when it is asked for."""

    def __init__(self, matrix: np.ndarray) -> None:
        self._matrix = matrix
        self._kept: dict[int, np.ndarray] = {}

    def __getitem__(self, index: int) -> np.ndarray:
        if index not in self._kept:
            distances = ((self._matrix - self._matrix[index]) ** 2).sum(axis=1)
            distances[index] = -1
            self._kept[index] = np.argsort(distances, kind="stable")[:_NUM_NEIGHBOURS]
        return self._kept[index]


_NUM_NEIGHBOURS = 100
"""More than any recipe takes (50)."""
