"""The last layer of an encoder, computed for the first position of each text where nothing else of it is read.

A classifier of BERT's kind reads what its last layer says of the first token. That token attends to all others, so their keys and values
are needed; what comes after attention works on each position by itself, and there the first is enough: an eighth of what six layers cost.

No architecture is known here. When a model is loaded, what its last layer says of the other positions is replaced by NaN: if the logits
stay, nothing reads it. Then the layer's parts are given first positions alone, from one part on, which is the earliest that leaves
what the layer says of them as it was. A model of another kind runs whole.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any, TypeAlias

import torch
from torch import nn

from ..errors import ends_run

Probe: TypeAlias = Callable[[], torch.Tensor]
"""A pass of the whole model over a padded batch of its own; gives logits."""
Call: TypeAlias = tuple[tuple[Any, ...], dict[str, Any]]

_ROUNDING = 1e-5
"""Of the spread of what is compared, in float32; half precision rounds a thousand times as much."""


class FirstPosition:
    """``found``: whether nothing but first positions is read. ``parts`` of the last layer, in the order they begin, are given those alone.

    ``flops``: operations of a position's products with the weights in the parts.
    """

    def __init__(self, module: nn.Module, probes: Sequence[Probe]) -> None:
        """``probes``: batches of several texts of different lengths, no two batches of one width."""
        self.found = False
        self.parts: list[nn.Module] = []
        self._layer = _last_layer(module)
        if self._layer is None or not probes:
            return
        try:
            with torch.no_grad():
                self._measure(self._layer, probes)
        except Exception as error:
            if ends_run(error):
                raise
            # Whatever a module raises that cannot run so; whole, it can.
            self.found, self.parts = False, []

    @contextmanager
    def only(self, firsts: torch.Tensor) -> Iterator[None]:
        """Within, the last layer says of [B, L, D] only the rows ``firsts`` [N] of B x L, as [N, 1, D], where that is all that is read."""

        def before(module: nn.Module, args: tuple[Any, ...], options: dict[str, Any]) -> Call:
            return tuple(_picked(a, firsts) for a in args), {name: _picked(value, firsts) for name, value in options.items()}

        def after(module: nn.Module, args: Any, output: Any) -> Any:
            states = _picked(_states(output), firsts)
            return (states, *output[1:]) if isinstance(output, tuple) else states

        with ExitStack() as hooks:
            for part in self.parts:
                hooks.callback(part.register_forward_pre_hook(before, with_kwargs=True).remove)
            if self.found and self._layer is not None:
                hooks.callback(self._layer.register_forward_hook(after).remove)
            yield

    def shorten(self, stays: Callable[[], bool]) -> bool:
        """Leave as many parts as what ``stays`` says of them allows. False, and all are left, where it does not even of none."""
        parts, self.parts = self.parts, []
        possible = _holds(stays)
        self.parts = parts
        while possible and self.parts and not _holds(stays):
            self.parts = self.parts[1:]
        return possible

    @property
    def flops(self) -> int:
        layers = {m for part in self.parts for m in part.modules() if isinstance(m, nn.Linear)}
        return sum(2 * layer.weight.numel() for layer in layers)

    def _measure(self, layer: nn.Module, probes: Sequence[Probe]) -> None:
        whole, calls = [], []
        for probe in probes:
            logits, called = _watched(layer, probe)
            if len(called) != 1 or not torch.equal(_poisoned(layer, probe), logits):
                return
            whole.append(logits)
            calls += called
        wanted = [_states(layer(*args, **options)) for args, options in calls]
        starts = [firsts(*states.shape[:2]).to(states.device) for states in wanted]

        def stays() -> bool:
            for (args, options), states, rows in zip(calls, wanted, starts, strict=True):
                with self.only(rows):
                    if not close(_states(layer(*args, **options)), states[:, :1]):
                        return False
            return True

        self.found, self.parts = True, _running(layer, calls[0])
        self.shorten(stays)
        for probe, logits, rows in zip(probes, whole, starts, strict=True):
            with self.only(rows):
                self.found = self.found and close(probe(), logits)
        self.parts = self.parts if self.found else []


def firsts(rows: int, width: int, /) -> torch.Tensor:
    """Where the texts of a padded batch begin, counted through it."""
    return torch.arange(0, rows * width, width)


def close(found: torch.Tensor, wanted: torch.Tensor, /) -> bool:
    """Whether all is the same but for rounding."""
    tolerance = _ROUNDING * (1 if wanted.dtype == torch.float32 else 1000)
    return found.shape == wanted.shape and bool((found.float() - wanted.float()).abs().max() <= tolerance * wanted.float().std())


def _holds(stays: Callable[[], bool]) -> bool:
    try:
        return stays()
    except Exception as error:
        if ends_run(error):
            raise
        # A part that reshapes by the length it was told, say.
        return False


def _last_layer(module: nn.Module) -> nn.Module | None:
    """The last of the list of layers that holds most of the weights."""
    lists = [m for m in module.modules() if isinstance(m, nn.ModuleList) and len(m)]
    return max(lists, key=lambda m: sum(p.numel() for p in m.parameters()))[-1] if lists else None


def _picked(value: Any, firsts: torch.Tensor) -> Any:
    """Of states [B, L, D] the rows asked for, as [N, 1, D]; of those, and of anything else, all."""
    if not isinstance(value, torch.Tensor) or value.ndim != 3 or not value.is_floating_point() or value.shape[1] == 1:
        return value
    return value.flatten(0, 1)[firsts][:, None]


def _states(output: Any) -> torch.Tensor:
    found: torch.Tensor = output[0] if isinstance(output, tuple) else output
    return found


# ── passes that are watched ───────────────────────────────────────────────────────────────────────────────────────────


def _watched(layer: nn.Module, probe: Probe) -> tuple[torch.Tensor, list[Call]]:
    """Logits, and what the layer was called with."""
    calls: list[Call] = []
    handle = layer.register_forward_pre_hook(lambda module, args, options: calls.append((args, options)), with_kwargs=True)
    try:
        return probe(), calls
    finally:
        handle.remove()


def _poisoned(layer: nn.Module, probe: Probe) -> torch.Tensor:
    """Logits where the layer says NaN of all positions but the first."""

    def poison(module: nn.Module, args: Any, output: Any) -> Any:
        states = _states(output).clone()
        states[:, 1:] = float("nan")
        return (states, *output[1:]) if isinstance(output, tuple) else states

    handle = layer.register_forward_hook(poison)
    try:
        return probe()
    finally:
        handle.remove()


def _running(layer: nn.Module, call: Call) -> list[nn.Module]:
    """The parts of a layer that hold weights, in the order in which a call runs them."""
    ran: dict[nn.Module, None] = {}
    with ExitStack() as hooks:
        for part in layer.modules():
            if part is not layer and any(True for _ in part.parameters()):
                hooks.callback(part.register_forward_pre_hook(lambda module, args: ran.setdefault(module)).remove)
        layer(*call[0], **call[1])
    return list(ran)
