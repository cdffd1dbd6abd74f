"""Files that are plugin files, targets and modules at the same time are imported once."""

from __future__ import annotations

import importlib
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import windtunnel as wt
from windtunnel.harness.api.import_target import resolve
from windtunnel.harness.api.imported_files import import_file
from windtunnel.harness.api.registry import Registry
from windtunnel.harness.api.responses import _classes
from windtunnel.harness.identity.programs import fingerprint_program
from windtunnel.harness.modalities.base import _known, find_modality_by_name
from windtunnel.tests.toys import child_environment

TABLES = """
from dataclasses import dataclass
from windtunnel import Classify, Modality, Sample, Task, plugin

@dataclass(frozen=True)
class Table:
    cells: tuple

class Tables(Modality[Table]):
    name, type = "table", Table

    def size(self, value):
        return len(value.cells)

@plugin("tasks", "tables")
class IsLarge(Task):
    requires = frozenset({"classify", "table"})
    metrics = ("acc",)
    primary = "acc"

    def samples(self):
        return [Sample(str(i), Table((i, 1)), target=int(i > 2), labels=("small", "large")) for i in range(6)]

    def requests(self, sample):
        return (Classify(sample.input, sample.labels),)

    def score(self, sample, responses):
        return {"acc": float(responses[0].holds(sample.target))}
"""
ANSWER = """
def answer(tables):
    assert all(isinstance(table, Table) for table in tables)
    return [[0.0, table.cells[0] - 2.5] for table in tables]
"""
MODEL = {"labels": ["small", "large"], "input": "table"}


@pytest.fixture(autouse=True)
def _own_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A current folder of its own; what the test's files define and import is forgotten afterwards."""
    monkeypatch.chdir(tmp_path)
    messages, modalities, modules = dict(_classes), list(_known), dict(sys.modules)
    yield
    _classes.clear()
    _classes.update(messages)
    _known[:] = modalities
    for name in set(sys.modules) - set(modules):
        file = vars(sys.modules[name]).get("__file__") or ""
        if Path(file).is_relative_to(tmp_path):
            del sys.modules[name]


def _write(name: str, text: str) -> Path:
    path = Path(name)
    path.parent.mkdir(exist_ok=True)
    path.write_text(text)
    return path


def _run(plugin: str = "mine.py", target: str = "mine.py:answer") -> float | None:
    run = wt.evaluate([{"model": f"callable:{target}", **MODEL}], "tables", plugins=plugin, progress=False, folder=None)
    (row,) = (row for row in run.scorecard.rows if row.metric == "acc")
    return row.estimate.value


def test_a_file_is_plugin_file_and_target_in_one_process_and_twice() -> None:
    _write("mine.py", TABLES + ANSWER)
    assert import_file(Path("mine.py")).module is import_file(Path("mine.py").resolve()).module
    assert [_run(), _run()] == [1.0, 1.0]
    assert resolve("mine.py:Tables") is type(find_modality_by_name("table"))


def test_an_edited_file_and_its_old_content_work() -> None:
    """Its classes may get other names."""
    texts = [TABLES + ANSWER, (TABLES + ANSWER.replace("- 2.5", "- 4.5")).replace("Tables(", "OfTables("), TABLES + ANSWER]
    found = []
    for text in texts:
        _write("mine.py", text)
        found.append(_run())
    assert found == [1.0, 4 / 6, 1.0]


def test_two_files_of_one_name_are_two() -> None:
    _write("one/mine.py", TABLES + ANSWER)
    _write("two/mine.py", (TABLES + ANSWER).replace("Tables(", "OfTables(").replace("i > 2", "i > 3"))
    found = [_run(f"{folder}/mine.py", f"{folder}/mine.py:answer") for folder in ("one", "two", "one")]
    assert found == [1.0, 5 / 6, 1.0]
    with pytest.raises(wt.ConfigError, match=r"mine\.py sha256:\w+ defines the modality 'table', and so does mine\.py"):
        Registry(("one/mine.py", "two/mine.py"))


@pytest.mark.parametrize("files", [("mine.py", "model.py"), ("model.py", "mine.py"), ("model.py",)])
def test_a_file_that_another_file_imports_is_the_same_module(files: tuple[str, ...]) -> None:
    _write("mine.py", TABLES)
    _write("model.py", "from mine import Table\nimport windtunnel as wt\nwt.plugin('metrics', 'm')(object)\n" + ANSWER)
    for _ in range(2):
        registry = Registry(files)
        assert "tables" in registry.names("tasks")
        assert "m" in registry.names("metrics")
        if len(files) == 2:
            assert registry.get("tasks", "tables").origin.startswith("mine.py ")
    assert resolve("model.py:Table") is resolve("mine.py:Table") is find_modality_by_name("table").type  # type: ignore[union-attr]


def test_each_file_has_the_plugins_of_a_shared_neighbour() -> None:
    _write("shared.py", TABLES)
    for name in ("one", "two"):
        _write(f"{name}.py", f"import shared, windtunnel\nwindtunnel.plugin('metrics', '{name}')(object)\n")
        assert "tables" in Registry((f"{name}.py",)).names("tasks")
    _write("shared.py", TABLES.replace('"tables"', '"others"'))
    assert Registry(("one.py", "two.py")).names("tasks").count("others") == 1
    assert "tables" not in Registry(("two.py",)).names("tasks")


@pytest.mark.parametrize("start", ["import mine", "import windtunnel as wt"])
def test_an_imported_module_or_a_script_is_not_executed_again(start: str) -> None:
    call = (
        f"{start}\nimport windtunnel as wt\n"
        "run = wt.evaluate([{'model': ANSWER, 'labels': ['small', 'large'], 'input': 'table'}], 'tables', plugins=FILE, progress=False)\n"
        "print([row.estimate.value for row in run.scorecard.rows if row.metric == 'acc'])\n"
    )
    if start == "import mine":
        _write("mine.py", f"print('executed')\n{TABLES}{ANSWER}")
        code = call.replace("ANSWER", "mine.answer").replace("FILE", "'mine.py'")
    else:
        code = f"print('executed')\n{TABLES}{ANSWER}{call.replace('ANSWER', 'answer').replace('FILE', '__file__')}"
    script = _write("script.py", code)
    done = subprocess.run([sys.executable, script], capture_output=True, text=True, check=True, env=child_environment())
    assert done.stdout.splitlines() == ["executed", "[1.0]"]


def test_a_module_that_was_edited_after_its_import_is_executed(monkeypatch: pytest.MonkeyPatch) -> None:
    path = _write("edited_mine.py", TABLES)
    monkeypatch.syspath_prepend(".")
    monkeypatch.setattr(sys, "dont_write_bytecode", False)
    importlib.import_module("edited_mine")
    _write("edited_mine.py", f"{TABLES}\nEDITED = True\n")
    assert import_file(path).module.__dict__["EDITED"]


def test_the_way_of_the_import_is_not_in_a_fingerprint() -> None:
    _write("helper.py", "FACTOR = 2\n")
    user = _write("user.py", "import helper\ndef answer(texts):\n    return [[0.0, helper.FACTOR * len(t)] for t in texts]\n")
    before, _ = fingerprint_program("user.py:answer", [resolve("user.py:answer")], (), "")
    import_file(Path("helper.py"))
    del sys.modules["helper"], sys.modules[import_file(user).module.__name__]
    assert import_file(user).module.__dict__["helper"] is import_file(Path("helper.py")).module
    assert fingerprint_program("user.py:answer", [resolve("user.py:answer")], (), "")[0] == before
