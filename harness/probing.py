"""A probe attributes; here its attributions are scored beside a random control, by queries to the model alone.

Comprehensiveness and sufficiency (DeYoung et al. 2020, ERASER, section 4): with p(x) the probability of the explained class and r the top
share of the parts, comprehensiveness is p(x) - p(x without r), high when the attribution found what matters; sufficiency is
p(x) - p(r alone), low when that is enough. Both are averaged over the shares in `SHARES`.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from .engine import Engine
from .errors import SampleError, UserError
from .inputs import Image
from .requests import Classify, Failure, Logits
from .samples import Attribution, Record, Sample, SampleRng

SHARES = (0.1, 0.2, 0.3, 0.5)


def probe_records(engine: Engine, item: str, probe: Any, rng: SampleRng, samples: Sequence[Sample]) -> list[Record]:
    """A record a sample: ``comprehensiveness``, ``sufficiency``, each with its ``_random`` control, and ``completeness_error``."""
    prepared = [replace(s, input=engine.canonical(s.input)) if not s.metadata.get("error") else s for s in samples]
    attributions = _attribute(engine, probe, prepared)
    good = [(s, a) for s, a in zip(prepared, attributions, strict=True) if isinstance(a, Attribution)]
    real = _faithfulness(engine, [(s, a.target, a.values, a.spans) for s, a in good])
    control = _faithfulness(engine, [(s, a.target, rng(s.id).permutation(a.values.size).reshape(a.values.shape), a.spans) for s, a in good])
    scored = {s.id: (r, c) for (s, _), r, c in zip(good, real, control, strict=True)}
    return [_record(item, s, a, scored.get(s.id)) for s, a in zip(prepared, attributions, strict=True)]


def _attribute(engine: Engine, probe: Any, samples: list[Sample]) -> list[Attribution | str]:
    wrong = {s.id: str(s.metadata["error"]) for s in samples if s.metadata.get("error")}
    fine = [s for s in samples if s.id not in wrong]
    found = dict(zip((s.id for s in fine), _isolated(engine, probe, fine), strict=True))
    return [wrong.get(s.id) or found[s.id] for s in samples]


def _isolated(engine: Engine, probe: Any, samples: list[Sample]) -> list[Attribution | str]:
    if not samples:
        return []
    try:
        found = list(probe.attribute(engine, samples))
        if [a.sample_id for a in found] != [s.id for s in samples]:
            raise SampleError("the probe did not return one attribution a sample, in order")
        return [_checked(a) for a in found]
    except UserError:
        raise
    except Exception as error:  # noqa: BLE001 - a probe that fails on one sample must not lose the others
        if len(samples) == 1:
            return [f"{type(error).__name__}: {error}"]
        return [a for sample in samples for a in _isolated(engine, probe, [sample])]


def _checked(attribution: Attribution) -> Attribution | str:
    if not np.isfinite(attribution.values).all():
        return "the attribution holds NaN or infinity; half precision is the usual cause: try --dtype float32"
    if attribution.values.size == 0:
        return "the input has no part to attribute to"
    return attribution


Ranked = tuple[Sample, int, np.ndarray, Sequence[tuple[int, int]]]


def _faithfulness(engine: Engine, ranked: Sequence[Ranked]) -> list[dict[str, float | None]]:
    """Of each sample with a ranking of its parts. All reductions of all samples are one engine call."""
    requests: list[Classify] = []
    for sample, _, values, spans in ranked:
        variants = [sample.input, *(_reduced(sample.input, values, spans, share, keep) for keep in (False, True) for share in SHARES)]
        requests += [Classify(variant, sample.labels) for variant in variants]
    answers = iter(engine.try_run(requests))
    results: list[dict[str, float | None]] = []
    for _, target, _, _ in ranked:
        full, *rest = [_probability(next(answers), target) for _ in range(1 + 2 * len(SHARES))]
        without, alone = rest[: len(SHARES)], rest[len(SHARES) :]
        results.append({"comprehensiveness": _mean_drop(full, without), "sufficiency": _mean_drop(full, alone)})
    return results


def _probability(answer: Logits | Failure, target: int) -> float | None:
    if isinstance(answer, Failure):
        return None
    top = max(answer.values)
    exps = [math.exp(v - top) for v in answer.values]
    return exps[target] / sum(exps)


def _mean_drop(full: float | None, reduced: Sequence[float | None]) -> float | None:
    known = [p for p in reduced if p is not None]
    return full - sum(known) / len(known) if full is not None and len(known) == len(reduced) else None


def _reduced(value: Any, values: np.ndarray, spans: Sequence[tuple[int, int]], share: float, keep: bool) -> Any:
    """The input without its top parts, or (``keep``) with them alone. Words are cut out; pixels become the image's mean colour."""
    count = max(1, math.ceil(share * values.size))
    top = np.zeros(values.size, dtype=bool)
    top[np.argsort(-values.reshape(-1), kind="stable")[:count]] = True
    if isinstance(value, Image):
        kept = (top if keep else ~top).reshape(values.shape)[:, :, None]
        mean = value.pixels.mean(axis=(0, 1), keepdims=True).astype(value.pixels.dtype)
        return Image(np.where(kept, value.pixels, mean))
    if keep:
        return " ".join(value[start:end] for (start, end), is_top in zip(spans, top, strict=True) if is_top)
    pieces, at = [], 0
    for (start, end), is_top in zip(spans, top, strict=True):
        if is_top:
            pieces.append(value[at:start])
            at = end
    return re.sub(r"\s+", " ", " ".join([*pieces, value[at:]])).strip()


def _record(item: str, sample: Sample, found: Attribution | str, scored: tuple[dict[str, Any], dict[str, Any]] | None) -> Record:
    if isinstance(found, str) or scored is None:
        return Record(sample.id, item, {}, str(found))
    real, control = scored
    scores = {**real, **{f"{name}_random": value for name, value in control.items()}, "completeness_error": found.completeness_error}
    compact = {"values": found.values.astype(np.float16), "spans": found.spans, "target": found.target}
    shown = {"image": sample.input} if isinstance(sample.input, Image) else {}
    return Record(sample.id, item, scores, artifacts={"attribution": compact, **shown, **found.metadata})
