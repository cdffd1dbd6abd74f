"""TextBugger: five kinds of errors in important words."""

from __future__ import annotations

from collections.abc import Mapping

from .ranked_recipe import RankedRecipe


class TextBugger(RankedRecipe):
    """Split, shorten, scramble, disguise or replace the most important words (Li et al. 2019).

    Black-box, greedy. Texts keep an angular similarity of 0.8 by the role ``encoder``, in place of the
    Universal Sentence Encoder. Needs word vectors. Settings: see `RankedRecipe`.

    Li, Ji, Du, Li, Wang: TextBugger: Generating Adversarial Text Against Real-world Applications. NDSS 2019,
    https://arxiv.org/abs/1812.05271
    """

    recipe = "TextBuggerLi2018"
    needs = frozenset({"vectors"})
    roles: Mapping[str, frozenset[str]] = {"encoder": frozenset({"embed"})}
