"""The words of every error that the sources can raise, read from the sources themselves.

``python tests/error_messages.py`` writes them to ``tests/error_messages.txt``, a line each: file, class, words. A word in
braces is a placeholder. A changed or a new message so shows in a review.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
LIST = Path(__file__).with_suffix(".txt")
FOLDERS = ("harness", "tasks", "attacks", "probes", "reports")

_TOLD = {"TypeError", "ValueError"}
"""Built-in errors whose words reach a user inside of one of ours, where the sources raise them with words of their own."""
_DEEPEST = 4
_ASK_ABOUT = {"isinstance", "issubclass"}

Scope = Mapping[str, list[ast.expr]]
"""What a function assigns to each of its names."""


@cache
def messages() -> list[str]:
    """The lines of the list: file, class and words of each message, sorted."""
    trees = {path: ast.parse(path.read_text(encoding="utf-8")) for path in _sources()}
    classes = _error_classes(trees.values())
    found = {
        f"{path.relative_to(ROOT).as_posix()}: {cls}: {words}" for path, tree in trees.items() for cls, words in _of_file(tree, classes)
    }
    return sorted(found)


def _sources() -> Iterator[Path]:
    for folder in FOLDERS:
        yield from sorted((ROOT / folder).rglob("*.py"))


def _error_classes(trees: Iterator[ast.Module] | object) -> set[str]:
    """`WindtunnelError`, and every class that derives from it, in any file."""
    bases = {
        node.name: {base.id for base in node.bases if isinstance(base, ast.Name)}
        for tree in trees  # type: ignore[attr-defined]
        for node in ast.walk(tree)
        if isinstance(node, ast.ClassDef)
    }
    known = {"WindtunnelError"}
    while more := {name for name, above in bases.items() if above & known} - known:
        known |= more
    return known


def _of_file(tree: ast.Module, classes: set[str]) -> Iterator[tuple[str, str]]:
    """(class, words) of each error that a file makes, raises or has made by a function that it names the class to."""
    raised = {id(node.exc) for node in ast.walk(tree) if isinstance(node, ast.Raise)}
    for scope, node in _calls(tree, {**_assigned(tree), **_returned(tree)}):
        name = node.func.id if isinstance(node.func, ast.Name) else ""
        is_ours = name in classes or (name in _TOLD and id(node) in raised)
        if is_ours and node.args:
            yield name, _words(node.args[0], scope)
        elif name and name not in _ASK_ABOUT:
            handed_on = [arg.id for arg in node.args[1:] if isinstance(arg, ast.Name) and arg.id in classes]
            if handed_on:
                yield handed_on[0], f"{_words(node.args[0], scope)}: {{error}}"


def _calls(node: ast.AST, scope: Scope) -> Iterator[tuple[Scope, ast.Call]]:
    """Every call, with what the functions around it assign."""
    if isinstance(node, ast.FunctionDef):
        scope = {**scope, **_assigned(node)}
    if isinstance(node, ast.Call):
        yield scope, node
    for child in ast.iter_child_nodes(node):
        yield from _calls(child, scope)


def _assigned(where: ast.Module | ast.FunctionDef) -> dict[str, list[ast.expr]]:
    """What a function, or a file outside of its functions, assigns to each name."""
    found: dict[str, list[ast.expr]] = {}
    for node in ast.walk(where) if isinstance(where, ast.FunctionDef) else where.body:
        if isinstance(node, ast.Assign):
            for target in node.targets:
                if isinstance(target, ast.Name):
                    found.setdefault(target.id, []).append(node.value)
    return found


def _returned(tree: ast.Module) -> dict[str, list[ast.expr]]:
    """What each function of a file returns."""
    return {
        function.name: [node.value for node in ast.walk(function) if isinstance(node, ast.Return) and node.value]
        for function in tree.body
        if isinstance(function, ast.FunctionDef)
    }


def _words(node: ast.expr, scope: Scope, depth: int = 0) -> str:
    """The text that an expression gives, with placeholders; alternatives are separated by a bar."""
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return node.value.replace("\n", "\\n")
    if isinstance(node, ast.JoinedStr):
        return "".join(_words(part, scope, depth) for part in node.values)
    if isinstance(node, ast.FormattedValue):
        return _words(node.value, scope, depth + 1)
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add):
        return _words(node.left, scope, depth) + _words(node.right, scope, depth)
    if isinstance(node, ast.IfExp):
        return f"({_words(node.body, scope, depth)}|{_words(node.orelse, scope, depth)})"
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in scope:
        node = node.func
    if isinstance(node, ast.Name):
        texts = [value for value in scope.get(node.id, ()) if _is_text(value)]
        if texts and len(texts) == len(scope[node.id]) and depth < _DEEPEST:
            words = list(dict.fromkeys(_words(text, scope, depth + 1) for text in texts))
            return words[0] if len(words) == 1 else f"({'|'.join(words)})"
        return f"{{{node.id}}}"
    if isinstance(node, ast.Attribute):
        return f"{{{'class' if node.attr == '__name__' else node.attr}}}"
    return "{...}"


def _is_text(node: ast.expr) -> bool:
    if isinstance(node, ast.IfExp):
        return _is_text(node.body) and _is_text(node.orelse)
    if isinstance(node, ast.BinOp):
        return _is_text(node.left) or _is_text(node.right)
    return isinstance(node, ast.JoinedStr) or (isinstance(node, ast.Constant) and isinstance(node.value, str))


if __name__ == "__main__":
    LIST.write_text("\n".join(messages()) + "\n", encoding="utf-8")
