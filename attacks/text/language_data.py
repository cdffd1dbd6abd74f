"""Word data of word-level attacks besides parts of speech (`harness/language/nltk_data.py`): thesaurus, word
vectors, look-alikes.

Files in the resource folder::

    corpora/wordnet/    WordNet                            nltk.downloader wordnet
    vectors.txt         word vectors, see `load_word_vectors`
    intentional.txt     look-alike characters              https://www.unicode.org/Public/security/latest/intentional.txt
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np

from ...harness.api.errors import ConfigError
from ...harness.api.resources import Resource
from ...harness.language.nltk_data import describe_nltk_package, find_package, require_package, search_folders
from ...harness.system.quiet_import import import_quietly

_WORDNET = "corpora/wordnet"


@contextmanager
def trust_folder(folder: str | None, /) -> Iterator[None]:
    """Let NLTK read from the folder, and from the target of a linked WordNet; it only opens files below
    ``nltk.data.path``."""
    data = import_quietly("nltk").data
    before, linked = list(data.path), find_package(_WORDNET, folder)
    data.path[:] = ([str(Path(folder).resolve())] if folder else []) + ([str(linked)] if linked else []) + before
    try:
        yield
    finally:
        data.path[:] = before


# ── WordNet ───────────────────────────────────────────────────────────────────────────────────────────────────────────


def describe_wordnet(folder: str | None, /) -> Resource:
    return describe_nltk_package(_WORDNET, "WordNet", folder)


def load_wordnet(folder: str | None, /) -> Any:
    """Return WordNet with the methods that TextAttack uses: ``langs()``, ``synsets(word, lang="eng")``.
    Raises `ConfigError` if it is missing."""
    return _read_wordnet(require_package(_WORDNET, "WordNet", folder))


@cache
def _read_wordnet(path: Path) -> Any:
    module = import_quietly("nltk.corpus.reader.wordnet")
    with warnings.catch_warnings(action="ignore"):  # it warns about missing languages
        reader = module.WordNetCorpusReader(str(path), None)
    return SimpleNamespace(langs=lambda: ["eng"], synsets=reader.synsets)


# ── look-alikes ───────────────────────────────────────────────────────────────────────────────────────────────────────

HOMOGLYPHS = "intentional.txt"


def describe_homoglyphs(folder: str | None, /) -> Resource:
    looked = ", ".join(str(place / HOMOGLYPHS) for place in search_folders(folder))
    advice = "save https://www.unicode.org/Public/security/latest/intentional.txt there"
    path = find_package(HOMOGLYPHS, folder)
    return Resource("Unicode's table of look-alikes", path is not None, looked, advice, path=path)


# ── word vectors ──────────────────────────────────────────────────────────────────────────────────────────────────────


def find_vectors(vectors: str | None, folder: str | None, /) -> Path | None:
    """Return the path of the word vectors: the setting, or ``vectors.txt`` in the resource folder."""
    path = Path(vectors) if vectors else Path(folder, "vectors.txt") if folder else None
    return path if path is not None and path.is_file() else None


def describe_vectors(vectors: str | None, folder: str | None, /) -> Resource:
    looked = vectors or (f"{folder}/vectors.txt" if folder else "nowhere: neither 'vectors' nor 'resources' is set")
    advice = (
        "set vectors: FILE, with one word and its numbers per line. The recipe uses the counter-fitted PARAGRAM-SL999 vectors of "
        "https://github.com/nmrksic/counter-fitting"
    )
    path = find_vectors(vectors, folder)
    return Resource("word vectors", path is not None, looked, advice, path=path)


def load_word_vectors(textattack: Any, vectors: str | None, folder: str | None, /) -> Any:
    """Load a ``textattack.shared.WordEmbedding`` from a text file with one word and its numbers per line.

    A first line of two numbers (word2vec's header) is skipped. Neighbours are nearest by Euclidean distance,
    as in TextAttack's own table. Raises `ConfigError`.
    """
    path = find_vectors(vectors, folder)
    if path is None:
        resource = describe_vectors(vectors, folder)
        raise ConfigError(f"word vectors are missing (looked in {resource.looked}); {resource.advice}")
    return _read_word_vectors(textattack, path)


@cache
def _read_word_vectors(textattack: Any, path: Path) -> Any:
    lines = [line.rstrip().split(" ") for line in path.read_text(encoding="utf-8").splitlines()]
    rows = [row for i, row in enumerate(lines) if len(row) > 2 or (i > 0 and len(row) == 2)]
    try:
        matrix = np.array([row[1:] for row in rows], dtype=np.float32)
    except ValueError as error:
        raise ConfigError(f"{path}: each line must have a word and equally many numbers, separated by spaces: {error}") from error
    index = {row[0]: i for i, row in enumerate(rows)}
    if len(index) < len(rows) or not len(rows):
        raise ConfigError(f"{path} contains a duplicate word, or no words")
    return textattack.shared.WordEmbedding(matrix, index, {i: word for word, i in index.items()}, _Neighbours(matrix))


class _Neighbours:
    """The nearest words of each word, itself first, computed on demand."""

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
"""More than any recipe uses (50)."""
