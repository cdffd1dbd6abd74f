"""Copies the project as a clean clone has it: the files that git tracks (without git: all but what a checkout never holds).

python .ci/tree.py TARGET
"""

from __future__ import annotations

import shutil
import subprocess
import sys
from fnmatch import fnmatch
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
_NEVER = (".git", ".venv", "__pycache__", "*.egg-info", "build", "dist", "runs", ".*_cache", ".hypothesis")


def files() -> list[str]:
    """Paths relative to the root, sorted."""
    if (ROOT / ".git").exists():
        # The checkout may belong to another user than the one that runs this.
        command = ["git", "-c", "safe.directory=*", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
        listed = subprocess.run(command, cwd=ROOT, check=True, capture_output=True).stdout.decode().split("\0")
        return sorted(name for name in listed if name and (ROOT / name).is_file())
    found = (path.relative_to(ROOT) for path in ROOT.rglob("*") if path.is_file())
    return sorted(path.as_posix() for path in found if not any(fnmatch(part, never) for part in path.parts for never in _NEVER))


def main(target: Path) -> None:
    for name in files():
        (target / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(ROOT / name, target / name)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
