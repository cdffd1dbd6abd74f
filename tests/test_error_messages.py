"""The words of the errors that a user can meet: all of them in one list, and examples of how they are met.

The list is ``tests/error_messages.txt``; ``python tests/error_messages.py`` writes it anew.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import windtunnel as wt
from windtunnel.harness.api.errors import UnknownName, WindtunnelError
from windtunnel.tests.error_messages import LIST, messages
from windtunnel.tests.toys import windtunnel


@pytest.fixture(autouse=True)
def _in_an_empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def test_the_list_is_complete_and_fresh() -> None:
    listed = LIST.read_text(encoding="utf-8").splitlines()
    found = messages()
    gone, new = sorted(set(listed) - set(found)), sorted(set(found) - set(listed))
    how = "review the words, then write the list: python tests/error_messages.py"
    assert (gone, new) == ([], []), how
    assert listed == found, how


def test_no_message_speaks_of_the_command_line_alone() -> None:
    """An error is met from Python as well: what is an option there is an argument here (`WindtunnelError.argument`)."""
    others = [line for line in messages() if not line.startswith("harness/cli/")]
    assert [line for line in others if re.search(r" --[a-z]|same command", line)] == []


# ── how they are met ──────────────────────────────────────────────────────────────────────────────────────────────────


def scores(texts: list[str]) -> list[list[float]]:
    return [[0.0, 1.0] for _ in texts]


def _film_task() -> str:
    Path("films.csv").write_text("text,label\ngood,1\nbad,0\n")
    Path("films.yaml").write_text(
        "family: text_classification\ndata: {files: films.csv}\ntext: text\nlabel: label\nlabels: [negative, positive]\n"
    )
    return "films.yaml"


def _evaluate(**changes: Any) -> None:
    wt.evaluate(**{"models": {"mine": scores}, "tasks": _film_task(), **changes})


def _plugin_file(text: str) -> str:
    Path("mine.py").write_text(text)
    return "mine.py"


MET: dict[str, tuple[Callable[[], object], type[WindtunnelError], str]] = {
    "a model that is none": (
        lambda: _evaluate(models=[3]),
        wt.ConfigError,
        "an object of the class int is not a model: pass a text such as 'hf:path', a function, a torch.nn.Module, "
        "a fitted scikit-learn pipeline with predict_proba, a transformers pair (model, tokenizer), or an object with inspect and load",
    ),
    "a task of a wrong name": (
        lambda: _evaluate(tasks="sst3"),
        UnknownName,
        "there is no task 'sst3'. Did you mean 'sst2'? 'windtunnel list tasks' shows all {}.",
    ),
    "an attack of a wrong setting": (
        lambda: _evaluate(attacks={"attack": "pgd", "stepz": 3}),
        wt.ConfigError,
        "attack 'pgd' has no setting 'stepz'. Did you mean 'steps' or 'step_size'? Its settings: epsilon, norm, steps, "
        "step_size, restarts, random_start, epsilons.",
    ),
    "a setting out of its range": (
        lambda: _evaluate(attacks={"attack": "pgd", "steps": 0}),
        wt.ConfigError,
        "attack 'pgd': steps must be a whole number of at least 1, not 0",
    ),
    "an attack that no model can stand": (
        lambda: _evaluate(attacks="pgd"),
        wt.CapabilityError,
        "attack 'pgd' can run on nothing in this suite: {}",
    ),
    "a key that no suite has": (
        lambda: _evaluate(limitt=3),
        wt.ConfigError,
        "a suite has no key 'limitt'. Did you mean 'limit'? Its keys: {}",
    ),
    "a gate that is none": (lambda: _evaluate(gates="films.accuracy"), wt.ConfigError, "'films.accuracy' is no gate; write it as {}"),
    "a gate on a number that is not there": (
        lambda: _evaluate(gates="films.acuracy > 0.5"),
        wt.ConfigError,
        "gate 'films.acuracy > 0.5': 'films' has no metric 'acuracy'. Did you mean 'accuracy'{}",
    ),
    "a plugin file that is not there": (
        lambda: _evaluate(plugins="mine.py"),
        wt.ConfigError,
        "there is no plugin file {}mine.py",
    ),
    "a plugin file without a plugin": (
        lambda: _evaluate(plugins=_plugin_file("x = 1")),
        wt.ConfigError,
        "{}mine.py defines no plugin; decorate a class with @plugin('attacks', 'my_name')",
    ),
    "a plugin file that raises": (
        lambda: _evaluate(plugins=_plugin_file("1 / 0")),
        wt.ConfigError,
        "the plugin file {}mine.py raised at import: ZeroDivisionError: division by zero",
    ),
    "a group that is none": (
        lambda: wt.plugin("attack", "mine"),
        wt.ConfigError,
        "no plugin group 'attack'; the groups are tasks, attacks, probes, models, metrics, reports{}",
    ),
    "a folder with something else": (
        lambda: (Path("out").mkdir(), Path("out/notes.txt").touch(), _evaluate(folder="out")),
        wt.ConfigError,
        "out contains 'notes.txt' and no run; choose an empty or a new folder with folder=",
    ),
    "a run that is not there": (
        lambda: wt.load("nowhere"),
        wt.ConfigError,
        "there is no run at nowhere/run.db; create one with 'windtunnel run' or windtunnel.evaluate",
    ),
    "data that are not there": (
        lambda: (_film_task(), Path("films.csv").unlink(), wt.evaluate({"mine": scores}, "films.yaml")),
        wt.DataError,
        "{}films.csv{}",
    ),
}
"""What is done, the class of the error, and its words; ``{}`` stands for any text, the entry's place before all of them."""


@pytest.mark.parametrize("what", MET)
def test_words_as_they_are_met(what: str) -> None:
    work, cls, words = MET[what]
    with pytest.raises(cls) as caught:
        work()
    pattern = ".*".join(map(re.escape, words.split("{}")))
    assert re.search(f"(^|: ){pattern}$", str(caught.value), re.DOTALL), str(caught.value)


def test_the_command_line_names_its_options() -> None:
    Path("out").mkdir()
    Path("out/notes.txt").touch()
    answer = windtunnel("run", "--model", "toy:words", "--tasks", _film_task(), "--out", "out")
    words = "out contains 'notes.txt' and no run; choose an empty or a new folder with --out"
    assert (answer.code, answer.err) == (2, f"error: {words}\n")
