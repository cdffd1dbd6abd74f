"""Probability weighted word saliency (PWWS): synonyms from WordNet."""

from __future__ import annotations

from .ranked_recipe import RankedRecipe


class PWWS(RankedRecipe):
    """Replace words by WordNet synonyms, in order of saliency times the effect of the best synonym (Ren et
    al. 2019).

    Black-box, greedy. All synonyms of all words are queried first: many queries. As in TextAttack, without
    the paper's replacement of named entities. Needs WordNet. Settings: see `RankedRecipe`.

    Ren, Deng, He, Che: Generating Natural Language Adversarial Examples through Probability Weighted Word
    Saliency. ACL 2019, https://aclanthology.org/P19-1103/
    """

    recipe = "PWWSRen2019"
    needs = frozenset({"wordnet"})
