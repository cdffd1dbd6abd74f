"""Fingerprints of checkpoints: all files of the folder that can change a response, by name and content."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ...identity.digests import digest_file

PATTERNS = ("*.safetensors", "*.json", "*.txt", "*.model", "*.jinja", "*.py", "*.tiktoken", "*.spm", "*.bpe", "*.vocab")
"""Weights, configurations, tokenizers, templates, code."""

_RELEVANT = re.compile(r".*\.(safetensors|json|txt|model|jinja|py|tiktoken|spm|bpe|vocab)")
_ABOUT = frozenset({"trainer_state.json", "all_results.json", "train_results.json", "eval_results.json", "requirements.txt", "LICENSE.txt"})
_TEMPLATES = "additional_chat_templates"


def list_checkpoint_parts(folder: Path, /) -> Iterator[str]:
    """Yield one line per file, with its name and digest.

    Subfolders count if transformers or sentence-transformers read them: templates, modules, code.
    """
    inner = [_TEMPLATES, *(str(part.get("path", "")) for part in _read(folder / "modules.json") or [] if isinstance(part, dict))]
    places = dict.fromkeys([folder, *(folder / name for name in inner if name)])
    files = {path for place in places if place.is_dir() for path in place.iterdir() if path.is_file() and _RELEVANT.fullmatch(path.name)}
    files |= {path for path in folder.rglob("*.py") if not any(part.startswith(".") for part in path.relative_to(folder).parts)}
    for path in sorted(files):
        if path.name not in _ABOUT:
            yield f"{path.relative_to(folder).as_posix()} {digest_file(path)}"


def _read(path: Path) -> Any:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
