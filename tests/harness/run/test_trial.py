"""Settings of probes that depend on the weights are tried when these are loaded: before any item runs, on every model."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from windtunnel.examples.demo import digits
from windtunnel.harness.api.errors import ConfigError
from windtunnel.harness.api.registry import Registry
from windtunnel.harness.plan.planner import plan
from windtunnel.harness.run.runner import run_plan
from windtunnel.harness.store import FILE_NAME, Store
from windtunnel.harness.suite.load import make_suite

DEMO = Path(digits.__file__).parent
BERT, VIT, GPT = (f"hf:{DEMO / 'models' / name}" for name in ("reviews-bert", "digits-vit", "prose-gpt"))
NET = """
import torch
from torch import nn

def make():
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(144, 10))

def other():
    torch.manual_seed(0)
    return nn.Sequential(nn.Flatten(), nn.Linear(192, 10))
"""


def ran(folder: Path, models: list[str], task: str, probe: dict[str, Any]) -> list[str]:
    """The items that a run came to have records of, whether it ended well or not."""
    (folder / "nets.py").write_text(NET)
    given = [{"name": f"m{i}", "model": model, **({"labels": list(digits.NAMES), "size": [8, 8]} if "nets" in model else {})}
             for i, model in enumerate(models)]  # fmt: skip
    suite = {
        "models": given,
        "tasks": [str(DEMO / "tasks" / f"{task}.yaml")],
        "probes": [{"scores": ["complexity"], **probe}],
        "limit": 2,
        "device": "cpu",
    }
    made = plan(make_suite(suite, base=folder), Registry())
    try:
        run_plan(made, folder / "run")
    finally:
        store = Store.open(folder / "run" / FILE_NAME, readonly=True)
        items = [f"{i.model}/{i.item}" for i in store.items() if store.count(i)]
        store.close()
    return items


@pytest.mark.parametrize(
    ("model", "task", "probe", "told"),
    [
        (BERT, "reviews", {"probe": "layer_integrated_gradients", "layer": "bert.encoder.layr.0"}, "Did you mean 'bert.encoder.layer.0'"),
        (BERT, "reviews", {"probe": "layer_conductance", "layer": "bert.encoder.layer.99"}, "no layer"),
        (BERT, "reviews", {"probe": "layer_conductance", "layer": "classifier"}, "not values for each token"),
        (BERT, "reviews", {"probe": "neuron_conductance", "layer": "bert.encoder.layer.0", "neuron": [0, 99999]}, "among which"),
        (BERT, "reviews", {"probe": "integrated_gradients", "baseline": "no such token"}, "not one token"),
        (BERT, "reviews", {"probe": "gradient_shap", "baseline": 0.5}, "this is text"),
        (BERT, "reviews", {"probe": "attention", "layer": 40}, "no layer 40"),
        (VIT, "digits", {"probe": "integrated_gradients", "baseline": "[MASK]"}, "is for text"),
        (VIT, "digits", {"probe": "deep_lift"}, "models with attention"),
        ("torch:nets.py:make", "digits", {"probe": "grad_cam", "layer": "conv"}, "no layer 'conv'. Its convolutions: 0"),
        ("torch:nets.py:make", "digits", {"probe": "grad_cam", "layer": "3"}, "not maps"),
        (GPT, "cloze", {"probe": "integrated_gradients", "baseline": "two tokens at least"}, "not one token"),
        (GPT, "cloze", {"probe": "layer_integrated_gradients", "layer": "nowhere"}, "no layer 'nowhere'"),
    ],
)  # fmt: skip
def test_a_setting_that_does_not_fit_ends_the_run_before_it_begins(
    tmp_path: Path, model: str, task: str, probe: dict[str, Any], told: str
) -> None:
    with pytest.raises(ConfigError) as raised:
        ran(tmp_path, [model], task, probe)
    assert told in str(raised.value)
    assert f"{probe['probe']}({task}) on model 'm0'" in str(raised.value)
    assert not (tmp_path / "run" / "scorecard.html").exists()
    store = Store.open(tmp_path / "run" / FILE_NAME, readonly=True)
    assert not store.items(), "nothing ran"
    store.close()


def test_a_later_model_is_tried_before_the_first_one_runs(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"on model 'm1': grad_cam: the model has no layer '0'|on model 'm1'.*not maps"):
        ran(tmp_path, ["torch:nets.py:make", "torch:nets.py:other"], "digits", {"probe": "grad_cam", "layer": "0"})
    store = Store.open(tmp_path / "run" / FILE_NAME, readonly=True)
    assert not store.items()
    store.close()


def test_what_fits_runs_and_counts_no_more_passes(tmp_path: Path) -> None:
    probe = {"probe": "integrated_gradients", "steps": 4, "max_steps": 4}
    plain, named = tmp_path / "plain", tmp_path / "named"
    plain.mkdir()
    named.mkdir()
    counted = []
    for folder, more in ((plain, {}), (named, {"baseline": 0.0})):
        assert "m0/integrated_gradients(digits)" in ran(folder, ["torch:nets.py:make"], "digits", {**probe, **more})
        store = Store.open(folder / "run" / FILE_NAME, readonly=True)
        counted.append([store.counters(item) for item in store.items()])
        store.close()
    assert counted[0] == counted[1]
