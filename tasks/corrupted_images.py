"""Classify an image clean and under fifteen common corruptions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Unpack

import numpy as np

from ..harness.api.errors import ConfigError, suggest_name
from ..harness.api.requests import Classify
from ..harness.api.responses import Logits
from ..harness.api.samples import Sample, SampleRng
from ..harness.data import DataSpec
from ..harness.modalities.image import Image
from .base import Common
from .corruptions import CORRUPTIONS, SEVERITIES, corrupt
from .fields import Label
from .image_classification import ImageClassification


class CorruptedImages(ImageClassification):
    """Classify each image clean and under each of 15 corruptions at each of 5 severities: 76 requests
    (Hendrycks & Dietterich 2019).

    Corruptions apply at the model's own size. Their random draws depend only on the sample, the corruption
    and the severity.

    image, mode, label, labels, label_map, boxes: see ``image_classification``.
    baseline: error of another model under each corruption, summed over the five severities, by the
        corruption's name; it adds the metric ``mce``, the paper's mean corruption error.
    """

    # With 76 answers per sample there is no single answer to attack or explain.
    primary = ""
    default_metrics: ClassVar[tuple[str, ...]] = ("accuracy", "corruption_error")

    def __init__(
        self, name: str, data: DataSpec, *, image: str, label: str, mode: Any = "RGB", labels: Sequence[Label] = (),
        label_map: Mapping[Label, Label] | None = None, baseline: Mapping[str, float] | None = None, **common: Unpack[Common],
    ) -> None:  # fmt: skip
        super().__init__(name, data, image=image, label=label, mode=mode, labels=labels, label_map=label_map, **common)
        for kind, error in (baseline or {}).items():
            if kind not in CORRUPTIONS:
                raise ConfigError(
                    f"baseline: there is no corruption {kind!r}.{suggest_name(kind, CORRUPTIONS)} Corruptions: {', '.join(CORRUPTIONS)}"
                )
            if not error > 0:
                raise ConfigError(f"baseline: the error of {kind}, summed over {len(SEVERITIES)} severities, must be above 0, not {error}")
        if baseline and len(baseline) < len(CORRUPTIONS):
            raise ConfigError(f"baseline lacks {', '.join(kind for kind in CORRUPTIONS if kind not in baseline)}")
        self._baseline = np.array([baseline[kind] for kind in CORRUPTIONS]) if baseline else None
        if baseline and not common.get("metrics"):
            self.metrics = (*self.default_metrics, "mce")

    def run(self, engine: Any, samples: Sequence[Sample], /) -> list[list[Any]]:
        """Return for each sample the clean answer, and for each corruption whether the answer was wrong;
        answers may be long."""
        requests = [self.requests(sample)[0] for sample in samples]
        answered: list[list[Any]] = [[answer] for answer in engine.run(requests)]
        clean = [engine.canonical(sample.input) for sample in samples]
        for kind in CORRUPTIONS:
            for severity in SEVERITIES:
                rng = SampleRng("corruption", kind, severity)
                images = [_corrupt(image, kind, severity, rng(sample.id)) for image, sample in zip(clean, samples, strict=True)]
                answers = engine.run([Classify(image, sample.labels) for image, sample in zip(images, samples, strict=True)])
                for responses, sample, answer in zip(answered, samples, answers, strict=True):
                    responses.append(1.0 - float(super().score(sample, [answer])["correct"] or 0.0))
        return answered

    def score(self, sample: Sample, responses: Sequence[Any], /) -> dict[str, float | None]:
        clean, *wrong = responses
        scores = super().score(sample, [clean])
        if self._baseline is not None:
            scores["error_over_baseline"] = float(np.mean(_reshape_by_kind(wrong).sum(1) / self._baseline))
            scores["most_error_over_baseline"] = float(np.mean(len(SEVERITIES) / self._baseline))
        return scores

    def predict(self, sample: Sample, responses: Sequence[Any], /) -> dict[str, Any]:
        clean, *wrong = responses
        answer: Logits = clean
        return {**super().predict(sample, [answer]), "corruption_errors": _reshape_by_kind(wrong).tolist()}


def _reshape_by_kind(wrong: Sequence[float]) -> np.ndarray:
    return np.array(wrong).reshape(len(CORRUPTIONS), len(SEVERITIES))


def _corrupt(image: Image, kind: str, severity: int, rng: np.random.Generator) -> Image:
    """Corrupt an image and keep its dtype: a model that takes bytes gets bytes."""
    is_bytes = image.pixels.dtype == np.uint8
    changed = corrupt(np.asarray(image.pixels, dtype=np.float64) / (255 if is_bytes else 1), kind, severity, rng)
    return Image((changed * 255).round().astype(np.uint8) if is_bytes else changed.astype(np.float32))
