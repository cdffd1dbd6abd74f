"""Recipes other than the registered one, pooled and spliced: what TextAttack alone gives, in far fewer calls."""

from __future__ import annotations

import hashlib
import random
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from typing import Any

import pytest
from windtunnel.attacks.text import textattack_import
from windtunnel.attacks.text.stop_words import ENGLISH
from windtunnel.attacks.text.textattack_import import served
from windtunnel.attacks.text.textattack_recipe import TextAttackRecipe
from windtunnel.harness.errors import CapabilityError
from windtunnel.harness.inputs import Input
from windtunnel.harness.plugins import Differentiable, ModelInfo
from windtunnel.harness.requests import Classify, Logits
from windtunnel.harness.samples import Sample, SampleRng
from windtunnel.harness.threats import EditBudget

pytestmark = [pytest.mark.textattack, pytest.mark.filterwarnings("ignore:The 'warn' method is deprecated:DeprecationWarning")]

LABELS = ("negative", "positive")
WORDS = (
    "a", "the", "film", "warm", "funny,", "It's", "well-made", "(mostly)", "dull", "plot", "is", "thin", "gorgeous", "and", "strange!",
    "nobody", "cares", "this", "year", "3.5", "stars", "--", "'really'", "café", "I", "never", "again",
)  # fmt: skip
SAMPLES = tuple(
    Sample(f"s{i}", " ".join(random.Random(i).choices(WORDS, k=1 + random.Random(-i).randrange(18))), i % 2, LABELS) for i in range(16)
)
THESAURUS = {"warm": ["mild", "hot"], "film": ["picture", "movie", "photo-play"], "plot": ["plan of it"], "thin": ["lean"],
             "gorgeous": ["lush"], "never": ["not ever"], "year": ["month"], "stars": ["suns"], "dull": ["dim"]}  # fmt: skip


class BagOfWords:
    """A model and its engine in one: logits from each word's hash, and a little from each character's, so that every edit counts."""

    info = ModelInfo(frozenset({"classify", "text"}), LABELS)

    def __init__(self) -> None:
        self.num_calls = 0

    def logits(self, texts: Sequence[str]) -> list[tuple[float, float]]:
        self.num_calls += 1
        drawn = [sum(hashlib.sha256(word.encode()).digest()[0] / 128 - 1 for word in text.split()) for text in texts]
        return [(value + sum(map(ord, text)) % 97 / 97, -value) for value, text in zip(drawn, texts, strict=True)]

    def try_run(self, requests: Sequence[Classify], /) -> list[Any]:
        return [Logits(values) for values in self.logits([str(request.input) for request in requests])]

    def run(self, requests: Sequence[Any], /) -> list[Any]:
        return self.try_run(requests)

    def canonical(self, value: Input, /) -> Input:
        return value

    def differentiable(self) -> AbstractContextManager[Differentiable]:
        raise NotImplementedError

    def groups(self, lengths: Sequence[int], /) -> list[list[int]]:
        raise NotImplementedError


@pytest.fixture
def textattack() -> Any:
    try:
        textattack_import.require_textattack()
    except CapabilityError as error:
        pytest.skip(str(error))
    return textattack_import.import_textattack(ENGLISH)


def reduction(textattack: Any, model: Any) -> Any:
    """Deletes words for as long as the prediction stays: indices move with every step."""
    return textattack.attack_recipes.InputReductionFeng2018.build(model)


def typos(textattack: Any, model: Any) -> Any:
    """All words and all their typing errors at every step."""
    return textattack.attack_recipes.Pruthi2019.build(model, max_num_word_swaps=2)


def saliency(textattack: Any, model: Any) -> Any:
    """The search of PWWS, with a thesaurus of five words for WordNet."""

    class Synonyms(textattack.transformations.WordSwap):  # type: ignore[misc]
        def _get_replacement_words(self, word: str) -> list[str]:
            return THESAURUS.get(word, [])

    constraints = textattack.constraints.pre_transformation
    return textattack.Attack(
        textattack.goal_functions.UntargetedClassification(model),
        [constraints.RepeatModification(), constraints.StopwordModification()],
        Synonyms(),
        textattack.search_methods.GreedyWordSwapWIR("weighted-saliency"),
    )


def split_words(textattack: Any, model: Any) -> Any:
    """Spaces into words, by a beam: one word becomes two, also those that were split before."""
    insertion = textattack.transformations.WordSwapRandomCharacterInsertion(letters_to_insert=" ", skip_first_char=True, random_one=True)
    constraint = textattack.constraints.pre_transformation.MaxWordIndexModification(6)
    goal = textattack.goal_functions.UntargetedClassification(model, query_budget=150)
    return textattack.Attack(goal, [constraint], insertion, textattack.search_methods.BeamSearch(2))


Build = Callable[[Any, Any], Any]


class Recipe(TextAttackRecipe):
    def __init__(self, build: Build) -> None:
        super().__init__(EditBudget(), stop_words="builtin")
        self._build = build

    def build(self, textattack: Any, model: Any, threat: EditBudget, /) -> Any:
        return self._build(textattack, model)


def alone(textattack: Any, build: Build, model: BagOfWords) -> list[tuple[str, int]]:
    """TextAttack as it comes, one text after the other."""
    import torch

    class Wrapper(textattack.models.wrappers.ModelWrapper):  # type: ignore[misc]
        def __init__(self) -> None:
            self.model = model

        def __call__(self, texts: list[str]) -> Any:
            return torch.tensor(model.logits(texts))

    with served(ENGLISH):
        attack = build(textattack, Wrapper())
    rng, found = SampleRng("test", 0), []
    for sample in SAMPLES:
        textattack.shared.utils.set_seed(rng.seed(sample.id) % 2**32)
        result = attack.attack(sample.input, sample.target)
        found.append((result.perturbed_result.attacked_text.text, result.num_queries))
    return found


@pytest.mark.parametrize("build", [reduction, typos, saliency, split_words])
def test_pooled_and_spliced_is_textattack_alone(textattack: Any, build: Build) -> None:
    recipe, engine, model = Recipe(build), BagOfWords(), BagOfWords()
    twins = recipe.perturb(engine, SAMPLES, recipe.threat, SampleRng("test", 0))
    assert [twin.metadata.get("error") for twin in twins] == [None] * len(SAMPLES)
    assert [(twin.input, twin.metadata["num_queries"]) for twin in twins] == alone(textattack, build, model)
    assert sum(twin.input != sample.input for twin, sample in zip(twins, SAMPLES, strict=True)) >= 4
    assert engine.num_calls < model.num_calls / 2
