"""Who imports whom, and what an import does: nothing."""

from __future__ import annotations

import ast
import json
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator, Sequence
from functools import cache
from graphlib import TopologicalSorter
from pathlib import Path

import pytest
import windtunnel
from windtunnel.tests.toys import child_environment

ROOT = Path(str(windtunnel.__file__)).parent
LAYERS = ("harness", "tasks", "attacks", "probes", "reports", "examples")
SOURCES = sorted(p for layer in LAYERS for p in (ROOT / layer).rglob("*.py"))

FLOORS: dict[str, Sequence[str]] = {
    "harness": (
        "modalities system identity",
        "api",
        "language judges statistics store",
        "metrics",
        "data engine threats",
        "models scorecard",
        "suite",
        "items",
        "plan results",
        "run",
        "cli",
    ),
    "harness/data": ("formats", "."),
    "harness/models": ("common", "checkpoint endpoint python torch", "causal encoder frameworks", "seq2seq", "hf onnx sklearn", "vllm"),
    "harness/scorecard": (".", "gates"),
    "harness/items": ("base", "task", "drift attack probe", "transfer worst_case shift reliance", "."),
    "harness/items/probe": ("faithfulness", "."),
    "harness/results": ("comparison", ".", "verification"),
}
"""The rooms of a folder, from the ground up: a room imports from those of lower floors alone. ``.``: the folder's own files."""

PLUGINS = {
    "tasks": "modalities api judges statistics store metrics data engine threats",
    "attacks": "modalities system api language judges engine threats",
    "probes": "modalities api engine",
    "reports": "modalities api scorecard results system",
}
"""What of the harness each of the folders that hold plugins imports; of each other they import nothing."""
LIGHT = {
    "annotated_doc", "annotated_types", "click", "pydantic", "pydantic_core", "shellingham", "typer",
    "typing_extensions", "typing_inspection",
}  # fmt: skip
HEAVY = ("torch", "transformers", "datasets", "evaluate", "pandas", "sklearn", "textattack", "PIL", "numpy")


@cache
def _imports(path: Path, *, for_types: bool = True) -> list[tuple[int, str]]:
    return list(_read_imports(path, for_types))


def _read_imports(path: Path, for_types: bool) -> Iterator[tuple[int, str]]:
    """(line, absolute name) of each import of a file; relative ones are resolved, and others marked by a leading '!'. A name that is a
    module of ours is given as such. ``for_types``: with those that only type checks execute."""
    package = ["windtunnel", *path.relative_to(ROOT).parent.parts]
    tree = ast.parse(path.read_text(encoding="utf-8"))
    guarded = [node for node in ast.walk(tree) if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING"]
    left_out = set() if for_types else {inner for node in guarded for part in node.body for inner in ast.walk(part)}
    for node in ast.walk(tree):
        if node in left_out:
            continue
        if isinstance(node, ast.Import):
            yield from ((node.lineno, f"!{alias.name}") for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            if node.level == 0:
                yield node.lineno, f"!{node.module}"
                continue
            base = [*package[: len(package) - node.level + 1], *(node.module.split(".") if node.module else [])]
            for alias in node.names:
                is_module = (ROOT.joinpath(*base[1:]) / alias.name).with_suffix(".py").is_file()
                is_package = (ROOT.joinpath(*base[1:]) / alias.name / "__init__.py").is_file()
                yield node.lineno, ".".join([*base, alias.name] if is_module or is_package else base)


def _file_of(name: str) -> Path:
    """The file of a module of ours."""
    place = ROOT.joinpath(*name.split(".")[1:])
    return place / "__init__.py" if place.is_dir() else place.with_suffix(".py")


def _room(path: Path, folder: Path) -> str:
    """The room of a folder that a file stands in."""
    parts = path.relative_to(folder).parts
    return parts[0] if len(parts) > 1 else "."


def test_the_harness_has_no_loose_module() -> None:
    assert [path.name for path in (ROOT / "harness").glob("*.py")] == ["__init__.py"]


@pytest.mark.parametrize("folder", FLOORS)
def test_a_room_imports_lower_floors_only(folder: str) -> None:
    place = ROOT / folder
    floors = {room: number for number, floor in enumerate(FLOORS[folder]) for room in floor.split()}
    files = [path for path in place.rglob("*.py") if path != place / "__init__.py"]
    assert {_room(path, place) for path in files} == set(floors)
    wrong = []
    for path in files:
        for line, name in _imports(path):
            target = _file_of(name) if name.startswith("windtunnel.") else None
            if target is None or place not in target.parents or target == place / "__init__.py":
                continue
            here, there = _room(path, place), _room(target, place)
            if here != there and floors[there] >= floors[here]:
                wrong.append(f"{path.relative_to(ROOT)}:{line} imports {name}")
    assert not wrong


def test_rooms_with_rooms_have_floors() -> None:
    nested = {path.parent.parent for path in (ROOT / "harness").rglob("*/*/__init__.py")} - {ROOT / "harness"}
    assert {path.relative_to(ROOT).as_posix() for path in nested} | {"harness"} == set(FLOORS)


def test_modules_form_no_circle() -> None:
    """Nor do imports within functions; those for type checks may."""
    ours = {path: [name for _, name in _imports(path, for_types=False) if name.startswith("windtunnel.")] for path in SOURCES}
    arrows = {path: {_file_of(name) for name in names} - {path} for path, names in ours.items()}
    TopologicalSorter(arrows).prepare()


def test_the_harness_imports_no_plugin_folder() -> None:
    others = tuple(f"windtunnel.{layer}" for layer in LAYERS if layer != "harness")
    found = [(path, line, name) for path in (ROOT / "harness").rglob("*.py") for line, name in _imports(path)]
    assert not [f"{path.relative_to(ROOT)}:{line} imports {name}" for path, line, name in found if name.startswith(others)]


@pytest.mark.parametrize("folder", PLUGINS)
def test_plugins_import_what_is_there_for_them(folder: str) -> None:
    allowed = {f"windtunnel.harness.{room}" for room in PLUGINS[folder].split()} | {f"windtunnel.{folder}"}
    wrong = [
        f"{path.relative_to(ROOT)}:{line} imports {name}"
        for path in (ROOT / folder).rglob("*.py")
        for line, name in _imports(path)
        if name.startswith("windtunnel.") and not any(name == a or name.startswith(a + ".") for a in allowed)
    ]
    assert not wrong


def test_imports_between_folders_are_relative() -> None:
    bare = re.compile(r"!(windtunnel|harness|tasks|attacks|probes|reports)(\.|$)")
    shipped = [p for p in SOURCES if p.relative_to(ROOT).parts[0] in ("harness", *PLUGINS)]
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
    from windtunnel.harness.api.registry import GROUPS, Registry

    points = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["entry-points"]
    registry = Registry()
    for group in GROUPS:
        assert set(points.get(f"windtunnel.{group}", ())) <= set(registry.names(group))


@pytest.mark.parametrize(
    ("module", "allowed"),
    [
        ("windtunnel", ()),
        ("windtunnel.testing", ()),
        ("windtunnel.harness.cli.main", ()),
        ("windtunnel.harness.plan.planner", ("numpy",)),
        ("windtunnel.harness.run.runner", ("numpy",)),
        ("windtunnel.harness.results.summarise", ("numpy",)),
        ("windtunnel.harness.metrics.classification", ("numpy",)),
        ("windtunnel.harness.metrics.probability", ("numpy",)),
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
        "import windtunnel.harness.cli.main, windtunnel.harness.run.runner\n"
        "import windtunnel.harness.plan.planner, windtunnel.harness.suite.load\n"
        "assert (dict(os.environ), random.getstate(), threading.active_count()) == before\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True, cwd=tmp_path, env=child_environment(HOME=str(tmp_path)))
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("arguments", [["--help"], ["list"], ["--version"]])
def test_a_command_that_runs_no_model_imports_little(arguments: list[str]) -> None:
    """What answers at once is what imports little: the standard library, the command line's library and the data classes of plugins."""
    code = (
        "import sys\nbefore = set(sys.modules)\nfrom windtunnel.harness.cli.main import main\n"
        "try:\n    main()\nexcept SystemExit:\n    pass\n"
        "print(sorted({m.partition('.')[0] for m in set(sys.modules) - before} - set(sys.stdlib_module_names)), file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", code, *arguments], capture_output=True, text=True, check=True, env=child_environment())
    assert done.stdout
    imported = {name for name in ast.literal_eval(done.stderr.splitlines()[-1]) if not name.startswith("_")}
    assert "windtunnel" in imported
    assert imported <= LIGHT | {"windtunnel"}


UNUSED = {
    "torch", "transformers", "datasets", "evaluate", "textattack", "sklearn", "pandas", "PIL",
    "scipy.stats", "scipy.sparse", "scipy.optimize",
}  # fmt: skip
"""What a run of a function whose score is a share of right answers does not import."""

MOOD = """
def scores(texts):
    return [[text.count("bad"), text.count("good")] for text in texts]
"""

SUITE = """
models: [{name: mood, model: "callable:mood.py:scores", labels: [negative, positive]}]
tasks: [notes.yaml]
gates: [notes.accuracy.value >= 0.9]
"""

NOTES = """
family: text_classification
data: {files: notes.jsonl}
text: "{{ text }}"
label: mood
labels: [negative, positive]
"""


def test_a_run_of_a_function_imports_no_framework(tmp_path: Path) -> None:
    """Nor do the verbs that read its records, nor any of them what the value and the interval of a share do not need."""
    rows = ({"text": f"{word} {number}", "mood": mood} for number in range(9) for word, mood in (("good", "positive"), ("bad", "negative")))
    files = {"mood.py": MOOD, "suite.yaml": SUITE, "notes.yaml": NOTES, "notes.jsonl": "\n".join(map(json.dumps, rows))}
    for name, text in files.items():
        (tmp_path / name).write_text(text)
    code = (
        "import sys\nfrom windtunnel.harness.cli.main import main\n"
        "verbs = ('run suite.yaml --out one', 'run suite.yaml --out other', 'report one', 'gate one', 'compare one other')\n"
        "for verb in verbs:\n"
        "    sys.argv = ['windtunnel', *verb.split()]\n"
        "    try:\n        main()\n    except SystemExit as end:\n        assert not end.code, verb\n"
        f"print(sorted({UNUSED} & sys.modules.keys()), file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=child_environment(), cwd=tmp_path)
    assert (done.returncode, done.stderr.splitlines()[-1:]) == (0, ["[]"]), done.stderr
