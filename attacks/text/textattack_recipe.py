"""Runs a stock TextAttack recipe over many samples at once, its searches pooled so that models see full batches.

TextAttack (Morris et al. 2020, https://arxiv.org/abs/2005.05909) attacks one sample at a time, a handful of texts a query. Here each sample
has a recipe of its own in a greenlet; where the recipe would call a model (the classifier, a sentence encoder, a masked language model) it
falls asleep, and the engines answer all sleepers at once. The text a search begins with makes its edits by splicing (`splicing.py`). Where
models and data come from is ours (`textattack_supplies.py`), the search is not: text, status and number of queries are those of TextAttack
run one by one.
"""

from __future__ import annotations

import sys
import warnings
from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from importlib import import_module
from types import SimpleNamespace
from typing import Any, ClassVar, TypeAlias

from ...harness.api.attack import Attack
from ...harness.api.errors import SampleError
from ...harness.api.model_port import ModelPort
from ...harness.api.requests import Classify, Failure, Logits, Request
from ...harness.api.resources import Resource
from ...harness.api.samples import Sample, SampleRng
from ...harness.api.settings import Bound, Count, Share
from ...harness.language.parts_of_speech import tagger_resources
from ...harness.language.stop_words import load_stop_words
from ...harness.modalities.inputs import texts_of
from ...harness.threats import EditBudget
from .importance import NUM_PASSES, TokenImportance, token_importance
from .language_data import homoglyphs_resource, vectors_resource, wordnet_resource
from .pool import Ask, Search, pooled
from .splicing import spliced_text, word_starts
from .textattack_gradients import GRADIENT, TokenGradient, token_gradients
from .textattack_import import import_textattack, require_textattack, served
from .textattack_models import AskRole, Role
from .textattack_supplies import Supplies
from .word_search import admitted, label_of, text_of

Question: TypeAlias = tuple[str, Request[Any]]
"""A role and what is asked of it; no role is the model under attack, and `GRADIENT` asks that for a gradient, a name of
`NUM_PASSES` for the importance of words."""

Readings: TypeAlias = Callable[[Sequence[Request[Any]]], list[Hashable]]


class TextAttackRecipe(Attack[EditBudget]):
    """Base of the recipes. A subclass says in ``recipe`` which one of ``textattack.attack_recipes`` it is, in ``needs`` what it reads
    (``wordnet``, ``tagger``, ``vectors``), in ``roles`` which models it asks, and in its docstring where it comes from.

    ``max_words``, ``max_share``, ``max_chars``: see `EditBudget`; no bound beside the recipe's own. ``stop_words``: the words left
    alone, ``nltk`` (TextAttack's own choice), ``builtin`` (needs no data) or ``auto`` (the first that is there). ``num_pooled``:
    samples searched at once; changes the speed and the memory, not the result. ``resources``: the folder of word data, else where
    NLTK looks. ``vectors``: a file of word vectors. ``tagger``: ``nltk`` or a JSON file of words and tags. See `language_data`.

    The twin's metadata: ``status`` (``success``, ``failed``, ``maximized`` where the recipe does not aim at another answer, or
    ``skipped`` where the model is wrong already), ``num_queries`` as TextAttack counts them (texts it had asked before included),
    ``num_texts`` that reached the engine, and ``stop_words``; or, where the search broke, ``error`` beside an unchanged input.
    """

    requires: frozenset[str] = frozenset({"classify", "text"})
    recipe: ClassVar[str] = ""
    needs: frozenset[str] = frozenset()
    keeps: ClassVar[frozenset[str]] = frozenset()
    """The threat's bounds that the built recipe keeps to by itself."""

    def __init__(
        self,
        *,
        max_words: Bound | None = None,
        max_share: Share | None = None,
        max_chars: Bound | None = None,
        stop_words: str = "auto",
        num_pooled: Count = 256,
        resources: str | None = None,
        vectors: str | None = None,
        tagger: str = "nltk",
    ) -> None:
        require_textattack()
        self.threat = EditBudget(max_words, max_share, max_chars)
        self.stop_words = stop_words
        self.num_pooled = num_pooled
        self._folder, self._vectors, self._tagger = resources, vectors, tagger

    def resources(self) -> list[Resource]:
        """What the recipe reads, and whether it is there."""
        needed: list[Resource] = []
        if "wordnet" in self.needs:
            needed.append(wordnet_resource(self._folder))
        if "tagger" in self.needs:
            needed += tagger_resources(self._tagger, self._folder)
        if "vectors" in self.needs:
            needed.append(vectors_resource(self._vectors, self._folder))
        if "homoglyphs" in self.needs:
            needed.append(homoglyphs_resource(self._folder))
        return needed

    def settings(self, sample_label: int, num_labels: int, /) -> dict[str, Any]:
        """What the recipe's own ``build`` is given beside the model."""
        return {}

    def build(self, recipe: Any, model: Any, threat: EditBudget, /, **settings: Any) -> Any:
        """The recipe's ``textattack.Attack`` on a model wrapper, its own constraints set to the threat where they speak of the same."""
        return recipe.build(model, **settings)

    def replaced(self, textattack: Any, model: SearchedModel, /) -> Mapping[str, Any]:
        """Names of the recipe's module that stand for something else while it is built."""
        return {}

    def perturb(self, engine: ModelPort, samples: Sequence[Sample], threat: EditBudget, rng: SampleRng, /) -> list[Sample]:
        words = load_stop_words(self.stop_words, self._folder)
        textattack = import_textattack(words.words)
        recipe = getattr(textattack.attack_recipes, self.recipe)
        supplies = Supplies(textattack, self._folder, self._vectors, self._tagger)
        kept: dict[str, Any] = dict.fromkeys(self.keeps)
        rest = replace(threat, **kept)

        def search(sample: Sample, ask: Ask[Question, Any]) -> Sample:
            label, text = label_of(sample), text_of(sample)
            model = SearchedModel(partial(_asked, ask), engine.readings, sample.labels)
            ours = supplies.at_build(import_module(recipe.__module__), model.ask, self.replaced(textattack, model))
            with served(words.words), ours, warnings.catch_warnings():
                warnings.simplefilter("ignore")  # TextAttack reports a model class it does not know by a deprecated method
                attack = self.build(recipe, model, threat, **self.settings(label, len(sample.labels)))
            attack.goal_function.batch_size = sys.maxsize
            if rest != EditBudget():
                attack.constraints.append(_Within(rest, sample, model.ask))
            result = attack.attack(spliced_text(textattack)(text), label)
            found = {
                "status": _status(result),
                "num_queries": int(result.num_queries) + model.num_gradients,
                "num_texts": model.num_texts,
                **({"num_gradients": model.num_gradients} if model.num_gradients else {}),
                "stop_words": str(words),
            }
            return replace(sample, input=result.perturbed_result.attacked_text.text, metadata={**sample.metadata, **found})

        searches = [Search(partial(search, sample), rng.seed(sample.id), _weight(sample)) for sample in samples]
        with supplies.at_search():
            outcomes = pooled(searches, partial(_answered, engine), num_pooled=self.num_pooled)
        return [_twin(sample, outcome) for sample, outcome in zip(samples, outcomes, strict=True)]


def _answered(engine: ModelPort, questions: Sequence[Question]) -> list[Any]:
    """The questions of a round, each put to its own model's engine, in as many lists as there are models."""
    answers: list[Any] = [None] * len(questions)
    for role in dict.fromkeys(role for role, _ in questions):
        places = [place for place, (asked, _) in enumerate(questions) if asked == role]
        requests: Sequence[Any] = [questions[place][1] for place in places]
        if role == GRADIENT:
            found: Sequence[Any] = token_gradients(engine, requests)
        elif role in NUM_PASSES:
            found = token_importance(engine, requests, role)
        else:
            found = (engine.roles[role] if role else engine).try_run(requests)
        for place, answer in zip(places, found, strict=True):
            answers[place] = answer
    return answers


def _asked(ask: Ask[Question, Any], role: str, requests: Sequence[Request[Any]]) -> list[Any]:
    answers = list(ask([(role, request) for request in requests]))
    failed = next((answer for answer in answers if isinstance(answer, Failure)), None)
    if failed is not None:
        raise SampleError(f"the model of the role {role!r}: {failed.error}" if role else failed.error)
    return answers


class SearchedModel:
    """Stands where TextAttack expects its model wrapper, and asks the pool. Logits, as TextAttack's own wrapper of transformers gives.

    Texts that the model reads as one (``Cash`` and ``cash`` to an uncased one) have one answer within a search: in batches of their own
    they would differ by rounding, which would then choose between them.
    """

    def __init__(self, ask: AskRole, readings: Readings, labels: tuple[str, ...]) -> None:
        self.model = self  # TextAttack looks at the class of a wrapper's model
        self.num_texts = 0
        self.num_gradients = 0  # beside those that TextAttack itself takes, and does not count
        self.max_length = sys.maxsize  # of words that a gradient ranks; what the model cuts off has no gradient
        self.ask = ask
        self._readings, self._labels = readings, labels
        self._known: dict[Hashable, Logits] = {}

    def __call__(self, texts: Sequence[str]) -> Any:
        import torch

        requests = [Classify(text, self._labels) for text in texts]
        readings = self._readings(requests)
        fresh: dict[Hashable, Classify] = {}
        for reading, request in zip(readings, requests, strict=True):
            if reading not in self._known:
                fresh.setdefault(reading, request)
        self.num_texts += len(fresh)
        self._known.update(zip(fresh, self.ask("", list(fresh.values())), strict=True))
        return torch.tensor([self._known[reading].values for reading in readings], dtype=torch.float32)

    def get_grad(self, text: str) -> dict[str, Any]:
        """Of the loss of the class that the model says, by each token's embedding."""
        self._last: TokenGradient = self.ask(GRADIENT, [Classify(text, self._labels)])[0]
        return {"gradient": self._last.gradient}

    def importance(self, way: str, text: Any) -> Any:
        """Of each word of an ``AttackedText``, for the class that the model says."""
        self.num_gradients += NUM_PASSES[way]
        found: TokenImportance = self.ask(way, [Classify(text.text, self._labels)])[0]
        starts = word_starts(text.text, text.words)
        return found.of_words(tuple((start, start + len(word)) for start, word in zip(starts, text.words, strict=True)))

    def tokenize(self, texts: Sequence[str], strip_prefix: bool = False) -> list[list[str]]:
        """Of the text that `get_grad` was last asked for, which is the only one that TextAttack wants the tokens of."""
        assert strip_prefix
        assert list(texts) == [self._last.text]
        return [self._last.stripped()]


@dataclass(frozen=True, slots=True)
class _Within:
    """A TextAttack constraint: what the threat admits, by the threat's own check."""

    threat: EditBudget
    sample: Sample
    ask: AskRole
    compare_against_original: ClassVar[bool] = True

    def call_many(self, texts: Sequence[Any], original: Any) -> list[Any]:
        clean = replace(self.sample, input=original.text)
        asked: Any = SimpleNamespace(roles={role: Role(self.ask, role) for role in self.threat.roles})
        allowed = admitted(asked, self.threat, [(clean, replace(self.sample, input=text.text)) for text in texts])
        return [text for text, is_allowed in zip(texts, allowed, strict=True) if is_allowed]


def _weight(sample: Sample) -> float:
    """In texts of 200 words. To rank its n words TextAttack holds n texts of n words: 3.5 MiB at 200 words, 85 MiB at 1,000."""
    num_words = sum(len(text.split()) for text in texts_of(sample.input))
    return max(1.0, (num_words / 200) ** 2)


def _status(result: Any) -> str:
    names = {"SuccessfulAttackResult": "success", "SkippedAttackResult": "skipped", "MaximizedAttackResult": "maximized"}
    return names.get(type(result).__name__, "failed")


def _twin(sample: Sample, outcome: Sample | Exception) -> Sample:
    if isinstance(outcome, Sample):
        return outcome
    error = str(outcome) if isinstance(outcome, SampleError) else f"{type(outcome).__name__}: {outcome}"
    return replace(sample, metadata={**sample.metadata, "error": error})
