"""Compute the last layer of an encoder only for the first position of each text, if the model reads no other.

A BERT-like classifier reads the last layer's output at the first token only. That token attends to all others, so their
keys and values are needed. But the parts after attention work on each position separately, and need only the first: this
saves an eighth of the cost of six layers.

The module does not know architectures. When a model is loaded, the last layer's output at other positions is replaced by
NaN: if the logits do not change, nothing reads it. Then the parts of the layer get only first positions, starting at the
earliest part for which the layer's output there stays the same. Other models run as they are.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any, TypeAlias

import torch
from torch import nn

from ...api.errors import ends_run

Probe: TypeAlias = Callable[[], torch.Tensor]
"""Runs the whole model on a fixed padded batch and returns logits."""
Call: TypeAlias = tuple[tuple[Any, ...], dict[str, Any]]

_ROUNDING = 1e-5
"""Tolerance in float32, relative to the standard deviation; a thousand times as much in half precision."""


class FirstPosition:
    """Restricts parts of the last layer to first positions. It holds names of parts, so it works for copies of the module.

    is_possible: whether the model reads only first positions.
    parts: parts of the last layer that get only first positions, in order of execution.
    flops: operations per position in these parts.
    """

    def __init__(self, module: nn.Module, probes: Sequence[Probe]) -> None:
        """Measure a module. ``probes``: batches of several texts of different lengths, each batch with another width."""
        self.is_possible, self.flops = False, 0
        self.parts: list[str] = []
        self._layer = _find_last_layer(module)
        if not self._layer or not probes:
            return
        try:
            with torch.no_grad():
                self._measure(module, probes)
        except BaseException as error:
            if ends_run(error):
                raise
            # Any exception means that the module cannot run this way.
            self.is_possible, self.parts = False, []
        self.flops = sum(2 * layer.weight.numel() for layer in {m for m in self._list_modules(module) if isinstance(m, nn.Linear)})

    @contextmanager
    def only(self, module: nn.Module, firsts: torch.Tensor) -> Iterator[None]:
        """Make the last layer return, in the body, only the rows ``firsts`` [N] of its B x L positions, as [N, 1, D].

        Has no effect if the model reads other positions.
        """

        def before(part: nn.Module, args: tuple[Any, ...], options: dict[str, Any]) -> Call:
            return tuple(_pick(a, firsts) for a in args), {name: _pick(value, firsts) for name, value in options.items()}

        def after(layer: nn.Module, args: Any, output: Any) -> Any:
            states = _pick(_get_states(output), firsts)
            return (states, *output[1:]) if isinstance(output, tuple) else states

        with ExitStack() as hooks:
            for part in self.parts:
                hooks.callback(module.get_submodule(part).register_forward_pre_hook(before, with_kwargs=True).remove)
            if self.is_possible:
                hooks.callback(module.get_submodule(self._layer).register_forward_hook(after).remove)
            yield

    def shorten(self, stays: Callable[[], bool]) -> bool:
        """Drop the earliest parts until ``stays()`` holds. Returns False, and drops nothing, if it does not hold without parts."""
        parts, self.parts = self.parts, []
        possible = _holds(stays)
        self.parts = parts
        while possible and self.parts and not _holds(stays):
            self.parts = self.parts[1:]
        return possible

    def _list_modules(self, module: nn.Module) -> Iterator[nn.Module]:
        return (inner for part in self.parts for inner in module.get_submodule(part).modules())

    def _measure(self, module: nn.Module, probes: Sequence[Probe]) -> None:
        layer = module.get_submodule(self._layer)
        whole, calls = [], []
        for probe in probes:
            logits, called = _run_and_record(layer, probe)
            if len(called) != 1 or not torch.equal(_run_poisoned(layer, probe), logits):
                return
            whole.append(logits)
            calls += called
        wanted = [_get_states(layer(*args, **options)) for args, options in calls]
        starts = [find_first_positions(*states.shape[:2]).to(states.device) for states in wanted]

        def stays() -> bool:
            for (args, options), states, rows in zip(calls, wanted, starts, strict=True):
                with self.only(module, rows):
                    if not close(_get_states(layer(*args, **options)), states[:, :1]):
                        return False
            return True

        self.is_possible, self.parts = True, [f"{self._layer}.{name}" for name in _list_parts(layer, calls[0])]
        self.shorten(stays)
        for probe, logits, rows in zip(probes, whole, starts, strict=True):
            with self.only(module, rows):
                self.is_possible = self.is_possible and close(probe(), logits)
        self.parts = self.parts if self.is_possible else []


def find_first_positions(rows: int, width: int, /) -> torch.Tensor:
    """Return the flat indices of the first positions in a padded batch, [rows]."""
    return torch.arange(0, rows * width, width)


def close(actual: torch.Tensor, expected: torch.Tensor, /) -> bool:
    """Whether two tensors are equal up to rounding."""
    tolerance = _ROUNDING * (1 if expected.dtype == torch.float32 else 1000)
    return actual.shape == expected.shape and bool((actual.float() - expected.float()).abs().max() <= tolerance * expected.float().std())


def _holds(stays: Callable[[], bool]) -> bool:
    try:
        return stays()
    except BaseException as error:
        if ends_run(error):
            raise
        # For example, a part that reshapes to the full length.
        return False


def _find_last_layer(module: nn.Module) -> str:
    """Return the name of the last layer in the module list with most weights; empty if there is no module list."""
    lists = {name: m for name, m in module.named_modules() if isinstance(m, nn.ModuleList) and len(m)}
    name = max(lists, key=lambda name: sum(p.numel() for p in lists[name].parameters()), default="")
    return name and f"{name}.{len(lists[name]) - 1}"


def _pick(value: Any, firsts: torch.Tensor) -> Any:
    """Return the rows ``firsts`` of states [B, L, D] as [N, 1, D]; any other value unchanged."""
    if not isinstance(value, torch.Tensor) or value.ndim != 3 or not value.is_floating_point() or value.shape[1] == 1:
        return value
    return value.flatten(0, 1)[firsts][:, None]


def _get_states(output: Any) -> torch.Tensor:
    states: torch.Tensor = output[0] if isinstance(output, tuple) else output
    return states


# ── observed passes ───────────────────────────────────────────────────────────────────────────────────────────────────


def _run_and_record(layer: nn.Module, probe: Probe) -> tuple[torch.Tensor, list[Call]]:
    """Return the logits, and the arguments of each call of the layer."""
    calls: list[Call] = []
    handle = layer.register_forward_pre_hook(lambda module, args, options: calls.append((args, options)), with_kwargs=True)
    try:
        return probe(), calls
    finally:
        handle.remove()


def _run_poisoned(layer: nn.Module, probe: Probe) -> torch.Tensor:
    """Return the logits if the layer's output is NaN at all positions but the first."""

    def poison(module: nn.Module, args: Any, output: Any) -> Any:
        states = _get_states(output).clone()
        states[:, 1:] = float("nan")
        return (states, *output[1:]) if isinstance(output, tuple) else states

    handle = layer.register_forward_hook(poison)
    try:
        return probe()
    finally:
        handle.remove()


def _list_parts(layer: nn.Module, call: Call) -> list[str]:
    """Return the names of the parts of a layer that have weights, in order of execution."""
    ran: dict[str, None] = {}
    with ExitStack() as hooks:
        for name, part in layer.named_modules():
            if name and any(True for _ in part.parameters()):
                hooks.callback(part.register_forward_pre_hook(lambda module, args, name=name: ran.setdefault(name)).remove)
        layer(*call[0], **call[1])
    return list(ran)
