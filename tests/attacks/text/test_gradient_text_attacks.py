"""HotFlip and the gradient's word swaps: against autograd by hand, and on a bag of embeddings whose best swap is known in closed form."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from windtunnel.attacks.text import hotflip
from windtunnel.attacks.text.gradient_word_swap import GradientWordSwap, rank_words
from windtunnel.attacks.text.hotflip import HotFlip, estimate_gain
from windtunnel.attacks.text.whole_words import Vocabulary, build_vocabulary, compute_slopes, find_tokens
from windtunnel.attacks.text.word_search import is_word, start_searches
from windtunnel.harness.api.errors import CapabilityError, ConfigError
from windtunnel.harness.api.lexicon import Lexicon
from windtunnel.harness.api.requests import Classify
from windtunnel.harness.api.samples import Sample, SampleRng
from windtunnel.harness.api.task import Task
from windtunnel.harness.items.attack.records import make_attack_records
from windtunnel.harness.modalities.text import TextPair
from windtunnel.harness.modalities.words import word_spans
from windtunnel.harness.threats import EditBudget
from windtunnel.tests import tiny
from windtunnel.tests.bag import LABELS as BAG_LABELS
from windtunnel.tests.bag import Bag

LABELS = tuple(tiny.LABELS)
TEXTS = (
    "the cat sat on a table", "bad films that were great, awful fine", "Her young dog in Paris", "able to read good stable films!",
    "cat", "the films", "she was able-bodied; 'good' dog (young)", "great table",
)  # fmt: skip
NONE = frozenset[str]()
WIDE = {"max_words": None, "min_cosine": -1.0}


def samples_of(engine: Any, texts: Sequence[str] = TEXTS) -> list[Sample]:
    """Of the classes that the model takes them for."""
    answers = engine.run([Classify(text, LABELS) for text in texts])
    return [Sample(f"s{i}", text, int(np.argmax(a.values)), LABELS) for i, (text, a) in enumerate(zip(texts, answers, strict=True))]


def twins_of(attack: Any, engine: Any, samples: Sequence[Sample], threat: EditBudget | None = None) -> list[Sample]:
    return list(attack.perturb(engine, samples, threat or attack.threat, SampleRng("test", 0)))


def changed(clean: str, twin: Any) -> list[tuple[str, str]]:
    before, after = ([text[a:b] for a, b in word_spans(text)] for text in (clean, twin))
    return [(a, b) for a, b in zip(before, after, strict=True) if a != b]


# ── what the gradient says ────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("name", ["bert", "roberta", "gpt2_classifier", "albert", "longformer", "fnet"])
def test_the_gain_is_gradient_times_difference_by_hand(name: str) -> None:
    engine = tiny.engine(name)
    samples = samples_of(engine)
    searches = start_searches(samples, NONE)
    with engine.differentiable() as net:
        known = build_vocabulary(net, NONE, True)
        found = compute_slopes(engine, net, [(search, search.best) for search in searches])
        weight, tokenizer = net.module.get_input_embeddings().weight.detach(), net.tokenizer
        num_compared = 0
        for sample, search, slope in zip(samples, searches, found, strict=True):
            # One text, no padding, the embeddings as the leaf; the loss is -log softmax.
            read = tokenizer(sample.input, return_offsets_mapping=True, return_tensors="pt")
            if name == "fnet":
                del read["attention_mask"]
            offsets = read.pop("offset_mapping")[0].tolist()
            taken: list[torch.Tensor] = []
            hook = net.module.get_input_embeddings().register_forward_hook(
                lambda m, a, out, taken=taken: taken.append(out.requires_grad_())
            )
            loss = -net.module(**read).logits[0].log_softmax(-1)[sample.target]
            hook.remove()
            (by_hand,) = torch.autograd.grad(loss, taken[0])
            for place, (start, end) in enumerate(word_spans(str(sample.input))):
                at = [i for i, (a, b) in enumerate(offsets) if b > a and end >= b > start]
                if slope.num_tokens[place] != 1:
                    continue
                assert len(at) == 1
                expected = [float(by_hand[0, at[0]] @ (weight[i] - weight[read["input_ids"][0, at[0]]])) for i in known.ids]
                gain = estimate_gain(slope.gradient[[place]], slope.embedding[[place]], known.table)[0]
                assert gain.tolist() == pytest.approx(expected, rel=1e-3, abs=1e-5)
                num_compared += 1
            assert slope.variant.loss == pytest.approx(loss.item(), abs=1e-5)
            norms = {p: float(by_hand[0, [i for i, (a, b) in enumerate(offsets) if b > a and e >= b > s]].mean(0).abs().sum())
                     for p, (s, e) in enumerate(word_spans(str(sample.input))) if slope.num_tokens[p]}  # fmt: skip
            assert rank_words(search, slope) == sorted((p for p in search.places if p in norms), key=lambda p: -norms[p])
    assert num_compared >= 4


def test_tokens_of_words() -> None:
    assert find_tokens("a film", [(0, 0), (0, 1), (1, 6), (0, 0)], [(0, 1), (2, 6)]) == [range(1, 2), range(2, 3)], "a space before it"
    assert find_tokens("well made", [(0, 4), (5, 7), (7, 9)], [(0, 4), (5, 9)]) == [range(0, 1), range(1, 3)]
    assert find_tokens("a film", [(0, 4), (4, 6)], [(0, 1), (2, 6)]) == [range(0), range(0)], "a token of two words is of neither"
    assert find_tokens("a film", [(0, 1), (2, 4)], [(0, 1), (2, 6)]) == [range(0, 1), range(0)], "cut off"


@pytest.mark.parametrize("name", ["bert", "roberta", "gpt2_classifier", "albert", "longformer", "fnet"])
def test_the_vocabulary_is_of_whole_words(name: str) -> None:
    engine = tiny.engine(name)
    with engine.differentiable() as net:
        known = build_vocabulary(net, frozenset({"the"}), True)
        tokenizer = net.tokenizer
    assert known.words
    assert all(is_word(word) and word.isascii() and word != "the" for word in known.words)
    assert not set(known.ids) & set(tokenizer.all_special_ids)
    later = known.later.tolist()
    for i, word, is_later in zip(known.ids, known.words, later, strict=True):
        read = tokenizer(f"a {word}" if is_later else word, add_special_tokens=False)["input_ids"]
        assert read[-1] == i
        assert not tokenizer.convert_ids_to_tokens(i).startswith("##")


# ── a bag of embeddings ───────────────────────────────────────────────────────────────────────────────────────────────


class WordBag(Bag, Lexicon):
    """Logits are the sum of the words' embeddings times W: the best swap raises e W by most. ``scale`` 0: all logits are 0.

    ``misread``: a text that the tokenizer reads as something else.
    """

    misread = ""

    words = ("<pad>", "a", "bad", "dull", "fine", "good", "great", "poor", "table", "the", "warm")

    def __init__(self, scale: float = 1.0) -> None:
        super().__init__()
        self.table = torch.nn.Embedding.from_pretrained(torch.stack([self.embedding(word) for word in self.words]))
        self.module.weight.data *= scale

    def lexicon(self) -> Lexicon:
        return self

    def tokens(self, text: str) -> list[tuple[int, int]]:
        return list(word_spans(text))

    def list_tokens(self) -> list[tuple[int, str]]:
        return list(enumerate(self.words))[1:]

    def tokenize(self, texts: Sequence[str], /) -> list[tuple[list[int], Any]]:
        spans = [self.tokens(text) for text in texts]
        ids = [[self.words.index(text[a:b]) * (text != self.misread) for a, b in row] for text, row in zip(texts, spans, strict=True)]
        return list(zip(ids, spans, strict=True))

    def embed(self, ids_N: Sequence[int], /) -> torch.Tensor:
        return self.table(torch.tensor(ids_N)).detach()

    def value(self, word: str) -> float:
        """How much a word speaks for the second class."""
        with torch.no_grad():
            negative, positive = self.module(self.embedding(word)).tolist()
        return float(positive - negative)


def bag_samples(bag: WordBag, texts: Sequence[str]) -> list[Sample]:
    answers = bag.classify([Classify(text, BAG_LABELS) for text in texts])
    return [Sample(f"b{i}", t, int(np.argmax(a.values)), BAG_LABELS) for i, (t, a) in enumerate(zip(texts, answers, strict=True))]


BAGS = ("good warm great", "bad table", "the poor dull fine great", "fine fine fine bad", "warm the table good poor")


@pytest.mark.parametrize("beam", [1, 3])
def test_of_a_bag_the_best_single_swap_is_found(beam: int) -> None:
    bag = WordBag()
    engine = tiny.engine(bag)
    samples = bag_samples(bag, BAGS)
    attack = HotFlip(steps=1, beam=beam, candidates=1, stop_words="none", max_words=1)
    for sample, twin in zip(samples, twins_of(attack, engine, samples), strict=True):
        sign = 1 - 2 * sample.target
        old = str(sample.input).split()
        swaps = [(sign * (bag.value(new) - bag.value(word)), i, new) for i, word in enumerate(old) for new in bag.words[1:]]
        _, place, word = max(swaps)
        assert twin.input == " ".join([*old[:place], word, *old[place + 1 :]])
        assert twin.metadata["num_queries"] == 2


def best_swap(bag: WordBag, sample: Sample, is_allowed: Callable[[str], bool]) -> str:
    """The text of the largest gain among those of one swap that are allowed, by trying all."""
    words = str(sample.input).split()
    made = {
        " ".join([*words[:i], new, *words[i + 1 :]]): bag.value(new) - bag.value(old)
        for i, old in enumerate(words)
        for new in bag.words[1:]
    }
    return max((text for text in made if is_allowed(text)), key=lambda text: (1 - 2 * sample.target) * made[text])


def test_a_text_that_is_not_read_as_meant_gives_way_to_the_next_best() -> None:
    bag = WordBag()
    samples = bag_samples(bag, BAGS[:1])
    attack = HotFlip(steps=1, candidates=1, stop_words="none", max_words=1)
    (best,) = twins_of(attack, tiny.engine(bag), samples)
    bag.misread = best.input
    (twin,) = twins_of(attack, tiny.engine(bag), samples)
    assert twin.input == best_swap(bag, samples[0], lambda text: text != best.input)
    assert (best.metadata["num_queries"], twin.metadata["num_queries"]) == (2, 2)


def test_a_swap_that_the_threat_forbids_gives_way_to_the_next_best(monkeypatch: pytest.MonkeyPatch) -> None:
    bag = WordBag()
    engine = tiny.engine(bag)
    samples = bag_samples(bag, BAGS)
    threat = EditBudget(max_words=1, max_chars=3)
    attack = HotFlip(steps=1, candidates=1, stop_words="none")
    free = twins_of(attack, engine, samples, EditBudget(max_words=1))
    twins = twins_of(attack, engine, samples, threat)
    for sample, twin in zip(samples, twins, strict=True):
        assert twin.input == best_swap(bag, sample, lambda text, s=sample: threat.admits(s, replace(s, input=text)))  # type: ignore[misc]
        assert twin.metadata["num_queries"] == 1 + (twin.input != sample.input)
    forbidden = [not threat.admits(sample, twin) for sample, twin in zip(samples, free, strict=True)]
    assert sum(forbidden) >= 3
    monkeypatch.setattr(hotflip, "_DEPTH", 1)
    shallow = twins_of(attack, engine, samples, threat)
    assert [twin.input == sample.input for twin, sample in zip(shallow, samples, strict=True)] == forbidden, "no further than it may look"


def test_where_no_further_word_may_change_no_swap_is_looked_at(monkeypatch: pytest.MonkeyPatch) -> None:
    bag = WordBag(scale=0.1)
    samples = bag_samples(bag, [" ".join(["good"] * 20)])
    looked_at: list[int] = []
    make_variants = Vocabulary.make_variants
    monkeypatch.setattr(Vocabulary, "make_variants", lambda self, swaps: (looked_at.append(len(swaps)), make_variants(self, swaps))[1])
    attack = HotFlip(steps=3, beam=1, candidates=1, stop_words="none")
    (twin,) = twins_of(attack, tiny.engine(bag), samples, EditBudget(max_words=1))
    assert len(changed(samples[0].input, twin.input)) == 1
    assert looked_at == [1]
    assert not twin.metadata["budget_exhausted"]


def test_of_a_bag_each_further_swap_is_the_best_of_the_rest() -> None:
    bag = WordBag(scale=0.1)
    engine = tiny.engine(bag)
    samples = bag_samples(bag, [" ".join(sorted(bag.words[1:], key=bag.value)[-3:] * 8)])
    attack = HotFlip(steps=3, beam=1, candidates=1, stop_words="none", max_words=3)
    (twin,) = twins_of(attack, engine, samples)
    sign = 1 - 2 * samples[0].target
    made = [sign * (bag.value(new) - bag.value(old)) for old, new in changed(samples[0].input, twin.input)]
    most = max(sign * bag.value(word) for word in bag.words[1:])
    best = sorted((most - sign * bag.value(old) for old in samples[0].input.split()), reverse=True)
    assert len(made) == 3
    assert sum(made) == pytest.approx(sum(best[:3]), rel=1e-5)


def test_neighbours_are_by_cosine_and_words_by_their_gradient() -> None:
    bag = WordBag()
    engine = tiny.engine(bag)
    samples = bag_samples(bag, BAGS)
    attack = GradientWordSwap(candidates=2, min_cosine=-1.0, stop_words="none", max_words=None)
    for sample, twin in zip(samples, twins_of(attack, engine, samples), strict=True):
        # In a bag every word has the same gradient, so the words come in their order.
        words, queries = str(sample.input).split(), 1
        for place in range(len(words)):
            vectors = {word: bag.embedding(word).numpy() for word in bag.words[1:] if word != words[place]}
            own = bag.embedding(words[place]).numpy()
            near = sorted(vectors, key=lambda w: -float(own @ vectors[w]) / float(np.linalg.norm(vectors[w])))[:2]
            tried = [[*words[:place], word, *words[place + 1 :]] for word in near]
            queries += 2

            def against(some: list[str]) -> float:
                return (1 - 2 * sample.target) * sum(map(bag.value, ["[CLS]", *some]))  # noqa: B023

            flipped = next((some for some in tried if against(some) > 0), None)
            if flipped:
                words = flipped
                break
            best = max(tried, key=against)
            words = best if against(best) > against(words) else words
        assert twin.input == " ".join(words)
        assert twin.metadata["num_queries"] == queries


@pytest.mark.parametrize("attack", [HotFlip(stop_words="none"), GradientWordSwap(stop_words="none")])
def test_a_flat_loss_is_said(attack: Any) -> None:
    bag = WordBag(scale=0.0)
    samples = [Sample("b", "good warm", 0, BAG_LABELS)]
    (twin,) = twins_of(attack, tiny.engine(bag), samples)
    assert twin.input == "good warm"
    assert twin.metadata["zero_gradient"]


def test_a_saturated_model_still_has_a_slope() -> None:
    """Its probabilities are 0 and 1 in float32."""
    bag = WordBag(scale=12.0)
    engine = tiny.engine(bag)
    samples = bag_samples(bag, BAGS[:1])
    (answer,) = bag.classify([Classify(BAGS[0], BAG_LABELS)])
    assert float(torch.tensor(answer.values).softmax(0).max()) == 1
    (twin,) = twins_of(HotFlip(steps=1, stop_words="none"), engine, samples)
    assert not twin.metadata["zero_gradient"]
    assert twin.input != samples[0].input


# ── contracts ─────────────────────────────────────────────────────────────────────────────────────────────────────────

ATTACKS = {
    "hotflip": lambda **more: HotFlip(**{"beam": 2, "candidates": 6, **WIDE, **more}),
    "gradient_word_swap": lambda **more: GradientWordSwap(**{"candidates": 6, **WIDE, **more}),
}


@pytest.mark.parametrize("name", ATTACKS)
@pytest.mark.parametrize("model", ["bert", "roberta", "gpt2_classifier", "albert", "longformer"])
def test_order_and_batch_size_change_no_twin(name: str, model: str) -> None:
    engine = tiny.engine(model)
    samples = samples_of(engine)
    attack = ATTACKS[name]()
    together = twins_of(attack, engine, samples)
    alone = [twins_of(attack, tiny.engine(model, rows=1, tokens=8, pack=0), [sample])[0] for sample in reversed(samples)]
    assert together == alone[::-1]
    assert sum(twin.input != sample.input for twin, sample in zip(together, samples, strict=True)) >= (4 if model == "bert" else 1)


@pytest.mark.parametrize("name", ATTACKS)
@pytest.mark.parametrize("threat", [EditBudget(max_words=1), EditBudget(max_share=0.3), EditBudget(max_chars=4), EditBudget(max_words=0)])
def test_the_threat_is_kept(name: str, threat: EditBudget) -> None:
    engine = tiny.engine("bert")
    samples = samples_of(engine)
    twins = twins_of(ATTACKS[name](), engine, samples, threat)
    assert all(threat.admits(sample, twin) for sample, twin in zip(samples, twins, strict=True))
    if threat.max_words == 0:
        assert [twin.input for twin in twins] == list(TEXTS)
        assert all(twin.metadata["num_queries"] == 1 for twin in twins)
    else:
        assert any(twin.input != sample.input for sample, twin in zip(samples, twins, strict=True))


@pytest.mark.parametrize("name", ATTACKS)
def test_only_words_that_may_be_are_changed(name: str) -> None:
    engine = tiny.engine("bert")
    samples = samples_of(engine)
    builtin = {"the", "on", "a", "that", "were", "her", "in", "to", "she", "was"}
    for stop_words, left_alone in (("builtin", builtin), ("none", set())):
        pairs = []
        for sample, twin in zip(samples, twins_of(ATTACKS[name](stop_words=stop_words), engine, samples), strict=True):
            assert [w for w in str(twin.input) if not w.isalnum()].count(" ") == str(sample.input).count(" ")
            pairs += changed(str(sample.input), twin.input)
        assert pairs
        assert all(is_word(old) and new.isalpha() and old.lower() != new.lower() for old, new in pairs)
        assert not {word.lower() for pair in pairs for word in pair} & left_alone
        if name == "hotflip":
            known = set(tiny.shared("bert").tokenizer.get_vocab())
            assert all(old.lower() in known for old, _ in pairs), "words of several tokens stay"


@pytest.mark.parametrize("name", ATTACKS)
def test_protected_words_are_passed_over(name: str) -> None:
    engine = tiny.engine("bert")
    samples = samples_of(engine)
    first = twins_of(ATTACKS[name](), engine, samples)
    protected = {w.lower() for s, twin in zip(samples, first, strict=True) for pair in changed(str(s.input), twin.input) for w in pair}
    threat = EditBudget(protected_words=sorted(protected))
    twins = twins_of(ATTACKS[name](), engine, samples, threat)
    pairs = [pair for s, twin in zip(samples, twins, strict=True) for pair in changed(str(s.input), twin.input)]
    assert pairs
    assert not {word.lower() for pair in pairs for word in pair} & protected


@pytest.mark.parametrize("name", ATTACKS)
def test_queries_are_those_of_the_model(name: str) -> None:
    engine = tiny.engine("bert")
    samples = samples_of(engine)
    asked: list[int] = []
    run = engine.run
    engine.run = lambda requests: (asked.append(len(requests)), run(requests))[1]
    before = engine.counters.gradient_passes
    twins = twins_of(ATTACKS[name](), engine, samples)
    total = sum(twin.metadata["num_queries"] for twin in twins)
    assert total - sum(asked) >= len(samples), "one gradient a sample at least"
    if name == "gradient_word_swap":
        assert total - sum(asked) == len(samples)
        assert engine.counters.gradient_passes - before == 1, "of all samples together"
    assert len(asked) < len(samples) * 2, "one call a round"


@pytest.mark.parametrize("attack", [HotFlip(steps=1, **WIDE), GradientWordSwap(steps=1, **WIDE)])
def test_a_search_out_of_steps_says_so(attack: Any) -> None:
    engine = tiny.engine("bert")
    samples = samples_of(engine)
    twins = twins_of(attack, engine, samples)
    answers = engine.run([Classify(twin.input, LABELS) for twin in twins])
    is_wrong = [int(np.argmax(a.values)) != s.target for a, s in zip(answers, samples, strict=True)]
    assert any(is_wrong)
    assert any(twin.metadata["budget_exhausted"] for twin in twins)
    assert not any(twin.metadata["budget_exhausted"] for twin, wrong in zip(twins, is_wrong, strict=True) if wrong)


class Correctness(Task):
    name, primary = "correctness", "correct"
    requires = frozenset({"classify", "text"})

    def samples(self) -> list[Sample]:
        return []

    def requests(self, sample: Sample, /) -> list[Classify]:
        return [Classify(sample.input, sample.labels)]

    def score(self, sample: Sample, responses: Sequence[Any], /) -> dict[str, float | None]:
        return {"correct": float(int(np.argmax(responses[0].values)) == sample.target)}


@pytest.mark.parametrize("name", ATTACKS)
def test_the_harness_judges(name: str) -> None:
    engine = tiny.engine("bert")
    samples = [*samples_of(engine), Sample("wrong", "the cat", 0, LABELS), Sample("pair", TextPair("the cat", "sat"), 0, LABELS)]
    task = Correctness()
    attack = ATTACKS[name]()
    records = make_attack_records(engine, "item", task, attack, attack.threat, SampleRng("test", 0), samples)
    for sample, record in zip(samples, records, strict=True):
        if record.scores.get("success") is None or record.scores.get("not_attacked"):
            continue
        (answer,) = engine.run([Classify(record.artifacts["twin"], LABELS)])
        assert record.scores["success"] == float(int(np.argmax(answer.values)) != sample.target)
        assert "success" not in record.artifacts
    assert any(record.scores.get("success") for record in records)


def test_what_is_no_text_of_a_known_class_is_an_error_of_its_own() -> None:
    engine = tiny.engine("bert")
    odd = [Sample("p", TextPair("a", "b"), 0, LABELS), Sample("t", "the cat", "positive", LABELS), *samples_of(engine)]
    for attack in (HotFlip(), GradientWordSwap()):
        twins = twins_of(attack, engine, odd)
        assert ["error" in twin.metadata for twin in twins] == [True, True] + [False] * len(TEXTS)
        assert "the input is a pair" in twins[0].metadata["error"]


@pytest.mark.parametrize("attack", [HotFlip(), GradientWordSwap()])
def test_a_model_without_a_vocabulary_is_told_what_is_needed(attack: Any) -> None:
    with pytest.raises(CapabilityError, match="does not tell its tokens; use an attack that only needs answers"):
        twins_of(attack, tiny.engine(Bag()), [Sample("b", "good", 0, BAG_LABELS)])


def test_settings_are_checked() -> None:
    for wrong in ({"beam": 0}, {"steps": 0}, {"candidates": 0}):
        with pytest.raises(ConfigError, match="must be at least 1"):
            HotFlip(**wrong)
    with pytest.raises(ConfigError, match="must be at least 1"):
        GradientWordSwap(candidates=0)
    with pytest.raises(ConfigError, match="stop_words"):
        HotFlip(stop_words="all")
