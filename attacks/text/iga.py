"""The improved genetic algorithm over near words."""

from __future__ import annotations

from .textattack_recipe import TextAttackRecipe


class IGA(TextAttackRecipe):
    """Breeds 60 texts over 20 generations; words become near ones by their vectors, at most 20 % of them (Wang et al. 2019).

    Black-box; thousands of queries. Needs word vectors (the paper's are counter-fitted), within a squared distance of 0.5 from the
    word before. Settings: see `TextAttackRecipe`.

    Wang, Jin, He: Natural Language Adversarial Attacks and Defenses in Word Level. https://arxiv.org/abs/1909.06723
    """

    recipe = "IGAWang2019"
    needs = frozenset({"vectors"})
