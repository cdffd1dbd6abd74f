"""TextAttack's recipes that change words in the order of their importance, and other ways to know that order."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any

from ...harness.api.settings import Bound, Count, Share
from .importance import checked, ranked_by
from .textattack_recipe import SearchedModel, TextAttackRecipe


class RankedRecipe(TextAttackRecipe):
    """Base of the recipes that change the most important words first. A recipe finds them by asking for the text without each word.

    ``importance``: ``recipe`` (that), or white-box, for transformers classifiers: ``gradient`` (of each word's embeddings, the L1 norm)
    or ``integrated_gradients`` (in 8 steps from a text of padding; see the probe of this name). The search is the recipe's own after that.
    num_queries then counts each gradient pass as a query, and ``num_gradients`` says how many they are: 1 or 8. The other settings: see
    `TextAttackRecipe`.
    """

    def __init__(
        self,
        *,
        importance: str = "recipe",
        max_words: Bound | None = None,
        max_share: Share | None = None,
        max_chars: Bound | None = None,
        stop_words: str = "auto",
        num_pooled: Count = 256,
        resources: str | None = None,
        vectors: str | None = None,
        tagger: str = "nltk",
    ) -> None:
        super().__init__(
            max_words=max_words, max_share=max_share, max_chars=max_chars, stop_words=stop_words, num_pooled=num_pooled,
            resources=resources, vectors=vectors, tagger=tagger,
        )  # fmt: skip
        self.importance = checked(importance)
        if importance != "recipe":
            self.requires |= {"gradients"}

    def replaced(self, textattack: Any, model: SearchedModel, /) -> Mapping[str, Any]:
        if self.importance == "recipe":
            return {}
        return {"GreedyWordSwapWIR": partial(ranked_by(textattack), partial(model.importance, self.importance))}
