"""Running out of memory: how it is told from other errors, and what is given back before another try."""

from __future__ import annotations

_NO_MEMORY = ("out of memory", "can't allocate memory", "not enough memory", "failed to allocate memory")


def is_out_of_memory(error: BaseException, /) -> bool:
    """Of the interpreter, or of a native library, which raise RuntimeErrors. Another error's message may quote a sample: not read."""
    said = str(error).lower()
    return isinstance(error, MemoryError) or (isinstance(error, RuntimeError) and any(phrase in said for phrase in _NO_MEMORY))


def release_memory() -> None:
    import gc
    import sys

    torch = sys.modules.get("torch")
    if torch is not None and torch.cuda.is_available():
        gc.collect()
        torch.cuda.empty_cache()
