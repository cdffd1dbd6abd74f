"""The kind of items for the worst case under one threat, computed from the records of the attacks."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from ...api.item_key import ItemKey
from ...api.scorecard import Row
from ...scorecard.names import PER_SLICE, WORST_CASE
from ...store import StoredItem
from ...threats import describe_threat
from ..base.kind import ItemKind, Planned
from ..base.planned_item import PlannedItem
from ..base.results import RunResults
from .groups import KIND, group_attacks


class WorstCaseItems(ItemKind):
    """``worst_case(TASK)``: one item per model, task and threat with several attacks."""

    name = KIND
    runs = False
    has_costs = False
    row_names = tuple(PER_SLICE[score][0] for score in WORST_CASE)

    def derive(self, planned: Planned, /) -> Iterable[PlannedItem]:
        attacks = (
            (i, i.model.name, i.task.name, describe_threat(i.threat)) for i in planned.items if i.threat is not None and not i.key.about
        )
        for (_, key), members in group_attacks(attacks).items():
            yield replace(members[0], kind=self, key=key, plugin=None, threat=None, settings={})

    def joint_rows(self, results: RunResults, rows: list[Row], /) -> list[Row]:
        from ..attack.outcomes import collect_outcomes
        from .rows import insert_worst_cases

        return list(insert_worst_cases(rows, collect_outcomes(results)))

    def sources(self, model: str, key: ItemKey, results: RunResults, /) -> Iterable[StoredItem]:
        from ..attack.outcomes import collect_outcomes
        from .rows import group_worst_cases

        return [outcomes.item for outcomes in group_worst_cases(collect_outcomes(results)).get((model, key), ())]

    def flags(self, results: RunResults, /) -> Iterable[str]:
        from ..attack.outcomes import collect_outcomes
        from .rows import flag_unequal_limits

        return flag_unequal_limits(collect_outcomes(results))
