"""Base class of text and image classification: class names and scoring of logits."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import Any, ClassVar, Unpack

from ..harness.api.errors import SampleError
from ..harness.api.requests import Classify
from ..harness.api.responses import Logits
from ..harness.api.samples import Sample
from ..harness.data import DataSpec, Row
from .base import Common, RowTask, compute_softmax, find_largest
from .fields import ClassLabels, Field, Label


class Classification(RowTask):
    """Classify each sample with one `Classify` request.

    Score: ``correct``, 1 if the largest logit is the target's. The prediction and the probabilities are
        recorded.
    """

    primary = "correct"
    hub_task = "text-classification"
    default_metrics: ClassVar[tuple[str, ...]] = ("accuracy",)

    def __init__(
        self,
        name: str,
        data: DataSpec | None,
        fields: Sequence[Field],
        label: str,
        labels: Sequence[Label],
        label_map: Mapping[Label, Label] | None,
        **common: Unpack[Common],
    ) -> None:
        self._label = Field("label", label)
        super().__init__(name, data, [*fields, self._label], **common)
        self._labels, self._label_map = tuple(labels), label_map
        self._names = ClassLabels(labels, label_map).names if labels else ()  # raises errors of the names early

    @property
    def labels(self) -> tuple[str, ...]:  # type: ignore[override]
        """Class names from the settings, which needs no data; otherwise as the data set declares them."""
        return self._names or self.classes.names

    @cached_property
    def classes(self) -> ClassLabels:
        return ClassLabels(self._labels, self._label_map, self.rows.class_names.get(self._label.source, ()))

    @property
    def kind_columns(self) -> set[str]:
        return super().kind_columns | set(self._label.columns)

    def kinds(self, row: Row) -> dict[str, str]:
        try:
            return {**super().kinds(row), "class": self.classes.names[self.classes.index(self._label.value(row))]}
        except SampleError:
            return super().kinds(row)

    def ask(self, sample: Sample) -> list[Classify]:
        return [Classify(sample.input, sample.labels)]

    def score(self, sample: Sample, responses: Sequence[Logits], /) -> dict[str, float | None]:
        return {"correct": float(find_largest(self._list_probabilities(sample, responses)) == sample.target)}

    def predict(self, sample: Sample, responses: Sequence[Logits], /) -> dict[str, Any]:
        probabilities = self._list_probabilities(sample, responses)
        return {"prediction": find_largest(probabilities), "target": sample.target, "probabilities": probabilities}

    def _list_probabilities(self, sample: Sample, responses: Sequence[Logits]) -> list[float]:
        (logits,) = responses
        if len(logits.values) != len(sample.labels):
            raise SampleError(
                f"the model returned {len(logits.values)} logits for the {len(sample.labels)} labels {', '.join(sample.labels)}"
            )
        return compute_softmax(logits.values)
