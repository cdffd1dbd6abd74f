"""The data types of a plan: items to run, and skipped items with the reason."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

from ..api.errors import CapabilityError
from ..items.base.planned_item import PlannedItem, PlannedModel
from ..suite.specs import Suite


class Load(NamedTuple):
    """The load of a sample on a model.

    ``num_requests``: the number of its requests; None if it depends on the answers.
    ``positions``: the approximate number of positions, without prefixes shared with earlier requests.
    ``error``: why the sample has no requests; empty if it has.
    ``parts``: the modalities of the parts of its chats other than text.
    """

    num_requests: int | None
    positions: int
    error: str = ""
    parts: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Skipped:
    """An item that the plan leaves out, with the reason, such as a capability that the model lacks."""

    model: str
    item: str
    reason: str


@dataclass(frozen=True, slots=True)
class Plan:
    """The result of planning a suite.

    ``models``, ``auxiliary_models``: the models of the suite, and those that only play roles.
    ``items``: the items to run, in order.
    ``skipped``: the items left out of the default selection.
    ``impossible``: a sentence for each entry that cannot run; a plan with such entries can be shown but not run.
    """

    suite: Suite
    models: tuple[PlannedModel, ...]
    auxiliary_models: tuple[PlannedModel, ...]
    items: tuple[PlannedItem, ...]
    skipped: tuple[Skipped, ...]
    impossible: tuple[str, ...] = ()

    def require_possible(self) -> None:
        """Raise `CapabilityError` with all entries that cannot run, if there are any."""
        if self.impossible:
            raise CapabilityError("\n".join(self.impossible))
