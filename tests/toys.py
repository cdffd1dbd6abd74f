"""What the tests of the harness run: a plugin file with a toy of each kind, a suite around it, and the command line in this process."""

from __future__ import annotations

import contextlib
import io
import json
import os
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from unittest import mock

import pytest
import yaml
from windtunnel.harness.api.registry import Registry
from windtunnel.harness.api.scorecard import Row, Scorecard
from windtunnel.harness.cli import main as command_line
from windtunnel.harness.plan.planner import plan
from windtunnel.harness.plan.types import Plan
from windtunnel.harness.results.summarise import summarise
from windtunnel.harness.run.runner import run_plan
from windtunnel.harness.store import FILE_NAME, Store
from windtunnel.harness.suite.load import load_suite
from windtunnel.harness.suite.specs import Suite

PLUGINS = '''
import json, os, time
from dataclasses import replace
from pathlib import Path

import numpy as np

from windtunnel.harness.api.errors import SampleError
from windtunnel.harness.models.python.toy import Words
from windtunnel.harness.api.model import ModelInfo
from windtunnel.harness.api.registry import plugin
from windtunnel.harness.api.requests import Classify
from windtunnel.harness.api.responses import Logits
from windtunnel.harness.api.samples import Attribution, Sample
from windtunnel.harness.threats import EditBudget
from windtunnel.harness.modalities.words import word_spans


@plugin("tasks", "notes")
class Notes:
    """Short notes, every fifth with the wrong label. ``rows``: a JSON file of [id, text, target] in their place."""

    name = "notes"
    requires = frozenset({"classify", "text"})
    primary = "correct"

    def __init__(self, num: int = 12, rows: str = "", fail: str = "", labels=("negative", "positive"), metrics=("accuracy",)):
        self.num, self.rows, self.fail, self.labels, self.metrics = num, rows, fail, tuple(labels), tuple(metrics)

    def samples(self):
        if self.fail == "samples":
            raise RuntimeError("no data today")
        if self.rows:
            for sample_id, text, target in json.loads(Path(self.rows).read_text()):
                yield Sample(sample_id, text, target, self.labels, None, {})
            return
        for i in range(self.num):
            word = ("bad", "good")[i % 2]
            yield Sample(f"n{i}", f"a {word} note number {i}", (i + (i % 5 == 4)) % 2, self.labels)

    def _stumbles(self, where, sample):
        kind, _, ids = self.fail.partition(":")
        return kind == where and (ids == "all" or sample.id in ids.split(","))

    def requests(self, sample):
        if self._stumbles("requests", sample):
            raise KeyError("no such field")
        if self._stumbles("unhashable", sample):
            return [Classify(["a list"], self.labels)]
        if self._stumbles("text", sample):
            return ["not a request"]
        return [Classify(sample.input, self.labels)]

    def score(self, sample, responses):
        if self._stumbles("score", sample):
            raise ZeroDivisionError("division by zero")
        if self._stumbles("nan", sample):
            return {"correct": float("nan")}
        if self._stumbles("word", sample):
            return {"correct": "yes"}
        return {"correct": float(int(np.argmax(responses[0].values)) == sample.target)}

    def predict(self, sample, responses):
        if self._stumbles("object", sample):
            return {"prediction": 0, "thing": object()}
        return {"prediction": int(np.argmax(responses[0].values)), "target": sample.target}


@plugin("models", "slow")
class Slow:
    """toy:words that sleeps, and writes what it is asked to a file. A text with NAN gets NaN, with BOOM an exception."""

    def __init__(self, target, *, sleep_s: float = 0.0, log: str = "", labels: list = ("negative", "positive"), version: str = "1"):
        self.sleep_s, self.log, self.version = sleep_s, log, version
        self.info = ModelInfo({"classify": {"text"}}, labels=tuple(labels))

    def inspect(self):
        return self.info

    def load(self, device, dtype):
        return SlowModel(self)


class SlowModel(Words):
    name = "slow"

    def __init__(self, source):
        self.source = source
        self.fingerprint = "slow:" + source.version

    def classify(self, batch):
        if self.source.log:
            Path(self.source.log + ".begun").touch()
        time.sleep(self.source.sleep_s)
        if self.source.log:
            with open(self.source.log, "a") as file:
                file.write("".join(json.dumps(str(r.input)) + "\\n" for r in batch))
        if any("BOOM" in str(r.input) for r in batch):
            raise RuntimeError("the model fell over")
        answers = super().classify(batch)
        return [Logits((float("nan"), 0.0)) if "NAN" in str(r.input) else a for r, a in zip(batch, answers)]


@plugin("attacks", "swap")
class Swap:
    """Turns good into bad, one word. ``how``: what else it does."""

    requires = frozenset({"classify", "text"})

    def __init__(self, how: str = "honest", max_words: int = 1):
        self.how, self.threat = how, EditBudget(max_words=max_words)

    def perturb(self, engine, samples, threat, rng):
        if self.how == "raises" and any("number 3" in s.input for s in samples):
            raise RuntimeError("lost in the search")
        twins = []
        for s in samples:
            flipped = {"good": "bad", "bad": "good"}
            text = " ".join(flipped.get(w, w) for w in s.input.split(" "))
            engine.run([Classify(text, s.labels)])
            if self.how == "liar":  # claims success with an unchanged input, and another target
                twins.append(replace(s, target=1 - s.target, metadata={"success": True, "num_queries": 1}))
            elif self.how == "outside":
                twins.append(replace(s, input=text + " and many more words", metadata={"num_queries": 2}))
            elif self.how == "rows":
                (Path(os.environ["SWAP_LOG"])).open("a").write(s.id + "\\n")
                twins.append(replace(s, input=text))
            else:
                draw = int(rng(s.id).integers(1000))
                twins.append(replace(s, input=text, metadata={"num_queries": 1, "draw": draw}))
        return twins


@plugin("probes", "by_length")
class ByLength:
    """A word's letters are its weight."""

    requires = frozenset({"classify", "text"})

    def attribute(self, engine, samples):
        found = []
        for s in samples:
            spans = word_spans(s.input)
            answer = engine.run([Classify(s.input, s.labels)])[0]
            values = np.array([b - a for a, b in spans], dtype=np.float32)
            found.append(Attribution(s.id, int(np.argmax(answer.values)), values, spans))
        return found


@plugin("reports", "ids")
class Ids:
    """One id a line."""

    suffix = "ids.txt"

    def render(self, scorecard):
        return "\\n".join(v.id for v in scorecard.samples) + "\\n"
'''


def write_plugins(folder: Path) -> Path:
    path = folder / "toy_plugins.py"
    path.write_text(PLUGINS)
    return path


def write_suite(folder: Path, /, **keys: Any) -> Path:
    """A suite of toys; ``keys`` replace its own, None leaves one out."""
    write_plugins(folder)
    whole: dict[str, Any] = {
        "models": [{"model": "slow:words", "name": "words"}],
        "tasks": [{"task": "notes"}],
        "plugins": ["toy_plugins.py"],
        "chunk": 4,
    }
    whole.update(keys)
    path = folder / "toys.yaml"
    path.write_text(yaml.safe_dump({k: v for k, v in whole.items() if v is not None}, sort_keys=False), encoding="utf-8")
    return path


def planned(folder: Path, /, **keys: Any) -> Plan:
    suite = load_suite(write_suite(folder, **keys))
    return made(suite)


def made(suite: Suite) -> Plan:
    return plan(suite, Registry(suite.plugins))


def run(folder: Path, /, out: str = "run", **keys: Any) -> Scorecard:
    """The suite, run in this process."""
    planned_run = planned(folder, **keys)
    run_plan(planned_run, folder / out)
    return summarise(folder / out, registry=Registry(planned_run.suite.plugins))


def row(card: Scorecard, item: str, metric: str) -> Row:
    return next(r for r in card.rows if (r.item, r.name) == (item, metric))


@contextlib.contextmanager
def opened(folder: Path) -> Iterator[Store]:
    store = Store.open(folder / FILE_NAME, readonly=True)
    try:
        yield store
    finally:
        store.close()


def records_of(folder: Path) -> dict[str, list[Any]]:
    with opened(folder) as store:
        return {f"{i.model}/{i.item}": list(store.records(i)) for i in store.items()}


def results_of(folder: Path) -> dict[str, Any]:
    """``results.json`` but for what differs between equal runs."""
    results: dict[str, Any] = json.loads((folder / "results.json").read_text())
    del results["timing"], results["sessions"]
    return results


@dataclass(frozen=True)
class Answer:
    code: int
    out: str
    err: str


class _Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def windtunnel(*arguments: object, env: Mapping[str, str] | None = None, terminal: bool = False) -> Answer:
    """The command line in this process. The environment is as before afterwards."""
    out, err = io.StringIO(), _Terminal() if terminal else io.StringIO()
    argv = ["windtunnel", *map(str, arguments)]
    with (
        mock.patch.dict(os.environ, env or {}),
        mock.patch.object(sys, "argv", argv),
        contextlib.redirect_stdout(out),
        contextlib.redirect_stderr(err),
        pytest.raises(SystemExit) as left,
    ):
        command_line.main()
    code = left.value.code
    return Answer(code if isinstance(code, int) else 0 if code is None else 1, out.getvalue(), err.getvalue())


COMMAND = [sys.executable, "-c", "from windtunnel.harness.cli.main import main; main()"]
"""The console script, whatever it is called where the tests run."""


def child_environment(**more: str) -> dict[str, str]:
    kept = {k: v for k, v in os.environ.items() if not k.startswith("COV_")}
    return {**kept, "OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1", "OMP_WAIT_POLICY": "passive", **more}
