"""Run a stock TextAttack recipe on many samples at once, with pooled searches, so that models get full
batches.

TextAttack (Morris et al. 2020, https://arxiv.org/abs/2005.05909) attacks one sample at a time, with a few
texts per query. Here each sample has its own recipe in a greenlet. When the recipe calls a model (the
classifier, a sentence encoder, a masked language model), it sleeps, and the engines answer all sleepers at
once. The initial text edits itself by splicing (`splicing.py`). Windtunnel supplies models and data
(`textattack_supplies.py`) and leaves the search unchanged: text, status and number of queries are those of
TextAttack run on one sample at a time.
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
from ...harness.api.requests import Classify, Request
from ...harness.api.resources import Resource
from ...harness.api.responses import Failure, Logits, Response
from ...harness.api.samples import Sample, SampleRng
from ...harness.api.settings import Bound, Count, Share
from ...harness.language.parts_of_speech import list_tagger_resources
from ...harness.language.stop_words import load_stop_words
from ...harness.modalities.inputs import list_texts
from ...harness.threats import EditBudget
from .importance import NUM_PASSES, TokenImportance, compute_token_importance
from .language_data import describe_homoglyphs, describe_vectors, describe_wordnet
from .pool import Ask, Search, run_pooled
from .splicing import find_word_starts, make_spliced_text_class
from .textattack_gradients import GRADIENT, TokenGradient, compute_token_gradients
from .textattack_import import import_textattack, require_textattack, serve_stop_words
from .textattack_models import AskRole, Role
from .textattack_supplies import Supplies
from .word_search import check_threat, read_label, read_text

Question: TypeAlias = tuple[str, Request[Response]]
"""A role and a request. The role "" is the model under attack; `GRADIENT` requests its gradient, and a name in `NUM_PASSES` the
importance of words."""

Readings: TypeAlias = Callable[[Sequence[Request[Response]]], list[Hashable]]


class TextAttackRecipe(Attack[EditBudget]):
    """Base class of the recipes.

    A subclass names its recipe in ``recipe`` (a class of ``textattack.attack_recipes``), its word data in
    ``needs`` (``wordnet``, ``tagger``, ``vectors``) and its models in ``roles``.

    max_words, max_share, max_chars: bounds of the threat model; see `EditBudget`. Default: none beside the
        recipe's own.
    stop_words: words that never change: ``nltk`` (TextAttack's choice), ``builtin`` (needs no data) or
        ``auto`` (the first available).
    num_pooled: number of samples searched at once; it affects speed and memory, not the result.
    resources: folder of word data. Default: where NLTK looks.
    vectors: file of word vectors.
    tagger: ``nltk``, or a JSON file of words and tags. See `language_data`.

    The metadata of the adversarial example: ``status`` (``success``, ``failed``, ``maximized`` for recipes
    that do not change the prediction, ``skipped`` if the model is already wrong), ``num_queries`` as
    TextAttack counts them (repeated texts included), ``num_texts`` sent to the engine, and ``stop_words``. If
    the search failed, the input is unchanged and ``error`` has the reason.
    """

    requires: frozenset[str] = frozenset({"classify", "text"})
    recipe: ClassVar[str] = ""
    needs: frozenset[str] = frozenset()
    keeps: ClassVar[frozenset[str]] = frozenset()
    """Bounds of the threat that the recipe itself enforces."""

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
        """Return the recipe's word data and whether it is available."""
        needed: list[Resource] = []
        if "wordnet" in self.needs:
            needed.append(describe_wordnet(self._folder))
        if "tagger" in self.needs:
            needed += list_tagger_resources(self._tagger, self._folder)
        if "vectors" in self.needs:
            needed.append(describe_vectors(self._vectors, self._folder))
        if "homoglyphs" in self.needs:
            needed.append(describe_homoglyphs(self._folder))
        return needed

    def settings(self, sample_label: int, num_labels: int, /) -> dict[str, Any]:
        """Return settings for the recipe's own ``build``."""
        return {}

    def build(self, recipe: Any, model: Any, threat: EditBudget, /, **settings: Any) -> Any:
        """Build the recipe's ``textattack.Attack``, with its own constraints set to the threat's bounds."""
        return recipe.build(model, **settings)

    def replaced(self, textattack: Any, model: SearchedModel, /) -> Mapping[str, Any]:
        """Return replacements for names in the recipe's module while it is built."""
        return {}

    def perturb(self, engine: ModelPort, samples: Sequence[Sample], threat: EditBudget, rng: SampleRng, /) -> list[Sample]:
        words = load_stop_words(self.stop_words, self._folder)
        textattack = import_textattack(words.words)
        recipe = getattr(textattack.attack_recipes, self.recipe)
        supplies = Supplies(textattack, self._folder, self._vectors, self._tagger)
        kept: dict[str, Any] = dict.fromkeys(self.keeps)
        rest = replace(threat, **kept)

        def search(sample: Sample, ask: Ask[Question, Any]) -> Sample:
            label, text = read_label(sample), read_text(sample)
            model = SearchedModel(partial(_ask_role, ask), engine.readings, sample.labels)
            ours = supplies.at_build(import_module(recipe.__module__), model.ask, self.replaced(textattack, model))
            with serve_stop_words(words.words), ours, warnings.catch_warnings():
                warnings.simplefilter("ignore")  # TextAttack warns about unknown model classes by a deprecated method
                attack = self.build(recipe, model, threat, **self.settings(label, len(sample.labels)))
            attack.goal_function.batch_size = sys.maxsize
            if rest != EditBudget():
                attack.constraints.append(_Within(rest, sample, model.ask))
            result = attack.attack(make_spliced_text_class(textattack)(text), label)
            facts = {
                "status": _name_status(result),
                "num_queries": int(result.num_queries) + model.num_gradients,
                "num_texts": model.num_texts,
                **({"num_gradients": model.num_gradients} if model.num_gradients else {}),
                "stop_words": str(words),
            }
            return replace(sample, input=result.perturbed_result.attacked_text.text, metadata={**sample.metadata, **facts})

        searches = [Search(partial(search, sample), rng.seed(sample.id), _estimate_weight(sample)) for sample in samples]
        with supplies.at_search():
            outcomes = run_pooled(searches, partial(_answer_questions, engine), num_pooled=self.num_pooled)
        return [_make_twin(sample, outcome) for sample, outcome in zip(samples, outcomes, strict=True)]


def _answer_questions(engine: ModelPort, questions: Sequence[Question]) -> list[Any]:
    """Answer the questions of a round: one list of requests per model."""
    answers: list[Any] = [None] * len(questions)
    for role in dict.fromkeys(role for role, _ in questions):
        places = [place for place, (name, _) in enumerate(questions) if name == role]
        requests: Sequence[Any] = [questions[place][1] for place in places]
        if role == GRADIENT:
            results: Sequence[Any] = compute_token_gradients(engine, requests)
        elif role in NUM_PASSES:
            results = compute_token_importance(engine, requests, role)
        else:
            results = (engine.roles[role] if role else engine).try_run(requests)
        for place, answer in zip(places, results, strict=True):
            answers[place] = answer
    return answers


def _ask_role(ask: Ask[Question, Any], role: str, requests: Sequence[Request[Response]]) -> list[Any]:
    """Ask the model of a role. Raises `SampleError` if a request fails."""
    answers = list(ask([(role, request) for request in requests]))
    failed = next((answer for answer in answers if isinstance(answer, Failure)), None)
    if failed is not None:
        raise SampleError(f"the model of the role {role!r}: {failed.error}" if role else failed.error)
    return answers


class SearchedModel:
    """TextAttack's model wrapper, which sends requests to the pool and returns logits.

    Texts that the model reads as equal (``Cash`` and ``cash`` for an uncased model) share one answer within a
    search. Computed in different batches they would differ by rounding, which would then decide between them.
    """

    def __init__(self, ask: AskRole, readings: Readings, labels: tuple[str, ...]) -> None:
        self.model = self  # TextAttack reads the class of a wrapper's model
        self.num_texts = 0
        self.num_gradients = 0  # without those that TextAttack itself computes and does not count
        self.max_length = sys.maxsize  # of words that a gradient ranks; truncated words have no gradient
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
        """Return the gradient of the predicted class's loss by each token's embedding."""
        self._last: TokenGradient = self.ask(GRADIENT, [Classify(text, self._labels)])[0]
        return {"gradient": self._last.gradient}

    def importance(self, way: str, text: Any) -> Any:
        """Return the importance of each word of an ``AttackedText`` for the predicted class."""
        self.num_gradients += NUM_PASSES[way]
        tokens: TokenImportance = self.ask(way, [Classify(text.text, self._labels)])[0]
        starts = find_word_starts(text.text, text.words)
        return tokens.sum_words(tuple((start, start + len(word)) for start, word in zip(starts, text.words, strict=True)))

    def tokenize(self, texts: Sequence[str], strip_prefix: bool = False) -> list[list[str]]:
        """Return the tokens of the last text of `get_grad`, the only one that TextAttack tokenizes."""
        assert strip_prefix
        assert list(texts) == [self._last.text]
        return [self._last.strip_marks()]


@dataclass(frozen=True, slots=True)
class _Within:
    """A TextAttack constraint that applies the threat's own check."""

    threat: EditBudget
    sample: Sample
    ask: AskRole
    compare_against_original: ClassVar[bool] = True

    def call_many(self, texts: Sequence[Any], original: Any) -> list[Any]:
        clean = replace(self.sample, input=original.text)
        engine: Any = SimpleNamespace(roles={role: Role(self.ask, role) for role in self.threat.roles})
        allowed = check_threat(engine, self.threat, [(clean, replace(self.sample, input=text.text)) for text in texts])
        return [text for text, is_allowed in zip(texts, allowed, strict=True) if is_allowed]


def _estimate_weight(sample: Sample) -> float:
    """Return the memory of a sample in texts of 200 words. To rank n words TextAttack holds n texts of n
    words: 3.5 MiB at 200 words, 85 MiB at 1,000."""
    num_words = sum(len(text.split()) for text in list_texts(sample.input))
    return max(1.0, (num_words / 200) ** 2)


def _name_status(result: Any) -> str:
    names = {"SuccessfulAttackResult": "success", "SkippedAttackResult": "skipped", "MaximizedAttackResult": "maximized"}
    return names.get(type(result).__name__, "failed")


def _make_twin(sample: Sample, outcome: Sample | Exception) -> Sample:
    if isinstance(outcome, Sample):
        return outcome
    error = str(outcome) if isinstance(outcome, SampleError) else f"{type(outcome).__name__}: {outcome}"
    return replace(sample, metadata={**sample.metadata, "error": error})
