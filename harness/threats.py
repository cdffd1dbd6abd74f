"""Threat models: what an attacker may change. Each answers for itself, on the two inputs alone, whatever the attack claims."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from difflib import SequenceMatcher

import numpy as np

from .errors import ConfigError
from .inputs import Image, TextPair
from .samples import Sample

_ROUNDING = 1e-6
"""Slack for float32 projection: a point put on the ball's surface may land this far outside of it (pixels are in [0, 1])."""


@dataclass(frozen=True, slots=True)
class LpBall:
    """Every perturbed image within ``epsilon`` of the clean one, in [0, 1] pixel space. ``norm``: ``linf`` or ``l2``."""

    epsilon: float
    norm: str = "linf"

    def __post_init__(self) -> None:
        if self.norm not in ("linf", "l2"):
            raise ConfigError(f"an L-p ball has norm 'linf' or 'l2', not {self.norm!r}")
        if not self.epsilon >= 0:
            raise ConfigError(f"epsilon is at least 0, not {self.epsilon!r} (pixels are in [0, 1]: 8/255 is 0.0314)")

    def admits(self, clean: Sample, perturbed: Sample, /) -> bool:
        pixels = _pixels(perturbed)
        if pixels.shape != _pixels(clean).shape or pixels.min() < 0 or pixels.max() > 1:
            return False
        return self.distance(clean, perturbed)[self.norm] <= self.epsilon + _ROUNDING * max(1.0, self.epsilon)

    def distance(self, clean: Sample, perturbed: Sample, /) -> Mapping[str, float]:
        delta = _pixels(perturbed).astype(np.float64) - _pixels(clean).astype(np.float64)
        return {"linf": float(np.abs(delta).max()), "l2": float(np.sqrt((delta**2).sum()))}


def _pixels(sample: Sample) -> np.ndarray:
    if not isinstance(sample.input, Image):
        raise ConfigError(f"an L-p ball is about images; sample {sample.id!r} is a {type(sample.input).__name__}")
    pixels = sample.input.pixels
    scale = np.float32(255) if pixels.dtype == np.uint8 else np.float32(1)
    return np.asarray(pixels, dtype=np.float32) / scale


@dataclass(frozen=True, slots=True)
class EditBudget:
    """At most this many words, and this share of the words, of a text may change. None: no bound.

    Words are runs of non-space characters. A word counts as changed when it was replaced, inserted or deleted (longest-common-subsequence
    alignment); characters are counted by Levenshtein distance.
    """

    max_words: int | None = None
    max_share: float | None = None
    max_chars: int | None = None

    def admits(self, clean: Sample, perturbed: Sample, /) -> bool:
        if type(clean.input) is not type(perturbed.input):
            return False
        moved = self.distance(clean, perturbed)
        bounds = (("words_changed", self.max_words), ("share_changed", self.max_share), ("chars_changed", self.max_chars))
        return all(bound is None or moved[name] <= bound for name, bound in bounds)

    def distance(self, clean: Sample, perturbed: Sample, /) -> Mapping[str, float]:
        before, after = _text(clean), _text(perturbed)
        words, changed = re.findall(r"\S+", before), 0
        for op, i1, i2, j1, j2 in SequenceMatcher(None, words, re.findall(r"\S+", after), autojunk=False).get_opcodes():
            changed += 0 if op == "equal" else max(i2 - i1, j2 - j1)
        share = changed / len(words) if words else float(changed > 0)
        return {"words_changed": float(changed), "share_changed": share, "chars_changed": float(levenshtein(before, after))}


def _text(sample: Sample) -> str:
    if isinstance(sample.input, str):
        return sample.input
    if isinstance(sample.input, TextPair):
        return f"{sample.input.first}\n{sample.input.second}"
    raise ConfigError(f"an edit budget is about text; sample {sample.id!r} is a {type(sample.input).__name__}")


def levenshtein(a: str, b: str, /) -> int:
    """Insertions, deletions and substitutions of characters (Levenshtein 1966), on what differs between the common ends."""
    start = 0
    while start < min(len(a), len(b)) and a[start] == b[start]:
        start += 1
    a, b = a[start:], b[start:]
    while a and b and a[-1] == b[-1]:
        a, b = a[:-1], b[:-1]
    row = np.arange(len(b) + 1)
    codes = np.fromiter((ord(c) for c in b), dtype=np.int64, count=len(b))
    for i, char in enumerate(a, 1):
        best = np.minimum(row[1:] + 1, row[:-1] + (codes != ord(char)))
        # best[j] may still be reached from the left: min over k <= j of best[k] + (j - k), a running minimum.
        row = np.concatenate(([i], best))
        row = np.minimum.accumulate(row - np.arange(len(row))) + np.arange(len(row))
    return int(row[-1])


Threats = {"lp": LpBall, "edits": EditBudget}
