"""What an item costs: rows that do not depend on the machine's speed, and rates that do."""

from __future__ import annotations

from collections.abc import Mapping

from ..api.scorecard import Estimate, Row
from ..scorecard.names import COSTS
from ..store import StoredItem


def make_cost_rows(item: StoredItem, counters: Mapping[str, int], /) -> list[Row]:
    """Return rows with the item's costs, which do not depend on the machine's speed. Zero counts have no row, except passes."""
    shown = {name: unit for name, unit in COSTS.items() if counters.get(name) or name == "forward_passes"}
    return [
        Row(item.model, item.key, name, "efficiency", Estimate(float(counters.get(name, 0)), n=item.num_samples), None, unit)
        for name, unit in shown.items()
    ]


def compute_rates(num_records: int, counters: Mapping[str, int], spent: Mapping[int, float], peak: float, /) -> dict[str, float]:
    """Compute rates over the item's whole time.

    ``num_records``: the item's records. ``counters``: its counters.
    ``spent``: seconds by chunk. ``peak``: the measured matrix-product speed of the device, in FLOP/s.
    """
    seconds = sum(spent.values())
    rate = (lambda count: round(count / seconds, 3)) if seconds > 0 else (lambda count: 0.0)
    timing = {
        "seconds": round(seconds, 3),
        "samples_per_s": rate(num_records),
        "requests_per_s": rate(counters.get("requests", 0)),
        "tokens_per_s": rate(counters.get("tokens_computed", 0)),
    }
    if peak and counters.get("flops"):
        timing |= {"gflop_per_s": rate(counters["flops"] / 1e9), "share_of_matmul_peak": rate(counters["flops"] / peak)}
    return timing
