"""A JAX function, or a flax module, of inputs and parameters."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any
from weakref import WeakKeyDictionary

import numpy as np

from ...api.errors import ModelError
from ..common.encoding import split_arguments
from .bridged_module import Array, Program, Weights

Apply = Callable[..., Any]
"""``apply(parameters, *inputs, **inputs)``: inputs by position or name."""


class JaxProgram(Program):
    """A function ``apply(parameters, *inputs)`` that JAX can trace.

    apply: the function. parameters: nested dicts, lists and tuples of arrays.
    """

    def __init__(self, apply: Apply, parameters: Any) -> None:
        import jax

        leaves, self._tree = jax.tree_util.tree_flatten_with_path(parameters)
        self._paths = [".".join(_name(part) for part in path) or "value" for path, _ in leaves]
        if shared := [path for path, num in Counter(self._paths).items() if num > 1]:
            raise ModelError(f"two parameters have the path {shared[0]!r}; give one of them another name")
        self._initial = {path: np.asarray(leaf) for path, (_, leaf) in zip(self._paths, leaves, strict=True)}
        self._apply = apply
        # Weak, because compiled functions and copies on the device are no part of what the program is.
        self._compiled: WeakKeyDictionary[Apply, Any] = WeakKeyDictionary()
        self._converted: tuple[Weights, Any] = ({}, None)

    def set_weights(self, given: Weights, name: str, /) -> None:
        """Replace the parameters. Raises `ModelError` if their paths or shapes differ. name: the model's name."""
        short = {path.removeprefix("params."): path for path in self._paths}
        found = {short.get(path, path): values for path, values in given.items()}
        wrong = sorted(set(found) ^ set(self._paths)) or [p for p in self._paths if np.shape(found[p]) != self._initial[p].shape]
        if wrong:
            raise ModelError(
                f"the parameters given for {name!r} differ from its own in {', '.join(wrong[:5])}; save those of the same module"
            )
        self._initial = {path: np.asarray(found[path]) for path in self._paths}

    def read_weights(self) -> Weights:
        return self._initial

    def run(self, weights: Weights, inputs: Mapping[str, Array], /) -> Array:
        import jax

        forward, _ = self._compile()
        parameters, parts = self._convert(weights), []
        for rows in _list_passes(len(next(iter(inputs.values())))):
            scores = forward(parameters, {name: _take(each, rows) for name, each in inputs.items()})
            if not isinstance(scores, jax.Array) or not scores.ndim:
                raise ModelError(f"the function returned {_describe(scores)}; return one array of class scores [B, K]")
            parts.append(np.asarray(scores))
        return np.concatenate(parts)[: len(next(iter(inputs.values())))]

    def pull_back(self, weights: Weights, inputs: Mapping[str, Array], by: str, cotangents: Array, /) -> Array:
        _, backward = self._compile()
        parameters, parts = self._convert(weights), []
        for rows in _list_passes(len(cotangents)):
            others = {name: _take(each, rows) for name, each in inputs.items() if name != by}
            parts.append(np.asarray(backward(parameters, _take(cotangents, rows), _take(inputs[by], rows), by, others)))
        return np.concatenate(parts)[: len(cotangents)]

    def _compile(self) -> tuple[Any, Any]:
        import jax

        if self._apply not in self._compiled:
            apply = self._apply

            def run(parameters: Any, inputs: Mapping[str, Any]) -> Any:
                places, named = split_arguments(inputs)
                return apply(parameters, *places, **named)

            def pull_back(parameters: Any, cotangents: Any, values: Any, by: str, others: Mapping[str, Any]) -> Any:
                return jax.vjp(lambda given: run(parameters, {**others, by: given}), values)[1](cotangents)[0]

            self._compiled[self._apply] = jax.jit(run), jax.jit(pull_back, static_argnums=3)
        return self._compiled[self._apply]

    def _convert(self, weights: Weights) -> Any:
        import jax

        if weights is not self._converted[0]:
            parameters = jax.tree_util.tree_unflatten(self._tree, [jax.numpy.asarray(weights[path]) for path in self._paths])
            self._converted = weights, parameters
        return self._converted[1]


def make_jax_program(made: Any, given: Weights | None, name: str, /) -> JaxProgram:
    """Return the program of what a user's function returned.

    made: a function ``apply(inputs)``; a pair of ``apply(parameters, inputs)``, or a flax linen module, and its parameters; or a flax nnx
        module, which has its own.
    given: parameters by path, in place of those of ``made``; None for those.
    name: the model's name in errors.
    """
    apply, own = made if isinstance(made, tuple) and len(made) == 2 else (made, None)
    is_linen = False
    if _is_nnx(apply):
        from flax import nnx

        graph, state = nnx.split(apply)
        apply, own = partial(_apply_nnx, graph), nnx.to_pure_dict(state)
    elif not isinstance(apply, type) and callable(getattr(apply, "apply", None)):
        apply, is_linen = apply.apply, True
    if not callable(apply):
        raise ModelError(f"{name!r} returned a {type(made).__name__}; return a function of the inputs, or (function, parameters)")
    if given is not None and own is None:
        nested = nest(given)
        own = {"params": nested} if is_linen and "params" not in nested else nested
        given = None
    if own is None:
        return JaxProgram(partial(_apply_alone, apply), {})
    program = JaxProgram(apply, own)
    if given is not None:
        program.set_weights(given, name)
    return program


def read_parameters(path: Path, /) -> Weights:
    """Read parameters by path from a safetensors file. Raises `ModelError` if it cannot be read."""
    from safetensors import SafetensorError
    from safetensors.numpy import load_file

    try:
        return load_file(path)
    except (OSError, SafetensorError) as error:
        raise ModelError(f"the parameters in {path} cannot be read: {error}; save them with safetensors.numpy.save_file") from error


def nest(flat: Weights, /) -> dict[str, Any]:
    """Return nested dicts; the dots of names separate their keys."""
    nested: dict[str, Any] = {}
    for name, values in flat.items():
        *outer, last = name.split(".")
        inside = nested
        for key in outer:
            inside = inside.setdefault(key, {})
        inside[last] = values
    return nested


def _is_nnx(made: Any) -> bool:
    nnx = sys.modules.get("flax.nnx")
    return nnx is not None and isinstance(made, nnx.Module)


def _apply_nnx(graph: Any, parameters: Any, *places: Any, **named: Any) -> Any:
    from flax import nnx

    return nnx.merge(graph, nnx.State(parameters))(*places, **named)


def _apply_alone(apply: Callable[..., Any], parameters: Any, *places: Any, **named: Any) -> Any:
    return apply(*places, **named)


def _name(key: Any) -> str:
    """Return a part of a path in a tree. key: with the name of a dict's key, an attribute or a place in a list."""
    names = (getattr(key, attribute, None) for attribute in ("key", "name", "idx"))
    return str(next((name for name in names if name is not None), key))


def _describe(value: Any) -> str:
    return "a number" if getattr(value, "ndim", None) == 0 else f"a {type(value).__name__}"


_SIZES = (64, 8, 1)
"""Numbers of rows of a pass: few, because JAX compiles a function again for each."""


def _list_passes(num: int) -> list[range]:
    """Return the rows of each pass; the last one may go beyond them."""
    passes, start = [], 0
    while start < num:
        large, small, alone = _SIZES
        size = alone if num == 1 else large if num - start >= large else small
        passes.append(range(start, start + size))
        start += size
    return passes


def _take(batch: Array, rows: range) -> Array:
    """Return some rows; the last one stands for those that there are not."""
    return batch[np.minimum(rows, len(batch) - 1)]
