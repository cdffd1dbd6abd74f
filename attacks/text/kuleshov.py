"""Kuleshov et al. 2017: near words under a language model."""

from __future__ import annotations

from collections.abc import Mapping

from .textattack_recipe import TextAttackRecipe


class Kuleshov(TextAttackRecipe):
    """Replace words by near ones, greedily, until the correct class's probability falls below 0.7 (Kuleshov
    et al. 2017).

    Black-box. Changes at most half of the words; the mean word vector moves by at most 0.2; the
    log-probability of a new word after the preceding text decreases by at most 2 under the role
    ``language_model``, in place of GPT-2. The whole word counts; TextAttack compares first tokens. Needs word
    vectors. Settings: see `TextAttackRecipe`.

    Kuleshov, Thakoor, Lau, Ermon: Adversarial Examples for Natural Language Classification Problems.
    https://openreview.net/forum?id=r1QZ3zbAZ
    """

    recipe = "Kuleshov2017"
    needs = frozenset({"vectors"})
    roles: Mapping[str, frozenset[str]] = {"language_model": frozenset({"loglikelihood"})}
