"""What TextAttack 0.3.11 imports of flair, where flair is not installed.

TextAttack names flair's classes at its import and calls them only to tag parts of speech and named entities, which `Supplies` answers in
their place. flair 0.15.1 requires a transformers below 5, so it is not asked for.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from types import ModuleType

from ...harness.api.errors import CapabilityError

_TAGS = "TextAttack tags with flair here, which is not installed: give the constraint tagger_type='nltk', or install flair"


class Tokenizer:
    """TextAttack derives a class of its own from it."""


class Sentence:
    def __init__(self, text: str, use_tokenizer: Tokenizer) -> None:
        raise CapabilityError(_TAGS)


class SequenceTagger:
    @classmethod
    def load(cls, name: str) -> None:
        raise CapabilityError(_TAGS)


@contextmanager
def stand_in_for_flair() -> Iterator[None]:
    """Inside, ``import flair`` finds the classes above, unless flair is installed. Outside, nothing has changed."""
    if "flair" in sys.modules or find_spec("flair"):
        yield
        return
    flair, data, models = (ModuleType(name) for name in ("flair", "flair.data", "flair.models"))
    vars(data).update(Sentence=Sentence, Tokenizer=Tokenizer)
    vars(models).update(SequenceTagger=SequenceTagger)
    vars(flair).update(data=data, models=models)
    modules = {module.__name__: module for module in (flair, data, models)}
    sys.modules.update(modules)
    try:
        yield
    finally:
        for name in modules:
            del sys.modules[name]
