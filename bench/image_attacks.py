"""Image attacks beside torchattacks, foolbox, ART and the public auto-attack code: who breaks more, who comes nearer, who is faster.

    python bench/image_attacks.py FILE.py:FUNCTION IMAGES [--attacks fab_t ...] [--norms linf l2] [--images 200] [--rounds 2]

FILE.py:FUNCTION: what makes the torch module, as in ``torch:FILE.py:FUNCTION``. IMAGES: a folder with a folder of pictures for each class,
whose names in alphabetical order are the classes of the model's outputs. Peers that are not installed are left out, and said.

Only images that the model gets right are attacked, with the same settings on every side. Each round is another seed, and the sides take
turns in it. First comes what was found: of attacks inside a ball how many images stand, of the others how far the nearest twins are, and
how many images the model was asked about. A peer that was better by more than its seeds' spread ends the command with exit code 1. Then
the ratios of time.

--classes K keeps K outputs of the model and the images of those classes. Where the public code has no answer (fewer than 4), a loop by hand
is what the ensemble is held against.
"""

from __future__ import annotations

import argparse
import os
import sys
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_WAIT_POLICY", "passive")

import numpy as np
import torch
from image_peers import CW_FIRST_C, CW_SEARCHES, CW_STEP_SIZE, CW_STEPS, DIRECTIONS, HOPS, PEERS, QUERIES, STEPS, Job, Net, SkippedError
from PIL import Image as Picture
from turns import faster, in_turns
from windtunnel.attacks.image.apgd import APGDCE, APGDDLR, APGDTargeted
from windtunnel.attacks.image.autoattack import AutoAttack
from windtunnel.attacks.image.carlini_wagner import CarliniWagner
from windtunnel.attacks.image.deepfool import DeepFool
from windtunnel.attacks.image.fab import FABTargeted
from windtunnel.attacks.image.fgsm import FGSM
from windtunnel.attacks.image.hopskipjump import HopSkipJump
from windtunnel.attacks.image.pgd import PGD
from windtunnel.attacks.image.square import Square
from windtunnel.harness.api.samples import Sample, SampleRng
from windtunnel.harness.engine import Engine
from windtunnel.harness.engine.packing import Budget
from windtunnel.harness.modalities.image import Image
from windtunnel.harness.models.torch.source import TorchModule

INSIDE: dict[str, Any] = {
    "fgsm": FGSM, "pgd": partial(PGD, steps=STEPS), "apgd_ce": partial(APGDCE, steps=STEPS), "apgd_dlr": partial(APGDDLR, steps=STEPS),
    "apgd_t": partial(APGDTargeted, steps=STEPS), "square": partial(Square, queries=QUERIES),
    "autoattack": AutoAttack,
}  # fmt: skip
NEAREST: dict[str, Any] = {
    "fab_t": partial(FABTargeted, steps=STEPS), "deepfool": DeepFool,
    "hopskipjump": partial(HopSkipJump, iterations=HOPS, directions=DIRECTIONS),
    "carlini_wagner": lambda norm: CarliniWagner(steps=CW_STEPS, searches=CW_SEARCHES, step_size=CW_STEP_SIZE, first_c=CW_FIRST_C),
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Outcome:
    """What one side found in one round: [N] which images fell, how far each twin is, and the images asked about."""

    fell: np.ndarray
    far: np.ndarray
    asked: int


class Bench:
    """One model and the images that it gets right, as either side wants them."""

    def __init__(self, target: str, folder: Path, most: int, num_classes: int | None) -> None:
        names = sorted(place.name for place in folder.iterdir() if place.is_dir())
        self.labels = tuple(names[:num_classes])
        self.net = Net(_first(TorchModule(target).build().eval(), num_classes)).eval().requires_grad_(False)
        self.source = TorchModule(self.net, labels=list(self.labels))
        pictures = [sorted((folder / name).iterdir()) for name in self.labels]
        each = max(most // len(names), 1)
        paths = [(path, index) for index, some in enumerate(pictures) for path in some[:each]]
        pixels = np.stack([np.asarray(Picture.open(path).convert("RGB"), dtype=np.float32) / 255 for path, _ in paths])
        images, classes = torch.from_numpy(pixels).permute(0, 3, 1, 2).contiguous(), torch.tensor([index for _, index in paths])
        with torch.no_grad():
            right = self.net(images).argmax(1) == classes
        self.images, self.classes, self.num = images[right], classes[right], len(paths)
        shown = self.images.permute(0, 2, 3, 1).numpy()
        self.samples = [Sample(f"s{i}", Image(x), int(c), self.labels) for i, (x, c) in enumerate(zip(shown, self.classes, strict=True))]

    def job(self, norm: str, epsilon: float) -> Job:
        return Job(self.net, self.images, self.classes, len(self.labels), norm, epsilon, 0)

    def project(self, attack: Any, seed: int) -> torch.Tensor:
        # A new engine each time: no answer comes from a cache.
        engine = Engine(self.source.load("cpu", "float32"), self.source.inspect(), budget=Budget(1 << 20, len(self.samples)))
        twins = attack.perturb(engine, self.samples, attack.threat, SampleRng(seed))
        return torch.from_numpy(np.stack([twin.input.pixels for twin in twins])).permute(0, 3, 1, 2)

    def outcome(self, job: Job, found: torch.Tensor, asked: int, is_in_ball: bool) -> Outcome:
        with torch.no_grad():
            fell = job.net(found).argmax(1) != job.classes
        far = (found - job.images).flatten(1).double().norm(p=torch.inf if job.norm == "linf" else 2, dim=1)
        if is_in_ball:
            fell &= far <= job.epsilon * (1 + 1e-4) + 1e-6
        return Outcome(fell.numpy(), far.numpy(), asked)


class _First(torch.nn.Module):
    def __init__(self, module: torch.nn.Module, num_classes: int) -> None:
        super().__init__()
        self.module, self.num_classes = module, num_classes

    def forward(self, pixels: torch.Tensor) -> torch.Tensor:
        logits: torch.Tensor = self.module(pixels)
        return logits[:, : self.num_classes]


def _first(module: torch.nn.Module, num_classes: int | None) -> torch.nn.Module:
    return module if num_classes is None else _First(module, num_classes)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model")
    parser.add_argument("images_in", type=Path, metavar="images")
    parser.add_argument("--attacks", nargs="+", choices=tuple(PEERS), default=tuple(PEERS))
    parser.add_argument("--norms", nargs="+", choices=("linf", "l2"), default=("linf", "l2"))
    parser.add_argument(
        "--peers", nargs="+", help="of torchattacks, 'torchattacks as shipped', foolbox, ART, public, 'plain loop'; all by default"
    )
    parser.add_argument("--images", type=int, default=200)
    parser.add_argument("--classes", type=int)
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--linf", type=float, default=1, help="radius in steps of 1/255")
    parser.add_argument("--l2", type=float, default=0.1)
    given = parser.parse_args()
    bench = Bench(given.model, given.images_in, given.images, given.classes)
    print(f"{len(bench.samples)} of {bench.num} images are right, {len(bench.labels)} classes, {torch.get_num_threads()} threads")
    radius = {"linf": given.linf / 255, "l2": given.l2}
    wanted = [(name, norm) for name in given.attacks for norm in given.norms if (name, norm) != ("carlini_wagner", "linf")]
    return max([compare(bench, name, bench.job(norm, radius[norm]), given.rounds, given.peers) for name, norm in wanted], default=0)


def compare(bench: Bench, name: str, job: Job, rounds: int, wanted: list[str] | None) -> int:
    is_in_ball = name in INSIDE
    given = {"norm": job.norm, "epsilon": job.epsilon} if is_in_ball else {"norm": job.norm}
    attack = (INSIDE if is_in_ball else NEAREST)[name](**given)
    peers = {who: peer for who, peer in PEERS[name].items() if not wanted or who in wanted}
    runs = {"project": lambda seed: bench.project(attack, seed)} | {
        who: lambda seed, peer=peer: peer(replace(job, seed=seed)) for who, peer in peers.items()
    }
    found: dict[str, list[Outcome]] = {who: [] for who in runs}

    def once(who: str) -> None:
        if who not in found:
            return
        job.net.asked = 0
        try:
            made = runs[who](len(found[who]))
        except (ImportError, SkippedError) as error:
            found.pop(who)
            if isinstance(error, ImportError):
                print(f"  {who}: not installed ({error.name})")
        else:
            found[who].append(bench.outcome(job, made.detach(), job.net.asked, is_in_ball))

    print(f"{name} {job.norm}" + (f" {job.epsilon:.4g}" if is_in_ball else ""), flush=True)
    _, spent = in_turns({who: partial(once, who) for who in runs}, rounds)
    say, is_worse = (_standing, _stands_more) if is_in_ball else (_distances, _is_farther)
    for who, outcomes in found.items():
        asked = np.mean([outcome.asked for outcome in outcomes]) / len(job.images)
        print(f"  {who:13s}{say(outcomes, found['project'])}, {asked:,.0f} asked an image", flush=True)
    better = [who for who, outcomes in found.items() if is_worse(found["project"], outcomes)]
    for who in better:
        print(f"  {who} is better: what is faster is worth nothing", file=sys.stderr)
    for who in (who for who in found if who not in ("project", *better)):
        print(f"  faster than {who}: {faster(spent[who], spent['project'])}", flush=True)
    return int(bool(better))


def _standing(outcomes: list[Outcome], ours: list[Outcome]) -> str:
    same = [int((a.fell == b.fell).sum()) for a, b in zip(outcomes, ours, strict=True)]
    return f"{', '.join(str(int((~o.fell).sum())) for o in outcomes)} stand; {min(same)} of {len(ours[0].fell)} verdicts the same"


def _stands_more(ours: list[Outcome], theirs: list[Outcome]) -> bool:
    mine, other = ([int((~o.fell).sum()) for o in some] for some in (ours, theirs))
    return bool(np.mean(mine) - np.mean(other) > max(np.ptp(mine), np.ptp(other), 1))


def _distances(outcomes: list[Outcome], ours: list[Outcome]) -> str:
    fell = [int(o.fell.sum()) for o in outcomes]
    both = [(a, b, a.fell & b.fell) for a, b in zip(outcomes, ours, strict=True)]
    ratios = np.concatenate([a.far[fell] / b.far[fell] for a, b, fell in both])
    quarters = ", ".join(f"{value:.3f}" for value in np.quantile(ratios, (0.05, 0.5, 0.95)))
    means = ", ".join(f"{o.far[o.fell].mean():.5f}" for o in outcomes)
    return f"{min(fell)} of {len(ours[0].fell)} fell, mean distance {means}; over the project's, image by image: {quarters} (5, 50, 95 %)"


def _is_farther(ours: list[Outcome], theirs: list[Outcome]) -> bool:
    """In the mean over the images that both sides broke, by more than either's seeds differ, and by more than 1 %; or broke fewer."""
    both = np.all([o.fell for o in (*ours, *theirs)], axis=0)
    mine, other = ([float(o.far[both].mean()) for o in some] for some in (ours, theirs))
    is_far = np.mean(mine) - np.mean(other) > max(np.ptp(mine), np.ptp(other), 0.01 * np.mean(other))
    return bool(is_far or min(o.fell.sum() for o in ours) < min(o.fell.sum() for o in theirs))


if __name__ == "__main__":
    sys.exit(main())
