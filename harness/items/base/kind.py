"""The base class of kinds of items.

A kind has one home: what it plans, the records it makes, its rows and their names, its flags, what a page shows of it. Plan, run, results
and gates go over the table of kinds (`items.kinds`) and know none by name. A plugin file adds a kind: ``@plugin("items", NAME)`` on a class
that derives from `ItemKind`.

The methods of results import what they need when they are called: metrics bring scipy, datasets and evaluate, and a plan is made in less
time than these take to load.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar

from ...api.item_key import ItemKey
from ...api.registry import Registry
from ...api.samples import Record, Sample, seed_of
from ...api.scorecard import Heat, Measure, Row, Twin
from ...engine import Engine
from ...scorecard.names import COSTS
from ...store import StoredItem
from ...suite.specs import Suite
from .item_run import ItemRun
from .planned_item import PlannedItem, PlannedModel

if TYPE_CHECKING:
    from ...metrics.base import Metric
    from ...scorecard.columns import Table
    from .results import RunResults
    from .view import SeenSample


@dataclass(frozen=True, slots=True)
class Planned:
    """What items are derived from: the suite, its models, and the items planned so far, those of earlier kinds included."""

    suite: Suite
    models: Sequence[PlannedModel]
    items: Sequence[PlannedItem]

    def task_items(self) -> list[PlannedItem]:
        """The items that are a task itself."""
        return [item for item in self.items if item.key.is_task]

    def task_of(self, item: PlannedItem) -> PlannedItem:
        """The item of the task itself that the item is about, on the same model."""
        return next(t for t in self.task_items() if (t.model.name, t.task.name) == (item.model.name, item.task.name))

    def of_kind(self, name: str) -> list[PlannedItem]:
        return [item for item in self.items if item.kind.name == name]


class ItemKind:
    """One kind of item. A subclass gives ``name``, and `derive`, `records` and `rows` as far as the defaults do not do.

    ``name``: of the kind, as records keep it. ``section``: the section of a suite whose entries are items of this kind; empty where all
    items are derived. ``runs``: False where the rows are made from the records of other items alone. ``effort``: how many times as much as
    the task itself an item asks of a model, roughly. ``has_costs``: whether its passes and tokens have rows. ``counts_failures``: whether
    its failed samples count among the run's. ``worked_on``: the score of the samples that the item worked on, where it passes over some.
    ``scores``: mean rows, by the score that each is the mean of: (the row's name, whether higher is better). ``dimension``: of these rows.
    ``row_names``: further rows that an item can have, without what stands in brackets. ``artifacts``: those of records that rows need.
    ``is_joined``: whether pages join its records with the task's samples. ``slice_names``: the slices that `slices` can give.
    ``measures``: title, sentence and direction of rows that `scorecard.measures` does not know, by name.
    ``corrected``: the rates of harmful prompts that are corrected for a judge's error, by what the judges were asked: (the row's name,
    whether higher is better). ``has_attributions``: whether its records hold attributions.
    ``knows_requests``: whether `requests_ahead` gives any.
    """

    name: ClassVar[str]
    section: ClassVar[str] = ""
    runs: ClassVar[bool] = True
    effort: ClassVar[int] = 1
    has_costs: ClassVar[bool] = True
    counts_failures: ClassVar[bool] = True
    worked_on: ClassVar[str] = ""
    scores: ClassVar[Mapping[str, tuple[str, bool | None]]] = {}
    dimension: ClassVar[str] = "quality"
    row_names: ClassVar[Collection[str]] = ()
    artifacts: ClassVar[Collection[str]] = ("slice",)
    is_joined: ClassVar[bool] = False
    slice_names: ClassVar[tuple[str, ...]] = ()
    measures: ClassVar[Mapping[str, Measure]] = {}
    knows_requests: ClassVar[bool] = False
    corrected: ClassVar[Mapping[str, tuple[str, bool]]] = {}
    has_attributions: ClassVar[bool] = False

    # ── the plan ──────────────────────────────────────────────────────────────────────────────────────────────────────

    def derive(self, planned: Planned, /) -> Iterable[PlannedItem]:
        """The items of this kind that follow from what is planned."""
        return ()

    def derive_from(self, base: PlannedItem, *others: PlannedItem, program: str, suite_seed: int, **changes: Any) -> PlannedItem:
        """An item of this kind that is named for ``base`` and ``others`` and rests on their records.

        It has the model, task and samples of ``base``. ``program``: what its name begins with. ``suite_seed``: what its own seed is made
        from. ``changes``: fields of `PlannedItem` to give in place of those.
        """
        bases = (base, *others)
        key = ItemKey(self.name, base.task.name, program, about=tuple(item.key for item in bases))
        fields: dict[str, Any] = {
            "model": base.model, "kind": self, "key": key, "task": base.task, "samples": base.samples,
            "seed": seed_of(suite_seed, str(key)), "origin": base.origin, "rests_on": bases,
        }  # fmt: skip
        return PlannedItem(**{**fields, **changes})

    def rows_of(self, item: PlannedItem, others: Sequence[PlannedItem], registry: Registry, /) -> Iterable[str]:
        """The names of all rows that the planned item can have, for a gate that is checked before the run."""
        return [name for name, _ in self.scores.values()] + [*self.row_names, *(COSTS if self.has_costs else ())]

    def can_have_row(self, item: PlannedItem, row: str, /) -> bool:
        """Whether the row surely can be, told without loading anything; `rows_of` is asked where it is not."""
        return row.partition("[")[0] in self.stems()

    def stems(self) -> frozenset[str]:
        """The names of rows of this kind without what stands in brackets, beside a task's own metrics."""
        return frozenset([name for name, _ in self.scores.values()] + [*self.row_names, *(COSTS if self.has_costs else ())])

    # ── the run ───────────────────────────────────────────────────────────────────────────────────────────────────────

    def facts(self, item: PlannedItem, /) -> Mapping[str, Any]:
        """What is recorded of the item, as JSON, beside what all items have."""
        return {}

    def requests_ahead(self, item: PlannedItem, samples: Sequence[Sample], /) -> Sequence[Any]:
        """The requests of a later chunk that are known now, for models that prepare them in the background."""
        return ()

    def try_settings(self, engine: Engine, item: PlannedItem, /) -> None:
        """Try, as soon as the weights are loaded, the settings that depend on them. Raises `ConfigError` where one does not fit."""

    def has_trial(self, item: PlannedItem, /) -> bool:
        """Whether `try_settings` has anything to try."""
        return False

    def start(self, run: ItemRun, /) -> Callable[[Sequence[Sample]], list[Record]]:
        """What makes the records of each chunk. Overridden where something is computed once for all chunks."""
        return partial(self.records, run)

    def records(self, run: ItemRun, samples: Sequence[Sample], /) -> list[Record]:
        """One record per sample, in order. A sample that fails is a record with an error."""
        raise NotImplementedError(f"the kind {self.name!r} has neither 'records' nor 'start'")

    # ── the results: records only, no model ───────────────────────────────────────────────────────────────────────────

    def columns(self, metrics: Mapping[str, Metric | str], /) -> Collection[str] | None:
        """The scores and artifacts that rows need; None: all scores. ``metrics``: the item's own, or why one cannot be loaded."""
        return None

    def rows(self, item: StoredItem, table: Table, results: RunResults, /) -> list[Row]:
        """The item's rows. By default the means of ``scores``, over the samples that have one."""
        from ...scorecard.mean_rows import make_mean_row

        return [
            make_mean_row(item, table, score, name, self.dimension, higher, optional=True) for score, (name, higher) in self.scores.items()
        ]

    def keep(self, item: StoredItem, table: Table, /) -> object:
        """What `joint_rows` and `flags` need of the item's table, for tables are not kept; `RunResults.kept` gives it back."""
        return None

    def joint_rows(self, results: RunResults, rows: list[Row], /) -> list[Row]:
        """All rows of the run, once those of each item are there: with rows about several items added, or rows changed."""
        return rows

    def flags(self, results: RunResults, /) -> Iterable[str]:
        """What a reader must know before believing the numbers of this kind, one sentence each."""
        return ()

    def slices(self, is_right: bool | None, scores: Mapping[str, float | None], /) -> dict[str, bool]:
        """Whether a sample is in each slice that it could be in. ``is_right``: whether the model's plain answer is right."""
        return {}

    def view(self, seen: SeenSample, /) -> Twin | Heat | None:
        """What a page shows of a record, beside the sample."""
        return None
