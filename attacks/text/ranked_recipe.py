"""Base class of TextAttack recipes that change words in order of importance, with alternative importance
measures."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any

from ...harness.api.settings import Bound, Count, Share
from .importance import check_importance, make_ranked_search_class
from .textattack_recipe import SearchedModel, TextAttackRecipe


class RankedRecipe(TextAttackRecipe):
    """Base class of recipes that change the most important words first.

    importance: ``recipe`` (queries without each word), or white-box, for transformers classifiers:
        ``gradient`` (L1 norm of the gradient by the word's embeddings) or ``integrated_gradients`` (8 steps
        from a text of padding; see the probe of this name). Only the ranking changes. num_queries counts each
        gradient pass as a query; ``num_gradients`` is their number, 1 or 8.

    Other settings: see `TextAttackRecipe`.
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
        self.importance = check_importance(importance)
        if importance != "recipe":
            self.requires |= {"gradients"}

    def replaced(self, textattack: Any, model: SearchedModel, /) -> Mapping[str, Any]:
        if self.importance == "recipe":
            return {}
        return {"GreedyWordSwapWIR": partial(make_ranked_search_class(textattack), partial(model.importance, self.importance))}
