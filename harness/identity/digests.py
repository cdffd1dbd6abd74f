"""Digests of files and of lists of parts."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable
from pathlib import Path

UNKNOWN = "unknown"
"""Prefix of the fingerprint of anything whose content cannot be inspected; the reasons follow. It never counts as equal."""

_LFS_NAME = re.compile(r"[0-9a-f]{64}")


def digest_file(path: Path, /) -> str:
    """Return the SHA-256 of a file. Large blobs in the hub's cache are named by it, so they need not be read."""
    target = path.resolve()
    if _LFS_NAME.fullmatch(target.name):
        return target.name
    with target.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def digest_parts(parts: Iterable[object], facts: Iterable[object] = ()) -> str:
    """Return the SHA-256 of a list of parts, each prefixed by its length, so that different lists differ."""
    whole = hashlib.sha256()
    for part in (*parts, *facts):
        text = part if isinstance(part, bytes) else str(part).encode("utf-8", "surrogatepass")
        whole.update(b"%d:%b\n" % (len(text), text))
    return whole.hexdigest()


def is_unknown(fingerprint: str, /) -> bool:
    """Whether a fingerprint was made by `make_unknown_fingerprint`."""
    return fingerprint.startswith(UNKNOWN)


def make_unknown_fingerprint(reasons: Iterable[str], /) -> str:
    """Return the fingerprint of anything whose content cannot be inspected, with the reasons."""
    return f"{UNKNOWN}: {'; '.join(dict.fromkeys(reasons))}"
