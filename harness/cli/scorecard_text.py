"""A scorecard as text."""

from __future__ import annotations

from ..api.scorecard import Estimate, Scorecard
from ..api.visible_text import make_visible


def format_scorecard(card: Scorecard) -> str:
    """Every number that is about the model (not what it cost), then gates and verdict."""
    lines: list[str] = []
    last = None
    for row in card.rows:
        if row.dimension == "efficiency":
            continue
        if (row.model, row.item) != last:
            last = (row.model, row.item)
            lines.append(f"{row.model}  {row.item}")
        lines.append(f"  {row.name:<28} {_number(row.estimate)}")
    for task, facts in card.manifest.get("data", {}).items():
        lines += [f"data of {task}: {note}" for note in facts["notes"]]
    lines += [f"note: {flag}" for flag in card.manifest.get("flags", ())]
    lines += [f"gate {g.outcome:<12} {g.gate}   ({g.detail})" for g in card.gates]
    failed = f", {card.num_failed} records with an error" if card.num_failed else ""
    lines.append(f"verdict: {card.verdict if card.complete else 'incomplete'}   {card.num_samples} samples{failed}")
    lines.append(f"digest: {card.manifest.get('digest', '')}   'windtunnel verify --digest' holds a run folder against it")
    return "\n".join(make_visible(line).replace("\n", "\\n") for line in lines)


def _number(e: Estimate) -> str:
    if e.value is None:
        return f"not scored: {e.reason}"
    interval = f"[{e.low:.4g}, {e.high:.4g}]" if e.low is not None and e.high is not None else ""
    unscored = f", {e.n_unscored} not scored" if e.n_unscored else ""
    return f"{e.value:<10.4g} {interval:<22} n = {e.n}{unscored}"
