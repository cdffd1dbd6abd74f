"""Measures how much an explanation changes under attack.

A probe explains each adversarial twin, and the twin's attribution is compared with the attribution of the sample. The
twin is explained for the class that was explained for the sample, so that both maps answer the same question. If its
label flipped, the twin is also explained for its new class; a probe without a ``target`` explains only the new class.
For a language model, the class is a continuation: the twin is explained for the sample's continuation and, if the
attack succeeded, for the model's answer to the twin.

The comparison covers the parts that sample and twin have in common (`faithfulness.alignment`), and uses the rank
correlation and the overlap of the top fifth, as between two probes. A. Ghorbani, A. Abid, J. Zou, Interpretation of
Neural Networks Is Fragile (AAAI 2019, arXiv:1710.10547) compare maps in this way. Their attack keeps the label by
design; here, flipped and kept labels have separate rows.

There are two controls. ``_random`` compares with the sample's map in a random order. ``_randomised`` compares both
maps of the model with randomised weights, which shows how similar the maps are only because the inputs are similar.
``rank_correlation_between_classes`` compares the twin's maps for its first and its new class: a method that returns
nearly the same map for every class cannot show that an explanation moved.

Shape legend: P parts of the sample, Q parts of the twin.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from ...api.errors import SampleError
from ...api.probe import Probe
from ...api.samples import Attribution, Record, Sample, SampleRng
from ...api.task import Task
from ...engine import Engine
from ...engine.batching import make_canonical
from ...engine.continuations import has_continuations, pose_continuation
from ...scorecard.names import BETWEEN_CLASSES
from ..probe.faithfulness.alignment import Places, align_parts
from ..probe.faithfulness.ranks import compute_top_overlap, rank_correlation
from ..probe.faithfulness.scored_attribution import Floats
from ..probe.questions import Question, answers
from ..probe.records import encode_attribution

Scores = dict[str, float | None]


@dataclass(frozen=True, slots=True)
class _Pair:
    """A sample and its twin, with what the probe explains.

    ``before``: the sample with its explained class.
    ``own``: the sample's attribution.
    ``after``: the twin with the same class.
    ``now``: the twin with its new class; None if the attack did not change the class.
    ``is_flipped``: whether the attack succeeded.
    ``facts``: artifacts of the record.
    """

    before: Question
    own: Attribution
    after: Question
    now: Question | None
    is_flipped: bool
    facts: Mapping[str, Any]


def make_shift_records(
    engine: Engine, item: str, task: Task, probe: Probe, rng: SampleRng, samples: Sequence[Sample], explained: Mapping[str, Record],
    attacked: Mapping[str, Record], scores: Collection[str] = (), seed: int = 0,
) -> list[Record]:  # fmt: skip
    """Return one record per sample with the similarity of its explanation and its twin's.

    ``engine``: runs the model.
    ``item``: the item's name.
    ``rng``: the random generators of the samples.
    ``explained``, ``attacked``: the probe's and the attack's records on this model, by sample id.
    ``scores``: the probe's families of scores; ``randomised`` adds that control.
    ``seed``: the seed of the randomised weights.

    The scores are ``flipped``, ``rank_correlation`` and ``top_overlap`` with their controls, the same two for the new
    class with the suffix ``_of_prediction``, ``rank_correlation_between_classes``, and ``aligned_share``, the share
    of the parts that sample and twin have in common. A sample without an attribution or a valid twin has a note and
    no scores.
    """
    clean = make_canonical(engine, samples)
    pairs: dict[str, _Pair] = {}
    notes: dict[str, str] = {}
    for sample in clean:
        found = _pair(engine, task, sample, explained.get(sample.id), attacked.get(sample.id))
        if isinstance(found, str):
            notes[sample.id] = found
        else:
            pairs[sample.id] = found
    before, after = {key: p.before for key, p in pairs.items()}, {key: p.after for key, p in pairs.items()}
    same = answers(engine, probe, after)
    new = answers(engine, probe, {key: p.now for key, p in pairs.items() if p.now is not None})
    other = engine.randomised(seed) if "randomised" in scores else None
    controls = [{} if other is None else answers(other, probe, asked) for asked in (before, after)]
    records = []
    for sample in clean:
        key = sample.id
        if key in notes:
            records.append(Record(key, item, {}, artifacts={"note": notes[key]}))
        else:
            records.append(_record(item, pairs[key], same[key], new.get(key), (controls[0].get(key), controls[1].get(key)), rng))
    return records


def _pair(engine: Engine, task: Task, sample: Sample, explained: Record | None, attacked: Record | None) -> _Pair | str:
    """Return the pair of a sample and its twin, or the reason why there is none."""
    kept = explained.artifacts.get("attribution") if explained is not None else None
    if kept is None:
        return "the sample itself has no attribution"
    scores = attacked.scores if attacked is not None else {}
    success, is_judged = scores.get("success"), not any(scores.get(why) == 1 for why in ("outside_threat", "not_attacked"))
    if attacked is None or success is None or not is_judged or "twin" not in attacked.artifacts:
        return "the attack has no twin of this sample that the threat admits"
    (twin,) = make_canonical(engine, [replace(sample, input=attacked.artifacts["twin"])])
    if twin.input == sample.input:
        return "the attack changed nothing"
    own = Attribution(
        sample.id, kept["target"], np.asarray(kept["values"], dtype=np.float32), tuple(map(tuple, kept["spans"])), parts=kept["parts"]
    )
    prediction: Any = attacked.artifacts.get("prediction")
    if has_continuations(task):
        assert explained is not None
        said = attacked.artifacts.get("output", prediction) if "generate" in task.requires else prediction
        try:
            return _make_pair(engine, task, sample, own, twin, str(explained.artifacts["continuation"]), said, success == 1)
        except SampleError as error:
            return str(error)
    is_new = success == 1 and isinstance(prediction, int) and prediction != own.target
    now, facts = (Question(twin, prediction), {"prediction": prediction}) if is_new else (None, {})
    return _Pair(Question(sample, own.target), own, Question(twin, own.target), now, success == 1, facts)


def _make_pair(
    engine: Engine, task: Task, sample: Sample, own: Attribution, twin: Sample, continuation: str, said: Any, is_flipped: bool
) -> _Pair:  # fmt: skip
    """Return the pair for a language model.

    ``continuation``: the explained continuation of the sample.
    ``said``: the index of the continuation that the model chose for the twin, or the text that it generated.

    Raises `SampleError` if the sample or its twin cannot be explained.
    """

    def question(about: Sample, what: str | int) -> Question:
        frame, made = pose_continuation(engine, task, about, what)
        return Question(made, 0, frame)

    before, after = question(sample, continuation), question(twin, continuation)
    now, facts = None, {"continuation": continuation}
    if is_flipped and (isinstance(said, int) or (isinstance(said, str) and said.strip())):
        with suppress(SampleError):  # the prediction may be a class that is not among the continuations
            now = question(twin, said)
    if now is not None and now.sample.labels != after.sample.labels:
        facts = {**facts, "continuation_of_prediction": now.sample.labels[0]}
    else:
        now = None
    return _Pair(before, own, after, now, is_flipped, facts)


def _record(
    item: str, pair: _Pair, same: Attribution | str, new: Attribution | str | None,
    controls: tuple[Attribution | str | None, Attribution | str | None], rng: SampleRng,
) -> Record:  # fmt: skip
    """Return the record of a pair.

    ``same``, ``new``: the twin's attributions for the explained and for the new class, or the errors.
    ``controls``: the sample's and the twin's attributions on the randomised model.
    """
    key = pair.own.sample_id
    error = next((f"the twin: {found}" for found in (same, new) if isinstance(found, str)), None)
    scores: Scores = {"flipped": float(pair.is_flipped)}
    artifacts: dict[str, Any] = {**pair.facts}
    own_P = _list_parts(pair.own)
    shown, changed = pair.before.sample.input, pair.after.sample.input
    if isinstance(same, Attribution) and same.target == pair.after.target:
        artifacts["attribution"] = encode_attribution(replace(same, target=pair.own.target))
        common, same_Q = align_parts(shown, pair.own.spans, changed, same.spans), _list_parts(same)
        scores["aligned_share"] = common[0].size / max(own_P.size, same_Q.size)
        scores |= _compute_similarity(own_P, same_Q, common, "")
        scores |= _compute_similarity(own_P[rng(key).permutation(own_P.size)], same_Q, common, "_random")
        before, after = (c if isinstance(c, Attribution) and c.target == pair.after.target else None for c in controls)
        if before is not None and after is not None and (before.spans, after.spans) == (pair.own.spans, same.spans):
            scores |= _compute_similarity(_list_parts(before), _list_parts(after), common, "_randomised")
    if isinstance(new, Attribution) and pair.now is not None and new.target == pair.now.target:
        artifacts["attribution_of_prediction"] = encode_attribution(new)
        common = align_parts(shown, pair.own.spans, changed, new.spans)
        scores |= _compute_similarity(own_P, _list_parts(new), common, "_of_prediction")
        if isinstance(same, Attribution) and same.spans == new.spans and same.values.shape == new.values.shape:
            scores[BETWEEN_CLASSES] = rank_correlation(_list_parts(same), _list_parts(new))
    return Record(key, item, scores, error, artifacts)


def _list_parts(attribution: Attribution) -> Floats:
    return attribution.values.reshape(-1).astype(np.float64)


def _compute_similarity(before_P: Floats, after_Q: Floats, common: tuple[Places, Places], ending: str) -> Scores:
    """Return the similarities of two maps over their common parts; None for fewer than two common parts.

    ``before_P``, ``after_Q``: the attributions of the parts, float [P] and [Q].
    ``common``: the indices of the common parts in both.
    ``ending``: the suffix of the scores' names.
    """
    x, y = before_P[common[0]], after_Q[common[1]]
    enough = x.size > 1
    return {
        f"rank_correlation{ending}": rank_correlation(x, y) if enough else None,
        f"top_overlap{ending}": compute_top_overlap(x, y) if enough else None,
    }
