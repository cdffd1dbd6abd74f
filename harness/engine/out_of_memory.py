"""Detect out-of-memory errors, and release memory before a retry."""

from __future__ import annotations

_NO_MEMORY = ("out of memory", "can't allocate memory", "not enough memory", "failed to allocate memory")


def is_out_of_memory(error: BaseException, /) -> bool:
    """Whether the interpreter or a native library ran out of memory.

    Native libraries raise `RuntimeError`. Messages of other exceptions are not searched, because they may quote a sample.
    """
    message = str(error).lower()
    return isinstance(error, MemoryError) or (isinstance(error, RuntimeError) and any(phrase in message for phrase in _NO_MEMORY))


def release_memory() -> None:
    """Return cached GPU memory to the device."""
    import gc
    import sys

    torch = sys.modules.get("torch")
    if torch is not None and torch.cuda.is_available():
        gc.collect()
        torch.cuda.empty_cache()
