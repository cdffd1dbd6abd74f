"""Messages of several parts: measured, recorded, told apart, shown, sent as they are, and refused by models that read text alone."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from windtunnel.harness.api.errors import SampleError
from windtunnel.harness.api.requests import Generate, LogLikelihood
from windtunnel.harness.api.samples import Sample
from windtunnel.harness.modalities.audio import Audio
from windtunnel.harness.modalities.chat import Chat, Message, find_last_text, with_last_text
from windtunnel.harness.modalities.image import Image
from windtunnel.harness.modalities.inputs import measure_size
from windtunnel.harness.models.common.text_prompts import make_text_messages
from windtunnel.harness.results.frames import Run
from windtunnel.harness.store import codec
from windtunnel.harness.threats import AnyPrompt, SuffixBudget
from windtunnel.reports.media import encode_png
from windtunnel.tests.pages import read_page
from windtunnel.tests.toys import windtunnel

RED, BLUE = (Image(np.full((16, 16, 3), colour, np.uint8)) for colour in ((255, 0, 0), (0, 0, 255)))
ASKED = "Which colour is this?"


def chat(*parts: Any) -> Chat:
    return Chat((Message("system", "Be brief."), Message("user", parts)))


def test_size_is_that_of_the_parts() -> None:
    assert measure_size(chat(RED, ASKED)) == 1 + len("Be brief.") // 4 + 1 + 16 * 16 // 64 + len(ASKED) // 4
    assert measure_size(chat(Audio(np.zeros(32_000, np.float32), 16_000))) == 1 + 2 + 1 + 100


def test_records_give_the_parts_back_and_requests_differ_by_them() -> None:
    one, other = Generate(chat(RED, ASKED), 4), Generate(chat(BLUE, ASKED), 4)
    assert codec.loads(codec.dumps(one)) == one
    assert codec.digest(one) == codec.digest(Generate(chat(RED, ASKED), 4)) != codec.digest(other)
    plain = Chat((Message("system", "Be brief."), Message("user", ASKED)))
    assert codec.digest(Generate(chat(ASKED), 4)) != codec.digest(Generate(plain, 4))


def test_the_text_of_a_message_is_its_last_one() -> None:
    assert find_last_text(chat("a", RED, ASKED)) == ASKED
    assert with_last_text(chat("a", RED, ASKED, RED), "b") == chat("a", RED, "b", RED)
    assert with_last_text(chat(RED), "b") == chat(RED, "b")
    assert Chat((Message("user", "x"), Message("assistant", (RED, "It is")))).begun == "It is"
    with pytest.raises(TypeError, match="a text or a tuple of parts, not a list"):
        Message("user", ["a"])  # type: ignore[arg-type]


def test_threats_leave_the_other_parts_alone() -> None:
    clean = Sample("a", chat(RED, ASKED))
    for threat in (SuffixBudget(max_chars=9), AnyPrompt()):
        assert threat.admits(clean, Sample("a", chat(RED, f"{ASKED} Please.")))
        assert not threat.admits(clean, Sample("a", chat(BLUE, f"{ASKED} Please.")))
    assert not SuffixBudget().admits(clean, Sample("a", chat(ASKED)))
    assert AnyPrompt().distance(clean, Sample("a", chat(RED, f"{ASKED}!"))) == {"chars_added": 1}


@pytest.mark.parametrize(
    ("parts", "told"),
    [
        ((RED, ASKED), "this model reads text, and the message of 'user' has a part of the modality 'image'"),
        (("a", "b"), "this model reads one text a message, and that of 'user' has 2; join them to one"),
        ((), "this model reads one text a message, and that of 'user' has 0"),
    ],
)
def test_a_model_of_text_refuses_other_parts(parts: tuple[Any, ...], told: str) -> None:
    assert make_text_messages(chat(ASKED).messages)[1] == {"role": "user", "content": ASKED}
    with pytest.raises(SampleError, match=re.escape(told)):
        make_text_messages(chat(*parts).messages)


def test_a_request_tells_what_its_chats_hold() -> None:
    assert LogLikelihood(chat(RED, ASKED), "Red").parts_in_chats() == {"image"}
    assert Generate("a", 1).parts_in_chats() == Generate(chat(ASKED), 1).parts_in_chats() == set()


PLUGIN = """
import numpy as np
from windtunnel import Chat, Generate, Image, Message, Sample, plugin
from windtunnel.harness.api.task import Task


@plugin("tasks", "colours")
class Colours(Task):
    name, requires, metrics, primary = "colours", frozenset({"generate", "chat"}), ("accuracy",), "correct"

    def samples(self):
        for name, colour in (("red", (255, 0, 0)), ("blue", (0, 0, 255))):
            image = Image(np.full((16, 16, 3), colour, np.uint8))
            yield Sample(name, Chat((Message("user", (image, "Which colour is this?")),)), name)

    def requests(self, sample):
        return [Generate(sample.input, 4)]

    def score(self, sample, responses):
        return {"correct": float(responses[0].text == sample.target)}
"""
FUNCTION = """
def look(chats):
    for ((message,),) in zip(chats):
        image, text = message["content"]
        assert (message["role"], image.shape, text) == ("user", (16, 16, 3), "Which colour is this?")
    return ["red" if chat[0]["content"][0][0, 0, 0] else "blue" for chat in chats]
"""


def run(folder: Path, verb: str, parts: str) -> Any:
    (folder / "colours.py").write_text(PLUGIN)
    (folder / "look.py").write_text(FUNCTION)
    (folder / "suite.yaml").write_text(
        f"models: [{{name: m, model: 'callable:{folder / 'look.py'}:look', answers: generate, input: chat{parts}}}]\ntasks: [colours]\n"
    )
    options = ("--out", folder / "out") if verb == "run" else ()
    return windtunnel(verb, folder / "suite.yaml", "--plugin", folder / "colours.py", *options)


def test_a_chat_with_an_image_is_asked_recorded_and_shown(tmp_path: Path) -> None:
    done = run(tmp_path, "run", ", parts: [image]")
    assert done.code == 0, done.out + done.err
    kept = Run.load(tmp_path / "out")
    assert list(kept.samples()["score.correct"]) == [1.0, 1.0]
    (image, text) = (part for _, part in next(iter(kept.scorecard.samples)).input.parts)
    assert (image.image, text) == (RED, ASKED)  # type: ignore[union-attr]
    drawn, _ = read_page((tmp_path / "out" / "scorecard.html").read_text()).drawn
    assert encode_png(RED) in [picture for _, _, picture in drawn["input"]["texts"]]


def test_a_model_that_takes_no_images_is_refused_by_the_plan(tmp_path: Path) -> None:
    """Though the task says nothing of images: its chats hold some."""
    planned = run(tmp_path, "plan", "")
    assert planned.code == 2
    assert "answers generate for chat and text, not for image" in " ".join((planned.out + planned.err).split())
    wrong = run(tmp_path, "plan", ", parts: [imgae]")
    assert (wrong.code, "there is no modality 'imgae'" in wrong.err) == (2, True)
