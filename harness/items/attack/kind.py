"""Attacks: adversarial twins of a task's samples, checked against a threat and judged by the task's own scoring."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, ClassVar

from ...api.attack import AnyAttack, Attack
from ...api.errors import check_named
from ...api.plugins import Program
from ...api.registry import Registry
from ...api.samples import Record, Sample, seed_of
from ...api.scorecard import Figure, Row, Twin
from ...scorecard.names import DISTANCES, EFFICIENCY, JUDGED, MEDIANS, PER_SLICE, QUERY_BUDGETS, VERDICTS, name_accuracy_within
from ...store import StoredItem
from ...suite.specs import AttackSpec, Suite
from ...threats import build_threat
from ..base.item_run import ItemRun
from ..base.planned_item import PlannedItem
from ..base.program_kind import ProgramKind
from ..base.results import RunResults
from ..base.view import SeenSample, answer, preview_input
from .records import make_attack_records

if TYPE_CHECKING:
    from ...scorecard.columns import Table
    from .outcomes import Outcomes

_OUTCOMES = frozenset({"clean_correct", "robust_correct", "correct_on_twin", "success", "outside_threat"})


class AttackItems(ProgramKind[AttackSpec]):
    """Attacks on tasks. Robust accuracy covers all samples; success covers those with a right clean answer."""

    name = "attack"
    section = "attacks"
    worked_on = "success"
    is_joined = True
    artifacts = (*VERDICTS, "slice")
    row_names = (
        *(name for name, _ in PER_SLICE.values()), "mean_num_queries", "median_num_queries", "num_outside_threat", "num_not_attacked",
        "robust_accuracy_spread", *(f"median_{name}" for name in MEDIANS), *(f"success_within_{num}_queries" for num in QUERY_BUDGETS),
        *JUDGED, "corrected_attack_success_rate", *(f"mean_{name}" for name in DISTANCES),
    )  # fmt: skip
    corrected: ClassVar[Mapping[str, tuple[str, bool]]] = dict.fromkeys(("refused", "harmful"), ("corrected_attack_success_rate", False))

    def fields(self, spec: AttackSpec, plugin: Program, suite: Suite, /) -> Mapping[str, Any]:
        if not isinstance(spec.transfer, bool):
            models = [model.name or model.model for model in suite.models]
            check_named(spec.transfer, models, f"attack {spec.name or spec.attack!r} transfers to the model")
        assert isinstance(plugin, Attack)
        threat = build_threat(spec.threat, plugin, spec.name or spec.attack, suite.resources)
        return {"threat": threat, "transfer": spec.transfer}

    def repeat(self, first: PlannedItem, number: int, suite_seed: int, make: Callable[[Mapping[str, Any]], Program], /) -> PlannedItem:
        key = replace(first.key, seed=number)
        return replace(first, key=key, seed=seed_of(suite_seed, str(key)))

    def rows_of(self, item: PlannedItem, others: Sequence[PlannedItem], registry: Registry, /) -> Iterable[str]:
        return [*self.row_names, *EFFICIENCY, *map(name_accuracy_within, item.settings.get("epsilons") or ())]

    def facts(self, item: PlannedItem, /) -> Mapping[str, Any]:
        attack = _attack_of(item)
        return {"uses_gradients": "gradients" in attack.requires, "keeps_answer": attack.keeps_answer}

    def records(self, run: ItemRun, samples: Sequence[Sample], /) -> list[Record]:
        assert run.item.threat is not None
        return make_attack_records(run.engine, run.name, run.task, _attack_of(run.item), run.item.threat, run.rng, samples)

    def rows(self, item: StoredItem, table: Table, results: RunResults, /) -> list[Row]:
        from ..task.judge_rows import make_judged_rows
        from .rows import make_attack_rows

        return [*make_attack_rows(item, table), *make_judged_rows(item, table, results)]

    def figures(self, item: StoredItem, table: Table, /) -> Iterable[Figure]:
        from .rows import make_query_curve

        curve = make_query_curve(item, table)
        return () if curve is None else (curve,)

    def keep(self, item: StoredItem, table: Table, /) -> Outcomes:
        from .outcomes import Outcomes

        return Outcomes.of(item, table)

    def joint_rows(self, results: RunResults, rows: list[Row], /) -> list[Row]:
        from .outcomes import collect_outcomes
        from .reliability import make_spread_rows

        return [*rows, *make_spread_rows(collect_outcomes(results))]

    def flags(self, results: RunResults, /) -> Iterable[str]:
        from ..task.judge_rows import calibrate_judges, flag_lonely_judges
        from .outcomes import collect_outcomes
        from .reliability import list_warnings

        yield from list_warnings(collect_outcomes(results), results.rows, results.notes)
        attacked = [(item, table) for item, table in results.judged if item.kind == self.name]
        yield from flag_lonely_judges(attacked, calibrate_judges(results.judged))

    def view(self, seen: SeenSample, /) -> Twin:
        return view_twin(seen)


def _attack_of(item: PlannedItem) -> AnyAttack:
    assert isinstance(item.plugin, Attack)
    return item.plugin


def view_twin(seen: SeenSample) -> Twin:
    """Return the view of the twin in a record of an attack or of a transfer."""
    record = seen.record
    success, twin = record.scores.get("success"), record.artifacts.get("twin")
    return Twin(
        attack=seen.item.key.title, input=None if twin is None else preview_input(twin), prediction=answer(record, seen.sample.labels),
        success=None if success is None else success == 1, facts={k: v for k, v in record.scores.items() if k not in _OUTCOMES},
        note=record.error or str(record.artifacts.get("note", "")), is_failed=record.error is not None,
    )  # fmt: skip
