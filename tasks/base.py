"""Base class of all task families: read rows once and in one order, and turn a bad row into one sample with
an error."""

from __future__ import annotations

import math
from array import array
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from types import MappingProxyType
from typing import Any, ClassVar, Literal, NamedTuple

import numpy as np
from typing_extensions import TypedDict  # pydantic accepts typing.TypedDict from Python 3.12 on only

from ..harness.api.errors import ConfigError, DataError, NonFiniteError, SampleError
from ..harness.api.requests import Request
from ..harness.api.resources import Resource
from ..harness.api.responses import Response
from ..harness.api.samples import Sample
from ..harness.api.task import Task
from ..harness.data import DataSpec, Row, Rows, load, make_hub_resource
from ..harness.modalities.inputs import Input
from .cautions import describe_part, join_names
from .fields import Field, spell

_MOST_COUNTED = 20_000
"""The most rows that are read only to compare the shares of classes: a quarter of a second."""


class Common(TypedDict, total=False):
    """Settings of every family.

    id: field with the sample's id. Default: the row's index.
    group: field with the cluster of dependent samples.
    slice: field with the part of the data set that a sample belongs to; each metric has a row per part.
    shuffle: a seed, or false for the order of the data set. Ids do not change with it.
    metrics: names of metrics.
    """

    id: str
    group: str
    slice: str
    shuffle: int | Literal[False]
    metrics: Sequence[str]


class Item(NamedTuple):
    """A row as its family reads it; the base class adds id, group and slice."""

    input: Input
    target: Any = None
    labels: tuple[str, ...] = ()
    metadata: Mapping[str, Any] = MappingProxyType({})


class RowTask(Task):
    """Base class of the task families. A family defines `build`, `ask` and `score`.

    A row without text, with an unknown label or with a broken image becomes a sample with
    ``metadata["error"]``. `requests` raises it as `SampleError`, which the runner records; the other samples
    run.

    title, description, citation: description of the task from its catalog file.
    default_metrics: metrics of a task that sets none.
    """

    default_metrics: ClassVar[tuple[str, ...]] = ()
    hub_task = "text-generation"
    description = ""
    citation = ""

    def __init__(
        self,
        name: str,
        data: DataSpec | None,
        fields: Sequence[Field],
        *,
        id: str = "",
        group: str = "",
        slice: str = "",
        shuffle: int | Literal[False] = False,
        metrics: Sequence[str] = (),
    ) -> None:
        if shuffle is True or (shuffle is not False and shuffle < 0):
            raise ConfigError(f"shuffle must be a seed (0, 1, ...) or false, not {str(shuffle).lower()}")
        self.name = name
        self.data = data
        self.metrics = tuple(metrics) or self.default_metrics
        self._shuffle = shuffle
        self._id = Field("id", id) if id else None
        self._group = Field("group", group) if group else None
        self._slice = Field("slice", slice) if slice else None
        self._fields = [*fields, *(f for f in (self._id, self._group, self._slice) if f)]

    @cached_property
    def rows(self) -> Rows:
        """Load the data set. Raises `DataError` if it cannot be read or lacks a column that a field uses."""
        assert self.data is not None, "a family without data overrides rows"
        rows = load(self.data)
        rows.require(sorted(set().union(*(f.columns for f in self._fields))))
        return rows

    @property
    def data_fingerprint(self) -> str:  # type: ignore[override]
        return self.rows.fingerprint

    @property
    def is_shuffled(self) -> bool:  # type: ignore[override]
        return self._shuffle is not False

    @property
    def source(self) -> Mapping[str, str]:  # type: ignore[override]
        return {} if self.data is None else self.data.describe_hub()

    @property
    def labels(self) -> tuple[str, ...]:  # type: ignore[override]
        """Names of the classes, if they are the same for every sample."""
        return ()

    def resources(self) -> Sequence[Resource]:
        return [make_hub_resource(self.data)] if self.data is not None and self.data.hub else []

    def units(self) -> Sequence[Row]:
        """Return the rows of the samples: one row per sample, unless a family joins rows."""
        return self.rows.rows

    @property
    def prefix(self) -> str:
        """Text before the input of every sample: header and few-shot examples, in families that have them."""
        return ""

    def build(self, row: Row) -> Item:
        raise NotImplementedError

    def ask(self, sample: Sample) -> Sequence[Request[Response]]:
        raise NotImplementedError

    def samples(self) -> Iterator[Sample]:
        """Yield the samples. Raises `DataError` for duplicate ids, and the errors of `rows`."""
        _ = self.prefix  # raise errors of few-shot examples now, not with the first request
        self._check_ids()
        units = self.units()
        order = range(len(units)) if self._shuffle is False else map(int, np.random.default_rng(self._shuffle).permutation(len(units)))
        for index in order:
            # Provisional id; "#" distinguishes the row's index from numbers in an id column.
            sample_id = f"{self.name}:#{index}" if self._id else f"{self.name}:{index}"
            part: dict[str, str] = {}
            try:
                row = units[index]
                if self._id:
                    sample_id = f"{self.name}:{self._make_id(row)}"
                group = self._group.name(row) if self._group else None
                part = self.part(row)
                item = self.build(row)
            except (SampleError, OSError, SyntaxError, ValueError) as error:  # Pillow raises the last three for broken images
                text = str(error) if isinstance(error, SampleError) else f"{type(error).__name__}: {error}"
                yield Sample(sample_id, "", metadata={"error": text, **part})
                continue
            yield Sample(sample_id, item.input, item.target, item.labels, group, {**item.metadata, **part})

    def _make_id(self, row: Row) -> str:
        assert self._id is not None
        return spell(self._id.value(row))

    def _check_ids(self) -> None:
        """Check that ids are unique. An id joins a sample's prediction, adversarial example and attribution."""
        if self._id is None:
            return
        hashes, num_of_hash = np.unique(np.array(array("q", map(hash, self._list_ids()))), return_counts=True)
        suspects = set(hashes[num_of_hash > 1].tolist())
        counts = Counter(known for known in self._list_ids() if hash(known) in suspects) if suspects else Counter[str]()
        duplicates = [f"{known!r} stands for {num:,} rows" for known, num in counts.items() if num > 1]
        if duplicates:
            raise DataError(
                f"{self.rows.source}: ids must be unique, but in {self._id.source!r} {join_names(duplicates)}; "
                "name another field, or omit 'id' to use the row's index"
            )

    def _list_ids(self) -> Iterator[str]:
        assert self._id is not None
        for row in self.rows.select(self._id.columns):
            try:
                yield self._make_id(row)
            except SampleError:
                continue  # the sample of this row reports the missing id

    def notes(self, num_samples: int, /) -> list[str]:
        """Describe the unused parts of the data set, given the number of samples in use; one sentence per
        note."""
        rows, num = self.rows, len(self.units())
        used = set().union(*(f.columns for f in self._fields))
        unread = [column for column in rows.columns if column not in used]
        notes = list(rows.notes)
        if num_samples < num:
            which = "the first" if self._shuffle is False else f"a random (shuffle: {self._shuffle})"
            notes.append(f"{which} {num_samples:,} of {num:,} samples are taken")
        if unread:
            notes.append(f"columns that the task does not read: {len(unread)} ({join_names(unread)})")
        return notes

    def cautions(self, num_samples: int, parts: Mapping[str, Mapping[str, int]], /) -> list[str]:
        """Warn if the first ``num_samples`` samples do not represent the data set; one sentence per warning.

        parts: for ``class`` and ``slice``, the names that occur in these samples, with their numbers. A large data set is read for
            this only if names are absent.
        """
        units = self.units()
        are_complete = all(set(self.labels) == set(names) for names in parts.values())
        if not parts or num_samples >= len(units) or self._shuffle is not False or (are_complete and len(units) > _MOST_COUNTED):
            return []
        whole: dict[str, Counter[str]] = {kind: Counter() for kind in parts}
        for row in self.rows.select(self.kind_columns) if units is self.rows.rows and self.kind_columns else units:
            for kind, name in self.kinds(row).items():
                whole.setdefault(kind, Counter())[name] += 1
        found = (describe_part(kind, parts.get(kind, {}), names, num_samples, len(units)) for kind, names in whole.items() if names)
        return [sentence for sentence in found if sentence]

    @property
    def kind_columns(self) -> set[str]:
        """Columns that `kinds` reads."""
        return set(self._slice.columns) if self._slice else set()

    def kinds(self, row: Row) -> dict[str, str]:
        """Return the row's ``slice`` and, in families with classes, its ``class``; values that cannot be read
        are omitted."""
        try:
            return self.part(row)
        except SampleError:
            return {}

    def part(self, row: Row) -> dict[str, str]:
        """Return the row's slice. A number in a column with declared class names becomes the name."""
        name = self._slice.name(row) if self._slice else None
        if self._slice is None or name is None:
            return {}
        declared = self.rows.class_names.get(self._slice.source, ())
        return {"slice": declared[int(name)] if name.isdecimal() and int(name) < len(declared) else name}

    def requests(self, sample: Sample, /) -> Sequence[Request[Response]]:
        """Return the sample's requests. Raises `SampleError` if its row could not be used."""
        if "error" in sample.metadata:
            raise SampleError(sample.metadata["error"])
        return self.ask(sample)


def compute_softmax(values: Sequence[float], /) -> list[float]:
    """Return the probabilities of logits or log-likelihoods. Raises `NonFiniteError`.

    For two classes numpy would take five times as long.
    """
    if not all(map(math.isfinite, values)):
        raise NonFiniteError(f"the model answered {list(values)}")
    largest = max(values)
    weights = [math.exp(value - largest) for value in values]
    total = math.fsum(weights)
    return [weight / total for weight in weights]


def find_largest(values: Sequence[float], /) -> int:
    """Return the index of the largest value; the first one if there are ties."""
    return values.index(max(values))
