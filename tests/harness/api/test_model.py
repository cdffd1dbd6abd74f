"""What a model says of itself before its weights load, and how a requirement is held against it."""

from __future__ import annotations

from collections.abc import Set
from typing import Any

import pytest
from windtunnel.harness.api.model import ModelInfo

MIXED = ModelInfo({"generate": {"text", "chat"}, "classify": {"image"}}, {"gradients"}, ("dark", "bright"))


@pytest.mark.parametrize(
    ("requires", "lack"),
    [
        (set(), ""),
        ({"classify", "image", "gradients"}, ""),
        ({"generate", "text", "chat"}, ""),
        ({"classify"}, ""),
        ({"chat"}, ""),
        ({"classify", "text"}, "answers classify for image, not for text"),
        ({"generate", "image", "audio"}, "answers generate for chat and text, not for audio and image"),
        ({"classify", "generate", "text"}, "answers classify for image, not for text"),
        ({"embed", "loglikelihood", "text"}, "does not answer embed or loglikelihood (it answers classify and generate)"),
        ({"classify", "image", "attention"}, "gives no attention"),
        ({"classify", "text", "attention"}, "gives no attention and answers classify for image, not for text"),
        ({"audio"}, "takes no audio"),
    ],
)
def test_a_requirement_is_held_against_kinds_and_their_modalities(requires: Set[str], lack: str) -> None:
    assert MIXED.describe_lack(requires) == lack


def test_a_model_is_shown_by_what_it_answers() -> None:
    assert str(MIXED) == "classify for image, generate for chat and text, gradients"
    assert str(ModelInfo({})) == "nothing"


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ([frozenset({"classify", "text"})], r"answers maps each request kind to the modalities.*\{'classify': \{'text'\}\}"),
        ([{"classify": "text"}], "answers maps each request kind"),
        ([{"classify": {"text"}}, ("no", "yes")], r"features is a set of names.*classes are labels="),
    ],
)
def test_another_shape_is_told_the_right_one(given: list[Any], message: str) -> None:
    with pytest.raises(TypeError, match=message):
        ModelInfo(*given)
