"""The facts of a plan: what runs, what does not, and why."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

from ..api.errors import CapabilityError
from ..items.base.planned_item import PlannedItem, PlannedModel
from ..suite.specs import Suite


class Load(NamedTuple):
    """What a sample asks of a model: how many requests (None: the task decides as it goes), and roughly how many positions that
    the requests before have not. ``error``: why it asks nothing. ``parts``: modalities of parts of its chats, beside text."""

    num_requests: int | None
    positions: int
    error: str = ""
    parts: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Skipped:
    """What was asked for by default and cannot be, with the reason."""

    model: str
    item: str
    reason: str


@dataclass(frozen=True, slots=True)
class Plan:
    """``impossible``: what was asked for and no model can do, a sentence each. A plan that has any is for reading, not for running."""

    suite: Suite
    models: tuple[PlannedModel, ...]
    auxiliary_models: tuple[PlannedModel, ...]
    items: tuple[PlannedItem, ...]
    skipped: tuple[Skipped, ...]
    impossible: tuple[str, ...] = ()

    def require_possible(self) -> None:
        """Raises `CapabilityError` with all that cannot be done."""
        if self.impossible:
            raise CapabilityError("\n".join(self.impossible))
