"""The progress events of a run."""

from __future__ import annotations

from collections.abc import Mapping

from .pace import Work


class Progress:
    """Receives the events of a run in order. This base class ignores them."""

    def plan(self, works: Mapping[tuple[str, str], Work]) -> None:
        """The run starts. works: the counted work of each item, by model and item, in no order."""

    def loading(self, model: str) -> None:
        """A model's weights are about to be loaded."""

    def item(self, model: str, item: str, done: int, total: int) -> None:
        """An item starts. done: the number of samples with a record. total: the number of samples of the item."""

    def advance(self, num_samples: int) -> None:
        """Further samples of the item have records. num_samples: their number."""

    def finish(self) -> None:
        """All samples of the item have records."""

    def batch(self, kind: str, rows: int, tokens: int) -> None:
        """A batch was computed. kind: the kind of its requests. rows: their number. tokens: the number of tokens without padding."""
