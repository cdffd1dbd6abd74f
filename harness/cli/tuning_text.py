"""What was tried to find a model's batches, as text."""

from __future__ import annotations

from dataclasses import asdict

from ..engine.packing import Budget
from ..run.tuning import Tuned


def tuned_text(tuned: Tuned) -> str:
    if not tuned.num_requests:
        return f"{tuned.model}: not measured; none of its tasks has requests that are known beforehand"
    lines = [f"{tuned.model}: {tuned.num_requests:,} requests"]
    for trial in tuned.trials:
        said = "out of memory" if trial.faster is None else f"{trial.faster:.2f} x as fast as the best before it"
        lines.append(f"  {_said(trial.budget):<60} {said}")
    kept = "as it was" if tuned.found == tuned.start else f"{tuned.faster:.2f} x as fast as before"
    return "\n".join([*lines, f"  found: {_said(tuned.found)}, {kept}"])


def _said(budget: Budget) -> str:
    return ", ".join(f"{name} {value:,}" for name, value in asdict(budget).items())
