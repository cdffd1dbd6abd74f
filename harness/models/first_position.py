"""The last layer of an encoder, computed for the first position where nothing else of it is read.

A classifier of BERT's kind reads what its last layer says of the first token. That token attends to all others, so their keys and values
are needed; what comes after attention works on each position by itself, and there the first is enough: an eighth of what six layers cost.

No architecture is known here. When a model is loaded, what its last layer says of the other positions is replaced by NaN: if the logits
stay, nothing reads it. Then the layer's parts are given the first position alone, from one part on, which is the earliest that leaves
what the layer says of the first position as it was. A model of another kind runs whole.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any, TypeAlias

import torch
from torch import nn

from ..errors import ends_run

Probe: TypeAlias = Callable[[], torch.Tensor]
"""A pass of the whole model over a batch of its own; gives logits."""

_ROUNDING = 1e-5
"""Of the spread of what is compared, in float32; half precision rounds a thousand times as much."""


class FirstPosition:
    """``parts`` of the last layer, in the order they begin, that are given the first position alone; none: the model runs whole.

    ``flops``: operations of a position's products with the weights in them.
    """

    def __init__(self, module: nn.Module, probes: Sequence[Probe]) -> None:
        """``probes``: batches of several texts of different lengths, no two batches of one width."""
        self.parts: list[nn.Module] = []
        self.flops = 0
        layer = _last_layer(module)
        if layer is None:
            return
        try:
            with torch.no_grad():
                self._measure(layer, probes)
        except Exception as error:
            if ends_run(error):
                raise
            # Whatever a module raises that cannot run so; whole, it can.
            self.parts, self.flops = [], 0

    @contextmanager
    def only(self) -> Iterator[None]:
        """Within, the model computes of its last layer what is read, so that nothing else of it may be looked at."""
        with ExitStack() as hooks:
            for part in self.parts:
                hooks.callback(part.register_forward_pre_hook(_first, with_kwargs=True).remove)
            yield

    def _measure(self, layer: nn.Module, probes: Sequence[Probe]) -> None:
        whole, calls = [], []
        for probe in probes:
            logits, called = _watched(layer, probe)
            if len(called) != 1 or not torch.equal(_poisoned(layer, probe), logits):
                return
            whole.append(logits)
            calls += called
        first = [_output(layer(*args, **options))[:, :1] for args, options in calls]
        self.parts = _running(layer, calls[0])
        while self.parts and not self._same(layer, calls, first):
            self.parts = self.parts[1:]
        with self.only():
            if all(_close(probe(), logits) for probe, logits in zip(probes, whole, strict=True)):
                self.flops = _flops_of_one(layer, calls[0])
            else:
                self.parts = []

    def _same(self, layer: nn.Module, calls: Sequence[Any], first: Sequence[torch.Tensor]) -> bool:
        try:
            with self.only():
                return all(_close(_output(layer(*a, **o))[:, :1], wanted) for (a, o), wanted in zip(calls, first, strict=True))
        except Exception as error:
            if ends_run(error):
                raise
            # A part that reshapes by the length it was told, say.
            return False


def _last_layer(module: nn.Module) -> nn.Module | None:
    """The last of the list of layers that holds most of the weights."""
    lists = [m for m in module.modules() if isinstance(m, nn.ModuleList) and len(m)]
    return max(lists, key=lambda m: sum(p.numel() for p in m.parameters()))[-1] if lists else None


def _first(module: nn.Module, args: tuple[Any, ...], options: dict[str, Any]) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """A hook before a module: of each [B, L, D] the first of L."""
    return tuple(_cut(a) for a in args), {name: _cut(value) for name, value in options.items()}


def _cut(value: Any) -> Any:
    return value[:, :1] if isinstance(value, torch.Tensor) and value.ndim == 3 and value.is_floating_point() else value


def _output(given: Any) -> torch.Tensor:
    found: torch.Tensor = given[0] if isinstance(given, tuple) else given
    return found


def _close(found: torch.Tensor, wanted: torch.Tensor) -> bool:
    tolerance = _ROUNDING * (1 if wanted.dtype == torch.float32 else 1000)
    return bool((found.float() - wanted.float()).abs().max() <= tolerance * wanted.float().std())


# ── passes that are watched ───────────────────────────────────────────────────────────────────────────────────────────


def _watched(layer: nn.Module, probe: Probe) -> tuple[torch.Tensor, list[tuple[Any, Any]]]:
    """Logits, and what the layer was called with."""
    calls: list[tuple[Any, Any]] = []
    handle = layer.register_forward_pre_hook(lambda module, args, options: calls.append((args, options)), with_kwargs=True)
    try:
        return probe(), calls
    finally:
        handle.remove()


def _poisoned(layer: nn.Module, probe: Probe) -> torch.Tensor:
    """Logits where the layer says NaN of all positions but the first."""

    def poison(module: nn.Module, args: Any, output: Any) -> Any:
        states = _output(output).clone()
        states[:, 1:] = float("nan")
        return (states, *output[1:]) if isinstance(output, tuple) else states

    handle = layer.register_forward_hook(poison)
    try:
        return probe()
    finally:
        handle.remove()


def _running(layer: nn.Module, call: tuple[Any, Any]) -> list[nn.Module]:
    """The parts of a layer that hold weights, in the order in which a call runs them."""
    ran: dict[nn.Module, None] = {}
    with ExitStack() as hooks:
        for part in layer.modules():
            if part is not layer and any(True for _ in part.parameters()):
                hooks.callback(part.register_forward_pre_hook(lambda module, args: ran.setdefault(module)).remove)
        layer(*call[0], **call[1])
    return list(ran)


def _flops_of_one(layer: nn.Module, call: tuple[Any, Any]) -> int:
    """Operations, a position, of the products that a call makes with one position a text."""
    flops = 0

    def count(module: Any, args: tuple[torch.Tensor, ...], output: torch.Tensor) -> None:
        nonlocal flops
        flops += 2 * module.weight.numel() if output.shape[1] == 1 else 0

    with ExitStack() as hooks:
        for part in layer.modules():
            if isinstance(part, nn.Linear):
                hooks.callback(part.register_forward_hook(count).remove)
        layer(*call[0], **call[1])
    return flops
