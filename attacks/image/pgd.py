"""Projected gradient descent under an L-infinity or L2 ball (Madry et al. 2018, arXiv:1706.06083)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from ...harness.errors import ConfigError
from ...harness.inputs import Image, size_of
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

    A twin is the first misclassified iterate, or the last one where there is none. num_queries counts forward passes of the sample.
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
        self.threat = LpBall(epsilon, norm)
        self.steps, self.step_size, self.restarts, self.random_start = steps, step_size, restarts, random_start

    def perturb(self, engine: ModelPort, samples: Sequence[Sample], threat: LpBall, rng: SampleRng, /) -> Sequence[Sample]:
        twins: list[Sample | None] = [None] * len(samples)
        # One restart multiplies nothing in memory, so a batch is as large as a plain forward pass allows.
        for indices in engine.groups([size_of(sample.input) for sample in samples]):
            with engine.differentiable() as net:
                for index, twin in zip(indices, self._batch(net, [samples[i] for i in indices], threat, rng), strict=True):
                    twins[index] = twin
        return [twin for twin in twins if twin is not None]

    def _batch(self, net: Differentiable, samples: Sequence[Sample], threat: LpBall, rng: SampleRng) -> list[Sample]:
        import torch

        encoded = net.encode([Classify(s.input, s.labels) for s in samples])
        clean, device = encoded.features, encoded.features.device
        target_B = torch.tensor([int(s.target) for s in samples], device=device)
        best, queries_B = clean.clone(), torch.zeros(len(samples), dtype=torch.long, device=device)
        fooled_B = torch.zeros(len(samples), dtype=torch.bool, device=device)
        flat_B = torch.ones_like(fooled_B)
        noises = [rng(sample.id) for sample in samples]
        for _ in range(self.restarts):
            start = torch.stack([_random_point(noise, clean[i], threat) for i, noise in enumerate(noises)])
            current = _project(start if self.random_start else clean.clone(), clean, threat)
            for step in range(self.steps + 1):
                gradient, wrong_B = _ascent(net, encoded, current, target_B, last=step == self.steps)
                queries_B += (~fooled_B).long()
                # A row that fooled the model keeps the iterate that did; its neighbours go on.
                best = torch.where(_rows(fooled_B), best, current)
                fooled_B |= wrong_B
                if gradient is None or bool(fooled_B.all()):
                    break
                flat_B &= gradient.flatten(1).abs().amax(1) == 0
                current = _project(current + self._size(threat) * _direction(gradient, threat.norm), clean, threat)
            if bool(fooled_B.all()):
                break
        images = best.permute(0, 2, 3, 1).float().cpu().numpy()
        facts = zip(queries_B.tolist(), flat_B.tolist(), strict=True)
        return [
            replace(sample, input=Image(pixels), metadata={**sample.metadata, "num_queries": n, "zero_gradient": flat})
            for sample, pixels, (n, flat) in zip(samples, images, facts, strict=True)
        ]

    def _size(self, threat: LpBall) -> float:
        return self.step_size if self.step_size is not None else 2.5 * threat.epsilon / self.steps


def _rows(mask_B: torch.Tensor) -> torch.Tensor:
    return mask_B[:, None, None, None]


def _ascent(
    net: Differentiable, encoded: Encoded, pixels_BCHW: torch.Tensor, target_B: torch.Tensor, *, last: bool
) -> tuple[torch.Tensor | None, torch.Tensor]:
    """The gradient of the cross-entropy (None at the last iterate, which is only judged), and which rows are misclassified."""
    import torch

    if last:
        with torch.no_grad():
            return None, net.logits(pixels_BCHW, encoded).argmax(1) != target_B
    pixels = pixels_BCHW.detach().requires_grad_(True)
    logits_BK = net.logits(pixels, encoded)
    # A sum over rows: each row's gradient is its own, whatever the batch.
    loss = torch.nn.functional.cross_entropy(logits_BK.float(), target_B, reduction="sum")
    (gradient,) = torch.autograd.grad(loss, pixels)
    return gradient, logits_BK.detach().argmax(1) != target_B


def _direction(gradient: torch.Tensor, norm: str) -> torch.Tensor:
    """Steepest ascent of unit length in the norm."""
    if norm == "linf":
        return gradient.sign()
    length_B = gradient.flatten(1).norm(dim=1).clamp_min(1e-12)
    return gradient / _rows(length_B)


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


def _random_point(noise: np.random.Generator, clean_CHW: torch.Tensor, threat: LpBall) -> torch.Tensor:
    """Uniform in the ball around the image."""
    import torch

    shape = tuple(clean_CHW.shape)
    if threat.norm == "linf":
        delta = noise.uniform(-threat.epsilon, threat.epsilon, shape)
    else:
        direction = noise.standard_normal(shape)
        radius = threat.epsilon * noise.random() ** (1 / direction.size)
        delta = direction / max(float(np.linalg.norm(direction)), 1e-12) * radius
    return clean_CHW + torch.from_numpy(delta).to(clean_CHW)
