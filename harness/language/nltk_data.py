"""Find and read NLTK packages. Reading never downloads anything.

Packages are searched in the folder of the suite (``resources:``), then in NLTK's own folders (``NLTK_DATA``,
``~/nltk_data``). The layout is NLTK's::

    corpora/stopwords/english                   stop words              nltk.downloader stopwords
    taggers/averaged_perceptron_tagger_eng/     tagger, as JSON         nltk.downloader averaged_perceptron_tagger_eng
    taggers/universal_tagset/en-ptb.map         universal tags by tag   nltk.downloader universal_tagset

NLTK's older tagger (``averaged_perceptron_tagger``) is a pickle, and is never read.
"""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
from typing import Any

from ..api.errors import CapabilityError, ConfigError
from ..api.resources import Resource
from ..system.quiet_import import import_quietly

_STOP_WORDS = "corpora/stopwords"


def import_nltk() -> Any:
    """Import NLTK. Raises `CapabilityError` if it is not installed."""
    if find_spec("nltk") is None:
        raise CapabilityError("this word data needs NLTK, which is not installed: pip install 'windtunnel[text-attacks]'")
    return import_quietly("nltk")


def search_folders(folder: str | None, /) -> list[Path]:
    """Return the folders that are searched for NLTK packages, in order."""
    known = [path for path in import_nltk().data.path if path] if find_spec("nltk") else []
    return [Path(path) for path in ([folder] if folder else []) + known]


def find_package(package: str, folder: str | None, /) -> Path | None:
    """Return the unpacked folder of an NLTK package, such as ``corpora/wordnet``; None if there is none."""
    return next(((path / package).resolve() for path in search_folders(folder) if (path / package).exists()), None)


def describe_nltk_package(package: str, name: str, folder: str | None, /) -> Resource:
    """Describe an NLTK package as a resource.

    package: path in NLTK's layout. name: name in messages. folder: first folder to search, and the download target.
    """
    short = package.rpartition("/")[2]
    into = f" -d {folder}" if folder else ""

    def fetch() -> None:
        import_nltk().download(short, download_dir=folder, quiet=True, raise_on_error=True)

    looked = f"{package} of " + (", ".join(map(str, search_folders(folder))) or "no folder: 'resources' is not set")
    path = find_package(package, folder)
    return Resource(name, path is not None, looked, f"get it with: python -m nltk.downloader{into} {short}", fetch, path)


def require_package(package: str, name: str, folder: str | None, /) -> Path:
    """Return the unpacked folder of an NLTK package. Raises `ConfigError` if there is none."""
    path = find_package(package, folder)
    if path is None:
        resource = describe_nltk_package(package, name, folder)
        raise ConfigError(f"{resource.name} is missing (searched: {resource.looked}); {resource.advice}")
    return path


def stop_words_resource(folder: str | None, /) -> Resource:
    """Describe NLTK's stop words as a resource."""
    return describe_nltk_package(_STOP_WORDS, "NLTK's stop words", folder)


def read_nltk_stop_words(folder: str | None, /) -> tuple[str, ...]:
    """Read NLTK's English stop words. Raises `ConfigError` if the file is missing."""
    package = require_package(_STOP_WORDS, "NLTK's stop words", folder)
    return tuple((package / "english").read_text(encoding="utf-8").split())
