"""Gates that no run could answer are errors of the plan."""

from __future__ import annotations

from collections.abc import Sequence

from ..api.errors import ConfigError
from ..api.registry import Registry
from ..scorecard.gates import Gate
from ..scorecard.names import AGREEMENT, ROWS, accuracy_within
from .types import PlannedItem


def check_gate(gate: Gate, items: Sequence[PlannedItem], registry: Registry) -> None:
    """A gate that could never be answered is an error now, not after the run."""
    about = [i for i in items if gate.concerns(i.model.name, i.item)]
    if any(gate.metric.partition("[")[0] in ROWS[i.kind] or gate.metric in i.task.task.metrics for i in about):
        return
    if any(gate.metric in _agreement_names(i, items) for i in about):
        return
    found = [(i.model.name, i.item, metric) for i in items for metric in (_metric_names(i, registry) if i in about else ("",))]
    if not any(gate.metric == metric for i in about for metric in _metric_names(i, registry)):
        raise ConfigError(f"gate {gate.text!r}: {gate.nothing(found)}")


def _agreement_names(item: PlannedItem, items: Sequence[PlannedItem]) -> list[str]:
    """The rows of a probe about those that run after it on the same samples."""
    probes = [i for i in items if (i.kind, i.model.name, i.task.name) == ("probe", item.model.name, item.task.name)]
    later = probes[probes.index(item) + 1 :] if item in probes else []
    return [f"{beginning}{i.item.removesuffix(f'({i.task.name})')}" for i in later for beginning in AGREEMENT]


def _metric_names(item: PlannedItem, registry: Registry) -> list[str]:
    """The rows that an item can have. Metrics are loaded for this (and with them torch): only a name that is not a metric's asks."""
    if item.kind != "task":
        return [*ROWS[item.kind], *map(accuracy_within, item.settings.get("epsilons") or ())]
    labels = tuple(str(label) for label in item.task.labels)
    from ..metrics.base import make_metric

    own = [name for metric in item.task.metric_code for name in make_metric(metric, registry).names(labels)]
    slices = sorted({str(sample.metadata["slice"]) for sample in item.task.samples if "slice" in sample.metadata})
    return [*own, *(f"{name}[{part}]" for name in own for part in slices), *ROWS["task"]]
