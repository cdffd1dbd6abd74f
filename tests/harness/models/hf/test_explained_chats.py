"""Where a chat's words stand among a language model's tokens: other templates, answers that are begun, texts that stand there twice."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
import torch
from windtunnel.harness.api.errors import SampleError
from windtunnel.harness.api.requests import Classify, Generate, LogLikelihood
from windtunnel.harness.api.samples import Sample, SampleRng
from windtunnel.harness.engine.continuations import MARK, ContinuationPort, Frame, frame_samples
from windtunnel.harness.items.probe.language_records import make_language_records
from windtunnel.harness.modalities.chat import Chat, Message
from windtunnel.harness.modalities.inputs import Input
from windtunnel.harness.modalities.text import TextPair
from windtunnel.harness.modalities.words import cut_out, word_spans
from windtunnel.probes.feature_ablation import FeatureAblation
from windtunnel.tests import tiny

TEMPLATES = {
    "plain": "{{ bos_token }}{% for m in messages %}[{{ m.role }}]{{ m.content }}\n{% endfor %}[assistant]",
    "trims": "{% for m in messages %}[{{ m.role }}]{{ m.content | trim }}{% endfor %}[assistant]",
    "twice": "{% for m in messages %}[{{ m.role }}]{{ m.content }} ({{ m.content }}){% endfor %}[assistant]",
    "upper": "{% for m in messages %}[{{ m.role }}]{{ m.content | upper }}{% endfor %}[assistant]",
}


def model(template: str) -> Any:
    made = tiny.load("llama")
    made.tokenizer = copy.deepcopy(made.tokenizer)
    made.tokenizer.chat_template = TEMPLATES[template]
    return made


def user(text: str) -> Chat:
    return Chat((Message("user", text),))


def explained_tokens(model: Any, frame: Frame, shown: Input, continuation: str) -> list[tuple[int, str, str]]:
    """Of each token that is a part: its place among all, itself, and the characters that it stands for."""
    with ContinuationPort(tiny.engine(model), frame).differentiable() as net:
        encoded = net.encode([Classify(shown, (continuation,))])
    (unit,) = model.split(LogLikelihood(frame.prompt(shown), continuation))
    text = f"{shown.first}\n{shown.second}" if isinstance(shown, TextPair) else str(shown)
    is_part = torch.tensor([span != (0, 0) for span in encoded.spans[0]])[:, None]
    neutral = model.module.get_input_embeddings().weight[model.neutral]
    assert torch.equal(encoded.baseline[0], torch.where(is_part, neutral, encoded.features[0])), "parts become neutral, and nothing else"
    named = zip(unit.ids, encoded.spans[0], strict=False)
    return [(i, model.tokenizer.decode([token]), text[a:b]) for i, (token, (a, b)) in enumerate(named) if (a, b) != (0, 0)]


def test_a_message_that_the_template_holds_elsewhere_too() -> None:
    """ "assistant" is also what the template ends with, and "a" a letter of it."""
    for text in ("a", "assistant", "user", "s"):
        made = model("plain")
        found = explained_tokens(made, Frame.of(text, user(text)), text, " dog")
        first = len(made.tokenizer("<s>[user]", add_special_tokens=False)["input_ids"])
        assert [place for place, *_ in found] == list(range(first, first + len(found)))
        assert "".join(token for _, token, _ in found) == text


def test_a_template_that_trims() -> None:
    for text, content in (("the cat", "the cat \n"), ("  the cat", "  the cat"), ("  the cat", "  the cat  ")):
        found = explained_tokens(model("trims"), Frame.of(text, user(content)), text, " dog")
        assert [part.strip() for *_, part in found] == ["the", "cat"]
        assert all(token == part for _, token, part in found)


def test_a_template_that_writes_a_message_twice() -> None:
    found = explained_tokens(model("twice"), Frame.of("the cat", user("the cat")), "the cat", " dog")
    assert [part for *_, part in found] == ["the", " cat"] * 2


def test_a_template_that_changes_the_text_says_so() -> None:
    for text in ("the cat", "a"):
        with pytest.raises(SampleError, match="changes the text"):
            explained_tokens(model("upper"), Frame.of(text, user(text)), text, " dog")


def test_a_prompt_that_is_cut() -> None:
    made = model("plain")
    text = "the cat sat on a table and was able to read good films in paris with her young dog " * 2
    found = explained_tokens(made, Frame.of(text.rstrip(), user(text)), TextPair(text.rstrip(), " great, awful"), " dog")
    (unit,) = made.split(LogLikelihood(Chat((*user(text).messages, Message("assistant", " great, awful"))), " dog"))
    assert unit.num_truncated > 0
    assert all(token == part for _, token, part in found)
    assert [part for *_, part in found][-3:] == [" great", ",", " awful"]
    assert 3 < len(found) < unit.num_truncated + len(unit.ids)


class TestAnAnswerThatIsBegun:
    CHAT = Chat((Message("system", "Go"), Message("user", "the dog sat"), Message("assistant", "good films ")))
    TEXT, ANSWER = "good films", "and a cat"

    class Task:
        primary, requires = "acc", frozenset({"generate", "text", "chat"})

        def requests(self, sample: Sample) -> Sequence[Generate]:
            assert isinstance(sample.input, Chat)
            return [Generate(sample.input, 4)]

    def likely(self, begun: str, continuation: str) -> float:
        made = tiny.shared("llama")
        ids = [made.tokenizer(text, add_special_tokens=False)["input_ids"] for text in
               ("<s>[system]Go\n[user]the dog sat\n[assistant]", begun.rstrip(), begun + continuation)]  # fmt: skip
        with torch.no_grad():
            log_probs = made.module(torch.tensor([ids[0] + ids[2]])).logits[0].log_softmax(-1)
        return sum(float(log_probs[len(ids[0]) + i - 1, ids[2][i]]) for i in range(len(ids[1]), len(ids[2])))

    def test_its_words_are_explained(self) -> None:
        (found,) = make_language_records(
            tiny.engine("llama"), "p", self.Task(), FeatureAblation(target="gold"), SampleRng(0),
            [Sample("a", self.CHAT, self.ANSWER)], (), 0, True,
        )  # fmt: skip
        assert found.artifacts["continuation"] == self.ANSWER, "a space stands there already"
        whole = self.likely("good films ", self.ANSWER)
        expected = [whole - self.likely(f"{cut_out(self.TEXT, [span])} ", self.ANSWER) for span in word_spans(self.TEXT)]
        np.testing.assert_allclose(found.artifacts["attribution"]["values"], expected, atol=1e-2)
        rows = found.artifacts["each_word"]["values"]
        np.testing.assert_allclose(rows[:, :2].sum(0), expected, atol=1e-2)
        before = "good films and a"
        cut = [self.likely(before, " cat") - self.likely(text, " cat") for text in ("good films a", "good films and")]
        np.testing.assert_allclose(rows[2, 2:4], cut, atol=1e-2)

    def test_its_tokens_are_found(self) -> None:
        frame = Frame.of(self.TEXT, self.CHAT)
        found = explained_tokens(tiny.shared("llama"), frame, self.TEXT, "and")
        assert [part for *_, part in found] == ["g", "ood", " films"]
        assert all(token == part for _, token, part in found)
        found = explained_tokens(tiny.shared("llama"), frame, TextPair(self.TEXT, "and a"), " cat")
        assert "".join(part for *_, part in found) == "good filmsand a"

    def test_a_chat_of_nothing_else_says_so(self) -> None:
        for chat in (Chat((Message("assistant", "good"),)), Chat(())):
            (failure,) = tiny.engine("llama").try_run([LogLikelihood(chat, " dog")])
            assert "no message to answer" in failure.error


class TestATextThatThePromptHoldsTwice:
    """Only the task knows which of the places is the sample's."""

    class Task:
        primary, requires = "acc", frozenset({"loglikelihood", "text", "chat"})

        def __init__(self, before: str, after: str) -> None:
            self.before, self.after = before, after

        def requests(self, sample: Sample) -> Sequence[LogLikelihood]:
            chat = sample.input if isinstance(sample.input, Chat) else None
            shown = f"{self.before}{chat.messages[-1].content if chat else sample.input}{self.after}"
            return [LogLikelihood(shown if chat is None else user(shown), " yes")]

    @pytest.mark.parametrize(("before", "after"), [("no: ", ""), ("", "\nyes or no?"), ("no. ", " or no?"), ("Say no.", "")])
    @pytest.mark.parametrize("value", ["no", "no ", user("no"), user("no ")])
    def test_the_tasks_own_place(self, before: str, after: str, value: Any) -> None:
        ((frame, sample),) = frame_samples(tiny.engine("llama"), self.Task(before, after), [Sample("a", value)], "predicted")
        space = " " if str(value if isinstance(value, str) else value.messages[-1].content).endswith(" ") else ""
        assert (frame.head, frame.tail, sample.input) == (before, f"{space}{after}", "no")

    def test_a_task_that_takes_no_other_text(self) -> None:
        class Picky(self.Task):  # type: ignore[name-defined,misc]
            def requests(self, sample: Sample) -> Sequence[LogLikelihood]:
                if MARK in str(sample.input):
                    raise KeyError("not among its rows")
                found: Sequence[LogLikelihood] = super().requests(sample)
                return found

        ((frame, _),) = frame_samples(tiny.engine("llama"), Picky("no: ", ""), [Sample("a", "no")], "predicted")
        assert (frame.head, frame.tail) == ("no: ", "")
