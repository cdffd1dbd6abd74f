"""Particle swarms over synonyms: PSO and LEAP."""

from __future__ import annotations

from .textattack_recipe import TextAttackRecipe


class PSO(TextAttackRecipe):
    """A swarm of 60 texts moves towards those that confuse the model most (Zang et al. 2020).

    Black-box; 20 rounds, thousands of queries. The paper takes substitutes from HowNet's sememes, whose bank is a pickle; WordNet's
    synonyms stand in, so numbers are not comparable with the paper's. Needs WordNet. Settings: see `TextAttackRecipe`.

    Zang, Qi, Yang, Liu, Zhang, Liu, Sun: Word-level Textual Adversarial Attacking as Combinatorial Optimization. ACL 2020,
    https://aclanthology.org/2020.acl-main.540/
    """

    recipe = "PSOZang2020"
    needs = frozenset({"wordnet"})


class LEAP(TextAttackRecipe):
    """PSO with Levy flights and an inertia of each particle's own, over WordNet's synonyms, at most 16 % of the words (Xiao et al. 2023).

    Black-box; 20 rounds of 60 texts. Needs WordNet. Settings: see `TextAttackRecipe`.

    LEAP: Efficient and Automated Test Method for NLP Software. ASE 2023, https://arxiv.org/abs/2308.11284
    """

    recipe = "LEAP2023"
    needs = frozenset({"wordnet"})
