"""Behavioural tests: perturbations by property, tests by hand on a model that looks for words."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from windtunnel.harness.api.errors import ConfigError, SampleError
from windtunnel.harness.api.requests import Classify
from windtunnel.harness.api.responses import Logits
from windtunnel.harness.results.frames import Run
from windtunnel.tasks import catalog, perturbations
from windtunnel.tasks.perturbations import PERTURBATIONS
from windtunnel.tests.tasks.test_safety_tasks import run, values_of

Json = dict[str, Any]


@pytest.fixture(autouse=True)
def _own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import datasets

    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "hf")


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


# ── perturbations ─────────────────────────────────────────────────────────────────────────────────────────────────────

WORDS = [
    "I",
    "you",
    "Mary",
    "Paris",
    "Italy",
    "is",
    "is not",
    "isn't",
    "does n't",
    "can't",
    "cannot",
    "won't",
    "I'm",
    "they're",
    "7",
    "3.5",
    "x2",
]
TEXTS = st.one_of(st.text(), st.lists(st.sampled_from([*WORDS, "wonderful", "a", "film,", "end."]), max_size=9).map(" ".join))


@settings(deadline=None, max_examples=60)
@given(TEXTS, st.integers(0, 2**32), st.sampled_from(sorted(PERTURBATIONS)))
def test_the_same_draw_gives_the_same_text(text: str, seed: int, name: str) -> None:
    first, second = (PERTURBATIONS[name](text, rng(seed)) for _ in range(2))
    assert first == second


@settings(deadline=None, max_examples=60)
@given(TEXTS, st.integers(0, 2**32))
def test_bounds_of_what_changes(text: str, seed: int) -> None:
    typo = perturbations.swap_letters(text, rng(seed))
    if typo is not None:
        assert Counter(typo) == Counter(text)
        assert sum(a != b for a, b in zip(text, typo, strict=True)) == 2, "two neighbours, and nothing else"
    dotted = perturbations.change_punctuation(text, rng(seed))
    assert dotted is None or dotted.rstrip(".!? \n\t") == text.rstrip().rstrip(".!?").rstrip().rstrip(".!? \n\t") or text in dotted
    for name in ("names", "locations", "numbers"):
        changed = PERTURBATIONS[name](text, rng(seed))
        assert changed is None or (changed != text and len(changed.split()) == len(text.split()))


CONTRACTED = ["isn't", "Isn't", "can't", "won't", "shan't", "doesn't", "I'm", "they're", "wouldn't", "needn't"]
FILLER = ["the", "cat", "sat", "don", "note", "isnt", "'", "n't"]


@settings(deadline=None, max_examples=60)
@given(st.lists(st.sampled_from([*CONTRACTED, *FILLER[:5]]), min_size=1, max_size=8))
def test_contractions_come_back(words: list[str]) -> None:
    text = " ".join(words)
    written = perturbations.expand(text)
    if not set(words) & set(CONTRACTED):
        assert written is None
        return
    assert written is not None
    assert "'" not in written
    assert perturbations.contract(written) == text


@pytest.mark.parametrize(
    ("name", "text", "want"),
    [
        ("contractions", "It does n't work and you 've lost", "It does not work and you have lost"),
        ("contractions", "I am sure it is not", "I'm sure it isn't"),
        ("contractions", "I am not sure", None),
        ("contractions", "the dog's bone", None),
        ("contractions", "Can't we? We can’t.", "Cannot we? We cannot."),
        ("negation", "the film is good", "the film is not good"),
        ("negation", "the film isn't good", "the film is good"),
        ("negation", "we can't go", "we can go"),
        ("negation", "a fine film", None),
        ("punctuation", "It works.", "It works"),
        ("punctuation", "It works", "It works."),
        ("punctuation", "is it good ?!", "is it good"),
        ("punctuation", "...", None),
        ("punctuation", " ", None),
        ("typos", "a big cat", None),
        ("typos", "moon", None),
        ("typos", "we talk", "we tlak"),
        ("numbers", "it cost 3.50 or 1,000 or x2", None),
        ("names", "Johnny went", None),
        ("locations", "the parisian way", None),
    ],
)
def test_perturbations_by_hand(name: str, text: str, want: str | None) -> None:
    assert PERTURBATIONS[name](text, rng()) == want


def test_swaps_by_hand() -> None:
    for seed in range(20):
        name = perturbations.change_name("Mary saw Mary and John.", rng(seed))
        assert name is not None
        words = name.rstrip(".").split()
        swapped = words[4] == "John"
        assert words[1::1][0] == "saw"
        assert (words[0] == words[2] != "Mary") if swapped else (words[0] == words[2] == "Mary")
        number = perturbations.change_number("7 films", rng(seed))
        assert number in {f"{n} films" for n in range(8, 17)}
        city = perturbations.change_location("from Rome to Italy", rng(seed))
        assert city is not None
        assert city.startswith("from Rome to ") or city.endswith(" to Italy")


# ── the tests ─────────────────────────────────────────────────────────────────────────────────────────────────────────

ROWS = [
    {"sentence": "a good film that is long.", "label": 1},
    {"sentence": "Mary is bad", "label": 0},
    {"sentence": "so so", "label": 0},
    {"sentence": None, "label": 0},
]
MODEL = '''
def scores(texts):
    """Log-odds 2 for each good, -2 for each bad; a full stop is bad news; "not" turns all around."""
    sums = [2.0 * t.count("good") - 2.0 * t.count("bad") - 0.25 * t.count(".") + 0.1 for t in texts]
    return [[0.0, -s if " not " in t else s] for s, t in zip(sums, texts)]
'''


@pytest.fixture
def model(tmp_path: Path) -> Json:
    (tmp_path / "words.py").write_text(MODEL)
    return {"model": f"callable:{tmp_path / 'words.py'}:scores", "name": "words", "labels": ["negative", "positive"]}


def suite_task(folder: Path, name: str, text: str) -> str:
    (folder / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in ROWS))
    path = folder / f"{name}.yaml"
    path.write_text(text)
    return str(path)


INVARIANCE = "family: checklist\ntask: sst2\nperturbations: [punctuation, names]\n"


def test_invariance_by_hand(tmp_path: Path, model: Json) -> None:
    """Without its full stop the first stays positive; "so so" (0.1) with one falls to -0.15; "Mary is bad" stays as it is."""
    task = {"task": suite_task(tmp_path, "inv", INVARIANCE), "name": "inv", "data": {"files": str(tmp_path / "rows.jsonl")}}
    card, folder = run(tmp_path, model, [task], reports=[])
    found = values_of(card, "inv")
    assert found["failure_rate"] == (1 / 4, 4, 4)
    assert found["failure_rate[punctuation]"] == (1 / 3, 3, 1)
    assert found["failure_rate[names]"] == (0.0, 1, 3)
    assert card.num_failed == 2
    frame = Run.load(folder).samples().query("kind == 'task'").set_index("sample_id")
    assert frame.loc["sst2:2/punctuation", "score.failed"] == 1
    assert np.isnan(frame.loc["sst2:0/names", "score.failed"])


def test_samples_belong_to_their_text(tmp_path: Path) -> None:
    path = suite_task(tmp_path, "inv", INVARIANCE)
    task = catalog.load_task(path, data={"files": str(tmp_path / "rows.jsonl")})
    samples = list(task.samples())
    assert [(s.id, s.group) for s in samples[:3]] == [
        ("sst2:0/punctuation", "sst2:0"), ("sst2:0/names", "sst2:0"), ("sst2:1/punctuation", "sst2:1"),
    ]  # fmt: skip
    assert samples == list(task.samples())
    labels = ("negative", "positive")
    assert task.requests(samples[0]) == [Classify("a good film that is long.", labels), Classify("a good film that is long", labels)]
    assert task.requests(samples[1]) == []
    assert "cannot change this text" in task.predict(samples[1], [])["unscored"]
    with pytest.raises(SampleError, match="None"):
        task.requests(samples[-1])
    shuffled = catalog.load_task(path, data={"files": str(tmp_path / "rows.jsonl")}, shuffle=3)
    assert {s.id: s.input for s in shuffled.samples()} == {s.id: s.input for s in samples}, "no draw depends on the order"
    few = catalog.load_task(path, data={"files": str(tmp_path / "rows.jsonl")}, num_texts=1)
    assert [s.id for s in few.samples()] == [s.id for s in samples[:2]]


def logits(p: float) -> Logits:
    return Logits((float(np.log(1 - p)), float(np.log(p))))


@pytest.mark.parametrize(
    ("expect", "label", "before", "after", "failed", "change"),
    [
        ("no_rise", "positive", 0.5, 0.65, 1.0, 0.15),
        ("no_rise", "positive", 0.5, 0.55, 0.0, 0.05),
        ("no_rise", "positive", 0.5, 0.1, 0.0, -0.4),
        ("no_fall", "positive", 0.5, 0.35, 1.0, -0.15),
        ("no_fall", "positive", 0.5, 0.9, 0.0, 0.4),
        ("no_rise", "negative", 0.5, 0.35, 1.0, 0.15),
        ("no_rise", "", 0.2, 0.05, 1.0, 0.15),
        ("no_fall", "", 0.8, 0.6, 1.0, -0.2),
    ],
)
def test_directions_by_hand(tmp_path: Path, expect: str, label: str, before: float, after: float, failed: float, change: float) -> None:
    text = f"family: checklist\ntask: sst2\nperturbations: [append]\nphrases: [It is.]\nexpect: {expect}\nlabel: '{label}'\n"
    task = catalog.load_task(suite_task(tmp_path, "dir", text), data={"files": str(tmp_path / "rows.jsonl")})
    sample = next(iter(task.samples()))
    assert sample.input == "a good film that is long. It is."
    answers = [logits(before), logits(after)]
    assert task.score(sample, answers) == {"failed": failed}
    assert task.predict(sample, answers)["probability_change"] == pytest.approx(change)


def test_texts_without_a_class(tmp_path: Path, model: Json) -> None:
    (tmp_path / "rows.jsonl").write_text('{"words": "so so"}\n{"words": "a good film."}\n')
    path = tmp_path / "mine.yaml"
    path.write_text(
        "family: checklist\ndata: {files: rows.jsonl}\ntext: words\nlabels: [negative, positive]\nperturbations: [punctuation]\n"
    )
    card, _ = run(tmp_path, model, [{"task": str(path), "name": "mine"}], reports=[])
    assert values_of(card, "mine")["failure_rate"] == (0.5, 2, 0)


MFT = """
family: templates
labels: [negative, positive]
lexicons: {good: [good, fine], bad: [bad], thing: [film, book, song]}
templates:
  positive: "a {good} {thing}"
  negative: ["a {bad} {thing}, a {bad} one", "it is not {good} at all"]
"""


def test_minimum_functionality_by_hand(tmp_path: Path, model: Json) -> None:
    """ "fine" means nothing to the model, which is at 0.1: positive, and negative after "not"."""
    card, _ = run(tmp_path, model, [{"task": suite_task(tmp_path, "mft", MFT), "name": "mft"}], reports=[])
    found = values_of(card, "mft")
    assert found["accuracy"] == (1.0, 11, 0)
    assert found["accuracy[positive]"] == (1.0, 6, 0)
    assert found["accuracy[negative]"] == (1.0, 5, 0)


SPARE = ("it is not good at all", "it is not fine at all")


def test_fillings(tmp_path: Path) -> None:
    path = suite_task(tmp_path, "mft", MFT)
    samples = list(catalog.load_task(path).samples())
    assert [s.input for s in samples[:3]] == ["a good film", "a good book", "a good song"]
    assert samples[6].input == "a bad film, a bad one", "a slot that stands twice is filled alike"
    assert [s.group for s in samples] == ["0"] * 6 + ["1"] * 3 + ["2"] * 2
    few = [s.input for s in catalog.load_task(path, max_each=2).samples()]
    assert few == [
        "a good film",
        "a fine film",
        "a bad film, a bad one",
        "a bad book, a bad one",
        *("it is not good at all", "it is not fine at all"),
    ]


@pytest.mark.parametrize(
    ("text", "match"),
    [
        ("family: checklist\ntask: sst2\nperturbations: [typoes]\n", "Did you mean 'typos'"),
        ("family: checklist\ntask: sst2\nperturbations: [append]\n", "append needs phrases"),
        ("family: checklist\ntask: sst2\nperturbations: []\n", "perturbations is empty"),
        ("family: checklist\nperturbations: [typos]\n", "task or text"),
        ("family: checklist\ntask: mnli\nperturbations: [typos]\n", "classifies single texts"),
        ("family: checklist\ntask: sst2\nperturbations: [typos]\nlabel: positive\n", "invariance test"),
        ("family: checklist\ntask: sst2\nperturbations: [typos]\nexpect: no_rise\nlabel: great\n", "none of negative, positive"),
        ("family: checklist\ntask: sst2\nperturbations: [typos]\ngroup: x\n", "omit it"),
        ("family: checklist\ntext: words\nperturbations: [typos]\n", "text needs data"),
        ("family: templates\nlabels: [a, b]\ntemplates: {c: x}\n", "'c' is not a label"),
        ("family: templates\nlabels: [a, b]\ntemplates: {a: '{x}'}\n", "has no words"),
    ],
)
def test_tests_that_cannot_be(tmp_path: Path, text: str, match: str) -> None:
    with pytest.raises(ConfigError, match=match):
        catalog.load_task(suite_task(tmp_path, "mine", text))
