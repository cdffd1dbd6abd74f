"""Encoder-decoders: the same texts, likelihoods and gradients as transformers gives one by one."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers
from windtunnel.harness.api.errors import ModelError
from windtunnel.harness.api.requests import Generate, LogLikelihood
from windtunnel.harness.api.responses import Failure
from windtunnel.harness.models.hf import seq2seq_lm
from windtunnel.harness.models.hf.source import HuggingFace
from windtunnel.harness.models.seq2seq.passes import Target, fill_passes
from windtunnel.harness.models.seq2seq.reader import Source, align_pieces
from windtunnel.tests import tiny, tiny_seq2seq

SOURCES = ["the cat sat on a table", "bad films", "a good young dog in paris was able to read the great films that were awful"]
TARGETS = ["the dog", "a great film that was read", "bad"]
NEEDS_PIECES = {"marian", "m2m", "mbart", "mbart50"}
pytestmark = pytest.mark.filterwarnings("ignore:Recommended. pip install sacremoses", "ignore:Moving the following attributes")


@pytest.fixture(params=sorted(tiny_seq2seq.MAKERS))
def name(request: pytest.FixtureRequest) -> str:
    if request.param in NEEDS_PIECES:
        pytest.importorskip("sentencepiece")
    return str(request.param)


def load(name: str, **settings: Any) -> Any:
    return HuggingFace(str(tiny_seq2seq.checkpoint(name)), **settings).load("cpu", "float32")


def write_alone(model: Any, text: str, **settings: Any) -> str:
    """The text that transformers writes by itself after a source alone."""
    module = transformers.AutoModelForSeq2SeqLM.from_pretrained(model.name).eval()
    forced = {} if model.reader.forced is None else {"forced_bos_token_id": model.reader.forced}
    # mBART's first release starts the decoder with a language, which only its tokenizer knows.
    starts = {"decoder_start_token_id": model.reader.start[0]}
    with torch.no_grad():
        (ids,) = module.generate(**model.tokenizer(text, return_tensors="pt"), **forced, **starts, **settings, do_sample=False)
    return str(model.tokenizer.decode(ids, skip_special_tokens=True, clean_up_tokenization_spaces=False))


def score_alone(model: Any, source: str, target: str) -> float:
    """The log-likelihood by a plain pass with labels, as they are made for training."""
    labels = model.tokenizer(text_target=target, return_tensors="pt").input_ids
    plain = model.tokenizer(text_target=target, add_special_tokens=False).input_ids
    place = next(i for i in range(labels.shape[1]) if labels[0, i : i + len(plain)].tolist() == plain)
    given = torch.tensor([[model.reader.start[0], *labels[0, :-1].tolist()]])
    with torch.no_grad():
        logits = model.module(**model.tokenizer(source, return_tensors="pt"), decoder_input_ids=given).logits[0].double()
    return float(sum(logits[place + k].log_softmax(-1)[token] for k, token in enumerate(plain)))


def test_texts_and_likelihoods_equal_those_alone(name: str) -> None:
    model = load(name)
    engine = tiny.engine(model)
    asked = [Generate(text, 9) for text in SOURCES]
    assert [answer.text for answer in engine.run(asked)] == [write_alone(model, text, max_new_tokens=9) for text in SOURCES]
    pairs = [(source, target) for source in SOURCES for target in TARGETS]
    answers = engine.run([LogLikelihood(*pair) for pair in pairs])
    assert [answer.value for answer in answers] == pytest.approx([score_alone(model, *pair) for pair in pairs], abs=1e-4)
    assert engine.counters.failures == engine.counters.pack_failures == 0


@pytest.mark.parametrize("name", ["bart", "marian"])
@pytest.mark.parametrize("beams", [1, 3])
def test_beams_are_those_of_the_setting(name: str, beams: int) -> None:
    """Also if the checkpoint was saved with others, as Marian's here is with 3."""
    if name in NEEDS_PIECES:
        pytest.importorskip("sentencepiece")
    model = load(name, beams=beams)
    answers = tiny.engine(model).run([Generate(text, 7) for text in SOURCES])
    assert [answer.text for answer in answers] == [write_alone(model, text, max_new_tokens=7, num_beams=beams) for text in SOURCES]
    assert any(f"num_beams {beams}" in note for note in model.notes) == (beams > 1)


def test_answers_of_different_lengths_stop_where_they_would_alone() -> None:
    model = load("t5", beams=2)
    lengths = [2, 9, 5]
    answers = tiny.engine(model).run([Generate(text, num) for text, num in zip(SOURCES, lengths, strict=True)])
    alone = [write_alone(model, text, max_new_tokens=num, num_beams=2) for text, num in zip(SOURCES, lengths, strict=True)]
    assert [answer.text for answer in answers] == alone
    assert [answer.num_tokens <= num for answer, num in zip(answers, lengths, strict=True)] == [True] * 3


def test_sampled_texts_depend_on_their_seed_alone() -> None:
    asked = [Generate(text, 6, temperature=1.0, seed=seed) for text in SOURCES for seed in (1, 2)]
    texts = [answer.text for answer in tiny.engine(load("t5")).run(asked)]
    assert texts == [tiny.engine(load("t5")).run([one])[0].text for one in asked]
    assert len(set(texts)) > len(SOURCES)


def test_the_encoder_reads_each_source_once() -> None:
    model = load("t5")
    read: list[tuple[int, ...]] = []
    handle = model.module.get_encoder().register_forward_hook(lambda *args: read.append(tuple(args[2].last_hidden_state.shape[:1])))
    engine = tiny.engine(model)
    engine.run([LogLikelihood(source, target) for target in TARGETS for source in SOURCES])
    handle.remove()
    assert read == [(3,)]
    assert engine.counters.tokens_shared == sum(len(model.reader.source(source).ids) for source in SOURCES) * 2


def test_passes_keep_to_their_limits_and_hold_every_unit_once() -> None:
    units = [Target(Source(tuple(range(num % 7 + 1))), [1] * (num % 3 + 1)) for num in range(40)]
    passes = list(fill_passes(units, 30, 6))
    assert sorted(i for places in passes for i in places) == list(range(40))
    for places in passes:
        batch = [units[i] for i in places]
        width, height = max(len(unit.source.ids) for unit in batch), max(len(unit.ids) for unit in batch)
        assert len(batch) <= 6
        assert len({unit.source for unit in batch}) * width + height * len(batch) <= 30


def test_a_prefix_is_read_before_every_source() -> None:
    plain, prefixed = load("t5"), load("t5", prefix="read: ")
    (one,), (other,) = (
        tiny.engine(plain).run([LogLikelihood("read: bad", "good")]),
        tiny.engine(prefixed).run([LogLikelihood("bad", "good")]),
    )
    assert one.value == pytest.approx(other.value, abs=1e-5)
    assert any("'read: '" in note for note in plain.notes)
    assert not any("'read: '" in note for note in prefixed.notes)
    assert plain.fingerprint != prefixed.fingerprint


def test_gradients_are_those_of_the_likelihood(name: str) -> None:
    model = load(name)
    asked = [LogLikelihood(SOURCES[0], TARGETS[1]), LogLikelihood(SOURCES[2], TARGETS[2])]
    inner = model.differentiable()
    encoded = inner.encode(asked)
    features = encoded.features.clone().requires_grad_()
    values = inner.logits(features, encoded).sum(1)
    answers = tiny.engine(model).run(asked)
    assert values.tolist() == pytest.approx([answer.value for answer in answers], abs=1e-4)
    values.sum().backward()
    assert features.grad is not None
    step = 1e-3 * torch.randn(features.shape, generator=torch.Generator().manual_seed(1)) * encoded.mask_BL[:, :, None]
    with torch.no_grad():
        moved = [float(inner.logits(encoded.features + sign * step, encoded).sum()) for sign in (1, -1)]
    assert (moved[0] - moved[1]) / 2 == pytest.approx(float((features.grad * step).sum()), rel=0.05, abs=1e-3)
    words = "".join(SOURCES[0][a:b] for a, b in encoded.spans[0]).replace(" ", "")
    assert words == SOURCES[0].replace(" ", "")


def test_a_language_starts_the_answer_and_an_unknown_one_is_refused() -> None:
    pytest.importorskip("sentencepiece")
    german, french = load("mbart50"), load("mbart50", target_language="fr_XX")
    assert german.reader.start != french.reader.start
    assert [write_alone(french, text, max_new_tokens=6) for text in SOURCES] == [
        answer.text for answer in tiny.engine(french).run([Generate(text, 6) for text in SOURCES])
    ]
    with pytest.raises(ModelError, match=r"target_language: .* has no language 'klingon'"):
        load("mbart50", target_language="klingon")
    with pytest.raises(ModelError, match=r"source_language: .* knows no source languages"):
        load("t5", source_language="en")


def test_marian_says_that_punctuation_is_not_normalised(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("sentencepiece")
    for is_there in (True, False):
        monkeypatch.setattr(seq2seq_lm, "is_installed", lambda name, is_there=is_there: is_there)
        assert any("sacremoses" in note for note in load("marian").notes) is not is_there


def test_marian_reads_the_target_language_before_the_source() -> None:
    pytest.importorskip("sentencepiece")
    plain, french = load("marian"), load("marian", target_language="fra")
    asked = [LogLikelihood(">>fra<< bad films", "good")]
    assert tiny.engine(french).run([LogLikelihood("bad films", "good")])[0].value == pytest.approx(tiny.engine(plain).run(asked)[0].value)


def test_long_texts_are_cut_and_empty_targets_fail_alone() -> None:
    model = load("t5")
    long = "the cat sat on a table " * 20
    cut, empty, good = tiny.engine(model).try_run([LogLikelihood(long, "bad"), LogLikelihood("bad", ""), LogLikelihood("bad", "good")])
    assert cut.num_truncated == len(model.tokenizer(long, verbose=False).input_ids) - tiny.MAX_LENGTH or model.max_length > tiny.MAX_LENGTH
    assert isinstance(empty, Failure)
    assert "no tokens" in empty.error
    assert math.isfinite(good.value)
    (answer,) = tiny.engine(model).try_run([Generate("bad", model.max_length)])
    assert isinstance(answer, Failure)


def test_pieces_are_found_in_their_text() -> None:
    text = "An  éclair, unknown ☃ word"
    assert [text[a:b] for a, b in align_pieces(text, ["▁An", "▁é", "clair", ",", "▁un", "known", "<unk>", "▁word", ""])] == [
        "An", "é", "clair", ",", "un", "known", "", "word", "",
    ]  # fmt: skip


def test_the_plan_knows_what_an_encoder_decoder_answers(tmp_path: Path) -> None:
    info = HuggingFace(str(tiny_seq2seq.checkpoint("t5"))).inspect()
    assert dict(info.answers) == {"loglikelihood": {"text"}, "generate": {"text"}}
    assert info.features == {"gradients"}
