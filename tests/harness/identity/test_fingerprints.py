"""The fingerprint of a Python model: change one thing that its answers rest on, and it is another; change anything else, and it is not."""

from __future__ import annotations

import json
from collections.abc import Callable as Function
from pathlib import Path
from typing import Any

import pytest
import torch
from windtunnel.harness.api.import_target import resolve
from windtunnel.harness.api.requests import Classify
from windtunnel.harness.api.responses import Logits
from windtunnel.harness.engine import Engine
from windtunnel.harness.engine.cache import MemoryCache
from windtunnel.harness.identity import libraries
from windtunnel.harness.identity.digests import is_unknown
from windtunnel.harness.models.python.callable import Callable
from windtunnel.harness.models.torch.source import TorchModule

FUNCTIONS = """
import functools
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import parts
from package import inner

SCALE = 2.0
TABLE = {"a": [1, 2]}
WEIGHTS = np.load(Path(__file__).with_name("weights.npy"))


@dataclass
class Config:
    width: int = 4


CONFIG = Config()


def loud(function):
    @functools.wraps(function)
    def wrapper(texts):
        return function(texts)

    return wrapper


def by_globals(texts):
    return [[SCALE, TABLE["a"][0], CONFIG.width, parts.scale(1), inner.K, float(WEIGHTS[0])] for _ in texts]


def make(strength, *others):
    def closed(texts):
        return [[strength, len(others)] for _ in texts]

    return closed


def by_default(texts, bias=1.0):
    return [[bias, 0.0] for _ in texts]


def by_file(texts):
    with open(Path(__file__).with_name("words.txt")) as file:
        return [[float(len(file.read())), 0.0] for _ in texts]


@loud
def decorated(texts):
    return [[SCALE, 0.0] for _ in texts]


class Model:
    def __init__(self, strength, steps):
        self.strength, self.steps = strength, steps

    def __call__(self, texts):
        return [[self.strength, step(1)] for _ in texts for step in self.steps]

    def method(self, texts):
        return [[self.strength, 0.0] for _ in texts]


closed = make(0.5, "a")
partial = functools.partial(lambda bias, texts: [[bias, 0.0] for _ in texts], 1.0)
instance = Model(0.5, [lambda v: v + 1, abs])
method = instance.method
"""

FILES = {
    "model.py": FUNCTIONS,
    "parts.py": "from deeper import factor\n\n\ndef scale(x):\n    return x * factor\n",
    "deeper.py": "factor = 3\n",
    "package/__init__.py": "",
    "package/inner.py": "from .constants import K\n",
    "package/constants.py": "K = 5\n",
    "words.txt": "one two",
}
NAMES = ("by_globals", "closed", "by_default", "by_file", "decorated", "partial", "instance", "method")


def write(folder: Path, weight: float = 1.0, **changed: tuple[str, str]) -> Path:
    """The files, with a text replaced by another in some of them, named without suffix."""
    import numpy as np

    for name, text in FILES.items():
        old, new = changed.get(Path(name).stem, ("", ""))
        assert old in text
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text.replace(old, new, 1) if old else text)
    np.save(folder / "weights.npy", np.array([weight]))
    return folder / "model.py"


def fingerprint(target: object, name: str, **settings: Any) -> str:
    found = Callable(f"{target}:{name}", **settings).load("cpu", "auto").fingerprint
    assert not is_unknown(found), found
    return found


CHANGES: dict[str, dict[str, Any]] = {
    "a variable of the module": {"model": ("SCALE = 2.0", "SCALE = 2.5")},
    "a table of the module": {"model": ("[1, 2]", "[1, 3]")},
    "a default of a dataclass": {"model": ("width: int = 4", "width: int = 5")},
    "a closure": {"model": ("make(0.5", "make(0.6")},
    "another closure": {"model": ('make(0.5, "a")', 'make(0.5, "b")')},
    "a default argument": {"model": ("bias=1.0", "bias=1.5")},
    "an argument of a partial": {"model": ("], 1.0)", "], 1.5)")},
    "an attribute": {"model": ("Model(0.5", "Model(0.6")},
    "a lambda in a list": {"model": ("v + 1", "v + 2")},
    "a built-in in a list": {"model": (", abs]", ", float]")},
    "a file that is imported": {"parts": ("x * factor", "x + factor")},
    "a file that an imported file imports": {"deeper": ("3", "4")},
    "a package beside it": {"constants": ("5", "6")},
    "a data file that is loaded": {"weight": 2.0},
    "a data file that the source names": {"words": ("two", "three")},
}


ONE_A_FILE: dict[str, dict[str, Any]] = {file: change for change in CHANGES.values() for file in change}


@pytest.mark.parametrize("name", NAMES)
def test_a_changed_file_is_another_program(tmp_path: Path, name: str) -> None:
    """Each changes a file, so that it counts for all; that values count beside files is shown by the tests below."""
    changes = CHANGES if name == NAMES[0] else ONE_A_FILE
    prints = [fingerprint(write(tmp_path / str(n), **change), name) for n, change in enumerate([{}, *changes.values()])]
    assert len(set(prints)) == len(prints)


def test_every_function_of_a_file_has_its_own(tmp_path: Path) -> None:
    path = write(tmp_path)
    assert len({fingerprint(path, name) for name in NAMES}) == len(NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_what_does_not_matter(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    """Another folder, another working folder, the same file a second time, files that nobody reads."""
    first = fingerprint(write(tmp_path / "one"), name)
    other = write(tmp_path / "another" / "deep")
    (other.parent / "unread.py").write_text("x = 1\n")
    (other.parent / "notes.txt").write_text("read me")
    monkeypatch.chdir(tmp_path)
    assert fingerprint(other, name) == first
    assert fingerprint(Path("one/model.py"), name) == first
    assert fingerprint(tmp_path / "one" / ".." / "one" / "model.py", name) == first


VALUES: dict[str, tuple[str, Function[[Any], None]]] = {
    "a variable": ("by_globals", lambda module: setattr(module, "SCALE", 9.0)),
    "inside of a table": ("by_globals", lambda module: module.TABLE["a"].append(3)),
    "an attribute of a dataclass": ("by_globals", lambda module: setattr(module.CONFIG, "width", 9)),
    "an array": ("by_globals", lambda module: module.WEIGHTS.__setitem__(0, 9.0)),
    "a variable of an imported module": ("by_globals", lambda module: setattr(module.inner, "K", 9)),
    "a function of an imported module": ("by_globals", lambda module: setattr(module.parts, "scale", lambda x: x)),
    "a closure": ("closed", lambda module: setattr(module, "closed", module.make(0.7, "a"))),
    "defaults": ("by_default", lambda module: setattr(module.by_default, "__defaults__", (9.0,))),
    "a partial's argument": ("partial", lambda module: setattr(module, "partial", type(module.partial)(module.partial.func, 9.0))),
    "an attribute": ("instance", lambda module: setattr(module.instance, "strength", 9.0)),
    "an attribute behind a method": ("method", lambda module: setattr(module.instance, "strength", 9.0)),
    "a list behind a method": ("method", lambda module: module.instance.steps.append(abs)),
    "a method of the class": ("instance", lambda module: setattr(module.Model, "__call__", lambda self, texts: [[0.0, 1.0]])),
    "what a decorator holds": ("decorated", lambda module: setattr(module, "decorated", module.loud(module.by_default))),
}  # fmt: skip


@pytest.mark.parametrize("what", VALUES)
def test_values_count_beside_files(tmp_path: Path, what: str) -> None:
    name, change = VALUES[what]
    path = write(tmp_path)
    first = fingerprint(path, name)
    module = next(m for m in _modules() if getattr(m, "__file__", "") == str(path))
    change(module)
    assert fingerprint(path, name) != first


def _modules() -> list[Any]:
    import sys

    return list(sys.modules.values())


@pytest.mark.parametrize(
    ("source", "why"),
    [
        (
            "COUNT = 0\ndef f(texts):\n    global COUNT\n    COUNT += 1\n    return [[0.0] for _ in texts]\n",
            "f changes COUNT of its module",
        ),
        (
            "def make():\n    n = 0\n    def f(texts):\n        nonlocal n\n        n += 1\n    return f\nf = make()\n",
            "f sets 'n' in its closure",
        ),
        ("class M:\n    def __call__(self, texts):\n        self.last = texts\nf = M()\n", "f sets its attribute 'last'"),
        ("import random\nDRAWS = random.Random(0)\ndef f(texts):\n    return DRAWS.random()\n", "DRAWS draws at random"),
        ("import numpy as np\nDRAWS = np.random.default_rng(0)\ndef f(texts):\n    return DRAWS.random()\n", "DRAWS draws at random"),
        ("import random\ndef f(texts):\n    return random.random()\n", "f draws at random (random.random)"),
        (
            "import random as r\ng = lambda texts: r.choice([0, 1])\ndef f(texts):\n    return g(texts)\n",
            "g draws at random (random.choice)",
        ),
        ("import numpy as np\ndef f(texts):\n    return np.random.rand()\n", "f draws at random (numpy.random.rand)"),
        ("def f(texts):\n    import random\n    return random.random()\n", "f draws at random (random.random)"),
        ("from random import random\ndef f(texts):\n    return random()\n", "random.__self__ draws at random (Random)"),
        ("import torch\ndef f(texts):\n    return torch.rand(1)\n", "f draws at random (torch.rand)"),
        ("SEEN = []\ndef f(texts):\n    SEEN.append(texts)\n", "f changes SEEN of its module when it is called"),
        ("STATE = {'n': 0}\ndef f(texts):\n    STATE['n'] += 1\n", "f changes STATE of its module when it is called"),
        ("class S:\n    n = 0\ndef f(texts):\n    S.n = 1\n", "f changes S of its module when it is called"),
        (
            "def make():\n    seen = []\n    def f(texts):\n        seen.append(texts)\n    return f\nf = make()\n",
            "f changes seen in its closure when it is called",
        ),
        ("import threading\nNEXT = (i for i in range(3))\ndef f(texts):\n    return next(NEXT)\n", "NEXT is a builtins.generator"),
        ("import socket\ndef f(texts):\n    return socket.gethostname()\n", "imports socket, so another machine may compute"),
        ("import client\ndef f(texts):\n    return client.ask(texts)\n", "imports http.client, so another machine may compute"),
    ],
)
def test_what_cannot_be_known_is_not_shared(tmp_path: Path, source: str, why: str) -> None:
    (tmp_path / "model.py").write_text(source)
    (tmp_path / "client.py").write_text("import http.client\n")
    model = Callable(f"{tmp_path / 'model.py'}:f").load("cpu", "auto")
    assert is_unknown(model.fingerprint)
    assert why in model.fingerprint
    assert why in model.notes[0]  # type: ignore[attr-defined]
    vouched = [fingerprint(tmp_path / "model.py", "f", version=version) for version in ("1", "1", "2")]
    assert vouched[0] == vouched[1] != vouched[2]


@pytest.mark.parametrize(
    "source",
    [
        "import numpy as np\ndef f(texts):\n    return np.random.default_rng(0).random()\n",
        "import random\ndef f(texts):\n    return random.Random(0).random()\n",
        "KNOWN = {}\ndef f(texts):\n    found = []\n    found.append(KNOWN.get('a'))\n    found[0] = 1\n    return found\n",
        "import numpy as np\ndef f(texts):\n    return np.add([1.0], [2.0])\n",
        "MADE = {}\nMADE['f'] = lambda texts: texts\nf = MADE['f']\n",
        "NAMES = []\ndef known(g):\n    NAMES.append(g)\n    return g\n@known\ndef f(texts):\n    return texts\n",
    ],
)
def test_what_answers_alike_each_time_is_known(tmp_path: Path, source: str) -> None:
    (tmp_path / "model.py").write_text(source)
    assert not is_unknown(fingerprint(tmp_path / "model.py", "f"))


def test_answers_of_the_unknown_stay_with_their_engine(tmp_path: Path) -> None:
    (tmp_path / "model.py").write_text("N = 0\ndef f(texts):\n    global N\n    N += 1\n    return [[float(N)] for _ in texts]\n")
    source, cache = Callable(f"{tmp_path / 'model.py'}:f"), MemoryCache()
    engines = [Engine(source.load("cpu", "auto"), source.inspect(), cache=cache) for _ in range(2)]
    assert [engine.run([Classify("a"), Classify("a")])[0] for engine in (*engines, engines[0])] == [Logits((n,)) for n in (1.0, 2.0, 1.0)]


def test_neighbours_of_one_name_are_each_files_own(tmp_path: Path) -> None:
    """Two folders of one layout, and a neighbour that changes between two looks."""
    one, two = (write(tmp_path / name, deeper=("3", number)) for name, number in (("one", "3"), ("two", "4")))
    answers = [resolve(f"{path}:by_globals")(["a"])[0][3] for path in (one, two, one)]
    assert answers == [3, 4, 3]
    (tmp_path / "one" / "deeper.py").write_text("factor = 30\n")
    assert resolve(f"{one}:by_globals")(["a"])[0][3] == 30
    assert resolve(f"{two}:by_globals")(["a"])[0][3] == 4


@pytest.mark.parametrize("library", ["numpy", "windtunnel"])
def test_versions_count(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, library: str) -> None:
    path = write(tmp_path)
    first = fingerprint(path, "by_globals")
    if library == "windtunnel":
        monkeypatch.setattr("windtunnel.harness.identity.programs.answer_code", lambda: "other code")
    else:
        known = libraries.find_version
        monkeypatch.setattr(libraries, "find_version", lambda name: "0.0" if name == library else known(name))
    assert fingerprint(path, "by_globals") != first


# ── torch ─────────────────────────────────────────────────────────────────────────────────────────────────────────────

NET = """
import functools

import torch
from torch import nn


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.inner = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.ReLU())
        self.head = nn.Linear(4, 2)
        self.eps, self.options = 0.5, {"steps": [1, 2]}
        self.transforms = [functools.partial(torch.clamp, min=0.1), nn.Identity()]
        self.place = torch.device("cpu")
        self.register_buffer("kept", torch.ones(2))
        self.register_buffer("passing", torch.ones(2), persistent=False)
        self.plain = torch.ones(2)

    def forward(self, x):
        return self.head(self.inner(x).mean((2, 3))) * self.eps


def make():
    return Net()


def defended():
    return Net()


def scripted():
    return torch.jit.script(nn.Sequential(nn.Flatten(), nn.Linear(192, 2)))
"""

STATE: dict[str, Function[[Any], object]] = {
    "a float": lambda net: setattr(net, "eps", 0.6),
    "a new attribute": lambda net: setattr(net, "strength", 1),
    "inside of a dict": lambda net: net.options["steps"].append(3),
    "a list of transforms": lambda net: net.transforms.pop(),
    "their order": lambda net: net.transforms.reverse(),
    "a partial's keyword": lambda net: net.transforms[0].keywords.__setitem__("min", 0.2),
    "a weight": lambda net: net.head.weight.data.add_(1e-6),
    "a buffer": lambda net: net.kept.add_(1),
    "a buffer that is not saved": lambda net: net.passing.add_(1),
    "a plain tensor": lambda net: net.plain.add_(1),
    "statistics of a norm": lambda net: net.inner[1].running_mean.add_(1),
    "a setting of a layer": lambda net: setattr(net.inner[1], "eps", 0.1),
    "a layer": lambda net: net.inner.__setitem__(2, torch.nn.GELU()),
    "a layer's negative slope": lambda net: net.inner.__setitem__(2, torch.nn.LeakyReLU(0.3)),
    "a forward hook": lambda net: net.head.register_forward_hook(lambda module, given, out: out * 2),
    "a hook before": lambda net: net.head.register_forward_pre_hook(lambda module, given: None),
    "forward, replaced": lambda net: setattr(net, "forward", lambda x: x.mean((2, 3))[:, :2]),
    "a layer's forward, replaced": lambda net: setattr(net.head, "forward", lambda x: x[:, :2]),
    "the class's forward, replaced": lambda net: setattr(type(net), "forward", lambda self, x: x.mean((2, 3))[:, :2]),
    "a training flag that stays": lambda net: _keep_training(net.inner[1]),
    "a pruned weight": lambda net: torch.nn.utils.parametrizations.weight_norm(net.head),
}  # fmt: skip


def load(path: Path, name: str = "make", **settings: Any) -> Any:
    return TorchModule(f"{path}:{name}", labels=["a", "b"], **settings).load("cpu", "auto")


@pytest.fixture
def net(tmp_path: Path) -> Path:
    (tmp_path / "net.py").write_text(NET)
    return tmp_path / "net.py"


@pytest.mark.parametrize("what", STATE)
def test_all_of_a_module_counts(net: Path, what: str) -> None:
    """The maker is the same code for every change: only what it made differs."""
    made = TorchModule(f"{net}:make").build()
    source = TorchModule(made, labels=["a", "b"])
    first = source.load("cpu", "auto").fingerprint
    assert source.load("cpu", "auto").fingerprint == first
    STATE[what](made)
    assert source.load("cpu", "auto").fingerprint != first


def _keep_training(layer: torch.nn.Module) -> None:
    layer.train = lambda mode=True: layer  # type: ignore[method-assign,misc]
    layer.training = True


def test_two_functions_of_one_file_are_two_models(net: Path) -> None:
    assert load(net, "make").fingerprint != load(net, "defended").fingerprint


def test_a_module_in_another_folder_or_process_state_is_the_same(net: Path, tmp_path: Path) -> None:
    other = tmp_path / "other" / "net.py"
    other.parent.mkdir()
    other.write_text(NET)
    first = load(net).fingerprint
    hooked = torch.nn.Linear(1, 1)
    for _ in range(3):  # hooks are numbered by all that a process has ever made
        hooked.register_forward_hook(lambda *given: None)
    assert load(other).fingerprint == first


def test_where_a_module_keeps_its_device_does_not_matter(net: Path) -> None:
    first = load(net).fingerprint
    source = TorchModule(f"{net}:make")
    made: Any = source.build()
    made.place = torch.device("meta")
    prints = [TorchModule(module, labels=["a", "b"]).load("cpu", "auto").fingerprint for module in (made, source.build())]
    assert prints[0] == prints[1] != first, "a module that was handed over has no maker"


@pytest.mark.filterwarnings("ignore:`torch.jit:DeprecationWarning")
def test_a_scripted_module_is_known_by_what_it_saves(net: Path, tmp_path: Path) -> None:
    other = tmp_path / "other" / "net.py"
    other.parent.mkdir()
    other.write_text(NET)
    torch.manual_seed(0)
    first = load(net, "scripted").fingerprint
    torch.manual_seed(0)
    assert load(other, "scripted").fingerprint == first
    torch.manual_seed(1)
    assert load(other, "scripted").fingerprint != first


@pytest.mark.parametrize("settings", [{"channels": 1}, {"size": [8, 8]}, {"version": "2"}])
def test_settings_of_a_module_count(net: Path, settings: dict[str, Any]) -> None:
    assert load(net, **settings).fingerprint != load(net).fingerprint


# ── two models of one file, side by side ──────────────────────────────────────────────────────────────────────────────

DEFENDED = '''
import torch
from torch import nn


class Sign(nn.Module):
    """Bright or dark by the mean pixel; the defence rounds pixels first."""

    def __init__(self, levels):
        super().__init__()
        self.levels = levels
        self.gain = nn.Parameter(torch.tensor(8.0))

    def forward(self, x):
        if self.levels:
            x = (x * self.levels).round() / self.levels
        margin = self.gain * (x.mean((1, 2, 3)) - 0.5)
        return torch.stack([torch.zeros_like(margin), margin], 1)


def plain():
    return Sign(0)


def defended():
    return Sign(1)
'''


def test_a_defended_model_gets_its_own_answers(tmp_path: Path) -> None:
    """Side by side in one suite, with one cache, each has the numbers that it has alone."""
    import numpy as np
    from PIL import Image
    from windtunnel.tests.toys import windtunnel

    rng = np.random.default_rng(0)
    for number in range(8):
        folder = tmp_path / "pictures" / ("bright" if number % 2 else "dark")
        folder.mkdir(parents=True, exist_ok=True)
        level = 0.56 if number % 2 else 0.44
        pixels = (np.clip(level + rng.normal(0, 0.01, (6, 6, 3)), 0, 1) * 255).astype(np.uint8)
        Image.fromarray(pixels).save(folder / f"{number}.png")
    (tmp_path / "pictures.yaml").write_text(
        "family: image_classification\ndata: {files: pictures}\nimage: image\nlabel: label\nlabels: [bright, dark]\nmetrics: [accuracy]\n"
    )
    (tmp_path / "net.py").write_text(DEFENDED)

    def robust(*names: str) -> dict[str, float]:
        suite = {
            "models": [{"name": name, "model": f"torch:net.py:{name}", "labels": ["dark", "bright"]} for name in names],
            "tasks": ["pictures.yaml"],
            "attacks": [{"attack": "pgd", "threat": {"type": "lp", "norm": "linf", "epsilon": 0.1}, "steps": 5}],
            "cache": "answers.db",
        }
        (tmp_path / "suite.yaml").write_text(json.dumps(suite))
        out = tmp_path / "-".join(names)
        answer = windtunnel("run", tmp_path / "suite.yaml", "--out", out, "--quiet")
        assert answer.code == 0, answer.err
        rows = json.loads((out / "results.json").read_text())["rows"]
        return {
            row["model"]: row["estimate"]["value"] for row in rows if row["metric"] == "robust_accuracy" and row["item"].startswith("pgd")
        }

    together = robust("plain", "defended")
    assert together == {**robust("plain"), **robust("defended")}
    assert together["plain"] == 0
    assert together["defended"] == 1
