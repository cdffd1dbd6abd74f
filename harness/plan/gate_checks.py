"""Checks the gates of a suite against the rows that its items can have, and whether items may end early."""

from __future__ import annotations

from collections.abc import Sequence

from ..api.errors import ConfigError
from ..api.registry import Registry
from ..items.base.planned_item import PlannedItem
from ..scorecard.gates import Gate
from ..scorecard.gates.early_stop import is_on_interval, select_decisive

ONLY_AT_LOOKS = "gates against a baseline are decided at fixed looks only, as with 'stop: {decided: {looks: 4}}'"


def check_gate(gate: Gate, items: Sequence[PlannedItem], registry: Registry, *, has_baseline: bool) -> None:
    """Check before the run that at least one item can have the gate's row and number. Raises `ConfigError` otherwise.

    A gate that says what a missing row means is not checked. ``has_baseline``: whether the suite has a baseline.
    ``items``: all planned items, including those that are computed from the records of other items.
    """
    if gate.missing != "missing":
        return
    if gate.drop is not None and not has_baseline:
        raise ConfigError(
            f"gate {gate.title!r}: there is no baseline to compare with; name a run folder or a baseline file "
            f"with 'baseline' (--baseline), or set 'missing: pass' for runs without one"
        )
    about = [item for item in items if gate.concerns(item.model.name, item.item)]
    # `bounds_of` loads metrics, which import torch, so this step is reached only by numbers that are not rates.
    for item in about if gate.threshold is not None and not 0 <= gate.threshold.number <= 1 else ():
        gate.require_possible(item.kind.bounds_of(item, gate.metric, registry))
    if any("*" in gate.metric or item.kind.can_have_row(item, gate.metric) for item in about):
        return
    # `rows_of` loads metrics, which import torch, so this step is reached only by names that no kind recognises.
    rows = {id(item): item.kind.rows_of(item, items, registry) for item in about}
    names = [(item.model.name, item.item, row) for item in items for row in rows.get(id(item), ("",))]
    if not any(gate.metric == row for own in rows.values() for row in own):
        raise ConfigError(f"gate {gate.text!r}: {gate.nothing(names)}")


def check_early_stop(gates: Sequence[Gate], items: Sequence[PlannedItem], num_looks: int, registry: Registry) -> None:
    """Check the conditions of ``stop: decided``: gates that can be decided, and random order of the samples that may be left out.

    ``gates``: those of the suite. ``items``: all planned items. ``num_looks``: the fixed looks; 0 if an item may end at any time.
    Raises `ConfigError`.
    """
    if not any(is_on_interval(gate) and (num_looks or gate.drop is None) for gate in gates):
        fix = f"; {ONLY_AT_LOOKS}" if any(gate.drop is not None for gate in gates) else ""
        raise ConfigError(
            f"stop: decided needs a gate on an interval, such as 'sst2.accuracy >= 0.85', that decides when an item ends{fix}"
        )  # fmt: skip
    for item in items:
        decisive = select_decisive(gates, item.model.name, item.item, num_looks)
        for gate in decisive:
            if gate.drop is not None and not item.kind.is_bounded_mean(item, gate.metric, registry):
                raise ConfigError(
                    f"gate {gate.title!r}: with 'stop', it would never be decided, because {gate.metric} is no mean of bounded scores: its "
                    f"difference to a baseline has an interval for a fixed number of samples only; leave out 'stop', or this gate"
                )
        if decisive and not item.task.task.is_shuffled:
            raise ConfigError(
                f"stop: decided may end {item.item} after its first samples, which must then represent all of them: "
                f"set 'shuffle: 0' (or another seed) for the task {item.task.name!r}"
            )
