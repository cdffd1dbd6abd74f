"""Plugins: found, loaded when asked for, and every wrong name or setting is told."""

from __future__ import annotations

import importlib.metadata
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from windtunnel.harness.api.errors import ConfigError, UnknownName
from windtunnel.harness.api.registry import GROUPS, Registry, list_parameters, plugin
from windtunnel.harness.api.responses import _classes
from windtunnel.harness.cli.plugin_text import describe
from windtunnel.harness.modalities.base import _known
from windtunnel.tests.toys import windtunnel, write_plugins

HEAD = "from windtunnel.harness.api.registry import plugin\n"


def _file(folder: Path, code: str, name: str = "mine.py") -> Path:
    path = folder / name
    path.write_text(code)
    return path


def test_a_file_adds_plugins_and_says_where_they_come_from(tmp_path: Path) -> None:
    registry = Registry((write_plugins(tmp_path),))
    entry = registry.get("attacks", "swap")
    assert entry.origin.startswith("toy_plugins.py sha256:")
    assert entry.target == "toy_plugins.py:swap"
    assert type(registry.make("attacks", "swap", how="liar")).__name__ == "Swap"
    assert "swap" not in Registry().names("attacks")


def test_built_in_ones_come_by_entry_points() -> None:
    entry = Registry().get("models", "toy")
    assert entry.origin.startswith("windtunnel ")
    assert entry.target == "windtunnel.harness.models.python.toy:Toy"


@pytest.mark.parametrize("group", [group for group in GROUPS if Registry().names(group)])
def test_an_unknown_name_gets_the_nearest(group: str) -> None:
    registry = Registry()
    name = registry.names(group)[0]
    with pytest.raises(UnknownName, match=rf"there is no {group[:-1]} '{name}x'. Did you mean .*'{name}'"):
        registry.get(group, f"{name}x")


def test_an_unknown_setting_gets_the_nearest_and_the_list(tmp_path: Path) -> None:
    registry = Registry((write_plugins(tmp_path),))
    with pytest.raises(
        ConfigError, match=r"attack 'swap' has no setting 'max_word'. Did you mean 'max_words'. Its settings: how, max_words."
    ):
        registry.make("attacks", "swap", max_word=2)
    with pytest.raises(ConfigError, match=r"no setting 'limt'. Did you mean 'limit'"):
        registry.make("attacks", "swap", limt=2)


@pytest.mark.parametrize(
    ("code", "message"),
    [
        ("1 / 0", "raised at import: ZeroDivisionError: division by zero"),
        ("import not_a_module_at_all", "raised at import: ModuleNotFoundError"),
        ("def broken(:", "raised at import: SyntaxError"),
        ("raise SystemExit(0)", "raised at import: SystemExit: 0"),
        ("x = 1", "defines no plugin"),
        (HEAD + "@plugin('attack', 'a')\nclass A: pass", "no plugin group 'attack'"),
        (HEAD + "@plugin('attacks', 'a')\nclass A: pass\n@plugin('attacks', 'a')\nclass B: pass", "the attack 'a' already exists"),
        (HEAD + "@plugin('models', 'toy')\nclass A: pass", "the model 'toy' already exists \\(from windtunnel"),
    ],
)
def test_a_bad_file_is_told(tmp_path: Path, code: str, message: str) -> None:
    path = _file(tmp_path, code)
    with pytest.raises(ConfigError, match=message) as caught:
        Registry((path,))
    assert "mine.py" in str(caught.value) or "group" in message
    answer = windtunnel("list", "--plugin", path)
    assert answer.code == 2
    assert answer.err.startswith("error: ")


def test_a_missing_file_is_told(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"there is no plugin file .*nowhere\.py"):
        Registry((tmp_path / "nowhere.py",))
    with pytest.raises(ConfigError, match=r"is not a Python file; its name must end in .py"):
        Registry((_file(tmp_path, "x", "plugin.txt"),))


def test_what_a_broken_file_marked_is_not_left_behind(tmp_path: Path) -> None:
    with pytest.raises(ConfigError):
        Registry((_file(tmp_path, HEAD + "@plugin('attacks', 'half')\nclass A: pass\n1 / 0", "a.py"),))
    good = _file(tmp_path, HEAD + "@plugin('attacks', 'whole')\nclass A: pass", "b.py")
    assert "half" not in Registry((good,)).names("attacks")


def test_the_same_file_twice_is_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_plugins(tmp_path)
    monkeypatch.chdir(tmp_path)
    registry = Registry(("toy_plugins.py", tmp_path / "toy_plugins.py"))
    assert "swap" in registry.names("attacks")


@pytest.mark.parametrize(
    ("code", "message"),
    [
        ("class A:\n    def __init__(self): raise ValueError('too early')", "attack 'a' cannot be made from {}: too early"),
        ("class A:\n    def __init__(self): {}['x']", "attack 'a' cannot be made from {}: KeyError: 'x'"),
        ("class A:\n    def __init__(self, *, needed): pass", r"attack 'a' requires 'needed'\. .* \{attack: a, needed: \.\.\.\}"),
    ],
)
def test_a_plugin_that_cannot_be_made_is_the_users_error(tmp_path: Path, code: str, message: str) -> None:
    registry = Registry((_file(tmp_path, f"{HEAD}@plugin('attacks', 'a')\n{code}\n"),))
    with pytest.raises(ConfigError, match=message):
        registry.make("attacks", "a")


def test_a_model_that_needs_a_setting_says_how_it_is_given(tmp_path: Path) -> None:
    code = "class M:\n    def __init__(self, *, target, needed): pass"
    registry = Registry((_file(tmp_path, f"{HEAD}@plugin('models', 'm')\n{code}\n"),))
    with pytest.raises(ConfigError, match=r"model 'm' requires 'needed'\. .*\{model: m:\.\.\., needed: \.\.\.\}"):
        registry.make("models", "m", target="x")


def test_something_that_makes_nothing_is_told(tmp_path: Path) -> None:
    registry = Registry((_file(tmp_path, f"{HEAD}plugin('attacks', 'a')(3)\n"),))
    with pytest.raises(ConfigError, match="attack 'a' is an object of the class int; register a class"):
        registry.make("attacks", "a")


def test_an_entry_point_that_does_not_import_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    dist = tmp_path / "broken-1.0.dist-info"
    dist.mkdir()
    (dist / "METADATA").write_text("Metadata-Version: 2.1\nName: broken\nVersion: 1.0\n")
    (dist / "entry_points.txt").write_text("[windtunnel.attacks]\nbroken = not_a_module_at_all:X\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    registry = Registry()
    assert "broken" in registry.names("attacks")
    with pytest.raises(ConfigError, match=r"the attack 'broken' \(broken 1\.0\) cannot be loaded: ModuleNotFoundError"):
        registry.get("attacks", "broken").load()
    assert windtunnel("list", "attacks").code == 0


def test_a_wrong_group_is_an_error_when_it_is_written() -> None:
    with pytest.raises(ConfigError, match="the groups are tasks, attacks"):
        plugin("task", "x")


def test_parameters_are_a_factorys_keywords() -> None:
    def takes_any(**settings: object) -> None: ...

    assert list_parameters(takes_any) is None
    assert list(list_parameters(lambda a, *, b=1: None) or ()) == ["a", "b"]


@pytest.mark.parametrize(("group", "name"), [(g, n) for g in GROUPS for n in Registry().names(g)])
def test_every_plugin_describes_itself(group: str, name: str) -> None:
    try:
        text = describe(Registry(), name)
    except ConfigError as error:
        pytest.skip(str(error))
    assert f"{name}  (" in text
    assert "No description" not in text


def test_what_is_installed_is_read_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A name and a version a distribution, not a plugin; and nothing for the next registry of the same path."""
    read: list[str] = []
    read_text = importlib.metadata.PathDistribution.read_text

    def noted(self: importlib.metadata.PathDistribution, name: Any) -> str | None:
        read.append(name)
        return read_text(self, name)

    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setattr(importlib.metadata.PathDistribution, "read_text", noted)
    registry = Registry()
    origins = {entry.origin for group in GROUPS for entry in registry.entries(group)}
    assert 0 < read.count("METADATA") <= 3 * len(origins)
    del read[:]
    assert Registry().names("tasks") == registry.names("tasks")
    assert not read


def _package(folder: Path, name: str, points: str) -> None:
    dist = folder / f"{name}-1.0.dist-info"
    dist.mkdir(parents=True)
    (dist / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
    (dist / "entry_points.txt").write_text(points)


def test_two_packages_of_one_name_are_refused_when_it_is_asked_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _package(tmp_path, "one", "[windtunnel.attacks]\nmine = builtins:object\nown = builtins:object\n")
    _package(tmp_path, "two", "[windtunnel.attacks]\nmine = builtins:object\n[windtunnel.tasks]\nmine = builtins:object\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    registry = Registry()
    with pytest.raises(
        ConfigError, match=r"several packages define attacks with the name 'mine': .*one 1\.0.*; uninstall all but one"
    ) as caught:
        registry.get("attacks", "mine")
    assert "two 1.0" in str(caught.value)
    assert registry.get("attacks", "own").origin == "one 1.0"
    assert registry.get("tasks", "mine").origin == "two 1.0"
    assert windtunnel("list", "attacks").code == 0


def test_two_files_of_one_plugin_are_refused_with_both(tmp_path: Path) -> None:
    files = [_file(tmp_path, HEAD + "@plugin('attacks', 'a')\nclass A: pass", name) for name in ("first.py", "second.py")]
    with pytest.raises(
        ConfigError, match=r"the attack 'a' already exists \(from first.py sha256:\w+\); rename the one from second.py sha256"
    ):
        Registry(tuple(files))


REQUEST = """
from dataclasses import dataclass
from typing import ClassVar
from windtunnel import Request, Response, plugin

@dataclass(frozen=True)
class Weigh(Request[Response]):
    kind: ClassVar[str] = "weigh"

@plugin("attacks", NAME)
class A: pass
"""
MODALITY = """
from windtunnel import Modality, plugin

class Weight: pass
class Weights(Modality):
    name, type = "weight", Weight

@plugin("attacks", NAME)
class A: pass
"""


@pytest.fixture
def forgotten() -> Iterator[None]:
    """What the test's files define is not known to the tests that follow."""
    requests, others = dict(_classes), list(_known)
    yield
    _classes.clear()
    _classes.update(requests)
    _known[:] = others


@pytest.mark.usefixtures("forgotten")
@pytest.mark.parametrize(("code", "what"), [(REQUEST, "class 'Weigh' of a request or response"), (MODALITY, "modality 'weight'")])
def test_two_files_of_one_class_are_refused_with_both(tmp_path: Path, code: str, what: str) -> None:
    files = [_file(tmp_path, code.replace("NAME", repr(name)), f"{name}.py") for name in ("first", "second")]
    with pytest.raises(ConfigError, match=rf"second\.py sha256:\w+ defines the {what}, and so does first\.py sha256:\w+; rename"):
        Registry(tuple(files))
    del files[0]
    assert "second" in Registry(tuple(files)).names("attacks")
