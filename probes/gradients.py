"""What all probes share that follow the gradient of the explained class's logit with respect to the input.

A method takes some points around or on the way to each sample, and weighs the gradients there. Here the points of all samples share
passes, as many rows as the engine gives a batch. A row's gradient is summed to one number a token or pixel at once, so memory does not grow
with the number of points.

Shape legend: N rows of a pass, K points of a sample, L tokens, D embedding, C channels, H height, W width.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, TypeAlias

import numpy as np
from numpy.typing import NDArray

from ..harness.batching import alike, batches
from ..harness.errors import ConfigError
from ..harness.inputs import Image, TextPair, size_of
from ..harness.plugins import Differentiable, Encoded, ModelPort
from ..harness.requests import Classify
from ..harness.samples import Attribution, Sample, SampleRng
from ..harness.words import gather, spans_of
from .explained import checked_target, explained_classes

if TYPE_CHECKING:
    import torch

Values: TypeAlias = NDArray[np.float64]
Draw: TypeAlias = Callable[[np.random.Generator, tuple[int, ...]], NDArray[np.float64]]


@dataclass(frozen=True, slots=True)
class Rows:
    """The rows of one pass: each is point ``steps[n]`` of ``samples[n]``.

    ``features``, ``baseline``: [N, L, D] or [N, C, H, W], as in `plugins.Encoded`. ``lengths``: real tokens of each row; None for images.
    """

    samples: Sequence[Sample]
    steps: Sequence[int]
    features: torch.Tensor
    baseline: torch.Tensor
    lengths: Sequence[int] | None

    def per_row(self, values: Sequence[float] | Values, /) -> torch.Tensor:
        """Numbers [N] in a shape that multiplies `features`."""
        import torch

        shape = (-1, *(1,) * (self.features.ndim - 1))
        return torch.as_tensor(np.asarray(values), dtype=self.features.dtype, device=self.features.device).view(shape)

    def ranges(self) -> torch.Tensor:
        """Largest minus smallest value of each row, padding left out; shaped to multiply `features`."""
        import torch

        padding = torch.zeros_like(self.features, dtype=torch.bool)
        if self.lengths is not None:
            lengths_N = torch.tensor(self.lengths, device=self.features.device)
            padding |= (torch.arange(self.features.shape[1], device=self.features.device) >= lengths_N[:, None])[:, :, None]
        dims = tuple(range(1, self.features.ndim))
        high, low = self.features.masked_fill(padding, -torch.inf), self.features.masked_fill(padding, torch.inf)
        return high.amax(dims, keepdim=True) - low.amin(dims, keepdim=True)

    def drawn(self, draw: Draw, rng: Callable[[int], SampleRng], /) -> torch.Tensor:
        """A draw for each row, of its own shape without padding, by its sample's id and its step alone. Padding is 0."""
        import torch

        made = np.zeros(tuple(self.features.shape), dtype=np.float32)
        for row, (sample, step) in enumerate(zip(self.samples, self.steps, strict=True)):
            own = made[row] if self.lengths is None else made[row, : self.lengths[row]]
            own[...] = draw(rng(step)(sample.id), own.shape)
        return torch.from_numpy(made).to(self.features)


Points: TypeAlias = "Callable[[Rows], tuple[torch.Tensor, torch.Tensor | None]]"
"""Where to take the gradient, shaped as ``features``, and what to multiply it by; None takes its absolute value."""


class GradientWork:
    """Samples made ready for gradient passes, inside ``engine.differentiable()``. ``targets``: each one's explained class."""

    def __init__(self, engine: ModelPort, net: Differentiable, samples: Sequence[Sample], targets: Sequence[int]) -> None:
        self._engine, self._net, self._samples, self._targets = engine, net, samples, targets
        self._lengths = [0] * len(samples)
        self._spans: list[Sequence[tuple[int, int]]] = [()] * len(samples)
        for indices in batches(engine, samples):
            encoded = self._encoded(indices)
            real = None if encoded.mask_BL is None else encoded.mask_BL.sum(1).tolist()
            for row, index in enumerate(indices):
                self._lengths[index] = size_of(samples[index].input) if real is None else real[row]
                self._spans[index] = encoded.spans[row][: self._lengths[index]] if real is not None else ()

    def changes(self) -> list[float]:
        """How far each sample's explained logit moves from the neutral input to the sample: what a complete attribution sums to."""
        import torch

        found = [0.0] * len(self._samples)
        for indices in self._stackable(range(len(self._samples)), 1):
            for batch in self._engine.groups([self._lengths[i] for i in indices]):
                some = [indices[i] for i in batch]
                encoded = self._encoded(some)
                target_B = torch.tensor([self._targets[i] for i in some], device=encoded.features.device)
                with torch.no_grad():
                    moved_BC = self._net.logits(encoded.features, encoded) - self._net.logits(encoded.baseline, encoded)
                for index, value in zip(some, moved_BC.gather(1, target_B[:, None])[:, 0].double().tolist(), strict=True):
                    found[index] = value
        return found

    def _encoded(self, indices: Sequence[int]) -> Encoded:
        return self._net.encode([Classify(self._samples[i].input, self._samples[i].labels) for i in indices])

    def sums(self, chosen: Sequence[int], weights: Values, points: Points, /) -> dict[int, Values]:
        """For each chosen sample the gradients at its K points, by weights [K], summed over D or C: [L] or [H, W]."""
        found: dict[int, Values] = {}
        num = len(weights)
        for indices in self._stackable(chosen, num):
            for batch in self._engine.groups([self._lengths[i] for i in indices for _ in range(num)]):
                rows = [(indices[row // num], row % num) for row in batch]
                for (index, step), values in zip(rows, self._pass(rows, points), strict=True):
                    found[index] = found.get(index, 0) + weights[step] * values
        return found

    def _stackable(self, chosen: Sequence[int], num: int) -> list[list[int]]:
        """The chosen samples that may share passes. Many points fill a pass with few samples, so these are of one length: no padding."""
        groups: dict[tuple[int, int], list[int]] = {}
        for kind, members in enumerate(alike(self._engine, [self._samples[i] for i in chosen])):
            for index in (chosen[i] for i in members):
                groups.setdefault((kind, self._lengths[index] if num > 1 else 0), []).append(index)
        return list(groups.values())

    def _pass(self, rows: Sequence[tuple[int, int]], points: Points) -> list[Values]:
        import torch

        present = list(dict.fromkeys(index for index, _ in rows))
        encoded = self._encoded(present)
        is_text = encoded.mask_BL is not None
        place = {index: row for row, index in enumerate(present)}
        device = encoded.features.device
        rows_N = torch.tensor([place[index] for index, _ in rows], device=device)
        target_N = torch.tensor([self._targets[index] for index, _ in rows], device=device)
        lengths = [self._lengths[index] for index, _ in rows]
        given = Rows(
            [self._samples[index] for index, _ in rows], [step for _, step in rows], encoded.features[rows_N], encoded.baseline[rows_N],
            lengths if is_text else None,
        )  # fmt: skip
        at, times = points(given)
        at = at.detach().requires_grad_()
        logits_NC = self._net.logits(at, encoded, rows_N)
        (gradient,) = torch.autograd.grad(logits_NC.gather(1, target_N[:, None]).sum(), at)
        each = gradient.abs() if times is None else gradient * times
        # The sum in float64: of a thousand pixels in float32 it would miss by more than an integral does.
        summed = each.sum(-1 if is_text else 1, dtype=torch.float64).cpu().numpy()
        return [values[:length] if is_text else values for values, length in zip(summed, lengths, strict=True)]

    def attribution(self, index: int, values: Values, error: float | None = None, metadata: dict[str, Any] | None = None, /) -> Attribution:
        """The sample's attribution of what `sums` gave: tokens gathered to words."""
        sample, target, shown = self._samples[index], self._targets[index], values.astype(np.float32)
        if isinstance(sample.input, Image):
            return Attribution(sample.id, target, shown, completeness_error=error, metadata=metadata or {})
        words = spans_of(sample.input if isinstance(sample.input, TextPair) else str(sample.input))
        return Attribution(sample.id, target, gather(shown, self._spans[index], words), words, error, metadata or {})


class GradientProbe:
    """Base of the probes that average over points. A subclass gives `points`; ``num_points``: K."""

    requires: ClassVar[frozenset[str]] = frozenset({"classify", "gradients"})
    inputs: ClassVar[frozenset[str]] = frozenset({"text", "pair", "image"})

    def __init__(self, *, target: str, num_points: int = 1, seed: int = 0) -> None:
        if num_points < 1:
            raise ConfigError(f"at least one point is needed, not {num_points}")
        self.target, self.num_points, self.seed = checked_target(target), num_points, seed

    def points(self, rows: Rows, /) -> tuple[torch.Tensor, torch.Tensor | None]:
        raise NotImplementedError

    def rng(self, step: int, /) -> SampleRng:
        """The only source of randomness: of a step of a sample, by the sample's id."""
        return SampleRng(type(self).__name__, self.seed, step)

    def attribute(self, engine: ModelPort, samples: Sequence[Sample], /) -> Sequence[Attribution]:
        targets = explained_classes(engine, samples, self.target)
        with engine.differentiable() as net:
            work = GradientWork(engine, net, samples, targets)
            found = work.sums(range(len(samples)), np.full(self.num_points, 1 / self.num_points), self.points)
        return [work.attribution(i, found[i]) for i in range(len(samples))]
