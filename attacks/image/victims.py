"""A batch of images under attack: it evaluates the model and holds the state of each image.

Shape legend: B images, N rows to evaluate (each a variant of one of the B images), K classes, M of the K classes,
C channels, H height, W width.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from ...harness.api.errors import ConfigError, NonFiniteError, SampleError
from ...harness.api.model import PIXELS, Differentiable
from ...harness.api.model_port import ModelPort
from ...harness.api.requests import Classify
from ...harness.api.samples import Sample, SampleRng
from ...harness.engine.batching import group_batches
from ...harness.modalities.base import require_modality
from ...harness.modalities.image import Image
from ...harness.threats import LpBall
from .lp_geometry import measure_length, project

if TYPE_CHECKING:
    import torch

    Forward = Callable[[torch.Tensor, torch.Tensor], torch.Tensor]
    Loss = Callable[..., torch.Tensor]

_USUAL_CAUSE = "half precision is the usual cause: set dtype to float32"


class Slope(NamedTuple):
    """The gradient of a loss at one point per row.

    gradient: [N, C, H, W].
    loss: [N].
    wrong: whether the row is misclassified [N].
    """

    gradient: torch.Tensor
    loss: torch.Tensor
    wrong: torch.Tensor


@dataclass(slots=True)
class Victims:
    """A batch of images under attack. A search updates the fields from ``found`` on.

    clean: clean images [B, C, H, W] in [0, 1].
    target_B: true classes.
    threat: ball to search.
    noises: one random generator per image.
    forward: maps pixels [N, C, H, W] and rows [N] to logits [N, K].
    found: adversarial example of each image so far [B, C, H, W].
    fallen_B: whether the adversarial example is misclassified.
    queries_B: number of forward passes per image.
    flat_B: whether every gradient so far was 0.
    facts: further numbers [B] for the record.
    """

    clean: torch.Tensor
    target_B: torch.Tensor
    threat: LpBall
    noises: Sequence[np.random.Generator]
    forward: Forward
    found: torch.Tensor
    fallen_B: torch.Tensor
    queries_B: torch.Tensor
    flat_B: torch.Tensor
    facts: dict[str, torch.Tensor] = field(default_factory=dict)
    _has_climbed: bool = False

    @property
    def radius(self) -> float:
        """Radius of the threat. Raises `ConfigError` if it has none."""
        if self.threat.epsilon is None:
            raise ConfigError("this attack searches within a radius: set epsilon in its threat")
        return self.threat.epsilon

    @property
    def rows_B(self) -> torch.Tensor:
        """Indices of all images."""
        import torch

        return torch.arange(len(self.clean), device=self.clean.device)

    def standing(self) -> torch.Tensor:
        """Return the rows [N] that are not misclassified."""
        return (~self.fallen_B).nonzero()[:, 0]

    def noises_of(self, rows_N: torch.Tensor, /) -> list[np.random.Generator]:
        """Return the random generator of each row."""
        return [self.noises[row] for row in rows_N.tolist()]

    def draw(self, rows_N: torch.Tensor, make: Callable[[np.random.Generator], np.ndarray], /) -> torch.Tensor:
        """Draw from each row's generator and return the stacked draws [N, ...] in the dtype of the pixels.

        rows_N: the rows.
        make: draws an array from a generator.
        """
        import torch

        return torch.from_numpy(np.stack([make(noise) for noise in self.noises_of(rows_N)])).to(self.clean)

    def keep(self, rows_N: torch.Tensor, pixels: torch.Tensor, wrong_N: torch.Tensor, /) -> None:
        """Store adversarial examples.

        rows_N: the rows.
        pixels: adversarial examples [N, C, H, W].
        wrong_N: whether each is misclassified.
        """
        self.found[rows_N] = pixels
        self.fallen_B[rows_N] = wrong_N

    def offer(self, rows_N: torch.Tensor, pixels: torch.Tensor, loss_N: torch.Tensor, /) -> None:
        """Store each point as the row's adversarial example if its loss is the largest so far.

        The fact ``best_loss`` is the largest loss.

        rows_N: the rows.
        pixels: the points [N, C, H, W].
        loss_N: loss of each point.
        """
        import torch

        best_N = self.fact("best_loss")[rows_N]
        better_N = ~(best_N >= loss_N)
        self.found[rows_N[better_N]] = pixels[better_N]
        self.facts["best_loss"][rows_N] = torch.fmax(best_N, loss_N.double())

    def nearer(self, rows_N: torch.Tensor, pixels: torch.Tensor, wrong_N: torch.Tensor, /) -> torch.Tensor:
        """Store misclassified points that are nearer to the clean image than all earlier ones.

        The fact ``nearest`` is the smallest distance.

        rows_N: the rows.
        pixels: the points [N, C, H, W].
        wrong_N: whether each is misclassified.
        Returns whether each point was stored [N].
        """
        distance_N = measure_length(pixels - self.clean[rows_N], self.threat.norm).double()
        better_N = wrong_N & ~(self.fact("nearest")[rows_N] <= distance_N)
        self.keep(rows_N[better_N], pixels[better_N], wrong_N[better_N])
        self.facts["nearest"][rows_N[better_N]] = distance_N[better_N]
        return better_N

    def fact(self, name: str, /) -> torch.Tensor:
        """Return the float64 tensor [B] of a fact for the record, initially NaN."""
        import torch

        return self.facts.setdefault(name, torch.full_like(self.target_B, float("nan"), dtype=torch.float64))

    # ── model evaluation ──────────────────────────────────────────────────────────────────────────────────────────────

    def ask(self, pixels: torch.Tensor, rows_N: torch.Tensor, /) -> torch.Tensor:
        """Return logits [N, K] of pixels [N, C, H, W], in passes of at most B rows. Raises `NonFiniteError`."""
        import torch

        self._count(rows_N)
        most = len(self.clean)
        with torch.no_grad():
            parts = [self._compute_logits(pixels[i : i + most], rows_N[i : i + most]) for i in range(0, len(rows_N), most)]
        return torch.cat(parts)

    def wrong(self, pixels: torch.Tensor, rows_N: torch.Tensor, /) -> torch.Tensor:
        """Return whether each row is misclassified [N]."""
        return self.ask(pixels, rows_N).argmax(1) != self.target_B[rows_N]

    def climb(self, pixels: torch.Tensor, rows_N: torch.Tensor, loss: Loss, wanted_B: torch.Tensor | None = None, /) -> Slope:
        """Return the gradient of a loss at each row.

        pixels: the points [N, C, H, W].
        rows_N: the rows.
        loss: called as ``loss(logits_NK, target_N)``, or as ``loss(logits_NK, target_N, wanted_N)``.
        wanted_B: target class of each image; None for an untargeted loss.
        Raises `NonFiniteError` if a logit or gradient is NaN or infinite.
        """
        import torch

        self._count(rows_N)
        pixels, classes = pixels.detach().requires_grad_(True), [c[rows_N] for c in (self.target_B, wanted_B) if c is not None]
        logits_NK = self._compute_logits(pixels, rows_N)
        loss_N = loss(logits_NK, *classes)
        # The sum over rows keeps their gradients independent.
        (gradient,) = torch.autograd.grad(loss_N.sum(), pixels)
        self._look(gradient, rows_N)
        return Slope(gradient, loss_N.detach(), logits_NK.detach().argmax(1) != classes[0])

    def climb_classes(self, pixels: torch.Tensor, rows_N: torch.Tensor, classes_NM: torch.Tensor, /) -> tuple[torch.Tensor, torch.Tensor]:
        """Return logits [N, K] and the gradients [N, M, C, H, W] of the logits of some classes.

        It takes one forward pass and M backward passes.

        pixels: the points [N, C, H, W].
        rows_N: the rows.
        classes_NM: classes whose logits to differentiate.
        Raises `NonFiniteError` if a logit or gradient is NaN or infinite.
        """
        import torch

        self._count(rows_N)
        pixels = pixels.detach().requires_grad_(True)
        logits_NK = self._compute_logits(pixels, rows_N)
        sums_M = logits_NK.gather(1, classes_NM).sum(0)
        last = len(sums_M) - 1
        gradients = [torch.autograd.grad(one, pixels, retain_graph=m < last)[0] for m, one in enumerate(sums_M)]
        for gradient in gradients:
            self._look(gradient, rows_N)
        return logits_NK.detach(), torch.stack(gradients, 1)

    def _compute_logits(self, pixels: torch.Tensor, rows_N: torch.Tensor) -> torch.Tensor:
        """Return logits [N, K]. Raises `NonFiniteError`, because argmax would treat NaN as another class."""
        logits_NK = self.forward(pixels, rows_N).float()
        if not bool(logits_NK.detach().isfinite().all()):
            raise NonFiniteError(f"the model returned NaN or infinity for an image of the attack; {_USUAL_CAUSE}")
        return logits_NK

    def _count(self, rows_N: torch.Tensor) -> None:
        """Count one query per row."""
        import torch

        # Not +=: a row may occur in several variants at once.
        self.queries_B += torch.bincount(rows_N, minlength=len(self.queries_B))

    def _look(self, gradient: torch.Tensor, rows_N: torch.Tensor) -> None:
        """Record which gradients are 0. Raises `NonFiniteError` if a gradient is NaN or infinite."""
        # Checking the largest value is enough, because NaN is the largest; checking every number is 15 times slower.
        largest_N = gradient.abs().flatten(1).amax(1)
        if not bool(largest_N.isfinite().all()):
            raise NonFiniteError(f"the gradient contains NaN or infinity; {_USUAL_CAUSE}")
        self._has_climbed = True
        self.flat_B[rows_N] &= largest_N == 0

    # ── results ───────────────────────────────────────────────────────────────────────────────────────────────────────

    def twins(self, samples: Sequence[Sample], /) -> list[Sample]:
        """Return the samples with their adversarial examples, projected onto the ball, and the facts as metadata."""
        images = project(self.found, self.clean, self.threat).permute(0, 2, 3, 1).float().cpu().numpy()
        facts: dict[str, list[object]] = {"num_queries": self.queries_B.tolist()}
        if self._has_climbed:
            facts["zero_gradient"] = self.flat_B.tolist()
        facts |= {name: [None if value != value else value for value in values.tolist()] for name, values in self.facts.items()}
        return [
            replace(sample, input=Image(pixels), metadata={**sample.metadata, **{name: values[i] for name, values in facts.items()}})
            for i, (sample, pixels) in enumerate(zip(samples, images, strict=True))
        ]


Search = Callable[[Victims], None]


def attack_samples(
    engine: ModelPort, samples: Sequence[Sample], threat: LpBall, rng: SampleRng, search: Search, /, *, needs_gradients: bool
) -> list[Sample]:
    """Run a search on all samples and return their adversarial examples in order, projected onto the threat's ball.

    Batches of one shape use the torch module if the model has one, otherwise requests to the engine.

    engine: the engine.
    samples: samples to attack.
    threat: ball to search.
    rng: source of randomness by sample id.
    search: searches for adversarial examples of a batch and stores them in it.
    needs_gradients: whether the search needs gradients.
    Raises `SampleError` if a sample is not an image or has no class.
    """
    twins: dict[int, Sample] = {}
    with _open_gradients(engine, needs_gradients) as net:
        for indices in group_batches(engine, samples):
            some = [samples[i] for i in indices]
            victims = _encode_victims(engine, net, some, threat, rng)
            search(victims)
            twins.update(zip(indices, victims.twins(some), strict=True))
    return [twins[i] for i in range(len(samples))]


@contextmanager
def _open_gradients(engine: ModelPort, needs_gradients: bool) -> Iterator[Differentiable | None]:
    """Yield the differentiable model if it is needed or available; else None."""
    if needs_gradients or "gradients" in engine.info.features:
        with engine.differentiable() as net:
            yield net
    else:
        yield None


def _encode_victims(engine: ModelPort, net: Differentiable | None, samples: Sequence[Sample], threat: LpBall, rng: SampleRng) -> Victims:
    """Encode the samples as a batch; without a differentiable model, its forward function uses engine requests."""
    import torch

    if net is not None:
        encoded = net.encode([Classify(s.input, s.labels) for s in samples])
        if encoded.domain != PIXELS:
            raise SampleError(f"an image attack moves pixels, and the model's features are {encoded.domain!r}")
        clean = encoded.features

        def forward(pixels: torch.Tensor, rows_N: torch.Tensor) -> torch.Tensor:
            return net.logits(pixels, encoded, rows_N)
    else:
        clean = torch.from_numpy(np.stack([_read_pixels(s) for s in samples])).permute(0, 3, 1, 2)

        def forward(pixels: torch.Tensor, rows_N: torch.Tensor) -> torch.Tensor:
            images = pixels.permute(0, 2, 3, 1).numpy()
            asked = [Classify(Image(image), samples[row].labels) for image, row in zip(images, rows_N.tolist(), strict=True)]
            return torch.tensor([answer.values for answer in engine.run(asked)])

    target_B = torch.tensor([_find_class(s) for s in samples], device=clean.device)
    no_B = torch.zeros_like(target_B, dtype=torch.bool)
    noises = [rng(sample.id) for sample in samples]
    return Victims(clean, target_B, threat, noises, forward, clean.clone(), no_B, torch.zeros_like(target_B), ~no_B)


def _read_pixels(sample: Sample) -> np.ndarray:
    """Return the pixels [H, W, C] in [0, 1]. Raises `SampleError` if the input is not an image."""
    known = require_modality(sample.input)
    pixels = known.pixels(sample.input)
    if pixels is None:
        raise SampleError(f"an image attack needs an image, not a {known.name}")
    return pixels


def _find_class(sample: Sample) -> int:
    """Return the index of the sample's class. Raises `SampleError` if it has none."""
    if not isinstance(sample.target, int | np.integer):
        raise SampleError(f"an image attack needs the index of the sample's class, not {sample.target!r}")
    return int(sample.target)
