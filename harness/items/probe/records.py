"""Records of probes: attributions are scored by queries to the model, along with two controls.

The controls are a random attribution (the same values in a random order of the parts) and, if the model supports it,
the attribution of the same method for the model with random weights. All of them are scored on the original model.
The modules in `faithfulness` define the scores.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any, NamedTuple

import numpy as np

from ...api.errors import SampleError
from ...api.model_port import ModelPort
from ...api.probe import Probe
from ...api.requests import Classify
from ...api.responses import Failure, Logits
from ...api.samples import Attribution, Record, Sample, SampleRng
from ...engine import Engine
from ...engine.batching import isolate_failures, make_canonical
from ...engine.continuations import ContinuationPort
from ...modalities.base import find_modality, require_modality
from ...modalities.inputs import get_shape, list_parts, list_texts
from ...modalities.words import shift_spans, split_spans
from ...scorecard.names import BETWEEN_CLASSES, CASCADE, DEFAULT_SCORES
from ...store import codec
from ...store.attribution_codec import Steps, round_to_half
from .faithfulness.erasure import compute_curves, compute_erasure, list_curve_requests, list_erasure_requests
from .faithfulness.infidelity import compute_infidelity, list_infidelity_requests
from .faithfulness.plausibility import compute_plausibility
from .faithfulness.pointing import compute_pointing_game
from .faithfulness.ranks import compute_complexity, rank_correlation
from .faithfulness.scored_attribution import Subject, make_subject, rank_parts
from .faithfulness.sensitivity import compute_max_sensitivity, explain_alike

_BYTES_AT_ONCE = 5 << 20
"""Size in bytes of the inputs to score at once: 8 images of 224 x 224.

About 100 reduced forms of each input, with those of the controls, are in memory at the same time."""
_NOT_MEASURED = "faithfulness is measured where the input's modality says what is left of it without some of the attribution's parts"
Scores = dict[str, float | None]


def make_probe_records(
    engine: Engine | ContinuationPort,
    item: str,
    probe: Probe,
    rng: SampleRng,
    samples: Sequence[Sample],
    scores: Collection[str] = DEFAULT_SCORES,
    seed: int = 0,
) -> list[Record]:
    """Explain samples, score the attributions, and return one record per sample.

    engine: the model to explain; for a language model, its port for one frame.
    item: name of the item.
    probe: the probe to run.
    rng: draws of the controls and of the noise, by sample id.
    samples: the samples to explain.
    scores: the families to compute (keys of `FAITHFULNESS`).
    seed: seed of the weights of the randomised model.

    The scores of a record are those of the families, each with its controls, and ``completeness_error``. A sample that
    the probe cannot explain has a record with an error.
    """
    prepared = make_canonical(engine, samples)
    found = attribute_samples(engine, probe, prepared)
    good = {
        s.id: (s, a)
        for s, a in zip(prepared, found, strict=True)
        if isinstance(a, Attribution) and a.parts and a.parts == _name_part_kind(s)
    }
    cascade = _run_cascade(engine, probe, good, seed) if "cascading" in scores else {}
    other = engine.randomised(seed) if "randomised" in scores else None
    others: dict[str, Attribution] = {}
    if other is not None:
        others = explain_alike(attribute_samples, other, probe, {key: (s, a.target) for key, (s, a) in good.items()})
    token = engine.model.mask_token
    subjects = [make_subject(s, a, _keep_comparable(a, others.get(key)), rng, token) for key, (s, a) in good.items()]
    scored: dict[str, Scores] = {}
    notes: dict[str, str] = {}
    for part in _split_subjects(subjects):
        for subject, own, note in _compute_queried(engine, part, scores, rng):
            scored[subject.sample.id] = {**own, **_compute_unqueried(subject, scores), **cascade.get(subject.sample.id, {})}
            notes.update({subject.sample.id: note} if note else {})
    if "classes" in scores:
        for key, alike in _compare_classes(engine, probe, good).items():
            scored[key][BETWEEN_CLASSES] = alike
    if "max_sensitivity" in scores:
        moved = compute_max_sensitivity(attribute_samples, engine, other, probe, subjects, rng)
        for key, own in scored.items():
            own.update(moved.get(key, {"max_sensitivity": None}))
    return [_record(item, s, asked, a, scored.get(s.id), notes.get(s.id, "")) for s, asked, a in zip(samples, prepared, found, strict=True)]


def _name_part_kind(sample: Sample) -> str:
    """Return the kind of the input's parts (`Attribution.parts`); empty if the input has no parts."""
    known = find_modality(sample.input)
    return "" if known is None else known.part_kind


def _compare_classes(
    engine: Engine | ContinuationPort, probe: Probe, good: Mapping[str, tuple[Sample, Attribution]]
) -> dict[str, float | None]:  # fmt: skip
    """Return, by sample id, the rank correlation of the attributions of the explained and the likeliest other class."""
    several = {key: pair for key, pair in good.items() if len(pair[0].labels) > 1}
    asked: dict[str, tuple[Sample, int]] = {}
    answers = engine.try_run([Classify(sample.input, sample.labels) for sample, _ in several.values()])
    for (key, (sample, own)), answer in zip(several.items(), answers, strict=True):
        if not isinstance(answer, Failure):
            others = [place for place in range(len(answer.values)) if place != own.target]
            asked[key] = sample, max(others, key=lambda place, values=answer.values: values[place])  # type: ignore[misc]
    found: dict[str, float | None] = {}
    for key, other in explain_alike(attribute_samples, engine, probe, asked).items():
        if (same := _keep_comparable(good[key][1], other)) is not None:
            found[key] = rank_correlation(rank_parts(good[key][1]).values, rank_parts(same).values)
    return found


def _run_cascade(
    engine: Engine | ContinuationPort, probe: Probe, good: Mapping[str, tuple[Sample, Attribution]], seed: int
) -> dict[str, Scores]:
    """Return, by sample id, the rank correlations with attributions of models whose last layers have random weights.

    Each stage of `CASCADE` randomises a larger share of the layers.
    """
    found: dict[str, Scores] = {key: {} for key in good}
    for percent in CASCADE:
        other = engine.randomised(seed, percent / 100)
        asked = {key: (s, a.target) for key, (s, a) in good.items()}
        for key, moved in (explain_alike(attribute_samples, other, probe, asked) if other is not None else {}).items():
            own = good[key][1]
            if (same := _keep_comparable(own, moved)) is not None:
                found[key][f"cascading_rank_correlation_{percent}"] = rank_correlation(rank_parts(own).values, rank_parts(same).values)
    return found


def _keep_comparable(own: Attribution, other: Attribution | None) -> Attribution | None:
    """Return the other attribution if it has the same parts, otherwise None."""
    return other if other is not None and other.spans == own.spans and other.values.shape == own.values.shape else None


def _split_subjects(subjects: Sequence[Subject]) -> Iterator[Sequence[Subject]]:
    """Yield the subjects in groups of at most `_BYTES_AT_ONCE`, or one subject that is larger."""
    part: list[Subject] = []
    held = 0
    for subject in subjects:
        size = require_modality(subject.sample.input).num_bytes(subject.sample.input)
        if part and held + size > _BYTES_AT_ONCE:
            yield part
            part, held = [], 0
        part.append(subject)
        held += size
    if part:
        yield part


def _compute_unqueried(subject: Subject, wanted: Collection[str]) -> Scores:
    """Compute the scores that depend on the values of the attributions alone and need no queries."""
    scores: Scores = {}
    own, other = subject.rankings[""], subject.rankings.get("_randomised")
    if "plausibility" in wanted:
        scores.update(compute_plausibility(subject))
    if "pointing" in wanted:
        scores.update(compute_pointing_game(subject))
    if "complexity" in wanted:
        scores.update(compute_complexity(own.values))
        scores.update({f"{name}_randomised": v for name, v in compute_complexity(other.values).items()} if other is not None else {})
    if other is not None:
        scores["randomised_rank_correlation"] = rank_correlation(own.values, other.values)
    return scores


def attribute_samples(engine: ModelPort, probe: Probe, samples: Sequence[Sample]) -> list[Attribution | str]:
    """Return the probe's attribution of each sample, or the error.

    samples: the samples with inputs as the model sees them (`make_canonical`).
    """

    def attribute(some: Sequence[Sample]) -> list[Attribution | str]:
        found = engine.in_memory(lambda: list(probe.attribute(engine, some)))
        if [a.sample_id for a in found] != [s.id for s in some]:
            raise SampleError("the probe did not return one attribution a sample, in order")
        return [_check_attribution(s, a) for s, a in zip(some, found, strict=True)]

    wrong = {s.id: str(s.metadata["error"]) for s in samples if s.metadata.get("error")}
    fine = [s for s in samples if s.id not in wrong]
    found = dict(zip((s.id for s in fine), isolate_failures(attribute, fine), strict=True))
    return [wrong.get(s.id) or found[s.id] for s in samples]


def _check_attribution(sample: Sample, attribution: Attribution) -> Attribution | str:
    """Return the attribution with float32 values and its kind of parts, or the error if it is invalid."""
    values = np.asarray(attribution.values, dtype=np.float32)
    if not np.isfinite(values).all():
        return "the attribution holds NaN or infinity; half precision is the usual cause: set dtype to float32"
    if values.size == 0:
        return "the input has no part to attribute to"
    kind = attribution.parts or _name_part_kind(sample)
    if kind in ("", "words"):
        if values.shape != (len(attribution.spans),):
            return f"the attribution has {list(values.shape)} values for {len(attribution.spans)} spans; it is one value a span"
        if (texts := list_texts(sample.input)) and not _are_in_order(texts, attribution.spans):
            return "the attribution's spans are not in the text's order, or overlap, or lie outside of it"
    elif kind == _name_part_kind(sample) and values.shape != (shape := get_shape(list_parts(sample.input))):
        return f"the attribution has {list(values.shape)} values for {list(shape)} {kind}; it is one value each"
    if attribution.target < 0 or (sample.labels and attribution.target >= len(sample.labels)):
        return f"the attribution explains class {attribution.target} of {len(sample.labels)}"
    codec.dumps(attribution.metadata)  # raises TypeError if it cannot be recorded
    return replace(attribution, values=values, parts=kind)


def _are_in_order(texts: Sequence[str], spans: Sequence[tuple[int, int]]) -> bool:
    """Tell whether the spans are inside the texts, in order, and without overlap."""
    each = split_spans(texts, spans)
    if [span for number, own in enumerate(each) for span in shift_spans(texts, number, own)] != [tuple(span) for span in spans]:
        return False
    edges = [[0, *(edge for span in own for edge in span), len(text)] for text, own in zip(texts, each, strict=True)]
    return all(a <= b for own in edges for a, b in itertools.pairwise(own))


class _Family(NamedTuple):
    """A family of scores from queries to the model.

    name: key of the family in `FAITHFULNESS`.
    main: the score that is None if a query fails.
    requests: returns the requests for a subject.
    scores: computes the scores from the number for each request.
    read: returns the number from a response: the probability or the logit of the class.
    """

    name: str
    main: str
    requests: Callable[[Subject], Iterator[Classify]]
    scores: Callable[[Subject, Mapping[Classify, float]], Mapping[str, float]]
    read: Callable[[Logits, int], float]


def _get_probability(answer: Logits, target: int) -> float:
    return answer.probability(target)


def _get_logit(answer: Logits, target: int) -> float:
    return answer.values[target]


def _list_families(wanted: Collection[str], rng: SampleRng) -> list[_Family]:
    """Return the requested families that need queries."""
    every = (
        _Family("erasure", "comprehensiveness", list_erasure_requests, compute_erasure, _get_probability),
        _Family("curves", "aopc", list_curve_requests, compute_curves, _get_probability),
        _Family("infidelity", "infidelity", partial(list_infidelity_requests, rng=rng), partial(compute_infidelity, rng=rng), _get_logit),
    )
    return [family for family in every if family.name in wanted]


def _compute_queried(
    engine: ModelPort, subjects: Sequence[Subject], wanted: Collection[str], rng: SampleRng
) -> Iterator[tuple[Subject, Scores, str]]:
    """Yield each subject with the scores from queries, and a note if some are None. All requests go out in one call."""
    families = _list_families(wanted, rng)
    asked = [[list(family.requests(subject)) for family in families] for subject in subjects]
    answers = iter(engine.try_run([request for lists in asked for requests in lists for request in requests]))
    for subject, lists in zip(subjects, asked, strict=True):
        scores: Scores = {}
        note = ""
        for family, requests in zip(families, lists, strict=True):
            given = dict(zip(requests, [next(answers) for _ in requests], strict=True))
            why = _explain_unanswered(given.values(), subject.attribution.target)
            if why:
                scores[family.main] = None
                note = note or f"the input or a part of it has no answer, so the attribution lacks a score: {why}"
            else:
                logits = {request: answer for request, answer in given.items() if not isinstance(answer, Failure)}
                scores.update(family.scores(subject, {r: family.read(a, subject.attribution.target) for r, a in logits.items()}))
        yield subject, scores, note


def _explain_unanswered(answers: Collection[Logits | Failure], target: int) -> str:
    """Return why the scores cannot be computed from the responses; empty if they can."""
    failed = next((a.error for a in answers if isinstance(a, Failure)), "")
    few = any(not isinstance(a, Failure) and target >= len(a.values) for a in answers)
    return failed or (f"the model has no class {target}" if few else "")


def _record(item: str, sample: Sample, asked: Sample, found: Attribution | str, scored: Scores | None, note: str) -> Record:
    """Make the record of a sample. ``asked``: the sample as the model sees it."""
    if isinstance(found, str):
        return Record(sample.id, item, {}, found)
    completeness = found.completeness_error
    known = completeness is not None and math.isfinite(completeness)
    scores = {**({"comprehensiveness": None} if scored is None else scored), "completeness_error": completeness if known else None}
    note = note if scored is not None else _NOT_MEASURED
    noted = {"note": note} if note else {}
    return Record(
        sample.id,
        item,
        scores,
        artifacts={**found.metadata, **noted, **_record_seen_image(sample, asked), "attribution": encode_attribution(found)},
    )


def encode_attribution(found: Attribution) -> dict[str, Any]:
    """Return the compact form of an attribution for its record.

    The values are rounded. Scores are not affected: they are computed before, from the full attribution.
    """
    return {"values": round_to_half(found.values), "spans": Steps(found.spans), "target": found.target, "parts": found.parts}


def _record_seen_image(sample: Sample, asked: Sample) -> dict[str, Any]:
    """Return the attributed image as an artifact if the model sees another one than the sample's, e.g. a resized one.

    It is stored in a coarse form, because it is only displayed.
    """
    known = find_modality(sample.input)
    if known is None or asked.input == sample.input or find_modality(asked.input) is not known:
        return {}
    seen = known.coarse(asked.input)
    return {} if seen == known.coarse(sample.input) else {"image": seen}
