"""Suite files: what they say, and that every slip is told with its line and loses nothing."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from windtunnel.harness.api.errors import ConfigError
from windtunnel.harness.data.yaml_lines import load
from windtunnel.harness.suite.load import load_suite, make_suite
from windtunnel.harness.suite.specs import Suite, name_model
from windtunnel.tests.toys import windtunnel, write_suite

HEAD = "models: [toy:words]\ntasks: [sst2]\n"


def _load(folder: Path, text: str, **overrides: Any) -> Suite:
    path = folder / "suite.yaml"
    path.write_text(text, encoding="utf-8")
    return load_suite(path, **overrides)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (HEAD + "limmit: 3\n", "suite.yaml:3: a suite has no key 'limmit'. Did you mean 'limit'?"),
        (HEAD + "limit: none\n", "suite.yaml:3: limit: Input should be a valid integer.*not 'none'"),
        (HEAD + "limit: 0\n", "suite.yaml:3: limit: Input should be greater than or equal to 1, not 0"),
        (HEAD + "seed: -1\n", "suite.yaml:3: seed: "),
        (HEAD + "dtype: float8\n", "suite.yaml:3: dtype: Input should be 'auto', 'float32'"),
        (HEAD + "batch:\n  tokens: 100\n  row: 3\n", "suite.yaml:5: batch.row: unknown key. Did you mean 'rows'"),
        (HEAD + "batch:\n  rows: many\n", "suite.yaml:4: batch.rows: "),
        (HEAD + "gates:\n  - sst2.accuracy > 0\n  - {chek: a}\n", "suite.yaml:5: gates.1"),
        (HEAD + "gates:\n  - {check: sst2.accuracy > 0, inconclusive: shrug}\n", "suite.yaml:4: gates.0.inconclusive: Input should"),
        ("models: [toy:words]\ntasks:\n  - task: sst2\n    limit: x\n", "suite.yaml:4: tasks.0.limit: "),
        ("models: [toy:words]\ntasks:\n  - sst2\n  - {}\n", "suite.yaml:4: tasks.1.task: Field required"),
        ("models: [toy:words]\ntasks:\n  - 3\n", "suite.yaml:3: tasks.0: "),
        ("models:\n  - words\ntasks: [sst2]\n", "suite.yaml:2: models.0.model: 'words' has no kind; write hf:words"),
        ("models:\n  - 'toy:'\ntasks: [sst2]\n", "suite.yaml:2: .*has no kind"),
        ("models:\n  - toy:words\n  - {model: toy:words}\ntasks: [sst2]\n", "suite.yaml:3: two models are called 'words'; tell them apart"),
        ("models: [toy:words]\ntasks:\n  - sst2\n  - task: sst2\n", "suite.yaml:4: two tasks are called 'sst2'"),
        ("models: [toy:words]\n", "suite.yaml:.*tasks: a suite needs this key"),
        ("models: []\ntasks: [sst2]\n", "suite.yaml:1: models: "),
        ("models: toy:words\ntasks: [sst2]\n", "suite.yaml:1: models: "),
        (HEAD + "limit: 1\nseed: 1\nlimit: 2\n", "suite.yaml:5: the key 'limit' is given twice, first in line 3"),
        ("models: [toy:words]\ntasks:\n  - {task: a, limit: 1, limit: 2}\n", "suite.yaml:3: the key 'limit' is given twice"),
        ("models: [toy:words\ntasks: sst2\n", "suite.yaml:2: this is not YAML: "),
        ("models: *nowhere\n", "suite.yaml:1: this is not YAML: "),
        ("a: !!python/object/apply:os.system [ls]\n", "suite.yaml:1: this is not YAML: .*could not determine a constructor"),
        ("a: &a [*a]\n", "nested too deep, or an alias in it contains itself"),
        ("a: " + "[" * 5000 + "\n", "suite.yaml.*(not YAML|too deep)"),
        ("", "a suite is a mapping"),
        ("- toy:words\n", "a suite is a mapping"),
        ("\0", "this is not YAML"),
        ("models:\n  - {model: toy:words, settings: 3}\ntasks: [a]\n", "suite.yaml:2: models.0: settings must be a mapping, not 3"),
        ("models: [toy:words]\ntasks:\n  - {task: a, name: \"x\\e[2J\"}\n", "suite.yaml:3: .*printable characters"),
        ("models: [toy:words]\ntasks: [a]\nname: \"\\ud800\"\n", "suite.yaml:?3?.*(printable characters|not YAML)"),
    ],
)  # fmt: skip
def test_a_slip_is_told_with_its_line(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        _load(tmp_path, text)
    answer = windtunnel("run", tmp_path / "suite.yaml", "--out", tmp_path / "run")
    assert (answer.code, answer.out) == (2, "")
    # An audit hook of filelock, which another test may have imported, complains about recursion on Python 3.13.
    said = re.sub(r"Exception ignored in audit hook:\nRecursionError: .*\n", "", answer.err)
    assert said.startswith("error: ")
    assert not (tmp_path / "run").exists()


def test_aliases_of_aliases_are_no_bomb() -> None:
    bomb = "a0: &a0 [x,x,x,x,x,x,x,x,x]\n" + "".join(f"a{i}: &a{i} [{','.join([f'*a{i - 1}'] * 9)}]\n" for i in range(1, 12))
    with pytest.raises(ConfigError, match="more than 100,000 entries"):
        load(bomb, "bomb.yaml")


def test_files_that_are_none(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot be read: No such file"):
        load_suite(tmp_path / "nowhere.yaml")
    with pytest.raises(ConfigError, match="cannot be read: Is a directory"):
        load_suite(tmp_path)
    (tmp_path / "latin.yaml").write_bytes(b"name: \xe9\n")
    with pytest.raises(ConfigError, match="is not UTF-8"):
        load_suite(tmp_path / "latin.yaml")


def test_shorthand_settings_and_names(tmp_path: Path) -> None:
    suite = _load(
        tmp_path,
        "models: [toy:words, {model: 'hf:org/big.model', trust: false}, 'callable:f.py:go']\n"
        "tasks: [sst2, {task: mine.yaml, limit: 3, shuffle: 1, settings: {k: v}}]\n"
        "attacks: [swap]\ngates: ['sst2.accuracy >= 0.5']\n",
    )
    assert suite.name == "suite"
    assert [m.name for m in suite.models] == ["words", "big.model", "f:go"]
    assert suite.models[1].settings == {"trust": False}
    assert suite.tasks[1].settings == {"shuffle": 1, "k": "v"}
    assert (suite.tasks[0].name, suite.tasks[1].limit) == ("sst2", 3)
    assert suite.tasks[1].name == "", "its settings may name it: the plan knows"
    assert suite.gates[0].inconclusive == "fail"


def test_paths_start_from_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "weights").mkdir()
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    suite = _load(
        tmp_path,
        "models: ['hf:weights', 'callable:sub/f.py:go', toy:words, 'hf:org/name']\nplugins: [p.py]\ncache: answers.db\n"
        "tasks:\n  - t.yaml\n  - {task: u.yaml, data: {files: [a.jsonl, /abs/b.jsonl]}}\n  - {task: v.yaml, data: {python: 'd.py:rows'}}\n",
    )
    assert [m.model for m in suite.models] == [f"hf:{tmp_path}/weights", f"callable:{tmp_path}/sub/f.py:go", "toy:words", "hf:org/name"]
    assert [t.task for t in suite.tasks] == [f"{tmp_path}/{n}.yaml" for n in "tuv"]
    assert suite.tasks[1].settings["data"] == {"files": [f"{tmp_path}/a.jsonl", "/abs/b.jsonl"]}
    assert suite.tasks[2].settings["data"] == {"python": f"{tmp_path}/d.py:rows"}
    assert suite.plugins == (f"{tmp_path}/p.py",)
    assert suite.cache == f"{tmp_path}/answers.db"


def test_paths_of_overrides_start_from_the_working_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    here = tmp_path / "elsewhere"
    here.mkdir()
    monkeypatch.chdir(here)
    suite = _load(tmp_path, HEAD + "plugins: [p.py]\n", models=["callable:f.py:go"], tasks=["t.yaml"], plugins=["q.py"], cache="answers.db")
    assert suite.models[0].model == f"callable:{here}/f.py:go"
    assert suite.tasks[0].task == f"{here}/t.yaml"
    assert suite.cache == f"{here}/answers.db"
    assert suite.plugins == (f"{tmp_path}/p.py", f"{here}/q.py"), "plugins are added: the suite still needs its own"


def test_an_overrides_error_does_not_point_at_the_file(tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        _load(tmp_path, HEAD, models=["words"])
    assert "suite.yaml:1" not in str(caught.value)


def test_identity_is_of_what_decides_a_number(tmp_path: Path) -> None:
    plain = _load(tmp_path, HEAD)
    same = "name: other\nreports: [json]\ngates: ['sst2.accuracy > 0']\ncache: x.db\nbatch: {rows: 2}\ndevice: cpu\n# ours\n"
    assert _load(tmp_path, HEAD + same).identity() == plain.identity()
    for line in ("limit: 5", "seed: 1", "dtype: float32", "chunk: 3", "attacks: [swap]"):
        assert _load(tmp_path, f"{HEAD}{line}\n").identity() != plain.identity(), line


def test_a_suite_may_be_moved_with_its_files(tmp_path: Path) -> None:
    """Its identity is not where its files lie; the name of its run folder is, as seen from the working folder."""
    text = (
        "models: [{model: 'callable:m.py:go'}, {model: 'hf:models/chat'}]\nplugins: [p.py]\ntasks:\n"
        "- t.yaml\n- {task: sst2, data: {files: [a.jsonl, b.jsonl]}}\n- {task: boolq, data: {files: {test: x.jsonl, train: [y.jsonl]}}}\n"
        "- {task: cola, data: {python: 'r.py:rows'}}\n"
    )
    suites = []
    for name in ("one", "two"):
        (tmp_path / name / "models" / "chat").mkdir(parents=True)
        for file in ("m.py", "p.py", "r.py", "t.yaml", "a.jsonl", "b.jsonl"):
            (tmp_path / name / file).touch()
        suites.append(_load(tmp_path / name, text))
    one, two = suites
    assert one.models[0].model != two.models[0].model
    assert one.tasks[2].settings["data"]["files"] == {"test": f"{tmp_path}/one/x.jsonl", "train": [f"{tmp_path}/one/y.jsonl"]}
    assert one.identity() == two.identity()
    assert one.folder_key(tmp_path / "one") == two.folder_key(tmp_path / "two")
    assert one.folder_key(tmp_path) != two.folder_key(tmp_path), "two checkpoints of one name have a folder each"
    other = _load(tmp_path / "two", text.replace("b.jsonl", "c.jsonl"))
    assert other.identity() != two.identity()


def test_a_suite_is_written_and_read_again(tmp_path: Path) -> None:
    suite = load_suite(write_suite(tmp_path, attacks=[{"attack": "swap", "how": "liar"}], gates=["notes.accuracy >= 50 %"], name="größe"))
    (tmp_path / "again.yaml").write_text(suite.to_yaml(), encoding="utf-8")
    again = load_suite(tmp_path / "again.yaml")
    assert again.model_dump() == suite.model_dump()
    assert again.identity() == suite.identity()


def test_a_suite_of_plain_values(tmp_path: Path) -> None:
    suite = make_suite({"models": ["toy:words"], "tasks": ["sst2"]}, base=tmp_path)
    assert [name_model(spec) for spec in suite.models] == ["words"]
    with pytest.raises(ConfigError, match=r"command line: a suite has no key 'model'. Did you mean 'models'"):
        make_suite({"model": "toy:words"}, base=tmp_path)
