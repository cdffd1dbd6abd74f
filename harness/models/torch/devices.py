"""Choose the device and dtype of a torch model."""

from __future__ import annotations

import torch

from ...api.errors import ModelError

_DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}


def pick_device(name: str, /) -> torch.device:
    """Return a device; ``auto`` is the first CUDA device if there is one, else the CPU. Raises `ModelError`."""
    if name == "auto":
        return torch.device("cuda:0" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
    except RuntimeError as error:
        raise ModelError(f"there is no device {name!r}; use auto, cpu, cuda or cuda:N") from error
    if device.type == "cuda" and (not torch.cuda.is_available() or (device.index or 0) >= torch.cuda.device_count()):
        raise ModelError(f"there is no device {name!r} ({torch.cuda.device_count()} CUDA devices); set device to auto or cpu")
    return device


def pick_dtype(name: str, device: torch.device, stored: torch.dtype | None, /) -> torch.dtype:
    """Return a dtype; ``auto`` is float32 on a CPU, the checkpoint's ``stored`` dtype on a GPU. Raises `ModelError`."""
    if name == "auto":
        return stored if stored is not None and stored in _DTYPES.values() and device.type == "cuda" else torch.float32
    if name not in _DTYPES:
        raise ModelError(f"there is no dtype {name!r}; use auto, {', '.join(_DTYPES)}")
    return _DTYPES[name]


def to_device(tensor: torch.Tensor, device: torch.device, /) -> torch.Tensor:
    """Copy a tensor to a device; to a GPU from pinned memory, without waiting."""
    if device.type != "cuda":
        return tensor.to(device)
    return tensor.pin_memory().to(device, non_blocking=True)
