"""The last layer of an encoder for the position that is read: the same logits, found by measuring, and no trace afterwards."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import pytest
import torch
import transformers
from torch import nn
from windtunnel.harness.api.errors import SampleError
from windtunnel.harness.api.requests import Classify
from windtunnel.harness.models.encoder.first_position import FirstPosition, find_first_positions
from windtunnel.harness.models.encoder.packed import FlatEncoder
from windtunnel.harness.models.torch.flops import count_flops_per_token
from windtunnel.harness.models.torch.randomised import randomise
from windtunnel.tests import tiny

pytestmark = pytest.mark.filterwarnings("ignore:.*torch.jit.script:DeprecationWarning")  # DeBERTa, where transformers is 4

SIZES = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 48}
MODERN = {"pad_token_id": 0, "bos_token_id": 2, "eos_token_id": 3, "cls_token_id": 2, "sep_token_id": 3}
DISTIL = {"dim": 32, "n_layers": 2, "n_heads": 4, "hidden_dim": 48}
RELATIVE = {"relative_attention": True, "pos_att_type": ["p2c", "c2p"], "position_buckets": 8}

# What is shortened: name, settings, weights of the last layer that see one position (attention's output and the feed-forward network).
USUAL = 32 * 32 + 2 * 32 * 48
SHORT: list[tuple[str, dict[str, Any], int]] = [
    ("Bert", SIZES, USUAL),
    ("Roberta", SIZES, USUAL),
    ("Electra", {**SIZES, "embedding_size": 16}, USUAL),
    ("MPNet", SIZES, USUAL),
    ("DistilBert", DISTIL, USUAL),
    ("DebertaV2", {**SIZES, **RELATIVE}, USUAL),
    ("ModernBert", {**SIZES, **MODERN, "classifier_pooling": "cls"}, USUAL + 32 * 48),
]
WHOLE: list[tuple[str, dict[str, Any]]] = [
    ("Albert", {**SIZES, "embedding_size": 16}),  # one layer that runs twice
    ("ModernBert", {**SIZES, **MODERN, "classifier_pooling": "mean"}),
    ("GPT2", {"n_embd": 32, "n_layer": 2, "n_head": 4, "pad_token_id": 0, "bos_token_id": 2, "eos_token_id": 3}),
]


def made(name: str, settings: dict[str, Any]) -> nn.Module:
    config = getattr(transformers, f"{name}Config")(vocab_size=60, initializer_range=0.3, num_labels=3, **settings)
    with torch.random.fork_rng():
        torch.manual_seed(3)
        module: nn.Module = getattr(transformers, f"{name}ForSequenceClassification")(config)
    return module.eval()


def batch(*lengths: int) -> tuple[torch.Tensor, torch.Tensor]:
    ids = torch.randint(5, 60, (len(lengths), max(lengths)), generator=torch.Generator().manual_seed(sum(lengths)))
    mask = (torch.arange(max(lengths)) < torch.tensor(lengths)[:, None]).long()
    return ids * mask, mask


def logits(module: nn.Module, *lengths: int) -> torch.Tensor:
    ids, mask = batch(*lengths)
    with torch.no_grad():
        found: torch.Tensor = module(input_ids=ids, attention_mask=mask).logits
    return found


def alone(module: nn.Module, texts: Sequence[list[int]]) -> torch.Tensor:
    return torch.cat([module(input_ids=torch.tensor([ids])).logits for ids in texts])


def probes(module: nn.Module) -> list[Callable[[], torch.Tensor]]:
    return [lambda: logits(module, 3, 9, 6), lambda: logits(module, 12, 4)]


def hooks(module: nn.Module) -> int:
    return sum(len(m._forward_pre_hooks) + len(m._forward_hooks) for m in module.modules())


@pytest.mark.parametrize(("name", "settings", "weights"), SHORT, ids=[name for name, *_ in SHORT])
def test_encoders_that_read_their_first_position(name: str, settings: dict[str, Any], weights: int) -> None:
    module = made(name, settings)
    first = FirstPosition(module, probes(module))
    assert first.flops == 2 * weights
    for lengths in ((1, 20), (7,), (2, 2, 2), (31, 30, 1, 5)):
        whole = logits(module, *lengths)
        with first.only(module, find_first_positions(len(lengths), max(lengths))):
            assert torch.allclose(logits(module, *lengths), whole, atol=1e-5), lengths
    assert hooks(module) == 0


@pytest.mark.parametrize(("name", "settings", "weights"), SHORT, ids=[name for name, *_ in SHORT])
def test_texts_in_a_row_are_as_they_are_alone(name: str, settings: dict[str, Any], weights: int) -> None:
    module = made(name, settings)
    flat = FlatEncoder(module, FirstPosition(module, probes(module)), lambda texts: alone(module, texts), list(range(10, 34)))
    if name in ("Bert", "Roberta"):
        assert flat.works
    if name in ("MPNet", "DebertaV2", "ModernBert"):
        assert not flat.works, "what it adds to its scores, or its window, counts through the row"
    if flat.works:
        texts = [list(range(7, 7 + length)) for length in (40, 21, 21, 20, 3, 3, 3, 1)]
        with torch.no_grad():
            assert torch.allclose(flat.logits(module, texts, [None] * len(texts)), alone(module, texts), atol=1e-5)
    assert hooks(module) == 0


def test_of_a_model_that_cannot_be_asked_nothing_is_known() -> None:
    """One that sees its padding has no batches to be measured on, and counts its operations whole."""
    first = FirstPosition(made("Bert", SIZES), [])
    assert (first.is_possible, first.parts, first.flops) == (False, [], 0)
    engine = tiny.engine("fnet")
    engine.run([Classify("the cat sat"), Classify("a dog")])
    assert engine.counters.flops > 0


@pytest.mark.parametrize(("name", "settings"), WHOLE, ids=[name for name, _ in WHOLE])
def test_others_run_whole(name: str, settings: dict[str, Any]) -> None:
    module = made(name, settings)
    first = FirstPosition(module, probes(module))
    assert not first.parts
    assert first.flops == 0
    assert hooks(module) == 0


class Mixing(nn.Module):
    """Reads the first position of a layer that takes the mean of all positions, and then works on each by itself."""

    class Layer(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.before, self.after = nn.Linear(8, 8), nn.Linear(8, 8)

        def forward(self, states: torch.Tensor) -> torch.Tensor:
            mean = self.before(states).mean(1, keepdim=True)
            return states + self.after(states + mean)

    def __init__(self, reads: Callable[[torch.Tensor], torch.Tensor]) -> None:
        super().__init__()
        self.layers, self.head, self.reads = nn.ModuleList([self.Layer()]), nn.Linear(8, 2), reads

    def forward(self, states: torch.Tensor) -> torch.Tensor:
        found: torch.Tensor = self.head(self.reads(self.layers[0](states)))
        return found


def test_a_part_that_needs_all_positions_gets_them() -> None:
    torch.manual_seed(0)
    module = Mixing(lambda states: states[:, 0])
    first = FirstPosition(module, [lambda: module(torch.ones(3, 5, 8) * torch.arange(5.0)[:, None] + torch.randn(3, 1, 8))])
    assert not first.parts, "random inputs: the logits do not stay"
    states = torch.randn(3, 5, 8)
    first = FirstPosition(module, [lambda: module(states)])
    assert first.parts == ["layers.0.after"]


@pytest.mark.parametrize("reads", [lambda s: s.mean(1), lambda s: s[:, -1], lambda s: s.amax(1), lambda s: s[:, 0] + 1e-30 * s[:, 1]])
def test_whoever_reads_further_positions_is_found_out(reads: Callable[[torch.Tensor], torch.Tensor]) -> None:
    states = torch.randn(3, 5, 8, generator=torch.Generator().manual_seed(0))
    module = Mixing(reads)
    assert not FirstPosition(module, [lambda: module(states)]).parts


def test_a_classifier_is_shortened_where_nothing_is_differentiated() -> None:
    model = tiny.load("bert")
    rows: list[int] = []
    model.module.bert.encoder.layer[-1].intermediate.dense.register_forward_hook(lambda m, args, out: rows.append(out.shape[1]))
    engine = tiny.engine(model, pack=0)
    request = Classify("the young dog was able to read")
    (answer,) = engine.run([request])
    length = len(model.split(request)[0].ids)
    assert engine.counters.flops == length * count_flops_per_token(model.module) - (length - 1) * 2 * USUAL
    with engine.differentiable() as net:
        encoded = net.encode([request])
        assert torch.allclose(net.logits(encoded.features, encoded)[0], torch.tensor(answer.values), atol=1e-5)
    assert rows == [1, length]


def test_texts_in_a_row_make_one_pass_without_padding() -> None:
    model = tiny.load("roberta")
    engine = tiny.engine(model)
    requests = [Classify(text) for text in ("the cat", "a young dog was able to read", "a", "bad films", "a <pad> token", "the cat sat")]
    answers = engine.run(requests)
    # Its positions leave out what is written like its padding, so that text has a batch of its own.
    assert (engine.counters.forward_passes, engine.counters.tokens_padded, engine.counters.pack_failures) == (2, 0, 0)
    assert engine.counters.tokens_computed == sum(len(model.split(request)[0].ids) for request in requests)
    for request, answer in zip(requests, answers, strict=True):
        assert answer.values == pytest.approx(alone(model.module, [model.split(request)[0].ids])[0].tolist(), abs=1e-5)


@pytest.mark.parametrize("pack", [0, 1024])
def test_a_copy_with_other_weights_answers_for_itself(pack: int) -> None:
    model = tiny.load("bert")
    other = randomise(model, 0)
    requests = [Classify("the cat"), Classify("the young dog was able to read")]
    for asked in (other, model):
        answers = tiny.engine(asked, pack=pack).run(requests)
        plain = alone(asked.module, [asked.split(request)[0].ids for request in requests])
        assert torch.allclose(torch.tensor([answer.values for answer in answers]), plain, atol=1e-5)


@pytest.mark.parametrize("pack", [0, 1024])
def test_no_hook_is_left_after_a_crash(pack: int) -> None:
    model = tiny.load("roberta")
    assert hooks(model.module) == 0
    tiny.engine(model, pack=pack).run([Classify("the cat")])
    assert hooks(model.module) == 0
    seen: list[int] = []

    def crash(module: nn.Module, args: object) -> None:
        seen.append(hooks(model.module))
        raise SampleError("a crash in the pass")

    handle = model.module.classifier.register_forward_pre_hook(crash)
    with pytest.raises(SampleError, match="a crash in the pass"):
        tiny.engine(model, pack=pack).run([Classify("the cat")])
    handle.remove()
    assert all(num > 1 for num in seen)
    assert hooks(model.module) == 0
