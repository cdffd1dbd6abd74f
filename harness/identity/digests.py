"""Digests of files and of lists of parts."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable
from pathlib import Path

UNKNOWN = "unknown"
"""What a fingerprint begins with whose thing cannot be known by content. What follows says why. It is never equal, not even to itself."""

_LFS_NAME = re.compile(r"[0-9a-f]{64}")


def of_file(path: Path, /) -> str:
    """SHA-256 of a file. The hub's cache names large blobs by just that, so those need not be read."""
    target = path.resolve()
    if _LFS_NAME.fullmatch(target.name):
        return target.name
    with target.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def of_parts(parts: Iterable[object], facts: Iterable[object] = ()) -> str:
    """Each part goes in behind its length, so that no two lists of parts read the same."""
    whole = hashlib.sha256()
    for part in (*parts, *facts):
        text = part if isinstance(part, bytes) else str(part).encode("utf-8", "surrogatepass")
        whole.update(b"%d:%b\n" % (len(text), text))
    return whole.hexdigest()


def is_unknown(fingerprint: str, /) -> bool:
    return fingerprint.startswith(UNKNOWN)


def unknown(reasons: Iterable[str], /) -> str:
    """The fingerprint of what cannot be known, with the reasons."""
    return f"{UNKNOWN}: {'; '.join(dict.fromkeys(reasons))}"
