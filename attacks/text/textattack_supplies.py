"""What TextAttack's recipes would download, supplied from the suite: models by role, word lists from files.

A recipe is built by its own ``build``. While that runs, the names in the recipe's module that stand for models and data (``SBERT``,
``WordSwapEmbedding``) are bound to classes of the same kind that take theirs from here; while searches run, what TextAttack asks of NLTK
and flair is answered here too. The recipe's searches, thresholds and windows are its own.

| asked for by the recipe | answered by |
| --- | --- |
| Universal Sentence Encoder, SBERT | the role ``encoder`` |
| a masked language model | the role ``masked_lm`` |
| GPT-2's log-probabilities | the role ``language_model`` |
| counter-fitted word vectors | ``vectors`` |
| WordNet, NLTK's tagger | the resource folder |
| flair's part of speech | ``tagger`` |
| flair's names of people and places | TextAttack's own lists of them |
"""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import cache, partial
from importlib import import_module
from types import SimpleNamespace
from typing import Any

from ...harness.language.nltk_data import find_package
from ...harness.language.parts_of_speech import Tagger, load_tagger
from .language_data import HOMOGLYPHS, trusted, word_vectors, wordnet
from .named_entities import entity
from .textattack_models import AskRole, Encoder, infilling_classes, log_prob_class

_SWAPS = "textattack.transformations.word_swaps"


@dataclass(frozen=True, slots=True)
class Supplies:
    """``ask``: puts requests to the model of a role. The other settings are those of `TextAttackRecipe`."""

    textattack: Any
    folder: str | None
    vectors: str | None
    tagger: str

    @contextmanager
    def at_build(self, module: Any, ask: AskRole, more: Mapping[str, Any], /) -> Iterator[None]:
        """Inside, the names that ``module``, a recipe's, has of these are ours. ``more``: names beside these."""
        homoglyphs = import_module(f"{_SWAPS}.word_swap_homoglyph_swap")
        with _bound(module, {**self._classes(ask), **more}), _bound(homoglyphs, {"open": self._open}, also_new=True):
            yield

    @contextmanager
    def at_search(self) -> Iterator[None]:
        text, words = self.textattack.shared.AttackedText, self._words()
        nltk = SimpleNamespace(pos_tag=lambda words, tagset, lang: self._tags(words), download=lambda *names, **settings: True)
        with ExitStack() as inside:
            inside.enter_context(trusted(self.folder))
            inside.enter_context(_bound(import_module("textattack.constraints.grammaticality.part_of_speech"), {"nltk": nltk}))
            inside.enter_context(_bound(import_module(f"{_SWAPS}.word_swap_wordnet"), {"nltk": nltk, "wordnet": words}))
            inside.enter_context(_bound(text, {"pos_of_word_index": self._pos, "ner_of_word_index": _entity}))
            yield

    def _classes(self, ask: AskRole) -> Mapping[str, Any]:
        textattack, vectors = self.textattack, self._vectors
        semantics = import_module("textattack.constraints.semantics")
        encoders = import_module("textattack.constraints.semantics.sentence_encoders")
        encoder = Encoder(ask)

        def sentence_encoder(**settings: Any) -> Any:
            made = encoders.UniversalSentenceEncoder(**settings)
            made.model = encoder
            return made

        def sbert(model_name: str = "", threshold: float = 0.7, metric: str = "cosine", **settings: Any) -> Any:
            return sentence_encoder(threshold=threshold, metric=metric, **settings)

        return {
            "UniversalSentenceEncoder": sentence_encoder,
            "SBERT": sbert,
            "WordSwapEmbedding": lambda **settings: textattack.transformations.WordSwapEmbedding(embedding=vectors(), **settings),
            "WordEmbeddingDistance": lambda **settings: semantics.WordEmbeddingDistance(embedding=vectors(), **settings),
            "ThoughtVector": lambda **settings: encoders.ThoughtVector(embedding=vectors(), **settings),
            "GPT2": partial(log_prob_class(), ask),
            **{name: partial(made, ask) for name, made in infilling_classes(textattack).items()},
            # CLARE loads its model by name, to share it between three transformations.
            "transformers": SimpleNamespace(AutoModelForCausalLM=_NOTHING, AutoTokenizer=_NOTHING),
            # HowNet's sememes are a pickle; WordNet's synonyms stand in.
            **dict.fromkeys(("WordSwapWordNet", "WordSwapHowNet"), synonyms_in_order(textattack)),
        }

    def _open(self, path: str, *how: Any, **settings: Any) -> Any:
        """A table of look-alikes that TextAttack 0.3.11 reads and does not bring along. Only some recipes use what is in it."""
        file = find_package(HOMOGLYPHS, self.folder)
        return file.open(*how, **settings) if file else io.StringIO()

    def _vectors(self) -> Any:
        return word_vectors(self.textattack, self.vectors, self.folder)

    def _words(self) -> Any:
        return SimpleNamespace(langs=lambda: ["eng"], synsets=lambda word, lang: wordnet(self.folder).synsets(word, lang=lang))

    def _tags(self, words: list[str]) -> list[tuple[str, str]]:
        tag: Tagger = load_tagger(self.tagger, self.folder)
        return tag(words)

    @property
    def _pos(self) -> Callable[[Any, int], str]:
        return lambda text, index: self._tags(text.words)[index][1]


@cache
def synonyms_in_order(textattack: Any, /) -> Any:
    """TextAttack's swap for WordNet's synonyms. Its own gives them in a set's order, which is another in each process; and the first of
    equally good ones is taken."""

    class WordSwapWordNet(textattack.transformations.WordSwapWordNet):  # type: ignore[misc]
        def _get_replacement_words(self, word: str) -> list[str]:
            return sorted(super()._get_replacement_words(word))

    return WordSwapWordNet


_NOTHING = SimpleNamespace(from_pretrained=lambda name: None)


def _entity(text: Any, index: int, model_name: str = "ner") -> Any:
    return entity(text.words, index)


@contextmanager
def _bound(owner: Any, names: Mapping[str, Any], *, also_new: bool = False) -> Iterator[None]:
    """Those of the names that the owner has, or ``also_new`` ones, are bound to these values inside."""
    before = {name: vars(owner)[name] for name in names if name in vars(owner)}
    inside = list(names if also_new else before)
    for name in inside:
        setattr(owner, name, names[name])
    try:
        yield
    finally:
        for name in inside:
            if name in before:
                setattr(owner, name, before[name])
            else:
                delattr(owner, name)
