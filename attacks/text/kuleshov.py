"""Kuleshov et al. 2017: near words, a text vector that stays, and a language model's consent."""

from __future__ import annotations

from collections.abc import Mapping

from .textattack_recipe import TextAttackRecipe


class Kuleshov(TextAttackRecipe):
    """Swaps words for near ones by their vectors until the right class falls below 0.7, greedily (Kuleshov et al. 2017).

    Black-box. At most half of the words; the mean word vector moves by at most 0.2; a new word's log-probability after what stands
    before it falls by at most 2 under the role ``language_model``, which stands in for GPT-2. There the whole word counts, where
    TextAttack compares first tokens. Needs word vectors. Settings: see `TextAttackRecipe`.

    Kuleshov, Thakoor, Lau, Ermon: Adversarial Examples for Natural Language Classification Problems.
    https://openreview.net/forum?id=r1QZ3zbAZ
    """

    recipe = "Kuleshov2017"
    needs = frozenset({"vectors"})
    roles: Mapping[str, frozenset[str]] = {"language_model": frozenset({"loglikelihood"})}
