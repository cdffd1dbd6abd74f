"""What a classifier makes of a text that was changed a little: behavioural tests in CheckList's sense (Ribeiro et al. 2020)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, ClassVar, Literal, Unpack

from ..harness.api.errors import ConfigError, did_you_mean
from ..harness.api.requests import Classify, Logits
from ..harness.api.samples import Sample, SampleRng
from ..harness.data import DataSpec, Row
from .base import Common, Item, RowTask, largest_of, softmax
from .catalog import load_task
from .fields import Field
from .perturbations import PERTURBATIONS, Perturb, append

_OWN = ("group", "slice")


class Checklist(RowTask):
    """Each text as it is and perturbed: two `Classify` a sample, of which there is one a text and perturbation.

    Score: ``failed``, 1 where the model did not behave as expected; unscored where the perturbation found nothing to change. What is
    expected (``expect``): ``same`` (an invariance test), the predicted class does not change; ``no_rise`` and ``no_fall`` (directional
    tests), the probability of ``label`` does not rise, or fall, by more than ``tolerance``. Predictions before and after are kept, and the
    change of the label's probability.

    A perturbed sample's id is that of its text and the perturbation, its group the text, its slice the perturbation: intervals are over
    texts, and each perturbation has a row.

    Settings: ``task``, a text classification by name or path, with ``data`` in place of its own; or ``data``, ``text`` and ``labels``, for
    no true class is needed. ``perturbations``: of typos, punctuation, contractions, names, locations, numbers, negation, and append,
    which adds one of the ``phrases``. ``label``: a class, or none for the one predicted before. ``num_texts``: the first so many, 0 for
    all. ``seed`` of the perturbations; each sample draws from its own, derived from its id.
    """

    requires = frozenset({"classify", "text"})
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
        for key in _OWN:
            if common.get(key):
                raise ConfigError(f"{key} is set by the perturbed samples themselves; leave it out")
        known = {**PERTURBATIONS, **({"append": append(phrases)} if phrases else {})}
        self._perturbations: dict[str, Perturb] = {}
        for perturbation in perturbations:
            if perturbation not in known:
                why = " append needs phrases." if perturbation == "append" else did_you_mean(perturbation, known)
                raise ConfigError(f"perturbations has no {perturbation!r}.{why} There are {', '.join(known)}.")
            self._perturbations[perturbation] = known[perturbation]
        if not perturbations:
            raise ConfigError("perturbations is empty, so that nothing would be tested")
        if not 0 <= tolerance < 1:
            raise ConfigError(f"tolerance is a probability, from 0 to below 1, not {tolerance}")
        if expect == "same" and label:
            raise ConfigError("label is for expect: no_rise and no_fall; an invariance test is about the predicted class")
        self._texts = _texts(name, data, task, text, labels, common)
        if label and label not in self._texts.labels:
            raise ConfigError(f"label {label!r} is none of {', '.join(self._texts.labels)}")
        self._expect, self._label, self._tolerance, self._num_texts = expect, label, tolerance, num_texts
        self._rng = SampleRng("checklist", seed)
        super().__init__(name, data, [], metrics=common.get("metrics", ()))

    @property
    def labels(self) -> tuple[str, ...]:
        return self._texts.labels

    @property
    def data_fingerprint(self) -> str:
        return self._texts.data_fingerprint

    def samples(self) -> Iterator[Sample]:
        for place, base in enumerate(self._texts.samples()):
            if self._num_texts and place >= self._num_texts:
                return
            for name, perturb in self._perturbations.items():
                yield self._perturbed(base, name, perturb)

    def _perturbed(self, base: Sample, name: str, perturb: Perturb) -> Sample:
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
        before, after = (softmax(logits.values) for logits in responses)
        if self._expect == "same":
            return {"failed": float(largest_of(before) != largest_of(after))}
        change = self._change(sample, before, after)
        return {"failed": float((change if self._expect == "no_rise" else -change) > self._tolerance)}

    def _change(self, sample: Sample, before: Sequence[float], after: Sequence[float]) -> float:
        index = sample.labels.index(self._label) if self._label else largest_of(before)
        return after[index] - before[index]

    def predict(self, sample: Sample, responses: Sequence[Logits], /) -> dict[str, Any]:
        if not responses:
            return {"unscored": "the perturbation found nothing in the text that it could change"}
        before, after = (softmax(logits.values) for logits in responses)
        kept = {"prediction": largest_of(after), "prediction_before": largest_of(before), "target": sample.target}
        return {**kept, "probability_change": self._change(sample, before, after)}


class _Texts(RowTask):
    """Texts without a true class."""

    def __init__(self, name: str, data: DataSpec, text: str, labels: Sequence[str], **common: Unpack[Common]) -> None:
        self._text, self._labels = Field("text", text), tuple(labels)
        super().__init__(name, data, [self._text], **common)

    @property
    def labels(self) -> tuple[str, ...]:
        return self._labels

    def build(self, row: Row) -> Item:
        return Item(self._text.text(row), None, self._labels)


def _texts(name: str, data: DataSpec | None, task: str, text: str, labels: Sequence[str], common: Common) -> RowTask:
    """Where the texts come from: a text classification, or rows."""
    reading: dict[str, Any] = {key: common[key] for key in ("id", "shuffle") if key in common}
    if bool(task) == bool(text):
        raise ConfigError("task or text: name a text classification, or the field of a text in data of your own, and not both")
    if task:
        found = load_task(task, **reading, **({"data": data} if data else {}), **({"labels": list(labels)} if labels else {}))
        if found.requires != {"classify", "text"}:
            raise ConfigError(f"task: {task!r} needs {', '.join(sorted(found.requires))}; perturbations change one text to classify")
        return found
    if data is None or len(labels) < 2:
        raise ConfigError("text needs data, where it is read from, and labels, the model's classes")
    return _Texts(name, data, text, labels, **reading)
