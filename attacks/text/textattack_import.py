"""Import TextAttack without downloads and without changes to the process.

Left to itself, ``import textattack`` (0.3.11) downloads NLTK and stanza data, makes ``~/.cache/textattack``, points ``HF_HOME`` and
``XDG_CACHE_HOME`` of the whole process elsewhere where ``TA_CACHE_DIR`` is set, disables every logger made before it, draws from the global
random state and raises warnings. Here it is imported with a cache folder that says the downloads are done, and all of that is put back.
"""

from __future__ import annotations

import logging
import os
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from ...harness.api.errors import CapabilityError
from ...harness.system.installs import TEXT_ATTACKS
from ...harness.system.quiet_import import import_quietly, silence_imports
from .flair_stand_in import stand_in_for_flair

_INSTALL = "textattack.shared.utils.install"
_DOWNLOADS_DONE = "post_install_check_3"  # the file whose presence tells TextAttack 0.3.11 not to download
_CACHE_READERS = ("datasets", "transformers", "flair", "bert_score")  # read their cache folder's name at import: before it is moved


def require_textattack() -> None:
    """Raise `CapabilityError` if TextAttack or one of its requirements is not installed. Imports nothing."""
    missing = [name for name in ("textattack", "nltk", "greenlet") if find_spec(name) is None]
    if missing:
        raise CapabilityError(f"this attack runs TextAttack, and {', '.join(missing)} cannot be found: {TEXT_ATTACKS}")


def import_textattack(words: Sequence[str], /) -> Any:
    """Import the package. words: stop words for its augmenters, which read them at import."""
    require_textattack()
    if "textattack" in sys.modules:
        return sys.modules["textattack"]
    try:
        with (
            silence_imports(),
            stand_in_for_flair(),
            tempfile.TemporaryDirectory(prefix="windtunnel-textattack-", ignore_cleanup_errors=True) as cache,
        ):
            Path(cache, _DOWNLOADS_DONE).touch()
            for name in _CACHE_READERS:
                import_module(name)
            with _change_environment(TA_CACHE_DIR=cache), serve_stop_words(words):
                package = import_module("textattack")
    except Exception as error:
        reason = f"{type(error).__name__}: {error}"
        raise CapabilityError(f"TextAttack is installed but cannot be imported ({reason}): {TEXT_ATTACKS}") from error
    install: Any = import_module(_INSTALL)
    install.TEXTATTACK_CACHE_DIR = os.environ.get("TA_CACHE_DIR", str(Path("~/.cache/textattack").expanduser()))
    for name in (_INSTALL, "jieba"):
        logging.getLogger(name).setLevel(logging.ERROR)
    return package


@contextmanager
def serve_stop_words(words: Sequence[str], /) -> Iterator[None]:
    """Let ``nltk.corpus.stopwords.words(language)``, which TextAttack uses, return these words."""
    corpus = import_quietly("nltk.corpus")
    outer = corpus.stopwords
    corpus.stopwords = SimpleNamespace(words=lambda language: list(words))
    try:
        yield
    finally:
        corpus.stopwords = outer


@contextmanager
def _change_environment(**changes: str) -> Iterator[None]:
    """Change environment variables, and restore all of them afterwards."""
    before = dict(os.environ)
    os.environ.update(changes)
    try:
        yield
    finally:
        for name in os.environ.keys() - before.keys():
            del os.environ[name]
        os.environ.update(before)
