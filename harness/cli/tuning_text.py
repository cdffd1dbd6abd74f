"""What was tried to find a model's batches, as text."""

from __future__ import annotations

from dataclasses import asdict

from ..engine.packing import Budget
from ..run.tuning import Tuned


def format_tuned(tuned: Tuned) -> str:
    if not tuned.num_requests:
        return f"{tuned.model}: not measured; none of its tasks has requests that are known beforehand"
    lines = [f"{tuned.model}: {tuned.num_requests:,} requests"]
    for trial in tuned.trials:
        said = "out of memory" if trial.faster is None else f"{trial.faster:.2f} x as fast as the best before it"
        lines.append(f"  {_describe(trial.budget):<60} {said}")
    kept = "as it was" if tuned.found == tuned.start else f"{tuned.faster:.2f} x as fast as before"
    return "\n".join([*lines, f"  found: {_describe(tuned.found)}, {kept}"])


def _describe(budget: Budget) -> str:
    return ", ".join(f"{name} {value:,}" for name, value in asdict(budget).items())
