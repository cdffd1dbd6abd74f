"""Stop words: words that an attack does not change, or that a threat protects.

TextAttack loads its English stop words from NLTK's data at import, and NLTK downloads that data. If the data is present
(``nltk.download("stopwords")``, or a folder in ``NLTK_DATA``), attacks use it, and match TextAttack exactly. If not,
they use `ENGLISH`, which lists words by class. NLTK's list has changed over the years (179 words until 2023, more
since), so every result names its list.

`ENGLISH` has all 179 words of NLTK's list of 2023, and 31 more that complete its classes (``mine``, ``us``, ``whose``,
``could``, ``would``, ``can't``, ``i'm`` and similar).
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from ..api.errors import CapabilityError, ConfigError
from ..system.quiet_import import import_quietly
from .nltk_data import import_nltk

_PRONOUNS = """
    i me my mine myself   we us our ours ourselves   you your yours yourself yourselves   he him his himself   she her hers herself
    it its itself   they them their theirs themselves   this that these those   what which who whom whose   when where why how
"""
_AUXILIARIES = """
    am is are was were be been being   have has had having   do does did doing   can could will would shall should may might must
"""
_DETERMINERS = "a an the   all any both each few more most some such other same own no"
_CONJUNCTIONS = "and but or nor if because as until while than so"
_PREPOSITIONS = """
    of at by for with about against between into through during before after above below to from up down in out on off over under
"""
_ADVERBS = "not only too very just now then here there again further once"
_CONTRACTIONS = """
    i'm i've i'll i'd   we're we've we'll we'd   you're you've you'll you'd   he's he'll he'd   she's she'll she'd   it's it'll it'd
    they're they've they'll they'd   that's that'll should've   can't
"""
_CLIPPED = "d ll m re s t ve   o ma y"  # what splitting at the apostrophe leaves of I'd, we'll, o'clock, ma'am, y'all
_NEGATED = "is are was were   have has had   do does did   could would should might must need   ai sha wo"


def _list_words() -> Iterator[str]:
    for words in (_PRONOUNS, _AUXILIARIES, _DETERMINERS, _CONJUNCTIONS, _PREPOSITIONS, _ADVERBS, _CONTRACTIONS, _CLIPPED):
        yield from words.split()
    for stem in _NEGATED.split():
        yield f"{stem}n't"
        yield f"{stem}n"


ENGLISH = tuple(dict.fromkeys(_list_words()))


@dataclass(frozen=True, slots=True)
class StopWords:
    """A list of stop words. ``source``: ``nltk`` or ``builtin``. Its text names source, size and digest."""

    source: str
    words: Sequence[str]

    def __str__(self) -> str:
        digest = hashlib.sha256("\n".join(sorted(self.words)).encode()).hexdigest()[:8]
        return f"{self.source}, {len(self.words):,} words, sha256 {digest}"


def load_stop_words(source: str, folder: str | None = None, /) -> StopWords:
    """Load English stop words.

    source: ``nltk``; ``builtin`` for `ENGLISH`; ``auto`` for NLTK's if present, else `ENGLISH`.
    folder: first folder to search for NLTK's data.

    Raises `ConfigError` for another source, or ``nltk`` without its data.
    """
    if source not in ("auto", "nltk", "builtin"):
        raise ConfigError(f"stop_words must be 'auto', 'nltk' or 'builtin', not {source!r}")
    if source != "builtin":
        file = Path(folder, "corpora/stopwords/english") if folder else None
        if file is not None and file.is_file():
            return StopWords("nltk", tuple(file.read_text(encoding="utf-8").split()))
        try:
            import_nltk()
            return StopWords("nltk", tuple(import_quietly("nltk.corpus").stopwords.words("english")))
        except (LookupError, CapabilityError) as error:
            if source == "nltk":
                raise ConfigError(
                    "NLTK's stop words are not on this machine. Download them once with 'python -m nltk.downloader stopwords', "
                    "or set NLTK_DATA to a folder that has corpora/stopwords, or use stop_words: builtin."
                ) from error
    return StopWords("builtin", ENGLISH)


def get_builtin_stop_words(source: str, /) -> frozenset[str]:
    """Return `ENGLISH` for ``builtin``, no words for ``none``. Raises `ConfigError` for another source."""
    if source not in ("builtin", "none"):
        raise ConfigError(f"stop_words of this attack must be 'builtin' or 'none', not {source!r}")
    return frozenset(ENGLISH if source == "builtin" else ())
