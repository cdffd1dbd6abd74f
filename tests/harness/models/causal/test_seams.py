"""Where a continuation begins: what is scored is what stands behind the seam when the whole text is tokenised, whatever the tokenizer."""

from __future__ import annotations

import functools
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from windtunnel.harness.api.errors import SampleError
from windtunnel.harness.api.requests import Generate, LogLikelihood, RollingLogLikelihood
from windtunnel.harness.modalities.chat import Chat, Message
from windtunnel.harness.models.hf.source import HuggingFace
from windtunnel.tests import tiny
from windtunnel.tests.tiny_tokenizers import FAMILIES, folder_of

USER = Message("user", "what does the cat eat?")


@functools.cache
def model_of(name: str, *, templated: bool = False) -> Any:
    return HuggingFace(folder_of(name), chat_template=templated).load("cpu", "float32")


def ids_of(name: str, text: str) -> list[int]:
    ids: list[int] = model_of(name).tokenizer(text, add_special_tokens=False)["input_ids"]
    return ids


def id_of(name: str, token: str) -> int:
    found: int = model_of(name).tokenizer.convert_tokens_to_ids(token)
    return found


def nats(name: str, ids: list[int], num: int) -> float:
    """Of the last ``num`` tokens, by one plain pass."""
    with torch.no_grad():
        logits_LV = model_of(name).module(torch.tensor([ids])).logits[0].double().log_softmax(-1)
    return sum(float(logits_LV[place - 1, ids[place]]) for place in range(len(ids) - num, len(ids)))


def expected(name: str, before: str, after: str, *, is_rendered: bool = False) -> tuple[list[int], int]:
    """The tokens of the whole text, and how many of them end behind the seam, by how their names spell it."""
    family, ids = FAMILIES[name], ids_of(name, before + after)
    ends = family.spelling(before + after, model_of(name).tokenizer.convert_ids_to_tokens(ids))
    num = sum(end > len(before) for end in ends)
    if num == len(ids) and ids[0] == id_of(name, family.starts):
        return ids, num - 1  # the text writes out what stands for nothing before it
    bos = [id_of(name, family.bos)] if family.bos and not is_rendered else []
    prefix = [] if ids[:1] == bos else bos
    if num == len(ids) and not prefix:
        prefix = [id_of(name, family.starts)]
    return prefix + ids, num


def rendered(name: str, *messages: Message) -> str:
    chat = [{"role": message.role, "content": message.content} for message in messages]
    text: str = model_of(name).tokenizer.apply_chat_template(chat, tokenize=False, add_generation_prompt=True)
    return text


def check(name: str, request: LogLikelihood, before: str, after: str, *, is_rendered: bool = False, templated: bool = False) -> None:
    ids, num = expected(name, before, after, is_rendered=is_rendered)
    model = model_of(name, templated=templated)
    unit = model.scored(request)
    assert (unit.ids, unit.num_scored) == (ids, num), model.tokenizer.convert_ids_to_tokens(unit.ids)
    (answer,) = tiny.engine(model).run([request])
    assert (answer.value, answer.num_tokens) == (pytest.approx(nats(name, ids, num), abs=1e-4), num)


SEAMS = {
    "plain": ("Question: able? Answer:", " B"),
    "no space": ("Answer:", "B"),
    "several words": ("The cat", " sat on the table"),
    "digits": ("1 2 3", " 12"),
    "few examples": ("A. apple\nB. bread\nAnswer: B\n\nQuestion: able?\nAnswer:", " A"),
    "empty context": ("", "the cat"),
    "empty context, space": ("", " the cat"),
    "line feed": ("Question: able?\n", "B"),
    "two line feeds": ("Question: able?\n\n", "The cat"),
    "line feed on both sides": ("able?\n", "\nAnswer"),
    "line feed and space": ("able?\n ", "Answer"),
    "line feed after the seam": ("able?", "\nAnswer"),
    "space at the end": ("Answer: ", "B"),
    "spaces at the end": ("Answer:   ", "table"),
    "space before a digit": ("Answer: ", "4"),
    "tab at the end": ("Answer:\t", "table"),
    "only spaces": ("  ", "table"),
    "inside a word": ("the t", "able"),
    "at the beginning": ("t", "able"),
}


@pytest.mark.parametrize("seam", SEAMS)
@pytest.mark.parametrize("name", FAMILIES)
def test_a_continuation_is_scored_where_the_whole_text_puts_it(name: str, seam: str) -> None:
    context, continuation = SEAMS[seam]
    if name == "unigram" and "\t" in context:
        pytest.skip("its vocabulary has no tab, so that no name tells where it stands")
    check(name, LogLikelihood(context, continuation), context, continuation)
    split = len(continuation) - len(continuation.lstrip(" "))
    check(name, LogLikelihood(context, continuation[split:], continuation[:split]), context, continuation)


@pytest.mark.parametrize("name", FAMILIES)
@pytest.mark.parametrize("context", ["", "Answer:"])
def test_a_text_that_writes_out_its_beginning_gets_no_other(name: str, context: str) -> None:
    starts = FAMILIES[name].starts
    check(name, LogLikelihood(starts + context, " B"), starts + context, " B")
    check(name, LogLikelihood("", f"{starts}{context} B"), "", f"{starts}{context} B")
    model = model_of(name)
    assert model.prompt_ids(starts + "able").count(id_of(name, starts)) == 1
    written, plain = tiny.engine(model).run([RollingLogLikelihood(starts + "B able"), LogLikelihood(starts, "B able")])
    assert (written.value, written.num_tokens) == (pytest.approx(plain.value, abs=1e-4), plain.num_tokens)


@pytest.mark.parametrize("name", [n for n, family in FAMILIES.items() if family.bos])
def test_the_beginning_written_out_changes_nothing(name: str) -> None:
    """Where a space is put before a text by rule, the text behind a special token may have it or not: there the tokens differ."""
    if name in ("mistral",):
        pytest.skip("no space is put before what follows a special token, so that the two are other texts")
    bos = FAMILIES[name].bos
    asked = [LogLikelihood(bos + "The cat", " sat"), LogLikelihood("The cat", " sat"), Generate(bos + "The cat", 4), Generate("The cat", 4)]
    written, plain, *said = tiny.engine(model_of(name)).run(asked)
    assert written == plain
    assert said[0] == said[1]


CHATS: dict[str, tuple[Message, ...]] = {
    "user": (USER,),
    "system": (Message("system", "be good"), USER),
    "turns": (USER, Message("assistant", "fish"), Message("user", "able?\n")),
}


@pytest.mark.parametrize("chat", CHATS)
@pytest.mark.parametrize("name", FAMILIES)
def test_an_answer_has_no_delimiter_before_it(name: str, chat: str) -> None:
    before = rendered(name, *CHATS[chat])
    for answer in ("B", "The cat", " B"):
        check(name, LogLikelihood(Chat(CHATS[chat]), answer, " "), before, answer, is_rendered=True)
    assert model_of(name).prompt_ids(Chat(CHATS[chat])) == ids_of(name, before)


@pytest.mark.parametrize("name", FAMILIES)
def test_an_answer_that_is_begun_goes_on(name: str) -> None:
    for begun, after in (("Answer:", " B"), ("Answer: ", "B"), ("Answer:\n", "B"), ("", "B")):
        before, chat = rendered(name, USER) + begun, Chat((USER, Message("assistant", begun)))
        check(name, LogLikelihood(chat, "B", " "), before, after, is_rendered=True)
        assert model_of(name).prompt_ids(chat) == ids_of(name, before)


@pytest.mark.parametrize("name", FAMILIES)
def test_a_text_in_the_models_template_is_a_chat(name: str) -> None:
    before = rendered(name, Message("user", "able? Answer:"))
    check(name, LogLikelihood("able? Answer:", "B", " "), before, "B", is_rendered=True, templated=True)
    assert model_of(name, templated=True).prompt_ids("able? Answer:") == ids_of(name, before)


@pytest.mark.parametrize("name", FAMILIES)
def test_generation_begins_with_the_prompts_own_tokens(name: str) -> None:
    model = model_of(name)
    for prompt in ("Answer:", "Answer: ", "Answer:\n", " the", "the t"):
        bos = [id_of(name, FAMILIES[name].bos)] if FAMILIES[name].bos else []
        assert model.prompt_ids(prompt) == bos + ids_of(name, prompt)
    assert model.prompt_ids("") == [id_of(name, FAMILIES[name].starts)]


@pytest.mark.parametrize("name", ["gpt2", "neox", "llama3", "qwen", "llama2", "mistral", "gemma"])
@given(st.text("ab tAn\n:é😀1", max_size=12), st.text("ab tAn\n:é😀1", min_size=1, max_size=8))
@settings(max_examples=30, deadline=None)
def test_any_two_texts(name: str, context: str, continuation: str) -> None:
    ids, num = expected(name, context, continuation)
    if num:
        unit = model_of(name).scored(LogLikelihood(context, continuation))
        assert (unit.ids, unit.num_scored) == (ids, num)
    else:
        with pytest.raises(SampleError, match="nothing to score"):
            model_of(name).scored(LogLikelihood(context, continuation))


@pytest.mark.parametrize("name", FAMILIES)
def test_gradients_find_the_prompts_characters(name: str) -> None:
    """Each token's place is what it shows of the prompt, in a text and in a chat, and the log-likelihood is the engine's."""
    model = model_of(name)
    cases: list[tuple[LogLikelihood, str]] = [
        (LogLikelihood("able dog", "B", " "), "able dog"),
        (LogLikelihood(Chat((Message("user", "able dog"),)), "B", " "), "able dog"),
        (LogLikelihood(Chat((Message("user", "able dog"), Message("assistant", "the"))), "table", " "), "able dog\nthe"),
    ]
    net = model.differentiable()
    for request, shown in cases:
        encoded = net.encode([request])
        covered = {place for a, b in encoded.spans[0] for place in range(a, b)}
        wanted = {place for place, char in enumerate(shown) if not char.isspace()}
        assert wanted <= covered <= set(range(len(shown)))
        (answer,) = tiny.engine(model).run([request])
        with torch.no_grad():
            assert float(net.logits(encoded.features, encoded).sum()) == pytest.approx(answer.value, abs=1e-4)
