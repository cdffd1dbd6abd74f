"""What the engine did, counted. Sums are taken per chunk of records, so that a resumed run counts as an uninterrupted one."""

from __future__ import annotations

from dataclasses import asdict, dataclass, fields


@dataclass(slots=True)
class Counters:
    """``tokens_padded`` were computed and thrown away; ``tokens_computed`` are the real ones. For images a token is a 16 x 16 patch.

    ``flops``: of products with the model's weights, and of attention where the model says them. ``tokens_shared`` were not computed, since
    other requests of the pass begin with the same tokens. ``pack_failures``: passes without padding that failed, so that batches answered
    in their stead.
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

    def add(self, other: Counters, /) -> None:
        for f in fields(self):
            setattr(self, f.name, getattr(self, f.name) + getattr(other, f.name))

    def take(self) -> dict[str, int]:
        """The counts so far; starts again from zero."""
        taken = asdict(self)
        for f in fields(self):
            setattr(self, f.name, 0)
        return taken
