"""Which files an installer put where they are: pip lists them in a ``*.dist-info`` folder beside them, in any folder (``pip --target``)."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from functools import cache
from importlib.metadata import Distribution
from pathlib import Path


def is_installed(file: Path, /) -> bool:
    """Tell whether a file belongs to an installed distribution, or lies in a zipped library. file: the path, without links."""
    return any(
        folder.is_file() or _find_top(file.relative_to(folder).parts[0]) in _list_installed(folder) for folder in list(file.parents)[:-1]
    )


def find_installed_version(module: str, /) -> str:
    """Return the version of the distribution that installed a top-level module in a folder of Python's path; empty if there is none.

    The folders of Python itself are left out: they hold hundreds of distributions, which `importlib.metadata` finds by name.
    """
    folders = [Path(place or ".").resolve() for place in sys.path if not place.endswith(("site-packages", "dist-packages"))]
    return next((found[module] for folder in folders if module in (found := _list_installed(folder))), "")


@cache
def _list_installed(folder: Path) -> Mapping[str, str]:
    """Return the version of each top-level module that was installed in a folder."""
    described = [Distribution.at(file.parent) for file in sorted(folder.glob("*.dist-info/METADATA"))]
    return {top: dist.version for dist in described for top in _list_tops(dist)}


def _list_tops(dist: Distribution) -> Iterator[str]:
    """Yield the top-level modules of a distribution: those of its list of files, or else those that its metadata name."""
    files = [line.partition(",")[0] for line in (dist.read_text("RECORD") or "").splitlines()]
    named = (dist.read_text("top_level.txt") or dist.name.replace("-", "_")).split()
    tops = {_find_top(file.strip('"').partition("/")[0]) for file in files if file.strip('"').endswith((".py", ".so", ".pyd"))}
    yield from (tops if files else named)


def _find_top(name: str) -> str:
    """Return the name of the module of a file or folder: ``six`` of ``six.py``."""
    return name.partition(".")[0]
