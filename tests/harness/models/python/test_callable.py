"""Python functions as models: what they may return, what is an error of theirs and whose failure it is."""

from __future__ import annotations

import functools
import math
import operator
import re
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from windtunnel.harness.api.errors import ConfigError, ModelError
from windtunnel.harness.api.import_target import resolve
from windtunnel.harness.api.requests import Classify, Embed, Generate, LogLikelihood
from windtunnel.harness.api.responses import Completion, Embedding, Failure, Logits, LogProb
from windtunnel.harness.identity.digests import digest_parts
from windtunnel.harness.identity.values import digest_state
from windtunnel.harness.modalities.base import Modality, _known
from windtunnel.harness.modalities.chat import Chat, Message
from windtunnel.harness.modalities.image import Image
from windtunnel.harness.modalities.text import TextPair
from windtunnel.harness.models.python.callable import Callable
from windtunnel.tests import tiny

FUNCTIONS = """
import functools
import numpy as np
import torch
from helper_beside import OFFSET

def talk(chats): return [",".join(f"{m['role']}={m['content']}" for m in messages) for messages in chats]
def counts(pairs): return [-len(context) * 10 - len(written) for context, written in pairs]
def lists(texts): return [[len(t), OFFSET] for t in texts]
def tuples(texts): return tuple((len(t), OFFSET) for t in texts)
def generator(texts): return ([len(t), OFFSET] for t in texts)
def arrays(texts): return np.array([[len(t), OFFSET] for t in texts], dtype=np.float32)
def rows_of_numpy(texts): return [np.array([len(t), OFFSET]) for t in texts]
def tensors(texts): return torch.tensor([[len(t), OFFSET] for t in texts], dtype=torch.bfloat16, requires_grad=True)
def rows_of_torch(texts): return [torch.tensor([len(t), OFFSET]) for t in texts]
partial = functools.partial(lambda offset, texts: [[len(t), offset] for t in texts], OFFSET)

class Model:
    def __call__(self, texts): return lists(texts)
instance = Model()

def too_few(texts): return [[1, 2]] * (len(texts) - 1)
def too_many(texts): return [[1, 2]] * (len(texts) + 1)
def nothing(texts): return None
def text(texts): return "ab"[: len(texts)]
def dictionary(texts): return {t: [1, 2] for t in texts}
def number(texts): return np.float32(3)
def flat(texts): return [0.5 for _ in texts]
def three(texts): return [[1, 2, 3] for _ in texts]
def ragged(texts): return [[1, 2, 3][: len(t)] for t in texts]
def raises(texts):
    if "bad" in texts: raise ValueError("cannot read this")
    return lists(texts)
def nan(texts): return [[float("nan") if t == "bad" else 1, 2] for t in texts]
def exits(texts): raise RuntimeError("x")

def certain(texts): return [[0.0, 1.0] if t == "one" else [0.25, 0.75] for t in texts]
def no_distribution(texts): return [[3.0, -2.0] for _ in texts]

def pairs(inputs): return [[len(a), len(b)] for a, b in inputs]
def pixels(images): return [[float(i.mean()), i.shape[2]] for i in images]
def writes(images):
    for image in images: image[:] = 0
    return [[1, 2] for _ in images]

def say(prompts): return [p + " and so on. STOP here" for p in prompts]
def say_none(prompts): return [None if p == "bad" else p for p in prompts]
def nats(pairs): return np.array([-len(a) - 0.5 * len(b) for a, b in pairs])
def vectors(texts): return np.ones((len(texts), 3))

not_a_function = [1, 2]
"""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    (tmp_path / "helper_beside.py").write_text("OFFSET = 7\n")
    path = tmp_path / "functions.py"
    path.write_text(FUNCTIONS)
    return path


@pytest.fixture(autouse=True)
def _path_as_before() -> Any:
    before = list(sys.path)
    yield
    sys.path[:] = before
    sys.modules.pop("helper_beside", None)


def engine(file: Path, name: str, **settings: Any) -> Any:
    return tiny.engine(Callable(f"{file}:{name}", **settings).load("cpu", "float32"))


@pytest.mark.parametrize(
    "name", ["lists", "tuples", "generator", "arrays", "rows_of_numpy", "tensors", "rows_of_torch", "partial", "instance"]
)
def test_what_a_function_may_return(file: Path, name: str) -> None:
    answers = engine(file, name).run([Classify("four"), Classify(""), Classify("\ud800")])
    assert answers == [Logits((4.0, 7.0)), Logits((0.0, 7.0)), Logits((1.0, 7.0))]


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("too_few", "got 2 inputs and returned 1 answers"),
        ("too_many", "got 2 inputs and returned 3 answers"),
        ("nothing", "returned a NoneType; it must return a list"),
        ("text", "returned a str; it must return a list"),
        ("dictionary", "returned a dict; it must return a list"),
        ("number", "returned a float; it must return a list"),
        ("flat", "must return a list of class scores for each input, not a float"),
        ("three", "returned 3 class scores; its labels are 2"),
        ("ragged", "class scores; its labels are 2"),
    ],
)
def test_what_is_no_answer_ends_the_run(file: Path, name: str, message: str) -> None:
    with pytest.raises(ModelError, match=message):
        engine(file, name, labels=["a", "b"]).try_run([Classify("a"), Classify("bcd")])


def test_an_input_that_raises_fails_alone(file: Path) -> None:
    answers = engine(file, "raises").try_run([Classify(t) for t in ("a", "bad", "ccc")])
    assert answers == [Logits((1.0, 7.0)), Failure("ValueError: cannot read this"), Logits((3.0, 7.0))]


def test_nan_is_a_failure(file: Path) -> None:
    for outputs in ("logits", "probabilities"):
        model = engine(file, "nan", outputs=outputs)
        (bad,) = model.try_run([Classify("bad")])
        assert "NonFiniteError" in bad.error


def test_probabilities_come_back_from_their_logits(file: Path) -> None:
    one, other = engine(file, "certain", outputs="probabilities").run([Classify("one"), Classify("other")])
    assert [math.exp(v) for v in other.values] == pytest.approx([0.25, 0.75])
    assert all(map(math.isfinite, one.values))
    assert math.exp(one.values[0]) == pytest.approx(0, abs=1e-12)
    assert one.values[1] == 0


def test_logits_that_are_called_probabilities_are_an_error(file: Path) -> None:
    with pytest.raises(ModelError, match="do not sum to 1; set outputs: logits"):
        engine(file, "no_distribution", outputs="probabilities").run([Classify("a")])


def test_labels(file: Path) -> None:
    model = engine(file, "lists", labels=["short", "long"])
    assert model.run([Classify("four", ("long", "short"))]) == [Logits((7.0, 4.0))]
    with pytest.raises(ModelError, match="are not the model's"):
        model.run([Classify("four", ("a", "b"))])
    assert engine(file, "lists").run([Classify("four", ("a", "b"))]) == [Logits((4.0, 7.0))]


def test_pairs_and_images(file: Path) -> None:
    assert engine(file, "pairs", input="pair").run([Classify(TextPair("a", "bcd"))]) == [Logits((1.0, 3.0))]
    image = Image(np.full((2, 2, 3), 5, np.uint8))
    assert engine(file, "pixels", input="image").run([Classify(image)]) == [Logits((5.0, 3.0))]
    digest = image.digest
    engine(file, "writes", input="image").run([Classify(image)])
    assert Image(image.pixels).digest == digest, "a function gets a copy"


@pytest.mark.parametrize(("takes", "value"), [("text", TextPair("a", "b")), ("pair", "a"), ("image", "a")])
def test_an_input_of_another_kind_fails(file: Path, takes: str, value: Any) -> None:
    (failure,) = engine(file, "lists", input=takes).try_run([Classify(value)])
    assert f"takes input: {takes}, not" in failure.error


def test_generation_scoring_and_embedding(file: Path) -> None:
    said, cut = engine(file, "say", answers="generate").run([Generate("a", 5), Generate("a", 5, ("STOP", "on. "))])
    assert said == Completion("a and so on. STOP here", 6, "stop")
    assert cut.text == "a and so "
    good, bad = engine(file, "say_none", answers="generate").try_run([Generate("a", 5), Generate("bad", 5)])
    assert good.text == "a"
    assert "returned a NoneType for this prompt" in bad.error
    assert engine(file, "nats", answers="loglikelihood").run([LogLikelihood("ab", "cd ef")]) == [LogProb(-4.5, 2)]
    assert engine(file, "vectors", answers="embed").run([Embed("a"), Embed("b")]) == [Embedding((1.0, 1.0, 1.0))] * 2


def test_a_conversation_is_given_as_an_endpoint_takes_it(file: Path) -> None:
    its = engine(file, "talk", answers="generate", input="chat")
    assert Callable(f"{file}:talk", answers="generate", input="chat").inspect().answers == {"generate": {"text", "chat"}}
    chat = Chat((Message("system", "be kind"), Message("user", "hi"), Message("assistant", "ho"), Message("user", "hey")))
    assert [said.text for said in its.run([Generate(chat, 9), Generate("hi", 9)])] == [
        "system=be kind,user=hi,assistant=ho,user=hey", "user=hi",
    ]  # fmt: skip


def test_a_conversation_is_classified_scored_and_embedded(file: Path) -> None:
    chat = Chat((Message("system", "be kind"), Message("user", "hi")))
    assert engine(file, "lists", input="chat").run([Classify(chat), Classify("hi")]) == [Logits((2.0, 7.0)), Logits((1.0, 7.0))]
    scores = engine(file, "counts", answers="loglikelihood", input="chat").run([LogLikelihood(c, "ab", " ") for c in (chat, "hi")])
    assert scores == [LogProb(-22.0, 1), LogProb(-12.0, 1)], "an answer to a message has no delimiter"


def _spell(modality: Modality[Any], value: Any) -> str:
    return "x" * int(value)


class Weight(float):
    """A value of a modality that no model of the harness knows."""


def test_any_modality_is_an_input_by_its_name(file: Path) -> None:
    before = list(_known)
    type("Weights", (Modality,), {"name": "weight", "type": Weight, "bare": _spell, "to_json": lambda self, value: float(value)})
    try:
        its = engine(file, "lists", input="weight")
        assert its.run([Classify(Weight(3))]) == [Logits((3.0, 7.0))]
        assert engine(file, "say", answers="generate", input="weight").run([Generate(Weight(1), 5, (" and",))])[0].text == "x"
    finally:
        _known[:] = before
    assert Callable(f"{file}:lists", input="audio").inspect().answers == {"classify": {"audio"}}


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"answers": "chat"}, "callable takes answers: classify | generate"),
        ({"input": "txt"}, "there is no modality 'txt'. Did you mean 'text'"),
        ({"input": "chat", "parts": ["imag"]}, "there is no modality 'imag'. Did you mean 'image'"),
        ({"parts": ["image"]}, "takes parts only with input: chat, not with input: text"),
        ({"outputs": "percent"}, "outputs must be auto"),
    ],
)
def test_settings_it_does_not_have(file: Path, settings: Any, message: str) -> None:
    with pytest.raises(ConfigError, match=re.escape(message)):
        Callable(f"{file}:lists", **settings)


# ── targets ───────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_module_is_a_target() -> None:
    assert resolve("operator:itemgetter") is operator.itemgetter
    assert resolve("os.path:join")


def test_a_module_in_the_current_folder_is_a_target(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "windtunnel_test_here.py").write_text("def f(texts): return [[1, 2] for _ in texts]\n")
    monkeypatch.chdir(tmp_path)
    assert tiny.engine(Callable("windtunnel_test_here:f").load("cpu", "float32")).run([Classify("a")]) == [Logits((1.0, 2.0))]


@pytest.mark.parametrize(
    ("target", "message"),
    [
        ("nothing", "is not a reference"), (":f", "is not a reference"), ("m:", "is not a reference"),
        ("no_such_module_here:f", "No module named"), ("..up:f", "raised at import"), ("nowhere.py:f", "there is no file nowhere.py"),
        ("math:sqroot", "Did you mean 'sqrt'"), ("math:pi", "is a float, not a function"),
    ],
)  # fmt: skip
def test_targets_that_name_nothing(target: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        Callable(target)


@pytest.mark.parametrize(
    ("source", "message"), [("1 / 0", "ZeroDivisionError"), ("def f(:", "SyntaxError"), ("import sys; sys.exit(3)", "SystemExit")]
)
def test_a_file_that_cannot_be_imported(tmp_path: Path, source: str, message: str) -> None:
    (tmp_path / "broken.py").write_text(source)
    for _ in range(2):
        with pytest.raises(ConfigError, match=f"raised at import: {message}"):
            Callable(f"{tmp_path / 'broken.py'}:f")


def test_two_files_of_one_name_are_two_modules(tmp_path: Path) -> None:
    for folder, number in (("a", 1), ("b", 2)):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "model.py").write_text(f"def f(texts): return [[{number}] for _ in texts]\n")
    a, b = (engine(tmp_path / folder / "model.py", "f") for folder in ("a", "b"))
    assert (a.run([Classify("x")]), b.run([Classify("x")])) == ([Logits((1.0,))], [Logits((2.0,))])
    assert a.model.fingerprint != b.model.fingerprint


def test_a_changed_file_is_another_model(file: Path) -> None:
    first = engine(file, "lists")
    file.write_text(FUNCTIONS.replace("[len(t), OFFSET] for t in texts]", "[len(t) + 1, OFFSET] for t in texts]", 1))
    second = engine(file, "lists")
    assert first.model.fingerprint != second.model.fingerprint
    assert (first.run([Classify("a")]), second.run([Classify("a")])) == ([Logits((1.0, 7.0))], [Logits((2.0, 7.0))])


def test_every_setting_is_in_the_fingerprint(file: Path) -> None:
    made = [{}, {"outputs": "probabilities"}, {"labels": ["a", "b"]}, {"labels": ["a, b"]}, {"version": "2"}, {"input": "pair"}]
    prints = [engine(file, "lists", **settings).model.fingerprint for settings in [*made, {}]]
    assert len(set(prints)) == len(made)
    assert prints[0] == prints[-1]
    assert engine(file, "tuples").model.fingerprint != prints[0]


def test_no_two_lists_of_parts_read_the_same() -> None:
    lists = [("ab", "c"), ("a", "bc"), ("abc",), ("ab\nc",), ("ab", "", "c"), ("\ud800",)]
    assert len({digest_parts(parts) for parts in lists}) == len(lists)


@pytest.mark.parametrize("obj", [functools.partial(len), len, operator.itemgetter(1), test_a_module_is_a_target, 3])
def test_any_object_has_a_digest(obj: Any) -> None:
    assert digest_state(obj) == digest_state(obj)
    assert not digest_state(obj)[1]
