"""Compares what is in a wheel with what should be: every file of the package's folders, and nothing else.

    python .ci/wheel_files.py TREE WHEEL

An editable install hides a package that ``pyproject.toml`` forgot, and a file at the root ships without being asked for. So the expectation
is made from the tree alone: ``__init__.py``, ``testing.py`` and ``py.typed`` of the root, and all files of the folders below that are
packages.
"""

from __future__ import annotations

import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path

_FOLDERS = ("harness", "tasks", "attacks", "probes", "reports", "examples")
_NOT_SHIPPED = ("examples/ci/", "examples/forms/", "examples/plugins/", "examples/suites/")
"""To be read in the repository; no code imports them."""


def expected(tree: Path) -> Iterator[str]:
    yield from ("windtunnel/__init__.py", "windtunnel/testing.py", "windtunnel/py.typed")
    for folder in _FOLDERS:
        for path in (tree / folder).rglob("*"):
            name = path.relative_to(tree).as_posix()
            if path.is_file() and "__pycache__" not in path.parts and not name.startswith(_NOT_SHIPPED):
                yield f"windtunnel/{name}"


def main(tree: Path, wheel: Path) -> int:
    should, found = set(expected(tree)), {name for name in zipfile.ZipFile(wheel).namelist() if ".dist-info/" not in name}
    for name in sorted(should - found):
        print(f"missing from the wheel: {name}")
    for name in sorted(found - should):
        print(f"should not be in the wheel: {name}")
    print(f"{len(found)} files in {wheel.name}, {wheel.stat().st_size / 1e6:.1f} MB")
    return int(should != found)


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), Path(sys.argv[2])))
