"""What makes two models the same: weights, configuration, tokenizer, template and number format, by content."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable
from pathlib import Path

_RELEVANT = re.compile(r".*\.(safetensors|json|txt|model|jinja|py|pt|pth|onnx|tiktoken)")
_LFS_NAME = re.compile(r"[0-9a-f]{64}")


def of_file(path: Path, /) -> str:
    """SHA-256 of a file. The hub's cache names large blobs by just that, so those need not be read."""
    target = path.resolve()
    if _LFS_NAME.fullmatch(target.name):
        return target.name
    with target.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def of_folder(folder: Path, /, *facts: object) -> str:
    """Over the names and contents of all files of a checkpoint folder that can change an answer, and the facts given."""
    files = sorted(p for p in folder.iterdir() if p.is_file() and _RELEVANT.fullmatch(p.name))
    return of_parts((f"{p.name} {of_file(p)}" for p in files), facts)


def of_parts(parts: Iterable[object], facts: Iterable[object] = ()) -> str:
    """Each part goes in behind its length, so that no two lists of parts read the same."""
    whole = hashlib.sha256()
    for part in (*parts, *facts):
        text = str(part).encode("utf-8", "surrogatepass")
        whole.update(b"%d:%b\n" % (len(text), text))
    return whole.hexdigest()
