"""The plugin files of ``examples/plugins``, as the docs show them: as short as promised, and they run."""

from __future__ import annotations

import ast
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import windtunnel
from windtunnel.harness.api.registry import Registry
from windtunnel.harness.store import FILE_NAME, Store

FOLDER = Path(windtunnel.__file__).parent / "examples" / "plugins"
PROMISED = {"noise_attack": 16, "leave_one_out_probe": 14, "keyword_model": 15, "negation_task": 18, "csv_report": 8}
BRIGHT = """
import numpy as np

def rows():
    rng = np.random.default_rng(0)
    for i, level in enumerate((20, 230, 125, 131, 60)):
        yield {"image": np.clip(rng.integers(-10, 10, (6, 6, 3)) + level, 0, 255).astype(np.uint8), "label": int(level > 127)}
"""
SUITE = """
models: [{name: keyword, model: "keyword:not"}, {name: bright-or-dark, model: "toy:bright"}, {name: words, model: "toy:words"}]
tasks: [negation, {task: bright.yaml, name: bright}]
attacks: [{attack: noise, epsilon: 0.05}]
probes: [leave_one_out]
reports: [rows, json]
gates: ["keyword/negation.acc >= 0"]
"""


def code_lines(path: Path) -> int:
    """Lines that are neither blank, nor a comment, nor part of a docstring."""
    source = path.read_text()
    nodes = [n for n in ast.walk(ast.parse(source)) if isinstance(n, ast.Module | ast.ClassDef | ast.FunctionDef)]
    documented = [n for n in nodes if ast.get_docstring(n)]
    texts = {line for n in documented for line in range(n.body[0].lineno, (n.body[0].end_lineno or 0) + 1)}
    return sum(bool(line.strip()) and not line.startswith("#") and i not in texts for i, line in enumerate(source.splitlines(), 1))


def test_all_are_tested() -> None:
    assert {p.stem for p in FOLDER.glob("*.py")} == set(PROMISED)


@pytest.mark.parametrize(("name", "most"), PROMISED.items())
def test_as_short_as_promised(name: str, most: int) -> None:
    assert code_lines(FOLDER / f"{name}.py") <= most


@pytest.mark.parametrize("name", PROMISED)
def test_one_plugin_each(name: str) -> None:
    registry = Registry((FOLDER / f"{name}.py",))
    group = f"{name.rpartition('_')[2]}s"
    (entry,) = [e for e in registry.entries(group) if e.origin.startswith(f"{name}.py sha256:")]
    assert entry.load()


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("examples")
    (folder / "bright.py").write_text(BRIGHT)
    task = "family: image_classification\ndata: {python: 'bright.py:rows'}\nimage: image\nlabel: label\nlabels: [dark, bright]\n"
    (folder / "bright.yaml").write_text(task)
    (folder / "suite.yaml").write_text(SUITE)
    plugins = [part for name in PROMISED for part in ("--plugin", str(FOLDER / f"{name}.py"))]
    command = [sys.executable, "-W", "error", "-c", "from windtunnel.harness.cli.main import main; main()", "run", "suite.yaml"]
    options = [*plugins, "--offline", "--out", "out"]
    env = {**os.environ, "HF_HOME": str(folder / "hf")}
    done = subprocess.run([*command, *options], cwd=folder, env=env, capture_output=True, text=True, timeout=120)
    assert done.returncode in (0, 1), done.stdout + done.stderr
    return folder / "out"


def records(folder: Path, model: str, item: str) -> list[Any]:
    store = Store.open(folder / FILE_NAME, readonly=True)
    try:
        (stored,) = [i for i in store.items() if (i.model, i.item) == (model, item)]
        return list(store.records(stored))
    finally:
        store.close()


def test_task_and_model(run: Path) -> None:
    """The model says positive where it sees "not", which is wrong every time; ``toy:words`` does not see it."""
    assert [r.scores["acc"] for r in records(run, "keyword", "negation")] == [0] * 8
    assert [r.scores["acc"] for r in records(run, "words", "negation")] == [1, 0] * 4


def test_attack(run: Path) -> None:
    found = records(run, "bright-or-dark", "noise(bright)")
    assert [r.error for r in found] == [None] * 5
    assert all(0.04 < r.scores["linf"] <= 0.05 + 1e-6 and r.scores["outside_threat"] == 0 for r in found if r.scores["clean_correct"])


def test_probe(run: Path) -> None:
    """The word that the model looks for is the word that the probe finds."""
    for record in records(run, "keyword", "leave_one_out(negation)")[1::2]:
        values = record.artifacts["attribution"]["values"]
        assert values.argmax() == 2
        assert values[2] == 1
        assert record.scores["comprehensiveness"] > 0.2


def test_report(run: Path) -> None:
    lines = (run / "rows.csv").read_text().splitlines()
    assert "keyword,negation,acc,0.0" in lines
    rows = json.loads((run / "results.json").read_text())["rows"]
    assert len(lines) == len(rows)
