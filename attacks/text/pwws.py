"""Probability weighted word saliency: synonyms from WordNet."""

from __future__ import annotations

from .ranked_recipe import RankedRecipe


class PWWS(RankedRecipe):
    """Swaps words for WordNet's synonyms, in the order of saliency times the best swap's effect (Ren et al. 2019).

    Black-box; greedy; all synonyms of all words are tried first, so queries are many. Without the paper's swap of named entities, as in
    TextAttack. Needs WordNet. Settings: see `RankedRecipe`.

    Ren, Deng, He, Che: Generating Natural Language Adversarial Examples through Probability Weighted Word Saliency. ACL 2019,
    https://aclanthology.org/P19-1103/
    """

    recipe = "PWWSRen2019"
    needs = frozenset({"wordnet"})
