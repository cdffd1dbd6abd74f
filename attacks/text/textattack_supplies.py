"""Supply what TextAttack's recipes would download from the suite: models by role, word lists from files.

A recipe is built by its own ``build``. During that, names of models and data in the recipe's module
(``SBERT``, ``WordSwapEmbedding``) are bound to compatible classes that use the suite's. During searches,
TextAttack's calls of NLTK and flair are answered in the same way. Searches, thresholds and windows are the
recipe's own.

| the recipe uses | supplied by |
| --- | --- |
| Universal Sentence Encoder, SBERT | the role ``encoder`` |
| a masked language model | the role ``masked_lm`` |
| GPT-2's log-probabilities | the role ``language_model`` |
| counter-fitted word vectors | ``vectors`` |
| WordNet, NLTK's tagger | the resource folder |
| flair's part of speech | ``tagger`` |
| flair's names of people and places | TextAttack's own lists |
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
from .language_data import HOMOGLYPHS, load_word_vectors, load_wordnet, trust_folder
from .named_entities import tag_entity
from .textattack_models import AskRole, Encoder, log_prob_class, make_infilling_classes

_SWAPS = "textattack.transformations.word_swaps"


@dataclass(frozen=True, slots=True)
class Supplies:
    """The supplies of a recipe. The fields are settings of `TextAttackRecipe`."""

    textattack: Any
    folder: str | None
    vectors: str | None
    tagger: str

    @contextmanager
    def at_build(self, module: Any, ask: AskRole, more: Mapping[str, Any], /) -> Iterator[None]:
        """Bind the names of models and data in ``module``, a recipe's, to the supplies. more: further names."""
        homoglyphs = import_module(f"{_SWAPS}.word_swap_homoglyph_swap")
        with _bind(module, {**self._make_classes(ask), **more}), _bind(homoglyphs, {"open": self._open}, also_new=True):
            yield

    @contextmanager
    def at_search(self) -> Iterator[None]:
        """Answer TextAttack's calls of NLTK and flair during searches."""
        text, words = self.textattack.shared.AttackedText, self._make_wordnet()
        nltk = SimpleNamespace(pos_tag=lambda words, tagset, lang: self._tag_words(words), download=lambda *names, **settings: True)
        with ExitStack() as inside:
            inside.enter_context(trust_folder(self.folder))
            inside.enter_context(_bind(import_module("textattack.constraints.grammaticality.part_of_speech"), {"nltk": nltk}))
            inside.enter_context(_bind(import_module(f"{_SWAPS}.word_swap_wordnet"), {"nltk": nltk, "wordnet": words}))
            inside.enter_context(_bind(text, {"pos_of_word_index": self._tag_one, "ner_of_word_index": _tag_entity}))
            yield

    def _make_classes(self, ask: AskRole) -> Mapping[str, Any]:
        textattack, vectors = self.textattack, self._load_vectors
        semantics = import_module("textattack.constraints.semantics")
        encoders = import_module("textattack.constraints.semantics.sentence_encoders")
        encoder = Encoder(ask)

        def sentence_encoder(**settings: Any) -> Any:
            constraint = encoders.UniversalSentenceEncoder(**settings)
            constraint.model = encoder
            return constraint

        def sbert(model_name: str = "", threshold: float = 0.7, metric: str = "cosine", **settings: Any) -> Any:
            return sentence_encoder(threshold=threshold, metric=metric, **settings)

        return {
            "UniversalSentenceEncoder": sentence_encoder,
            "SBERT": sbert,
            "WordSwapEmbedding": lambda **settings: textattack.transformations.WordSwapEmbedding(embedding=vectors(), **settings),
            "WordEmbeddingDistance": lambda **settings: semantics.WordEmbeddingDistance(embedding=vectors(), **settings),
            "ThoughtVector": lambda **settings: encoders.ThoughtVector(embedding=vectors(), **settings),
            "GPT2": partial(log_prob_class(), ask),
            **{name: partial(transformation, ask) for name, transformation in make_infilling_classes(textattack).items()},
            # CLARE loads its model by name to share it between three transformations.
            "transformers": SimpleNamespace(AutoModelForCausalLM=_NOTHING, AutoTokenizer=_NOTHING),
            # WordNet's synonyms replace HowNet's sememes, which are a pickle.
            **dict.fromkeys(("WordSwapWordNet", "WordSwapHowNet"), make_sorted_synonym_swap(textattack)),
        }

    def _open(self, path: str, *how: Any, **settings: Any) -> Any:
        """Open the table of look-alikes, which TextAttack 0.3.11 reads but does not ship; empty if missing.
        Only some recipes use it."""
        file = find_package(HOMOGLYPHS, self.folder)
        return file.open(*how, **settings) if file else io.StringIO()

    def _load_vectors(self) -> Any:
        return load_word_vectors(self.textattack, self.vectors, self.folder)

    def _make_wordnet(self) -> Any:
        return SimpleNamespace(langs=lambda: ["eng"], synsets=lambda word, lang: load_wordnet(self.folder).synsets(word, lang=lang))

    def _tag_words(self, words: list[str]) -> list[tuple[str, str]]:
        tag: Tagger = load_tagger(self.tagger, self.folder)
        return tag(words)

    @property
    def _tag_one(self) -> Callable[[Any, int], str]:
        return lambda text, index: self._tag_words(text.words)[index][1]


@cache
def make_sorted_synonym_swap(textattack: Any, /) -> Any:
    """Return TextAttack's WordNet swap with sorted synonyms. Its own order differs between processes, and the
    first of equally good synonyms wins."""

    class WordSwapWordNet(textattack.transformations.WordSwapWordNet):  # type: ignore[misc]
        def _get_replacement_words(self, word: str) -> list[str]:
            return sorted(super()._get_replacement_words(word))

    return WordSwapWordNet


_NOTHING = SimpleNamespace(from_pretrained=lambda name: None)


def _tag_entity(text: Any, index: int, model_name: str = "ner") -> Any:
    return tag_entity(text.words, index)


@contextmanager
def _bind(owner: Any, names: Mapping[str, Any], *, also_new: bool = False) -> Iterator[None]:
    """Bind names of the owner to values, and restore them afterwards. also_new: also names that it does not
    have."""
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
