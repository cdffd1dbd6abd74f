"""What ``windtunnel gate --power`` prints."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict
from typing import Any

from ..results.gate_power import GatePower
from ..scorecard.power import CAUGHT, PROMISED, Power


def format_power(found: Iterable[GatePower]) -> str:
    """Return a paragraph for each gate and row."""
    return "\n".join(_describe(one) for one in found) or "no gate names a row of this run"


def list_power(found: Iterable[GatePower]) -> list[Mapping[str, Any]]:
    """Return the same as JSON."""
    return [
        {"gate": one.gate.title, "model": one.model, "item": one.item, "row": one.row, "reason": one.reason,
         **({**asdict(one.power), "exceeds_promise": one.power.exceeds_promise} if one.power else {})}
        for one in found
    ]  # fmt: skip


def _describe(one: GatePower) -> str:
    head = f"{one.gate.title}  ({one.model}/{one.item}.{one.row})"
    if one.power is None:
        return f"{head}\n  not simulated: {one.reason}"
    power = one.power
    lines = [
        head,
        f"  nothing changed: passes {power.passes:.1%}, inconclusive {power.inconclusive:.1%}, fails {power.fails:.1%} "
        f"of {power.num_draws:,} draws of {power.n:,} samples",
        f"  {_describe_drop(power)}",
    ]
    if power.exceeds_promise:
        lines.append(
            f"  TOO STRICT: it stops a release in {power.stops:.1%} of the draws although nothing changed, more than {PROMISED:.0%}; "
            "ask for less, take more samples, or set 'inconclusive: warn'"
        )
    return "\n".join(lines)


def _describe_drop(power: Power) -> str:
    if power.drop is None:
        return f"no drop is caught with a probability of {CAUGHT:.0%}: {power.reason}"
    return f"a change for the worse of {power.drop:.3g} is caught with a probability of {CAUGHT:.0%}"
