"""What word-level attacks know of English beside parts of speech (`harness/language/nltk_data.py`): a thesaurus, word vectors, look-alikes.

Looked for where the harness looks::

    corpora/wordnet/    WordNet                            nltk.downloader wordnet
    vectors.txt         word vectors, see `word_vectors`
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
from ...harness.language.nltk_data import find_package, nltk_resource, require_package, search_folders
from ...harness.system.quiet_import import import_quietly

_WORDNET = "corpora/wordnet"


@contextmanager
def trusted(folder: str | None, /) -> Iterator[None]:
    """Inside, NLTK reads from the folder, and WordNet where a link leads to it: it opens only what lies where ``nltk.data.path`` says."""
    data = import_quietly("nltk").data
    before, linked = list(data.path), find_package(_WORDNET, folder)
    data.path[:] = ([str(Path(folder).resolve())] if folder else []) + ([str(linked)] if linked else []) + before
    try:
        yield
    finally:
        data.path[:] = before


# ── WordNet ───────────────────────────────────────────────────────────────────────────────────────────────────────────


def wordnet_resource(folder: str | None, /) -> Resource:
    return nltk_resource(_WORDNET, "WordNet", folder)


def wordnet(folder: str | None, /) -> Any:
    """What TextAttack asks of ``nltk.corpus.wordnet``: ``langs()`` and ``synsets(word, lang="eng")``. Raises `ConfigError`."""
    return _wordnet(require_package(_WORDNET, "WordNet", folder))


@cache
def _wordnet(path: Path) -> Any:
    module = import_quietly("nltk.corpus.reader.wordnet")
    with warnings.catch_warnings(action="ignore"):  # it says that it knows no other language
        reader = module.WordNetCorpusReader(str(path), None)
    return SimpleNamespace(langs=lambda: ["eng"], synsets=reader.synsets)


# ── look-alikes ───────────────────────────────────────────────────────────────────────────────────────────────────────

HOMOGLYPHS = "intentional.txt"


def homoglyphs_resource(folder: str | None, /) -> Resource:
    looked = ", ".join(str(place / HOMOGLYPHS) for place in search_folders(folder))
    advice = "save https://www.unicode.org/Public/security/latest/intentional.txt there"
    path = find_package(HOMOGLYPHS, folder)
    return Resource("Unicode's table of look-alikes", path is not None, looked, advice, path=path)


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
