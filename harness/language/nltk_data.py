"""What is known of English: a part-of-speech tagger and where word data lies. Read from files, never fetched.

Everything is looked for in the folder that the suite names (``resources:``) and then where NLTK looks (``NLTK_DATA``, ``~/nltk_data``).
The folder is laid out as NLTK's own::

    corpora/stopwords/english                   stop words               nltk.downloader stopwords
    taggers/averaged_perceptron_tagger_eng/     tagger, as JSON          nltk.downloader averaged_perceptron_tagger_eng
    taggers/universal_tagset/en-ptb.map         its tags made universal  nltk.downloader universal_tagset

NLTK's older tagger (``averaged_perceptron_tagger``) is a pickle, which is never read.
"""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
from typing import Any

from ..api.errors import CapabilityError, ConfigError
from ..api.resources import Resource
from ..system.quiet_import import import_quietly

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
