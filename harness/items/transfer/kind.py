"""The kind of transfers: the successful twins of one model, scored on another."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, ClassVar

from ...api.samples import Record, Sample
from ...api.scorecard import Row, Twin
from ...scorecard.names import VERDICTS
from ...store import StoredItem
from ..attack.kind import view_twin
from ..base.item_run import ItemRun
from ..base.kind import ItemKind, Planned
from ..base.planned_item import PlannedItem
from ..base.results import RunResults
from ..base.view import SeenSample
from .records import make_transfer_records

if TYPE_CHECKING:
    from ...scorecard.columns import Table


class TransferItems(ItemKind):
    """``transfer(pgd(cifar10), A)`` on model B: the effect of A's twins on B, over the samples whose twins fooled A.

    Success is over those of them with a right clean answer of B.
    """

    name = "transfer"
    worked_on = "clean_correct"
    dimension = "robustness"
    is_joined = True
    artifacts = (*VERDICTS, "slice")
    scores: ClassVar[Mapping[str, tuple[str, bool | None]]] = {
        "success": ("transfer_success_rate", False),
        "correct_on_twin": ("accuracy_on_twins", True),
        "clean_correct": ("clean_accuracy", True),
    }

    def derive(self, planned: Planned, /) -> Iterable[PlannedItem]:
        for attack in planned.items:
            for task in planned.task_items() if attack.transfer and attack.key.seed == 1 else ():
                model, wanted = task.model, attack.transfer
                if task.task is attack.task and model.name != attack.model.name and (wanted is True or model.name in tuple(wanted or ())):
                    changes = {"threat": attack.threat, "settings": attack.settings, "seed": attack.seed, "model": model}
                    item = self.derive_from(attack, program="transfer", suite_seed=planned.suite.seed, **changes)
                    yield replace(item, key=replace(item.key, source_model=attack.model.name))

    def records(self, run: ItemRun, samples: Sequence[Sample], /) -> list[Record]:
        (attack,) = run.item.rests_on
        return make_transfer_records(run.engine, run.name, run.task, samples, run.records_of(attack, samples))

    def rows(self, item: StoredItem, table: Table, results: RunResults, /) -> list[Row]:
        from ..task.judge_rows import make_judged_rows

        return [*super().rows(item, table, results), *make_judged_rows(item, table, results)]

    def view(self, seen: SeenSample, /) -> Twin | None:
        return view_twin(seen) if seen.record.scores else None
