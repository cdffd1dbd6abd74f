"""How fast the probes are beside Captum on the same model, inputs and perturbations. Run by hand:

    python bench/captum.py MODEL TEXTS [--methods integrated_gradients ...] [--samples 64] [--pairs 5] [--device cpu]
    python bench/captum.py FILE.py:FUNCTION IMAGES --labels plane car ... --layer conv2 [...]

MODEL: a folder with a text classifier, or a function that makes a torch image classifier. TEXTS: a text file, one a line. IMAGES: a folder;
every tenth image is taken. Captum explains one sample at a time, as its documentation does (`captum_sides.py`): gradient methods with all
steps of a sample in one pass, from the class that the model predicts and with the convergence delta, since the probe gives both too; those
that remove parts as shipped, one perturbation a pass. Of both, ``--at-once`` names further settings. Its weights are frozen, as the
probe's are.

First both sides' attributions must be equal, to 1e-5 of the largest, or to what Captum's own settings differ by: a row's last bits depend
on the rows beside it, and of a network with kinks (ReLU6) a gradient jumps by them. Then they run in turns in one process, and the median
of the pairs' ratios is printed, with the work that each side did: of wall time, and of CPU time, which a busy machine moves less and which
says nothing of a GPU.
"""

from __future__ import annotations

import argparse
import os
import statistics
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

# This file is named for the peer, whose package must be found before it.
sys.path.append(sys.path.pop(0))

os.environ.setdefault("OMP_WAIT_POLICY", "passive")
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")

import numpy as np
import torch
from captum_sides import ASKED_IN_PARTS, METHODS, POINTS_IN_PARTS, Images, Texts, explained
from turns import faster, in_turns
from windtunnel.harness.api.model import ModelInfo
from windtunnel.harness.api.registry import Registry
from windtunnel.harness.api.samples import Sample
from windtunnel.harness.engine import Engine
from windtunnel.harness.modalities.image import Image
from windtunnel.harness.modalities.words import word_spans
from windtunnel.harness.models.hf.source import HuggingFace
from windtunnel.harness.models.torch.source import TorchModule
from windtunnel.harness.system.malloc import keep_freed_memory

TOLERANCE = 1e-5
Values = list[np.ndarray]
Side = Callable[[], Values]
_IMAGES_ONLY = ("deep_lift", "grad_cam")


def main() -> int:
    keep_freed_memory()
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model")
    parser.add_argument("inputs", type=Path)
    parser.add_argument("--methods", nargs="+", choices=tuple(METHODS))
    parser.add_argument("--labels", nargs="+", default=[], help="of an image classifier")
    parser.add_argument("--layer", default="", help="of the methods that are about one")
    parser.add_argument("--neuron", nargs="+", type=int, default=[1, 1])
    parser.add_argument("--samples", type=int, default=64)
    parser.add_argument("--pairs", type=int, default=5)
    parser.add_argument("--steps", type=int, default=50)
    parser.add_argument("--permutations", type=int, default=25)
    parser.add_argument("--subsets", type=int, default=100)
    parser.add_argument(
        "--at-once", nargs="+", type=int, default=[32], help="perturbations or points of a sample that Captum puts into a pass"
    )
    parser.add_argument("--device", default="cpu")
    given = parser.parse_args()
    source = TorchModule(given.model, labels=given.labels) if ".py:" in given.model else HuggingFace(given.model)
    info, model = source.inspect(), source.load(given.device, "float32")
    model.module.requires_grad_(False)  # type: ignore[attr-defined]
    samples = _images(given.inputs, model, info) if given.labels else _texts(given.inputs, info)
    peer = (Images if given.labels else Texts)(model, samples[: given.samples], given.layer)
    print(f"{len(peer.samples)} inputs; {given.device}, {torch.get_num_threads()} threads")
    names = given.methods or [n for n in METHODS if (given.layer or not _takes_layer(n)) and (given.labels or n not in _IMAGES_ONLY)]
    return max(compare(name, _probe(name, given), peer, lambda: Engine(model, info), given) for name in names)


def _texts(path: Path, info: ModelInfo) -> list[Sample]:
    lines = (line.strip() for line in path.read_text(encoding="utf-8").splitlines())
    return [Sample(f"s{i}", text, None, info.labels) for i, text in enumerate(dict.fromkeys(line for line in lines if word_spans(line)))]


def _images(folder: Path, model: Any, info: ModelInfo) -> list[Sample]:
    from PIL import Image as Picture

    files = sorted(path for path in folder.rglob("*") if path.suffix in (".png", ".jpg"))[::10]
    pixels = (np.asarray(Picture.open(path).convert("RGB")) for path in files)
    return [Sample(f"i{i}", model.canonical(Image(p)), None, info.labels) for i, p in enumerate(pixels)]


def _takes_layer(name: str) -> bool:
    return name.startswith(("layer", "neuron")) or name == "grad_cam"


def _probe(name: str, given: argparse.Namespace) -> Any:
    """The probe with a fixed amount of work."""
    options: dict[str, Any] = {"layer": given.layer} if _takes_layer(name) else {}
    if "integrated" in name or "conductance" in name:
        options |= {"steps": given.steps} | ({} if name.startswith("neuron") else {"max_steps": given.steps})
    options |= {"neuron": given.neuron} if name.startswith("neuron") else {}
    options |= {"permutations": given.permutations} if name == "shapley_value_sampling" else {}
    options |= {"subsets": given.subsets} if name in ("kernel_shap", "lime") else {}
    return Registry().make("probes", name, **options)


def compare(name: str, probe: Any, peer: Texts | Images, make: Callable[[], Engine], given: argparse.Namespace) -> int:
    engines: list[Engine] = []

    def project() -> Values:
        # A new engine each time: no answer comes from a cache.
        engines.append(make())
        return [attribution.values for attribution in probe.attribute(engines[-1], peer.samples)]

    ours, done = project(), engines[-1].counters.take()
    positions = done["tokens_computed"] + done["tokens_padded"]
    print(f"{name}\n  project        {_work(int(done['forward_passes'] + done['gradient_passes']), int(positions))}", end="")
    print(f", {done['tokens_padded'] / positions:.1%} of them padding", flush=True)
    settings: dict[str, int] = {"1 a pass": 1} if name in ASKED_IN_PARTS else {"a sample a pass": 0}
    settings |= {f"{n} a pass": n for n in given.at_once} if name in (*ASKED_IN_PARTS, *POINTS_IN_PARTS) else {}
    theirs: list[Values] = []
    for setting, at_once in settings.items():
        peer.net.passes = peer.net.positions = 0
        theirs.append(explained(name, peer, probe, at_once, same_draws=True))
        apart = _apart(ours, theirs[-1])
        print(f"  Captum, {setting}: {_work(peer.net.passes, peer.net.positions)}; attributions differ by {apart:.1e} of the largest")
    own = max(_apart(other, theirs[0]) for other in theirs)
    if own > TOLERANCE:
        print(f"  Captum's own settings differ by up to {own:.1e}")
    if not min(_apart(ours, other) for other in theirs) <= max(TOLERANCE, own):
        print(f"  not equal within {TOLERANCE:.0e}: no ratio is worth anything", file=sys.stderr)
        return 1
    sides: dict[str, Side] = {setting: partial(explained, name, peer, probe, at_once) for setting, at_once in settings.items()}
    _, spent = in_turns({"project": project, **sides}, given.pairs)
    for side, rounds in spent.items():
        print(f"  {side}: {statistics.median(s.cpu for s in rounds):.2f} s of CPU", end="")
        print("" if side == "project" else f"; the project is faster by {faster(rounds, spent['project'])}", flush=True)
    return 0


def _work(passes: int, positions: int) -> str:
    return f"{passes:,} passes, {positions:,} positions"


def _apart(ours: Values, theirs: Values) -> float:
    largest = max(float(np.abs(b).max()) for b in theirs)
    return max(float(np.abs(a - b).max()) for a, b in zip(ours, theirs, strict=True)) / largest


if __name__ == "__main__":
    sys.exit(main())
