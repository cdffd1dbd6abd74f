"""Particle swarm optimisation over synonyms: PSO and LEAP."""

from __future__ import annotations

from .textattack_recipe import TextAttackRecipe


class PSO(TextAttackRecipe):
    """Move a swarm of 60 texts towards those that confuse the model most (Zang et al. 2020).

    Black-box; 20 rounds, thousands of queries. Uses WordNet's synonyms in place of the paper's HowNet
    sememes, whose data is a pickle, so numbers are not comparable with the paper's. Needs WordNet. Settings:
    see `TextAttackRecipe`.

    Zang, Qi, Yang, Liu, Zhang, Liu, Sun: Word-level Textual Adversarial Attacking as Combinatorial
    Optimization. ACL 2020, https://aclanthology.org/2020.acl-main.540/
    """

    recipe = "PSOZang2020"
    needs = frozenset({"wordnet"})


class LEAP(TextAttackRecipe):
    """Run PSO with Levy flights and an individual inertia per particle, on WordNet's synonyms (Xiao et al.
    2023).

    Black-box; 20 rounds of 60 texts; changes at most 16 % of the words. Needs WordNet. Settings: see
    `TextAttackRecipe`.

    LEAP: Efficient and Automated Test Method for NLP Software. ASE 2023, https://arxiv.org/abs/2308.11284
    """

    recipe = "LEAP2023"
    needs = frozenset({"wordnet"})
