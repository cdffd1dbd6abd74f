"""A2T: words ranked by the gradient, swapped for near ones."""

from __future__ import annotations

from collections.abc import Mapping

from .textattack_recipe import TextAttackRecipe


class A2T(TextAttackRecipe):
    """Swaps the words of the largest gradient for near ones by their vectors, of the same part of speech (Yoo and Qi 2021).

    White-box, for transformers classifiers, greedy. The 20 nearest words of a cosine of 0.8 and more are tried; the text keeps a cosine
    similarity of 0.9 by the role ``encoder``, which stands in for a sentence-transformers model; a tenth of the words change, or 4 where
    that is more. Needs word vectors (the paper's are counter-fitted) and a tagger. num_queries leaves the gradient out, as TextAttack
    does. Settings: see `TextAttackRecipe`.

    Differs from TextAttack: the gradient is taken without dropout, so that it is no matter of chance; and words beyond the model's
    longest text are ranked last, not left out.

    Yoo, Qi: Towards Improving Adversarial Training of NLP Models. Findings of EMNLP 2021, https://arxiv.org/abs/2109.00544
    """

    recipe = "A2TYoo2021"
    requires = frozenset({"classify", "text", "gradients"})
    needs = frozenset({"tagger", "vectors"})
    roles: Mapping[str, frozenset[str]] = {"encoder": frozenset({"embed"})}
