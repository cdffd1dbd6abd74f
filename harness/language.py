"""What is known of English: a part-of-speech tagger and where word data lies. Read from files, never fetched.

Everything is looked for in the folder that the suite names (``resources:``) and then where NLTK looks (``NLTK_DATA``, ``~/nltk_data``).
The folder is laid out as NLTK's own::

    corpora/stopwords/english                   stop words               nltk.downloader stopwords
    taggers/averaged_perceptron_tagger_eng/     tagger, as JSON          nltk.downloader averaged_perceptron_tagger_eng
    taggers/universal_tagset/en-ptb.map         its tags made universal  nltk.downloader universal_tagset

NLTK's older tagger (``averaged_perceptron_tagger``) is a pickle, which is never read.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from functools import cache, lru_cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any, TypeAlias

from .errors import CapabilityError, ConfigError
from .quiet import import_quietly
from .resources import Resource
from .words import word_spans

Tagger: TypeAlias = Callable[[Sequence[str]], list[tuple[str, str]]]
"""Words to pairs of word and universal part of speech (NOUN, VERB, ADJ, ADV, PRON, DET, ADP, NUM, CONJ, PRT, ., X)."""

_TAGGER = "taggers/averaged_perceptron_tagger_eng"
_TAGSET = "taggers/universal_tagset"
_STOP_WORDS = "corpora/stopwords"


def nltk() -> Any:
    """The package. Raises `CapabilityError` where it is not installed."""
    if find_spec("nltk") is None:
        raise CapabilityError("NLTK reads this word data, and it is not installed: pip install 'windtunnel[text-attacks]'")
    return import_quietly("nltk")


def places(folder: str | None, /) -> list[Path]:
    """Where NLTK's packages are looked for, in order."""
    known = [place for place in nltk().data.path if place] if find_spec("nltk") else []
    return [Path(place) for place in ([folder] if folder else []) + known]


def found(package: str, folder: str | None, /) -> Path | None:
    return next(((place / package).resolve() for place in places(folder) if (place / package).exists()), None)


def nltk_resource(package: str, name: str, folder: str | None, /) -> Resource:
    """An NLTK package that is read from its unpacked folder. It is fetched into ``folder``, where there is one."""
    short = package.rpartition("/")[2]
    into = f" -d {folder}" if folder else ""

    def fetch() -> None:
        nltk().download(short, download_dir=folder, quiet=True, raise_on_error=True)

    looked = f"{package} of " + (", ".join(str(place) for place in places(folder)) or "no place: 'resources' is not set")
    path = found(package, folder)
    return Resource(name, path is not None, looked, f"get it with: python -m nltk.downloader{into} {short}", fetch, path)


def required(package: str, name: str, folder: str | None, /) -> Path:
    path = found(package, folder)
    if path is None:
        said = nltk_resource(package, name, folder)
        raise ConfigError(f"{said.name} is not there (looked for in {said.looked}); {said.advice}")
    return path


def stop_words_resource(folder: str | None, /) -> Resource:
    return nltk_resource(_STOP_WORDS, "NLTK's stop words", folder)


def listed_stop_words(folder: str | None, /) -> tuple[str, ...]:
    """NLTK's English ones. Raises `ConfigError` where the file is missing."""
    return tuple((required(_STOP_WORDS, "NLTK's stop words", folder) / "english").read_text(encoding="utf-8").split())


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
