"""A probe attributes; here its attributions are scored beside a random control, by queries to the model alone.

Comprehensiveness and sufficiency (DeYoung et al. 2020, ERASER, section 4): with p(x) the probability of the explained class and r the top
share of the parts, comprehensiveness is p(x) - p(x without r), high when the attribution found what matters; sufficiency is
p(x) - p(r alone), low when that is enough. Both are averaged over the shares in `SHARES`.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from . import codec
from .batching import canonical, isolated
from .engine import Engine
from .errors import SampleError
from .inputs import Image
from .removal import in_mean_colour, without
from .requests import Classify, Failure, Logits
from .samples import Attribution, Record, Sample, SampleRng

SHARES = (0.1, 0.2, 0.3, 0.5)
_IMAGES_AT_ONCE = 16
"""Samples whose reduced images (16 each, with the control's) are held in memory together."""
_SCORES = ("comprehensiveness", "sufficiency", "comprehensiveness_random", "sufficiency_random")
_NOT_MEASURED = "faithfulness is measured on single texts and on images"


def probe_records(engine: Engine, item: str, probe: Any, rng: SampleRng, samples: Sequence[Sample]) -> list[Record]:
    """A record a sample: ``comprehensiveness``, ``sufficiency``, each with its ``_random`` control, and ``completeness_error``."""
    prepared = canonical(engine, samples)
    attributions = _attribute(engine, probe, prepared)
    good = [(s, a) for s, a in zip(prepared, attributions, strict=True) if isinstance(a, Attribution) and isinstance(s.input, str | Image)]
    scored: dict[str, dict[str, float | None] | str] = {}
    for part in _in_parts(good):
        scored.update(zip((s.id for s, _ in part), _faithfulness(engine, [(s, a, *_rankings(a, rng)) for s, a in part]), strict=True))
    return [_record(item, s, a, scored.get(s.id, _NOT_MEASURED)) for s, a in zip(prepared, attributions, strict=True)]


def _in_parts(good: Sequence[tuple[Sample, Attribution]]) -> Iterator[Sequence[tuple[Sample, Attribution]]]:
    size = _IMAGES_AT_ONCE if any(isinstance(s.input, Image) for s, _ in good) else max(1, len(good))
    for start in range(0, len(good), size):
        yield good[start : start + size]


def _rankings(attribution: Attribution, rng: SampleRng) -> tuple[np.ndarray, np.ndarray]:
    """The parts from the most to the least important, and in the control's random order, which only the sample's id decides.

    Parts of equal value keep the order they have in the input.
    """
    flat = attribution.values.reshape(-1)
    return np.argsort(-flat, kind="stable"), rng(attribution.sample_id).permutation(flat.size)


def _attribute(engine: Engine, probe: Any, samples: Sequence[Sample]) -> list[Attribution | str]:
    """The probe's attributions, or the error of each sample that it could not explain."""

    def attribute(some: Sequence[Sample]) -> list[Attribution | str]:
        found = list(probe.attribute(engine, some))
        if [a.sample_id for a in found] != [s.id for s in some]:
            raise SampleError("the probe did not return one attribution a sample, in order")
        return [_checked(s, a) for s, a in zip(some, found, strict=True)]

    wrong = {s.id: str(s.metadata["error"]) for s in samples if s.metadata.get("error")}
    fine = [s for s in samples if s.id not in wrong]
    found = dict(zip((s.id for s in fine), isolated(attribute, fine), strict=True))
    return [wrong.get(s.id) or found[s.id] for s in samples]


def _checked(sample: Sample, attribution: Attribution) -> Attribution | str:
    values = np.asarray(attribution.values, dtype=np.float32)
    if not np.isfinite(values).all():
        return "the attribution holds NaN or infinity; half precision is the usual cause: try --dtype float32"
    if values.size == 0:
        return "the input has no part to attribute to"
    if isinstance(sample.input, Image):
        if values.shape != sample.input.pixels.shape[:2]:
            return f"the attribution of an image {sample.input.pixels.shape} is [H, W], not {list(values.shape)}"
    elif values.shape != (len(attribution.spans),):
        return f"the attribution has {list(values.shape)} values for {len(attribution.spans)} spans; it is one value a span"
    if isinstance(sample.input, str) and not _in_order(attribution.spans, len(sample.input)):
        return "the attribution's spans are not in the text's order, or overlap, or lie outside of it"
    if attribution.target < 0 or (sample.labels and attribution.target >= len(sample.labels)):
        return f"the attribution explains class {attribution.target} of {len(sample.labels)}"
    codec.dumps(attribution.metadata)  # raises TypeError for what cannot be recorded
    return replace(attribution, values=values)


def _in_order(spans: Sequence[tuple[int, int]], length: int) -> bool:
    edges = [0, *(edge for span in spans for edge in span), length]
    return all(a <= b for a, b in itertools.pairwise(edges))


Ranked = tuple[Sample, Attribution, np.ndarray, np.ndarray]


def _faithfulness(engine: Engine, ranked: Sequence[Ranked]) -> list[dict[str, float | None] | str]:
    """Scores of each sample's ranking and of its control, or why there are none. All reductions of all samples are one engine call."""
    requests: list[Classify] = []
    for sample, attribution, *orders in ranked:
        requests.append(Classify(sample.input, sample.labels))
        for order in orders:
            for keep in (False, True):
                requests += [Classify(_reduced(sample.input, attribution, order, s, keep=keep), sample.labels) for s in SHARES]
    answers = iter(engine.try_run(requests))
    results: list[dict[str, float | None] | str] = []
    for _, attribution, *orders in ranked:
        asked = [next(answers) for _ in range(1 + 2 * len(SHARES) * len(orders))]
        failed = next((a for a in asked if isinstance(a, Failure)), None)
        if failed is not None or attribution.target >= len(asked[0].values):
            why = failed.error if failed is not None else f"the model has no class {attribution.target}"
            results.append(f"the input or a part of it has no answer, so the attribution has no score: {why}")
            continue
        full, *rest = [_probability(answer, attribution.target) for answer in asked]
        drops = [full - math.fsum(rest[i : i + len(SHARES)]) / len(SHARES) for i in range(0, len(rest), len(SHARES))]
        results.append(dict(zip(_SCORES, drops, strict=True)))
    return results


def _probability(answer: Logits, target: int) -> float:
    top = max(answer.values)
    exps = [math.exp(v - top) for v in answer.values]
    return exps[target] / math.fsum(exps)


def _reduced(value: Any, attribution: Attribution, order: np.ndarray, share: float, *, keep: bool) -> Any:
    """The input without the first parts of the order, or (``keep``) with them alone: words cut out, pixels in the image's mean colour."""
    top = np.zeros(order.size, dtype=bool)
    top[order[: max(1, math.ceil(share * order.size))]] = True
    if isinstance(value, Image):
        return in_mean_colour(value, (top if keep else ~top).reshape(attribution.values.shape))
    if keep:
        return " ".join(value[start:end] for (start, end), is_top in zip(attribution.spans, top, strict=True) if is_top)
    return without(value, [span for span, is_top in zip(attribution.spans, top, strict=True) if is_top])


def _record(item: str, sample: Sample, found: Attribution | str, scored: dict[str, float | None] | str) -> Record:
    if isinstance(found, str):
        return Record(sample.id, item, {}, found)
    completeness = found.completeness_error
    known = completeness is not None and math.isfinite(completeness)
    measured = scored if isinstance(scored, dict) else dict.fromkeys(_SCORES)
    scores = {**measured, "completeness_error": completeness if known else None}
    note = {"note": scored} if isinstance(scored, str) else {}
    shown = {"image": sample.input} if isinstance(sample.input, Image) else {}
    compact = {"values": _compact(found.values), "spans": found.spans, "target": found.target}
    return Record(sample.id, item, scores, artifacts={**found.metadata, **note, **shown, "attribution": compact})


def _compact(values: np.ndarray) -> np.ndarray:
    """Maps of pixels as float16, where its range allows: they are many, and are looked at. Words stay float32."""
    largest = float(np.abs(values).max())
    return values.astype(np.float16) if values.ndim == 2 and 1e-2 <= largest <= 6e4 else values
