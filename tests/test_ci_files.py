"""What a repository copies for its CI: the steps of ``action.yml``, acted out with bash, and the templates of other systems."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import windtunnel
import yaml
from typer.main import get_command
from windtunnel.harness.cli.main import app
from windtunnel.tests.toys import child_environment

ROOT = Path(str(windtunnel.__file__)).parent
TEMPLATES = sorted((ROOT / "examples" / "ci").iterdir())

MOOD = """
def scores(texts):
    return [[text.count("bad"), text.count("good")] for text in texts]
"""
SUITE = {
    "models": [{"name": "mood", "model": "callable:mood.py:scores", "labels": ["negative", "positive"]}],
    "tasks": ["tickets.yaml"],
    "check_drift": False,
}
TASK = {
    "family": "text_classification", "data": {"files": "tickets.csv"}, "text": "text", "label": "label",
    "labels": ["negative", "positive"], "metrics": ["accuracy"],
}  # fmt: skip
TICKETS = "text,label\n" + "".join(f"a {('bad', 'good')[i % 2]} lamp {i},{('negative', 'positive')[i % 2]}\n" for i in range(40))


@dataclass
class Act:
    """The steps of the action in a repository, one after the other. ``outputs``: those of each step, by its id."""

    place: Path
    inputs: Mapping[str, str]
    outputs: dict[str, dict[str, str]] = field(default_factory=dict)
    failed: str = ""
    log: str = ""

    def play(self) -> None:
        for step in yaml.safe_load((ROOT / "action.yml").read_text())["runs"]["steps"]:
            if self._should_run(step.get("if")) and "run" in step:
                self._run(step)

    def _should_run(self, condition: str | None) -> bool:
        if condition is None:
            return not self.failed
        terms = condition.removeprefix("${{").removesuffix("}}").strip().split(" && ")
        assert terms[0] == "always()"
        return all(self._holds(*re.fullmatch(r"(\S+) (==|!=) '(.*)'", term).groups()) for term in terms[1:])  # type: ignore[union-attr]

    def _holds(self, name: str, operator: str, value: str) -> bool:
        return (self._look_up(name) == value) == (operator == "==")

    def _look_up(self, name: str) -> str:
        parts = name.split(".")
        if parts[0] == "inputs":
            return self.inputs[parts[1]]
        if parts[0] == "steps":
            return self.outputs.get(parts[1], {}).get(parts[3], "")
        return {"github.action_path": str(ROOT), "github.event.repository.default_branch": "main"}[name]

    def _fill(self, text: str) -> str:
        return re.sub(r"\$\{\{ *(\S+) *\}\}", lambda match: self._look_up(match[1]), text)

    def _run(self, step: dict[str, Any]) -> None:
        """Run a step as GitHub does. Text of users reaches the script by the environment only."""
        assert "${{" not in step["run"], "an expression in a script runs what a user wrote"
        output = self.place / "output"
        output.write_text("")
        given = {key: self._fill(value) for key, value in step.get("env", {}).items()}
        env = child_environment(
            **given, GITHUB_OUTPUT=str(output), GITHUB_STEP_SUMMARY=str(self.place / "summary.md"), RUNNER_TEMP=str(self.place / "temp"),
            HOME=str(self.place / "home"), PATH=f"{self.place / 'bin'}:{os.environ['PATH']}", CI="true",
        )  # fmt: skip
        command = ["bash", "--noprofile", "--norc", "-eo", "pipefail", "-c", step["run"]]
        done = subprocess.run(command, cwd=self.place / "repository", env=env, capture_output=True, text=True)
        self.log += f"## {step['name']}\n{done.stdout}{done.stderr}"
        self.outputs[step.get("id", step["name"])] = dict(line.split("=", 1) for line in output.read_text().splitlines())
        if done.returncode and not self.failed:
            self.failed = f"{step['name']}: {done.returncode}"


def git(folder: Path, *arguments: str) -> None:
    names = {f"GIT_{who}_{what}": "test@example.com" for who in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")}
    config = {"GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_SYSTEM": os.devnull}
    subprocess.run(["git", *arguments], cwd=folder, check=True, capture_output=True, env=child_environment(**names, **config))


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """A repository with an origin, and commands in ``bin``: this Windtunnel, and a pip that installs nothing."""
    if shutil.which("git") is None or shutil.which("bash") is None:
        pytest.skip("needs git and bash")
    repository, origin = tmp_path / "repository", tmp_path / "origin"
    for folder in (repository, origin, tmp_path / "home", tmp_path / "temp", tmp_path / "bin"):
        folder.mkdir()
    git(origin, "init", "--quiet", "--bare", "--initial-branch=main")
    git(repository, "init", "--quiet", "--initial-branch=main")
    files = {"mood.py": MOOD, "tickets.csv": TICKETS, "suite.yaml": yaml.safe_dump(SUITE), "tickets.yaml": yaml.safe_dump(TASK)}
    files |= {"pass.yaml": "- tickets.accuracy >= 0.8\n", "fail.yaml": "- tickets.accuracy <= 0.8\n"}
    for name, text in files.items():
        (repository / name).write_text(text)
    git(repository, "add", ".")
    git(repository, "commit", "--quiet", "--message", "Add a model")
    git(repository, "remote", "add", "origin", str(origin))
    git(repository, "push", "--quiet", "origin", "main")
    commands = {
        "windtunnel": f'exec {sys.executable} -c "from windtunnel.harness.cli.main import main; main()" "$@"',
        "python": f'if [ "$1 $2" = "-m pip" ]; then echo "$@" > {tmp_path}/pip; else exec {sys.executable} "$@"; fi',
    }
    for name, line in commands.items():
        (tmp_path / "bin" / name).write_text(f"#!/bin/sh\n{line}\n")
        (tmp_path / "bin" / name).chmod(0o755)
    return tmp_path


def act(place: Path, **inputs: str) -> Act:
    declared = yaml.safe_load((ROOT / "action.yml").read_text())["inputs"]
    assert set(inputs) <= set(declared)
    played = Act(place, {name: str(facts.get("default", "")) for name, facts in declared.items()} | {"suite": "suite.yaml"} | inputs)
    played.play()
    return played


def test_the_action_passes_and_fails_as_the_gates_say(place: Path) -> None:
    passed = act(place, gates="pass.yaml")
    assert not passed.failed, passed.log
    assert passed.outputs["gate"] == {"code": "0", "verdict": "pass"}
    assert (place / "pip").read_text().split() == ["-m", "pip", "install", "--quiet", "-c", f"{ROOT}/constraints.txt", str(ROOT)]
    assert "has no windtunnel-baseline.json" in passed.log
    run = place / "repository" / "runs" / "ci"
    listed = yaml.safe_load((ROOT / "action.yml").read_text())["runs"]["steps"]
    (upload,) = (step for step in listed if step.get("uses", "").startswith("actions/upload-artifact"))
    paths = upload["with"]["path"].replace("${{ inputs.out }}", str(run)).split()
    assert len(paths) == 6
    assert all(Path(path).stat().st_size for path in paths)
    assert "tickets" in (place / "summary.md").read_text()
    failed = act(place, gates="fail.yaml")
    assert failed.failed == "Decide: 1", failed.log
    assert failed.outputs["gate"] == {"code": "1", "verdict": "fail"}


def test_the_action_stops_where_the_suite_is_wrong(place: Path) -> None:
    (place / "repository" / "suite.yaml").write_text("tusks: []\n")
    wrong = act(place)
    assert wrong.failed == "Run the suite: 2", wrong.log
    assert not (place / "summary.md").exists()


def commands(value: Any) -> Iterator[str]:
    """The commands ``windtunnel VERB`` in a template."""
    text = yaml.safe_dump(value, width=10_000)
    yield from re.findall(r"(?<![\w/.-])windtunnel ([a-z]+) ", text)


@pytest.mark.parametrize("path", [ROOT / "action.yml", *TEMPLATES], ids=lambda path: path.name)
def test_a_template_is_yaml_and_gives_verbs_that_exist(path: Path) -> None:
    verbs = set(get_command(app).commands)  # type: ignore[attr-defined]
    value = yaml.safe_load(path.read_text())
    assert set(commands(value)) <= verbs
    if path.name != "github.yml":
        assert "run" in set(commands(value))


def test_the_workflow_gives_inputs_that_the_action_has() -> None:
    (job,) = yaml.safe_load((ROOT / "examples" / "ci" / "github.yml").read_text())["jobs"].values()
    assert set(job["steps"][-1]["with"]) <= set(yaml.safe_load((ROOT / "action.yml").read_text())["inputs"])
