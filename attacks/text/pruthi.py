"""Pruthi et al. 2019: typing errors of a hurried writer."""

from __future__ import annotations

import sys
from typing import Any, ClassVar

from ...harness.api.settings import Bound, Count, Share
from ...harness.threats import EditBudget
from .textattack_recipe import TextAttackRecipe


class Pruthi(TextAttackRecipe):
    """Swap, delete or insert a letter, or hit a neighbouring key, inside words of at least four letters
    (Pruthi et al. 2019).

    Black-box, greedy over all words and errors: many queries.

    max_words: maximum number of words with an error; 1 or 2 in the paper.

    Other settings: see `TextAttackRecipe`.

    Pruthi, Dhingra, Lipton: Combating Adversarial Misspellings with Robust Word Recognition. ACL 2019,
    https://arxiv.org/abs/1905.11268
    """

    keeps: ClassVar[frozenset[str]] = frozenset({"max_words"})
    recipe = "Pruthi2019"

    def __init__(
        self,
        *,
        max_words: Bound | None = 1,
        max_share: Share | None = None,
        max_chars: Bound | None = None,
        stop_words: str = "auto",
        num_pooled: Count = 256,
        resources: str | None = None,
    ) -> None:
        super().__init__(
            max_words=max_words, max_share=max_share, max_chars=max_chars, stop_words=stop_words, num_pooled=num_pooled, resources=resources
        )

    def build(self, recipe: Any, model: Any, threat: EditBudget, /, **settings: Any) -> Any:
        return recipe.build(model, max_num_word_swaps=sys.maxsize if threat.max_words is None else threat.max_words)
