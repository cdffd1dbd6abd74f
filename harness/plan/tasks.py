"""Plans tasks: counts, measures and checks the samples of a task in one pass."""

from __future__ import annotations

import hashlib
import itertools
import operator
from array import array
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import SupportsIndex

import numpy as np

from ..api.errors import ConfigError, DataError, SampleError, describe_error
from ..api.registry import Registry
from ..api.requests import Request
from ..api.samples import Sample
from ..api.task import Task
from ..api.visible_text import escape_surrogates
from ..data.yaml_lines import SUFFIXES
from ..items.base.ingredients import sample_digest
from ..items.base.planned_item import PlannedTask
from ..metrics.foreign import find_metric
from ..modalities.base import find_modality
from ..modalities.inputs import measure_size
from ..modalities.text import CHARACTERS
from ..suite.specs import Suite, TaskSpec, name_task
from ..system.disk_sequence import Spool
from ..system.interrupts import is_interrupt
from .plugins import call_plugin, make_plugin
from .types import Load

_IDS_SHOWN = 8


def plan_task(spec: TaskSpec, suite: Suite, registry: Registry) -> PlannedTask:
    """Create the task of a suite's entry, read its samples, and find its metrics.

    Raises `UserError` for invalid names or settings, and `DataError` for invalid data.
    """
    if suite.shuffle is not None:
        spec = spec.model_copy(update={"settings": {"shuffle": suite.shuffle, **spec.settings}})
    if spec.task.endswith(SUFFIXES):
        if "path" in spec.settings:
            raise ConfigError(f"task {spec.task!r}: 'path' is no setting; the file is named by 'task:'")
        entry, settings = registry.get("tasks", "file"), {"path": spec.task, **spec.settings}
    else:
        entry, settings = registry.get("tasks", spec.task), dict(spec.settings)
    task = make_plugin("tasks", entry.name, registry, **settings)
    name = spec.name or str(task.named_by_settings) or name_task(spec)
    metrics = dict(find_metric(metric, registry) for metric in task.metrics)
    limit = spec.limit or suite.limit
    given = call_plugin(f"task {name!r} cannot give its samples", lambda: Spool.of(itertools.islice(task.samples(), limit)), DataError)
    if not given:
        raise DataError(f"task {name!r} has no samples: its data set is empty; point 'data:' at one that is not")
    return replace(_measure_task(name, spec, task, entry.origin, given), metric_code=metrics)


def plan_by_generation(planned: PlannedTask, registry: Registry) -> PlannedTask | None:
    """Return the task in its form for models that only generate text; None if it has none. Its samples are not read again."""
    task = call_plugin(f"task {planned.name!r} cannot be asked in words", planned.task.by_generation, DataError)
    if task is None:
        return None
    metrics = dict(find_metric(metric, registry) for metric in task.metrics)
    return replace(_measure_task(planned.name, planned.spec, task, planned.origin, planned.samples), metric_code=metrics)


def _measure_task(name: str, spec: TaskSpec, task: Task, origin: str, samples: Spool[Sample]) -> PlannedTask:
    """Create the planned task in one pass over its samples, which keeps only a few numbers per sample in memory."""
    labels: tuple[str, ...] = ()
    parts: dict[str, dict[str, int]] = {}
    num_unusable, first_reason = 0, ""
    hashes, positions = array("q"), array("q")
    num_requests: int | None = 0
    takes: frozenset[str] = task.requires
    are_writable, beginning = True, ""
    content = hashlib.sha256()
    for sample in samples:
        content.update(sample_digest(name, sample))
        are_writable &= sample.id.isascii()
        labels = labels or sample.labels
        hashes.append(hash(sample.id))
        load, beginning = _load(name, task, sample, beginning)
        positions.append(load.positions)
        takes |= load.parts
        if load.error:
            num_unusable, first_reason = num_unusable + 1, first_reason or load.error
        for kind, part in _list_parts(sample):
            counts = parts.setdefault(kind, {})
            counts[part] = counts.get(part, 0) + 1
        num_requests = None if num_requests is None or load.num_requests is None else num_requests + load.num_requests
    if not are_writable:
        # Ids are keys in the store, and UTF-8 cannot encode lone surrogates.
        samples = Spool.of(s if s.id.isascii() else replace(s, id=escape_surrogates(s.id)) for s in samples)
        hashes = array("q", (hash(sample.id) for sample in samples))
    if len(np.unique(hashes)) < len(hashes):
        _check_ids(name, samples)
    notes = tuple(call_plugin(f"task {name!r} cannot give its notes", lambda: task.notes(len(samples)), DataError))
    cautions = tuple(call_plugin(f"task {name!r} cannot give its cautions", lambda: task.cautions(len(samples), parts), DataError))
    if num_unusable:
        notes = (f"{num_unusable:,} of {len(samples):,} samples cannot be used; the first: {first_reason}", *notes)
    numbers = (positions, num_requests, num_unusable)
    return PlannedTask(name, spec, task, origin, samples, labels, *numbers, notes, cautions, content.hexdigest(), requires=takes)


def _list_parts(sample: Sample) -> Iterator[tuple[str, str]]:
    """Yield the class and the slice of a sample, each as (kind, name)."""
    if isinstance(sample.target, int) and 0 <= sample.target < len(sample.labels):
        yield "class", sample.labels[sample.target]
    if "slice" in sample.metadata:
        yield "slice", str(sample.metadata["slice"])


def _check_ids(name: str, samples: Sequence[Sample]) -> None:
    """Raise `DataError` if two samples have the same id."""
    twice = [f"{known!r} for {num}" for known, num in Counter(s.id for s in samples).items() if num > 1]
    if twice:
        shown = ", ".join(twice[:_IDS_SHOWN]) + (f", … ({len(twice)} ids)" if len(twice) > _IDS_SHOWN else "")
        raise DataError(
            f"task {name!r} gives several samples one id: {shown}; ids join predictions, twins and attributions and must be unique"
        )


def _count_common(first: str, second: str) -> int:
    """Return the length of the longest common prefix, by bisection, because comparing slices is faster than a loop."""
    low, high = 0, min(len(first), len(second))
    while low < high:
        middle = (low + high + 1) // 2
        low, high = (middle, high) if first[low:middle] == second[low:middle] else (low, middle - 1)
    return low


def _load(name: str, task: Task, sample: Sample, before: str) -> tuple[Load, str]:
    """Return the load of a sample, and the beginning of its last request.

    ``name``: the task's name.
    ``before``: the beginning of the previous sample's last request.

    Raises `DataError` if a size cannot be measured.
    """
    if task.is_sequential:
        with _convert_errors(name, sample):
            return Load(None, _check_size(measure_size(sample.input)), str(sample.metadata.get("error", ""))), ""
    try:
        requests = list(task.requests(sample))
        for request in requests:
            if not isinstance(request, Request):
                raise SampleError(f"the task asks a {type(request).__name__}, which is no Request: derive its class from Request")
    except BaseException as error:
        if is_interrupt(error):
            raise
        # The run records the error of an invalid sample; the plan only counts no requests for it.
        return Load(0, 0, describe_error(error)), before
    positions, parts = 0, frozenset[str]()
    with _convert_errors(name, sample):
        for request in requests:
            beginning = request.beginning()
            # The engine computes a prefix shared with the previous request once, so it is not counted again.
            positions += max(1, _check_size(request.size()) - _count_common(before, beginning) // CHARACTERS)
            parts |= request.parts_in_chats()
            before = beginning
    return Load(len(requests), positions, parts=parts), before


@contextmanager
def _convert_errors(task: str, sample: Sample) -> Iterator[None]:
    """Raise the exceptions of a modality's or a request's ``size`` as `DataError`."""
    try:
        yield
    except BaseException as error:
        if is_interrupt(error):
            raise
        what = f"task {task!r}: the size of the sample {sample.id!r} cannot be measured: {type(error).__name__}: {error}"
        known = find_modality(sample.input)
        fix = f"{type(known).__name__}.size" if known is not None else "the request's size"
        raise DataError(f"{what}; {fix} must give a number of positions, at least 1") from error


def _check_size(size: SupportsIndex) -> int:
    """Return the size as an integer. Raises `ValueError` if it is negative."""
    if (positions := operator.index(size)) < 0:
        raise ValueError(f"{positions} is below 0")
    return positions
