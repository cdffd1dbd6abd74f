"""The improved genetic algorithm (IGA) over near words."""

from __future__ import annotations

from .textattack_recipe import TextAttackRecipe


class IGA(TextAttackRecipe):
    """Breed 60 texts over 20 generations; at most 20 % of the words become near words (Wang et al. 2019).

    Black-box; thousands of queries. Needs word vectors (counter-fitted in the paper); near words are within a
    squared distance of 0.5. Settings: see `TextAttackRecipe`.

    Wang, Jin, He: Natural Language Adversarial Attacks and Defenses in Word Level.
    https://arxiv.org/abs/1909.06723
    """

    recipe = "IGAWang2019"
    needs = frozenset({"vectors"})
