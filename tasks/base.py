"""What all families share: rows are read once, in one order, and a bad row is one bad sample."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cached_property
from types import MappingProxyType
from typing import Any, ClassVar, Literal, NamedTuple

import numpy as np
from typing_extensions import TypedDict  # pydantic, which checks settings, takes typing's own from Python 3.12 only

from ..harness.data import DataSpec, Row, Rows, load
from ..harness.errors import ConfigError, DataError, NonFiniteError, SampleError
from ..harness.inputs import Input
from ..harness.requests import Request
from ..harness.samples import Sample
from .fields import Field


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


class RowTask:
    """Base of the families. A family gives `build`, `ask` and `score`; the rest of the `Task` protocol is here.

    A row without text, with an unknown label or with an image that does not decode becomes a sample whose ``metadata["error"]`` says so:
    `requests` raises it as `SampleError`, which the runner records, and the other samples go on.

    ``title``, ``description``, ``citation``, ``dimension``: what a catalog file says about the task.
    """

    requires: frozenset[str]
    primary: ClassVar[str] = ""
    default_metrics: ClassVar[tuple[str, ...]] = ()
    title = ""
    description = ""
    citation = ""
    dimension = "quality"

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
        self.metrics: Sequence[str] = tuple(metrics) or self.default_metrics
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
    def data_fingerprint(self) -> str:
        return self.rows.fingerprint

    @property
    def labels(self) -> tuple[str, ...]:
        """Names of the classes, where they are the same for every sample."""
        return ()

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
        _ = self.prefix  # examples that cannot be read are an error now, not with the first request
        units = self.units()
        order = range(len(units)) if self._shuffle is False else map(int, np.random.default_rng(self._shuffle).permutation(len(units)))
        seen: set[str] = set()
        for index in order:
            # Until its own id is known: a "#" keeps a row's place apart from the numbers that an id column may hold.
            sample_id = f"{self.name}:#{index}" if self._id else f"{self.name}:{index}"
            part: dict[str, str] = {}
            try:
                row = units[index]
                if self._id:
                    given = f"{self.name}:{self._id.value(row)}"
                    if given in seen:
                        raise SampleError(f"id: {given!r} stands for another row already")
                    sample_id = given
                group = self._group.name(row) if self._group else None
                part = self.part(row)
                item = self.build(row)
            except (SampleError, OSError, SyntaxError, ValueError) as error:  # Pillow raises the last three for an image it cannot decode
                text = str(error) if isinstance(error, SampleError) else f"{type(error).__name__}: {error}"
                yield Sample(sample_id, "", metadata={"error": text, **part})
                continue
            finally:
                seen.add(sample_id)
            yield Sample(sample_id, item.input, item.target, item.labels, group, {**item.metadata, **part})

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

    def score(self, sample: Sample, responses: Sequence[Any], /) -> Mapping[str, float | None]:
        raise NotImplementedError

    def predict(self, sample: Sample, responses: Sequence[Any], /) -> Mapping[str, Any]:
        return {}


class FewShot:
    """The first ``num`` rows of another split, written out before the question: fixed, the same for every sample.

    Raises `ConfigError` where the examples would come from the evaluated rows themselves, `DataError` where there are too few.
    """

    def __init__(self, data: DataSpec, num: int, split: str, header: str) -> None:
        if num < 0:
            raise ConfigError(f"num_fewshot is 0 or more, not {num}")
        if num and split == data.split:
            raise ConfigError(f"fewshot_split: {split!r} is the split that is evaluated; its rows would be their own examples")
        self._data, self._num = data.at(split) if num else data, num
        self._header = Field("header", header, literal=True).text({})

    def prefix(self, examples: Sequence[Field], write: Callable[[Row], str]) -> str:
        """Header and examples, a blank line after each. ``write``: a row to its example, question and answer."""
        if not self._num:
            return self._header
        rows = load(self._data)
        rows.require(sorted(set().union(*(f.columns for f in examples))))
        if len(rows.rows) < self._num:
            raise DataError(f"num_fewshot is {self._num}, and {rows.source} has {len(rows.rows)} rows")
        try:
            return self._header + "".join(f"{write(rows.rows[i])}\n\n" for i in range(self._num))
        except SampleError as error:
            raise DataError(f"a few-shot example among the first {self._num} rows of {rows.source} cannot be used: {error}") from error


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
