"""Counters of the engine's work, stored per chunk of records, so that a resumed run has the same totals."""

from __future__ import annotations

from dataclasses import asdict, dataclass, fields


@dataclass(slots=True)
class Counters:
    """Counts of requests, passes and tokens. For images, a token is a 16 x 16 patch.

    tokens_computed: real tokens. tokens_padded: padding that was computed and discarded.
    tokens_shared: tokens that were not computed, because other requests of the pass have the same prefix.
    flops: operations of products with the model's weights, and of attention if the model reports them.
    oom_splits: batches that were split because memory ran out.
    pack_failures: failed passes without padding, which were repeated as batches.
    cost: US dollars for answers of services.
    model_changes: chunks of records after which the model behind an endpoint was found to be another one. role_changes: the same of the
    models in roles.
    """

    requests: int = 0
    duplicates: int = 0
    cache_hits: int = 0
    forward_passes: int = 0
    gradient_passes: int = 0
    tokens_computed: int = 0
    tokens_padded: int = 0
    tokens_shared: int = 0
    flops: int = 0
    oom_splits: int = 0
    pack_failures: int = 0
    failures: int = 0
    cost: float = 0.0
    model_changes: int = 0
    role_changes: int = 0

    def add(self, other: Counters, /) -> None:
        for f in fields(self):
            setattr(self, f.name, getattr(self, f.name) + getattr(other, f.name))

    def take(self) -> dict[str, float]:
        """Return the counts, and reset them to zero."""
        taken = asdict(self)
        for f in fields(self):
            setattr(self, f.name, 0)
        return taken
