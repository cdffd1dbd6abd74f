"""Projected gradient descent under an L-infinity or L2 ball (Madry et al. 2018, arXiv:1706.06083)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from ...harness.batching import batches
from ...harness.errors import ConfigError, NonFiniteError, SampleError
from ...harness.inputs import Image
from ...harness.plugins import Differentiable, Encoded, ModelPort
from ...harness.requests import Classify
from ...harness.samples import Sample, SampleRng
from ...harness.threats import LpBall

if TYPE_CHECKING:
    import torch


class PGD:
    """Projected gradient ascent on the cross-entropy, from a random start in the ball, batched over samples.

    epsilon: radius in [0, 1] pixel units (8/255 = 0.0314). norm: ``linf`` or ``l2``. steps: gradient steps of each restart.
    step_size: default 2.5 * epsilon / steps, which can reach any point of the ball. restarts: tried one after the other on the
    samples still standing. random_start: begin at a random point of the ball, drawn by the sample's id.

    A twin is the first misclassified iterate, or the last one where there is none; a sample whose twin is found is no longer computed.
    num_queries counts forward passes of the sample. zero_gradient: the loss was flat at every iterate, so the attack saw nothing.
    Reference: A. Madry, A. Makelov, L. Schmidt, D. Tsipras, A. Vladu. Towards Deep Learning Models Resistant to Adversarial
    Attacks. ICLR 2018.
    """

    requires: ClassVar[frozenset[str]] = frozenset({"classify", "image", "gradients"})

    def __init__(
        self,
        *,
        epsilon: float = 8 / 255,
        norm: str = "linf",
        steps: int = 20,
        step_size: float | None = None,
        restarts: int = 1,
        random_start: bool = True,
    ) -> None:
        if steps < 1 or restarts < 1:
            raise ConfigError(f"pgd needs at least one step and one restart, not {steps} and {restarts}")
        if step_size is not None and not step_size > 0:
            raise ConfigError(f"step_size is above 0, or left out for 2.5 * epsilon / steps, not {step_size}")
        self.threat = LpBall(epsilon, norm)
        self.steps, self.step_size, self.restarts, self.random_start = steps, step_size, restarts, random_start

    def perturb(self, engine: ModelPort, samples: Sequence[Sample], threat: LpBall, rng: SampleRng, /) -> Sequence[Sample]:
        if not isinstance(threat, LpBall):
            raise ConfigError(f"pgd attacks inside an L-p ball (threat type 'lp'), not a {type(threat).__name__}")
        twins: dict[int, Sample] = {}
        with engine.differentiable() as net:
            for indices in batches(engine, samples):
                twins.update(zip(indices, self._batch(net, [samples[i] for i in indices], threat, rng), strict=True))
        return [twins[i] for i in range(len(samples))]

    def _batch(self, net: Differentiable, samples: Sequence[Sample], threat: LpBall, rng: SampleRng) -> list[Sample]:
        import torch

        encoded = net.encode([Classify(s.input, s.labels) for s in samples])
        clean, device = encoded.features, encoded.features.device
        target_B = torch.tensor([_class_of(s) for s in samples], device=device)
        noises = [rng(sample.id) for sample in samples]
        best, queries_B, flat_B = clean.clone(), torch.zeros_like(target_B), torch.ones_like(target_B, dtype=torch.bool)
        # The rows that no iterate has fooled yet, N of the B; only they are computed.
        rows_N = torch.arange(len(samples), device=device)
        for _ in range(self.restarts):
            current = clean[rows_N]
            if self.random_start:
                start = current + _random_steps([noises[i] for i in rows_N.tolist()], current, threat)
                current = _project(start, current, threat)
            for step in range(self.steps + 1):
                gradient, wrong_N = _ascent(net, encoded, current, rows_N, target_B[rows_N], last=step == self.steps)
                best[rows_N] = current
                queries_B[rows_N] += 1
                if gradient is not None:
                    flat_B[rows_N] &= (gradient == 0).flatten(1).all(1)
                    gradient = gradient[~wrong_N]
                rows_N, current = rows_N[~wrong_N], current[~wrong_N]
                if gradient is None or not len(rows_N):
                    break
                moved = current + self._size(threat) * _direction(gradient, threat.norm)
                current = _project(moved, clean[rows_N], threat)
            if not len(rows_N):
                break
        images = best.permute(0, 2, 3, 1).float().cpu().numpy()
        return [
            replace(sample, input=Image(pixels), metadata={**sample.metadata, "num_queries": n, "zero_gradient": is_flat})
            for sample, pixels, n, is_flat in zip(samples, images, queries_B.tolist(), flat_B.tolist(), strict=True)
        ]

    def _size(self, threat: LpBall) -> float:
        return self.step_size if self.step_size is not None else 2.5 * threat.epsilon / self.steps


def _class_of(sample: Sample) -> int:
    if not isinstance(sample.target, int | np.integer):
        raise SampleError(f"pgd needs the index of the sample's class, not {sample.target!r}")
    return int(sample.target)


def _rows(values_B: torch.Tensor) -> torch.Tensor:
    return values_B[:, None, None, None]


def _ascent(
    net: Differentiable, encoded: Encoded, pixels_NCHW: torch.Tensor, rows_N: torch.Tensor, target_N: torch.Tensor, *, last: bool
) -> tuple[torch.Tensor | None, torch.Tensor]:
    """The gradient of the cross-entropy (None at the last iterate, which is only judged), and which rows are misclassified."""
    import torch

    if last:
        with torch.no_grad():
            return None, net.logits(pixels_NCHW, encoded, rows_N).argmax(1) != target_N
    pixels = pixels_NCHW.detach().requires_grad_(True)
    logits_NK = net.logits(pixels, encoded, rows_N)
    # A sum over rows: each row's gradient is its own, whatever the batch.
    loss = torch.nn.functional.cross_entropy(logits_NK.float(), target_N, reduction="sum")
    (gradient,) = torch.autograd.grad(loss, pixels)
    if not bool(torch.isfinite(gradient).all()):
        raise NonFiniteError("the gradient holds NaN or infinity; half precision is the usual cause: try --dtype float32")
    return gradient, logits_NK.detach().argmax(1) != target_N


def _direction(gradient: torch.Tensor, norm: str) -> torch.Tensor:
    """Steepest ascent of unit length in the norm; 0 where the gradient is."""
    if norm == "linf":
        return gradient.sign()
    # Scaled to 1 first: the squares of a confident model's tiny gradient are 0 in float32.
    scaled = gradient / _rows(gradient.flatten(1).abs().amax(1).clamp_min(1e-37))
    return scaled / _rows(scaled.flatten(1).norm(dim=1).clamp_min(1e-12))


def _project(pixels: torch.Tensor, clean: torch.Tensor, threat: LpBall) -> torch.Tensor:
    """Onto the ball, then into the [0, 1] box, which does not leave the ball: its centre is in the box."""
    import torch

    delta = pixels - clean
    if threat.norm == "linf":
        delta = delta.clamp(-threat.epsilon, threat.epsilon)
    else:
        length_B = delta.flatten(1).norm(dim=1).clamp_min(1e-12)
        delta = delta * _rows((threat.epsilon / length_B).clamp(max=1))
    return torch.clamp(clean + delta, 0, 1).detach()


def _random_steps(noises: Sequence[np.random.Generator], clean_NCHW: torch.Tensor, threat: LpBall) -> torch.Tensor:
    """A step to a uniform point of the ball for each row, from the row's own generator."""
    import torch

    shape = tuple(clean_NCHW.shape[1:])
    if threat.norm == "linf":
        steps = [noise.uniform(-threat.epsilon, threat.epsilon, shape) for noise in noises]
    else:
        steps = [_in_l2_ball(noise, shape, threat.epsilon) for noise in noises]
    return torch.from_numpy(np.stack(steps)).to(clean_NCHW)


def _in_l2_ball(noise: np.random.Generator, shape: tuple[int, ...], radius: float) -> np.ndarray:
    direction = noise.standard_normal(shape)
    distance = radius * noise.random() ** (1 / direction.size)
    return np.asarray(direction / max(float(np.linalg.norm(direction)), 1e-12) * distance)
