"""Which words an attack leaves alone, or a threat protects, and where the list comes from.

TextAttack takes its English stop words from NLTK's data, at import already, and NLTK's data comes from the network. Where a user has it
(``nltk.download("stopwords")``, or a folder named by ``NLTK_DATA``) the attack uses it, and is TextAttack's own to the letter. Where not,
`ENGLISH` stands in, written out by word class. NLTK's list has itself changed over the years (179 words until 2023, more since), so every
result says which list it was made with.

`ENGLISH` holds all 179 words of NLTK's list of 2023 and completes its classes, 31 words more (``mine``, ``us``, ``whose``, ``could``,
``would``, ``can't``, ``i'm`` and its like).
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from ..api.errors import CapabilityError, ConfigError
from ..system.quiet_import import import_quietly
from .nltk_data import nltk

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


def _listed() -> Iterator[str]:
    for words in (_PRONOUNS, _AUXILIARIES, _DETERMINERS, _CONJUNCTIONS, _PREPOSITIONS, _ADVERBS, _CONTRACTIONS, _CLIPPED):
        yield from words.split()
    for stem in _NEGATED.split():
        yield f"{stem}n't"
        yield f"{stem}n"


ENGLISH = tuple(dict.fromkeys(_listed()))


@dataclass(frozen=True, slots=True)
class StopWords:
    source: str
    words: Sequence[str]

    def __str__(self) -> str:
        digest = hashlib.sha256("\n".join(sorted(self.words)).encode()).hexdigest()[:8]
        return f"{self.source}, {len(self.words)} words, sha256 {digest}"


def stop_words(source: str, folder: str | None = None, /) -> StopWords:
    """``nltk``: NLTK's, an error where its data is absent. ``builtin``: `ENGLISH`. ``auto``: NLTK's where present, else `ENGLISH`.

    ``folder``: where NLTK's data is looked for first.
    """
    if source not in ("auto", "nltk", "builtin"):
        raise ConfigError(f"stop_words is 'auto', 'nltk' or 'builtin', not {source!r}")
    if source != "builtin":
        file = Path(folder, "corpora/stopwords/english") if folder else None
        if file is not None and file.is_file():
            return StopWords("nltk", tuple(file.read_text(encoding="utf-8").split()))
        try:
            nltk()
            return StopWords("nltk", tuple(import_quietly("nltk.corpus").stopwords.words("english")))
        except (LookupError, CapabilityError) as error:
            if source == "nltk":
                raise ConfigError(
                    "NLTK's stop words are not on this machine. Fetch them once with 'python -m nltk.downloader stopwords', or set "
                    "NLTK_DATA to a folder that holds corpora/stopwords, or use stop_words: builtin."
                ) from error
    return StopWords("builtin", ENGLISH)


def left_alone(source: str, /) -> frozenset[str]:
    """In small letters: `ENGLISH`, or ``none``."""
    if source not in ("builtin", "none"):
        raise ConfigError(f"stop_words of this attack is 'builtin' or 'none', not {source!r}")
    return frozenset(ENGLISH if source == "builtin" else ())
