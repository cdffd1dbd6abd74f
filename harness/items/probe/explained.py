"""What a probe explains."""

from __future__ import annotations

from ...api.probe import Probe
from ...engine.continuations import has_continuations
from ..base.planned_item import PlannedItem


def is_explained(probe: PlannedItem, /) -> bool:
    """Whether what the probe explains is the task's answer: a class, or a continuation."""
    return "classify" in probe.task.task.requires or has_continuations(probe.task.task)


def probe_of(item: PlannedItem, /) -> Probe:
    """The probe of an item that has one."""
    assert isinstance(item.plugin, Probe)
    return item.plugin
