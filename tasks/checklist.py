"""Test how a classifier reacts to small changes of a text (CheckList, Ribeiro et al. 2020)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, ClassVar, Literal, Unpack

from ..harness.api.errors import ConfigError, suggest_name
from ..harness.api.requests import Classify
from ..harness.api.responses import Logits
from ..harness.api.samples import Sample, SampleRng
from ..harness.data import DataSpec, Row
from .base import Common, Item, RowTask, compute_softmax, find_largest
from .catalog import load_task
from .fields import Field
from .perturbations import PERTURBATIONS, Perturb, make_append

_RESERVED = ("group", "slice")


class Checklist(RowTask):
    """Classify each text before and after a perturbation, and compare the answers. There is one sample per
    text and perturbation.

    Score: ``failed``, 1 if the model violates ``expect``; no score if the perturbation cannot change the
        text. Predictions before and after, and the change of the label's probability, are recorded. A
        sample's id consists of the text's id and the perturbation, its group is the text, its slice the
        perturbation: intervals treat texts as independent, and each perturbation has a row.

    task: name or path of a text classification task whose texts are used; ``data`` replaces its data.
    data, text, labels: without ``task``, the data set, the field with the text, and the classes. No true
        class is needed.
    perturbations: typos, punctuation, contractions, names, locations, numbers, negation, append (adds one of
        ``phrases``).
    expect: ``same`` (invariance): the predicted class stays; ``no_rise`` or ``no_fall`` (direction): the
        probability of ``label`` does not rise, or fall, by more than ``tolerance``.
    label: a class. Default: the class predicted before.
    tolerance: allowed change of the probability, 0 to below 1.
    phrases: phrases for append.
    num_texts: number of texts to use; 0 for all.
    seed: seed of the perturbations; each sample derives its own from its id.
    """

    requires = frozenset({"classify", "text"})
    hub_task = "text-classification"
    default_metrics: ClassVar[tuple[str, ...]] = ("failure_rate",)
    dimension = "robustness"

    def __init__(
        self,
        name: str,
        data: DataSpec | None = None,
        *,
        perturbations: Sequence[str],
        task: str = "",
        text: str = "",
        labels: Sequence[str] = (),
        expect: Literal["same", "no_rise", "no_fall"] = "same",
        label: str = "",
        tolerance: float = 0.1,
        phrases: Sequence[str] = (),
        num_texts: int = 0,
        seed: int = 0,
        **common: Unpack[Common],
    ) -> None:
        for key in _RESERVED:
            if common.get(key):
                raise ConfigError(f"{key} cannot be set in a checklist task; omit it")
        known = {**PERTURBATIONS, **({"append": make_append(phrases)} if phrases else {})}
        self._perturbations: dict[str, Perturb] = {}
        for perturbation in perturbations:
            if perturbation not in known:
                why = " append needs phrases." if perturbation == "append" else suggest_name(perturbation, known)
                raise ConfigError(f"perturbations: there is no {perturbation!r}.{why} Available: {', '.join(known)}.")
            self._perturbations[perturbation] = known[perturbation]
        if not perturbations:
            raise ConfigError("perturbations is empty; name at least one")
        if not 0 <= tolerance < 1:
            raise ConfigError(f"tolerance must be a probability from 0 to below 1, not {tolerance}")
        if expect == "same" and label:
            raise ConfigError("label needs expect: no_rise or no_fall; an invariance test uses the predicted class")
        self._texts = _find_texts(name, data, task, text, labels, common)
        if label and label not in self._texts.labels:
            raise ConfigError(f"label {label!r} is none of {', '.join(self._texts.labels)}")
        self._expect, self._label, self._tolerance, self._num_texts = expect, label, tolerance, num_texts
        self._rng = SampleRng("checklist", seed)
        super().__init__(name, data, [], metrics=common.get("metrics", ()))

    @property
    def labels(self) -> tuple[str, ...]:  # type: ignore[override]
        return self._texts.labels

    @property
    def data_fingerprint(self) -> str:  # type: ignore[override]
        return self._texts.data_fingerprint

    def samples(self) -> Iterator[Sample]:
        for place, base in enumerate(self._texts.samples()):
            if self._num_texts and place >= self._num_texts:
                return
            for name, perturb in self._perturbations.items():
                yield self._perturb(base, name, perturb)

    def _perturb(self, base: Sample, name: str, perturb: Perturb) -> Sample:
        sample_id = f"{base.id}/{name}"
        if "error" in base.metadata:
            return Sample(sample_id, "", group=base.id, metadata={"error": base.metadata["error"], "slice": name})
        changed = perturb(str(base.input), self._rng(sample_id))
        facts = {"slice": name, "original": base.input, "is_changed": changed not in (None, base.input)}
        return Sample(sample_id, changed or base.input, base.target, base.labels, base.id, facts)

    def ask(self, sample: Sample) -> list[Classify]:
        if not sample.metadata["is_changed"]:
            return []
        return [Classify(sample.metadata["original"], sample.labels), Classify(sample.input, sample.labels)]

    def score(self, sample: Sample, responses: Sequence[Logits], /) -> dict[str, float | None]:
        if not responses:
            return {"failed": None}
        before, after = (compute_softmax(logits.values) for logits in responses)
        if self._expect == "same":
            return {"failed": float(find_largest(before) != find_largest(after))}
        change = self._compute_change(sample, before, after)
        return {"failed": float((change if self._expect == "no_rise" else -change) > self._tolerance)}

    def _compute_change(self, sample: Sample, before: Sequence[float], after: Sequence[float]) -> float:
        index = sample.labels.index(self._label) if self._label else find_largest(before)
        return after[index] - before[index]

    def predict(self, sample: Sample, responses: Sequence[Logits], /) -> dict[str, Any]:
        if not responses:
            return {"unscored": "the perturbation cannot change this text"}
        before, after = (compute_softmax(logits.values) for logits in responses)
        predictions = {"prediction": find_largest(after), "prediction_before": find_largest(before), "target": sample.target}
        return {**predictions, "probability_change": self._compute_change(sample, before, after)}


class _Texts(RowTask):
    """Texts without a true class."""

    def __init__(self, name: str, data: DataSpec, text: str, labels: Sequence[str], **common: Unpack[Common]) -> None:
        self._text, self._labels = Field("text", text), tuple(labels)
        super().__init__(name, data, [self._text], **common)

    @property
    def labels(self) -> tuple[str, ...]:  # type: ignore[override]
        return self._labels

    def build(self, row: Row) -> Item:
        return Item(self._text.text(row), None, self._labels)

    def score(self, sample: Sample, responses: Sequence[Any], /) -> dict[str, float | None]:
        """None: a text without a true class has no score."""
        return {}


def _find_texts(name: str, data: DataSpec | None, task: str, text: str, labels: Sequence[str], common: Common) -> RowTask:
    """Return the source of the texts: a text classification task, or rows."""
    reading: dict[str, Any] = {key: common[key] for key in ("id", "shuffle") if key in common}
    if bool(task) == bool(text):
        raise ConfigError("task or text: set one of them, the name of a text classification task or a field of your own data")
    if task:
        base_task = load_task(task, **reading, **({"data": data} if data else {}), **({"labels": list(labels)} if labels else {}))
        if base_task.requires != {"classify", "text"}:
            raise ConfigError(
                f"task: {task!r} requires {', '.join(sorted(base_task.requires))}; a checklist needs a task that classifies single texts"
            )
        return base_task
    if data is None or len(labels) < 2:
        raise ConfigError("text needs data, the data set, and labels, the model's classes")
    return _Texts(name, data, text, labels, **reading)
