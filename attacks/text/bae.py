"""BAE: replacements proposed by a masked language model."""

from __future__ import annotations

from collections.abc import Mapping

from .ranked_recipe import RankedRecipe


class BAE(RankedRecipe):
    """Replace the most important words by proposals of a masked language model (Garg and Ramakrishnan 2020).

    Black-box, greedy; the paper's BAE-R. Tries the 50 most likely words of the role ``masked_lm`` with the
    same part of speech. A window of 15 words around the change keeps an angular similarity of 0.94 by the
    role ``encoder``, in place of the Universal Sentence Encoder; shorter texts are not compared. Needs a
    tagger. Settings: see `RankedRecipe`.

    Garg, Ramakrishnan: BAE: BERT-based Adversarial Examples for Text Classification. EMNLP 2020,
    https://arxiv.org/abs/2004.01970
    """

    recipe = "BAEGarg2019"
    needs = frozenset({"tagger"})
    roles: Mapping[str, frozenset[str]] = {"encoder": frozenset({"embed"}), "masked_lm": frozenset({"fill_mask"})}
