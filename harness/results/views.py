"""Views of samples: prediction, adversarial twins and attributions of one sample, joined by its id."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache
from pathlib import Path
from typing import Any

from ..api.samples import Record, Sample
from ..api.scorecard import BaselineAnswer, Heat, Opinion, SampleView, Twin
from ..items.base.kind import ItemKind
from ..items.base.view import SeenSample, answer, cut, is_right, label, preview_input
from ..judges.panel import QUESTIONS
from ..store import FILE_NAME, Store, StoredItem
from .baseline_answers import BaselineAnswers


@dataclass(frozen=True, slots=True)
class SampleViews(Collection[SampleView]):
    """The views of a run's samples, read from the records and made one at a time whenever they are iterated.

    ``folder``: the run folder. ``num``: the number of samples with a record of their task.
    ``baseline``: the answers of the run's baseline; None if it has none.
    """

    folder: Path
    kinds: Mapping[str, ItemKind] = field(compare=False, repr=False)
    num: int
    baseline: BaselineAnswers | None = field(default=None, compare=False, repr=False)

    def __len__(self) -> int:
        return self.num

    def __iter__(self) -> Iterator[SampleView]:
        store = Store.open(self.folder / FILE_NAME, readonly=True, checked=False)  # the scorecard was made of a checked one
        try:
            yield from make_sample_views(store, store.items(), self.kinds, self.baseline)
        finally:
            store.close()

    def __contains__(self, view: object) -> bool:
        return any(view == own for own in self)


def make_sample_views(
    store: Store, items: Sequence[StoredItem], kinds: Mapping[str, ItemKind], baseline: BaselineAnswers | None = None, /
) -> Iterator[SampleView]:
    """Yield the view of each sample that has a record of its task, task by task, in the order of the data.

    ``baseline``: the answers of the run's baseline. Without one, or without an answer of it, the first model of the run is the
    baseline of the others, as in a comparison (`compare_models`).
    A run may have a million samples with large attributions: they are read one at a time.
    """
    for task in (i for i in items if i.key.is_task):
        joined = [i for i in items if (i.model, i.task) == (task.model, task.task) and i.kind in kinds and kinds[i.kind].is_joined]
        finders = [(i, _make_finder(store.records_by_sample(i, task))) for i in (task, *joined)]
        of_baseline = [i for i in items if i.key.is_task and (i.model, i.task) == (items[0].model, task.task) and i is not task]
        beside = [(i, _make_finder(store.records_by_sample(i, task))) for i in of_baseline]
        for place, sample in enumerate(store.samples_of(task)):
            found = [(i, record) for i, find in finders if (record := find(place)) is not None]
            answers = [_make_answer(i, record, sample) for i, find in beside if (record := find(place)) is not None]
            if found and found[0][0] is task:
                view = _make_view(task, sample, found[0][1], found[1:], kinds)
                kept = baseline.find(task.model, task.task, sample.id) if baseline is not None else None
                before = kept or next(iter(answers), None)
                yield view if before is None else replace(view, baseline=before)


def _make_finder(records: Iterator[tuple[int, Record]]) -> Callable[[int], Record | None]:
    """Return a function of a sample's position that returns its record, if any. It must be called with increasing positions."""
    ahead = next(records, None)

    def find(place: int) -> Record | None:
        nonlocal ahead
        while ahead is not None and ahead[0] < place:
            ahead = next(records, None)
        return ahead[1] if ahead is not None and ahead[0] == place else None

    return find


def _make_view(
    task: StoredItem, sample: Sample, record: Record, joined: Sequence[tuple[StoredItem, Record]], kinds: Mapping[str, ItemKind]
) -> SampleView:  # fmt: skip
    labels, right = sample.labels, is_right(task, record) if task.facts["primary"] else None
    twins, heats = [], []
    for item, item_record in joined:
        view = kinds[item.kind].view(SeenSample(sample, item, item_record, right, joined))
        if isinstance(view, Twin):
            twins.append(view)
        elif isinstance(view, Heat):
            heats.append(replace(view, slices=_collect_slices(item, right, joined, kinds)) if view.values else view)
    return SampleView(
        model=task.model, task=task.task, id=sample.id, input=preview_input(sample.input), target=label(sample.target, labels),
        prediction=answer(record, labels), correct=right, probabilities=_name_probabilities(record.artifacts, labels),
        scores=dict(record.scores), error=record.error, twins=tuple(twins), heats=tuple(heats),
        slice=str(record.artifacts.get("slice", "")), group="" if sample.group is None else str(sample.group),
        category=str(sample.metadata.get("category", "")), output=_find_output(record),
        num_tokens=record.artifacts.get("cut_at_tokens"), opinions=tuple(_list_opinions(record.artifacts)),
        reasoning=cut(str(record.artifacts.get("reasoning", ""))), tool_calls=tuple(_list_tool_calls(record.artifacts)),
        is_refused_by_provider=record.artifacts.get("is_refused_by_provider") is True,
    )  # fmt: skip


def _make_answer(task: StoredItem, record: Record, sample: Sample) -> BaselineAnswer:
    """Return what the model of a task's item answered to a sample."""
    prediction = answer(record, sample.labels)
    return BaselineAnswer(task.model, prediction, is_right(task, record), _find_output(record), record.error)


def _find_output(record: Record) -> str | None:
    """Return the generated text if the prediction is another text that the task read out of it."""
    output = record.artifacts.get("output")
    return cut(str(output)) if output is not None and record.artifacts.get("prediction", output) != output else None


def _list_opinions(artifacts: Mapping[str, Any]) -> Iterator[Opinion]:
    """Yield the verdicts of each judge (`judges.panel.to_artifacts`), and the human label."""

    def find(name: str) -> Mapping[str, Any]:
        found = artifacts.get(name)  # a plugin's task may record anything by this name
        return found if isinstance(found, dict) else {}

    for question in QUESTIONS:
        for judge, value in find(f"{question}_by").items():
            grades, codes = find(f"{question}_grade_by"), find(f"{question}_codes_by")
            notes = [f"grade {grades[judge]:g}"] if judge in grades else []
            notes += [", ".join(map(str, codes[judge]))] if judge in codes else []
            notes += ["neither refused nor answered"] if question == "refused" and find("neither_by").get(judge) else []
            notes += [str(artifacts.get("unscored", ""))] if value is None else []
            yield Opinion(question, str(judge), None if value is None else value == 1, "; ".join(notes))
    if (human := artifacts.get("human")) is not None:
        yield Opinion("", "human", human == 1)


def _list_tool_calls(artifacts: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Yield (name, arguments) of the tool calls of an answer; the whole call as arguments if it has another form."""
    calls = artifacts.get("tool_calls")
    for text in map(str, calls if isinstance(calls, list | tuple) else ()):
        try:
            call = json.loads(text)
        except (ValueError, RecursionError):
            call = None
        name, arguments = (call.get("name"), call.get("arguments")) if isinstance(call, dict) else (None, None)
        if isinstance(name, str) and arguments is not None:
            yield cut(name), cut(arguments if isinstance(arguments, str) else json.dumps(arguments, ensure_ascii=False))
        else:
            yield "", cut(text)


def _collect_slices(
    item: StoredItem, right: bool | None, joined: Sequence[tuple[StoredItem, Record]], kinds: Mapping[str, ItemKind]
) -> dict[str, bool]:  # fmt: skip
    """Tell whether the sample is in each slice of the item and of the items about it; of several, any counts."""
    slices: dict[str, bool] = {}
    for other, record in joined:
        if other is item or item.key in other.key.about:
            for name, is_in in kinds[other.kind].slices(right, record.scores).items():
                slices[name] = slices.get(name, False) or is_in
    return slices


def _name_probabilities(artifacts: Mapping[str, Any], labels: Sequence[str]) -> dict[str, float]:
    """Return the probabilities by class name, or by choice."""
    values = artifacts.get("probabilities") or ()
    candidates = (labels, tuple(artifacts.get("choices") or ()), range(len(values)))
    names = _tell_apart(tuple(map(str, next(c for c in candidates if len(c) == len(values)))))
    return dict(zip(names, map(float, values), strict=True))


@lru_cache(maxsize=64)
def _tell_apart(names: tuple[str, ...]) -> tuple[str, ...]:
    """Return the names, each that occurs several times with its position. Cached: most samples of a task have the same classes."""
    counts = Counter(names)
    return tuple(name if counts[name] == 1 else f"{i}: {name}" for i, name in enumerate(names))
