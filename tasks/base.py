"""What all families share: rows are read once, in one order, and a bad row is one bad sample."""

from __future__ import annotations

import math
from array import array
from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from functools import cached_property
from types import MappingProxyType
from typing import Any, ClassVar, Literal, NamedTuple

import numpy as np
from typing_extensions import TypedDict  # pydantic, which checks settings, takes typing's own from Python 3.12 only

from ..harness.api.errors import ConfigError, DataError, NonFiniteError, SampleError
from ..harness.api.requests import Request
from ..harness.api.resources import Resource
from ..harness.api.samples import Sample
from ..harness.api.task import Task
from ..harness.data import DataSpec, Row, Rows, hub_resource, load
from ..harness.modalities.inputs import Input
from .fields import Field, spelled

_SHOWN = 8
_PLURALS = {"class": "classes", "slice": "slices"}


class Common(TypedDict, total=False):
    """Settings that every family has.

    ``id``: field of a sample's id (else the row's index). ``group``: field of what samples that are not independent share.
    ``slice``: field of the part of the set that a sample belongs to; each metric has a row for each part, too.
    ``shuffle``: a seed, or false for the data set's own order; ids do not change with it. ``metrics``: names from the ``metrics`` group.
    """

    id: str
    group: str
    slice: str
    shuffle: int | Literal[False]
    metrics: Sequence[str]


class Item(NamedTuple):
    """What a family makes of a row; the base adds id, group and slice."""

    input: Input
    target: Any = None
    labels: tuple[str, ...] = ()
    metadata: Mapping[str, Any] = MappingProxyType({})


class RowTask(Task):
    """Base of the families. A family gives `build`, `ask` and `score`; the rest of a `Task` is here.

    A row without text, with an unknown label or with an image that does not decode becomes a sample whose ``metadata["error"]`` says so:
    `requests` raises it as `SampleError`, which the runner records, and the other samples go on.

    ``title``, ``description``, ``citation``: what a catalog file says about the task. ``default_metrics``: where none are given.
    """

    default_metrics: ClassVar[tuple[str, ...]] = ()
    title = ""
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
            raise ConfigError(f"shuffle is a seed (0, 1, ...) or false, not {str(shuffle).lower()}")
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
        """The data set. Raises `DataError`: it cannot be read, or a field names a column that it does not have."""
        assert self.data is not None, "a family without data gives rows of its own"
        rows = load(self.data)
        rows.require(sorted(set().union(*(f.columns for f in self._fields))))
        return rows

    @property
    def data_fingerprint(self) -> str:  # type: ignore[override]
        return self.rows.fingerprint

    @property
    def labels(self) -> tuple[str, ...]:  # type: ignore[override]
        """Names of the classes, where they are the same for every sample."""
        return ()

    def resources(self) -> Sequence[Resource]:
        return [hub_resource(self.data)] if self.data is not None and self.data.hub else []

    def units(self) -> Sequence[Row]:
        """What becomes one sample each: the rows, unless a family joins them."""
        return self.rows.rows

    @property
    def prefix(self) -> str:
        """What stands before every sample's input: header and examples, in the families that have them."""
        return ""

    def build(self, row: Row) -> Item:
        raise NotImplementedError

    def ask(self, sample: Sample) -> Sequence[Request[Any]]:
        raise NotImplementedError

    def samples(self) -> Iterator[Sample]:
        """Raises `DataError`: ids that stand for several rows, and what `rows` raises."""
        _ = self.prefix  # examples that cannot be read are an error now, not with the first request
        self._check_ids()
        units = self.units()
        order = range(len(units)) if self._shuffle is False else map(int, np.random.default_rng(self._shuffle).permutation(len(units)))
        for index in order:
            # Until its own id is known: a "#" keeps a row's place apart from the numbers that an id column may hold.
            sample_id = f"{self.name}:#{index}" if self._id else f"{self.name}:{index}"
            part: dict[str, str] = {}
            try:
                row = units[index]
                if self._id:
                    sample_id = f"{self.name}:{self._id_of(row)}"
                group = self._group.name(row) if self._group else None
                part = self.part(row)
                item = self.build(row)
            except (SampleError, OSError, SyntaxError, ValueError) as error:  # Pillow raises the last three for an image it cannot decode
                text = str(error) if isinstance(error, SampleError) else f"{type(error).__name__}: {error}"
                yield Sample(sample_id, "", metadata={"error": text, **part})
                continue
            yield Sample(sample_id, item.input, item.target, item.labels, group, {**item.metadata, **part})

    def _id_of(self, row: Row) -> str:
        assert self._id is not None
        return spelled(self._id.value(row))

    def _check_ids(self) -> None:
        """An id joins a sample's prediction, twin and attribution: one that stands for several rows is no id."""
        if self._id is None:
            return
        hashes, num_of_hash = np.unique(np.array(array("q", map(hash, self._ids()))), return_counts=True)
        suspects = set(hashes[num_of_hash > 1].tolist())
        counts = Counter(known for known in self._ids() if hash(known) in suspects) if suspects else Counter[str]()
        twice = [f"{known!r} stands for {num} rows" for known, num in counts.items() if num > 1]
        if twice:
            raise DataError(
                f"{self.rows.source}: ids must be unique, and in {self._id.source!r} {_listed(twice)}; "
                "name another field, or leave 'id' out: then a row's place is its id"
            )

    def _ids(self) -> Iterator[str]:
        assert self._id is not None
        for row in self.rows.select(self._id.columns):
            try:
                yield self._id_of(row)
            except SampleError:
                continue  # no id: an error of its own sample

    def notes(self, num_samples: int, /) -> list[str]:
        """What of the data set is not used where ``num_samples`` are taken, a sentence each."""
        rows, num = self.rows, len(self.units())
        used = set().union(*(f.columns for f in self._fields))
        unread = [column for column in rows.columns if column not in used]
        said = list(rows.notes)
        if num_samples < num:
            which = "the first" if self._shuffle is False else f"a random (shuffle: {self._shuffle})"
            said.append(f"{which} {num_samples:,} of {num:,} samples are taken")
        if unread:
            said.append(f"columns that the task does not read: {len(unread)} ({_listed(unread)})")
        return said

    def cautions(self, num_samples: int, parts: Mapping[str, Collection[str]], /) -> list[str]:
        """What a reader must know of the first ``num_samples`` samples before believing the numbers, a sentence each.

        ``parts``: under ``class`` and ``slice`` the classes and slices that these samples are of.
        """
        units = self.units()
        if num_samples >= len(units) or self._shuffle is not False or all(set(self.labels) == set(names) for names in parts.values()):
            return []
        known: dict[str, dict[str, None]] = {kind: {} for kind in parts}
        for row in self.rows.select(self.kind_columns) if units is self.rows.rows and self.kind_columns else units:
            for kind, name in self.kinds(row).items():
                known.setdefault(kind, {})[name] = None
        return [
            f"the first {num_samples:,} of {len(units):,} samples are of {len(parts[kind])} of {len(names)} {_PLURALS[kind]} "
            f"({_listed(list(parts[kind]))}), so the numbers say nothing of {_listed([n for n in names if n not in parts[kind]])}; "
            "with shuffle: SEED among the task's settings a limit takes a random part"
            for kind, names in known.items()
            if not set(names) <= set(parts.get(kind, ()))
        ]

    @property
    def kind_columns(self) -> set[str]:
        """The columns that `kinds` needs, where these are known."""
        return set(self._slice.columns) if self._slice else set()

    def kinds(self, row: Row) -> dict[str, str]:
        """The ``slice`` of a row and, where a family has classes, its ``class``; what a row cannot say is left out."""
        try:
            return self.part(row)
        except SampleError:
            return {}

    def part(self, row: Row) -> dict[str, str]:
        """The row's slice. A number in a column whose class names the data set declares is the class of that name."""
        name = self._slice.name(row) if self._slice else None
        if self._slice is None or name is None:
            return {}
        declared = self.rows.class_names.get(self._slice.source, ())
        return {"slice": declared[int(name)] if name.isdecimal() and int(name) < len(declared) else name}

    def requests(self, sample: Sample, /) -> Sequence[Request[Any]]:
        """Raises `SampleError` for a sample whose row could not be used."""
        if "error" in sample.metadata:
            raise SampleError(sample.metadata["error"])
        return self.ask(sample)


def _listed(names: Sequence[str]) -> str:
    return ", ".join(names[:_SHOWN]) + (f", … ({len(names)})" if len(names) > _SHOWN else "")


def softmax(values: Sequence[float], /) -> list[float]:
    """Probabilities of logits or log-likelihoods. Raises `NonFiniteError`. Over two classes numpy would take five times as long."""
    if not all(map(math.isfinite, values)):
        raise NonFiniteError(f"the model answered {list(values)}")
    largest = max(values)
    weights = [math.exp(value - largest) for value in values]
    total = math.fsum(weights)
    return [weight / total for weight in weights]


def largest_of(values: Sequence[float], /) -> int:
    """The place of the largest value, of the first one where several are."""
    return values.index(max(values))
