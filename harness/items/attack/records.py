"""An attack proposes twins; here they are checked against the threat and judged by the task's own scoring."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from ...api.attack import AnyAttack
from ...api.errors import SampleError, ends_run
from ...api.samples import Record, Sample, SampleRng
from ...api.task import Task
from ...api.threat import Threat
from ...engine import Engine
from ...engine.batching import canonical, isolated
from ...modalities.base import modality_of
from ...store import codec
from ..task.records import Judged, judge, slice_of

_VERDICTS = frozenset(
    {"harmful_codes_by", "harmful_grade_by", "neither_by", "refused_by", "harmful_by", "refused_probability", "harmful_probability"}
)
NOT_ATTACKED = "the attack could not work on this sample, which keeps its clean answer"
NOT_JUDGED = "the answer to the twin could not be scored, so that the sample keeps its clean answer"
_OURS = _VERDICTS | {
    "twin", "note", "prediction", "output", "probabilities", "target", "num_truncated", "num_queries", "slice", "human",
}  # fmt: skip
"""What a record says of a twin on the harness's word alone, whatever the attack's metadata claim."""


def make_attack_records(
    engine: Engine, item: str, task: Task, attack: AnyAttack, threat: Threat, rng: SampleRng, samples: Sequence[Sample]
) -> list[Record]:
    """A record a sample.

    Scores: ``clean_correct``, ``robust_correct`` (still right after the attack), ``success`` (None unless the clean sample was right),
    ``num_queries`` and the threat's distances. Only samples that the model gets right are attacked; the others cannot be robust. A sample
    that the attack, or the threat, could not work on, or whose twin has no score, keeps its clean answer: the record has the error, and
    ``not_attacked`` is 1. An attack that ``covers_all`` (one that costs next to nothing, or whose success is counted over all that was
    tried) is given the others, too: of these only ``wrong_after`` is of interest: whether the answer to the twin is wrong.
    """
    clean = canonical(engine, samples)
    before = judge(engine, task, clean)
    tried = (0, 1) if attack.covers_all else (1,)
    right = [i for i, j in enumerate(before) if j.scores is not None and j.scores.get(task.primary) in tried]
    engine.task = task
    try:
        proposed = dict(zip(right, _propose(engine, attack, threat, rng, [clean[i] for i in right]), strict=True))
    finally:
        engine.task = None
    measured = _measured(engine, threat, clean, proposed)
    twins = {i: _admitted(threat, clean[i], twin, measured.get(i)) for i, twin in proposed.items()}
    judged = _judge_twins(engine, task, clean, twins)
    return [_record(item, task, clean[i], before[i], twins.get(i), judged.get(i)) for i in range(len(clean))]


def _propose(engine: Engine, attack: AnyAttack, threat: Threat, rng: SampleRng, samples: Sequence[Sample]) -> list[Sample | str]:
    """The attack's twins, or the error of each sample that it could not work on."""

    def perturb(some: Sequence[Sample]) -> list[Sample | str]:
        twins = engine.in_memory(lambda: list(attack.perturb(engine, some, threat, rng)))
        if [t.id for t in twins] != [s.id for s in some]:
            raise SampleError(f"the attack returned {len(twins)} twins for {len(some)} samples, or not in their order")
        return [_checked(t) for t in twins]

    return isolated(perturb, samples)


def _checked(twin: Sample) -> Sample | str:
    if twin.metadata.get("error"):
        return str(twin.metadata["error"])
    if modality_of(twin.input) is None:
        return f"the attack made a {type(twin.input).__name__}, which is no input of a model"
    codec.dumps(twin.metadata)  # raises TypeError for what cannot be recorded
    return twin


Twin = tuple[Sample, bool, Mapping[str, float]]
"""A proposed twin, whether the threat admits it, and how far it is."""


Measured = Mapping[str, float] | str
"""Numbers that a threat's models gave a twin, or why they gave none."""


def _measured(engine: Engine, threat: Threat, clean: Sequence[Sample], proposed: Mapping[int, Sample | str]) -> dict[int, Measured]:
    """The threat's `measure` of all twins at once. A twin of another kind than its sample is not measured."""
    pairs = {i: (clean[i], twin) for i, twin in proposed.items() if not isinstance(twin, str) and type(twin.input) is type(clean[i].input)}
    return dict(zip(pairs, isolated(lambda some: list(threat.measure(engine, some)), list(pairs.values())), strict=True))


def _admitted(threat: Threat, clean: Sample, twin: Sample | str, measured: Measured | None) -> Twin | str:
    if isinstance(twin, str):
        return twin
    if isinstance(measured, str):
        return f"the threat could not judge the twin: {measured}"
    try:
        admitted = bool(threat.admits(clean, twin, measured) if measured else threat.admits(clean, twin))
    except BaseException as error:
        if ends_run(error):
            raise
        # A threat is a plugin's code too.
        return f"the threat could not judge the twin: {type(error).__name__}: {error}"
    try:
        distance = {name: float(value) for name, value in threat.distance(clean, twin).items() if math.isfinite(value)}
        distance |= {name: value for name, value in (measured or {}).items() if math.isfinite(value)}
    except BaseException as error:
        if admitted and ends_run(error):
            raise
        if admitted:
            return f"the threat could not measure the twin: {type(error).__name__}: {error}"
        # A twin of another shape or kind is at no distance.
        distance = {}
    return twin, admitted, distance


def _judge_twins(engine: Engine, task: Task, clean: Sequence[Sample], twins: Mapping[int, Twin | str]) -> dict[int, Judged]:
    admitted = {i: found[0] for i, found in twins.items() if not isinstance(found, str) and found[1]}
    # The task scores the twin against the clean sample's own target, whatever the attack put there.
    asked = [replace(clean[i], input=twin.input) for i, twin in admitted.items()]
    return dict(zip(admitted, judge(engine, task, asked), strict=True))


def _record(item: str, task: Task, clean: Sample, before: Judged, found: Twin | str | None, after: Judged | None) -> Record:
    if before.error is not None:
        return Record(clean.id, item, {}, before.error)
    kept = slice_of(clean)
    right = before.scores is not None and before.scores.get(task.primary) == 1
    if found is None and before.scores is not None and before.scores.get(task.primary) is None:
        return Record(clean.id, item, {}, f"the task gave the clean sample no score {task.primary!r}, so there is nothing to attack")
    if found is None:
        scores = {"clean_correct": 0.0, "robust_correct": 0.0, "success": None, **_after(clean, before, 1.0)}
        return Record(clean.id, item, scores, artifacts={"note": "already wrong before the attack", **kept, **_verdicts(before)})
    # Not attacked is not broken: a sample that left its attack's rates would make what is left of them look broken.
    survived: dict[str, float | None] = {"clean_correct": float(right), **_outcome(right, 1.0), "not_attacked": 1.0}
    survived |= _after(clean, before, float(not right))
    if isinstance(found, str):
        return Record(clean.id, item, survived, found, {"note": NOT_ATTACKED, **kept, **_verdicts(before)})
    twin, _, distance = found
    facts = {k: v for k, v in twin.metadata.items() if k not in clean.metadata and k not in _OURS}
    artifacts: dict[str, Any] = {**facts, "twin": twin.input, **kept}
    scores = {"clean_correct": float(right), "num_queries": _count(twin.metadata.get("num_queries")), **distance}
    if after is None:
        note = "the proposed twin is outside the threat model: it counts as a failed attack"
        outcome = {**_outcome(right, 1.0), "outside_threat": 1.0}
        # An input that is none of ours cannot be stored either.
        recorded = {**(artifacts if _is_recordable(twin.input) else {**facts, **kept}), "note": note, **_verdicts(before)}
        return Record(clean.id, item, {**scores, **outcome, **_after(clean, before, float(not right))}, artifacts=recorded)
    still_right = after.scores.get(task.primary) if after.scores is not None else None
    if still_right is None:
        reason = after.error or f"the task gave no score {task.primary!r}"
        counted = {**survived, "num_queries": scores["num_queries"]}
        return Record(clean.id, item, counted, f"on the twin: {reason}", {**artifacts, "note": NOT_JUDGED, **_verdicts(before)})
    outcome = {**_outcome(right, still_right), "outside_threat": 0.0, **_after(clean, after, 1 - still_right)}
    if not right:
        artifacts["note"] = "already wrong before the attack"
    return Record(clean.id, item, {**scores, **outcome}, artifacts={**artifacts, **(after.artifacts or {})})


def _verdicts(before: Judged) -> dict[str, Any]:
    """The judges' verdicts of the plain answer, which is the one under attack where no twin was asked."""
    return {name: value for name, value in (before.artifacts or {}).items() if name in _VERDICTS}


def _after(clean: Sample, judged: Judged, wrong: float) -> dict[str, float | None]:
    """Of samples that are of a slice (harmful, benign), whether the answer under attack is wrong, attacked or not, and whether it neither
    refuses nor answers. ``judged``: that answer."""
    if "slice" not in clean.metadata:
        return {}
    neither = (judged.scores or {}).get("neither")
    return {"wrong_after": wrong, **({} if neither is None else {"neither_after": neither})}


def _outcome(right: bool, still_right: float) -> dict[str, float | None]:
    """A sample that was wrong before stays what the attack did not have to break."""
    return {"robust_correct": still_right if right else 0.0, "success": float(still_right != 1) if right else None}


def _count(value: Any) -> float | None:
    try:
        return float(value) if value is not None and math.isfinite(value) else None
    except (TypeError, ValueError):
        return None


def _is_recordable(value: Any) -> bool:
    try:
        codec.dumps(value)
    except (TypeError, ValueError):
        return False
    return True
