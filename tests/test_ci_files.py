"""What a repository copies for its CI: the steps of ``action.yml``, acted out with bash, and the templates of other systems."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

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
TICKETS = "text,label\n" + "".join(f"a {('bad', 'good')[i % 2]} lamp {i},{('negative', 'positive')[i % 2]}\n" for i in range(200))


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


@dataclass(frozen=True)
class Job:
    """What the template for GitLab did. ``code``: the exit code of its script. ``log``: what it said."""

    code: int
    log: str


def play_gitlab(place: Path, **variables: str) -> Job:
    """Run the template's job as GitLab does: its scripts in one shell that stops at an error, then ``after_script`` in another."""
    (job,) = yaml.safe_load((ROOT / "examples" / "ci" / "gitlab.yml").read_text()).values()
    repository = place / "repository"
    known = {"CI_PROJECT_DIR": str(repository), "CI_DEFAULT_BRANCH": "main"}
    given = {name: re.sub(r"\$(\w+)", lambda match: known[match[1]], value) for name, value in job["variables"].items()} | variables
    env = child_environment(**known, **given, PATH=f"{place / 'bin'}:{os.environ['PATH']}", CI="true")
    log, codes = "", []
    for script in ([*job["before_script"], *job["script"]], job["after_script"]):
        command = ["bash", "--noprofile", "--norc", "-eo", "pipefail", "-c", "\n".join(script)]
        done = subprocess.run(command, cwd=repository, env=env, capture_output=True, text=True)
        codes.append(done.returncode)
        log += done.stdout + done.stderr
    assert codes[1] == 0, log
    assert all((repository / path).is_file() for path in [*job["artifacts"]["paths"], job["artifacts"]["reports"]["junit"]])
    return Job(codes[0], log)


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
    files |= {"pass.yaml": "- tickets.accuracy >= 0.8\n"}
    files |= {"release.yaml": "- {check: tickets.accuracy, drop: 0.05}\n"}
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


def test_the_action_passes_and_keeps_what_it_wrote(place: Path) -> None:
    passed = act(place, gates="pass.yaml")
    assert not passed.failed, passed.log
    assert passed.outputs["run"] == {"code": "0", "verdict": "pass"}
    assert (place / "pip").read_text().split() == ["-m", "pip", "install", "--quiet", "-c", f"{ROOT}/constraints.txt", str(ROOT)]
    assert "has no windtunnel-baseline.json" in passed.log
    run = place / "repository" / "runs" / "ci"
    listed = yaml.safe_load((ROOT / "action.yml").read_text())["runs"]["steps"]
    (upload,) = (step for step in listed if step.get("uses", "").startswith("actions/upload-artifact"))
    paths = upload["with"]["path"].replace("${{ inputs.out }}", str(run)).split()
    assert len(paths) == 7
    assert all(Path(path).stat().st_size for path in paths)
    assert "tickets" in (place / "summary.md").read_text()


def commit_baseline(place: Path) -> None:
    """Commit the baseline that a job left as its artifact to the default branch."""
    repository = place / "repository"
    shutil.copy(repository / "runs" / "ci" / "windtunnel-baseline.json", repository)
    git(repository, "add", "windtunnel-baseline.json")
    git(repository, "commit", "--quiet", "--message", "Add the baseline")
    git(repository, "push", "--quiet", "origin", "main")


def plant_regression(place: Path) -> None:
    """Change the model as a pull request may: worse on a tenth of the texts, with a baseline of its own to hide it."""
    repository = place / "repository"
    (repository / "mood.py").write_text(MOOD.replace('text.count("good")', '-text.endswith("5") or text.count("good")'))
    (repository / "windtunnel-baseline.json").write_text("forged")


def test_the_action_compares_with_the_baseline_of_the_default_branch(place: Path) -> None:
    run = place / "repository" / "runs" / "ci"
    first = act(place, gates="release.yaml")
    assert first.failed == "Decide: 3", first.log
    assert first.outputs["run"] == {"code": "3", "verdict": "missing"}
    assert "Commit windtunnel-baseline.json of this job's artifact as windtunnel-baseline.json" in first.log
    assert "there is no baseline to compare with" in (place / "summary.md").read_text()

    commit_baseline(place)
    same = act(place, gates="release.yaml")
    assert not same.failed, same.log
    assert same.outputs["run"] == {"code": "0", "verdict": "pass"}

    plant_regression(place)
    worse = act(place, gates="release.yaml")
    assert worse.failed == "Decide: 1", worse.log
    assert worse.outputs["run"] == {"code": "1", "verdict": "fail"}
    gate = "tickets.accuracy worse by at most 0.05"
    results = json.loads((run / "results.json").read_text())
    assert [(each["gate"], each["outcome"]) for each in results["gates"]] == [(gate, "fail")]
    (case,) = [case for case in ElementTree.parse(run / "junit.xml").iter("testcase") if gate in case.attrib["name"]]
    assert case.find("failure") is not None
    for view in (run / "scorecard.html", place / "summary.md"):
        assert gate in view.read_text()
    assert json.loads((run / "findings.sarif").read_text())["version"] == "2.1.0"


def test_the_job_of_gitlab_does_the_same(place: Path) -> None:
    first = play_gitlab(place, SUITE="suite.yaml", GATES="release.yaml")
    assert first.code == 3, first.log
    commit_baseline(place)
    plant_regression(place)
    worse = play_gitlab(place, SUITE="suite.yaml", GATES="release.yaml")
    assert worse.code == 1, worse.log
    assert "may drop by 0.05" in worse.log


def test_the_action_stops_where_the_suite_is_wrong(place: Path) -> None:
    (place / "repository" / "suite.yaml").write_text("tusks: []\n")
    wrong = act(place)
    assert wrong.failed == "Run the suite and check the gates: 2", wrong.log
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
