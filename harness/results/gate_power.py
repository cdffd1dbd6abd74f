"""What the gates of a run can tell: how often they fail although nothing changed, and which drops they catch."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from ..api.registry import Registry
from ..api.samples import seed_of
from ..api.scorecard import Row, Scorecard
from ..scorecard.counterparts import Counterparts
from ..scorecard.gates import Gate, explain_shortfall, parse_entry, require_scores
from ..scorecard.names import EXACT, TIMES
from ..scorecard.power import NUM_DRAWS, Power, measure_paired_power, measure_power
from ..statistics import Evidence, compare_evidence, get_evidence, pair_evidence
from ..store import FILE_NAME, Store, codec
from .baseline_file import read_kept_baseline
from .summarise import summarise


@dataclass(frozen=True, slots=True)
class GatePower:
    """The power of a gate on one row. ``power``: None if it cannot be simulated, with the ``reason``."""

    gate: Gate
    model: str
    item: str
    row: str
    power: Power | None
    reason: str = ""


def simulate_run(
    folder: Path, gates: Sequence[Gate], registry: Registry, baseline: Scorecard | None = None, /, *, num_draws: int = NUM_DRAWS
) -> list[GatePower]:  # fmt: skip
    """Simulate gates on the samples of a run folder.

    ``gates``: empty for those of the suite. ``registry``: the metrics and the kinds of items.
    ``baseline``: the run to compare with; by default the one that the folder keeps.
    """
    if not gates:
        with closing(Store.open(folder / FILE_NAME, readonly=True)) as store:
            gates = [parse_entry(entry) for entry in codec.loads(store.suite)["gates"]]
    card = summarise(folder, gates=(), registry=registry, keep_evidence=True)
    return simulate_gates(gates, card, baseline or read_kept_baseline(folder, registry), num_draws=num_draws)


def simulate_gates(
    gates: Iterable[Gate], card: Scorecard, baseline: Scorecard | None = None, /, *, num_draws: int = NUM_DRAWS
) -> list[GatePower]:
    """Simulate gates on a run's own samples, a result for each row of each gate.

    ``card``, ``baseline``: scorecards whose rows have their evidence. ``num_draws``: the number of draws.
    """
    found, counterparts = [], None if baseline is None else Counterparts(card, baseline)
    for gate in gates:
        for row in gate.find_rows(card):
            simulated = _simulate(gate, row, counterparts, card, num_draws)
            power, reason = (simulated, "") if isinstance(simulated, Power) else (None, simulated)
            found.append(GatePower(gate, row.model, row.item, row.name, power, reason))
    return found


def _simulate(gate: Gate, row: Row, counterparts: Counterparts | None, card: Scorecard, num_draws: int) -> Power | str:
    """Return the power of a gate on a row, or the reason why it cannot be simulated."""
    evidence = get_evidence(row)
    if row.metric in TIMES:
        return "the speed of a machine differs from run to run, which the chunks of one run cannot show"
    if evidence is None or not len(evidence.ids_N):
        return "this number is not computed from single samples, so that none can be drawn anew"
    seed = seed_of(gate.title, row.model, row.item, row.name)
    if gate.threshold is not None:
        threshold = gate.threshold
        if threshold.is_on_samples:
            return "it counts samples, whose number does not change"

        shortfall, is_exact = explain_shortfall(row, card, card.max_unscored), row.name in EXACT

        def judge(drawn: Evidence) -> str:
            judgement = threshold.judge(drawn.estimate(), is_exact=is_exact, is_share=not row.unit)
            return require_scores(judgement, shortfall, keeps_fail=is_exact or threshold.part is None).outcome

        return measure_power(evidence, judge, row.higher_is_better, inconclusive=gate.inconclusive, seed=seed, num_draws=num_draws)
    other = counterparts.find(row) if counterparts is not None else None
    base_evidence = get_evidence(other) if other is not None else None
    if other is None or base_evidence is None or row.higher_is_better is None:
        return "it needs a baseline with the same samples, and a number with a better direction"
    pair, higher, drop = pair_evidence(evidence, base_evidence), row.higher_is_better, gate.drop
    assert drop is not None
    if not len(pair[0].ids_N):
        return "the baseline has none of its samples"

    def judge_pair(drawn: tuple[Evidence, Evidence]) -> str:
        base = drawn[1].compute_value() or 0.0
        return drop.judge(compare_evidence(*drawn), base, higher, is_exact=False).outcome

    return measure_paired_power(pair, judge_pair, higher, inconclusive=gate.inconclusive, seed=seed, num_draws=num_draws)
