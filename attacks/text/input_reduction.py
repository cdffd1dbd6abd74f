"""Input reduction: the fewest words that keep the prediction."""

from __future__ import annotations

from .textattack_recipe import TextAttackRecipe


class InputReduction(TextAttackRecipe):
    """Delete the least important words for as long as the prediction stays (Feng et al. 2018).

    Black-box. The goal is a meaningless text with the same prediction, so the success rate is 0 by design.
    ``words_changed`` shows how short the texts became. Settings: see `TextAttackRecipe`.

    Feng, Wallace, Grissom, Iyyer, Rodriguez, Boyd-Graber: Pathologies of Neural Models Make Interpretations
    Difficult. EMNLP 2018, https://arxiv.org/abs/1804.07781
    """

    recipe = "InputReductionFeng2018"
    keeps_answer = True
