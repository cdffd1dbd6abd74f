"""What a model can be shown, a kind each: its size, and kinds that a plugin's file brings, with questions of its own about them."""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from windtunnel.harness.api.requests import Request
from windtunnel.harness.api.responses import RESERVED, Response
from windtunnel.harness.items.base.view import preview_input as show
from windtunnel.harness.modalities.audio import Audio
from windtunnel.harness.modalities.base import Modality, Shown, _known, list_modalities
from windtunnel.harness.modalities.chat import Chat, Message
from windtunnel.harness.modalities.image import Image
from windtunnel.harness.modalities.inputs import measure_size, name_modality
from windtunnel.harness.modalities.text import TextPair
from windtunnel.harness.results.frames import Run
from windtunnel.harness.results.summarise import summarise
from windtunnel.harness.store import codec
from windtunnel.tests.pages import read_page
from windtunnel.tests.toys import COMMAND, child_environment, windtunnel

RATE = 16_000
PLUGIN = """
from dataclasses import dataclass
from pathlib import Path

from windtunnel.harness.api.model import ModelInfo
from windtunnel.harness.api.registry import plugin
from windtunnel.harness.api.requests import Request
from windtunnel.harness.api.responses import Response
from windtunnel.harness.api.samples import Sample
from windtunnel.harness.modalities.base import Modality, Shown


@dataclass(frozen=True)
class Table:
    rows: tuple


class Tables(Modality):
    name, type = "table", Table

    def size(self, value):
        return sum(map(len, value.rows))

    def preview(self, value):
        return Shown("table", parts=tuple((f"row {i}", " ".join(map(str, row))) for i, row in enumerate(value.rows)))


@dataclass(frozen=True)
class Total(Response):
    value: float

    def numbers(self):
        return (self.value,)


@dataclass(frozen=True)
class AddUp(Request[Total]):
    kind = "add_up"
    table: Table
    column: int


@plugin("models", "adder")
class Adder:
    def __init__(self, target):
        self.name = self.fingerprint = f"adder:{target}"

    def inspect(self):
        return ModelInfo({"add_up": {"table"}})

    def load(self, device, dtype):
        return self

    def add_up(self, batch):
        with Path(CALLS).open("a") as file:
            file.write(f"{len(batch)}\\n")
        return [Total(float(sum(row[request.column] for row in request.table.rows))) for request in batch]


@plugin("tasks", "sums")
class Sums:
    name, requires, metrics, primary = "sums", frozenset({"add_up", "table"}), ("exact_match",), "exact_match"

    def samples(self):
        # Two samples ask the same.
        for i in (0, 1, 2, 2):
            yield Sample(f"t{i}" if i < 2 else f"u{len(self.seen)}", Table(((i, 1), (i, 2))), 2.0 * i)
            self.seen.append(i)

    def __init__(self):
        self.seen = []

    def requests(self, sample):
        return [AddUp(sample.input, 0)]

    def score(self, sample, responses):
        return {"exact_match": float(responses[0].value == sample.target)}

    def predict(self, sample, responses):
        return {"prediction": responses[0].value}
"""


def test_each_measures_itself() -> None:
    second, half_a_minute = (Audio(np.zeros(RATE * seconds, np.float32), RATE) for seconds in (1, 30))
    assert (measure_size(second), measure_size(half_a_minute)) == (50, 1500)
    assert measure_size(Audio(np.zeros(1, np.float32), RATE)) == 1
    assert (measure_size(""), measure_size("a" * 40)) == (1, 10)
    assert measure_size(TextPair("a" * 40, "b" * 40)) == 20
    assert measure_size(Chat((Message("user", "hi"),))) == 2
    assert measure_size(Chat((Message("user", "a" * 40), Message("assistant", "b" * 40)))) == 22
    assert measure_size(Image(np.zeros((32, 64, 3), np.uint8))) == 32 * 64 // 64
    assert measure_size(Image(np.zeros((2, 2, 3), np.uint8))) == 1


def test_every_value_has_one_name() -> None:
    shown = ["a", TextPair("a", "b"), Chat(()), Image(np.zeros((2, 2, 3), np.uint8)), Audio(np.zeros(2, np.float32), RATE)]
    assert [name_modality(value) for value in shown] == ["text", "pair", "chat", "image", "audio"]
    with pytest.raises(TypeError, match="a dict is no input; inputs are "):
        name_modality({})


def test_a_name_and_a_type_are_given_once() -> None:
    before = list(list_modalities())
    for name, kind in (("text", bytes), ("bytes", str)):
        with pytest.raises(TypeError, match="already exists"):
            type("Twice", (Modality,), {"name": name, "type": kind})
    assert list(list_modalities()) == before


class Grid:
    """Of no dataclass."""


@pytest.mark.parametrize(
    ("facts", "told"),
    [
        ({}, "the modality Wrong has the name None; give it 'name', a printable text"),
        ({"name": "a\x1b[31m", "type": Grid}, r"has the name 'a\x1b[31m'"),
        ({"name": "grid"}, "the modality 'grid' has the type None; give it 'type', the class of its values"),
        ({"name": "grid", "type": "Grid"}, "the modality 'grid' has the type 'Grid'"),
        ({"name": "grid", "type": object}, "the modality 'grid' has the type <class 'object'>"),
    ],
)
def test_a_modality_without_name_or_type_is_refused_and_not_kept(facts: dict[str, Any], told: str) -> None:
    before = list(list_modalities())
    with pytest.raises(TypeError, match=re.escape(told)):
        type("Wrong", (Modality,), facts)
    assert list(list_modalities()) == before


def test_the_harness_has_its_own_before_any_plugin() -> None:
    code = (
        "from windtunnel.harness.modalities.base import Modality\n"
        "try:\n    type('Mine', (Modality,), {'name': 'text', 'type': bytes})\n"
        "except TypeError as error:\n    print(error)\n"
    )
    done = subprocess.run([*COMMAND[:1], "-c", code], check=True, env=child_environment(), capture_output=True, text=True)
    assert "the modality 'text' of bytes already exists" in done.stdout


@pytest.fixture
def grids() -> Iterator[type[Modality[Any]]]:
    """A modality of a plugin, forgotten afterwards."""

    class Grids(Modality[Grid]):
        name, type = "grid", Grid

    yield Grids
    _known[:] = [m for m in _known if m.name != "grid"]


def test_what_a_modality_cannot_write_is_told(grids: type[Modality[Any]]) -> None:
    with pytest.raises(TypeError, match="to_json of the modality 'grid' failed for a Grid: TypeError: it is no dataclass"):
        codec.dumps(Grid())
    grids.to_json = lambda self, value: 1 / 0  # type: ignore[method-assign]
    with pytest.raises(TypeError, match="to_json of the modality 'grid' failed for a Grid: ZeroDivisionError"):
        codec.dumps(Grid())


@pytest.mark.parametrize("shown", ["a text", Shown("grid", text=3), None])  # type: ignore[arg-type]
def test_what_a_modality_cannot_show_is_told_in_its_place(grids: type[Modality[Any]], shown: Any) -> None:
    grids.preview = lambda self, value: shown  # type: ignore[method-assign]
    assert "the modality 'grid' cannot show this: " in show(Grid()).text
    assert show(Audio(np.zeros(3, np.float32), 0)).text.startswith("the modality 'audio' cannot show this: ZeroDivisionError")


@pytest.mark.parametrize("breaks", ["return 1 / 0", "return facts.nothing", "raise RecursionError"])
def test_what_a_modality_cannot_read_ends_a_report_in_a_sentence(tables: Path, breaks: str) -> None:
    path = tables / "tables.py"
    path.write_text(path.read_text().replace("    def preview", f"    def from_json(self, facts):\n        {breaks}\n\n    def preview"))
    done = run(tables, "out")
    assert done.code == 3
    assert "has a value that cannot be decoded" in done.err


def test_a_class_that_records_cannot_name_is_refused() -> None:
    for name in ("Classify", "Logits", *RESERVED):
        with pytest.raises(TypeError, match=f"the harness already has a class '{name}'"):
            type(name, (Response,), {})
    with pytest.raises(TypeError, match="the request Nameless needs 'kind'"):
        type("Nameless", (Request,), {})
    assert set(codec._DATACLASSES) == RESERVED


def test_the_latest_of_a_plugins_classes_is_read() -> None:
    """A notebook's cell is executed again: records hold the class that is there now."""
    for value in (1.0, 2.0):
        made = dataclass(frozen=True)(type("Again", (Response,), {"__annotations__": {"value": float}}))
        read = codec.loads(codec.dumps(made(value)))  # type: ignore[call-arg]
        assert (type(read), read.value) == (made, value)


@pytest.fixture
def tables(tmp_path: Path) -> Path:
    (tmp_path / "tables.py").write_text(PLUGIN.replace("CALLS", repr(str(tmp_path / "calls"))))
    return tmp_path


def run(folder: Path, out: str, **env: str) -> Any:
    plugin = ("--plugin", folder / "tables.py")
    return windtunnel("run", "--model", "adder:x", "--tasks", "sums", *plugin, "--cache", folder / "cache", "--out", folder / out, env=env)


def test_a_plugin_brings_a_modality_and_a_question(tables: Path) -> None:
    """Planned, asked in one batch, each different question once, recorded, gone on with, shared with another run, and shown."""
    planned = windtunnel("plan", "--model", "adder:x", "--tasks", "sums", "--plugin", tables / "tables.py")
    assert (planned.code, "4 samples" in planned.out) == (0, True), planned.out + planned.err
    done = run(tables, "out")
    assert done.code == 0, done.err
    assert (tables / "calls").read_text() == "3\n"
    assert run(tables, "out").code == 0
    assert run(tables, "another").code == 0
    assert (tables / "calls").read_text() == "3\n"
    frame = Run.load(tables / "another").samples()
    assert list(frame["prediction"]) == [0.0, 2.0, 4.0, 4.0]
    assert list(frame["score.exact_match"]) == [1.0] * 4
    _, second, *_ = summarise(tables / "out").samples
    assert second.input == Shown("table", parts=(("row 0", "1 1"), ("row 1", "1 2")))
    assert "row 1" in json.dumps(read_page((tables / "out" / "scorecard.html").read_text()).drawn)


def test_records_are_read_without_the_plugin(tables: Path) -> None:
    """In a process that never saw it: the numbers are the same, and the inputs say what is missing."""
    assert run(tables, "out").code == 0
    before = json.loads((tables / "out" / "results.json").read_text())
    subprocess.run([*COMMAND, "report", tables / "out"], check=True, env=child_environment(), capture_output=True)
    after = json.loads((tables / "out" / "results.json").read_text())
    assert after["rows"] == before["rows"]
    first, *_ = read_page((tables / "out" / "scorecard.html").read_text()).index["texts"]
    assert "a value of the modality 'table', whose plugin was not given" in first


def test_an_input_of_no_modality_is_refused_by_the_plan(tables: Path) -> None:
    path = tables / "tables.py"
    path.write_text(path.read_text().replace("class Tables(Modality):", "class Tables:"))
    planned = windtunnel("plan", "--model", "adder:x", "--tasks", "sums", "--plugin", path)
    assert planned.code == 2
    assert "cannot be recorded" in planned.err
    assert "Modality" in planned.err


def test_a_question_of_no_class_of_ours_is_refused_by_the_plan(tables: Path) -> None:
    path = tables / "tables.py"
    path.write_text(path.read_text().replace("class AddUp(Request[Total]):", "class AddUp:"))
    planned = windtunnel("plan", "--model", "adder:x", "--tasks", "sums", "--plugin", path)
    assert planned.code == 3
    assert "the task asks a AddUp, which is no Request: derive its class from Request" in planned.out
