"""Files that changed under the same suite: what is made of them is run again, all else is kept, nothing is lost or mixed."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from windtunnel.harness.api.errors import IncompleteRun
from windtunnel.harness.run.runner import run_plan
from windtunnel.harness.store import FILE_NAME, Store
from windtunnel.harness.suite.load import load_suite
from windtunnel.tests.toys import made, records_of, windtunnel, write_suite

MODEL = "def go(texts):\n    return [[float(len(t) % 3), 1.0] for t in texts]\n"
TASK = """family: text_classification
data: {files: NAME.jsonl}
text: text
label: label
labels: [negative, positive]
metrics: [accuracy]
"""
ATTACK = '''
from dataclasses import replace

from windtunnel.harness.api.registry import plugin
from windtunnel.harness.threats import EditBudget


@plugin("attacks", "NAME")
class Attack:
    """Puts a word at the end."""

    requires, threat = frozenset({"classify", "text"}), EditBudget()

    def perturb(self, engine, samples, threat, rng):
        return [replace(sample, input=sample.input + " WORD") for sample in samples]
'''
ITEMS = {f"{model}/{item}" for model in ("one", "two") for item in (
    "a", "batch_invariance(a)", "b", "batch_invariance(b)", "left(a)", "right(a)", "left(b)", "right(b)"
)}  # fmt: skip


@pytest.fixture
def suite(tmp_path: Path) -> Path:
    """Two models, two tasks, two attacks, each from a file of its own."""
    for name in ("one", "two"):
        (tmp_path / f"{name}.py").write_text(MODEL)
    for name in ("a", "b"):
        rows = [{"text": f"{name} thing {'x' * n}", "label": ("negative", "positive")[n % 2]} for n in range(4)]
        (tmp_path / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
        (tmp_path / f"{name}.yaml").write_text(TASK.replace("NAME", name))
    for name in ("left", "right"):
        (tmp_path / f"{name}.py").write_text(ATTACK.replace("NAME", name).replace("WORD", "z"))
    models = [{"name": name, "model": f"callable:{name}.py:go", "labels": ["negative", "positive"]} for name in ("one", "two")]
    return write_suite(
        tmp_path, models=models, tasks=["a.yaml", "b.yaml"], attacks=["left", "right"], plugins=["left.py", "right.py"], chunk=2
    )


def edit(name: str, old: str, new: str) -> Callable[[Path], None]:
    def change(folder: Path) -> None:
        text = (folder / name).read_text()
        assert old in text
        (folder / name).write_text(text.replace(old, new))

    return change


def again(suite: Path, out: str = "run", **options: Any) -> list[str]:
    """Run it as a new process would; what it said."""
    for name in [name for name in sys.modules if name.startswith("windtunnel_file_")]:
        del sys.modules[name]
    said: list[str] = []
    run_plan(made(load_suite(suite)), suite.parent / out, say=said.append, **options)
    return said


def ids(suite: Path) -> dict[str, int]:
    store = Store.open(suite.parent / "run" / FILE_NAME, readonly=True)
    found = {f"{item.model}/{item.item}": item.id for item in store.items()}
    store.close()
    return found


OF_ONE = {name for name in ITEMS if name.startswith("one/")}
OF_B = {name for name in ITEMS if name.endswith(("b", "(b)"))}
LEFT = {name for name in ITEMS if "left" in name}
CHANGES: dict[str, tuple[Callable[[Path], None], set[str], str]] = {
    "weights": (edit("one.py", "% 3", "% 2"), OF_ONE, "another model"),
    "data": (edit("b.jsonl", "b thing xx", "b thing yyyy"), OF_B, "another data, definition of its task, samples"),
    "task": (edit("b.yaml", "text: text", 'text: "{{ text }}!"'), OF_B, "another definition of its task, samples"),
    "attack": (edit("left.py", " z", " zz"), LEFT, "another plugin, code"),
}


@pytest.mark.parametrize("what", CHANGES)
def test_only_what_is_made_of_it_is_run_anew(suite: Path, what: str) -> None:
    change, anew, why = CHANGES[what]
    assert again(suite) == []
    before, records = ids(suite), records_of(suite.parent / "run")
    assert set(before) == ITEMS
    files = {path: path.read_text() for path in suite.parent.glob("*.*") if path.is_file()}
    change(suite.parent)
    said = " ".join(again(suite))
    after = ids(suite)
    assert {name for name in ITEMS if after[name] != before[name]} == anew
    assert why in said, said
    assert all(name in said for name in anew)
    assert not any(f"{name}," in said or f"{name}:" in said for name in ITEMS - anew)
    store = Store.open(suite.parent / "run" / FILE_NAME, readonly=True)
    aside = {f"{item.model}/{item.item}": list(store.records(item)) for item, _ in store.set_aside()}
    assert store.verify() == []
    store.close()
    assert aside == {name: records[name] for name in anew}, "what was there is there"
    again(suite, "alone")
    assert records_of(suite.parent / "run") == records_of(suite.parent / "alone"), "and nothing is mixed"
    assert again(suite) == [], "once more changes nothing"
    for path, text in files.items():
        path.write_text(text)
    again(suite)
    assert ids(suite) == before, "what is as it was is taken up again"


def test_a_run_that_was_stopped_goes_on_with_what_changed(suite: Path) -> None:
    with pytest.raises(IncompleteRun):
        again(suite, should_stop=lambda: True)
    edit("one.py", "% 3", "% 2")(suite.parent)
    assert len(again(suite)) == 1
    again(suite, "alone")
    assert records_of(suite.parent / "run") == records_of(suite.parent / "alone")


def test_the_command_says_it(suite: Path) -> None:
    assert windtunnel("run", suite, "--out", suite.parent / "run", "-q").code == 0
    edit("left.py", " z", " zz")(suite.parent)
    answer = windtunnel("run", suite, "--out", suite.parent / "run", "-q")
    assert answer.code == 0
    assert answer.err.startswith("run again: one/left(a), one/left(b), two/left(a), two/left(b): it was made with another plugin, code. ")
