"""Base class of probes that remove parts of the input and measure the explained class's logit.

A sample is split into parts: the words of a text, the patches of an image, or the parts of a plugin's modality. A
subclass chooses the subsets of parts to evaluate (`Perturbation.masks`) and computes the attributions from their
logits (`Perturbation.combine`). This module sends one request per distinct subset of each sample. The engine batches
the requests of all samples by length.

Shape legend: P parts (of an image, patches), H height, W width.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import ClassVar, TypeAlias

import numpy as np
from numpy.typing import NDArray

from ..harness.api.errors import ConfigError, SampleError
from ..harness.api.model_port import ModelPort
from ..harness.api.probe import Probe
from ..harness.api.requests import Classify
from ..harness.api.samples import Attribution, Sample, SampleRng
from ..harness.api.settings import Count
from ..harness.modalities.base import require_modality
from ..harness.modalities.inputs import Input, get_shape
from ..harness.modalities.regions import find_regions
from ..harness.modalities.removal import remove_parts
from ..harness.modalities.words import Spans
from .explained import check_target, choose_classes

Mask: TypeAlias = NDArray[np.bool_]
"""[P], true for parts that are kept."""
Values: TypeAlias = NDArray[np.float64]
Logit: TypeAlias = Callable[[Mask], float]
"""Maps a mask to the explained class's logit. It accepts the masks of `Perturbation.masks` and the full mask."""

_BYTES_AT_ONCE = 1 << 26
"""Approximate limit in bytes of the reduced inputs that are held at a time."""


class Parts:
    """The parts of one input. Parts of an array, such as pixels, are grouped into regions.

    value: the input.
    grid: number of regions per side of an array; None makes each element a part of its own.

    size: number of parts P.
    kind: kind of the parts (`Modality.part_kind`).
    spans: positions of words in the text; empty for other kinds.
    region: index from 0 to P - 1 of each element's part, in the shape of an attribution's values.
    are_small: whether the modality's parts are the elements of an array.
    """

    def __init__(self, value: Input, grid: int | None = None) -> None:
        known = require_modality(value)
        self._value, self._parts, self._way = value, known.parts(value), known.ways[0]
        shape = get_shape(self._parts)
        self.kind, self.are_small = known.part_kind, isinstance(self._parts, np.ndarray)
        self.spans: Spans = tuple(self._parts) if self.kind == "words" else ()
        self.region = np.arange(math.prod(shape)).reshape(shape) if grid is None else find_regions(self._parts, grid)
        self.size = int(self.region.max(initial=-1)) + 1

    def showing(self, mask: Mask, /) -> Input:
        """Return the input without the parts outside of the mask, removed in the first of `Modality.ways`."""
        return remove_parts(self._value, self._parts, ~mask[self.region.reshape(-1)], self._way)

    def spread(self, values: Values, /) -> Values:
        """Expand values [P] to the shape of an attribution: [num_words] or [H, W]."""
        return values[self.region]


@dataclass(slots=True)
class _Game:
    """Evaluated logits of one sample, by packed mask."""

    sample: Sample
    parts: Parts
    target: int
    logits: dict[bytes, float] = field(default_factory=dict)

    def logit(self, mask: Mask) -> float:
        """Return the logit of an evaluated mask [P]."""
        return self.logits[_make_key(mask)]


def _make_key(mask: Mask) -> bytes:
    """Return the mask as a dictionary key."""
    return np.packbits(mask).tobytes()


class Perturbation(Probe):
    """Base class of probes that remove parts. A subclass defines `masks` and `combine`, and may override `parts`.

    target: explained class, ``predicted`` or ``gold``.
    grid: patches per side of an image.
    seed: seed of the draws.
    sums: whether the attributions sum to the decrease of the logit from the full to the empty input. If so, `masks`
        must include the empty mask.
    Raises `ConfigError` if ``grid`` is below 1 or ``target`` is unknown.
    """

    requires = frozenset({"classify"})
    needs_parts = True
    sums: ClassVar[bool] = False

    def __init__(self, *, target: str, grid: Count = 8, seed: int = 0) -> None:
        if grid < 1:
            raise ConfigError(f"grid is the number of patches a side, at least 1, not {grid}")
        self.target, self.grid = check_target(target), grid
        self.rng = SampleRng(type(self).__name__, seed)

    def parts(self, value: Input, /) -> Parts:
        """Split an input into parts."""
        return Parts(value, self.grid)

    def masks(self, parts: Parts, rng: np.random.Generator, /) -> Iterator[Mask]:
        """Yield the masks [P] to evaluate; the full mask is always evaluated.

        Equal masks are evaluated once. The same array may be changed and yielded again.

        parts: parts of the sample.
        rng: random generator of the sample.
        """
        raise NotImplementedError

    def combine(self, parts: Parts, rng: np.random.Generator, logit: Logit, /) -> Values:
        """Return the attributions [P].

        parts: parts of the sample.
        rng: random generator in the state that `masks` started with, so that the same draws can be repeated.
        logit: maps a mask to the logit of the explained class.
        """
        raise NotImplementedError

    def attribute(self, engine: ModelPort, samples: Sequence[Sample], /) -> Sequence[Attribution]:
        targets = choose_classes(engine, samples, self.target)
        games = [_Game(s, self.parts(s.input), target) for s, target in zip(samples, targets, strict=True)]
        empty = next((game.sample for game in games if not game.parts.size), None)
        if empty is not None:
            raise SampleError("the input has no part to attribute to")
        _play(engine, ((game, np.ones(game.parts.size, dtype=bool)) for game in games))
        _play(engine, ((game, mask) for game in games for mask in self.masks(game.parts, self.rng(game.sample.id))))
        return [self._make_attribution(game) for game in games]

    def _make_attribution(self, game: _Game) -> Attribution:
        """Combine the logits of a sample to its attribution."""
        parts = game.parts
        values = self.combine(parts, self.rng(game.sample.id), game.logit)
        error = None
        if self.sums:
            fall = game.logit(np.ones(parts.size, dtype=bool)) - game.logit(np.zeros(parts.size, dtype=bool))
            error = abs(float(values.sum()) - fall)
        shown = parts.spread(values).astype(np.float32)
        facts = {"num_evaluations": len(game.logits)}
        return Attribution(game.sample.id, game.target, shown, parts.spans, error, facts, parts.kind)


def _play(engine: ModelPort, asked: Iterator[tuple[_Game, Mask]]) -> None:
    """Evaluate the logit of each distinct mask once and store it in its game, in rounds that fit in memory."""
    waiting: list[tuple[_Game, bytes]] = []
    requests: list[Classify] = []
    held = 0
    for game, mask in asked:
        key = _make_key(mask)
        if key in game.logits:
            continue
        game.logits[key] = np.nan  # marks the mask as requested; `_answer` fills in the logit
        shown = game.parts.showing(mask)
        waiting.append((game, key))
        requests.append(Classify(shown, game.sample.labels))
        held += require_modality(shown).num_bytes(shown)
        if held >= _BYTES_AT_ONCE:
            _answer(engine, waiting, requests)
            waiting, requests, held = [], [], 0
    _answer(engine, waiting, requests)


def _answer(engine: ModelPort, waiting: Sequence[tuple[_Game, bytes]], requests: Sequence[Classify]) -> None:
    """Run the requests and store their logits."""
    for (game, key), response in zip(waiting, engine.run(requests), strict=True):
        game.logits[key] = response.values[game.target]
