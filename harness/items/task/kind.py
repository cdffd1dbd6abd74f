"""Tasks: the model's plain answers and their metrics."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

from ...api.registry import Registry
from ...api.requests import Request
from ...api.responses import Response
from ...api.samples import Record, Sample
from ...api.scorecard import Figure, Row
from ...scorecard.names import EFFICIENCY, JUDGED, VERDICTS, Bounds
from ...store import StoredItem
from ..base.item_run import ItemRun
from ..base.kind import ItemKind
from ..base.planned_item import PlannedItem
from ..base.requests import list_requests
from ..base.results import RunResults
from .records import make_task_records

if TYPE_CHECKING:
    from ...metrics.base import Metric
    from ...scorecard.columns import Table


class TaskItems(ItemKind):
    """Tasks on models. The rows are those of the task's metrics, of its judges, and of each slice of its samples."""

    name = "task"
    section = "tasks"
    knows_requests = True
    artifacts = (*VERDICTS, "slice")
    corrected: ClassVar[Mapping[str, tuple[str, bool]]] = {
        "refused": ("corrected_refusal_rate", True), "harmful": ("corrected_harmful_rate", False),
    }  # fmt: skip
    row_names = (*JUDGED, *(name for name, _ in corrected.values()))

    def can_have_row(self, item: PlannedItem, row: str, /) -> bool:
        return super().can_have_row(item, row) or row in item.task.metric_code

    def rows_of(self, item: PlannedItem, others: Sequence[PlannedItem], registry: Registry, /) -> Iterable[str]:
        labels = tuple(str(label) for label in item.task.labels)
        from ...metrics.base import make_metric

        names = [name for metric in item.task.metric_code for name in make_metric(metric, registry).names(labels)]
        slices = sorted({str(sample.metadata["slice"]) for sample in item.task.samples if "slice" in sample.metadata})
        return [*names, *(f"{name}[{part}]" for name in names for part in slices), *EFFICIENCY, *self.row_names]

    def bounds_of(self, item: PlannedItem, row: str, registry: Registry, /) -> Bounds:
        from ...metrics.base import make_metric

        labels = tuple(str(label) for label in item.task.labels)
        for metric in (make_metric(name, registry) for name in item.task.metric_code):
            if any(row == name or row.startswith(f"{name}[") for name in metric.names(labels)):
                return metric.low, metric.high
        return super().bounds_of(item, row, registry)

    def is_bounded_mean(self, item: PlannedItem, row: str, registry: Registry, /) -> bool:
        from ...metrics.base import Metric, make_metric

        labels = tuple(str(label) for label in item.task.labels)
        for metric in (make_metric(name, registry) for name in item.task.metric_code):
            if any(row == name or row.startswith(f"{name}[") for name in metric.names(labels)):
                return type(metric).per_sample is not Metric.per_sample and metric.high is not None
        return super().is_bounded_mean(item, row, registry)

    def facts(self, item: PlannedItem, /) -> Mapping[str, Any]:
        task = item.task.task
        about = {"title": str(task.title), "hub_task": str(task.hub_task), "source": dict(task.source)}
        notes = {"data_notes": item.task.notes, "data_cautions": item.task.cautions}
        return {"metrics": tuple(item.task.metric_code), **notes, **about}

    def requests_ahead(self, item: PlannedItem, samples: Sequence[Sample], /) -> Sequence[Request[Response]]:
        return list_requests(item.task.task, samples)

    def records(self, run: ItemRun, samples: Sequence[Sample], /) -> list[Record]:
        return make_task_records(run.engine, run.name, run.task, samples)

    def columns(self, metrics: Mapping[str, Metric | str], /) -> Collection[str]:
        needs = {need for metric in metrics.values() if not isinstance(metric, str) for need in metric.needs}
        return {*needs, *self.artifacts}

    def figures(self, item: StoredItem, table: Table, /) -> Iterable[Figure]:
        from .figures import make_task_figures

        return make_task_figures(item, table)

    def rows(self, item: StoredItem, table: Table, results: RunResults, /) -> list[Row]:
        from .judge_rows import make_judged_rows
        from .rows import make_metric_rows

        return [*make_metric_rows(item, table, results), *make_judged_rows(item, table, results)]

    def joint_rows(self, results: RunResults, rows: list[Row], /) -> list[Row]:
        """Add the rates that are corrected for a judge's error, of all items with judged answers."""
        from .judge_rows import calibrate_judges, make_corrected_rows

        known = calibrate_judges(results.judged)
        corrected = [
            row for item, table in results.judged for row in make_corrected_rows(item, table, known, results.kinds[item.kind].corrected)
        ]
        return [*rows, *corrected]
