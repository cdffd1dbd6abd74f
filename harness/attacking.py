"""An attack proposes twins; here they are checked against the threat and judged by the task's own scoring."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from .engine import Engine
from .errors import SampleError, UserError
from .judging import Judged, judge
from .samples import Record, Sample, SampleRng


def attack_records(
    engine: Engine, item: str, task: Any, attack: Any, threat: Any, rng: SampleRng, samples: Sequence[Sample]
) -> list[Record]:
    """A record a sample.

    Scores: ``clean_correct``, ``robust_correct`` (still right after the attack), ``success`` (None unless the clean sample was right),
    ``num_queries`` and the threat's distances. Only samples that the model gets right are attacked; the others cannot be robust.
    """
    clean = [replace(s, input=engine.canonical(s.input)) if not s.metadata.get("error") else s for s in samples]
    before = judge(engine, task, clean)
    right = [i for i, j in enumerate(before) if j.scores is not None and j.scores.get(task.primary) == 1]
    twins: dict[int, Sample | str] = dict(zip(right, _propose(engine, attack, threat, rng, [clean[i] for i in right]), strict=True))
    judged = _judge_twins(engine, task, threat, clean, twins)
    return [_record(item, task, threat, clean[i], before[i], twins.get(i), judged.get(i)) for i in range(len(clean))]


def _propose(engine: Engine, attack: Any, threat: Any, rng: SampleRng, samples: list[Sample]) -> list[Sample | str]:
    """The attack's twins, or the error of each sample that it could not work on."""
    if not samples:
        return []
    try:
        twins = list(attack.perturb(engine, samples, threat, rng))
        if len(twins) != len(samples):
            raise SampleError(f"the attack returned {len(twins)} twins for {len(samples)} samples")
        return [str(t.metadata["error"]) if t.metadata.get("error") else t for t in twins]
    except UserError:
        raise
    except Exception as error:  # noqa: BLE001 - an attack that fails on one sample must not lose the others
        if len(samples) == 1:
            return [f"{type(error).__name__}: {error}"]
        return [twin for sample in samples for twin in _propose(engine, attack, threat, rng, [sample])]


def _judge_twins(engine: Engine, task: Any, threat: Any, clean: Sequence[Sample], twins: dict[int, Sample | str]) -> dict[int, Judged]:
    admitted = [i for i, twin in twins.items() if isinstance(twin, Sample) and threat.admits(clean[i], twin)]
    # The task scores the twin against the clean sample's own target, whatever the attack put there.
    asked = [replace(clean[i], input=twins[i].input) for i in admitted]  # type: ignore[union-attr]
    return dict(zip(admitted, judge(engine, task, asked), strict=True))


def _record(item: str, task: Any, threat: Any, clean: Sample, before: Judged, twin: Sample | str | None, after: Judged | None) -> Record:
    if before.error is not None:
        return Record(clean.id, item, {}, before.error)
    if twin is None:
        scores = {"clean_correct": 0.0, "robust_correct": 0.0, "success": None}
        return Record(clean.id, item, scores, artifacts={"note": "already wrong before the attack"})
    if isinstance(twin, str):
        return Record(clean.id, item, {"clean_correct": 1.0, "robust_correct": None, "success": None}, twin)
    facts = {k: v for k, v in twin.metadata.items() if k not in clean.metadata and k != "num_queries"}
    artifacts: dict[str, Any] = {"twin": twin.input, **facts}
    scores = {"clean_correct": 1.0, "num_queries": twin.metadata.get("num_queries"), **threat.distance(clean, twin)}
    if after is None:
        note = "the proposed twin is outside the threat model: it counts as a failed attack"
        return Record(
            clean.id, item, {**scores, "robust_correct": 1.0, "success": 0.0, "outside_threat": 1.0}, artifacts={**artifacts, "note": note}
        )
    if after.error is not None or after.scores is None:
        return Record(clean.id, item, {**scores, "robust_correct": None, "success": None}, f"on the twin: {after.error}", artifacts)
    still_right = after.scores.get(task.primary)
    success = None if still_right is None else float(still_right != 1)
    outcome = {"robust_correct": still_right, "success": success, "outside_threat": 0.0}
    return Record(clean.id, item, {**scores, **outcome}, artifacts={**artifacts, **(after.artifacts or {})})
