"""Test the documentation: files load, commands run, links resolve, generated parts are up to date."""

from __future__ import annotations

import importlib.util
import json
import os
import re
import shlex
import sys
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import typer
import windtunnel
import windtunnel.harness.run.evaluate
import yaml
from windtunnel import __version__
from windtunnel.harness.api.errors import CapabilityError
from windtunnel.harness.api.registry import Registry
from windtunnel.harness.cli import main
from windtunnel.harness.items.kinds import ROWS
from windtunnel.harness.scorecard.gates import load_gates
from windtunnel.harness.suite.load import load_suite, make_suite
from windtunnel.harness.suite.specs import AttackSpec, GateSpec, ModelSpec, ProbeSpec, Suite, TaskSpec, name_task
from windtunnel.tasks.catalog import load_task

ROOT = Path(__file__).resolve().parent.parent
PAGES = [ROOT / "README.md", ROOT / "CHANGELOG.md", *sorted((ROOT / "docs").rglob("*.md"))]
SUITES = sorted((ROOT / "examples" / "suites").glob("*.yaml"))
FENCE = re.compile(r"^```(\w+)?([^\n]*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)

each_page = pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
each_suite = pytest.mark.parametrize("path", SUITES, ids=lambda path: path.stem)


@dataclass(frozen=True)
class Block:
    """A fenced block. title: the file that it contains. is_run: the tests execute it, in a folder with the page's files."""

    language: str
    title: str
    is_run: bool
    text: str

    @property
    def is_file(self) -> bool:
        return bool(re.fullmatch(r"[\w.-]+\.\w+", self.title))


def read_blocks(page: Path) -> list[Block]:
    result = []
    for language, rest, text in FENCE.findall(page.read_text(encoding="utf-8")):
        title = re.search(r'title="([^"]*)"', rest)
        result.append(Block(language, title[1] if title else "", rest.split()[-1:] == ["run"], text))
    return result


def read_commands(page: Path) -> list[str]:
    """Return every ``windtunnel ...`` command in the blocks of the page."""
    lines = [line for block in read_blocks(page) if block.language in ("bash", "yaml") for line in block.text.splitlines()]
    return [
        match[0] for line in lines if (match := re.search(r"(?<![\w/.-])windtunnel (run|plan|demo|list|show|report|gate|verify).*", line))
    ]


def execute(command: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", shlex.split(command))
    with pytest.raises(SystemExit) as ended:
        main.main()
    assert ended.value.code == 0, command


@each_page
def test_what_a_page_says_works(page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(os, "environ", os.environ.copy())
    monkeypatch.setattr(sys, "path", [*sys.path])
    monkeypatch.setenv("CI", "true")
    for block in read_blocks(page):
        if block.is_file:
            Path(block.title).write_text(block.text, encoding="utf-8")
            if block.is_run:
                exec(compile(block.text, block.title, "exec"), {})
    namespace: dict[str, Any] = {}
    for block in read_blocks(page):
        if block.is_run and block.language == "bash":
            for line in block.text.splitlines():
                execute(line, monkeypatch)
        elif block.language == "python" and not block.title:
            exec(compile(block.text, f"{page.name} snippet", "exec"), namespace)
    capsys.readouterr()


@each_page
def test_data_in_blocks_is_data(page: Path) -> None:
    for block in read_blocks(page):
        if block.language == "json":
            assert all(isinstance(json.loads(line), dict) for line in block.text.splitlines())
        if block.language == "yaml":
            content = yaml.safe_load(block.text)
            if not block.title:
                make_suite({"models": ["toy:words"], "tasks": ["sst2"], **content}, base=ROOT)


class Planned(Exception):
    """Holds the suite that `evaluate` was about to plan."""


def suite_of(block: Block, monkeypatch: pytest.MonkeyPatch) -> Suite:
    """The suite that a block of Python asks for, which is not run."""

    def stop(suite: Suite, registry: Registry) -> None:
        raise Planned(suite)

    monkeypatch.setattr(sys.modules["windtunnel.harness.run.evaluate"], "plan", stop)
    with pytest.raises(Planned) as stopped:
        exec(compile(block.text, block.title, "exec"), {"wt": windtunnel})
    suite = stopped.value.args[0]
    assert isinstance(suite, Suite)
    return suite


@each_page
def test_python_says_what_the_suite_above_it_says(page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every suite that a page shows is followed by the same in Python."""
    monkeypatch.chdir(tmp_path)
    found = read_blocks(page)
    for block in found:
        if block.is_file:
            Path(block.title).write_text(block.text, encoding="utf-8")
    for block, following in pairwise([*found, Block("", "", False, "")]):
        content = yaml.safe_load(block.text) if block.language == "yaml" else {}
        if isinstance(content, dict) and content.keys() & {"models", "tasks", "attacks", "probes"}:
            assert following.title == "the same from Python", block.text
            expected = make_suite({"models": ["toy:words"], "tasks": ["sst2"], **content}, base=tmp_path)
            said = suite_of(following, monkeypatch)
            assert {key: getattr(said, key) for key in content} == {key: getattr(expected, key) for key in content}


@each_page
def test_commands_have_these_options(page: Path) -> None:
    root = typer.main.get_command(main.app)
    for command in read_commands(page):
        verb, *arguments = shlex.split(command, comments=True)[1:]
        root.commands[verb].make_context(verb, list(arguments), resilient_parsing=False)  # type: ignore[attr-defined]


@each_page
def test_links_lead_somewhere(page: Path) -> None:
    text = FENCE.sub("", page.read_text(encoding="utf-8"))
    for target in re.findall(r"\]\(([^)\s]+)\)", text):
        if not target.startswith("https://"):
            file, _, anchor = target.partition("#")
            linked = (page.parent / file).resolve() if file else page
            assert linked.is_file(), target
            if anchor:
                headings = re.findall(r"^#+ (.+)$", linked.read_text(encoding="utf-8"), re.MULTILINE)
                assert anchor in {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}, target


def test_gates_of_the_readme_parse(tmp_path: Path) -> None:
    (block,) = [b for b in read_blocks(ROOT / "README.md") if b.title == "gates.yaml"]
    path = tmp_path / "gates.yaml"
    path.write_text(block.text, encoding="utf-8")
    assert [gate.inconclusive for gate in load_gates(path)] == ["fail", "warn", "fail"]


# ── what the pages take from the code ─────────────────────────────────────────────────────────────────────────────────


def load_generator() -> ModuleType:
    spec = importlib.util.spec_from_file_location("windtunnel_docs_generate", ROOT / "docs" / "generate.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_generated_parts_are_fresh(capsys: pytest.CaptureFixture[str]) -> None:
    assert load_generator().main(["--check"]) == 0, capsys.readouterr().err


def test_generating_twice_gives_the_same() -> None:
    generate = load_generator()
    assert list(generate.render_reference()) == list(generate.render_reference())


def test_running_names_every_key_of_a_suite() -> None:
    page = (ROOT / "docs" / "running.md").read_text(encoding="utf-8")
    rows = {cells[1].strip(): line for line in page.splitlines() if len(cells := line.split("|")) > 3}
    table = " ".join(rows)
    assert [key for key in Suite.model_fields if f"`{key}`" not in table] == []
    for where, spec in {"models": ModelSpec, "tasks": TaskSpec, "attacks": AttackSpec, "probes": ProbeSpec, "gates": GateSpec}.items():
        assert [key for key in spec.model_fields if f"`{key}`" not in rows[f"of `{where}`"]] == []


def test_every_law_has_its_test() -> None:
    named = re.findall(r"`(test_\w+)`", (ROOT / "docs" / "design" / "design.md").read_text(encoding="utf-8"))
    written = "\n".join(path.read_text(encoding="utf-8") for path in (ROOT / "tests").rglob("test_*.py"))
    assert [name for name in named if f"def {name}(" not in written] == []


def test_design_names_places_that_are_there() -> None:
    page = (ROOT / "docs" / "design" / "design.md").read_text(encoding="utf-8")
    layout = page.partition("## Layout")[2].partition("\n## ")[0]
    for cell in re.findall(r"^\| (`.+?) \|", layout, re.MULTILINE):
        for name in re.findall(r"`([^`*]+)`", cell):
            # After `harness/items/task/records.py` the other files of the same cell are named without their folder.
            assert (ROOT / name).exists() or (ROOT / "harness" / name).exists(), name


def test_changelog_knows_the_version() -> None:
    assert __version__ in (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")


# ── ready suites ──────────────────────────────────────────────────────────────────────────────────────────────────────


@each_suite
def test_ready_suites_can_be_made(path: Path) -> None:
    suite, registry = load_suite(path), Registry()
    for model in suite.models:
        registry.make("models", model.kind, target=model.target, **model.settings)
    tasks = [load_task(task.task, **task.settings) for task in suite.tasks]
    names = [spec.name or getattr(task, "named_by_settings", "") or name_task(spec) for spec, task in zip(suite.tasks, tasks, strict=True)]
    metrics = {name: task.metrics for name, task in zip(names, tasks, strict=True)}
    for program in (*suite.attacks, *suite.probes):
        group, name = ("attacks", program.attack) if isinstance(program, AttackSpec) else ("probes", program.probe)
        try:
            registry.make(group, name, **program.settings)
        except CapabilityError:
            assert name == "deepwordbug"  # the error without the extra names it
        assert set(program.tasks or ()) <= set(metrics)
    items = {f"{p.name or p.attack}({t})": ROWS["attack"] for p in suite.attacks for t in p.tasks or metrics} | metrics
    for spec in suite.gates:
        gate = spec.parse()
        assert gate.metric in items[gate.item], spec.check
