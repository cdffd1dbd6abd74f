"""The example of seven forms in one suite: six of them are the same network, and their rows are equal."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest
import windtunnel as wt
import yaml
from windtunnel.tests.ports import SHOWN

pytestmark = pytest.mark.skipif(
    not all(map(find_spec, ("onnx", "onnxruntime", "jax", "keras", "skops"))), reason="needs onnx, onnxruntime, jax, keras and skops"
)


@pytest.mark.long
def test_the_forms_of_one_network_have_equal_rows(tmp_path: Path) -> None:
    folder = tmp_path / "forms"
    shutil.copytree(SHOWN / "forms", folder, ignore=shutil.ignore_patterns("made", "__pycache__"))
    shutil.copytree(SHOWN / "demo/tasks", tmp_path / "demo/tasks")
    suite = yaml.safe_load((folder / "suite.yaml").read_text())
    suite |= {"limit": 6, "attacks": [], "probes": [{"probe": "occlusion", "scores": ["erasure"]}]}
    (folder / "suite.yaml").write_text(yaml.safe_dump(suite))
    environment = {**os.environ, "KERAS_BACKEND": "torch"}
    command = "from windtunnel.harness.cli.main import main; main()"
    for line in (["make.py"], ["-c", command, "run", "suite.yaml", "--out", str(tmp_path / "run"), "--device", "cpu"]):
        done = subprocess.run([sys.executable, *line], cwd=folder, env=environment, capture_output=True, text=True)
        assert done.returncode in (0, 1), done.stderr[-3000:]
    card = wt.load(tmp_path / "run").scorecard
    assert card.complete
    assert card.num_failed == 0
    known = [row for row in card.rows if not (row.control or row.slice) and "seconds" not in row.name and "tokens" not in row.name]
    names = [model["name"] for model in suite["models"]]
    assert {row.model for row in known} == set(names)
    values = {(row.model, f"{row.item}.{row.name}"): row.estimate.value for row in known}
    for name in ("reviews.accuracy", "reviews.log_loss", "occlusion(reviews).comprehensiveness"):
        same = [values[model, name] for model in names if model != "pipeline"]
        assert len(same) == 6
        assert same == pytest.approx([same[0]] * 6, abs=1e-4)
