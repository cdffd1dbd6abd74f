"""Roles: further models that plugins ask, cast by the suite, run by engines of their own."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from windtunnel.harness.api.errors import CapabilityError, ConfigError, UnknownName, UserError
from windtunnel.harness.results.summarise import summarise
from windtunnel.harness.run.runner import run_plan
from windtunnel.harness.suite.load import load_suite
from windtunnel.tests.toys import made, records_of, windtunnel, write_suite

PLUGINS = '''
import os
from dataclasses import replace

from windtunnel.harness.models.python.toy import Words
from windtunnel.harness.api.model import ModelInfo
from windtunnel.harness.api.registry import plugin
from windtunnel.harness.api.requests import Classify
from windtunnel.harness.api.samples import Sample
from windtunnel.harness.threats import EditBudget


@plugin("models", "critic")
class Critic:
    """toy:words that writes down when it is loaded and closed. ``log``: where."""

    def __init__(self, target, *, log: str = ""):
        self.target, self.log = target, log

    def inspect(self):
        return ModelInfo({"classify": {"text"}}, labels=("negative", "positive"))

    def load(self, device, dtype):
        model = Words()
        model.name, model.fingerprint = self.target, "critic:" + self.target + os.environ.get("CRITIC_VERSION", "")
        model.close = lambda: self.note("closed")
        self.note("loaded")
        return model

    def note(self, what):
        if self.log:
            with open(self.log, "a") as file:
                print(what, self.target, file=file)


@plugin("tasks", "second_opinion")
class SecondOpinion:
    """Whether the judge thinks as the model does."""

    name, requires, metrics, primary = "second_opinion", frozenset({"classify", "text"}), ("accuracy",), "correct"
    roles = {"judge": frozenset({"classify"})}

    def samples(self):
        return [Sample(f"s{i}", text, 1, ("negative", "positive")) for i, text in enumerate(["good", "bad", "a good thing", "nothing"])]

    def run(self, engine, samples):
        asked = [Classify(s.input, s.labels) for s in samples]
        return list(zip(engine.run(asked), engine.roles["judge"].run(asked)))

    def score(self, sample, responses):
        mine, its = responses
        return {"correct": float((mine.values[1] > mine.values[0]) == (its.values[1] > its.values[0]))}

    def predict(self, sample, responses):
        return {"prediction": int(responses[1].values[1] > responses[1].values[0])}


@plugin("attacks", "advised")
class Advised:
    """Does what the adviser makes of it. Without one, nothing."""

    requires = frozenset({"classify", "text"})
    optional_roles = {"adviser": frozenset({"classify"})}
    threat = EditBudget()

    def perturb(self, engine, samples, threat, rng):
        adviser = engine.roles.get("adviser")
        if adviser is None:
            return samples
        liked = [a.values[1] > a.values[0] for a in adviser.run([Classify(s.input, s.labels) for s in samples])]
        return [replace(s, input=s.input + " awful awful") if yes else s for s, yes in zip(samples, liked)]
'''

CRITIC = {"model": "critic:one", "name": "one"}
OPINION = {"task": "second_opinion", "roles": {"judge": "one"}}


def suite_of(folder: Path, /, **keys: Any) -> Path:
    (folder / "role_plugins.py").write_text(PLUGINS)
    critic = {**CRITIC, "log": str(folder / "log")}
    defaults = {"auxiliary_models": [critic], "tasks": [OPINION], "plugins": ["toy_plugins.py", "role_plugins.py"], "chunk": 3}
    return write_suite(folder, **{**defaults, **keys})


def planned(folder: Path, /, **keys: Any) -> Any:
    return made(load_suite(suite_of(folder, **keys)))


@pytest.mark.parametrize(
    ("keys", "kind", "message"),
    [
        ({"tasks": ["second_opinion"]}, ConfigError, r"second_opinion.* needs a model that can classify.*roles: \{judge: NAME\}"),
        ({"tasks": [{**OPINION, "roles": {"juge": "one"}}]}, ConfigError, "has no role 'juge'. Did you mean 'judge'"),
        ({"tasks": [{**OPINION, "roles": {"judge": "two"}}]}, UnknownName, "the role 'judge' to 'two'.* They are words, one"),
        ({"auxiliary_models": [{"model": "toy:bytes", "name": "one"}]}, CapabilityError,
         r"the model 'one' cannot play the role 'judge': it does not answer classify \(it answers generate"),
        ({"auxiliary_models": [{**CRITIC, "name": "words"}]}, ConfigError, r"toys.yaml:\d+: two models are called 'words'"),
        ({"tasks": ["notes", OPINION], "attacks": [{"attack": "swap", "roles": {"judge": "one"}}]}, ConfigError,
         "attack 'swap' has no role 'judge'. Its roles: encoder, language_model"),
    ],
)  # fmt: skip
def test_who_cannot_play_is_told_first(tmp_path: Path, keys: dict[str, Any], kind: type[UserError], message: str) -> None:
    with pytest.raises(kind, match=message):
        planned(tmp_path, **keys).require_possible()


def test_a_judge_is_asked_counted_and_closed(tmp_path: Path) -> None:
    work = planned(tmp_path)
    assert [i.item for i in work.items] == ["second_opinion"], "an auxiliary model is not evaluated"
    run_plan(work, tmp_path / "run")
    (records,) = records_of(tmp_path / "run").values()
    assert [r.scores["correct"] for r in records] == [1, 1, 1, 1]
    assert [r.artifacts["prediction"] for r in records] == [1, 0, 1, 0]
    card = summarise(tmp_path / "run")
    passes = next(r for r in card.rows if r.name == "forward_passes")
    assert passes.estimate.value == 4, "two chunks, each one pass of the model and one of the judge"
    role = card.manifest["items"][0]["roles"]["judge"]
    assert role["model"] == "one"
    assert len(role["fingerprint"]) == 64, "of the model, and of the file that made it"
    assert (tmp_path / "log").read_text().split("\n") == ["loaded one", "closed one", ""]


def test_a_model_plays_its_own_role(tmp_path: Path) -> None:
    run_plan(planned(tmp_path, tasks=[{**OPINION, "roles": {"judge": "words"}}]), tmp_path / "run")
    (passes,) = [r for r in summarise(tmp_path / "run").rows if r.name == "forward_passes"]
    assert passes.estimate.value == 2, "the second question is in the cache"
    assert not (tmp_path / "log").exists(), "who plays no role is not loaded"


def test_an_optional_role_changes_the_attack(tmp_path: Path) -> None:
    for name, roles in (("alone", {}), ("advised", {"adviser": "one"})):
        folder = tmp_path / name
        folder.mkdir()
        run_plan(planned(folder, tasks=["notes"], attacks=[{"attack": "advised", "roles": roles}]), folder / "run")
        found = records_of(folder / "run")["words/advised(notes)"]
        attacked = [r for r in found if r.scores["clean_correct"] == 1]
        flipped = [r.scores["success"] for r in attacked]
        assert set(flipped) == ({0.0} if name == "alone" else {0.0, 1.0})


def test_another_judge_is_another_item(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    work = planned(tmp_path)
    run_plan(work, tmp_path / "run")
    run_plan(work, tmp_path / "run")
    monkeypatch.setenv("CRITIC_VERSION", "2")
    said: list[str] = []
    run_plan(work, tmp_path / "run", say=said.append)
    assert len(said) == 1
    assert said[0].startswith("run again: words/second_opinion: it was made with another player of its roles.")


def test_roles_are_shown(tmp_path: Path) -> None:
    suite_of(tmp_path)
    said = windtunnel("show", "second_opinion", "--plugin", tmp_path / "role_plugins.py").out
    assert "role 'judge': requires classify" in said
    said = windtunnel("show", "advised", "--plugin", tmp_path / "role_plugins.py").out
    assert "optional role 'adviser': requires classify" in said
