"""What all probes share that remove parts of the input and look at the explained class's logit.

A sample is cut into parts: words of a text, patches of an image, or what a plugin's modality gives. A method says which sets of parts
are to be shown (`Perturbation.masks`) and makes attributions of the answers (`Perturbation.combine`). Here every different set of every
sample becomes one request, so that the engine batches them all together, by length, whichever sample and method they belong to, and none
is computed twice.

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
from ..harness.modalities.base import known_modality
from ..harness.modalities.inputs import Input, shape_of
from ..harness.modalities.regions import regions_of
from ..harness.modalities.removal import removed
from ..harness.modalities.words import Spans
from .explained import checked_target, explained_classes

Mask: TypeAlias = NDArray[np.bool_]
"""[P], true where a part is shown."""
Values: TypeAlias = NDArray[np.float64]
Logit: TypeAlias = Callable[[Mask], float]
"""The explained class's logit of the sample with these parts shown; for masks that `Perturbation.masks` gave, and the full one."""

_BYTES_AT_ONCE = 1 << 26
"""About how much memory the reduced inputs take that wait for an answer together."""


class Parts:
    """What a sample is cut into: the parts that its modality gives, those of an array in regions, ``grid`` a side (None: each by itself).
    What is not shown is removed in the modality's plainest way.

    ``size``: P. ``kind``: what they are (`Modality.part_kind`). ``spans``: of words, in the text. ``region``: the number of each part's
    region, 0 to P - 1, in the shape that an attribution's values have. ``are_small``: whether they lie in an array.
    """

    def __init__(self, value: Input, grid: int | None = None) -> None:
        known = known_modality(value)
        self._value, self._parts, self._way = value, known.parts(value), known.ways[0]
        shape = shape_of(self._parts)
        self.kind, self.are_small = known.part_kind, isinstance(self._parts, np.ndarray)
        self.spans: Spans = tuple(self._parts) if self.kind == "words" else ()
        self.region = np.arange(math.prod(shape)).reshape(shape) if grid is None else regions_of(self._parts, grid)
        self.size = int(self.region.max(initial=-1)) + 1

    def showing(self, mask: Mask, /) -> Input:
        return removed(self._value, self._parts, ~mask[self.region.reshape(-1)], self._way)

    def spread(self, values: Values, /) -> Values:
        """Values [P] as an attribution holds them: [num_words] or [H, W]."""
        return values[self.region]


@dataclass(slots=True)
class _Game:
    """One sample's answers so far, by mask."""

    sample: Sample
    parts: Parts
    target: int
    logits: dict[bytes, float] = field(default_factory=dict)

    def logit(self, mask: Mask) -> float:
        return self.logits[_key(mask)]


def _key(mask: Mask) -> bytes:
    return np.packbits(mask).tobytes()


class Perturbation(Probe):
    """Base of the probes that remove parts. A subclass gives `masks` and `combine`, and `parts` where it takes small ones one by one.

    ``sums``: whether the method promises that the attributions sum to the logit's fall from the full to the empty input; `masks` then gives
    the empty mask too.
    """

    requires = frozenset({"classify"})
    needs_parts = True
    sums: ClassVar[bool] = False

    def __init__(self, *, target: str, grid: Count = 8, seed: int = 0) -> None:
        if grid < 1:
            raise ConfigError(f"grid is the number of patches a side, at least 1, not {grid}")
        self.target, self.grid = checked_target(target), grid
        self.rng = SampleRng(type(self).__name__, seed)

    def parts(self, value: Input, /) -> Parts:
        return Parts(value, self.grid)

    def masks(self, parts: Parts, rng: np.random.Generator, /) -> Iterator[Mask]:
        """The masks to ask, beside the full one. May yield one array again and again, changed in between, and equal ones."""
        raise NotImplementedError

    def combine(self, parts: Parts, rng: np.random.Generator, logit: Logit, /) -> Values:
        """Attributions [P]. ``rng`` is as it was at the start of `masks`."""
        raise NotImplementedError

    def attribute(self, engine: ModelPort, samples: Sequence[Sample], /) -> Sequence[Attribution]:
        targets = explained_classes(engine, samples, self.target)
        games = [_Game(s, self.parts(s.input), target) for s, target in zip(samples, targets, strict=True)]
        empty = next((game.sample for game in games if not game.parts.size), None)
        if empty is not None:
            raise SampleError("the input has no part to attribute to")
        _play(engine, ((game, np.ones(game.parts.size, dtype=bool)) for game in games))
        _play(engine, ((game, mask) for game in games for mask in self.masks(game.parts, self.rng(game.sample.id))))
        return [self._attribution(game) for game in games]

    def _attribution(self, game: _Game) -> Attribution:
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
    """Put the logit of each mask into its game: every different one is asked once, in rounds that fit in memory."""
    waiting: list[tuple[_Game, bytes]] = []
    requests: list[Classify] = []
    held = 0
    for game, mask in asked:
        key = _key(mask)
        if key in game.logits:
            continue
        game.logits[key] = np.nan  # taken; the answer comes with the round
        shown = game.parts.showing(mask)
        waiting.append((game, key))
        requests.append(Classify(shown, game.sample.labels))
        held += known_modality(shown).num_bytes(shown)
        if held >= _BYTES_AT_ONCE:
            _answer(engine, waiting, requests)
            waiting, requests, held = [], [], 0
    _answer(engine, waiting, requests)


def _answer(engine: ModelPort, waiting: Sequence[tuple[_Game, bytes]], requests: Sequence[Classify]) -> None:
    for (game, key), response in zip(waiting, engine.run(requests), strict=True):
        game.logits[key] = response.values[game.target]
