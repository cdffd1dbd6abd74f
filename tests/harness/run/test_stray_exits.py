"""A plugin ends no run: whatever it raises, wherever it is asked, is an error that is told, and never an exit code of its own."""

from __future__ import annotations

import signal
from itertools import product
from pathlib import Path

import pytest
from windtunnel.harness.api.errors import ends_run
from windtunnel.harness.system.interrupts import Interrupted, is_interrupt
from windtunnel.tests.toys import records_of, windtunnel, write_suite

PLUGIN = """
import asyncio, sys
from dataclasses import replace

import click, typer
import numpy as np
from windtunnel.harness.metrics.scores import ColumnMean
from windtunnel.harness.api.model import ModelInfo
from windtunnel.harness.api.registry import plugin
from windtunnel.harness.api.requests import Classify
from windtunnel.harness.api.responses import Logits
from windtunnel.harness.api.samples import Attribution, Sample
from windtunnel.harness.threats import EditBudget

PLACE, KIND = {place!r}, {kind!r}

class Odd(BaseException): pass

KINDS = {{
    "exit": lambda: SystemExit(0), "said": lambda: SystemExit("all is well"), "nothing": lambda: SystemExit(),
    "interrupt": KeyboardInterrupt,
    "generator": GeneratorExit, "cancelled": asyncio.CancelledError, "odd": lambda: Odd("odd"), "typer": lambda: typer.Exit(0),
    "click": lambda: click.exceptions.Exit(0), "abort": click.Abort, "usage": lambda: click.UsageError("no"), "stop": StopIteration,
}}

def at(place):
    if PLACE == place:
        raise KINDS[KIND]()

@plugin("models", "stray")
class Stray:
    fingerprint = "f"
    def __init__(self, target):
        at("model"); self.name = target
    def inspect(self):
        at("inspect"); return ModelInfo({{"classify": {{"text"}}}}, labels=("negative", "positive"))
    def load(self, device, dtype):
        at("load"); return self
    def classify(self, batch):
        at("classify"); return [Logits((0.0, 1.0)) for _ in batch]
    def split(self, request):
        at("split"); return (request,)
    def join(self, request, answers):
        at("join"); return answers[0]
    def canonical(self, value):
        at("canonical"); return value
    def close(self): at("close")

@plugin("tasks", "letters")
class Letters:
    requires = frozenset({{"classify", "text"}}); metrics = ("accuracy", "own"); primary = "correct"
    def __init__(self): at("task")
    def samples(self):
        for i in range(6):
            if i == 3: at("samples")
            yield Sample(f"s{{i}}", f"good {{i}}", 1, ("negative", "positive"))
    def requests(self, sample):
        at("requests"); return [Classify(sample.input, sample.labels)]
    def score(self, sample, responses):
        at("score"); return {{"correct": 1.0}}
    def predict(self, sample, responses):
        at("predict"); return {{"prediction": 1}}

class Budget(EditBudget):
    def admits(self, clean, twin):
        at("admits"); return True
    def distance(self, clean, twin):
        at("distance"); return {{}}

@plugin("attacks", "shout")
class Shout:
    requires = frozenset({{"classify", "text"}})
    threat = Budget(max_words=9)
    def perturb(self, engine, samples, threat, rng):
        at("perturb"); return [replace(s, input=s.input + "!") for s in samples]

@plugin("probes", "flat")
class Flat:
    requires = frozenset({{"classify", "text"}})
    def attribute(self, engine, samples):
        at("attribute"); return [Attribution(s.id, 1, np.ones(2), spans=((0, 4), (5, 6))) for s in samples]

@plugin("metrics", "own")
class Own(ColumnMean):
    name = "own"; column = "correct"; needs = frozenset({{column}}); higher_is_better = True
    def __init__(self):
        at("metric"); super().__init__()
    def evaluate_columns(self, columns, labels):
        at("evaluate"); return {{"own": 1.0}}
    def names(self, labels):
        at("names"); return ("own",)

@plugin("reports", "short")
class Short:
    @property
    def suffix(self):
        at("suffix"); return "short.txt"
    def render(self, scorecard):
        at("render"); return "x"

at("import")
"""
PLACES = (
    *("import", "model", "inspect", "load", "classify", "split", "join", "canonical", "close", "task", "samples", "requests", "score"),
    *("predict", "admits", "distance", "perturb", "attribute", "metric", "evaluate", "names", "suffix", "render"),
)
KINDS = ("exit", "said", "nothing", "interrupt", "generator", "cancelled", "odd", "typer", "click", "abort", "usage", "stop")


def _suite(folder: Path, place: str, kind: str) -> Path:
    (folder / "stray.py").write_text(PLUGIN.format(place=place, kind=kind))
    return write_suite(
        folder, models=["stray:it"], tasks=["letters"], attacks=["shout"], probes=["flat"], plugins=["stray.py"], reports=["json", "short"],
        max_unscored=1, gates=["letters.own.value >= 0", "letters.accuracy.value >= 0", "shout(letters).robust_accuracy.value >= 0"],
    )  # fmt: skip


def test_the_suite_passes_where_nothing_is_raised(tmp_path: Path) -> None:
    answer = windtunnel("run", _suite(tmp_path, "nowhere", "exit"), "--out", tmp_path / "run", "-q")
    assert answer.err == ""
    assert answer.code == 0
    assert sum(map(len, records_of(tmp_path / "run").values())) > 18


@pytest.mark.parametrize("place", PLACES)
def test_no_place_ends_the_run_in_silence(tmp_path: Path, place: str) -> None:
    answer = windtunnel("run", _suite(tmp_path, place, "exit"), "--out", tmp_path / "run", "-q")
    if place == "canonical":
        # Nothing was to be prepared: the sample is asked as it is.
        assert answer.code == 0
        return
    assert answer.code in (2, 3), answer
    assert "SystemExit" in answer.out + answer.err


@pytest.mark.parametrize(
    ("place", "kind"),
    [
        *product(("import", "classify"), (kind for kind in KINDS if kind != "exit")),
        *product(("load", "samples", "render"), ("interrupt", "cancelled", "click")),
    ],
)
def test_no_exception_passes_for_an_exit_code(tmp_path: Path, place: str, kind: str) -> None:
    """Every kind before a run and within it; where else a plugin is asked, one that is an exception and two that are not."""
    answer = windtunnel("run", _suite(tmp_path, place, kind), "--out", tmp_path / "run", "-q")
    assert answer.code in (2, 3), answer
    assert answer.err + answer.out


@pytest.mark.parametrize("verb", ["plan", "tune", "list", "show", "prefetch"])
def test_no_verb_ends_in_silence(tmp_path: Path, verb: str) -> None:
    path = _suite(tmp_path, "import", "exit")
    arguments = {"list": ["--plugin", tmp_path / "stray.py"], "show": ["shout", "--plugin", tmp_path / "stray.py"]}.get(verb, [path])
    answer = windtunnel(verb, *arguments)
    assert answer.code in (2, 3)
    assert "SystemExit" in answer.err


def test_a_model_that_exits_leaves_a_record_a_sample(tmp_path: Path) -> None:
    windtunnel("run", _suite(tmp_path, "classify", "exit"), "--out", tmp_path / "run", "-q")
    records = records_of(tmp_path / "run")["it/letters"]
    assert [r.error for r in records] == ["SystemExit: 0"] * 6


@pytest.mark.parametrize("made", ["3", "None", "{'a': 1}", "b'x'", "object()"])
def test_a_twin_that_is_no_input_is_its_records_error(tmp_path: Path, made: str) -> None:
    path = _suite(tmp_path, "nowhere", "exit")
    source = (tmp_path / "stray.py").read_text()
    (tmp_path / "stray.py").write_text(source.replace('input=s.input + "!"', f'input={made} if s.id == "s1" else s.input'))
    answer = windtunnel("run", path, "--out", tmp_path / "run", "-q")
    assert answer.code == 0, answer
    errors = [r.error for r in records_of(tmp_path / "run")["it/shout(letters)"]]
    assert [error is None for error in errors] == [True, False, True, True, True, True]
    assert "which is not a model input" in str(errors[1])
    assert windtunnel("report", tmp_path / "run", "--plugin", tmp_path / "stray.py").code == 0


def test_ctrl_c_is_told_from_a_plugins_own(monkeypatch: pytest.MonkeyPatch, ctrl_c_is_listened_for: None) -> None:
    assert is_interrupt(KeyboardInterrupt()), "where Python's own handler listens, it may be the user"
    assert not is_interrupt(SystemExit(0))
    monkeypatch.setattr(signal, "getsignal", lambda number: print)
    assert not is_interrupt(KeyboardInterrupt())
    assert is_interrupt(Interrupted())
    assert ends_run(Interrupted())
