"""GGUF files, the format of llama.cpp: one file with weights, configuration and tokenizer. transformers dequantises the
weights when it loads them."""

from __future__ import annotations

import re
from collections import Counter
from functools import lru_cache
from pathlib import Path
from typing import Any

from ...api.errors import ModelError
from ...identity.digests import digest_file
from ..common.extras import require_extra
from ..common.fingerprint import list_checkpoint_parts
from .files import INDEX, WEIGHTS

SUFFIX, TOKENIZER = ".gguf", "tokenizer.json"
_PART = re.compile(r"-\d{5}-of-(\d{5})\.gguf$")
_ELSEWHERE = "serve it with llama.cpp and use openai:MODEL with base_url, or give the checkpoint that it was converted from"


def find_gguf(target: str, /) -> str:
    """Return the path of the only GGUF file of a folder without other weights; else the target.

    Raises `ModelError` if the folder has several.
    """
    folder = Path(target)
    if not folder.is_dir() or (folder / WEIGHTS).is_file() or (folder / INDEX).is_file():
        return target
    names = sorted(path.name for path in folder.glob(f"*{SUFFIX}"))
    if len(names) > 1:
        raise ModelError(f"the folder {target!r} has {len(names)} GGUF files ({', '.join(names[:4])}); name one: {folder / names[0]}")
    return str(folder / names[0]) if names else target


def check_gguf(path: Path, /) -> None:
    """Raise `ModelError` if a GGUF file cannot be read: a package or a part is missing, or its architecture is unknown."""
    require_extra("gguf", str(path), "gguf")
    require_extra("accelerate", str(path), "gguf")
    if not path.is_file():
        raise ModelError(f"there is no file {str(path)!r}")
    if match := _PART.search(path.name):
        raise ModelError(
            f"{str(path)!r} is one of {int(match.group(1))} parts of a model; merge them with llama-gguf-split, and give the whole file"
        )
    architecture, _ = _read_header(path, path.stat().st_mtime_ns)
    from transformers.modeling_gguf_pytorch_utils import GGUF_SUPPORTED_ARCHITECTURES

    # transformers replaces these names by its own.
    known = architecture in GGUF_SUPPORTED_ARCHITECTURES or architecture.replace("-", "_") in GGUF_SUPPORTED_ARCHITECTURES
    if not known and not architecture.startswith(("t5", "qwen2moe", "qwen3moe", "minimax-m2")):
        raise ModelError(f"{str(path)!r} has the architecture {architecture!r}, which transformers does not read from GGUF; {_ELSEWHERE}")


def describe_gguf(path: Path, /) -> str:
    """Return a note about the types of the weights."""
    _, types = _read_header(path, path.stat().st_mtime_ns)
    return f"its weights are stored as GGUF ({types}), and computed in the run's number format"


def list_gguf_parts(path: Path, /) -> list[str]:
    """Return one line per file that affects responses, with its digest: the GGUF file, and the tokenizer beside it."""
    parts = [f"model{SUFFIX} {digest_file(path)}"]
    if (path.parent / TOKENIZER).is_file():
        parts += [part for part in list_checkpoint_parts(path.parent) if ".safetensors " not in part]
    return parts


def name_architecture(config: Any, path: Path, /) -> None:
    """Set the architecture of a configuration that was read from a GGUF file, which does not state it. Raises `ModelError`."""
    from transformers.models.auto.modeling_auto import MODEL_FOR_CAUSAL_LM_MAPPING_NAMES

    if not config.architectures:
        name = MODEL_FOR_CAUSAL_LM_MAPPING_NAMES.get(config.model_type)
        if name is None:
            raise ModelError(f"{str(path)!r} is a {config.model_type}, which is no language model; {_ELSEWHERE}")
        config.architectures = [name]


@lru_cache(8)
def _read_header(path: Path, changed: int) -> tuple[str, str]:
    """Return the architecture and the number of tensors of each type, such as ``Q8_0: 14, F32: 5``.

    changed: time of the last change of the file, so that a new file is read anew.
    """
    from gguf import GGUFReader

    try:
        reader = GGUFReader(path)
        field = reader.fields["general.architecture"]
        types = Counter(tensor.tensor_type.name for tensor in reader.tensors)
        return str(field.contents()), ", ".join(f"{name}: {num}" for name, num in types.most_common())
    except Exception as error:  # the library may raise anything for a broken file
        raise ModelError(f"{str(path)!r} cannot be read as GGUF: {error}; copy the file again") from error
