"""BERT-Attack: replacements by a masked language model that sees the original word."""

from __future__ import annotations

from collections.abc import Mapping

from .ranked_recipe import RankedRecipe


class BertAttack(RankedRecipe):
    """Replace the most important words piece by piece by proposals of a masked language model (Li et al.
    2020).

    Black-box, greedy. Tries the 8 most likely tokens of the role ``masked_lm`` for each piece of a word and
    changes at most 40 % of the words. The whole text keeps a cosine of 0.2 by the role ``encoder``, in place
    of the Universal Sentence Encoder. Settings: see `RankedRecipe`.

    Li, Ma, Guo, Xue, Qiu: BERT-ATTACK: Adversarial Attack Against BERT Using BERT. EMNLP 2020,
    https://arxiv.org/abs/2004.09984
    """

    recipe = "BERTAttackLi2020"
    roles: Mapping[str, frozenset[str]] = {"encoder": frozenset({"embed"}), "masked_lm": frozenset({"fill_mask"})}
