"""Input reduction: how few words leave the prediction as it is."""

from __future__ import annotations

from .textattack_recipe import TextAttackRecipe


class InputReduction(TextAttackRecipe):
    """Deletes the words that matter least for as long as the prediction stays (Feng et al. 2018).

    Black-box. It looks for a text that says nothing any more and is still answered the same: a twin is no flipped prediction, so the
    success rate is 0 by design. What it found is how short the texts became: ``words_changed``. Settings: see `TextAttackRecipe`.

    Feng, Wallace, Grissom, Iyyer, Rodriguez, Boyd-Graber: Pathologies of Neural Models Make Interpretations Difficult. EMNLP 2018,
    https://arxiv.org/abs/1804.07781
    """

    recipe = "InputReductionFeng2018"
    keeps_answer = True
