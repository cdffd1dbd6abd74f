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

from ...api.errors import ends_run

Probe: TypeAlias = Callable[[], torch.Tensor]
"""A pass of the whole model over a padded batch of its own; gives logits."""
Call: TypeAlias = tuple[tuple[Any, ...], dict[str, Any]]

_ROUNDING = 1e-5
"""Of the spread of what is compared, in float32; half precision rounds a thousand times as much."""


class FirstPosition:
    """``found``: whether nothing but first positions is read. ``parts`` of the last layer, in the order they begin, are given those alone.

    ``flops``: operations of a position's products with the weights in the parts. Holds names, so that it serves copies of the module too.
    """

    def __init__(self, module: nn.Module, probes: Sequence[Probe]) -> None:
        """``probes``: batches of several texts of different lengths, no two batches of one width."""
        self.found, self.flops = False, 0
        self.parts: list[str] = []
        self._layer = _last_layer(module)
        if not self._layer or not probes:
            return
        try:
            with torch.no_grad():
                self._measure(module, probes)
        except BaseException as error:
            if ends_run(error):
                raise
            # Whatever a module raises that cannot run so; whole, it can.
            self.found, self.parts = False, []
        self.flops = sum(2 * layer.weight.numel() for layer in {m for m in self._modules(module) if isinstance(m, nn.Linear)})

    @contextmanager
    def only(self, module: nn.Module, firsts: torch.Tensor) -> Iterator[None]:
        """Within, the last layer says of [B, L, D] only the rows ``firsts`` [N] of B x L, as [N, 1, D], where that is all that is read."""

        def before(part: nn.Module, args: tuple[Any, ...], options: dict[str, Any]) -> Call:
            return tuple(_picked(a, firsts) for a in args), {name: _picked(value, firsts) for name, value in options.items()}

        def after(layer: nn.Module, args: Any, output: Any) -> Any:
            states = _picked(_states(output), firsts)
            return (states, *output[1:]) if isinstance(output, tuple) else states

        with ExitStack() as hooks:
            for part in self.parts:
                hooks.callback(module.get_submodule(part).register_forward_pre_hook(before, with_kwargs=True).remove)
            if self.found:
                hooks.callback(module.get_submodule(self._layer).register_forward_hook(after).remove)
            yield

    def shorten(self, stays: Callable[[], bool]) -> bool:
        """Leave as many parts as what ``stays`` says of them allows. False, and all are left, where it does not even of none."""
        parts, self.parts = self.parts, []
        possible = _holds(stays)
        self.parts = parts
        while possible and self.parts and not _holds(stays):
            self.parts = self.parts[1:]
        return possible

    def _modules(self, module: nn.Module) -> Iterator[nn.Module]:
        return (inner for part in self.parts for inner in module.get_submodule(part).modules())

    def _measure(self, module: nn.Module, probes: Sequence[Probe]) -> None:
        layer = module.get_submodule(self._layer)
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
                with self.only(module, rows):
                    if not close(_states(layer(*args, **options)), states[:, :1]):
                        return False
            return True

        self.found, self.parts = True, [f"{self._layer}.{name}" for name in _running(layer, calls[0])]
        self.shorten(stays)
        for probe, logits, rows in zip(probes, whole, starts, strict=True):
            with self.only(module, rows):
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
    except BaseException as error:
        if ends_run(error):
            raise
        # A part that reshapes by the length it was told, say.
        return False


def _last_layer(module: nn.Module) -> str:
    """The name of the last of the list of layers that holds most of the weights; nothing where there is no list."""
    lists = {name: m for name, m in module.named_modules() if isinstance(m, nn.ModuleList) and len(m)}
    name = max(lists, key=lambda name: sum(p.numel() for p in lists[name].parameters()), default="")
    return name and f"{name}.{len(lists[name]) - 1}"


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


def _running(layer: nn.Module, call: Call) -> list[str]:
    """The parts of a layer that hold weights, by name, in the order in which a call runs them."""
    ran: dict[str, None] = {}
    with ExitStack() as hooks:
        for name, part in layer.named_modules():
            if name and any(True for _ in part.parameters()):
                hooks.callback(part.register_forward_pre_hook(lambda module, args, name=name: ran.setdefault(name)).remove)
        layer(*call[0], **call[1])
    return list(ran)
