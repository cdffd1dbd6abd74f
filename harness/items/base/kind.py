"""The base class of kinds of items.

One class defines everything about a kind: its planned items, its records, its rows and their names, its flags, and
its views. Plan, run, results and gates iterate over the table of kinds (`items.kinds`) and refer to none by name. A
plugin file adds a kind with ``@plugin("items", NAME)`` on a class that derives from `ItemKind`.

The methods that compute results import their modules on call: metrics import scipy, datasets and evaluate, which take
longer to load than planning takes.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar

from ...api.item_key import ItemKey
from ...api.registry import Registry
from ...api.samples import Record, Sample, seed_of
from ...api.scorecard import Figure, Heat, Measure, Row, Twin
from ...engine import Engine
from ...scorecard.measures import MEASURES
from ...scorecard.names import BOUNDED_MEANS, EFFICIENCY, Bounds, get_kind
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
    """The input of `ItemKind.derive`: the suite, its models, and the items of tasks and earlier kinds."""

    suite: Suite
    models: Sequence[PlannedModel]
    items: Sequence[PlannedItem]

    def task_items(self) -> list[PlannedItem]:
        """Return the items that are tasks themselves."""
        return [item for item in self.items if item.key.is_task]

    def task_of(self, item: PlannedItem) -> PlannedItem:
        """Return the task's own item on the model of ``item``."""
        return next(t for t in self.task_items() if (t.model.name, t.task.name) == (item.model.name, item.task.name))

    def of_kind(self, name: str) -> list[PlannedItem]:
        """Return the items of a kind."""
        return [item for item in self.items if item.kind.name == name]


class ItemKind:
    """Base class of kinds of items.

    A subclass defines ``name``, and overrides `derive`, `records` and `rows` as needed.

    ``name``: the name of the kind in records.
    ``section``: the section of a suite whose entries are items of this kind; empty if all items are derived.
    ``runs``: False if the rows are computed only from the records of other items.
    ``work_per_position``: decides how many samples a chunk holds: the rough work on a position, as a multiple of the task's own. Times are
        measured, and do not depend on it.
    ``has_costs``: whether its passes and tokens have rows.
    ``counts_failures``: whether its failed samples count among those of the run.
    ``worked_on``: a score that only the processed samples have, if the item skips samples.
    ``scores``: the rows that are means of scores: (name of the row, whether higher is better), by score.
    ``dimension``: the dimension of these rows.
    ``row_names``: the names of further possible rows, without the parts in brackets.
    ``artifacts``: the artifacts of records that rows need.
    ``is_joined``: whether pages show its records with the task's samples.
    ``slice_names``: the names of the slices that `slices` can return.
    ``measures``: titles, sentences and directions of rows that `scorecard.measures` does not contain, by name.
    ``corrected``: the rates on harmful prompts that are corrected for a judge's error: (name of the row, whether
        higher is better), by the judges' question.
    ``has_attributions``: whether its records contain attributions.
    ``knows_requests``: whether `requests_ahead` returns requests.
    """

    name: ClassVar[str]
    section: ClassVar[str] = ""
    runs: ClassVar[bool] = True
    work_per_position: ClassVar[int] = 1
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
        """Return the items of this kind that follow from the plan so far."""
        return ()

    def how_to_omit(self, item: PlannedItem, /) -> str:
        """Return the key of a suite that leaves out a derived item, such as ``check_drift: false``; empty if an entry asks for it."""
        return ""

    def derive_from(self, base: PlannedItem, *others: PlannedItem, program: str, suite_seed: int, **changes: Any) -> PlannedItem:
        """Create an item of this kind that depends on the records of ``base`` and ``others`` and is named for them.

        ``base``: its model, task and samples become the item's.
        ``program``: the beginning of the item's name.
        ``suite_seed``: the seed that the item's seed is derived from.
        ``changes``: fields of `PlannedItem` that override these values.
        """
        bases = (base, *others)
        key = ItemKey(self.name, base.task.name, program, about=tuple(item.key for item in bases))
        fields: dict[str, Any] = {
            "model": base.model, "kind": self, "key": key, "task": base.task, "samples": base.samples,
            "seed": seed_of(suite_seed, str(key)), "origin": base.origin, "rests_on": bases,
        }  # fmt: skip
        return PlannedItem(**{**fields, **changes})

    def rows_of(self, item: PlannedItem, others: Sequence[PlannedItem], registry: Registry, /) -> Iterable[str]:
        """Return the names of all possible rows of a planned item, to check gates before the run."""
        return [name for name, _ in self.scores.values()] + [*self.row_names, *(EFFICIENCY if self.has_costs else ())]

    def can_have_row(self, item: PlannedItem, row: str, /) -> bool:
        """Tell without loading anything whether a row is certainly possible. If not, the plan calls `rows_of`."""
        return row.partition("[")[0] in self.stems()

    def bounds_of(self, item: PlannedItem, row: str, registry: Registry, /) -> Bounds:
        """Return the smallest and the largest value that a possible row of a planned item can have; None for no bound."""
        measure = {**MEASURES, **self.measures}.get(row.partition("[")[0])
        return (None, None) if measure is None else (measure.low, measure.high)

    def is_bounded_mean(self, item: PlannedItem, row: str, registry: Registry, /) -> bool:
        """Tell whether a possible row of a planned item is a mean of scores between bounds, so that few samples may decide its gates."""
        return get_kind(row) in BOUNDED_MEANS

    def stems(self) -> frozenset[str]:
        """Return the names of the rows of this kind without the parts in brackets, except for the metrics of tasks."""
        return frozenset([name for name, _ in self.scores.values()] + [*self.row_names, *(EFFICIENCY if self.has_costs else ())])

    # ── the run ───────────────────────────────────────────────────────────────────────────────────────────────────────

    def facts(self, item: PlannedItem, /) -> Mapping[str, Any]:
        """Return further JSON values to record about the item."""
        return {}

    def requests_ahead(self, item: PlannedItem, samples: Sequence[Sample], /) -> Sequence[Any]:
        """Return the known requests of a later chunk, for models that prepare them in the background."""
        return ()

    def try_settings(self, engine: Engine, item: PlannedItem, /) -> None:
        """Check the settings that depend on the weights, after loading. Raises `ConfigError` for an invalid setting."""

    def find_likeness(self, item: PlannedItem, /) -> Hashable:
        """Return what decides the time per position: equal for items that take about as long on one model. By default those of a task."""
        return item.task.requires

    def has_trial(self, item: PlannedItem, /) -> bool:
        """Tell whether `try_settings` checks anything."""
        return False

    def start(self, run: ItemRun, /) -> Callable[[Sequence[Sample]], list[Record]]:
        """Return the function that creates the records of a chunk. Override it to share work between chunks."""
        return partial(self.records, run)

    def records(self, run: ItemRun, samples: Sequence[Sample], /) -> list[Record]:
        """Return one record per sample, in order. A failed sample has a record with an error."""
        raise NotImplementedError(f"the kind {self.name!r} has neither 'records' nor 'start'")

    # ── the results: records only, no model ───────────────────────────────────────────────────────────────────────────

    def columns(self, metrics: Mapping[str, Metric | str], /) -> Collection[str] | None:
        """Return the scores and artifacts that rows need; None for all scores.

        ``metrics``: the metrics by name, or the error of loading one.
        """
        return None

    def rows(self, item: StoredItem, table: Table, results: RunResults, /) -> list[Row]:
        """Return the item's rows. By default they are the means of ``scores``, over the samples that have the score."""
        from ...scorecard.mean_rows import make_mean_row

        return [
            make_mean_row(item, table, score, name, self.dimension, higher, optional=True) for score, (name, higher) in self.scores.items()
        ]

    def sources(self, model: str, key: ItemKey, results: RunResults, /) -> Iterable[StoredItem]:
        """Return the items that the rows of this kind with a key on a model are computed from, if they have no item of their own."""
        return ()

    def figures(self, item: StoredItem, table: Table, /) -> Iterable[Figure]:
        """Return the data of the item's charts that rows cannot hold."""
        return ()

    def keep(self, item: StoredItem, table: Table, /) -> object:
        """Return the data of the item's table that `joint_rows` and `flags` need, for `RunResults.kept`."""
        return None

    def joint_rows(self, results: RunResults, rows: list[Row], /) -> list[Row]:
        """Return all rows of the run: ``rows`` with rows about several items added, or with changes."""
        return rows

    def flags(self, results: RunResults, /) -> Iterable[str]:
        """Return sentences that warn readers about the numbers of this kind."""
        return ()

    def slices(self, is_right: bool | None, scores: Mapping[str, float | None], /) -> dict[str, bool]:
        """Tell whether a sample is in each applicable slice. ``is_right``: whether the clean answer is right."""
        return {}

    def view(self, seen: SeenSample, /) -> Twin | Heat | None:
        """Return the view of a record that a page shows with the sample."""
        return None
