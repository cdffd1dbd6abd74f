"""Batch budgets measured on this machine (`tuning`), saved in the user's cache folder by model and device."""

from __future__ import annotations

import json
import os
import platform
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..api.errors import StoreError
from ..api.model import Model
from .packing import Budget

if TYPE_CHECKING:
    import torch

FILE_NAME = "budgets.json"


def find_budgets_file() -> Path:
    """Return the path of the file: in ``WINDTUNNEL_CACHE``, else in the user's cache folder."""
    import platformdirs

    folder = os.environ.get("WINDTUNNEL_CACHE")
    return (Path(folder) if folder else platformdirs.user_cache_path("windtunnel", appauthor=False)) / FILE_NAME


def load_saved_budget(model: Model, /) -> Budget | None:
    """Load the budget measured for these weights on this device with this number of threads; None if there is none.

    Raises `StoreError` if the file cannot be read.
    """
    fields = _read_budgets().get(_make_key(model))
    return Budget(**fields) if fields is not None else None


def save_budget(model: Model, budget: Budget, /) -> Path:
    """Save a measured budget and return the path of the file. Raises `StoreError` if it cannot be written."""
    path = find_budgets_file()
    fresh = path.with_name(f"{path.name}.{os.getpid()}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        fresh.write_text(json.dumps({**_read_budgets(), _make_key(model): asdict(budget)}, indent=1), encoding="utf-8")
        fresh.replace(path)
    except OSError as error:
        fresh.unlink(missing_ok=True)
        raise StoreError(f"cannot write {path} ({error.strerror}); name another folder in WINDTUNNEL_CACHE") from error
    return path


def _read_budgets() -> Mapping[str, Any]:
    path = find_budgets_file()
    try:
        budgets = json.loads(path.read_text(encoding="utf-8"))
        for fields in budgets.values():
            Budget(**fields)
    except FileNotFoundError:
        return {}
    except (OSError, ValueError, TypeError, AttributeError) as error:
        raise StoreError(f"{path} cannot be read ({error}); remove it, and measure again with 'windtunnel tune'") from error
    return dict(budgets)


def _make_key(model: Model) -> str:
    return " | ".join((model.fingerprint, str(model.dtype or ""), *_describe_machine(model.device)))


def _describe_machine(device: torch.device | None) -> tuple[str, ...]:
    if device is None:
        return (platform.machine(), str(os.cpu_count()))
    import torch

    if str(device).startswith("cuda"):
        return (torch.cuda.get_device_name(device),)
    return (platform.machine(), torch.backends.cpu.get_cpu_capability(), f"{torch.get_num_threads()} threads")
