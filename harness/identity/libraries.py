"""Versions of the libraries and of Windtunnel's own code, which may change numbers."""

from __future__ import annotations

import importlib.metadata
import platform
import sys
from collections.abc import Iterable
from functools import cache

from .code import OWN
from .digests import digest_file, digest_parts
from .installed import find_installed_version

NUMERIC = (
    "numpy", "torch", "torchvision", "transformers", "tokenizers", "peft", "datasets", "pillow", "scikit-learn", "scipy", "nltk",
    "textattack",
)  # fmt: skip
"""Distributions whose version may change a number of a run."""

_DISTRIBUTIONS = {"sklearn": "scikit-learn", "PIL": "pillow", "cv2": "opencv-python", "yaml": "PyYAML", "skimage": "scikit-image"}


def find_version(library: str, /) -> str:
    """Return the version of a distribution, by its name or its import name; empty if it is not installed."""
    return _read_version(library) or find_installed_version(library) or str(getattr(sys.modules.get(library), "__version__", ""))


@cache
def _read_version(library: str) -> str:
    """Read a version once: a process keeps the modules that it imported, whatever is installed meanwhile."""
    for name in (_DISTRIBUTIONS.get(library, library), library):
        try:
            return importlib.metadata.version(name)
        except (importlib.metadata.PackageNotFoundError, ValueError):
            continue
    return ""


def list_versions(libraries: Iterable[str] = NUMERIC, /) -> dict[str, str]:
    """Return the versions of those libraries that are installed."""
    versions = {library: find_version(library) for library in libraries if library not in sys.stdlib_module_names}
    return {library: version for library, version in versions.items() if version}


def run_versions() -> dict[str, str]:
    """Return the versions that records depend on: Python (minor), Windtunnel with a digest of its code, libraries."""
    from ... import __version__

    python = ".".join(platform.python_version_tuple()[:2])
    return {"python": python, "windtunnel": f"{__version__} ({digest_own_code(*_RECORDS)[:12]})", **list_versions()}


_RECORDS = ("harness", "tasks", "attacks", "probes")
_ANSWERS = ("harness/models", "harness/engine", "harness/modalities", "harness/api/requests.py", "harness/api/responses.py")


def answer_code() -> str:
    """Return a digest of Windtunnel's own code that computes responses."""
    return digest_own_code(*_ANSWERS)


@cache
def digest_own_code(*places: str) -> str:
    """Return a digest of Windtunnel's own files below these paths."""
    roots = [OWN / place for place in places]
    files = sorted(p for root in roots for p in (root.rglob("*") if root.is_dir() else [root]) if p.suffix in (".py", ".yaml"))
    return digest_parts(part for path in files for part in (path.relative_to(OWN).as_posix(), digest_file(path)))
