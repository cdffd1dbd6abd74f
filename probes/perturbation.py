"""What all probes share that remove parts of the input and look at the explained class's logit.

A sample is cut into parts: words of a text, patches of an image. A method says which sets of parts are to be shown (`Perturbation.masks`)
and makes attributions of the answers (`Perturbation.combine`). Here every different set of every sample becomes one request, so that the
engine batches them all together, by length, whichever sample and method they belong to, and none is computed twice.

Shape legend: P parts, H height, W width.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import ClassVar, Protocol, TypeAlias

import numpy as np
from numpy.typing import NDArray

from ..harness.api.errors import ConfigError, SampleError
from ..harness.api.model_port import ModelPort
from ..harness.api.probe import Probe
from ..harness.api.requests import Classify
from ..harness.api.samples import Attribution, Sample, SampleRng
from ..harness.api.settings import Count
from ..harness.modalities.image import Image
from ..harness.modalities.inputs import Input
from ..harness.modalities.removal import in_mean_colour, removed
from ..harness.modalities.text import TextPair
from ..harness.modalities.words import Spans, spans_of
from .explained import checked_target, explained_classes

Mask: TypeAlias = NDArray[np.bool_]
"""[P], true where a part is shown."""
Values: TypeAlias = NDArray[np.float64]
Logit: TypeAlias = Callable[[Mask], float]
"""The explained class's logit of the sample with these parts shown; for masks that `Perturbation.masks` gave, and the full one."""

_BYTES_AT_ONCE = 1 << 26
"""About how much memory the reduced inputs take that wait for an answer together."""
_BYTES_OF_A_TEXT = 1 << 14
"""About what a text's tokens take as Python objects."""


class Parts(Protocol):
    """What a sample is cut into. ``size``: P. ``spans``: of words, in the text."""

    size: int
    spans: Spans

    def showing(self, mask: Mask, /) -> Input: ...

    def spread(self, values: Values, /) -> Values:
        """Values [P] as an attribution holds them: [num_words] or [H, W]."""
        ...


class Words:
    """The words of a text or a pair: sub-tokens of one word come and go together. What is not shown is cut out."""

    def __init__(self, text: str | TextPair) -> None:
        self.spans = spans_of(text)
        self.size = len(self.spans)
        self._text = text

    def showing(self, mask: Mask, /) -> Input:
        return removed(self._text, self.spans, ~mask, "cut")

    def spread(self, values: Values, /) -> Values:
        return values


class Patches:
    """An image's regions. ``map_HW``: each pixel's region, 0 to P - 1. What is not shown has the image's mean colour."""

    spans: Spans = ()

    def __init__(self, image: Image, map_HW: NDArray[np.intp]) -> None:
        self.size = int(map_HW.max()) + 1
        self.map_HW = map_HW
        self._shown_HWC = image.pixels
        # Once for all masks: the mean takes longer than the rest of a reduced image.
        self._hidden_HWC = in_mean_colour(image, np.zeros(map_HW.shape, dtype=bool)).pixels

    def showing(self, mask: Mask, /) -> Image:
        # By value and not by pixel: numpy's loop over three channels at a time is slow.
        kept = np.repeat(mask[self.map_HW], self._shown_HWC.shape[2]).reshape(self._shown_HWC.shape)
        return Image(np.where(kept, self._shown_HWC, self._hidden_HWC))

    def spread(self, values: Values, /) -> Values:
        return values[self.map_HW]


def grid_map(height: int, width: int, grid: int, /) -> NDArray[np.intp]:
    """[H, W]: the patch of each pixel, row by row, ``grid`` of them a side (as many as there are pixels, where those are fewer)."""
    rows, columns = min(grid, height), min(grid, width)
    row_H, column_W = np.arange(height) * rows // height, np.arange(width) * columns // width
    return row_H[:, None] * columns + column_W


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
    """Base of the probes that remove parts. A subclass gives `masks` and `combine`, and `parts` where words and a grid are not its parts.

    ``sums``: whether the method promises that the attributions sum to the logit's fall from the full to the empty input; `masks` then gives
    the empty mask too.
    """

    requires = frozenset({"classify"})
    inputs = frozenset({"text", "pair", "image"})
    sums: ClassVar[bool] = False

    def __init__(self, *, target: str, grid: Count = 8, seed: int = 0) -> None:
        if grid < 1:
            raise ConfigError(f"grid is the number of patches a side, at least 1, not {grid}")
        self.target, self.grid = checked_target(target), grid
        self.rng = SampleRng(type(self).__name__, seed)

    def parts(self, value: Input, /) -> Parts:
        if isinstance(value, Image):
            height, width = value.pixels.shape[:2]
            return Patches(value, grid_map(height, width, self.grid))
        return Words(value if isinstance(value, TextPair) else str(value))

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
        return Attribution(game.sample.id, game.target, shown, parts.spans, error, {"num_evaluations": len(game.logits)})


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
        held += shown.pixels.nbytes if isinstance(shown, Image) else _BYTES_OF_A_TEXT
        if held >= _BYTES_AT_ONCE:
            _answer(engine, waiting, requests)
            waiting, requests, held = [], [], 0
    _answer(engine, waiting, requests)


def _answer(engine: ModelPort, waiting: Sequence[tuple[_Game, bytes]], requests: Sequence[Classify]) -> None:
    for (game, key), response in zip(waiting, engine.run(requests), strict=True):
        game.logits[key] = response.values[game.target]
