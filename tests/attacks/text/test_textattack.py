"""TextAttack's searches, pooled: the same answers as TextAttack alone, whatever shares the pool."""

from __future__ import annotations

import os
import random
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from windtunnel.attacks.text import pool, textattack_import
from windtunnel.attacks.text.deepwordbug import DeepWordBug
from windtunnel.attacks.text.textattack_import import serve_stop_words
from windtunnel.harness.api.errors import CapabilityError, ConfigError, SampleError
from windtunnel.harness.api.responses import Failure, Logits
from windtunnel.harness.api.samples import Sample, SampleRng
from windtunnel.harness.language.stop_words import ENGLISH, load_stop_words
from windtunnel.harness.modalities.text import TextPair
from windtunnel.harness.threats import EditBudget
from windtunnel.tests.word_hash import LABELS, Found, WordHash, one_by_one, told

pytestmark = pytest.mark.textattack

TEXTS = (
    "a warm funny engaging film that never once talks down to its young audience",
    "The plot is thin , the jokes are thinner and nobody on screen seems to care .",
    "It's a well-crafted thriller: tense, clever, and (mostly) believable!",
    "dull",
    "one of the great pleasures of this year , gorgeous and strange and very much alive",
    "I wouldn't watch it again even if they'd pay me",
    "an utterly forgettable picture",
    "the the the and and of",
)
SAMPLES = tuple(Sample(f"s{i}", text, i % 2, LABELS, metadata={"split": "dev"}) for i, text in enumerate(TEXTS))
HARD = (
    "", " ", "\n\t", "a", "I", "!?", "..", "é", "İstanbul İİ iıI", "\ud800 lone \udfff surrogate", "\ud83d",
    "zero\u200bwidth \u200d\ufeff joined", "🙂 smile 👩‍👩‍👧 family 🙂🙂", "[UNK] [MASK]", "'quoted' -dash- _x_ @me *a*", "a\x00b null",
    "e\u0301 combining", "x" * 5000, "\u202etfel ot thgir", "這是一部很好的電影 good", "{curly} {0} %s %d",
)  # fmt: skip


def attack(samples: Sequence[Sample], engine: WordHash | None = None, threat: EditBudget | None = None, **settings: Any) -> list[Sample]:
    bug = DeepWordBug(**{"stop_words": "builtin", **settings})
    return list(bug.perturb(engine or WordHash(), samples, threat or bug.threat, SampleRng("test", 0)))


def stock(textattack: Any, samples: Sequence[Sample], **settings: Any) -> tuple[list[Found], int]:
    with pytest.warns(DeprecationWarning, match="warn"):
        return one_by_one(textattack, partial(textattack.attack_recipes.DeepWordBugGao2018.build, **settings), samples)


# ── against TextAttack itself ─────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("use_all_transformations", [True, False])
def test_pooled_is_textattack_one_by_one(textattack: Any, use_all_transformations: bool) -> None:
    words = [word for text in TEXTS for word in text.split()]
    more = [
        Sample(f"r{i}", " ".join(random.Random(i).sample(words, k=3 + i % 50)), i % 2, LABELS, metadata={"split": "dev"}) for i in range(60)
    ]
    samples = [*SAMPLES, *more]
    engine = WordHash()
    twins = attack(samples, engine, use_all_transformations=use_all_transformations)
    expected, calls = stock(textattack, samples, use_all_transformations=use_all_transformations)
    assert told(twins) == expected
    assert {twin.metadata["status"] for twin in twins} == {"success", "failed", "skipped"}
    assert len(engine.rounds) < calls / 5
    assert sum(engine.rounds) == sum(twin.metadata["num_texts"] for twin in twins)
    assert [(twin.id, twin.target, twin.labels, twin.metadata["split"]) for twin in twins] == [
        (s.id, s.target, LABELS, "dev") for s in samples
    ]


def test_longer_text_is_asked_in_one_round_not_in_batches_of_32(textattack: Any) -> None:
    sample = Sample("long", " ".join(f"word{i}" for i in range(100)), 0, LABELS)
    engine = WordHash()
    twins = attack([sample], engine)
    assert told(twins) == stock(textattack, [sample])[0]
    assert twins[0].metadata["status"] == "skipped" or 100 in engine.rounds


@pytest.mark.usefixtures("textattack")
class TestLaws:
    def test_neighbours_order_and_pool_size_change_nothing(self) -> None:
        together = attack(SAMPLES)
        assert attack(SAMPLES, num_pooled=1) == attack(SAMPLES, num_pooled=3) == together
        assert list(reversed(attack(SAMPLES[::-1]))) == together
        assert [attack([sample])[0] for sample in SAMPLES] == together

    def test_same_seed_same_twin_and_other_seed_other_twin(self) -> None:
        bug, engine = DeepWordBug(stop_words="builtin"), WordHash()
        first, second = (bug.perturb(engine, SAMPLES, bug.threat, SampleRng(seed)) for seed in (1, 2))
        assert first == bug.perturb(engine, SAMPLES, bug.threat, SampleRng(1)) != second

    @pytest.mark.parametrize(
        "threat",
        [EditBudget(max_chars=0), EditBudget(max_chars=1), EditBudget(max_words=1), EditBudget(max_share=0.2), EditBudget(max_words=0),
         EditBudget(stop_words="builtin"), EditBudget(protected_words=["warm", "funny", "film", "thin", "dull", "year", "pay"])],
        ids=str,
    )  # fmt: skip
    def test_twins_are_inside_the_threat(self, threat: EditBudget) -> None:
        twins = attack(SAMPLES, threat=threat)
        assert all(threat.admits(sample, twin) for sample, twin in zip(SAMPLES, twins, strict=True))
        moved = any(sample.input != twin.input for sample, twin in zip(SAMPLES, twins, strict=True))
        assert moved == (0 not in (threat.max_chars, threat.max_words))

    def test_a_wider_threat_goes_beyond_the_recipes_own_thirty_edits(self) -> None:
        class Stubborn(WordHash):
            def logits(self, text: str) -> tuple[float, ...]:
                return (9.0 - 0.01 * sum(not word.startswith("word") for word in text.split()), 0.0)

        sample = Sample("wide", " ".join(f"word{i:03}" for i in range(120)), 0, LABELS)
        for threat, least in ((EditBudget(max_chars=30), 15), (EditBudget(max_chars=60), 31), (EditBudget(), 31)):
            (twin,) = attack([sample], Stubborn(), threat)
            assert least <= threat.distance(sample, twin)["chars_changed"] <= (threat.max_chars or 1000)

    def test_hard_texts_come_back(self) -> None:
        samples = [Sample(f"h{i}-{target}", text, target, LABELS) for i, text in enumerate(HARD) for target in (0, 1)]
        twins = attack(samples)
        assert [twin.metadata.get("error") for twin in twins] == [None] * len(samples)
        assert all(isinstance(twin.input, str) for twin in twins)

    def test_a_text_textattack_cannot_handle_is_named(self) -> None:
        """``<SPLIT>`` is its own separator of text pairs: in a text it ends in ValueError, there as here."""
        twins = attack([Sample(f"split{target}", "<SPLIT> token <SPLIT> inside", target, LABELS) for target in (0, 1)])
        assert {twin.metadata.get("error") for twin in twins} == {None, "ValueError: substring not found"}
        assert {twin.input for twin in twins} == {"<SPLIT> token <SPLIT> inside"}

    def test_global_state_is_as_before(self) -> None:
        import nltk.corpus  # type: ignore[import-untyped]

        before = random.getstate(), np.random.get_state()[1].tolist(), nltk.corpus.stopwords, dict(os.environ)  # type: ignore[index]
        attack(SAMPLES)
        assert before == (random.getstate(), np.random.get_state()[1].tolist(), nltk.corpus.stopwords, dict(os.environ))  # type: ignore[index]

    def test_no_samples(self) -> None:
        engine = WordHash()
        assert attack([], engine) == []
        assert engine.rounds == []


@pytest.mark.usefixtures("textattack")
class TestFailures:
    def test_a_failed_request_ends_its_own_search_only(self) -> None:
        class Fragile(WordHash):
            def answer(self, text: str) -> Logits | Failure:
                return Failure("ValueError: no gorgeous texts") if "alive" in text and "gorgeous" in text else super().answer(text)

        alone, twins = attack(SAMPLES), attack(SAMPLES, Fragile())
        broken = [twin.id for twin in twins if "error" in twin.metadata]
        assert broken == ["s4"]
        assert twins[4].input == SAMPLES[4].input
        assert twins[4].metadata == {"split": "dev", "error": "ValueError: no gorgeous texts"}
        assert [*twins[:4], *twins[5:]] == [*alone[:4], *alone[5:]]

    @pytest.mark.parametrize("target", [None, -1, "positive", 0.0, 2])
    def test_a_target_that_is_no_class(self, target: object) -> None:
        (twin,) = attack([Sample("t", TEXTS[0], target, LABELS)])
        assert "error" in twin.metadata
        assert twin.input == TEXTS[0]

    def test_a_numpy_target_is_fine(self) -> None:
        (twin,) = attack([Sample("s0", TEXTS[0], np.int64(0), LABELS)])
        assert twin.metadata["status"] in ("success", "failed", "skipped")

    def test_a_text_pair_is_named(self) -> None:
        (twin,) = attack([Sample("p", TextPair("a", "b"), 0, LABELS)])
        assert twin.metadata["error"].startswith("this attack changes one text, but the input is a pair; ")

    @pytest.mark.parametrize("error", [KeyboardInterrupt, RuntimeError, CapabilityError])
    def test_what_the_engine_raises_ends_all(self, error: type[BaseException]) -> None:
        class Broken(WordHash):
            def try_run(self, requests: Sequence[Any], /) -> list[Any]:
                if len(self.rounds) == 2:
                    raise error
                return super().try_run(requests)

        before = random.getstate()
        with pytest.raises(error):
            attack(SAMPLES, Broken())
        assert random.getstate() == before


# ── the pool on its own ───────────────────────────────────────────────────────────────────────────────────────────────

Asking = Callable[[Sequence[int]], Sequence[int]]


@pytest.fixture
def ended() -> list[str]:
    pytest.importorskip("greenlet")
    return []


def counting(name: str, num: int, ended: list[str], error: BaseException | None = None) -> pool.Search[int, int, list[float]]:
    def run(ask: Asking) -> list[float]:
        drawn: list[float] = []
        try:
            for i in range(num):
                drawn += [*ask([i, i + 1]), random.random(), float(np.random.random())]
            if error:
                raise error
        finally:
            ended.append(name)
        return drawn

    return pool.Search(run, seed=num)


def double(questions: Sequence[int]) -> list[int]:
    return [2 * question for question in questions]


def test_pool_gives_each_search_what_it_gets_alone(ended: list[str]) -> None:
    searches = [counting(str(num), num, ended) for num in (3, 0, 5, 1)]
    alone = [pool.run_pooled([search], double)[0] for search in searches]
    sizes: list[int] = []

    def answer(questions: Sequence[int]) -> list[int]:
        sizes.append(len(questions))
        return double(questions)

    assert pool.run_pooled(searches, answer) == alone
    assert sizes == [6, 4, 4, 2, 2]
    sizes.clear()
    assert pool.run_pooled(searches, answer, num_pooled=2) == alone
    assert sizes == [4, 4, 4, 4, 2]


def test_pool_runs_a_heavy_search_with_few_or_alone(ended: list[str]) -> None:
    heavy = replace(counting("heavy", 2, ended), weight=9)
    searches = [counting("light", 1, ended), heavy, counting("last", 3, ended)]
    sizes: list[int] = []

    def answer(questions: Sequence[int]) -> list[int]:
        sizes.append(len(questions))
        return double(questions)

    pool.run_pooled(searches, answer, num_pooled=4)
    assert sizes == [2, 2, 2, 2, 2, 2]
    assert ended == ["light", "heavy", "last"]


def test_pool_keeps_an_exception_as_the_outcome(ended: list[str]) -> None:
    first, second = pool.run_pooled([counting("a", 2, ended, SampleError("broke")), counting("b", 3, ended)], double)
    assert isinstance(first, SampleError)
    assert isinstance(second, list)


def test_pool_wakes_nobody_to_ask_nothing(ended: list[str]) -> None:
    def run(ask: Asking) -> int:
        return len(ask([]))

    assert pool.run_pooled([pool.Search(run, 0)], double) == [0]


@pytest.mark.parametrize("where", ["search", "answer"])
def test_pool_ends_every_search_on_an_interrupt(ended: list[str], where: str, ctrl_c_is_listened_for: None) -> None:
    def answer(questions: Sequence[int]) -> list[int]:
        if where == "answer" and 1 in questions:
            raise KeyboardInterrupt
        return double(questions)

    before = random.getstate()
    with pytest.raises(KeyboardInterrupt):
        pool.run_pooled([counting("a", 9, ended), counting("b", 1, ended, KeyboardInterrupt()), counting("c", 9, ended)], answer)
    assert sorted(ended) == ["a", "b", "c"]
    assert random.getstate() == before


# ── stop words and the import ─────────────────────────────────────────────────────────────────────────────────────────


class NoData:
    def words(self, language: str) -> list[str]:
        raise LookupError(f"no {language}")


def test_stop_words_say_where_they_come_from(textattack: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    with serve_stop_words(["the", "of"]):
        assert load_stop_words("auto").words == load_stop_words("nltk").words == ("the", "of")
        assert str(load_stop_words("auto")).startswith("nltk, 2 words, sha256 ")
        assert load_stop_words("builtin").words == ENGLISH
        assert attack(SAMPLES[:1], stop_words="auto")[0].metadata["stop_words"] == str(load_stop_words("nltk"))
    monkeypatch.setattr("nltk.corpus.stopwords", NoData())
    assert load_stop_words("auto").words == ENGLISH
    assert str(load_stop_words("auto")) == f"builtin, {len(ENGLISH)} words, sha256 b1b45d4d"
    with pytest.raises(ConfigError, match=r"nltk\.downloader stopwords"):
        load_stop_words("nltk")
    with pytest.raises(ConfigError, match="'auto', 'nltk' or 'builtin'"):
        load_stop_words("snowball")


@pytest.mark.usefixtures("textattack")
def test_stop_words_are_left_alone() -> None:
    twins = attack([Sample(f"w{target}", "over under the and further", target, LABELS) for target in (0, 1)])
    assert [twin.input for twin in twins] == ["over under the and further"] * 2


def test_without_the_extra_the_error_names_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(textattack_import, "find_spec", lambda name: None)
    with pytest.raises(CapabilityError, match=r"pip install 'windtunnel\[text-attacks\]' && pip install --no-deps textattack==0\.3\.11$"):
        DeepWordBug()


def test_the_modules_import_nothing_heavy() -> None:
    code = """
import sys
import windtunnel.attacks.text.deepwordbug
print(sorted({"torch", "textattack", "transformers", "nltk", "flair", "greenlet"} & sys.modules.keys()))
"""
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "[]\n"


@pytest.mark.usefixtures("textattack")
def test_the_import_fetches_nothing_and_leaves_nothing_changed(tmp_path: Path) -> None:
    code = """
import logging, os, random, socket, sys
def refuse(*args, **kwargs):
    raise AssertionError(f"a socket was opened: {args}")
socket.socket.connect = socket.create_connection = socket.getaddrinfo = refuse
mine = logging.getLogger("mine")
drawn = random.getstate()
from windtunnel.harness.language.stop_words import load_stop_words
from windtunnel.attacks.text.textattack_import import import_textattack
textattack = import_textattack(load_stop_words("auto").words)
assert textattack is import_textattack(())
assert not mine.disabled and not logging.getLogger("torch").disabled and not logging.root.handlers
assert random.getstate() == drawn
assert not {"HF_HOME", "XDG_CACHE_HOME", "TA_CACHE_DIR", "TFHUB_CACHE_DIR", "TOKENIZERS_PARALLELISM", "WANDB_SILENT"} & os.environ.keys()
import huggingface_hub.constants, textattack.shared.utils.install as install
assert huggingface_hub.constants.HF_HOME.startswith(os.environ["HOME"])
assert install.TEXTATTACK_CACHE_DIR == os.path.join(os.environ["HOME"], ".cache", "textattack")
assert not os.path.exists(install.TEXTATTACK_CACHE_DIR)
"""
    hidden = ("HF_HOME", "XDG_CACHE_HOME", "TA_CACHE_DIR", "TFHUB_CACHE_DIR", "TOKENIZERS_PARALLELISM", "WANDB_SILENT", "NLTK_DATA")
    environment = {name: value for name, value in os.environ.items() if name not in hidden} | {"HOME": str(tmp_path)}
    done = subprocess.run([sys.executable, "-W", "error", "-c", code], capture_output=True, text=True, env=environment)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert not [path for path in tmp_path.rglob("*") if "textattack" in path.name or "nltk" in path.name]
