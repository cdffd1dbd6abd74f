"""Versions that change numbers: of the libraries that compute, and of the code of Windtunnel itself."""

from __future__ import annotations

import importlib.metadata
import platform
import sys
from collections.abc import Iterable
from functools import cache

from .code import OWN
from .digests import of_file, of_parts

NUMERIC = (
    "numpy", "torch", "torchvision", "transformers", "tokenizers", "peft", "datasets", "pillow", "scikit-learn", "scipy", "nltk",
    "textattack",
)  # fmt: skip
"""Distributions whose version may change a number somewhere in a run."""

_DISTRIBUTIONS = {"sklearn": "scikit-learn", "PIL": "pillow", "cv2": "opencv-python", "yaml": "PyYAML", "skimage": "scikit-image"}


def version_of(library: str, /) -> str:
    """Of a distribution or of the top-level name that it is imported by; empty where it is not installed."""
    return _installed(library) or str(getattr(sys.modules.get(library), "__version__", ""))


@cache
def _installed(library: str) -> str:
    """Read once: a process goes on with what it has imported, whatever is installed meanwhile."""
    for name in (_DISTRIBUTIONS.get(library, library), library):
        try:
            return importlib.metadata.version(name)
        except (importlib.metadata.PackageNotFoundError, ValueError):
            continue
    return ""


def versions(libraries: Iterable[str] = NUMERIC, /) -> dict[str, str]:
    """Of those that are installed."""
    found = {library: version_of(library) for library in libraries if library not in sys.stdlib_module_names}
    return {library: version for library, version in found.items() if version}


def run_versions() -> dict[str, str]:
    """What a run's records rest on: Python's minor version, Windtunnel with a digest of its code, and the libraries that compute."""
    from ... import __version__

    python = ".".join(platform.python_version_tuple()[:2])
    return {"python": python, "windtunnel": f"{__version__} ({own_code(*_RECORDS)[:12]})", **versions()}


_RECORDS = ("harness", "tasks", "attacks", "probes")
_ANSWERS = ("harness/models", "harness/engine", "harness/modalities", "harness/api/requests.py")


def answer_code() -> str:
    """A digest of Windtunnel's code between a request and its answer."""
    return own_code(*_ANSWERS)


@cache
def own_code(*places: str) -> str:
    """A digest of Windtunnel's own files under these places."""
    roots = [OWN / place for place in places]
    files = sorted(p for root in roots for p in (root.rglob("*") if root.is_dir() else [root]) if p.suffix in (".py", ".yaml"))
    return of_parts(part for path in files for part in (path.relative_to(OWN).as_posix(), of_file(path)))
