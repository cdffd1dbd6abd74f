"""Bad characters: edits that a reader cannot see."""

from __future__ import annotations

from typing import Any

from ...harness.api.settings import Bound, Count, Share
from .textattack_recipe import TextAttackRecipe


class BadCharacters(TextAttackRecipe):
    """Insert look-alike or invisible characters, deletions or reorderings, by differential evolution (Boucher
    et al. 2022).

    Black-box, targeted at the next class.

    perturbation: ``homoglyphs`` (needs Unicode's table), ``invisible``, ``deletions`` or ``reorderings``.
    num_perturbations: number of perturbations per text.
    population: number of texts per generation.
    generations: number of generations.

    Other settings: see `TextAttackRecipe`.

    Boucher, Shumailov, Anderson, Papernot: Bad Characters: Imperceptible NLP Attacks. IEEE S&P 2022,
    https://arxiv.org/abs/2106.09898
    """

    recipe = "BadCharacters2021"

    def __init__(
        self,
        *,
        perturbation: str = "invisible",
        num_perturbations: Count = 1,
        population: Count = 32,
        generations: Count = 10,
        max_words: Bound | None = None,
        max_share: Share | None = None,
        max_chars: Bound | None = None,
        num_pooled: Count = 256,
        resources: str | None = None,
    ) -> None:
        super().__init__(
            max_words=max_words, max_share=max_share, max_chars=max_chars, stop_words="builtin", num_pooled=num_pooled, resources=resources
        )
        if perturbation == "homoglyphs":
            self.needs = frozenset({"homoglyphs"})
        self._settings = {
            "goal_function_type": "targeted_classification", "perturbation_type": perturbation, "perturbs": num_perturbations,
            "popsize": population, "maxiter": generations,
        }  # fmt: skip

    def settings(self, sample_label: int, num_labels: int, /) -> dict[str, Any]:
        return {**self._settings, "target_class": (sample_label + 1) % num_labels}
