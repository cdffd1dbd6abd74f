"""Plugins have the defaults of their group's base class, whether they derive from it or not."""

from __future__ import annotations

import inspect
import re
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any, NamedTuple

import pytest
import windtunnel as wt
from windtunnel.harness.api.bases import BASES, _known, with_defaults
from windtunnel.harness.api.errors import ConfigError
from windtunnel.harness.api.registry import GROUPS, Registry, list_parameters
from windtunnel.harness.cli.plugin_text import describe
from windtunnel.harness.identity.values import digest_state
from windtunnel.harness.items.base.ingredients import digest_code
from windtunnel.tests.toys import COMMAND, child_environment, write_suite

HEAD = "import windtunnel as wt\n"
SETTINGS: dict[str, dict[str, Any]] = {
    "layer_conductance": {"layer": "x"}, "layer_integrated_gradients": {"layer": "x"}, "grad_cam": {"layer": "x"},
    "neuron_conductance": {"layer": "x", "neuron": 0},
}  # fmt: skip


def made(folder: Path, group: str, code: str, *, head: str = HEAD) -> Any:
    """The plugin ``mine`` of a file."""
    path = folder / "mine.py"
    path.write_text(f"{head}@wt.plugin({group!r}, 'mine')\n{code}\n")
    return Registry((path,)).make(group, "mine")


@pytest.mark.parametrize(("group", "name"), [(g, n) for g in BASES for n in Registry().names(g)])
def test_every_plugin_is_an_instance_of_its_base(group: str, name: str) -> None:
    registry = Registry()
    factory = registry.get(group, name).load()
    if inspect.isclass(factory):
        assert issubclass(factory, BASES[group])
    settings = SETTINGS.get(name, {})
    if {key for key, p in (list_parameters(factory) or {}).items() if p.default is p.empty} - set(settings):
        pytest.skip("it needs settings of its own")
    try:
        plugin = registry.make(group, name, **settings)
    except ConfigError as error:
        pytest.skip(str(error))
    assert isinstance(plugin, BASES[group])
    if group == "attacks" and plugin.threat is not None:
        assert isinstance(plugin.threat, wt.Threat)


def test_every_group_of_programs_tasks_and_reports_has_a_base() -> None:
    assert set(BASES) == set(GROUPS) - {"metrics", "items"}


PLAIN = {
    "tasks": "class Mine:\n    requires = frozenset({'classify'})\n    def samples(self): return []\n"
    "    def requests(self, sample): return []\n    def score(self, sample, responses): return {}",
    "attacks": "class Mine:\n    requires = frozenset({'classify'})\n    def perturb(self, engine, samples, threat, rng): return samples",
    "probes": "class Mine:\n    requires = frozenset({'classify'})\n    def attribute(self, engine, samples): return []",
    "models": "class Mine:\n    def __init__(self, target='a'): pass\n    def inspect(self): return wt.ModelInfo({})\n"
    "    def load(self, device, dtype): return None",
    "reports": "class Mine:\n    suffix = 'mine.txt'\n    def render(self, scorecard): return ''",
}


@pytest.mark.parametrize("group", PLAIN)
def test_a_class_that_does_not_derive_has_the_defaults(tmp_path: Path, group: str) -> None:
    plugin, base = made(tmp_path, group, PLAIN[group]), BASES[group]
    assert isinstance(plugin, base)
    assert type(plugin).__name__ == type(plugin).__qualname__ == "Mine"
    assert type(plugin).__doc__ == ""
    own = {"requires", "samples", "requests", "score", "perturb", "attribute", "suffix", "render", "inspect", "load"}
    for name in {n for n in dir(base) if not n.startswith("_")} - own:
        found, default = getattr(plugin, name), inspect.getattr_static(base, name)
        assert getattr(found, "__func__", found) is default or isinstance(default, property), name


def test_it_is_derived_once(tmp_path: Path) -> None:
    path = tmp_path / "mine.py"
    path.write_text(f"{HEAD}@wt.plugin('probes', 'mine')\n{PLAIN['probes']}\n")
    registry = Registry((path,))
    assert type(registry.make("probes", "mine")) is type(registry.make("probes", "mine")) is registry.get("probes", "mine").load()


def test_a_class_that_derives_stays_what_it_is(tmp_path: Path) -> None:
    plugin = made(tmp_path, "probes", PLAIN["probes"].replace("Mine:", "Mine(wt.Probe):"))
    assert type(plugin).__mro__[1] is wt.Probe


def test_name_module_doc_and_signature_are_the_users(tmp_path: Path) -> None:
    code = PLAIN["attacks"].replace("Mine:", 'Mine:\n    """Changes nothing.\n\n    times: how often."""') + (
        "\n    def __init__(self, *, times: int = 3): self.times = times"
    )
    path = tmp_path / "mine.py"
    path.write_text(f"{HEAD}@wt.plugin('attacks', 'mine')\n{code}\n")
    registry = Registry((path,))
    kind = registry.get("attacks", "mine").load()
    assert str(inspect.signature(kind)) == "(*, times: int = 3)"
    assert kind.__module__.startswith("windtunnel_file_")
    assert describe(registry, "mine").splitlines()[2:4] == ["  Changes nothing.", ""]
    assert "times: int = 3" in describe(registry, "mine")
    with pytest.raises(ConfigError, match="attack 'mine': times must be a whole number, not 'often'"):
        registry.make("attacks", "mine", times="often")


def test_the_docstring_of_a_base_is_nobody_elses(tmp_path: Path) -> None:
    path = tmp_path / "mine.py"
    path.write_text(f"{HEAD}@wt.plugin('probes', 'mine')\n{PLAIN['probes'].replace('Mine:', 'Mine(wt.Probe):')}\n")
    assert "No description." in describe(Registry((path,)), "mine")


@pytest.mark.parametrize(
    ("group", "left_out", "told"),
    [
        ("tasks", "requires", "'requires'"),
        ("tasks", "samples", "'samples()'"),
        ("tasks", "requests", "'requests(sample)' or 'run(engine, samples)'"),
        ("tasks", "score", "'score(sample, responses)'"),
        ("attacks", "perturb", "'perturb(engine, samples, threat, rng)'"),
        ("probes", "attribute", "'attribute(engine, samples)'"),
        ("models", "inspect", "'inspect()'"),
        ("models", "load", "'load(device, dtype)'"),
        ("reports", "render", "'render(scorecard)' or 'write(scorecard, run, folder)'"),
    ],
)
@pytest.mark.parametrize("parent", ["", "(wt.BASE)"])
def test_what_has_no_default_is_told_at_once(tmp_path: Path, group: str, left_out: str, told: str, parent: str) -> None:
    lines = [line for line in PLAIN[group].splitlines() if not line.strip().startswith((f"{left_out} =", f"def {left_out}("))]
    code = "\n".join([*lines, "    x = 1"]).replace("Mine:", f"Mine{parent.replace('BASE', BASES[group].__name__)}:")
    words = f"the {group[:-1]} 'mine' has no {told}; see {BASES[group].__module__} for what a plugin defines"
    with pytest.raises(ConfigError, match=f"^{re.escape(words)}"):
        made(tmp_path, group, code)


@pytest.mark.parametrize(
    ("group", "instead", "told"),
    [
        ("tasks", ("def score(", "def scores("), "'score(sample, responses)' (is 'scores' meant?)"),
        ("attacks", ("def perturb(", "def pertub("), "'perturb(engine, samples, threat, rng)' (is 'pertub' meant?)"),
        ("reports", ("def render(", "def rendered("), "'render(scorecard)' (is 'rendered' meant?)"),
    ],
)
def test_a_misspelt_method_is_named(tmp_path: Path, group: str, instead: tuple[str, str], told: str) -> None:
    with pytest.raises(ConfigError, match=re.escape(told)):
        made(tmp_path, group, PLAIN[group].replace(*instead))


def test_a_method_with_other_parameters_is_refused(tmp_path: Path) -> None:
    code = PLAIN["tasks"].replace("def score(self, sample, responses)", "def score(self, sample)")
    assert code != PLAIN["tasks"]
    with pytest.raises(ConfigError, match=re.escape("the task 'mine' cannot be called as 'score(sample, responses)'")):
        made(tmp_path, "tasks", code)


def test_a_report_that_lacks_a_method_is_an_error_of_the_plan(tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text("import windtunnel as wt\n@wt.plugin('reports', 'mine')\nclass Mine:\n    suffix = 'mine.txt'\n")
    path = write_suite(tmp_path, plugins=["toy_plugins.py", "mine.py"], reports=["mine"])
    done = subprocess.run([*COMMAND, "plan", str(path)], env=child_environment(), capture_output=True, text=True)
    assert done.returncode == 2
    assert "the report 'mine' has no 'render(scorecard)' or 'write(scorecard, run, folder)'" in done.stderr


RUN = (
    "class Mine:\n    requires = frozenset({'classify'})\n    def samples(self): return []\n"
    "    def run(self, engine, samples): return []\n    def score(self, sample, responses): return {}"
)


@pytest.mark.parametrize("parent", ["", "(wt.Task)"])
def test_a_task_that_gives_run_is_sequential(tmp_path: Path, parent: str) -> None:
    task = made(tmp_path, "tasks", RUN.replace("Mine:", f"Mine{parent}:"))
    assert task.is_sequential
    assert list(task.requests(wt.Sample("0", ""))) == []
    assert not made(tmp_path, "tasks", PLAIN["tasks"].replace("Mine:", f"Mine{parent}:")).is_sequential


def test_a_task_that_gives_run_when_it_is_made_is_sequential(tmp_path: Path) -> None:
    code = PLAIN["tasks"] + "\n    def __init__(self): self.run = lambda engine, samples: []"
    assert made(tmp_path, "tasks", code).is_sequential


@pytest.mark.parametrize("extra", ["", "    def __init__(self): self.requires = frozenset({'classify'})"])
def test_a_function_may_make_it(tmp_path: Path, extra: str) -> None:
    code = f"{PLAIN['probes']}\n{extra}".replace("class Mine:", "class Inner:") + "\n"
    path = tmp_path / "mine.py"
    path.write_text(f"{HEAD}{code}@wt.plugin('probes', 'mine')\ndef mine(): return Inner()\n")
    probe = Registry((path,)).make("probes", "mine")
    assert isinstance(probe, wt.Probe)
    assert type(probe).__name__ == "Inner"
    assert probe.trial() is None


@dataclass(frozen=True, slots=True)
class Near:
    """A threat with slots that derives from nothing."""

    most: int = 2

    def admits(self, clean: wt.Sample, perturbed: wt.Sample) -> bool:
        return True

    def distance(self, clean: wt.Sample, perturbed: wt.Sample) -> dict[str, float]:
        return {}


class Open:
    """One with a dictionary."""

    def __init__(self) -> None:
        self.seen: list[str] = []
        self.num = 0

    def admits(self, clean: wt.Sample, perturbed: wt.Sample) -> bool:
        self.num += 1
        return True

    def distance(self, clean: wt.Sample, perturbed: wt.Sample) -> dict[str, float]:
        return {}


def test_an_object_keeps_what_it_holds() -> None:
    near = with_defaults(Near(5), wt.Threat)
    assert isinstance(near, Near)
    assert (near.most, near.instead, near.requires, dict(near.roles)) == (5, "", frozenset(), {})
    assert near == with_defaults(Near(5), wt.Threat) != with_defaults(Near(6), wt.Threat)
    own = Open()
    known = with_defaults(own, wt.Threat)
    sample = wt.Sample("0", "")
    assert known.admits(sample, sample)
    assert own.num == 1
    assert type(own) is Open
    assert with_defaults(known, wt.Threat) is known


class Wraps:
    """Finds everything in another object."""

    def __init__(self, inner: object) -> None:
        self.inner = inner

    def __getattr__(self, name: str) -> Any:
        return getattr(self.inner, name)


def test_what_an_object_finds_in_another_is_no_default() -> None:
    inner = SimpleNamespace(requires=frozenset({"classify"}), primary="right", predict=lambda sample, responses: {"prediction": 1})
    task = with_defaults(Wraps(inner), wt.Task)
    assert (task.primary, task.dimension, task.predict(wt.Sample("0", ""), [])) == ("right", "quality", {"prediction": 1})


def test_what_a_plugin_finds_in_another_is_no_default(tmp_path: Path) -> None:
    code = "class Mine:\n    def __init__(self): self.inner = Inner()\n    def __getattr__(self, name): return getattr(self.inner, name)"
    head = f"{HEAD}{PLAIN['tasks'].replace('class Mine', 'class Inner')}\n    primary = 'right'\n\n"
    task = made(tmp_path, "tasks", code, head=head)
    assert isinstance(task, wt.Task)
    assert (task.primary, task.dimension, task.requires, list(task.samples())) == ("right", "quality", {"classify"}, [])


@pytest.mark.parametrize(
    "decorator", ["dataclass", "dataclass(frozen=True)", "dataclass(slots=True)", "dataclass(frozen=True, slots=True)"]
)
def test_a_dataclass_may_be_a_plugin(tmp_path: Path, decorator: str) -> None:
    head = f"from dataclasses import dataclass\nfrom typing import ClassVar\n{HEAD}"
    code = f"@{decorator}\n{PLAIN['attacks']}\n    times: int = 3".replace("requires =", "requires: ClassVar =")
    attack = made(tmp_path, "attacks", code, head=head)
    assert (attack.times, attack.threat, isinstance(attack, wt.Attack)) == (3, None, True)
    assert attack == type(attack)(times=3) != type(attack)(times=4)


class Pair(NamedTuple):
    first: int


@pytest.mark.parametrize("value", [True, Pair(1), {}])
def test_what_cannot_have_a_base_is_told(value: object) -> None:
    with pytest.raises(ConfigError, match=r"derive"):
        with_defaults(value, wt.Probe)


FINAL = "    def __init_subclass__(cls): raise TypeError('final')"


def test_a_class_that_nothing_may_derive_from_is_told(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"the class Mine does not derive from Probe, and the defaults cannot be added to it \(final"):
        made(tmp_path, "probes", f"{PLAIN['probes']}\n{FINAL}")


def _digests(folder: Path, change: Callable[[str], str] = lambda code: code) -> tuple[str, str]:
    folder.mkdir()
    probe = made(folder, "probes", change(PLAIN["probes"]))
    return digest_code(probe), digest_state(probe)[0]


def test_the_fingerprint_is_of_the_users_class(tmp_path: Path) -> None:
    first, again = _digests(tmp_path / "a"), _digests(tmp_path / "b")
    assert first == again
    assert all(first)
    other = _digests(tmp_path / "c", lambda code: code.replace("return []", "return list(())"))
    assert first[0] != other[0]
    assert first[1] != other[1]


def test_the_fingerprint_does_not_depend_on_a_docstring_of_a_base(tmp_path: Path) -> None:
    first = _digests(tmp_path / "a")
    wt.Probe.__doc__, before = "Something else.", wt.Probe.__doc__
    try:
        _known.clear()
        assert _digests(tmp_path / "b") == first
    finally:
        wt.Probe.__doc__ = before


def test_bases_bring_nothing_heavy() -> None:
    code = "import sys, windtunnel; windtunnel.Task, windtunnel.Attack, windtunnel.Report; print('numpy' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env=child_environment())
    assert done.stdout.strip() == "False"
