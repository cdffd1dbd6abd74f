"""What an item is made of: each ingredient is changed on its own, and so is all that must not count."""

from __future__ import annotations

import json
from collections.abc import Callable as Function
from pathlib import Path
from typing import Any

import pytest
import yaml
from windtunnel.harness.api.registry import Registry
from windtunnel.harness.api.requests import Classify, Embed, FillMask, Generate, LogLikelihood, PseudoLogLikelihood, RollingLogLikelihood
from windtunnel.harness.engine import Engine
from windtunnel.harness.engine.cache import make_key
from windtunnel.harness.identity import libraries
from windtunnel.harness.items.base.ingredients import digest_ingredients
from windtunnel.harness.items.base.portable import make_portable
from windtunnel.harness.modalities.chat import Chat, Message
from windtunnel.harness.modalities.image import Image
from windtunnel.harness.modalities.text import TextPair
from windtunnel.harness.plan.types import Plan
from windtunnel.harness.run.runner import run_plan
from windtunnel.harness.suite.load import load_suite
from windtunnel.tests.toys import made, opened, planned, records_of, run, windtunnel

TASK = """family: generation
title: Sums
data: {files: {test: rows.jsonl, train: shots.jsonl}, split: test}
prompt: "{{ q }}"
target: a
num_fewshot: 1
max_tokens: 8
stop: ["."]
"""
ROWS = "".join(json.dumps({"q": f"{i} + {i}", "a": str(2 * i)}) + "\n" for i in range(12))
PLUGINS = '''
import near
from dataclasses import replace

from windtunnel.harness.api.model import ModelInfo
from windtunnel.harness.api.registry import plugin
from windtunnel.harness.metrics.scores import ColumnMean
from windtunnel.harness.models.python.toy import Bytes
from windtunnel.harness.threats import EditBudget


@plugin("attacks", "shout")
class Shout:
    """Capital letters."""

    requires = frozenset({"generate", "text"})

    def __init__(self, loud: int = 1):
        self.loud, self.threat = loud, EditBudget(max_words=near.WORDS)

    def perturb(self, engine, samples, threat, rng):
        return [replace(s, input=s.input.upper()) for s in samples]


@plugin("models", "mine")
class Mine:
    """A language model of one's own."""

    def __init__(self, target, *, strength: float = 1.0):
        self.target = target

    def inspect(self):
        return ModelInfo({"generate": {"text"}, "loglikelihood": {"text"}})

    def load(self, device, dtype):
        return Bytes()


@plugin("metrics", "mean_match")
class MeanMatch(ColumnMean):
    name, column, higher_is_better = "mean_match", "exact_match", True
    needs = frozenset({column})
'''


def write(folder: Path, **keys: Any) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "rows.jsonl").write_text(ROWS)
    (folder / "shots.jsonl").write_text('{"q": "20 + 20", "a": "40"}\n{"q": "30 + 30", "a": "60"}\n')
    (folder / "sums.yaml").write_text(TASK)
    (folder / "own.py").write_text(PLUGINS)
    (folder / "near.py").write_text("WORDS = 3\n")
    suite = {
        "models": [{"model": "mine:one", "name": "mine"}, {"model": "toy:bytes", "name": "bytes"}],
        "tasks": [{"task": "sums.yaml", "limit": 8}],
        "attacks": [{"attack": "shout", "limit": 4, "seeds": 2, "transfer": True}],
        "plugins": ["own.py"],
    }
    path = folder / "suite.yaml"
    path.write_text(yaml.safe_dump({**suite, **keys}, sort_keys=False))
    return path


def plan_of(path: Path) -> Plan:
    return made(load_suite(path))


def identities(path: Path) -> dict[str, Any]:
    """By model and item, as a resumed run would compare them, but for what is known once the model is loaded."""
    return {
        f"{i.model.name}/{i.item}": {"data": i.task.data_fingerprint, "num": len(i.samples), "seed": i.seed, **digest_ingredients(i)}
        for i in plan_of(path).items
    }


def edit(name: str, old: str, new: str) -> Function[[Path], None]:
    def change(folder: Path) -> None:
        text = (folder / name).read_text()
        assert old in text
        (folder / name).write_text(text.replace(old, new, 1))

    return change


def key(**keys: Any) -> Function[[Path], None]:
    """Keys of the suite replaced."""

    def change(folder: Path) -> None:
        path = folder / "suite.yaml"
        path.write_text(yaml.safe_dump({**yaml.safe_load(path.read_text()), **keys}, sort_keys=False))

    return change


def task(**settings: Any) -> Function[[Path], None]:
    return key(tasks=[{"task": "sums.yaml", "limit": 8, **settings}])


def attack(**settings: Any) -> Function[[Path], None]:
    return key(attacks=[{"attack": "shout", "limit": 4, "seeds": 2, "transfer": True, **settings}])


EVERY = "mine/sums"
"""An item of the task itself."""
ATTACK, AGAIN, TRANSFER = "mine/shout(sums)", "mine/shout#2(sums)", "bytes/transfer(shout(sums), mine)"

MATTERS: dict[str, tuple[Function[[Path], None], tuple[str, ...]]] = {
    "a row": (edit("rows.jsonl", '"1 + 1"', '"1 +  1"'), (EVERY, ATTACK, TRANSFER)),
    "an answer": (edit("rows.jsonl", '"a": "4"', '"a": "5"'), (EVERY, ATTACK, TRANSFER)),
    "the order of rows": (lambda folder: (folder / "rows.jsonl").write_text("\n".join(reversed(ROWS.splitlines()))), (EVERY, ATTACK)),
    "a row beyond the limit": (edit("rows.jsonl", '"11 + 11"', '"11 + 12"'), (EVERY,)),
    "an example": (edit("shots.jsonl", "40", "41"), (EVERY, ATTACK, AGAIN, TRANSFER)),
    "the template": (edit("sums.yaml", "{{ q }}", "Q: {{ q }}"), (EVERY, ATTACK)),
    "the number of examples": (edit("sums.yaml", "num_fewshot: 1", "num_fewshot: 2"), (EVERY, ATTACK)),
    "the length of answers": (edit("sums.yaml", "max_tokens: 8", "max_tokens: 9"), (EVERY, ATTACK)),
    "the stop strings": (edit("sums.yaml", 'stop: ["."]', 'stop: ["!"]'), (EVERY, ATTACK)),
    "a header": (edit("sums.yaml", "num_fewshot", "header: Sums.\nnum_fewshot"), (EVERY, ATTACK)),
    "metrics of the file": (edit("sums.yaml", "stop:", "metrics: [mean_match]\nstop:"), (EVERY,)),
    "a setting of the task": (task(max_tokens=9), (EVERY, ATTACK)),
    "shuffling": (task(shuffle=1), (EVERY, ATTACK)),
    "the task's limit": (task(limit=7), (EVERY,)),
    "the suite's seed": (key(seed=1), (EVERY, ATTACK, AGAIN, TRANSFER)),
    "a setting of the attack": (attack(loud=2), (ATTACK, AGAIN, TRANSFER)),
    "its limit": (attack(limit=3), (ATTACK, AGAIN, TRANSFER)),
    "its threat": (attack(threat={"type": "edits", "max_words": 2}), (ATTACK, AGAIN, TRANSFER)),
    "a threat's number by a neighbour": (edit("near.py", "3", "2"), (ATTACK, AGAIN, TRANSFER)),
    "the code of the attack": (edit("own.py", "s.input.upper()", "s.input.lower()"), (ATTACK, AGAIN, TRANSFER)),
}
NOT: dict[str, Function[[Path], None]] = {
    "a comment in the suite": lambda folder: (folder / "suite.yaml").write_text("# ours\n" + (folder / "suite.yaml").read_text()),
    "a comment in the task": edit("sums.yaml", "num_fewshot: 1", "num_fewshot: 1  # one"),
    "the order of the task's keys": lambda folder: (folder / "sums.yaml").write_text("stop: ['.']\n" + TASK.replace('stop: ["."]\n', "")),
    "quotes in the task": edit("sums.yaml", '["."]', "['.']"),
    "a title": edit("sums.yaml", "title: Sums", "title: Additions"),
    "a description": edit("sums.yaml", "title: Sums", "title: Sums\ndescription: of two numbers\nlicense: CC0"),
    "batches": key(batch={"rows": 3}),
    "the device": key(device="cpu"),
    "the cache": key(cache="answers.db"),
    "reports": key(reports=["json"]),
    "gates": key(gates=["sums.exact_match >= 0"]),
    "a file that nobody reads": lambda folder: (folder / "unread.txt").write_text("x"),
    "times of files": lambda folder: [path.touch() for path in folder.iterdir()],  # type: ignore[dict-item,return-value]
}


@pytest.fixture(scope="module")
def before(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """The identities of what nobody has changed, in a folder of their own."""
    return identities(write(tmp_path_factory.mktemp("before")))


@pytest.mark.parametrize("what", MATTERS)
def test_each_ingredient_counts(tmp_path: Path, before: dict[str, Any], what: str) -> None:
    path = write(tmp_path)
    change, touched = MATTERS[what]
    change(tmp_path)
    after = identities(path)
    assert [name for name in touched if before[name] == after[name]] == []


@pytest.mark.parametrize("what", NOT)
def test_the_rest_does_not(tmp_path: Path, before: dict[str, Any], what: str) -> None:
    path = write(tmp_path)
    suite = load_suite(path).identity()
    NOT[what](tmp_path)
    assert identities(path) == before
    assert load_suite(path).identity() == suite


def test_nor_does_the_folder(tmp_path: Path, before: dict[str, Any]) -> None:
    one, other = write(tmp_path / "one"), write(tmp_path / "other" / "deep")
    assert identities(other) == before
    assert load_suite(one).identity() == load_suite(other).identity()


def test_attacks_do_not_rest_on_the_tasks_metrics(tmp_path: Path, before: dict[str, Any]) -> None:
    path = write(tmp_path)
    edit("sums.yaml", "stop:", "metrics: [mean_match]\nstop:")(tmp_path)
    after = identities(path)
    assert [name for name in before if before[name] != after[name]] == ["mine/sums", "bytes/sums"]


@pytest.mark.parametrize("name", ["own.py", "near.py"])
def test_a_plugins_neighbours_are_in_its_origin(tmp_path: Path, name: str) -> None:
    write(tmp_path)
    first = Registry((tmp_path / "own.py",)).get("metrics", "mean_match").origin
    assert first.startswith("own.py sha256:")
    (tmp_path / name).write_text((tmp_path / name).read_text() + "# more\n")
    assert Registry((tmp_path / "own.py",)).get("metrics", "mean_match").origin != first


# ── resuming ──────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_run_of_other_versions_is_told_apart(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """By name, before any model loads, and the scorecard says which they were."""
    card = run(tmp_path)
    assert card.manifest["versions"]["transformers"] == libraries.find_version("transformers")
    assert card.manifest["versions"]["windtunnel"].startswith(libraries.run_versions()["windtunnel"].split()[0])
    before, suite = records_of(tmp_path / "run"), (tmp_path / "run" / "suite.yaml").read_text()
    known = libraries.find_version
    monkeypatch.setattr(libraries, "find_version", lambda name: "99.1" if name == "transformers" else known(name))
    answer = windtunnel("run", tmp_path / "toys.yaml", "--out", tmp_path / "run", "--gate", "notes.accuracy >= 0.2")
    assert answer.code == 2
    assert (tmp_path / "run" / "suite.yaml").read_text() == suite, "a run that is refused changes nothing in the folder"
    assert f"made with another version of transformers ({known('transformers')}, now 99.1)" in answer.err
    assert records_of(tmp_path / "run") == before


def test_a_model_that_is_not_known_is_not_resumed(tmp_path: Path) -> None:
    (tmp_path / "model.py").write_text(
        "N = 0\ndef f(texts):\n    global N\n    N += 1\n    return [[float('bad' in t), float('good' in t)] for t in texts]\n"
    )
    model = {"model": "callable:model.py:f", "labels": ["negative", "positive"]}
    plan = planned(tmp_path, models=[model])
    run_plan(plan, tmp_path / "run")
    before = records_of(tmp_path / "run")
    answer = windtunnel("run", tmp_path / "toys.yaml", "--out", tmp_path / "run")
    assert answer.code == 2
    assert "f changes N of its module when it is called: whether it has changed is not known" in answer.err
    assert records_of(tmp_path / "run") == before
    answer = windtunnel("report", tmp_path / "run")
    assert answer.code == 0
    assert "version" in (tmp_path / "run" / "results.json").read_text()


def test_another_player_of_a_role_is_another_item(tmp_path: Path) -> None:
    """Its name counts as its weights do: rows speak of it."""
    from dataclasses import replace

    from windtunnel.harness.api.item_key import ItemKey
    from windtunnel.harness.store.stored_item import StoredItem, describe_change, describe_conflict

    facts = {"roles": {"judge": {"model": "one", "fingerprint": "a"}}, "identity": {}, "versions": {}}
    item = StoredItem(1, "m", ItemKey("task", "t"), 3, "f", "d", "p", 0, facts)
    for player in ({"model": "two", "fingerprint": "a"}, {"model": "one", "fingerprint": "b"}):
        assert "player of its roles" in describe_change(item, replace(item, facts={**facts, "roles": {"judge": player}}))
    assert describe_change(item, item) == ""
    unknown = replace(item, facts={**facts, "roles": {"judge": {"model": "one", "fingerprint": "unknown: it is far away"}}})
    assert "whose player of the role 'judge' is unknown: it is far away" in describe_conflict(unknown, unknown)


def test_a_warm_cache_leaves_records_with_their_answers(tmp_path: Path) -> None:
    one, two = (run(tmp_path, out, cache="answers.db", attacks=["swap"]) for out in ("one", "two"))
    answers = []
    for folder in ("one", "two"):
        with opened(tmp_path / folder) as store:
            answers.append(sorted(store._read_rows("SELECT key, response FROM answers")))
    assert answers[0]
    assert answers[0] == answers[1]
    hits = [sum(r.estimate.value for r in card.rows if r.name == "cache_hits" and r.item == "notes") for card in (one, two)]
    assert hits[0] < hits[1]


# ── requests ──────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_every_field_of_a_request_is_in_its_key() -> None:
    import numpy as np

    grey = np.full((2, 2, 1), 7, np.uint8)
    chat = Chat((Message("user", "a"),))
    asked = [
        Classify("a"),
        Classify("a", ("x", "y")),
        Classify("a", ("y", "x")),
        Classify("b"),
        Classify(TextPair("a", "b")),
        Classify(TextPair("b", "a")),
        Classify(Image(grey)),
        Classify(Image(grey / np.float32(255))),
        Classify(Image(grey.repeat(3, 2))),
        Classify(Image(grey + np.uint8(1))),
        Embed("a"),
        Embed("a", 0),
        Embed("a", 1),
        LogLikelihood("a", "b"),
        LogLikelihood("ab", ""),
        LogLikelihood("", "ab"),
        LogLikelihood(chat, "b"),
        LogLikelihood(Chat((Message("system", "a"),)), "b"),
        LogLikelihood(Chat((*chat.messages, Message("assistant", ""))), "b"),
        RollingLogLikelihood("a"),
        RollingLogLikelihood("a", 2),
        PseudoLogLikelihood("a"),
        PseudoLogLikelihood("a", "b"),
        FillMask("a [MASK]"),
        FillMask("a [MASK]", 5),
        FillMask("a [MASK]", 10, "b"),
        Generate("a", 1),
        Generate("a", 2),
        Generate("a", 1, ("x",)),
        Generate("a", 1, ("y",)),
        Generate("a", 1, ("x", "y")),
        Generate("a", 1, (), 0.5),
        Generate("a", 1, (), 0.5, 1),
        Generate(chat, 1),
        Generate("a\ud800", 1),
    ]
    assert len({make_key("model", request) for request in asked}) == len(asked)
    assert make_key("model", asked[0]) != make_key("another", asked[0])


def test_the_twin_with_other_weights_is_keyed_by_its_model(tmp_path: Path) -> None:
    """A randomised twin of a model that is not known is not known either."""

    class Drawn:
        name = fingerprint = "drawn"

        def randomised(self, seed: int, share: float = 1.0) -> Drawn:
            return self

    keys = set()
    for fingerprint in ("a", "b", "unknown: x", "unknown: x"):
        twin = Engine(Drawn(), None, fingerprint=fingerprint).randomised(0)  # type: ignore[arg-type]
        assert twin is not None
        keys.add(twin._key)
    assert len(keys) == 4


def test_tasks_are_named_by_their_own_settings(tmp_path: Path) -> None:
    """Two subjects of one file are two items; a name that was given stays, and so does a file's without settings."""
    (tmp_path / "quiz.yaml").write_text(
        "family: generation\nname: quiz_${subject}\nparams: {subject: one}\n"
        'data: {files: "${subject}.jsonl"}\nprompt: "{{ q }}"\ntarget: a\nmax_tokens: 4\n'
    )
    for subject in ("one", "two", "three"):
        (tmp_path / f"{subject}.jsonl").write_text('{"q": "1 + 1", "a": "2"}\n')
    entries = [
        {"task": "quiz.yaml", "subject": "two"},
        {"task": "quiz.yaml", "subject": "three"},
        "quiz.yaml",
        {"task": "quiz.yaml", "subject": "one", "name": "mine"},
    ]
    plan = planned(tmp_path, models=["toy:bytes"], tasks=entries)
    assert [item.item for item in plan.items] == ["quiz_two", "quiz_three", "quiz", "mine"]
    with pytest.raises(Exception, match=r"toys.yaml:.*two tasks are called 'quiz_two'; tell them apart with 'name:'"):
        planned(tmp_path, models=["toy:bytes"], tasks=[entries[0], entries[0] | {"limit": 1}])


@pytest.mark.parametrize("text", ["word " * 200, "", "a\0b", "x" * 300, "a/" * 5000])
def test_any_text_may_be_a_setting(text: str) -> None:
    assert make_portable(text) == text


def test_a_file_that_a_setting_names_is_known_by_its_content(tmp_path: Path) -> None:
    (tmp_path / "words.txt").write_text("one")
    before = make_portable({"words": [str(tmp_path / "words.txt")]})
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "words.txt").rename(tmp_path / "elsewhere/words.txt")
    assert make_portable({"words": [str(tmp_path / "elsewhere/words.txt")]}) == before
    (tmp_path / "elsewhere/words.txt").write_text("two")
    assert make_portable({"words": [str(tmp_path / "elsewhere/words.txt")]}) != before
