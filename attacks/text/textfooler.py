"""TextFooler: synonyms by word vectors, held to meaning and grammar."""

from __future__ import annotations

from collections.abc import Mapping

from .ranked_recipe import RankedRecipe


class TextFooler(RankedRecipe):
    """Swaps the most important words for near ones by their vectors, of the same part of speech (Jin et al. 2020).

    Black-box, greedy. The 50 nearest words of a cosine of 0.5 and more are tried; a window of 15 words around the change keeps an
    angular similarity of 0.84 by the role ``encoder``, which stands in for the Universal Sentence Encoder; shorter texts are not
    compared. Needs word vectors (the paper's are counter-fitted) and a tagger. Its stop words are the paper's own. Settings: see
    `RankedRecipe`.

    Jin, Jin, Zhou, Szolovits: Is BERT Really Robust? AAAI 2020, https://arxiv.org/abs/1907.11932
    """

    recipe = "TextFoolerJin2019"
    needs = frozenset({"tagger", "vectors"})
    roles: Mapping[str, frozenset[str]] = {"encoder": frozenset({"embed"})}
