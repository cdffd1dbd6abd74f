"""What `import windtunnel` gives an author: each name once, imported when it is used."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest
import windtunnel
from windtunnel.harness.results.frames import Run


def test_names_for_type_checks_are_those_at_run_time() -> None:
    tree = ast.parse(Path(str(windtunnel.__file__)).read_text())
    (block,) = [node for node in tree.body if isinstance(node, ast.If)]
    checked = {
        alias.name: f"windtunnel.{statement.module}"
        for statement in block.body
        if isinstance(statement, ast.ImportFrom)
        for alias in statement.names
    }
    assert checked == windtunnel._HOME
    assert windtunnel.__all__ == sorted(checked)


@pytest.mark.parametrize("name", windtunnel.__all__)
def test_each_name_is_there(name: str) -> None:
    assert getattr(windtunnel, name) is not None
    assert name in dir(windtunnel)


def test_another_name_is_none_of_ours() -> None:
    with pytest.raises(AttributeError, match="module 'windtunnel' has no attribute 'Sampel'"):
        windtunnel.Sampel  # noqa: B018
    assert windtunnel.load == Run.load
