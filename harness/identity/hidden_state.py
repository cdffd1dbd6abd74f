"""Find functions whose results depend on more than their input: they change their own state, or draw random numbers."""

from __future__ import annotations

import ast
import dis
import inspect
import random
import sys
import textwrap
import types
from collections.abc import Iterator

import numpy as np

_MUTATORS = frozenset({
    "add", "append", "appendleft", "clear", "discard", "extend", "insert", "pop", "popitem", "popleft", "remove",
    "reverse", "setdefault", "sort", "update",
})  # fmt: skip
"""Methods that change Python's containers in place."""

_SEEDING = frozenset({"seed", "getstate", "setstate", "get_state", "set_state"})
_TORCH_DRAWS = frozenset({
    "bernoulli", "multinomial", "normal", "poisson", "rand", "rand_like", "randint", "randint_like", "randn",
    "randn_like", "randperm",
})  # fmt: skip
"""Functions of torch that use its global generator."""


def find_hidden_state(function: types.FunctionType, /) -> list[str]:
    """Describe the state that a function changes or draws from when called, as phrases that follow its name.

    Inspects only the source of the function: changes through another name, or random draws in a library, are not found.
    """
    code = function.__code__
    nodes = _read_body(code)
    parts = list(walk_code(code))
    local = {name for part in parts for name in (*part.co_varnames, *part.co_cellvars)}
    outside = {**function.__globals__, **_find_imported_modules(nodes)}
    steps = (step for part in parts for step in dis.get_instructions(part))
    stored = {str(step.argval) for step in steps if step.opname in ("STORE_GLOBAL", "DELETE_GLOBAL")}
    changed = {name for name in _find_changed(nodes) if name not in local}
    changed -= {name for name, value in outside.items() if isinstance(value, types.ModuleType)}
    around = changed & set(code.co_freevars)
    phrases = []
    if names := sorted(stored | changed - around):
        phrases.append(f"changes {', '.join(names)} of its module when it is called")
    if around:
        phrases.append(f"changes {', '.join(sorted(around))} in its closure when it is called")
    if draws := sorted(set(_find_draws(nodes, outside))):
        phrases.append(f"draws at random ({', '.join(draws)}), so its responses depend on earlier requests")
    return phrases


def walk_code(code: types.CodeType, /) -> Iterator[types.CodeType]:
    """Yield the code of a function, and of all functions defined in it."""
    yield code
    for constant in code.co_consts:
        if isinstance(constant, types.CodeType):
            yield from walk_code(constant)


def _read_body(code: types.CodeType) -> list[ast.AST]:
    """Return all nodes of the function's body; none if its source is missing or cannot be parsed alone."""
    try:
        tree = ast.parse(textwrap.dedent(inspect.getsource(code)))
    except (OSError, SyntaxError, TypeError, ValueError):
        return []
    body: list[ast.AST] = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Lambda) and code.co_name == "<lambda>":
            body += ast.walk(node.body)
        elif isinstance(node, ast.FunctionDef) and node.name == code.co_name:
            body += (inner for statement in node.body for inner in ast.walk(statement))
    return body


def _find_imported_modules(nodes: list[ast.AST]) -> dict[str, types.ModuleType]:
    """Return the modules that the function itself imports, by their local names."""
    names = {
        alias.asname or alias.name.partition(".")[0]: alias.name if alias.asname else alias.name.partition(".")[0]
        for node in nodes
        if isinstance(node, ast.Import)
        for alias in node.names
    }
    return {name: sys.modules[module] for name, module in names.items() if module in sys.modules}


def _find_changed(nodes: list[ast.AST]) -> Iterator[str]:
    """Yield the names of values that the code changes: items, attributes, or calls of mutating methods."""
    for node in nodes:
        if isinstance(node, ast.Subscript | ast.Attribute) and isinstance(node.ctx, ast.Store | ast.Del):
            yield from _find_first_name(node)
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in _MUTATORS:
            yield from _find_first_name(node.func)


def _find_first_name(node: ast.expr) -> Iterator[str]:
    """Yield the name at the start of a chain such as ``STATE.counts["a"]``, if there is one."""
    while isinstance(node, ast.Subscript | ast.Attribute):
        node = node.value
    if isinstance(node, ast.Name):
        yield node.id


def _find_draws(nodes: list[ast.AST], outside: dict[str, object]) -> Iterator[str]:
    """Yield the used functions of the global random generators."""
    for node in nodes:
        if isinstance(node, ast.Attribute):
            owner = _resolve_module(node.value, outside)
            if owner is None or node.attr in _SEEDING:
                continue
            bound_to = getattr(vars(owner).get(node.attr), "__self__", None)
            is_torch = owner.__name__ == "torch" and node.attr in _TORCH_DRAWS
            if is_torch or isinstance(bound_to, random.Random | np.random.RandomState):
                yield f"{owner.__name__}.{node.attr}"


def _resolve_module(node: ast.expr, outside: dict[str, object]) -> types.ModuleType | None:
    """Return the module of a chain of names such as ``np.random``; None for anything else."""
    if isinstance(node, ast.Name):
        value = outside.get(node.id)
    elif isinstance(node, ast.Attribute) and (parent := _resolve_module(node.value, outside)) is not None:
        value = vars(parent).get(node.attr)
    else:
        return None
    return value if isinstance(value, types.ModuleType) else None
