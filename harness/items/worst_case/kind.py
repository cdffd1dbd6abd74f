"""The worst case: what withstands all attacks on a task under one threat, from their records alone."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from ...api.scorecard import Row
from ...scorecard.names import PER_SLICE, WORST_CASE
from ...threats import describe_threat
from ..base.kind import ItemKind, Planned
from ..base.planned_item import PlannedItem
from ..base.results import RunResults
from .groups import KIND, worst_case_groups


class WorstCaseItems(ItemKind):
    """One item per threat on a task, where several attacks keep to it."""

    name = KIND
    runs = False
    has_costs = False
    row_names = tuple(PER_SLICE[score][0] for score in WORST_CASE)

    def derive(self, planned: Planned, /) -> Iterable[PlannedItem]:
        attacks = (
            (i, i.model.name, i.task.name, describe_threat(i.threat)) for i in planned.items if i.threat is not None and not i.key.about
        )
        for (_, key), members in worst_case_groups(attacks).items():
            yield replace(members[0], kind=self, key=key, plugin=None, threat=None, settings={})

    def joint_rows(self, results: RunResults, rows: list[Row], /) -> list[Row]:
        from ..attack.outcomes import outcomes_of
        from .rows import with_worst_cases

        return list(with_worst_cases(rows, outcomes_of(results)))

    def flags(self, results: RunResults, /) -> Iterable[str]:
        from ..attack.outcomes import outcomes_of
        from .rows import cut_short

        return cut_short(outcomes_of(results))
