"""BERT-Attack: a masked language model that sees the word proposes others."""

from __future__ import annotations

from collections.abc import Mapping

from .ranked_recipe import RankedRecipe


class BertAttack(RankedRecipe):
    """Replaces the most important words by what a masked language model makes of them, piece by piece (Li et al. 2020).

    Black-box, greedy; the 8 likeliest tokens of the role ``masked_lm`` for each piece of a word, at most 40 % of the words; the whole
    text keeps a cosine of 0.2 by the role ``encoder``, which stands in for the Universal Sentence Encoder. Settings: see
    `RankedRecipe`.

    Li, Ma, Guo, Xue, Qiu: BERT-ATTACK: Adversarial Attack Against BERT Using BERT. EMNLP 2020, https://arxiv.org/abs/2004.09984
    """

    recipe = "BERTAttackLi2020"
    roles: Mapping[str, frozenset[str]] = {"encoder": frozenset({"embed"}), "masked_lm": frozenset({"fill_mask"})}
