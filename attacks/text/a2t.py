"""A2T: words ranked by the gradient, replaced by near ones."""

from __future__ import annotations

from collections.abc import Mapping

from .textattack_recipe import TextAttackRecipe


class A2T(TextAttackRecipe):
    """Replace the words with the largest gradient by near words of the same part of speech (Yoo and Qi 2021).

    White-box, for transformers classifiers, greedy. Tries the 20 nearest words with a cosine of at least 0.8.
    The text keeps a cosine similarity of 0.9 by the role ``encoder``, in place of a sentence-transformers
    model. Changes at most 10 % of the words, or 4 if that is more. Needs word vectors (counter-fitted in the
    paper) and a tagger. As in TextAttack, num_queries excludes the gradient. Settings: see
    `TextAttackRecipe`.

    Differences from TextAttack: the gradient is taken without dropout, so it is deterministic; words beyond
    the model's maximum length are ranked last instead of omitted.

    Yoo, Qi: Towards Improving Adversarial Training of NLP Models. Findings of EMNLP 2021,
    https://arxiv.org/abs/2109.00544
    """

    recipe = "A2TYoo2021"
    requires = frozenset({"classify", "text", "gradients"})
    needs = frozenset({"tagger", "vectors"})
    roles: Mapping[str, frozenset[str]] = {"encoder": frozenset({"embed"})}
