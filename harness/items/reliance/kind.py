"""The kind of items that measure word reliance: the words that carry predictions, and the accuracy without them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING

from ...api.samples import Record, Sample
from ...api.scorecard import Row
from ...scorecard.names import RELIANCE
from ...store import StoredItem
from ..base.item_run import ItemRun
from ..base.kind import ItemKind, Planned
from ..base.planned_item import PlannedItem
from ..base.results import RunResults
from ..probe.explained import is_explained, probe_of
from .answer_classes import choose_answer_classes
from .records import find_carriers, make_reliance_records

if TYPE_CHECKING:
    from ...scorecard.columns import Table
    from .rows import WordUse

_WITHOUT = tuple(RELIANCE[f"{score}_without_carriers"] for score in ("correct", "changed"))


class RelianceItems(ItemKind):
    """``word_reliance(PROBE)``: one item per probe with the scores ``words`` on texts or pairs of texts."""

    name = "reliance"
    row_names = (
        *RELIANCE.values(), *(f"{name}_minus_random" for name in _WITHOUT), "carried", "overpredicted", "max_overpredicted",
    )  # fmt: skip

    def derive(self, planned: Planned, /) -> Iterable[PlannedItem]:
        for probe in planned.items:
            if "words" in probe.scores and not probe.key.about and is_explained(probe) and probe.task.task.requires & {"text", "pair"}:
                yield self.derive_from(
                    probe, program="word_reliance", suite_seed=planned.suite.seed, plugin=probe.plugin, settings=probe.settings,
                    roles=probe.roles, scores=probe.scores, each_word=probe.each_word, rests_on=(probe, planned.task_of(probe)),
                )  # fmt: skip

    def how_to_omit(self, item: PlannedItem, /) -> str:
        return item.without_score("words")

    def start(self, run: ItemRun, /) -> Callable[[Sequence[Sample]], list[Record]]:
        item = run.item
        probe, task = item.rests_on
        classes = choose_answer_classes(run.task, probe_of(item), item.samples, run.all_records_of(task))
        found = find_carriers(classes, zip(item.samples, run.all_records_of(probe), run.all_records_of(task), strict=False))

        def make_records(samples: Sequence[Sample]) -> list[Record]:
            explained, answers = (run.records_of(base, samples) for base in (probe, task))
            return make_reliance_records(run.engine, run.name, run.task, run.rng, samples, explained, answers, classes, found)

        return make_records

    def rows(self, item: StoredItem, table: Table, results: RunResults, /) -> list[Row]:
        from .rows import make_reliance_rows

        return make_reliance_rows(item, table)

    def joint_rows(self, results: RunResults, rows: list[Row], /) -> list[Row]:
        from .rows import WordUse

        for item in results.of_kind(self):
            results.kept[item.id] = WordUse.of(results.store, item)
        return [*rows, *(row for use in self._list_uses(results) for row in use.rows())]

    def flags(self, results: RunResults, /) -> Iterable[str]:
        for use in self._list_uses(results):
            yield from use.flags()

    def _list_uses(self, results: RunResults) -> list[WordUse]:
        from .rows import WordUse

        kept = [results.kept.get(item.id) for item in results.of_kind(self)]
        return [use for use in kept if isinstance(use, WordUse)]
