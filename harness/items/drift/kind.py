"""The kind of drift items: how much answers depend on their batch, on randomness, and on the precision."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from ...api.item_key import ItemKey
from ...api.samples import Record, Sample
from ...api.scorecard import Row
from ...scorecard.names import DRIFT_SHARE, DRIFT_TOLERANCE, DRIFTS
from ...store import StoredItem
from ..base.item_run import HALF_PRECISION, ItemRun
from ..base.kind import ItemKind, Planned
from ..base.planned_item import PlannedItem
from ..base.results import RunResults
from .records import make_drift_records

if TYPE_CHECKING:
    from ...scorecard.columns import Table

_NUM_SAMPLES = 8
_REQUESTS = frozenset({"classify", "loglikelihood", "pseudo_loglikelihood"})


class DriftItems(ItemKind):
    """The first samples of each task with numeric answers, repeated one by one."""

    name = "drift"
    has_costs = False
    # The samples belong to the task, which counts their failures.
    counts_failures = False
    row_names = tuple(DRIFTS.values())

    def derive(self, planned: Planned, /) -> Iterable[PlannedItem]:
        for item in planned.task_items() if planned.suite.check_drift else ():
            if item.task.task.requires & _REQUESTS and item.num_requests is not None and not item.model.info.is_paid:
                few = item.task.samples[:_NUM_SAMPLES]
                key = ItemKey(self.name, item.task.name, "batch_invariance")
                yield PlannedItem(
                    item.model, self, key, item.task, few, item.seed, "windtunnel", num_requests=len(few), rests_on=(item,)
                )  # fmt: skip

    def how_to_omit(self, item: PlannedItem, /) -> str:
        return "check_drift: false"

    def records(self, run: ItemRun, samples: Sequence[Sample], /) -> list[Record]:
        (task,) = run.item.rests_on
        most = DRIFT_SHARE * run.tokens_of(task) - run.tokens_of(run.item)
        return make_drift_records(run.engine, run.name, run.task, samples, most, run.float32_engine())

    def rows(self, item: StoredItem, table: Table, results: RunResults, /) -> list[Row]:
        from .rows import make_drift_row

        measured = [score for score in DRIFTS if score != "precision_drift" or item.facts["dtype"] in HALF_PRECISION]
        return [make_drift_row(item, table, score) for score in measured]

    def flags(self, results: RunResults, /) -> Iterable[str]:
        for item in results.of_kind(self):
            where = f"{item.model}/{item.item}"
            estimates = {name: results.estimate(item, row) for name, row in DRIFTS.items()}
            moved = {name: e.value for name, e in estimates.items() if e is not None and e.value is not None and e.value > DRIFT_TOLERANCE}
            if "repeat_drift" in moved:
                yield (
                    f"{where}: on the same input, the model's answer moved by {moved['repeat_drift']:.3g} of its spread: it is "
                    "randomised. Its numbers are one draw, and an attack on one draw says little of the next: average over draws before "
                    "attacking it."
                )
            elif "batch_drift" in moved:
                yield (
                    f"{where}: an answer moved by {moved['batch_drift']:.3g} of its spread with its batch neighbours. In half precision "
                    "some drift is expected; in float32 the model mixes its batch, and its numbers depend on the other requests."
                )
            if "precision_drift" in moved:
                short = item.facts["dtype"].removeprefix("torch.")
                yield f"{where}: in {short} an answer is {moved['precision_drift']:.3g} of its spread away from the one in float32."
