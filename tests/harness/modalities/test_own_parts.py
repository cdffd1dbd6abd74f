"""A plugin's own modality says what its parts are: probes that remove parts explain it, and they are scored."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from windtunnel.harness.modalities.base import Modality, list_modalities
from windtunnel.harness.results.frames import Run
from windtunnel.harness.store import FILE_NAME, Store
from windtunnel.tests.pages import read_page
from windtunnel.tests.toys import windtunnel

PLUGIN = """
from dataclasses import dataclass

from windtunnel import Classify, Logits, Modality, ModelInfo, Sample, Shown, plugin
from windtunnel.harness.api.task import Task

WEIGHTS = ((3.0, -1.0), (0.5, 2.0))


@dataclass(frozen=True)
class Table:
    rows: tuple


class Tables(Modality):
    name, type, part_kind = "table", Table, "cells"

    def size(self, value):
        return sum(map(len, value.rows))

    def preview(self, value):
        return Shown("table", parts=tuple((f"row {i}", " ".join(map(str, row))) for i, row in enumerate(value.rows)))

    def parts(self, value):
        return [(i, k) for i, row in enumerate(value.rows) for k in range(len(row))]

    def without(self, value, parts, way):
        return Table(tuple(tuple(0 if (i, k) in parts else x for k, x in enumerate(row)) for i, row in enumerate(value.rows)))


@plugin("models", "linear")
class Linear:
    def __init__(self, target):
        self.name = self.fingerprint = f"linear:{target}"

    def inspect(self):
        return ModelInfo({"classify": {"table"}}, labels=("low", "high"))

    def load(self, device, dtype):
        return self

    def classify(self, batch):
        sums = [sum(w * x for ws, row in zip(WEIGHTS, r.input.rows) for w, x in zip(ws, row)) for r in batch]
        return [Logits((-s / 2, s / 2)) for s in sums]


@plugin("tasks", "sums")
class Sums(Task):
    name, requires, metrics, primary = "sums", frozenset({"classify", "table"}), ("accuracy",), "correct"

    def samples(self):
        for i in range(4):
            yield Sample(f"t{i}", Table(((i + 1, 2), (1, i))), 1, ("low", "high"))

    def requests(self, sample):
        return [Classify(sample.input, sample.labels)]

    def score(self, sample, responses):
        return {"correct": float(responses[0].values[1] > 0)}

    def predict(self, sample, responses):
        return {"prediction": int(responses[0].values[1] > 0)}
"""
WEIGHTS = np.array([[3.0, -1.0], [0.5, 2.0]])
CELLS = ["(0, 0)", "(0, 1)", "(1, 0)", "(1, 1)"]


def explain(folder: Path, verb: str, plugin: str = PLUGIN) -> Any:
    (folder / "tables.py").write_text(plugin)
    (folder / "suite.yaml").write_text(
        "models: [{name: m, model: 'linear:x'}]\ntasks: [sums]\nprobes:\n"
        "  - {probe: occlusion, scores: [erasure, infidelity, complexity]}\n"
        "  - {probe: kernel_shap, tasks: [sums]}\n  - {probe: lime, tasks: [sums]}\n"
    )
    options = ("--out", folder / "out") if verb == "run" else ()
    return windtunnel(verb, folder / "suite.yaml", "--plugin", folder / "tables.py", *options)


def test_cells_of_a_table_are_explained_and_scored(tmp_path: Path) -> None:
    done = explain(tmp_path, "run")
    assert done.code == 0, done.out + done.err
    store = Store.open(tmp_path / "out" / FILE_NAME, readonly=True)
    records = {i.item: list(store.records(i)) for i in store.items()}
    for number, record in enumerate(records["occlusion(sums)"]):
        found, cells = record.artifacts["attribution"], np.array([[number + 1, 2], [1, number]])
        assert found["parts"] == "cells"
        # Of a linear model, what a cell adds to the explained class's logit is its weight times its number, in halves.
        np.testing.assert_allclose(found["values"], (WEIGHTS * cells).reshape(-1) / 2, atol=1e-3)
        np.testing.assert_allclose(found["values"], records["kernel_shap(sums)"][number].artifacts["attribution"]["values"], atol=5e-3)
        assert record.scores["infidelity"] == pytest.approx(0, abs=1e-6)
        assert record.scores["comprehensiveness"] >= record.scores["comprehensiveness_random"]
    store.close()
    frame = Run.load(tmp_path / "out").samples()
    assert set(frame.loc[frame["kind"] == "probe", "parts"]) == {"cells"}
    (view, *_) = Run.load(tmp_path / "out").scorecard.samples
    assert [(heat.parts, list(heat.names)) for heat in view.heats] == [("cells", CELLS)] * 3
    assert view.heats[0].values[0] == 1.0, "3 of 3 - 2 + 0.5 + 0"
    first, *_ = read_page((tmp_path / "out" / "scorecard.html").read_text()).drawn
    assert "(1, 0)" in [piece[1] for piece in first["heats"][0]["segments"]]


GRADIENTS = """
import numpy as np
import torch
from windtunnel import Encoded

Tables.parts = lambda self, value: np.arange(4).reshape(2, 2)
Tables.without = lambda self, value, parts, way: Table(
    tuple(tuple(0 if 2 * i + k in parts else x for k, x in enumerate(row)) for i, row in enumerate(value.rows))
)


@plugin("models", "smooth")
class Smooth(Linear):
    def inspect(self):
        return ModelInfo({"classify": {"table"}}, frozenset({"gradients"}), labels=("low", "high"))

    def differentiable(self):
        self.module, self.tokenizer = torch.nn.Identity(), None
        return self

    def encode(self, requests):
        cells = torch.tensor([request.input.rows for request in requests], dtype=torch.float32)
        return Encoded(cells, torch.zeros_like(cells), domain=DOMAIN)

    def logits(self, features, encoded, rows=None):
        sums = (features * torch.tensor(WEIGHTS)).sum((1, 2))
        return torch.stack([-sums / 2, sums / 2], 1)
"""


def explain_gradients(folder: Path, domain: str, probe: str = "{probe: input_x_gradient}") -> Any:
    folder.mkdir()
    (folder / "tables.py").write_text(PLUGIN + GRADIENTS.replace("DOMAIN", repr(domain)))
    (folder / "suite.yaml").write_text(f"models: [{{name: m, model: 'smooth:x'}}]\ntasks: [sums]\nprobes: [{probe}]\n")
    return windtunnel("run", folder / "suite.yaml", "--plugin", folder / "tables.py", "--out", folder / "out")


def test_gradients_by_cells_are_a_domain_of_their_own(tmp_path: Path) -> None:
    """The parts lie in an array, and so do the attribution's values."""
    done = explain_gradients(tmp_path / "one", "cells")
    assert done.code == 0, done.out + done.err
    store = Store.open(tmp_path / "one" / "out" / FILE_NAME, readonly=True)
    (item,) = (i for i in store.items() if i.kind == "probe")
    for number, record in enumerate(store.records(item)):
        found = record.artifacts["attribution"]
        assert (found["parts"], record.error) == ("cells", None)
        np.testing.assert_allclose(found["values"], WEIGHTS * [[number + 1, 2], [1, number]] / 2, atol=1e-3)
        assert record.scores["comprehensiveness"] >= record.scores["comprehensiveness_random"]
    store.close()


def test_a_domain_that_does_not_fit_is_told(tmp_path: Path) -> None:
    done = explain_gradients(tmp_path / "one", "embeddings")
    assert done.code == 3
    assert (
        "features of the domain 'embeddings' come without mask_BL" in Run.load(tmp_path / "one" / "out").samples()["error"].dropna().iloc[0]
    )
    done = explain_gradients(tmp_path / "two", "cells", "{probe: integrated_gradients, baseline: 0.5}")
    assert done.code == 2
    assert "baseline: 0.5 is for text or images, and the model's features are 'cells'; leave it out" in done.err


def test_a_modality_without_parts_is_refused_by_the_plan(tmp_path: Path) -> None:
    start, rest = PLUGIN.split("    def parts")
    plain = start.replace(', part_kind = "table", Table, "cells"', ' = "table", Table') + rest[rest.index('\n\n\n@plugin("models"') :]
    planned = explain(tmp_path, "plan", plain)
    assert planned.code == 2
    said = " ".join((planned.out + planned.err).split())
    assert "it attributes to parts of inputs, and the modality 'table' has no parts; give the modality 'parts' and 'without'" in said


@pytest.mark.parametrize("facts", [{"part_kind": "cells"}, {"parts": lambda self, value: ()}, {"without": lambda self, *_: ()}])
def test_parts_and_what_is_left_without_them_come_together(facts: dict[str, Any]) -> None:
    before = list(list_modalities())
    with pytest.raises(TypeError, match="the modality 'grid' has parts; give it both 'parts' and 'without'"):
        type("Half", (Modality,), {"name": "grid", "type": bytearray, **facts})
    assert list(list_modalities()) == before
