"""What the package's metadata, its constraints and the README's commands say of each other."""

from __future__ import annotations

import importlib.metadata
import re
import tomllib
from pathlib import Path

import pytest
import windtunnel
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from windtunnel.harness.system.installs import TEXT_ATTACKS

ROOT = Path(str(windtunnel.__file__)).parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
README = (ROOT / "README.md").read_text(encoding="utf-8")
PINS = [Requirement(line) for line in (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines() if not line.startswith("#")]


def requirements(*extras: str) -> dict[str, Requirement]:
    """By name: those of the package and of these extras."""
    lines = [*PROJECT["dependencies"], *(line for extra in extras for line in PROJECT["optional-dependencies"][extra])]
    return {canonicalize_name(required.name): required for required in map(Requirement, lines)}


def test_constraints_pin_each_requirement_to_a_version_in_its_range() -> None:
    pins = {canonicalize_name(pin.name): next(iter(pin.specifier)).version for pin in PINS}
    assert all(re.fullmatch(r"==[\w.]+", str(pin.specifier)) for pin in PINS)
    assert not {name: str(r.specifier) for name, r in requirements("text-attacks", "dev").items() if pins.get(name, "") not in r.specifier}


def test_the_extra_lists_what_textattack_requires_but_flair() -> None:
    try:
        lines = importlib.metadata.requires("textattack") or []
    except importlib.metadata.PackageNotFoundError:
        pytest.skip("TextAttack is not installed")
    required = {canonicalize_name(r.name) for r in map(Requirement, lines) if r.marker is None or r.marker.evaluate({"extra": ""})}
    assert required - requirements("text-attacks").keys() == {"flair"}


def test_the_readme_installs_with_the_constraints_and_as_the_errors_say() -> None:
    installs = re.findall(r"pip install (.*\.\[text-attacks.*)", README)
    assert len(installs) == 2
    assert all(line.startswith("-c constraints.txt ") for line in installs)
    assert TEXT_ATTACKS.partition(" && ")[2] in README
