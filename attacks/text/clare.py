"""CLARE: replacements, insertions and merges by a masked language model."""

from __future__ import annotations

from collections.abc import Mapping

from .textattack_recipe import TextAttackRecipe


class CLARE(TextAttackRecipe):
    """Replace, insert or merge words by proposals of a masked language model (Li et al. 2021).

    Black-box, greedy over all of these: very many queries. A window of 15 words keeps a cosine of 0.7 by the
    role ``encoder``, in place of the Universal Sentence Encoder; shorter texts are not compared. Merges
    depend on parts of speech, so it needs a tagger, in place of flair's. The paper's masked language model is
    distilled RoBERTa. Settings: see `TextAttackRecipe`.

    Li, Zhang, Peng, Chen, Brockett, Sun, Dolan: Contextualized Perturbation for Textual Adversarial Attack.
    NAACL 2021, https://arxiv.org/abs/2009.07502
    """

    recipe = "CLARE2020"
    needs = frozenset({"tagger"})
    roles: Mapping[str, frozenset[str]] = {"encoder": frozenset({"embed"}), "masked_lm": frozenset({"fill_mask"})}
