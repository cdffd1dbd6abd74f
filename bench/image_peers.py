"""The image attacks by other hands, each as one call: from images that a net gets right to images that it should get wrong.

All follow one signature, so that `image_attacks.py` can run any of them beside the project's own. Settings are the same on every side.
"""

from __future__ import annotations

import logging
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import torch

STEPS, QUERIES, HOPS, DIRECTIONS, CW_STEPS, CW_SEARCHES, CW_STEP_SIZE, CW_FIRST_C = 100, 1000, 10, 100, 200, 6, 0.01, 0.1


class Net(torch.nn.Module):
    """Counts the images that it is asked about. Peers view gradients flat, so they must be in one piece; some give images in float64."""

    def __init__(self, module: torch.nn.Module) -> None:
        super().__init__()
        self.module, self.asked = module, 0

    def forward(self, pixels: torch.Tensor) -> torch.Tensor:
        self.asked += len(pixels)
        pixels = pixels.float()
        if pixels.requires_grad:
            pixels = pixels * 1
            pixels.register_hook(torch.Tensor.contiguous)  # type: ignore[no-untyped-call]
        logits: torch.Tensor = self.module(pixels)
        return logits


@dataclass(frozen=True, slots=True)
class Job:
    """``images`` [N, C, H, W] in [0, 1], all of which ``net`` gets right; ``classes`` [N] of ``num_classes``."""

    net: Net
    images: torch.Tensor
    classes: torch.Tensor
    num_classes: int
    norm: str
    epsilon: float
    seed: int

    @property
    def targets(self) -> int:
        return min(9, self.num_classes - 1)


Peer = Callable[[Job], torch.Tensor]


class SkippedError(Exception):
    """This peer has no such attack in this norm, or not for so few classes."""


def _skipped() -> torch.Tensor:
    raise SkippedError


# ── torchattacks ──────────────────────────────────────────────────────────────────────────────────────────────────────


def _torchattacks(name: str, job: Job, only: str = "", **given: Any) -> torch.Tensor:
    import torchattacks

    if only and job.norm != only:
        return _skipped()
    found: torch.Tensor = getattr(torchattacks, name)(job.net, **given)(job.images, job.classes)
    return found


def _ta_in_ball(name: str, job: Job, **given: Any) -> torch.Tensor:
    norm = {"linf": "Linf", "l2": "L2"}[job.norm]
    return _torchattacks(name, job, norm=norm, eps=job.epsilon, seed=job.seed, **given)


def _ta_pgd(job: Job) -> torch.Tensor:
    torch.manual_seed(job.seed)
    given: dict[str, Any] = {"eps": job.epsilon, "alpha": 2.5 * job.epsilon / STEPS, "steps": STEPS, "random_start": True}
    return _torchattacks("PGD" if job.norm == "linf" else "PGDL2", job, **given)


def _ta_ensemble(job: Job) -> torch.Tensor:
    """Its ensemble of the standard members, each with the published steps: as it is shipped, they take 10."""
    import torchattacks as ta

    if job.num_classes < 4:
        return _skipped()
    given: dict[str, Any] = {"norm": {"linf": "Linf", "l2": "L2"}[job.norm], "eps": job.epsilon, "seed": job.seed, "n_restarts": 1}
    steps, classes = {"steps": STEPS}, {"n_classes": job.num_classes}
    members = [
        ta.APGD(job.net, loss="ce", **given, **steps), ta.APGDT(job.net, **given, **steps, **classes),
        ta.FAB(job.net, multi_targeted=True, **given, **steps, **classes), ta.Square(job.net, n_queries=5000, **given),
    ]  # fmt: skip
    found: torch.Tensor = ta.MultiAttack(members)(job.images, job.classes)
    return found


# ── the public auto-attack code ───────────────────────────────────────────────────────────────────────────────────────


def _public(parts: list[str], job: Job) -> torch.Tensor:
    from pyautoattack.autoattack import AutoAttack

    if job.num_classes < 4 and "apgd-t" in parts:
        return _skipped()
    logging.getLogger("auto-attack").setLevel(logging.CRITICAL)
    norm = {"linf": "Linf", "l2": "L2"}[job.norm]
    peer = AutoAttack(job.net, norm=norm, eps=job.epsilon, version="custom", attacks=parts, seed=job.seed, device="cpu")
    peer.apgd.n_restarts = peer.fab.n_restarts = 1
    peer.apgd_targeted.n_target_classes = peer.fab.n_target_classes = job.targets
    if parts == ["square"]:
        # The paper's schedule over the queries that are asked, as the others have it.
        peer.square.n_queries, peer.square.rescale_schedule = QUERIES, True
    found: torch.Tensor = peer.run_standard_evaluation(job.images, job.classes, batch_size=len(job.images))[0]
    return found


def _public_fab(job: Job) -> torch.Tensor:
    """Its FAB without a radius: the nearest of all targets, which its own `perturb` does not keep."""
    from pyautoattack.fab_pt import FABAttack_PT

    peer = FABAttack_PT(job.net, norm={"linf": "Linf", "l2": "L2"}[job.norm], n_iter=STEPS, eps=job.epsilon, targeted=True, device="cpu")
    best = torch.full_like(job.images[:, 0, 0, 0], torch.inf)
    found = job.images.clone()
    for target in range(2, job.targets + 2):
        peer.target_class = target
        made = peer.attack_single_run(job.images, job.classes, is_targeted=True)
        with torch.no_grad():
            wrong = job.net(made).argmax(1) != job.classes
        far = (made - job.images).flatten(1).norm(p=torch.inf if job.norm == "linf" else 2, dim=1)
        nearer = wrong & (far < best)
        found[nearer], best[nearer] = made[nearer], far[nearer]
    return found


# ── foolbox ───────────────────────────────────────────────────────────────────────────────────────────────────────────


def _foolbox(linf: str, l2: str, job: Job, /, *, in_ball: bool = False, **given: Any) -> torch.Tensor:
    import foolbox

    name = linf if job.norm == "linf" else l2
    if not name:
        return _skipped()
    torch.manual_seed(job.seed)
    np.random.seed(job.seed)
    peer, net = getattr(foolbox.attacks, name)(**given), foolbox.PyTorchModel(job.net.eval(), bounds=(0, 1))
    criterion = foolbox.criteria.Misclassification(job.classes)
    found: torch.Tensor = peer(net, job.images, criterion, epsilons=job.epsilon if in_ball else None)[1]
    # Where its search finds nothing, it gives a black picture, and any model gets that wrong.
    is_black = found.flatten(1).amax(1) == 0
    return torch.where(is_black[:, None, None, None], job.images, found)


def _fb_pgd(job: Job) -> torch.Tensor:
    return _foolbox("LinfPGD", "L2PGD", job, in_ball=True, steps=STEPS, abs_stepsize=2.5 * job.epsilon / STEPS)


def _fb_hopskipjump(job: Job) -> torch.Tensor:
    given: dict[str, Any] = {"steps": HOPS, "initial_gradient_eval_steps": DIRECTIONS, "constraint": job.norm}
    return _foolbox("HopSkipJumpAttack", "HopSkipJumpAttack", job, **given)


# ── the Adversarial Robustness Toolbox ────────────────────────────────────────────────────────────────────────────────


def _art(name: str, job: Job, /, *, only: str = "", with_norm: bool = True, batch: str = "batch_size", **given: Any) -> torch.Tensor:
    from art.attacks import evasion
    from art.estimators.classification import PyTorchClassifier

    if only and job.norm != only:
        return _skipped()
    torch.manual_seed(job.seed)
    np.random.seed(job.seed)
    shape, loss = tuple(job.images.shape[1:]), torch.nn.CrossEntropyLoss()
    wrapped = PyTorchClassifier(job.net, loss, shape, job.num_classes, clip_values=(0.0, 1.0), device_type="cpu")
    norm = {"norm": np.inf if job.norm == "linf" else 2} if with_norm else {}
    peer = getattr(evasion, name)(wrapped, **norm, **{batch: len(job.images)}, **given)
    return torch.from_numpy(peer.generate(job.images.numpy(), job.classes.numpy()))


def _art_pgd(job: Job) -> torch.Tensor:
    given: dict[str, Any] = {
        "eps": job.epsilon,
        "eps_step": 2.5 * job.epsilon / STEPS,
        "max_iter": STEPS,
        "num_random_init": 1,
        "verbose": False,
    }
    return _art("ProjectedGradientDescentPyTorch", job, **given)


def _art_apgd(loss: str, job: Job) -> torch.Tensor:
    given: dict[str, Any] = {
        "eps": job.epsilon,
        "eps_step": 2 * job.epsilon,
        "max_iter": STEPS,
        "nb_random_init": 1,
        "loss_type": loss,
        "verbose": False,
    }
    return _art("AutoProjectedGradientDescent", job, **given)


# ── a loop by hand ────────────────────────────────────────────────────────────────────────────────────────────────────


def plain_loop(job: Job) -> torch.Tensor:
    """Ascent on the lead of one other class after the other, with a step that shrinks: one image at a time, for any number of classes."""
    return torch.cat([_climbed(job, image[None], int(own)) for image, own in zip(job.images, job.classes, strict=True)])


def _climbed(job: Job, image: torch.Tensor, own: int) -> torch.Tensor:
    for wanted in (k for k in range(job.num_classes) if k != own):
        now = image
        for step in range(STEPS):
            point = now.clone().requires_grad_(True)
            logits = job.net(point)[0]
            if int(logits.argmax()) != own:
                return now
            (gradient,) = torch.autograd.grad(logits[wanted] - logits[own], point)
            size = 2 * job.epsilon * (1 - step / STEPS)
            if job.norm == "linf":
                delta = (now + size * gradient.sign() - image).clamp(-job.epsilon, job.epsilon)
            else:
                delta = now + size * gradient / gradient.norm() - image
                delta = delta * min(1.0, job.epsilon / float(delta.norm()))
            now = (image + delta).clamp(0, 1)
    return now


PEERS: dict[str, dict[str, Peer]] = {
    "fgsm": {
        "torchattacks": lambda job: _torchattacks("FGSM", job, only="linf", eps=job.epsilon),
        "foolbox": lambda job: _foolbox("LinfFastGradientAttack", "L2FastGradientAttack", job, in_ball=True),
        "ART": lambda job: _art("FastGradientMethod", job, eps=job.epsilon),
    },
    "pgd": {"torchattacks": _ta_pgd, "foolbox": _fb_pgd, "ART": _art_pgd},
    "apgd_ce": {
        "public": partial(_public, ["apgd-ce"]),
        "torchattacks": lambda job: _ta_in_ball("APGD", job, steps=STEPS, loss="ce"),
        "ART": partial(_art_apgd, "cross_entropy"),
    },
    "apgd_dlr": {
        "public": partial(_public, ["apgd-dlr"]),
        "torchattacks": lambda job: _ta_in_ball("APGD", job, steps=STEPS, loss="dlr"),
        "ART": partial(_art_apgd, "difference_logits_ratio"),
    },
    "apgd_t": {
        "public": partial(_public, ["apgd-t"]),
        "torchattacks": lambda job: _ta_in_ball("APGDT", job, steps=STEPS, n_classes=job.num_classes),
    },
    "square": {
        "public": partial(_public, ["square"]),
        "torchattacks": lambda job: _ta_in_ball("Square", job, n_queries=QUERIES),
        "ART": lambda job: _art("SquareAttack", job, eps=job.epsilon, max_iter=QUERIES, p_init=0.8, nb_restarts=1, verbose=False),
    },
    "autoattack": {
        "public": partial(_public, ["apgd-ce", "apgd-t", "fab-t", "square"]),
        "torchattacks": _ta_ensemble,
        "torchattacks as shipped": lambda job: _ta_in_ball("AutoAttack", job, version="standard", n_classes=job.num_classes),
        "plain loop": plain_loop,
    },
    "fab_t": {
        "public": _public_fab,
        "torchattacks": lambda job: _ta_in_ball("FAB", job, steps=STEPS, n_restarts=1, multi_targeted=True, n_classes=job.num_classes),
    },
    "deepfool": {
        "torchattacks": lambda job: _torchattacks("DeepFool", job, only="l2", steps=50, overshoot=0.02),
        "foolbox": lambda job: _foolbox("LinfDeepFoolAttack", "L2DeepFoolAttack", job),
        "ART": lambda job: _art("DeepFool", job, only="l2", with_norm=False, max_iter=50, epsilon=0.02, verbose=False),
    },
    "carlini_wagner": {
        "foolbox": lambda job: _foolbox(
            "", "L2CarliniWagnerAttack", job,
            steps=CW_STEPS, binary_search_steps=CW_SEARCHES, stepsize=CW_STEP_SIZE, initial_const=CW_FIRST_C,
        ),
        "ART": lambda job: _art(
            "CarliniL2Method", job, only="l2", with_norm=False, max_iter=CW_STEPS, binary_search_steps=CW_SEARCHES,
            learning_rate=CW_STEP_SIZE, initial_const=CW_FIRST_C, verbose=False,
        ),
    },
    "hopskipjump": {
        "foolbox": _fb_hopskipjump,
        "ART": lambda job: _art("HopSkipJump", job, max_iter=HOPS, init_eval=DIRECTIONS, verbose=False),
    },
}  # fmt: skip
"""By attack, the peers that have it."""

warnings.filterwarnings("ignore", module="torchattacks|foolbox|art|pyautoattack")
