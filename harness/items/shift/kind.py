"""The kind of items that measure explanation shift: a probe also explains the twins of an attack."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

from ...api.samples import Record, Sample
from ...api.scorecard import Row
from ...scorecard.names import BETWEEN_CLASSES, CONTROLS, LIKENESS
from ...store import StoredItem
from ..base.item_run import ItemRun
from ..base.kind import ItemKind, Planned
from ..base.planned_item import PlannedItem
from ..base.results import RunResults
from ..probe.explained import is_explained, probe_of
from .records import make_shift_records

if TYPE_CHECKING:
    from ...scorecard.columns import Table

UNMOVED = 0.8
"""A map is unmoved if its rank correlation with the map before the attack is at least this."""

_STAYED = "flipped_explanation_unmoved"


class ShiftItems(ItemKind):
    """``explanation_shift(PROBE, ATTACK)``: one item per probe with the scores ``twins`` and attack on its task."""

    name = "shift"
    work_per_position = 20
    worked_on = "flipped"
    is_joined = True
    slice_names = (_STAYED,)
    row_names = (
        *(f"{name}{end}" for name in LIKENESS for end in ("", *CONTROLS, "_of_prediction", *(f"_minus{control}" for control in CONTROLS))),
        "aligned_share", _STAYED, BETWEEN_CLASSES,
    )  # fmt: skip

    def derive(self, planned: Planned, /) -> Iterable[PlannedItem]:
        probes = [item for item in planned.items if "twins" in item.scores and is_explained(item)]
        attacks = [item for item in planned.items if item.threat is not None and not item.key.about and item.key.seed == 1]
        for probe in probes:
            for attack in attacks:
                if (probe.model.name, probe.task.name) == (attack.model.name, attack.task.name):
                    yield self.derive_from(
                        probe, attack, program="explanation_shift", suite_seed=planned.suite.seed, plugin=probe.plugin,
                        settings=probe.settings, roles=probe.roles, scores=probe.scores, each_word=probe.each_word,
                        samples=min(probe.samples, attack.samples, key=len),
                    )  # fmt: skip

    def how_to_omit(self, item: PlannedItem, /) -> str:
        return item.without_score("twins")

    def find_likeness(self, item: PlannedItem, /) -> Hashable:
        """Return that of the probe, which explains about as often: each sample and its randomised copy, and scores both."""
        probe = item.rests_on[0]
        return probe.kind.find_likeness(probe)

    def records(self, run: ItemRun, samples: Sequence[Sample], /) -> list[Record]:
        item, probe = run.item, probe_of(run.item)
        explained, attacked = (run.records_of(base, samples) for base in item.rests_on)
        return make_shift_records(
            run.engine, run.name, run.task, probe, run.rng, samples, explained, attacked, item.scores, run.suite_seed
        )  # fmt: skip

    def rows(self, item: StoredItem, table: Table, results: RunResults, /) -> list[Row]:
        from ..base.slice_rows import make_slice_rows
        from .rows import make_shift_rows

        return [*make_shift_rows(item, table), *make_slice_rows(self, item, results)]

    def joint_rows(self, results: RunResults, rows: list[Row], /) -> list[Row]:
        from ...scorecard.controls import add_cautions

        return add_cautions(rows)

    def flags(self, results: RunResults, /) -> Iterable[str]:
        from ...scorecard.controls import make_control_flags

        for item in results.of_kind(self):
            yield from make_control_flags(item, results.rows)

    def slices(self, is_right: bool | None, scores: Mapping[str, float | None], /) -> dict[str, bool]:
        """Return ``flipped_explanation_unmoved``: whether the map of the explained class stayed when the label flipped.

        The slice applies only to flipped samples with a rank correlation.
        """
        alike = scores.get("rank_correlation")
        return {_STAYED: alike >= UNMOVED} if scores.get("flipped") == 1 and alike is not None else {}
