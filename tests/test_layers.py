"""Who imports whom, and what an import does: nothing."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest
import windtunnel
from windtunnel.tests.toys import child_environment

ROOT = Path(str(windtunnel.__file__)).parent
LAYERS = ("harness", "tasks", "attacks", "probes", "reports", "examples")
ALLOWED = {"harness": set(), "tasks": {"harness"}, "attacks": {"harness"}, "probes": {"harness"}, "reports": {"harness"}}
SOURCES = sorted(p for layer in LAYERS for p in (ROOT / layer).rglob("*.py"))
LIGHT = {
    "annotated_doc", "annotated_types", "click", "pydantic", "pydantic_core", "shellingham", "typer",
    "typing_extensions", "typing_inspection",
}  # fmt: skip
HEAVY = ("torch", "transformers", "datasets", "evaluate", "pandas", "sklearn", "textattack", "PIL", "numpy")


def _imports(path: Path) -> Iterator[tuple[int, str]]:
    """(line, absolute name) of each import of a file; relative ones are resolved, and marked so by the absence of a leading '!'."""
    package = ["windtunnel", *path.relative_to(ROOT).parent.parts]
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, f"!{alias.name}") for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            if node.level == 0:
                yield node.lineno, f"!{node.module}"
                continue
            base = package[: len(package) - node.level + 1]
            names = [node.module] if node.module else [alias.name for alias in node.names]
            yield from ((node.lineno, ".".join([*base, str(name)])) for name in names)


def test_each_layer_imports_only_what_it_may() -> None:
    wrong = []
    for path in SOURCES:
        layer = path.relative_to(ROOT).parts[0]
        if layer not in ALLOWED:
            continue
        for line, name in _imports(path):
            parts = name.lstrip("!").split(".")
            if parts[0] == "windtunnel" and len(parts) > 1 and parts[1] in LAYERS and parts[1] not in ALLOWED[layer] | {layer}:
                wrong.append(f"{path.relative_to(ROOT)}:{line} imports {name}")
    assert not wrong


def test_reports_see_only_the_scorecard_of_the_harness() -> None:
    wrong = [
        f"{path.name}:{line} imports {name}"
        for path in (ROOT / "reports").rglob("*.py")
        for line, name in _imports(path)
        if name.startswith("windtunnel.harness") and name != "windtunnel.harness.scorecard"
    ]
    assert not wrong


def test_imports_between_folders_are_relative() -> None:
    bare = re.compile(r"!(windtunnel|harness|tasks|attacks|probes|reports)(\.|$)")
    shipped = [p for p in SOURCES if p.relative_to(ROOT).parts[0] in ALLOWED]
    assert not [f"{p.relative_to(ROOT)}:{line} {name}" for p in shipped for line, name in _imports(p) if bare.match(name)]


def test_files_are_one_idea() -> None:
    long = {str(p.relative_to(ROOT)): n for p in SOURCES if (n := len(p.read_text(encoding="utf-8").splitlines())) > 400}
    assert not long


def test_every_package_is_shipped() -> None:
    listed = set(tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]["packages"])
    found = {".".join(["windtunnel", *p.parent.relative_to(ROOT).parts]) for p in SOURCES if p.name == "__init__.py"} | {"windtunnel"}
    homes = {".".join(["windtunnel", *p.parent.relative_to(ROOT).parts]) for p in SOURCES if "examples" not in p.parts}
    assert listed == found
    assert homes <= found


def test_every_entry_point_leads_somewhere() -> None:
    from windtunnel.harness.registry import GROUPS, Registry

    points = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["entry-points"]
    registry = Registry()
    for group in GROUPS:
        assert set(points[f"windtunnel.{group}"]) <= set(registry.names(group))


@pytest.mark.parametrize(
    ("module", "allowed"),
    [
        ("windtunnel", ()),
        ("windtunnel.harness.cli", ()),
        ("windtunnel.harness.plan", ("numpy",)),
        ("windtunnel.harness.runner", ("numpy",)),
        ("windtunnel.harness.summary", ("numpy", "datasets", "evaluate", "pandas", "sklearn", "PIL")),
    ],
)
def test_importing_is_light(module: str, allowed: tuple[str, ...]) -> None:
    code = f"import sys, {module}; print([m for m in {HEAVY} if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env=child_environment())
    assert set(ast.literal_eval(done.stdout)) <= set(allowed)


def test_importing_does_nothing(tmp_path: Path) -> None:
    code = (
        "import os, random, threading\n"
        "before = dict(os.environ), random.getstate(), threading.active_count()\n"
        "import windtunnel.harness.cli, windtunnel.harness.runner, windtunnel.harness.plan, windtunnel.harness.suite\n"
        "assert (dict(os.environ), random.getstate(), threading.active_count()) == before\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True, cwd=tmp_path, env=child_environment(HOME=str(tmp_path)))
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("arguments", [["--help"], ["list"], ["--version"]])
def test_a_command_that_runs_no_model_imports_little(arguments: list[str]) -> None:
    """What answers at once is what imports little: the standard library, the command line's library and the data classes of plugins."""
    code = (
        "import sys\nbefore = set(sys.modules)\nfrom windtunnel.harness.cli import main\n"
        "try:\n    main()\nexcept SystemExit:\n    pass\n"
        "print(sorted({m.partition('.')[0] for m in set(sys.modules) - before} - set(sys.stdlib_module_names)), file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", code, *arguments], capture_output=True, text=True, check=True, env=child_environment())
    assert done.stdout
    imported = {name for name in ast.literal_eval(done.stderr.splitlines()[-1]) if not name.startswith("_")}
    assert "windtunnel" in imported
    assert imported <= LIGHT | {"windtunnel"}
