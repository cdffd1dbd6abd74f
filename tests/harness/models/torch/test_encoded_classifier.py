"""Texts, pairs and sounds through a torch module and an encode function."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from windtunnel.harness.api.errors import CapabilityError, ConfigError, ModelError
from windtunnel.harness.api.requests import Classify
from windtunnel.harness.api.responses import Failure
from windtunnel.harness.modalities.audio import Audio
from windtunnel.harness.modalities.text import TextPair
from windtunnel.harness.models.torch.source import TorchModule
from windtunnel.tests import tiny

LABELS = ("negative", "neutral", "positive")
TEXTS = ["the cat sat", "a good young dog in paris was able to read the great films", "bad"]


class Scores(torch.nn.Module):
    """The tiny checkpoint as a module that returns one tensor."""

    def __init__(self) -> None:
        super().__init__()
        self.model = tiny.load("bert").module

    def forward(self, **named: torch.Tensor) -> torch.Tensor:
        logits: torch.Tensor = self.model(**named).logits
        return logits


def encode(texts: list[Any]) -> Any:
    pairs = [text if isinstance(text, tuple) else (text,) for text in texts]
    return tiny.shared("bert").tokenizer(*map(list, zip(*pairs, strict=True)), return_tensors="pt")


def encode_with_spans(texts: list[str]) -> Any:
    return tiny.shared("bert").tokenizer(texts, return_tensors="pt", return_offsets_mapping=True)


def source(**settings: Any) -> TorchModule:
    return TorchModule(Scores(), **{"labels": list(LABELS), "input": "text", "encode": encode_with_spans, "version": "1", **settings})


@pytest.mark.parametrize("modality", ["text", "pair"])
def test_answers_are_those_of_the_checkpoint(modality: str) -> None:
    values = TEXTS if modality == "text" else [TextPair("bad", "great films"), TextPair("the cat sat", "fine")]
    made = source(input=modality, encode=encode)
    assert made.inspect().answers == {"classify": {modality}}
    found, wanted = (
        tiny.engine(model).run([Classify(value, LABELS[::-1]) for value in values]) for model in (made.load("cpu", "auto"), "bert")
    )
    np.testing.assert_allclose([one.values for one in found], [one.values for one in wanted], atol=1e-5)


def test_gradients_are_those_of_the_checkpoint() -> None:
    made = source()
    assert "gradients" in made.inspect().features
    request, slopes = Classify(TEXTS[1], LABELS), []
    for model in (made.load("cpu", "auto"), tiny.shared("bert")):
        net = model.differentiable()
        encoded = net.encode([request])
        assert encoded.spans[0][1] == (0, 1)
        at = encoded.features.clone().requires_grad_()
        (slope,) = torch.autograd.grad(net.logits(at, encoded)[:, 1].sum(), at)
        slopes.append((encoded.features, encoded.baseline, slope))
    for one, other in zip(*slopes, strict=True):
        assert torch.allclose(one, other, atol=1e-5)


def test_without_spans_there_are_no_gradients_and_the_way_out_is_said() -> None:
    made = source(encode=encode)
    assert "also return 'offset_mapping'" in made.inspect().describe_lack(frozenset({"gradients"}))
    with pytest.raises(CapabilityError, match="also return 'offset_mapping'"):
        made.load("cpu", "auto").differentiable()


@pytest.mark.parametrize("spans", [torch.zeros(1, 3, 2), torch.zeros(1, 2), torch.zeros(1, 9, 3)])
def test_spans_that_are_not_those_of_the_tokens_are_refused(spans: torch.Tensor) -> None:
    made = source(encode=lambda texts: {**encode(texts), "offset_mapping": spans})
    with pytest.raises(ModelError, match=r"one \(start, end\) for each of 4 tokens; it has the shape"):
        tiny.engine(made.load("cpu", "auto")).run([Classify("the cat", LABELS)])


def test_words_come_from_a_list_a_file_or_a_function(tmp_path: Path) -> None:
    (tmp_path / "words.txt").write_text("cat\n\ndog\ncat\nunheardof\n##s\n")
    (tmp_path / "words.py").write_text("def words():\n    return ['cat', 'dog', 'unheardof', '##s']\n")
    for words in (["cat", "dog", "unheardof", "##s"], str(tmp_path / "words.txt"), f"{tmp_path}/words.py:words"):
        made = source(vocabulary=words)
        assert "vocabulary" in made.inspect().features
        lexicon = made.load("cpu", "auto").differentiable().lexicon()
        ids = tiny.shared("bert").tokenizer(["cat", "dog"], add_special_tokens=False)["input_ids"]
        assert lexicon.list_tokens() == [(ids[0][0], "cat"), (ids[1][0], "dog")]
        assert list(lexicon.tokenize(["a  cat"])[0][1]) == [(0, 1), (3, 6)]
        assert torch.equal(lexicon.embed(ids[0]), tiny.shared("bert").lexicon().embed(ids[0]))
    assert "model setting 'vocabulary'" in source().inspect().describe_lack(frozenset({"vocabulary"}))
    with pytest.raises(CapabilityError, match="does not tell its words: name words"):
        source().load("cpu", "auto").differentiable().lexicon()


class Loudness(torch.nn.Module):
    def forward(self, waves: torch.Tensor, rates: torch.Tensor) -> torch.Tensor:
        loud = waves.square().mean(1)
        return torch.stack([-loud, loud], 1) * 8 + 0 * rates[:, None]


def encode_sound(sounds: list[Audio]) -> Any:
    return np.stack([sound.samples for sound in sounds]), np.array([sound.rate for sound in sounds])


def test_sounds_of_different_lengths_are_not_padded() -> None:
    sounds = [Audio(np.full(length, level, np.float32), 100) for length, level in [(100, 0.5), (150, 0.1), (100, 0.9)]]
    made = TorchModule(Loudness(), labels=["quiet", "loud"], input="audio", encode=encode_sound, outputs="logits", version="1")
    assert made.inspect().answers == {"classify": {"audio"}}
    engine = tiny.engine(made.load("cpu", "auto"))
    found = [answer.values[1] for answer in engine.run([Classify(sound) for sound in sounds])]
    assert found == pytest.approx([8 * level**2 for level in (0.5, 0.1, 0.9)], abs=1e-6)
    assert engine.counters.forward_passes == 2
    (wrong,) = engine.try_run([Classify("a text")])
    assert isinstance(wrong, Failure)
    assert "takes input: audio, not text" in wrong.error


@pytest.mark.parametrize(
    ("settings", "error", "match"),
    [
        ({"encode": None}, ConfigError, "input: text needs encode"),
        ({"input": "image"}, ConfigError, "encode is for texts, pairs and sounds"),
        ({"input": "texts"}, ConfigError, "Did you mean 'text'"),
        ({"encode": lambda texts: 3}, ModelError, "'0' is a int"),
        ({"encode": lambda texts: torch.zeros(2, 3)}, ModelError, "'0' has 2 rows for one input"),
        ({"encode": lambda texts: np.array([["a", "word"]])}, ModelError, "must return arrays of numbers; '0' holds <U4"),
        ({"encode": lambda texts: ([["a", "word"]],)}, ModelError, "must return arrays of numbers; '0' holds <U4"),
        ({"input": "image", "encode": None, "vocabulary": ["good"]}, ConfigError, "vocabulary is for texts"),
        ({"vocabulary": "/nowhere.txt"}, ModelError, "'/nowhere.txt' cannot be read .* with a word a line"),
        ({"vocabulary": [" "]}, ModelError, "has no words"),
        ({"encode": lambda texts: {}["ids"]}, ModelError, "raised KeyError for the input 'a word'"),
    ],
)
def test_wrong_settings_are_refused_before_the_run(settings: dict[str, Any], error: type[Exception], match: str) -> None:
    with pytest.raises(error, match=match):
        source(**settings).inspect()


NET = """
import torch

def make():
    torch.manual_seed(0)
    return torch.nn.Linear(1, 2)
"""
ENCODE = """
import torch

def encode(texts):
    return torch.tensor([[FACTOR * len(text)] for text in texts]).float()
"""


def test_the_encode_function_is_part_of_the_fingerprint(tmp_path: Path) -> None:
    prints = []
    for factor in ("1", "2", "1"):
        (tmp_path / "net.py").write_text(NET)
        (tmp_path / "encode.py").write_text(ENCODE.replace("FACTOR", factor))
        made = TorchModule(f"{tmp_path}/net.py:make", input="text", encode=f"{tmp_path}/encode.py:encode")
        prints.append(made.load("cpu", "auto").fingerprint)
    assert prints[0] == prints[2] != prints[1]
