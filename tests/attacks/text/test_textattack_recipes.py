"""Every recipe, pooled, spliced and supplied: what TextAttack alone gives with the same models and word data, in far fewer calls."""

from __future__ import annotations

import io
import json
import random
from collections.abc import Hashable, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from windtunnel.attacks.text import (
    a2t,
    bae,
    bertattack,
    checklist,
    clare,
    iga,
    input_reduction,
    kuleshov,
    particle_swarm,
    pruthi,
    pwws,
    textbugger,
    textfooler,
)
from windtunnel.attacks.text.bad_characters import BadCharacters
from windtunnel.attacks.text.named_entities import tag_entity
from windtunnel.attacks.text.textattack_models import combine_pieces
from windtunnel.attacks.text.textattack_recipe import TextAttackRecipe
from windtunnel.harness.api.requests import Classify, Embed
from windtunnel.harness.api.responses import Embedding, Fillings, Logits, LogProb
from windtunnel.harness.api.samples import Sample, SampleRng
from windtunnel.harness.threats import EditBudget
from windtunnel.tests import tiny, tiny_words
from windtunnel.tests.word_hash import LABELS, WordHash, one_by_one, told

pytestmark = [
    pytest.mark.textattack,
    pytest.mark.filterwarnings("ignore:The 'warn' method is deprecated:DeprecationWarning"),
    pytest.mark.filterwarnings("ignore:Creating a tensor from a list of numpy:UserWarning"),
]

WORDS = (
    "a", "the", "film", "warm", "funny,", "It's", "well-made", "(mostly)", "dull", "plot", "is", "thin", "gorgeous", "and", "strange!",
    "nobody", "care", "this", "year", "3", "star", "--", "'really'", "café", "Paris", "Mary", "I", "never", "again",
)  # fmt: skip


def samples(num: int, longest: int, words: Sequence[str] = WORDS) -> list[Sample]:
    lengths = [2 + random.Random(-i - 1).randrange(longest - 1) for i in range(num)]
    return [Sample(f"s{i}", " ".join(random.Random(i).choices(words, k=n)), i % 2, LABELS) for i, n in enumerate(lengths)]


class Hashed(WordHash):
    """A little from each character too, so that every edit counts."""

    def logits(self, text: str) -> tuple[float, ...]:
        first, second = super().logits(text)
        return first + sum(map(ord, text)) % 97 / 97, second


def sentence_vector(text: str) -> list[float]:
    """Near for texts that share most of their words."""
    rows = [SampleRng("sentence")(word).standard_normal(8) for word in text.split()] or [np.zeros(8)]
    return [float(value) for value in np.mean(rows, axis=0, dtype=np.float64).astype(np.float32) + np.float32(0.5)]


def word_log_prob(context: str, word: str) -> float:
    return float(SampleRng(context[-3:])(word).normal(-5, 1.5))


class Encoder(WordHash):
    def try_run(self, requests: Sequence[Any], /) -> list[Any]:
        assert all(isinstance(request, Embed) for request in requests)
        self.rounds.append(len(requests))
        return [Embedding(tuple(sentence_vector(request.input))) for request in requests]


class LanguageModel(WordHash):
    def try_run(self, requests: Sequence[Any], /) -> list[Any]:
        return [LogProb(word_log_prob(request.context, request.continuation), 1) for request in requests]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tiny_words.write_words(tmp_path / "words")


@pytest.fixture
def supplied(textattack: Any, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """TextAttack itself, its downloads replaced by the same data, each by other code than the project's."""
    import nltk.corpus.reader.wordnet  # type: ignore[import-untyped]
    import nltk.data  # type: ignore[import-untyped]
    import torch
    import transformers

    swaps = "textattack.transformations.word_swaps"
    monkeypatch.setattr(nltk.data, "path", [str(folder)])
    with pytest.warns(UserWarning, match="multilingual"):
        reader = nltk.corpus.reader.wordnet.WordNetCorpusReader(str(folder / "corpora/wordnet"), None)
    monkeypatch.setattr(f"{swaps}.word_swap_wordnet.nltk.download", lambda name: True)
    monkeypatch.setattr(f"{swaps}.word_swap_wordnet.wordnet", SimpleNamespace(langs=lambda: ["eng"], synsets=reader.synsets))
    as_a_set = textattack.transformations.WordSwapWordNet._get_replacement_words
    monkeypatch.setattr(  # A set has another order in each process.
        f"{swaps}.word_swap_wordnet.WordSwapWordNet._get_replacement_words", lambda self, word: sorted(as_a_set(self, word))
    )
    monkeypatch.setattr(f"{swaps}.word_swap_homoglyph_swap.open", lambda *how, **settings: io.StringIO(), raising=False)
    words, matrix = tiny_words.vectors(folder)
    near = np.linalg.norm(matrix[:, None].astype(np.float64) - matrix[None], axis=2).argsort(axis=1)
    monkeypatch.setitem(
        textattack.shared.utils.GLOBAL_OBJECTS, "textattack_counterfitted_GLOVE_embedding",
        textattack.shared.WordEmbedding(matrix, {word: i for i, word in enumerate(words)}, dict(enumerate(words)), near),
    )  # fmt: skip
    encoders = textattack.constraints.semantics.sentence_encoders
    monkeypatch.setattr(encoders.UniversalSentenceEncoder, "encode", lambda self, texts: torch.tensor([sentence_vector(t) for t in texts]))

    def tagged(words: Sequence[str], tagset: str = "", lang: str = "") -> list[tuple[str, str]]:
        return [(word, tiny_words.TAGS.get(word.lower(), "NOUN" if any(c.isalpha() for c in word) else "X")) for word in words]

    monkeypatch.setattr("nltk.pos_tag", tagged)
    text = textattack.shared.AttackedText
    monkeypatch.setattr(text, "pos_of_word_index", lambda self, i: tagged(self.words)[i][1])
    monkeypatch.setattr(text, "ner_of_word_index", lambda self, i, name="ner": tag_entity(self.words, i))
    place = str(tiny.checkpoint("bert_masked"))
    for name in ("bert_masked", "bert"):
        tiny.shared(name)  # the project's own, before what loads it is replaced
    model, tokenizer = transformers.AutoModelForMaskedLM.from_pretrained(place), transformers.AutoTokenizer.from_pretrained(place)
    for auto in (transformers.AutoModelForMaskedLM, transformers.AutoModelForCausalLM):
        monkeypatch.setattr(auto, "from_pretrained", lambda name: model)
    monkeypatch.setattr(transformers.AutoTokenizer, "from_pretrained", lambda name, use_fast=True: tokenizer)
    for module in ("word_swaps.WordSwapMaskedLM", "word_insertions.WordInsertionMaskedLM", "word_merges.WordMergeMaskedLM"):
        monkeypatch.setattr(
            f"textattack.transformations.{module}._encode_text",
            lambda self, text: self._lm_tokenizer(text, max_length=48, truncation=True, padding=True, return_tensors="pt"),
        )
    base = textattack.constraints.grammaticality.language_models.LanguageModelConstraint

    class GPT2(base):  # type: ignore[misc]
        def get_log_probs_at_index(self, texts: Sequence[Any], index: int) -> list[float]:
            prefix = texts[0].text_until_word_index(index)
            if not any(c.isascii() and c.isalpha() for c in prefix):
                return [0.0, 0.0]
            return [word_log_prob(prefix.rstrip(), " " + text.words[index]) for text in texts]

    monkeypatch.setattr("textattack.attack_recipes.kuleshov_2017.GPT2", GPT2)
    monkeypatch.setattr("textattack.attack_recipes.pso_zang_2020.WordSwapHowNet", textattack.transformations.WordSwapWordNet)


# How many samples, how long at most, of which words (the masked model's own where one is asked), and at how many the twin differs at least.
KNOWN = (*tiny.WORDS, "table,", "Paris!", "filmish")
RECIPES: dict[str, tuple[type[TextAttackRecipe], int, int, Sequence[str], int]] = {
    "pruthi": (pruthi.Pruthi, 10, 12, WORDS, 4),
    "input_reduction": (input_reduction.InputReduction, 16, 18, WORDS, 4),
    "pwws": (pwws.PWWS, 24, 18, WORDS, 4),
    "pso": (particle_swarm.PSO, 3, 6, WORDS, 1),
    "leap": (particle_swarm.LEAP, 2, 12, WORDS, 1),
    "checklist": (checklist.CheckList, 24, 18, WORDS, 4),
    "textbugger": (textbugger.TextBugger, 16, 14, WORDS, 4),
    "textfooler": (textfooler.TextFooler, 24, 30, WORDS, 4),
    "bae": (bae.BAE, 14, 20, KNOWN, 4),
    "bertattack": (bertattack.BertAttack, 14, 10, KNOWN, 4),
    "clare": (clare.CLARE, 3, 5, KNOWN, 1),
    "iga": (iga.IGA, 4, 16, WORDS, 1),
    "kuleshov": (kuleshov.Kuleshov, 24, 18, WORDS, 2),
}


@pytest.mark.parametrize("name", RECIPES)
@pytest.mark.usefixtures("supplied")
def test_pooled_and_supplied_is_textattack_alone(textattack: Any, folder: Path, name: str) -> None:
    made, num, longest, words, least = RECIPES[name]
    attacked = samples(num, longest, words)
    model = Hashed()
    expected, calls = one_by_one(textattack, getattr(textattack.attack_recipes, made.recipe).build, attacked, model)
    roles = {"encoder": Encoder(), "masked_lm": tiny.engine("bert_masked"), "language_model": LanguageModel()}
    engine = Hashed(roles=roles)
    recipe = made(stop_words="builtin", resources=str(folder), **({"tagger": str(folder / "tags.json")} if "tagger" in made.needs else {}))
    assert all(resource.is_there for resource in recipe.resources())
    twins = recipe.perturb(engine, attacked, recipe.threat, SampleRng("test", 0))
    assert [twin.metadata.get("error") for twin in twins] == [None] * num
    assert told(twins) == expected
    assert sum(twin.input != sample.input for twin, sample in zip(twins, attacked, strict=True)) >= least
    assert len(engine.rounds) < calls / 1.5


class Uncased(Hashed):
    """And hard to move from the first class; the order of words matters to it, so that only what it reads as one has one answer."""

    def logits(self, text: str) -> tuple[float, ...]:
        first, second = super().logits(" ".join(f"{place}{word}" for place, word in enumerate(text.lower().split())))
        return first + 2, second


class Rounding(Uncased):
    """Its answers move a little from round to round, as those of one text in two batches do."""

    def readings(self, requests: Sequence[Any], /) -> list[Hashable]:
        return [request.input.lower() for request in requests]

    def try_run(self, requests: Sequence[Any], /) -> list[Any]:
        moved = 1e-6 * (-1) ** len(self.rounds) * len(self.rounds)
        return [Logits((answer.values[0] + moved, *answer.values[1:])) for answer in super().try_run(requests)]


@pytest.mark.usefixtures("supplied")
def test_rounding_does_not_choose_between_texts_that_are_one_to_the_model(textattack: Any, folder: Path) -> None:
    attacked = samples(60, 14, [cased for word in ("film", "plot", "dull", "warm", "never", "a") for cased in (word, word.title())])
    recipe = pwws.PWWS(stop_words="builtin", resources=str(folder))
    twins = recipe.perturb(Rounding(), attacked, recipe.threat, SampleRng("test", 0))
    assert told(twins) == one_by_one(textattack, textattack.attack_recipes.PWWSRen2019.build, attacked, Uncased())[0]
    assert sum(twin.input != sample.input for twin, sample in zip(twins, attacked, strict=True)) >= 4
    assert all(twin.metadata["num_texts"] < twin.metadata["num_queries"] for twin in twins if twin.metadata["status"] == "failed")


def test_an_uncased_classifier_reads_two_cases_as_one() -> None:
    texts = ["The Cat sat [UNK]", "the  cat sat [UNK]", "the cat sat [unk]", "the cát sat [UNK]", "the cat sat"]
    labels = tuple(tiny.LABELS)
    first, *others = tiny.engine("bert").readings([Classify(text, labels) for text in texts])
    assert [other == first for other in others] == [True, False, True, False]
    assert tiny.engine("bert").readings([Classify("the cat sat [UNK]", labels[::-1])]) != [first]
    lone = [Classify("\ud800", labels)]
    assert tiny.engine("bert").readings(lone) == lone
    assert WordHash().readings(lone) == lone


class Likeness(Encoder):
    """Near for texts of one length, whatever they say."""

    def try_run(self, requests: Sequence[Any], /) -> list[Any]:
        self.rounds.append(len(requests))
        return [Embedding((20.0, float(len(str(request.input))))) for request in requests]


@pytest.mark.usefixtures("supplied")
def test_a_search_goes_on_where_the_threat_forbids(textattack: Any, folder: Path) -> None:
    """Against TextAttack's own search with the threat as one of its constraints, and against the search that is only judged afterwards."""
    attacked = samples(40, 14)
    tags = folder / "some.json"
    tags.write_text(json.dumps(dict.fromkeys(("movie", "story", "mild", "dim", "lush", "odd", "anew"), "X")))
    for threat in (EditBudget(min_similarity=0.995), EditBudget(same_part_of_speech=True, tagger=str(tags), stop_words="builtin")):
        encoder = Likeness()
        recipe = pwws.PWWS(stop_words="builtin", resources=str(folder))
        twins = recipe.perturb(Hashed(roles={"encoder": encoder}), attacked, threat, SampleRng("test", 0))
        free = recipe.perturb(Hashed(), attacked, EditBudget(), SampleRng("test", 0))

        def admits(clean: Sample, twin: Sample, threat: EditBudget = threat) -> bool:
            measured = threat.measure(Hashed(roles={"encoder": Likeness()}), [(clean, twin)])[0]
            return threat.admits(clean, twin, measured)

        class Forbids:
            compare_against_original = True

            def call_many(self, texts: Sequence[Any], original: Any) -> list[Any]:
                clean = Sample("x", original.text)
                return [text for text in texts if admits(clean, Sample("x", text.text))]

        def build(model: Any) -> Any:
            made = textattack.attack_recipes.PWWSRen2019.build(model)
            made.constraints.append(Forbids())
            return made

        assert told(twins) == one_by_one(textattack, build, attacked, Hashed())[0]
        assert all(map(admits, attacked, twins))
        won = [[twin.metadata["status"] == "success" and admits(s, twin) for s, twin in zip(attacked, some, strict=True)]
               for some in (free, twins)]  # fmt: skip
        assert sum(won[1]) >= sum(won[0]) + (threat.min_similarity is not None) > 0
        assert told(twins) != told(free)
        assert bool(encoder.rounds) == (threat.min_similarity is not None)
        assert len(encoder.rounds) < 40, "of all searches together"


@pytest.mark.filterwarnings("ignore:Using a non-full backward hook:FutureWarning")
@pytest.mark.usefixtures("supplied")
def test_a_ranking_by_gradient_is_textattacks(textattack: Any, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """On a classifier without dropout, for TextAttack takes the gradient in training mode."""
    import copy

    import transformers

    engine = tiny.engine("bert")
    engine.roles = {"encoder": Encoder()}
    # Short enough for the model: between candidates that differ in what it cuts off, rounding would decide.
    texts = [str(sample.input) for sample in samples(60, 9) if len(str(sample.input)) < tiny.MAX_LENGTH]
    answers = engine.run([Classify(text, tuple(tiny.LABELS)) for text in texts])
    attacked = [
        Sample(f"s{i}", text, int(np.argmax(a.values)), tuple(tiny.LABELS)) for i, (text, a) in enumerate(zip(texts, answers, strict=True))
    ]
    encoders = textattack.constraints.semantics.sentence_encoders
    monkeypatch.setattr(
        "textattack.attack_recipes.a2t_yoo_2021.SBERT",
        lambda model_name, threshold, metric: encoders.UniversalSentenceEncoder(threshold=threshold, metric=metric),
    )
    plain = {"hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0}
    module = transformers.AutoModelForSequenceClassification.from_pretrained(str(tiny.checkpoint("bert")), **plain)
    wrapper = textattack.models.wrappers.HuggingFaceModelWrapper(module, copy.deepcopy(tiny.shared("bert").tokenizer))
    expected, _ = one_by_one(textattack, lambda _: textattack.attack_recipes.A2TYoo2021.build(wrapper), attacked)
    monkeypatch.undo()
    recipe = a2t.A2T(stop_words="builtin", resources=str(folder), tagger=str(folder / "tags.json"))
    before = engine.counters.gradient_passes
    twins = recipe.perturb(engine, attacked, recipe.threat, SampleRng("test", 0))
    assert [twin.metadata.get("error") for twin in twins] == [None] * len(twins)
    assert told(twins) == expected
    assert sum(twin.input != sample.input for twin, sample in zip(twins, attacked, strict=True)) >= 4
    assert engine.counters.gradient_passes - before <= 4, "of many samples together"


def test_a_word_of_many_pieces_that_never_join_is_given_up(textattack: Any) -> None:
    """12 pieces of 8 tokens have 7e10 combinations; TextAttack tries them all."""
    never, sometimes = tuple("!?.,;:()"), ("a", "!", "b")
    assert combine_pieces(textattack, Fillings((never,) * 12, ((0.0,) * 8,) * 12), 8) == []
    assert combine_pieces(textattack, Fillings((sometimes,) * 2, ((0.0,) * 3,) * 2), 2) == ["aa", "a!"]


@pytest.mark.parametrize("kind", ["invisible", "deletions", "reorderings"])
def test_bad_characters_aim_at_the_next_class(textattack: Any, kind: str) -> None:
    attacked = samples(6, 6)
    build = textattack.attack_recipes.BadCharacters2021.build
    expected = []
    for sample in attacked:
        settings = {"target_class": 1 - sample.target, "popsize": 4, "maxiter": 2}
        found, _ = one_by_one(
            textattack, lambda model: build(model, "targeted_classification", kind, **settings), [sample], Hashed()  # noqa: B023
        )  # fmt: skip
        expected += found
    recipe = BadCharacters(perturbation=kind, population=4, generations=2)
    assert told(recipe.perturb(Hashed(), attacked, recipe.threat, SampleRng("test", 0))) == expected


@pytest.mark.usefixtures("textattack")
def test_wordnet_is_read_where_a_link_leads(folder: Path, tmp_path: Path) -> None:
    linked = tmp_path / "linked/corpora"
    linked.mkdir(parents=True)
    (linked / "wordnet").symlink_to(folder / "corpora/wordnet")
    attacked = samples(8, 12)
    recipe = pwws.PWWS(stop_words="builtin", resources=str(linked.parent))
    twins = recipe.perturb(Hashed(), attacked, EditBudget(), SampleRng("test", 0))
    assert [twin.metadata.get("error") for twin in twins] == [None] * 8
    assert any(twin.input != sample.input for twin, sample in zip(twins, attacked, strict=True))


def test_what_is_missing_is_said_with_its_remedy(textattack: Any, tmp_path: Path) -> None:
    recipe = textfooler.TextFooler(stop_words="builtin", resources=str(tmp_path))
    names = {resource.name: resource for resource in recipe.resources()}
    assert not any(resource.is_there for resource in names.values())
    assert set(names) == {"NLTK's tagger", "the universal tag set", "word vectors"}
    assert f"python -m nltk.downloader -d {tmp_path} universal_tagset" in names["the universal tag set"].advice
    engine = Hashed(roles={"encoder": Encoder()})
    (twin,) = recipe.perturb(engine, samples(1, 5), EditBudget(), SampleRng("test", 0))
    assert twin.metadata["error"].startswith("ConfigError: word vectors are missing (looked in ")
