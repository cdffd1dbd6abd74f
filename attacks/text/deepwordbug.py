"""DeepWordBug: typing errors in the most important words."""

from __future__ import annotations

import sys
from typing import Any, ClassVar

from ...harness.api.settings import Bound, Count, Share
from ...harness.threats import EditBudget
from .ranked_recipe import RankedRecipe


class DeepWordBug(RankedRecipe):
    """Swap, replace, delete or insert one character in each of the most important words (Gao et al. 2018).

    Black-box. Words are ranked by the decrease of the correct class's probability when they are masked. For
    one word after the other, the best of four random typing errors is kept if it helps, until the prediction
    flips. The recipe is TextAttack's ``DeepWordBugGao2018``, unmodified.

    max_chars: maximum Levenshtein distance of the text, in characters; the paper's epsilon.
    max_words, max_share: maximum number and share of changed words; no bound in the paper.
    use_all_transformations: False only replaces characters.

    Other settings: see `RankedRecipe`.

    Gao, Lanchantin, Soffa, Qi: Black-box Generation of Adversarial Text Sequences to Evade Deep Learning
    Classifiers. IEEE Security and Privacy Workshops 2018, https://arxiv.org/abs/1801.04354
    """

    keeps: ClassVar[frozenset[str]] = frozenset({"max_chars"})
    recipe = "DeepWordBugGao2018"

    def __init__(
        self,
        *,
        max_chars: Bound | None = 30,
        max_words: Bound | None = None,
        max_share: Share | None = None,
        use_all_transformations: bool = True,
        stop_words: str = "auto",
        num_pooled: Count = 256,
        resources: str | None = None,
        importance: str = "recipe",
    ) -> None:
        super().__init__(
            importance=importance,
            max_words=max_words,
            max_share=max_share,
            max_chars=max_chars,
            stop_words=stop_words,
            num_pooled=num_pooled,
            resources=resources,
        )
        self.use_all_transformations = use_all_transformations

    def settings(self, sample_label: int, num_labels: int, /) -> dict[str, Any]:
        return {"use_all_transformations": self.use_all_transformations}

    def build(self, recipe: Any, model: Any, threat: EditBudget, /, **settings: Any) -> Any:
        attack = recipe.build(model, **settings)
        (epsilon,) = attack.constraints
        epsilon.max_edit_distance = sys.maxsize if threat.max_chars is None else threat.max_chars
        return attack
