"""What a suite needs is listed and fetched beforehand, and a suite that lacks something is not begun."""

from __future__ import annotations

from pathlib import Path

import pytest
from windtunnel.harness.api.errors import CapabilityError
from windtunnel.tests.toys import planned, windtunnel, write_suite

READER = """
from pathlib import Path

from windtunnel.harness.api.registry import plugin
from windtunnel.harness.api.resources import Resource
from windtunnel.harness.threats import EditBudget


@plugin("attacks", "reader")
class Reader:
    requires, threat = frozenset({"classify"}), EditBudget()

    def __init__(self, *, resources=None, fetches=True):
        self.file = Path(resources or ".", "words.txt")
        self.fetches = fetches

    def resources(self):
        fetch = (lambda: self.file.write_text("word")) if self.fetches else None
        return [Resource("the word list", self.file.is_file(), str(self.file), "write one", fetch, self.file)]

    def perturb(self, engine, samples, threat, rng):
        return samples
"""


def suite_of(folder: Path, **settings: object) -> Path:
    (folder / "reader.py").write_text(READER)
    (folder / "words").mkdir(exist_ok=True)
    attack = {"attack": "reader", **settings}
    return write_suite(folder, attacks=[attack], plugins=["toy_plugins.py", "reader.py"], resources="words")


def test_offline_lists_and_online_fetches(tmp_path: Path) -> None:
    suite = suite_of(tmp_path)
    offline = windtunnel("prefetch", suite, env={"HF_HUB_OFFLINE": "1"})
    assert offline.code == 2
    assert f"missing  the word list for attack reader: looked for in {tmp_path}/words/words.txt; write one" in offline.out
    assert not (tmp_path / "words/words.txt").exists()
    online = windtunnel("prefetch", suite, env={"HF_HUB_OFFLINE": "0"})
    assert (online.code, online.out) == (0, "fetched  the word list for attack reader\n")
    assert windtunnel("prefetch", suite, env={"HF_HUB_OFFLINE": "1"}).out == "there    the word list for attack reader\n"


def test_a_model_needs_no_task() -> None:
    answer = windtunnel("prefetch", "--model", "hf:nobody/nothing", env={"HF_HUB_OFFLINE": "1"})
    assert answer.code == 2
    assert "missing  the checkpoint nobody/nothing for model nothing" in answer.out
    assert windtunnel("prefetch", "--model", "toy:words").code == 0
    answer = windtunnel("prefetch", "--tasks", "sst2")
    assert answer.code == 2
    assert "give a suite file, or --model KIND:TARGET;" in answer.err


def test_what_cannot_be_fetched_stays_missing(tmp_path: Path) -> None:
    said = windtunnel("prefetch", suite_of(tmp_path, fetches=False), env={"HF_HUB_OFFLINE": "0"})
    assert said.code == 2
    assert "1 of what toys needs is missing" in said.err


def test_hub_names_are_looked_up_in_the_cache(tmp_path: Path) -> None:
    models = [{"model": "hf:nobody/nothing-here", "name": "there-is-none"}]
    suite = write_suite(tmp_path, models=models, tasks=["sst2"])
    said = windtunnel("prefetch", suite, env={"HF_HUB_OFFLINE": "1", "HF_HOME": str(tmp_path / "hub")})
    assert said.code == 2
    assert "missing  the checkpoint nobody/nothing-here for model there-is-none" in said.out
    assert "for task sst2" in said.out


def test_a_suite_that_lacks_a_resource_is_not_begun(tmp_path: Path) -> None:
    suite_of(tmp_path)
    keys = {"attacks": [{"attack": "reader"}], "plugins": ["toy_plugins.py", "reader.py"], "resources": "words"}
    with pytest.raises(CapabilityError, match=r"attack 'reader': the word list is missing .* windtunnel prefetch"):
        planned(tmp_path, **keys).require_possible()
    (tmp_path / "words/words.txt").write_text("word")
    planned(tmp_path, **keys).require_possible()


def test_other_word_data_is_another_item(tmp_path: Path) -> None:
    suite = suite_of(tmp_path)
    words = tmp_path / "words/words.txt"
    words.write_text("word")
    assert windtunnel("run", suite, "--out", tmp_path / "run", "-q").code == 0
    assert windtunnel("run", suite, "--out", tmp_path / "run", "-q").code == 0
    words.write_text("another word")
    said = windtunnel("run", suite, "--out", tmp_path / "run", "-q")
    assert said.code == 0
    assert "it was made with another word data" in said.err
