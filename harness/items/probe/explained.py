"""Helpers for the probe of a planned item."""

from __future__ import annotations

from ...api.probe import Probe
from ...engine.continuations import has_continuations
from ..base.planned_item import PlannedItem


def is_explained(probe: PlannedItem, /) -> bool:
    """Tell whether the probe explains the answer of the task: a class or a continuation."""
    return "classify" in probe.task.task.requires or has_continuations(probe.task.task)


def probe_of(item: PlannedItem, /) -> Probe:
    """Return the probe of an item whose plugin is a probe."""
    assert isinstance(item.plugin, Probe)
    return item.plugin
