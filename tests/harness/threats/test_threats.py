"""Threat models against numpy by hand and a plain dynamic program."""

from __future__ import annotations

import itertools
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from windtunnel.harness.api.errors import ConfigError
from windtunnel.harness.api.samples import Sample
from windtunnel.harness.modalities.chat import Chat, Message
from windtunnel.harness.modalities.image import Image
from windtunnel.harness.modalities.inputs import Input
from windtunnel.harness.modalities.text import TextPair
from windtunnel.harness.threats import EditBudget, LpBall, edit_budget, levenshtein

ALPHABET = st.text("ab é\u0301🙂\ud800\n", max_size=12)


def sample(value: Input) -> Sample:
    return Sample("s", value)


def image(values: Any, dtype: Any = np.float32) -> Sample:
    return sample(Image(np.asarray(values, dtype=dtype)))


def flat(value: float, shape: tuple[int, ...] = (2, 3, 1)) -> Sample:
    return image(np.full(shape, value))


def plain_edit_distance(a: Sequence[Any], b: Sequence[Any]) -> int:
    """The textbook table."""
    table = [[i + j if i * j == 0 else 0 for j in range(len(b) + 1)] for i in range(len(a) + 1)]
    for i, j in itertools.product(range(1, len(a) + 1), range(1, len(b) + 1)):
        table[i][j] = min(table[i - 1][j] + 1, table[i][j - 1] + 1, table[i - 1][j - 1] + (a[i - 1] != b[j - 1]))
    return table[-1][-1]


class TestLpBall:
    def test_distance_is_numpys(self) -> None:
        rng = np.random.default_rng(0)
        a, b = rng.random((4, 5, 3), dtype=np.float32), rng.random((4, 5, 3), dtype=np.float32)
        moved = LpBall(0.9).distance(image(a), image(b))
        assert moved["linf"] == pytest.approx(np.max(np.abs(a - b)))
        assert moved["l2"] == pytest.approx(np.linalg.norm((a - b).astype(np.float64)))

    def test_uint8_is_scaled_to_one(self) -> None:
        a, b = np.zeros((2, 2, 1), np.uint8), np.zeros((2, 2, 1), np.uint8)
        b[0, 0, 0], b[1, 1, 0] = 51, 255
        moved = LpBall(0.9).distance(image(a, np.uint8), image(b, np.uint8))
        assert moved == {"linf": pytest.approx(1.0), "l2": pytest.approx(np.sqrt(0.2**2 + 1))}

    def test_uint8_against_float(self) -> None:
        assert LpBall(0).admits(image(np.full((2, 2, 3), 77), np.uint8), image(np.full((2, 2, 3), 77 / 255)))
        assert not LpBall(0.003).admits(image(np.full((2, 2, 3), 77), np.uint8), image(np.full((2, 2, 3), 78), np.uint8))
        assert LpBall(0.004).admits(image(np.full((2, 2, 3), 77), np.uint8), image(np.full((2, 2, 3), 78), np.uint8))

    @pytest.mark.parametrize(("norm", "radius"), [("linf", 0.1), ("l2", 0.1 * np.sqrt(6))])
    def test_the_surface_is_inside_and_beyond_is_not(self, norm: str, radius: float) -> None:
        assert LpBall(float(radius), norm).admits(flat(0.5), flat(0.6))
        assert not LpBall(float(radius) - 1e-4, norm).admits(flat(0.5), flat(0.6))

    def test_epsilon_0_admits_the_same_image_only(self) -> None:
        assert LpBall(0).admits(flat(0.5), flat(0.5))
        assert not LpBall(0).admits(flat(0.5), flat(0.5001))

    @pytest.mark.parametrize("value", [-0.01, 1.01, np.nan, np.inf])
    def test_outside_of_the_box(self, value: float) -> None:
        twin = np.full((2, 3, 1), 0.5, np.float32)
        twin[1, 1] = value
        forged = Image(np.zeros((2, 3, 1)))
        forged._values = twin
        assert not LpBall(0.99).admits(flat(0.5), sample(forged))

    def test_another_shape_is_outside_even_where_it_would_broadcast(self) -> None:
        assert not LpBall(0.9).admits(flat(0.5, (2, 3, 3)), flat(0.5, (2, 3, 1)))
        assert not LpBall(0.9).admits(flat(0.5, (4, 4, 1)), flat(0.5, (1, 4, 1)))
        with pytest.raises(ValueError, match="shapes"):
            LpBall(0.9).distance(flat(0.5, (4, 4, 1)), flat(0.5, (1, 4, 1)))

    @pytest.mark.parametrize(
        ("twin", "admitted"),
        [
            ("It is NOT, I say, a fine film", True),
            ("it is, I say, a good film", False),
            ("it is nott, I say, a good film", False),
            ("it is not not, I say, a good film", False),
            ("I say, it is not a good film", False),
            ("it is not, I say, a knotty film", True),
        ],
    )
    def test_protected_words_stay(self, twin: str, admitted: bool) -> None:
        budget = EditBudget(protected_words=["not", "I"])
        assert budget.admits(sample("it is not, I say, a good film"), sample(twin)) is admitted

    def test_another_kind_of_twin_is_outside(self) -> None:
        assert not LpBall(0.9).admits(flat(0.5), sample("text"))

    def test_a_ball_around_a_text_is_an_error(self) -> None:
        with pytest.raises(ConfigError, match="needs images"):
            LpBall(0.9).admits(sample("a"), sample("a"))

    @pytest.mark.parametrize("epsilon", [-1, np.nan, np.inf, "8/255", True])
    def test_bad_epsilon(self, epsilon: Any) -> None:
        with pytest.raises(ConfigError, match="epsilon"):
            LpBall(epsilon)

    def test_bad_norm(self) -> None:
        with pytest.raises(ConfigError, match="l1"):
            LpBall(1, "l1")


class TestLevenshtein:
    @given(ALPHABET, ALPHABET)
    def test_characters(self, a: str, b: str) -> None:
        assert levenshtein(a, b) == plain_edit_distance(a, b)

    @given(st.lists(st.sampled_from("abcd"), max_size=9), st.lists(st.sampled_from("abcd"), max_size=9))
    def test_words(self, a: list[str], b: list[str]) -> None:
        assert levenshtein(a, b) == plain_edit_distance(a, b)

    def test_known(self) -> None:
        assert levenshtein("kitten", "sitting") == 3
        assert levenshtein("", "abc") == levenshtein("abc", "") == 3
        assert levenshtein("", "") == 0
        assert levenshtein("aaaa", "aa") == 2
        assert levenshtein("🙂", "🙃") == 1


class TestEditBudget:
    @pytest.mark.parametrize(
        ("before", "after", "words", "chars"),
        [
            ("a good film", "a good film", 0, 0),
            ("a good film", "a bad film", 1, 3),
            ("a good film", "a film", 1, 5),
            ("a film", "a good film", 1, 5),
            ("good film", "film good", 2, 8),
            ("a b c d", "b c d e", 2, 4),
            ("a  good film", "a good\nfilm", 0, 2),
            ("", "new", 1, 3),
            ("naïve café", "naive café", 1, 1),
            ("", "", 0, 0),
        ],
    )
    def test_counts(self, before: str, after: str, words: int, chars: int) -> None:
        moved = EditBudget().distance(sample(before), sample(after))
        assert (moved["words_changed"], moved["chars_changed"]) == (words, chars)

    @given(ALPHABET, ALPHABET)
    @settings(max_examples=60)
    def test_against_the_plain_table(self, a: str, b: str) -> None:
        moved = EditBudget().distance(sample(a), sample(b))
        assert moved["words_changed"] == plain_edit_distance(a.split(), b.split())
        assert moved["chars_changed"] == plain_edit_distance(a, b)

    def test_the_fewest_changes_where_difflib_finds_more(self) -> None:
        """Difflib pairs the first words that are equal, and counts 3 here."""
        assert EditBudget().distance(sample("c c c"), sample("b c b"))["words_changed"] == 2

    def test_share(self) -> None:
        ten = sample("a b c d e f g h i j")
        three = sample("A B C d e f g h i j")
        assert EditBudget(max_share=0.3).admits(ten, three)
        assert not EditBudget(max_share=0.29).admits(ten, three)
        assert EditBudget().distance(sample(""), sample("x"))["share_changed"] == 1

    def test_bounds_are_each_their_own(self) -> None:
        clean, twin = sample("a good film"), sample("a gxxx film")
        assert EditBudget(max_words=1, max_chars=3).admits(clean, twin)
        assert not EditBudget(max_words=0).admits(clean, twin)
        assert not EditBudget(max_chars=2).admits(clean, twin)
        assert EditBudget(max_words=0, max_chars=0).admits(clean, clean)

    def test_a_pair_is_compared_text_by_text(self) -> None:
        clean, moved = sample(TextPair("a b", "c")), sample(TextPair("a", "b c"))
        assert EditBudget().distance(clean, moved)["words_changed"] == 2
        assert EditBudget().distance(clean, sample(TextPair("a b", "d")))["words_changed"] == 1

    @pytest.mark.parametrize(
        ("twin", "admitted"),
        [
            ("It is NOT, I say, a fine film", True),
            ("it is, I say, a good film", False),
            ("it is nott, I say, a good film", False),
            ("it is not not, I say, a good film", False),
            ("I say, it is not a good film", False),
            ("it is not, I say, a knotty film", True),
        ],
    )
    def test_protected_words_stay(self, twin: str, admitted: bool) -> None:
        budget = EditBudget(protected_words=["not", "I"])
        assert budget.admits(sample("it is not, I say, a good film"), sample(twin)) is admitted

    def test_stop_words_of_a_list_stay(self, tmp_path: Path) -> None:
        clean, lost, other = sample("it is not a good film"), sample("it is a good film"), sample("it is not a bad film")
        for listed in (EditBudget(stop_words="builtin"), EditBudget(stop_words="builtin", protected_words=["film"])):
            assert [listed.admits(clean, twin) for twin in (clean, lost, other)] == [True, False, True]
        assert not EditBudget(stop_words="builtin", protected_words=["good"]).admits(clean, other)
        (tmp_path / "corpora/stopwords").mkdir(parents=True)
        (tmp_path / "corpora/stopwords/english").write_text("good\nbad\n")
        own = EditBudget(stop_words="nltk", folder=str(tmp_path))
        assert [own.admits(clean, twin) for twin in (lost, other)] == [True, False]
        (resource,) = own.resources()
        assert resource.is_there
        (missing,) = EditBudget(stop_words="nltk", folder=str(tmp_path / "none")).resources()
        assert missing.is_there or "nltk.downloader" in missing.advice

    @pytest.mark.parametrize(
        ("twin", "admitted"),
        [
            ("a dull film .", True),  # an adjective for an adjective
            ("a warm picture .", True),
            ("a DULL Picture .", True),
            ("a never film .", False),  # an adverb for an adjective
            ("a film film .", False),
            ("a film warm .", False),
            ("a warm film", False),  # a mark is lost
            ("a warm dull film .", False),
            ("a film .", False),
            ("a warm film .", True),
        ],
    )
    def test_parts_of_speech_stay(self, tmp_path: Path, twin: str, admitted: bool) -> None:
        (tmp_path / "tags.json").write_text(json.dumps({"a": "DET", "warm": "ADJ", "dull": "ADJ", "never": "ADV"}))
        budget = EditBudget(same_part_of_speech=True, tagger=str(tmp_path / "tags.json"))
        assert budget.admits(sample("a warm film ."), sample(twin)) is admitted
        assert [resource.is_there for resource in budget.resources()] == [True]
        pair = sample(TextPair("warm", "a warm film ."))
        assert budget.admits(pair, sample(TextPair("dull", twin))) is admitted

    def test_each_word_is_tagged_where_it_stands(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """By a tagger that looks at the word before: after "to" all is a verb."""

        def tag(words: Sequence[str]) -> list[tuple[str, str]]:
            return [(w, "VERB" if before == "to" else "NOUN") for before, w in zip(["", *words[:-1]], words, strict=True)]

        monkeypatch.setattr(edit_budget, "load_tagger", lambda tagger, folder: tag)
        budget = EditBudget(same_part_of_speech=True)
        assert budget.admits(sample("to film it"), sample("to star it"))
        assert not budget.admits(sample("to film it"), sample("the star it"))

    def test_another_kind_of_twin_is_outside(self) -> None:
        assert not EditBudget().admits(sample("a"), sample(TextPair("a", "")))
        assert not EditBudget().admits(sample("a"), flat(0.5))

    def test_a_budget_for_an_image_is_an_error(self) -> None:
        with pytest.raises(ConfigError, match="needs text"):
            EditBudget().admits(flat(0.5), flat(0.5))
        with pytest.raises(ConfigError, match="needs text"):
            EditBudget().admits(sample(Chat((Message("user", "a"),))), sample(Chat((Message("user", "a"),))))

    @pytest.mark.parametrize("bounds", [{"max_words": -1}, {"max_share": float("nan")}, {"max_chars": "3"}, {"max_words": True},
                                        {"protected_words": "not"}, {"protected_words": [1]}, {"stop_words": "snowball"},
                                        {"same_part_of_speech": "nltk"}])  # fmt: skip
    def test_bad_bounds(self, bounds: Any) -> None:
        with pytest.raises(ConfigError, match=next(iter(bounds))):
            EditBudget(**bounds)
