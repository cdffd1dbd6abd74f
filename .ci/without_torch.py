"""Prints what the package and its metrics of texts require, but for torch and what needs torch, and what runs its tests: a line each."""

from __future__ import annotations

import tomllib
from pathlib import Path

_NEED_TORCH = ("torch", "captum")
_TOOLS = ("pytest", "pytest-xdist", "hypothesis")


def main() -> None:
    path = Path(__file__).resolve().parent.parent / "pyproject.toml"
    project = tomllib.loads(path.read_text(encoding="utf-8"))["project"]
    required = [*project["dependencies"], *project["optional-dependencies"]["text"]]
    print(*(line for line in required if not line.startswith(_NEED_TORCH)), *_TOOLS, sep="\n")


if __name__ == "__main__":
    main()
