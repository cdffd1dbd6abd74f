"""CheckList's invariances as an attack: contractions, names, numbers, places."""

from __future__ import annotations

from .textattack_recipe import TextAttackRecipe


class CheckList(TextAttackRecipe):
    """Contracts and expands (it's, it is), and changes names, numbers and places, where no answer should change (Ribeiro et al. 2020).

    Black-box, greedy. TextAttack finds names by a neural tagger whose file is a pickle; lists of names stand in: a capitalised word
    that is in TextAttack's lists of names or places is one. Settings: see `TextAttackRecipe`.

    Ribeiro, Wu, Guestrin, Singh: Beyond Accuracy: Behavioral Testing of NLP Models with CheckList. ACL 2020,
    https://arxiv.org/abs/2005.04118
    """

    recipe = "CheckList2020"
