"""CheckList's invariances as an attack: contractions, names, numbers, places."""

from __future__ import annotations

from .textattack_recipe import TextAttackRecipe


class CheckList(TextAttackRecipe):
    """Change contractions, names, numbers and places, which should not affect the answer (Ribeiro et al.
    2020).

    Black-box, greedy. Names are capitalised words in TextAttack's lists of names and places, in place of a
    neural tagger whose file is a pickle. Settings: see `TextAttackRecipe`.

    Ribeiro, Wu, Guestrin, Singh: Beyond Accuracy: Behavioral Testing of NLP Models with CheckList. ACL 2020,
    https://arxiv.org/abs/2005.04118
    """

    recipe = "CheckList2020"
