"""Settings that cannot be are refused before anything runs: of every attack, probe and threat, by what their signatures declare."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal, get_args, get_origin

import numpy as np
import pytest
from windtunnel.harness.api.attack import Attack
from windtunnel.harness.api.errors import CapabilityError, ConfigError
from windtunnel.harness.api.registry import Registry
from windtunnel.harness.api.samples import Sample
from windtunnel.harness.api.settings import Amount, Bound, Cosine, Count, Share, Size, check_settings, describe_hint, list_settings
from windtunnel.harness.modalities.image import Image
from windtunnel.harness.plan.planner import plan
from windtunnel.harness.suite.load import load_suite
from windtunnel.harness.threats import LpBall, Threats, build_threat
from windtunnel.tests.toys import write_suite

REGISTRY = Registry()
BAD: Mapping[type, Sequence[Any]] = {
    int: (2.5, 2.0, "3", True, float("nan"), [1], -2),
    float: ("0.1", "8/255", float("nan"), float("inf"), True, [0.1], -2),
    bool: ("yes", 1, 0.0),
    str: (3, True, ["a"]),
}
SIGNED = {"seed", "layer", "neuron", "baseline"}
"""Settings that may be negative, or that are more than one thing."""

REQUIRED: Mapping[str, Mapping[str, Any]] = {"layer": {"layer": "encoder"}, "neuron": {"neuron": 0}}


def plugins() -> Iterator[tuple[str, str]]:
    return ((group, name) for group in ("attacks", "probes") for name in REGISTRY.names(group))


def base_of(hint: Any) -> type | None:
    """The plain type of a setting that is of one, or nothing."""
    origin, parts = get_origin(hint), get_args(hint)
    if origin is Annotated:
        return base_of(parts[0])
    if parts and origin is not Literal:
        found = [base_of(part) for part in parts if part is not type(None)]
        return found[0] if len(found) == 1 and type(None) in parts else None
    return hint if hint in BAD else None


def refusal_of(group: str, name: str, given: Mapping[str, Any]) -> str:
    try:
        REGISTRY.make(group, name, **given)
    except ConfigError as error:
        return str(error)
    return ""


def test_every_setting_of_every_plugin_refuses_what_it_cannot_be() -> None:
    accepted = []
    for group, name in plugins():
        factory = REGISTRY.get(group, name).load()
        hints, given = list_settings(factory), inspect.signature(factory).parameters
        assert set(hints) == set(given), f"{name}: a setting whose annotation cannot be read is not checked"
        needed = {k: v for key, more in REQUIRED.items() if key in given and given[key].default is inspect.Parameter.empty
                  for k, v in more.items()}  # fmt: skip
        for setting, hint in hints.items():
            for value in BAD.get(base_of(hint) or object, ()):
                if setting in SIGNED and value == -2:
                    continue
                refusal = refusal_of(group, name, {**needed, setting: value})
                if setting not in refusal:
                    accepted.append((name, setting, value, refusal))
    assert accepted == []


@pytest.mark.parametrize("kind", Threats)
def test_every_bound_of_every_threat_refuses_what_it_cannot_be(kind: str) -> None:
    required = {"epsilon": 0.1} if kind == "lp" else {}
    for setting, hint in list_settings(Threats[kind]).items():
        for value in BAD.get(base_of(hint) or object, ()):
            with pytest.raises(ConfigError, match=setting):
                build_threat({"type": kind, **required, setting: value}, Attack(), "mine")


def test_every_plugin_takes_its_own_defaults() -> None:
    """What a signature declares allows what it gives."""
    for group, name in plugins():
        factory = REGISTRY.get(group, name).load()
        defaults = {k: p.default for k, p in inspect.signature(factory).parameters.items() if p.default is not p.empty}
        check_settings(name, factory, defaults)


class Plugin:
    def __init__(
        self, *, steps: Count = 1, most: Bound | None = None, share: Share = 0.5, cosine: Cosine = 0.0, amount: Amount = 0.0,
        size: Size = 1.0, radii: Sequence[float] = (), flag: bool = True, norm: Literal["linf", "l2"] = "l2", free: Any = None,
        table: Mapping[str, float] | None = None, anything=None,  # type: ignore[no-untyped-def]
    ) -> None:  # fmt: skip
        pass


@pytest.mark.parametrize(
    ("given", "error"),
    [
        ({"steps": 0}, "steps must be a whole number of at least 1, not 0"),
        ({"steps": 2.5}, "steps must be a whole number of at least 1, not 2.5"),
        ({"steps": 20.0}, "steps must be a whole number of at least 1, not 20.0; write 20"),
        ({"steps": "20"}, "steps must be a whole number of at least 1, not '20'; write 20 without quotes"),
        ({"most": -1}, "most must be a whole number of at least 0, or nothing, not -1"),
        ({"share": 30}, "share must be a number from 0 to 1, not 30; write 0.3 for 30 percent"),
        ({"share": "1/4"}, "share must be a number from 0 to 1, not '1/4'; write 0.25"),
        ({"cosine": -1.5}, "cosine must be a number from -1 to 1, not -1.5"),
        ({"amount": float("nan")}, "amount must be a number of at least 0, not nan"),
        ({"size": 0}, "size must be a number of more than 0, not 0"),
        ({"radii": 0.1}, "radii must be a list, each element a number, not 0.1"),
        ({"radii": [0.1, "0.2"]}, "radii must be a list, each element a number, not [0.1, '0.2']"),
        ({"flag": "yes"}, "flag must be true or false, not 'yes'; write True without quotes"),
        ({"norm": "l1"}, "norm must be 'linf' or 'l2', not 'l1'"),
        ({"table": [1]}, "table must be a mapping, or nothing, not [1]"),
    ],
)
def test_what_the_error_says(given: dict[str, Any], error: str) -> None:
    with pytest.raises(ConfigError) as found:
        check_settings("attack 'mine'", Plugin, given)
    assert str(found.value) == f"attack 'mine': {error}"


def test_what_is_allowed() -> None:
    check_settings(
        "mine", Plugin, {"steps": 3, "most": None, "share": 1, "radii": (0.1, 1), "free": {1}, "anything": 3, "table": {"a": 1.5}}
    )
    check_settings("mine", Plugin, {"radii": [], "amount": 0, "table": {"a": 1.5}})
    assert describe_hint(int | None) == "a whole number, or nothing"


def test_a_radius_in_steps_of_a_byte_is_told() -> None:
    for attack, given in (("pgd", {"step_size": 2}), ("deepfool", {"norm": "linf", "epsilons": [2, 8]}), ("square", {"epsilon": 4.0})):
        with pytest.raises(ConfigError, match=r"below 1, not [24].* did you mean [24]/255\?"):
            REGISTRY.make("attacks", attack, **given)
    with pytest.raises(ConfigError, match=r"epsilon must be below 1, not 8: .* did you mean 8/255\? Write 0.03137"):
        LpBall(8)
    with pytest.raises(ConfigError, match="every image is within 1"):
        LpBall(1.0)
    image = Sample("i", Image(np.zeros((8, 8, 1), np.float32)), 0)
    LpBall(7.9, "l2").check_input(image)
    with pytest.raises(ConfigError, match=r"epsilon must be below 8, not 128: .* did you mean 128/255\? Write 0.502"):
        LpBall(128, "l2").check_input(image)


@pytest.mark.parametrize(("given", "own", "allowed"), [
    ("edits", "lp", False), ("lp", "edits", False), ("suffix", "edits", False), ("prompt", "lp", False), ("lp", "prompt", False),
    ("suffix", "prompt", True), ("prompt", "suffix", True), ("edits", "prompt", True), ("lp", "lp", True),
])  # fmt: skip
def test_a_threat_of_another_kind(given: str, own: str, allowed: bool) -> None:
    class Mine(Attack[Any]):
        threat = build_threat({"type": own, **({"epsilon": 0.1} if own == "lp" else {})}, Attack(), "own")

    asked: Callable[[], Any] = lambda: build_threat({"type": given, **({"epsilon": 0.1} if given == "lp" else {})}, Mine(), "mine")  # noqa: E731
    if allowed:
        asked()
    else:
        with pytest.raises(ConfigError, match=rf"the attack 'mine' needs a threat of type .*, not '{given}'"):
            asked()


def planned(folder: Path, **keys: Any) -> Any:
    suite = load_suite(write_suite(folder, **keys))
    return plan(suite, Registry(suite.plugins))


def test_an_injection_needs_a_word_to_be_told_by(tmp_path: Path) -> None:
    (tmp_path / "rows.jsonl").write_text('{"prompt": "Say something."}\n')
    (tmp_path / "plain.yaml").write_text("family: behaviors\ndata: {files: rows.jsonl}\nprompt: prompt\nchat: false\n")
    (tmp_path / "echo.py").write_text("def answer(prompts):\n    return list(prompts)\n")
    keys: dict[str, Any] = {
        "models": [{"model": "callable:echo.py:answer", "answers": "generate"}],
        "tasks": [{"task": "plain.yaml", "name": "plain"}],
        "plugins": [],
    }
    with pytest.raises(CapabilityError, match=r"no 'canary'; list tasks of the family guarded_documents"):
        planned(tmp_path, **keys, attacks=[{"attack": "prompt_injection"}]).require_possible()
    planned(tmp_path, **keys, attacks=[{"attack": "prompt_injection", "text": "Say no."}]).require_possible()
