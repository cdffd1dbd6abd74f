"""TextFooler: synonyms by word vectors, with constraints on meaning and grammar."""

from __future__ import annotations

from collections.abc import Mapping

from .ranked_recipe import RankedRecipe


class TextFooler(RankedRecipe):
    """Replace the most important words by near words of the same part of speech (Jin et al. 2020).

    Black-box, greedy. Tries the 50 nearest words with a cosine of at least 0.5. A window of 15 words around
    the change keeps an angular similarity of 0.84 by the role ``encoder``, in place of the Universal Sentence
    Encoder; shorter texts are not compared. Needs word vectors (counter-fitted in the paper) and a tagger.
    Uses the paper's stop words. Settings: see `RankedRecipe`.

    Jin, Jin, Zhou, Szolovits: Is BERT Really Robust? AAAI 2020, https://arxiv.org/abs/1907.11932
    """

    recipe = "TextFoolerJin2019"
    needs = frozenset({"tagger", "vectors"})
    roles: Mapping[str, frozenset[str]] = {"encoder": frozenset({"embed"})}
