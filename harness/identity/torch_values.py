"""Parts of the digest of a torch object: tensors by their bytes, modules by all their attributes."""

from __future__ import annotations

import hashlib
import io
import pickletools
import re
import sys
import zipfile
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .values import ObjectDigester


def list_torch_parts(digester: ObjectDigester, value: Any, where: str, /) -> Iterator[object] | None:
    """Return the parts of a torch object's digest; None for any other object, or if torch is not loaded."""
    torch: Any = sys.modules.get("torch")
    if torch is None:
        return None
    kinds = (torch.Tensor, torch.nn.Module, torch.device, torch.Generator, torch.dtype, torch.layout, torch.memory_format)
    return _list_parts(torch, digester, value, where) if isinstance(value, kinds) else None


def _list_parts(torch: Any, digester: ObjectDigester, value: Any, where: str) -> Iterator[object]:
    if isinstance(value, torch.Tensor):
        yield from ("tensor", type(value).__name__, *_describe_tensor(torch, value))
    elif isinstance(value, torch.device):
        yield "device"  # where a model runs changes none of its answers
    elif isinstance(value, torch.Generator):
        digester.give_up(where, "draws at random (torch.Generator), so its responses depend on earlier requests")
    elif isinstance(value, torch.jit.ScriptModule):
        yield from ("script", *_read_archive(value.save_to_buffer()))
    elif isinstance(value, torch.nn.Module) and "_orig_mod" in value._modules:
        yield from ("compiled", digester.digest(value._modules["_orig_mod"], where))
    elif isinstance(value, torch.nn.Module):
        yield from ("nn.Module", digester.digest(type(value), where))
        state = dict(vars(value))
        if isinstance(value, torch.fx.GraphModule):
            state = {name: part for name, part in state.items() if name != "_graph"} | {"_code": value.code}
        # Hooks are identified by their order, because their keys count all hooks of this process.
        yield from digester.pairs({k: list(v.values()) if "_hooks" in k and isinstance(v, dict) else v for k, v in state.items()}, where)
    else:
        yield from ("torch", str(value))


def _read_archive(content: bytes) -> Iterator[str]:
    """Yield the content of a saved script module, without source paths and torch's counters of equally named types."""
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        for name in sorted(archive.namelist(), key=_remove_numbers):
            if name.endswith(".pkl"):
                steps = ((step.name, argument) for step, argument, _ in pickletools.genops(archive.read(name)))
                yield from (f"{step} {_remove_numbers(str(argument))}" for step, argument in steps)
            elif name.endswith(".py"):
                yield _remove_numbers(archive.read(name).decode())
            elif not name.endswith((".debug_pkl", "serialization_id")):
                yield _digest_bytes(archive.read(name))


def _remove_numbers(text: str) -> str:
    return re.sub(r"[./]?___torch_mangle_\d+|windtunnel_file_\w+?(?=[./])", "", text)


def _describe_tensor(torch: Any, value: Any) -> tuple[object, ...]:
    """Return type, shape and a digest of the bytes, on any device."""
    plain = value.detach()
    if plain.is_meta:
        return (str(plain.dtype), tuple(plain.shape), "meta")
    if plain.is_quantized:
        plain, scale = plain.int_repr(), (str(value.qscheme()), repr(value.dequantize().double().sum().item()))
    else:
        scale = ("", "")
    plain = (plain.to_dense() if plain.layout != torch.strided else plain).cpu().resolve_conj().resolve_neg().contiguous()
    # Flattened, because a scalar (the counter of a batch norm) cannot be viewed as bytes.
    return (str(value.dtype), tuple(plain.shape), *scale, _digest_bytes(plain.reshape(-1).view(torch.uint8).numpy().tobytes()))


def _digest_bytes(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
