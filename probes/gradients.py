"""Helpers of probes that use the gradient of the explained class's logit with respect to the input.

A method chooses points near each sample, or on a path to it, and computes a weighted sum of the gradients there. The
points of all samples share passes of the batch size of the engine. After each pass a row's gradient is reduced to one
number per token or pixel, so memory use does not grow with the number of points.

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
from ..harness.engine.batching import group_alike, group_batches
from ..harness.modalities.inputs import measure_size
from .baselines import Baseline, check_baseline, describe_baseline, with_baseline
from .explained import check_target, choose_classes, copy_with
from .positions import Values, place_values, sum_by_position

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True)
class Rows:
    """The rows of one pass. Row n is point ``steps[n]`` of ``samples[n]``.

    samples: sample of each row [N].
    indices: index of each row's sample in `GradientWork` [N].
    steps: index of each row's point, from 0 to K - 1 [N].
    lengths: number of tokens of each row without padding [N]; None for images.
    net: the differentiable model.
    encoded: the distinct samples of the pass, encoded.
    places: index of each row's sample in ``encoded`` [N].
    targets: explained class of each row [N].
    """

    samples: Sequence[Sample]
    indices: Sequence[int]
    steps: Sequence[int]
    lengths: Sequence[int] | None
    net: Differentiable
    encoded: Encoded
    places: torch.Tensor
    targets: torch.Tensor

    # Computed on first use: these copies hold one row per point, and not every method reads them.

    @cached_property
    def features(self) -> torch.Tensor:
        """Input features of each row: [N, L, D] or [N, C, H, W], as in `Encoded.features`."""
        return self.encoded.features[self.places]

    @cached_property
    def baseline(self) -> torch.Tensor:
        """Neutral input of each row, in the shape of `features`."""
        return self.encoded.baseline[self.places]

    def explained(self, features: torch.Tensor, /) -> torch.Tensor:
        """Return the explained class's logit [N] of each row.

        features: features of the rows, in the shape of `features`.
        """
        return self.net.logits(features, self.encoded, self.places).gather(1, self.targets[:, None])[:, 0]

    def resumed(self, features: torch.Tensor, /) -> torch.Tensor:
        """Return the same as `explained`, but compute the common prefix of all rows once if the model can resume.

        Not for use with hooks on the model's layers, because the layers do not see the prefix.
        """
        past = self._count_unmoved(features)
        return self.explained(features[:, past:] if past else features)

    def slopes(self, features: torch.Tensor, times: torch.Tensor | None, /) -> torch.Tensor:
        """Return the gradient of the explained class's logit, in the shape of `features`.

        features: points at which to compute the gradient, in the shape of `features`.
        times: factor of the gradient in the same shape; None returns the absolute gradient.
        """
        import torch

        past = 0 if times is None else self._count_unmoved(features, times)
        at = features[:, past:].detach().requires_grad_()
        (gradient,) = torch.autograd.grad(self.explained(at).sum(), at)
        if times is None:
            return gradient.abs()
        return torch.nn.functional.pad(gradient * times[:, past:], (0, 0, past, 0)) if past else gradient * times

    def _count_unmoved(self, features: torch.Tensor, times: torch.Tensor | None = None) -> int:
        """Return the length of the prefix that is common to all rows, equals the encoded input and has no attribution.

        The length is 0 if the model cannot resume or any value of the prefix differs.
        """
        if not self.net.resumes:
            return 0
        past = _count_common(self.encoded)
        moves = (features[:, :past] != self.features[:, :past]).any() or (times is not None and times[:, :past].any())
        return 0 if moves else past

    def per_row(self, values: Sequence[float] | Values, /) -> torch.Tensor:
        """Return numbers [N] in a shape that broadcasts against `features`."""
        import torch

        shape = (-1, *(1,) * (self.features.ndim - 1))
        return torch.as_tensor(np.asarray(values), dtype=self.features.dtype, device=self.features.device).view(shape)

    def ranges(self) -> torch.Tensor:
        """Return the largest minus the smallest feature of each row without padding, in a shape that broadcasts."""
        import torch

        high = low = self.encoded.features
        if self.encoded.mask_BL is not None:
            padding_BL1 = (self.encoded.mask_BL == 0)[:, :, None]
            high, low = high.masked_fill(padding_BL1, -torch.inf), low.masked_fill(padding_BL1, torch.inf)
        dims = tuple(range(1, high.ndim))
        return (high.amax(dims, keepdim=True) - low.amin(dims, keepdim=True))[self.places]

    def noise(self, rng: Callable[[int], SampleRng], /) -> torch.Tensor:
        """Draw standard normal noise in the shape of `features`. Padding is 0.

        A row's noise depends only on its sample's id and its step.

        rng: returns the source of randomness of a step.
        """
        import torch

        made = torch.zeros(self.features.shape)
        # Always the CPU's generator, so that the noise is the same on each device; numpy's takes twice the time. Torch
        # reads 32 bits of a seed: about a hundred pairs of a million draws are equal. Nearly all of them belong to
        # two different samples, whose means they do not change.
        generator = torch.Generator()
        for row, (sample, step) in enumerate(zip(self.samples, self.steps, strict=True)):
            own = made[row] if self.lengths is None else made[row, : self.lengths[row]]
            own.normal_(generator=generator.manual_seed(rng(step).seed(sample.id)))
        return made.to(self.features)


Points: TypeAlias = "Callable[[Rows], tuple[torch.Tensor, torch.Tensor | None]]"
"""Returns the points of the gradient and its factor, both in the shape of `Rows.features`; a factor of None takes the
absolute gradient."""


class GradientWork:
    """Run gradient passes over samples. Used inside ``engine.differentiable()``.

    engine: the engine.
    net: the differentiable model of the engine.
    samples: samples to attribute.
    targets: explained class of each sample.
    baseline: neutral input; None uses the model's own.
    """

    def __init__(
        self, engine: ModelPort, net: Differentiable, samples: Sequence[Sample], targets: Sequence[int], baseline: Baseline = None
    ) -> None:  # fmt: skip
        self._engine, self._net, self._samples, self._targets, self._baseline = engine, net, samples, targets, baseline
        self.module, self.patch = net.module, _patch(net.module)
        self._last: tuple[list[int], Encoded] | None = None
        self._lengths, self._domains = [0] * len(samples), [EMBEDDINGS] * len(samples)
        self._spans: list[Sequence[tuple[int, int]]] = [()] * len(samples)
        for indices in group_batches(engine, samples):
            encoded = self._encode(indices)
            real = None if encoded.mask_BL is None else encoded.mask_BL.sum(1).tolist()
            for row, index in enumerate(indices):
                self._domains[index] = encoded.domain
                self._lengths[index] = measure_size(samples[index].input) if real is None else real[row]
                self._spans[index] = encoded.spans[row][: self._lengths[index]] if real is not None else ()

    def changes(self) -> list[float]:
        """Return the logit of each sample minus the logit of its neutral input: the sum of a complete attribution."""
        import torch

        found = [0.0] * len(self._samples)
        for rows in self.passes(range(len(self._samples))):
            with torch.no_grad():
                moved_N = rows.resumed(rows.features).double() - rows.resumed(rows.baseline).double()
            for index, value in zip(rows.indices, moved_N.tolist(), strict=True):
                found[index] = value
        return found

    def sums(self, chosen: Sequence[int], weights: Values, points: Points, /) -> dict[int, Values]:
        """Return the weighted sum of the gradients of each chosen sample by its index, summed over D or C.

        chosen: indices of samples.
        weights: weight of each point [K].
        points: returns the points and the factor of the gradient.
        Returns values [L] for texts and [H, W] for images.
        """

        found: dict[int, Values] = {}
        for rows in self.passes(chosen, len(weights), is_only=len(weights) == 1):
            add_weighted(found, rows, weights, rows.slopes(*points(rows)))
        return found

    def passes(
        self, chosen: Sequence[int], num: int = 1, cost: Callable[[int], int] = int, *, is_only: bool = False
    ) -> Iterator[Rows]:  # fmt: skip
        """Yield passes over the points 0 to ``num`` - 1 of the chosen samples. The points of a sample are in order.

        chosen: indices of samples.
        num: number of points per sample.
        cost: maps a row's length to its cost in positions of the engine's budget.
        is_only: whether no other backward pass follows. A single large pass is then split in two, because the second
            reuses the memory of the first: allocating memory takes longer than another pass.
        """
        for indices in self._group_stackable(chosen, num):
            costs = [cost(self._lengths[i]) for i in indices for _ in range(num)]
            batches = self._engine.groups(costs)
            if is_only and len(batches) == 1:
                batches = self._engine.groups([2 * each for each in costs])
            for batch in batches:
                yield self._encode_rows([(indices[row // num], row % num) for row in batch])

    def _group_stackable(self, chosen: Sequence[int], num: int) -> list[list[int]]:
        """Group the chosen samples that may share passes.

        With several points per sample a pass has few samples, so they are grouped by length to avoid padding.
        """
        groups: dict[tuple[int, int], list[int]] = {}
        for kind, members in enumerate(group_alike(self._engine, [self._samples[i] for i in chosen])):
            for index in (chosen[i] for i in members):
                groups.setdefault((kind, self._lengths[index] if num > 1 else 0), []).append(index)
        return list(groups.values())

    def _encode_rows(self, rows: Sequence[tuple[int, int]]) -> Rows:
        """Encode the rows of a pass, given as (sample index, step)."""
        import torch

        present = list(dict.fromkeys(index for index, _ in rows))
        encoded = self._encode(present)
        place = {index: row for row, index in enumerate(present)}
        device = encoded.features.device
        places_N = torch.tensor([place[index] for index, _ in rows], device=device)
        indices = [index for index, _ in rows]
        return Rows(
            [self._samples[i] for i in indices], indices, [step for _, step in rows],
            None if encoded.mask_BL is None else [self._lengths[i] for i in indices], self._net, encoded, places_N,
            torch.tensor([self._targets[i] for i in indices], device=device),
        )  # fmt: skip

    def _encode(self, indices: Sequence[int]) -> Encoded:
        """Encode the samples. The last result is cached, because the points of one sample fill several passes."""
        if self._last is None or self._last[0] != list(indices):
            encoded = self._net.encode([Classify(self._samples[i].input, self._samples[i].labels) for i in indices])
            self._last = list(indices), with_baseline(self._net, encoded, self._baseline)
        return self._last[1]

    def attribution(self, index: int, values: Values, error: float | None = None, metadata: dict[str, Any] | None = None, /) -> Attribution:
        """Convert values per position to the attribution of a sample: tokens to words, maps to pixels.

        index: index of the sample.
        values: values from `positions.sum_by_position`.
        error: completeness error.
        metadata: further facts. ``on_special_tokens``, the sum outside words and pixels, is added if it is not 0.
        Raises `ConfigError` if the positions are neither tokens, patches nor a map.
        """
        sample = self._samples[index]
        shown, spans, special = place_values(sample.input, values, self._spans[index], self.patch, self._domains[index])
        facts = {**(metadata or {}), **({"on_special_tokens": special} if special else {})}
        return Attribution(sample.id, self._targets[index], shown, spans, error, facts)


def _count_common(encoded: Encoded) -> int:
    """Return the number of leading tokens that are equal in all rows and belong to no part of a sample."""
    ids_BL = encoded.extra["input_ids"]
    alike = int((ids_BL == ids_BL[:1]).all(0).int().cumprod(0).sum())
    return min(alike, *(next((i for i, span in enumerate(row) if tuple(span) != (0, 0)), 0) for row in encoded.spans))


def add_weighted(found: dict[int, Values], rows: Rows, weights: Values, each: torch.Tensor, /) -> None:
    """Add the weighted values of a pass to the sums of its samples.

    found: sums per position by sample index; changed in place.
    rows: the pass.
    weights: weight of each step [K], or [K, P] for P sums per sample.
    each: values of each row, in the shape of `Rows.features` or of a layer's output.
    """
    by_row = sum_by_position(each, rows.lengths, rows.encoded.domain)
    start = 0
    for index, own in groupby(rows.indices):
        end = start + len(list(own))
        # One product for all points of a sample, because the overhead of a thousand small sums dominates.
        values = np.tensordot(weights[list(rows.steps[start:end])].T, np.stack(by_row[start:end]), 1)
        found[index] = found[index] + values if index in found else values
        start = end


def _patch(module: Any) -> int | None:
    """Return the side of a vision transformer's patches in pixels from its configuration; None for other models."""
    size = getattr(getattr(module, "config", None), "patch_size", None)
    return size if isinstance(size, int) else None


class GradientProbe(Probe):
    """Base class of probes that average gradients over points. A subclass defines `points`.

    target: explained class, ``predicted`` or ``gold``.
    num_points: number of points K per sample.
    seed: seed of the draws.
    baseline: neutral input; None uses the model's own.
    Raises `ConfigError` if ``num_points`` is below 1 or a setting is unknown.
    """

    requires = frozenset({"classify", "gradients"})
    needs_parts = True

    def __init__(self, *, target: str, num_points: int = 1, seed: int = 0, baseline: Baseline = None) -> None:
        if num_points < 1:
            raise ConfigError(f"at least one point is needed, not {num_points}")
        self.target, self.num_points, self.seed, self.baseline = check_target(target), num_points, seed, check_baseline(baseline)
        self.starts_from = describe_baseline(baseline)

    def trial(self) -> GradientProbe | None:
        """Return a probe with one point to check the neutral input; None for the model's own, which always fits."""
        return None if self.baseline is None else copy_with(self, num_points=1)

    def points(self, rows: Rows, /) -> tuple[torch.Tensor, torch.Tensor | None]:
        """Return the points of the gradient and its factor; see `Points`."""
        raise NotImplementedError

    def rng(self, step: int, /) -> SampleRng:
        """Return the source of randomness of a step, which gives one generator per sample id."""
        return SampleRng(type(self).__name__, self.seed, step)

    def attribute(self, engine: ModelPort, samples: Sequence[Sample], /) -> Sequence[Attribution]:
        targets = choose_classes(engine, samples, self.target)
        with engine.differentiable() as net:
            work = GradientWork(engine, net, samples, targets, self.baseline)
            found = work.sums(range(len(samples)), np.full(self.num_points, 1 / self.num_points), self.points)
        return [work.attribution(i, found[i]) for i in range(len(samples))]
