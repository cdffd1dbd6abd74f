"""What a digest of an object of torch is made of: tensors by their bytes, modules by all that they hold."""

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
    from .values import Look


def parts_of_torch(look: Look, value: Any, where: str, /) -> Iterator[object] | None:
    """None where the object is not torch's, or torch is not loaded."""
    torch: Any = sys.modules.get("torch")
    if torch is None:
        return None
    kinds = (torch.Tensor, torch.nn.Module, torch.device, torch.Generator, torch.dtype, torch.layout, torch.memory_format)
    return _parts(torch, look, value, where) if isinstance(value, kinds) else None


def _parts(torch: Any, look: Look, value: Any, where: str) -> Iterator[object]:
    if isinstance(value, torch.Tensor):
        yield from ("tensor", type(value).__name__, *_tensor(torch, value))
    elif isinstance(value, torch.device):
        yield "device"  # where a model runs changes none of its answers
    elif isinstance(value, torch.Generator):
        look.give_up(where, "draws at random (torch.Generator), so that its answers depend on what was asked before")
    elif isinstance(value, torch.jit.ScriptModule):
        yield from ("script", *_archive(value.save_to_buffer()))
    elif isinstance(value, torch.nn.Module) and "_orig_mod" in value._modules:
        yield from ("compiled", look.digest(value._modules["_orig_mod"], where))
    elif isinstance(value, torch.nn.Module):
        yield from ("nn.Module", look.digest(type(value), where))
        state = dict(vars(value))
        if isinstance(value, torch.fx.GraphModule):
            state = {name: part for name, part in state.items() if name != "_graph"} | {"_code": value.code}
        # A hook is known by its place among the others: its number counts all hooks that this process has ever made.
        yield from look.pairs({k: list(v.values()) if "_hooks" in k and isinstance(v, dict) else v for k, v in state.items()}, where)
    else:
        yield from ("torch", str(value))


def _archive(content: bytes) -> Iterator[str]:
    """A scripted module as it is saved, but for where its source lay and for the numbers that torch gives to types of one name."""
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        for name in sorted(archive.namelist(), key=_unnumbered):
            if name.endswith(".pkl"):
                steps = ((step.name, argument) for step, argument, _ in pickletools.genops(archive.read(name)))
                yield from (f"{step} {_unnumbered(str(argument))}" for step, argument in steps)
            elif name.endswith(".py"):
                yield _unnumbered(archive.read(name).decode())
            elif not name.endswith((".debug_pkl", "serialization_id")):
                yield _bytes_digest(archive.read(name))


def _unnumbered(text: str) -> str:
    return re.sub(r"[./]?___torch_mangle_\d+|windtunnel_target_\w+?(?=[./])", "", text)


def _tensor(torch: Any, value: Any) -> tuple[object, ...]:
    """Type, shape and bytes, wherever the tensor lies."""
    plain = value.detach()
    if plain.is_meta:
        return (str(plain.dtype), tuple(plain.shape), "meta")
    if plain.is_quantized:
        plain, scale = plain.int_repr(), (str(value.qscheme()), repr(value.dequantize().double().sum().item()))
    else:
        scale = ("", "")
    plain = (plain.to_dense() if plain.layout != torch.strided else plain).cpu().resolve_conj().resolve_neg().contiguous()
    # Flat, for a batch norm's counter has no dimension to view as bytes.
    return (str(value.dtype), tuple(plain.shape), *scale, _bytes_digest(plain.reshape(-1).view(torch.uint8).numpy().tobytes()))


def _bytes_digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
