"""The progress events of a run."""

from __future__ import annotations

from collections.abc import Mapping


class Progress:
    """Receives the events of a run in order. This base class ignores them."""

    def plan(self, shares: Mapping[tuple[str, str], float]) -> None:
        """The run starts. shares: the rough share of each item in the work of the run, by model and item."""

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
