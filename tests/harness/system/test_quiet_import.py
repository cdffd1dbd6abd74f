"""Imports without what nobody asked for."""

from __future__ import annotations

import subprocess
import sys

import pytest
from windtunnel.harness.system.quiet_import import hide_module
from windtunnel.tests.toys import child_environment


@pytest.mark.parametrize("name", ["json", "a_module_that_is_not_there"])
def test_a_hidden_module_is_as_before_afterwards(name: str) -> None:
    before = sys.modules.get(name)
    with hide_module(name), pytest.raises(ImportError):
        __import__(name)
    assert sys.modules.get(name) is before
    assert (name in sys.modules) == (before is not None)


def test_metrics_import_no_pipelines_though_a_model_has_imported_transformers() -> None:
    code = (
        "import sys, transformers\n"
        "from windtunnel.harness.metrics.classification import Accuracy\n"
        "assert Accuracy().compute(predictions=[1], references=[1]) == {'accuracy': 1.0}\n"
        "assert sys.modules['transformers'] is transformers\n"
        "print('transformers.pipelines' in sys.modules)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=child_environment(), check=True)
    assert done.stdout == "False\n"
