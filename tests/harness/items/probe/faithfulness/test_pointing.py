"""The pointing game: against a box grown by hand, at every size; and the boxes of a data set's rows."""

from __future__ import annotations

import io
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from windtunnel.harness.api.errors import SampleError
from windtunnel.harness.api.probe import Probe
from windtunnel.harness.api.samples import Attribution, Sample, SampleRng
from windtunnel.harness.data import DataSpec
from windtunnel.harness.engine import Engine
from windtunnel.harness.items.probe.records import make_probe_records
from windtunnel.harness.modalities.image import Image
from windtunnel.harness.models.python.toy import Bright
from windtunnel.tasks.image_classification import ImageClassification, parse_boxes

LABELS = ("dark", "bright")
RNG = SampleRng(0)


class PointsAt(Probe):
    """All of the attribution on one pixel."""

    requires = frozenset({"classify"})

    def __init__(self, row: int, column: int) -> None:
        self.place = row, column

    def attribute(self, engine: Any, samples: Sequence[Sample], /) -> list[Attribution]:
        found = []
        for sample in samples:
            assert isinstance(sample.input, Image)
            values = np.zeros(sample.input.pixels.shape[:2], np.float32)
            values[self.place] = 1
            found.append(Attribution(sample.id, 1, values))
        return found


def pointed(row: int, column: int, size: tuple[int, int], boxes: Any, target: int = 1, num: int = 1) -> list[dict[str, Any]]:
    image = Image(np.full((*size, 1), 200, np.uint8))
    samples = [Sample(f"s{i}", image, target, LABELS, metadata={"boxes": boxes}) for i in range(num)]
    records = make_probe_records(Engine(Bright(), Bright.info), "p(t)", PointsAt(row, column), RNG, samples, ["pointing"])
    return [dict(record.scores) for record in records]


class TestScore:
    @pytest.mark.parametrize(("height", "width"), [(32, 32), (224, 300), (448, 320)])
    def test_within_fifteen_pixels_or_less_on_a_small_image(self, height: int, width: int) -> None:
        slack = 15 * min(1, max(height, width) / 224)
        left, top, right, bottom = width // 2, height // 2, width // 2 + width // 8, height // 2 + height // 8
        boxes = parse_boxes([left, top, right, bottom], width, height)
        draws = np.random.default_rng(0)
        edges = [(height // 2, round(right + slack + d)) for d in (-2, 1)] + [(round(top - slack + d), width // 2) for d in (-2, 1)]
        for row, column in [*draws.integers(0, (height, width), (12, 2)).tolist(), *edges]:
            column = min(column, width - 1)
            is_inside = left - slack <= column + 0.5 <= right + slack and top - slack <= row + 0.5 <= bottom + slack
            assert pointed(max(row, 0), column, (height, width), boxes)[0]["pointing_game"] == is_inside

    def test_any_box_will_do_and_the_control_points_anywhere(self) -> None:
        boxes = parse_boxes([[0, 0, 4, 4], [28, 28, 32, 32]], 32, 32)
        scores = pointed(30, 30, (32, 32), boxes, num=300)
        assert all(s["pointing_game"] == 1 for s in scores)
        # Of 32 x 32 pixels two squares of 4 + 15 / 7 pixels a side: pixels whose middle is nearer than that to a corner are 6 a side.
        assert np.mean([s["pointing_game_random"] for s in scores]) == pytest.approx(72 / 1024, abs=0.05)

    @pytest.mark.parametrize(("boxes", "target"), [([], 1), ([[0.0, 0.0, 1.0, 1.0]], 0)])
    def test_what_has_no_box_or_is_of_another_class_is_not_scored(self, boxes: Any, target: int) -> None:
        assert "pointing_game" not in pointed(0, 0, (8, 8), boxes, target)[0]


class TestTask:
    def task(self, folder: Path) -> ImageClassification:
        from PIL import Image as Pillow

        file = io.BytesIO()
        Pillow.new("RGB", (10, 4)).save(file, format="PNG")
        (folder / "a.png").write_bytes(file.getvalue())
        rows = [{"image": "a.png", "label": "dark", "box": boxes} for boxes in ("[0, 2, 5, 4]", [[5, 0, 10, 1]], [], [0, 0, 11, 1])]
        (folder / "rows.py").write_text(
            "from pathlib import Path\nfrom PIL import Image\n"
            f"def rows():\n    for row in {json.dumps(rows)}:\n"
            "        yield {**row, 'image': Image.open(Path(__file__).with_name('a.png'))}\n"
        )
        data = DataSpec(python=f"{folder / 'rows.py'}:rows")
        return ImageClassification("t", data, image="image", label="label", labels=LABELS, boxes="box")

    def test_boxes_are_in_the_samples(self, tmp_path: Path) -> None:
        samples = list(self.task(tmp_path).samples())
        assert [s.metadata.get("boxes") for s in samples[:3]] == [[[0, 0.5, 0.5, 1]], [[0.5, 0, 1, 0.25]], []]
        assert "inside an image of 10 x 4" in samples[3].metadata["error"]

    @pytest.mark.parametrize("value", ["none", [1, 2, 3], [[5, 0, 5, 1]], [-1, 0, 1, 1], [float("nan"), 0, 1, 1], {"left": 1}])
    def test_what_is_no_box(self, value: Any) -> None:
        with pytest.raises(SampleError, match="boxes"):
            parse_boxes(value, 10, 4)
