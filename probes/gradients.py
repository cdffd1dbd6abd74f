"""What all probes share that follow the gradient of the explained class's logit with respect to the input.

A method takes some points around or on the way to each sample, and weighs the gradients there. Here the points of all samples share
passes, as many rows as the engine gives a batch. A row's gradient is summed to one number a token or pixel at once, so memory does not grow
with the number of points.

Shape legend: N rows of a pass, K points of a sample, L tokens, D embedding, C channels, H height, W width.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import groupby
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

from ..harness.api.errors import ConfigError
from ..harness.api.model import EMBEDDINGS, Differentiable, Encoded
from ..harness.api.model_port import ModelPort
from ..harness.api.probe import Probe
from ..harness.api.requests import Classify
from ..harness.api.samples import Attribution, Sample, SampleRng
from ..harness.engine.batching import alike, batches
from ..harness.modalities.inputs import size_of
from .baselines import Baseline, checked_baseline, describe_baseline, with_baseline
from .explained import checked_target, explained_classes, tried_with
from .positions import Values, by_position, placed

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True)
class Rows:
    """The rows of one pass: each is point ``steps[n]`` of ``samples[n]``.

    ``lengths``: real tokens of each row; None for images. ``indices``: of the samples, as `GradientWork` counts them. ``places``: each
    row's place in ``encoded``. ``targets``: explained classes.
    """

    samples: Sequence[Sample]
    indices: Sequence[int]
    steps: Sequence[int]
    lengths: Sequence[int] | None
    net: Differentiable
    encoded: Encoded
    places: torch.Tensor
    targets: torch.Tensor

    # Copies, a row for each of a sample's many points: made where a method reads them.

    @cached_property
    def features(self) -> torch.Tensor:
        """[N, L, D] or [N, C, H, W], as in `plugins.Encoded`."""
        return self.encoded.features[self.places]

    @cached_property
    def baseline(self) -> torch.Tensor:
        """Shaped as `features`."""
        return self.encoded.baseline[self.places]

    def explained(self, features: torch.Tensor, /) -> torch.Tensor:
        """The explained class's logit [N] of the rows with these features."""
        return self.net.logits(features, self.encoded, self.places).gather(1, self.targets[:, None])[:, 0]

    def resumed(self, features: torch.Tensor, /) -> torch.Tensor:
        """As `explained`, where nothing looks at the model's layers: a model that resumes need not compute again and again what is one and
        the same at the beginning of all rows."""
        past = self._unmoved(features)
        return self.explained(features[:, past:] if past else features)

    def slopes(self, features: torch.Tensor, times: torch.Tensor | None, /) -> torch.Tensor:
        """The gradient of the explained class's logit at these features, times ``times``; its absolute value where that is None."""
        import torch

        past = 0 if times is None else self._unmoved(features, times)
        at = features[:, past:].detach().requires_grad_()
        (gradient,) = torch.autograd.grad(self.explained(at).sum(), at)
        if times is None:
            return gradient.abs()
        return torch.nn.functional.pad(gradient * times[:, past:], (0, 0, past, 0)) if past else gradient * times

    def _unmoved(self, features: torch.Tensor, times: torch.Tensor | None = None) -> int:
        """How many positions at the beginning are as encoded, alike in all rows, and worth nothing."""
        if not self.net.resumes:
            return 0
        past = _common_beginning(self.encoded)
        moves = (features[:, :past] != self.features[:, :past]).any() or (times is not None and times[:, :past].any())
        return 0 if moves else past

    def per_row(self, values: Sequence[float] | Values, /) -> torch.Tensor:
        """Numbers [N] in a shape that multiplies `features`."""
        import torch

        shape = (-1, *(1,) * (self.features.ndim - 1))
        return torch.as_tensor(np.asarray(values), dtype=self.features.dtype, device=self.features.device).view(shape)

    def ranges(self) -> torch.Tensor:
        """Largest minus smallest value of each row, padding left out; shaped to multiply `features`."""
        import torch

        high = low = self.encoded.features
        if self.encoded.mask_BL is not None:
            padding_BL1 = (self.encoded.mask_BL == 0)[:, :, None]
            high, low = high.masked_fill(padding_BL1, -torch.inf), low.masked_fill(padding_BL1, torch.inf)
        dims = tuple(range(1, high.ndim))
        return (high.amax(dims, keepdim=True) - low.amin(dims, keepdim=True))[self.places]

    def noise(self, rng: Callable[[int], SampleRng], /) -> torch.Tensor:
        """Standard normal numbers for each row, shaped as `features`: by its sample's id and its step alone. Padding is 0."""
        import torch

        made = torch.zeros(self.features.shape)
        # The CPU's generator whatever the device, so that the draw is the same; numpy's takes twice the time. Torch reads 32 bits of
        # a seed: of a million draws about a hundred pairs are equal, nearly always of two samples, and that moves neither one's mean.
        generator = torch.Generator()
        for row, (sample, step) in enumerate(zip(self.samples, self.steps, strict=True)):
            own = made[row] if self.lengths is None else made[row, : self.lengths[row]]
            own.normal_(generator=generator.manual_seed(rng(step).seed(sample.id)))
        return made.to(self.features)


Points: TypeAlias = "Callable[[Rows], tuple[torch.Tensor, torch.Tensor | None]]"
"""Where to take the gradient, shaped as ``features``, and what to multiply it by; None takes its absolute value."""


class GradientWork:
    """Samples made ready for gradient passes, inside ``engine.differentiable()``. ``targets``: each one's explained class. ``baseline``:
    the neutral input, where it is not the model's own."""

    def __init__(
        self, engine: ModelPort, net: Differentiable, samples: Sequence[Sample], targets: Sequence[int], baseline: Baseline = None
    ) -> None:  # fmt: skip
        self._engine, self._net, self._samples, self._targets, self._baseline = engine, net, samples, targets, baseline
        self.module, self.patch = net.module, _patch(net.module)
        self._last: tuple[list[int], Encoded] | None = None
        self._lengths, self._domains = [0] * len(samples), [EMBEDDINGS] * len(samples)
        self._spans: list[Sequence[tuple[int, int]]] = [()] * len(samples)
        for indices in batches(engine, samples):
            encoded = self._encoded(indices)
            real = None if encoded.mask_BL is None else encoded.mask_BL.sum(1).tolist()
            for row, index in enumerate(indices):
                self._domains[index] = encoded.domain
                self._lengths[index] = size_of(samples[index].input) if real is None else real[row]
                self._spans[index] = encoded.spans[row][: self._lengths[index]] if real is not None else ()

    def changes(self) -> list[float]:
        """How far each sample's explained logit moves from the neutral input to the sample: what a complete attribution sums to."""
        import torch

        found = [0.0] * len(self._samples)
        for rows in self.passes(range(len(self._samples))):
            with torch.no_grad():
                moved_N = rows.resumed(rows.features).double() - rows.resumed(rows.baseline).double()
            for index, value in zip(rows.indices, moved_N.tolist(), strict=True):
                found[index] = value
        return found

    def sums(self, chosen: Sequence[int], weights: Values, points: Points, /) -> dict[int, Values]:
        """For each chosen sample the gradients at its K points, by weights [K], summed over D or C: [L] or [H, W]."""

        found: dict[int, Values] = {}
        for rows in self.passes(chosen, len(weights), is_only=len(weights) == 1):
            add_weighted(found, rows, weights, rows.slopes(*points(rows)))
        return found

    def passes(
        self, chosen: Sequence[int], num: int = 1, cost: Callable[[int], int] = int, *, is_only: bool = False
    ) -> Iterator[Rows]:  # fmt: skip
        """The passes that the points 0 to ``num`` - 1 of the chosen samples take, each sample's points in order.

        ``cost``: of a row by its length, in positions of the engine's budget. ``is_only``: nothing else is passed back. Then a single large
        pass is cut in two, for the second takes the first one's memory: what the system has to give costs more than a further pass.
        """
        for indices in self._stackable(chosen, num):
            costs = [cost(self._lengths[i]) for i in indices for _ in range(num)]
            batches = self._engine.groups(costs)
            if is_only and len(batches) == 1:
                batches = self._engine.groups([2 * each for each in costs])
            for batch in batches:
                yield self._rows([(indices[row // num], row % num) for row in batch])

    def _stackable(self, chosen: Sequence[int], num: int) -> list[list[int]]:
        """The chosen samples that may share passes. Many points fill a pass with few samples, so these are of one length: no padding."""
        groups: dict[tuple[int, int], list[int]] = {}
        for kind, members in enumerate(alike(self._engine, [self._samples[i] for i in chosen])):
            for index in (chosen[i] for i in members):
                groups.setdefault((kind, self._lengths[index] if num > 1 else 0), []).append(index)
        return list(groups.values())

    def _rows(self, rows: Sequence[tuple[int, int]]) -> Rows:
        import torch

        present = list(dict.fromkeys(index for index, _ in rows))
        encoded = self._encoded(present)
        place = {index: row for row, index in enumerate(present)}
        device = encoded.features.device
        places_N = torch.tensor([place[index] for index, _ in rows], device=device)
        indices = [index for index, _ in rows]
        return Rows(
            [self._samples[i] for i in indices], indices, [step for _, step in rows],
            None if encoded.mask_BL is None else [self._lengths[i] for i in indices], self._net, encoded, places_N,
            torch.tensor([self._targets[i] for i in indices], device=device),
        )  # fmt: skip

    def _encoded(self, indices: Sequence[int]) -> Encoded:
        """The last one is kept: one sample's points fill several passes."""
        if self._last is None or self._last[0] != list(indices):
            encoded = self._net.encode([Classify(self._samples[i].input, self._samples[i].labels) for i in indices])
            self._last = list(indices), with_baseline(self._net, encoded, self._baseline)
        return self._last[1]

    def attribution(self, index: int, values: Values, error: float | None = None, metadata: dict[str, Any] | None = None, /) -> Attribution:
        """The sample's attribution of values by position (`positions.by_position`): tokens gathered to words, maps made pixels.

        ``on_special_tokens`` in its metadata: the sum of what no word or pixel has, where that is not 0.
        """
        sample = self._samples[index]
        shown, spans, special = placed(sample.input, values, self._spans[index], self.patch, self._domains[index])
        facts = {**(metadata or {}), **({"on_special_tokens": special} if special else {})}
        return Attribution(sample.id, self._targets[index], shown, spans, error, facts)


def _common_beginning(encoded: Encoded) -> int:
    """Tokens that are alike in all rows and part of no sample."""
    ids_BL = encoded.extra["input_ids"]
    alike = int((ids_BL == ids_BL[:1]).all(0).int().cumprod(0).sum())
    return min(alike, *(next((i for i, span in enumerate(row) if tuple(span) != (0, 0)), 0) for row in encoded.spans))


def add_weighted(found: dict[int, Values], rows: Rows, weights: Values, each: torch.Tensor, /) -> None:
    """Adds to each sample's values by position those of its rows ``each`` (shaped as `Rows.features`), by its steps' weights [K], or by
    each column of weights [K, P], which makes P sums."""
    by_row = by_position(each, rows.lengths, rows.encoded.domain)
    start = 0
    for index, own in groupby(rows.indices):
        end = start + len(list(own))
        # One product for all of a sample's points: a thousand small sums cost more than what is summed.
        values = np.tensordot(weights[list(rows.steps[start:end])].T, np.stack(by_row[start:end]), 1)
        found[index] = found[index] + values if index in found else values
        start = end


def _patch(module: Any) -> int | None:
    """The side of a vision transformer's patches, which its configuration knows."""
    size = getattr(getattr(module, "config", None), "patch_size", None)
    return size if isinstance(size, int) else None


class GradientProbe(Probe):
    """Base of the probes that average over points. A subclass gives `points`; ``num_points``: K."""

    requires = frozenset({"classify", "gradients"})
    needs_parts = True

    def __init__(self, *, target: str, num_points: int = 1, seed: int = 0, baseline: Baseline = None) -> None:
        if num_points < 1:
            raise ConfigError(f"at least one point is needed, not {num_points}")
        self.target, self.num_points, self.seed, self.baseline = checked_target(target), num_points, seed, checked_baseline(baseline)
        self.starts_from = describe_baseline(baseline)

    def trial(self) -> GradientProbe | None:
        """Another neutral input than the model's own may not fit it."""
        return None if self.baseline is None else tried_with(self, num_points=1)

    def points(self, rows: Rows, /) -> tuple[torch.Tensor, torch.Tensor | None]:
        raise NotImplementedError

    def rng(self, step: int, /) -> SampleRng:
        """The only source of randomness: of a step of a sample, by the sample's id."""
        return SampleRng(type(self).__name__, self.seed, step)

    def attribute(self, engine: ModelPort, samples: Sequence[Sample], /) -> Sequence[Attribution]:
        targets = explained_classes(engine, samples, self.target)
        with engine.differentiable() as net:
            work = GradientWork(engine, net, samples, targets, self.baseline)
            found = work.sums(range(len(samples)), np.full(self.num_points, 1 / self.num_points), self.points)
        return [work.attribution(i, found[i]) for i in range(len(samples))]
