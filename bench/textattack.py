"""How fast the harness runs TextAttack's recipes, beside TextAttack itself. Run by hand:

    python bench/textattack.py MODEL TEXTS [--recipe deepwordbug] [--peer dynamic] [--limit 100] [--pairs 5] [--device cpu]

MODEL: a folder with a text classifier. TEXTS: a text file, on each line a text, a tab, and the number of its class. Two peers, both
TextAttack's own attack object, one text after the other, as its manual has it:

    shipped   its HuggingFaceModelWrapper, which pads every text to the longest that the model takes
    dynamic   the same wrapper, padding to the longest text of a batch

Peer and project run in turns in one process, with the same weights, tokenizer, random seeds and stop words. Every run must find the same
adversarial texts, statuses and query counts, or nothing is printed but the first difference. Texts may differ in what the tokenizer drops
(letter case, mostly): the model answers both alike but for rounding, which then decides, on each side, whether one "improves" on the other.
How many are equal to the letter is printed. Then come the ratios of a pair's times, of the wall clock and of processor time, and which part
of each side's time went by inside the model: with that part alone left, the project would be faster than the peer by the ratio "limit".

The recipe pwws swaps synonyms: it reads WordNet from where NLTK_DATA says.
"""

from __future__ import annotations

import argparse
import copy
import os
import sys
import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from statistics import median
from typing import Any, TypeAlias

# This file is named for the peer, whose package must be found before it.
sys.path.append(sys.path.pop(0))

os.environ.setdefault("OMP_WAIT_POLICY", "passive")
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")

import torch
from windtunnel.attacks.text.deepwordbug import DeepWordBug
from windtunnel.attacks.text.pwws import PWWS
from windtunnel.attacks.text.textattack_import import import_textattack, served
from windtunnel.harness.engine import Engine
from windtunnel.harness.models.hf import HuggingFace
from windtunnel.harness.models.hf_text import HFTextClassifier
from windtunnel.harness.quiet import import_quietly
from windtunnel.harness.samples import Sample, SampleRng
from windtunnel.harness.stop_words import ENGLISH

Found: TypeAlias = list[tuple[str, str, int]]
"""Adversarial text, status and number of queries of each sample."""

NUM_WARM_UP = 4
RNG = SampleRng("bench", 0)


RECIPES: dict[str, Callable[..., Any]] = {"deepwordbug": DeepWordBug, "pwws": PWWS}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model")
    parser.add_argument("texts", type=Path)
    parser.add_argument("--recipe", choices=RECIPES, default="deepwordbug")
    parser.add_argument("--peer", choices=("dynamic", "shipped"), default="dynamic")
    parser.add_argument("--limit", type=int, default=100)
    parser.add_argument("--pairs", type=int, default=5)
    parser.add_argument("--device", default="auto")
    given = parser.parse_args()

    textattack = import_textattack(ENGLISH)
    # WordNet's swap asks NLTK to download a list of languages, also where it has been.
    import_quietly("nltk").download = lambda *names, **settings: True
    source = HuggingFace(given.model)
    # In half precision rounding would decide far more often.
    info, model = source.inspect(), source.load(given.device, "float32")
    assert isinstance(model, HFTextClassifier), "the recipes attack text classifiers"
    samples = _samples(given.texts, info.labels, given.limit)
    recipe = RECIPES[given.recipe](stop_words="builtin")
    wrapper = _wrapper(textattack, model, given.peer)
    counters: list[Any] = []

    def peer(samples: Sequence[Sample]) -> Found:
        with served(ENGLISH), warnings.catch_warnings(action="ignore"):
            attack = getattr(textattack.attack_recipes, recipe.recipe).build(wrapper)
        return [_attacked(textattack, attack, sample) for sample in samples]

    def project(samples: Sequence[Sample]) -> Found:
        # A new engine each time: no answer comes from a cache.
        engine = Engine(model, info)
        twins = recipe.perturb(engine, samples, recipe.threat, RNG)
        counters.append(engine.counters)
        return [(twin.input, twin.metadata["status"], twin.metadata["num_queries"]) for twin in twins]

    sides = {given.peer: peer, "project": project}
    clocks: dict[str, list[_Clock]] = {name: [] for name in sides}
    for side in sides.values():
        side(samples[:NUM_WARM_UP])
    for _ in range(given.pairs):
        found = {}
        for name, side in sides.items():
            with _timed(wrapper.model if name == given.peer else model.module) as clock:
                found[name] = side(samples)
            clocks[name].append(clock)
        num_equal = _num_equal(model, samples, found[given.peer], found["project"])

    num_words = sum(len(str(sample.input).split()) for sample in samples) / len(samples)
    statuses = [status for _, status, _ in found["project"]]
    print(f"{given.recipe}: {len(samples)} texts of {num_words:.0f} words on {model.device}, {torch.get_num_threads()} threads")
    print(f"  {num_equal} texts equal to the letter, {len(samples) - num_equal} to the model only;", end=" ")
    print("the same", ", ".join(f"{statuses.count(status)} {status}" for status in sorted(set(statuses))), end=", ")
    print(f"and {sum(num for *_, num in found['project']):,} queries")
    for name, runs in clocks.items():
        seconds, inside = median(run.wall for run in runs), median(run.model / run.wall for run in runs)
        print(f"  {name:<8} {seconds:8.2f} s, of which {inside:5.1%} inside the model, in {runs[-1].num_passes:,} passes")
    pairs = list(zip(clocks[given.peer], clocks["project"], strict=True))
    _print_ratio("wall clock", [a.wall / b.wall for a, b in pairs])
    _print_ratio("processor", [a.processor / b.processor for a, b in pairs])
    _print_ratio("limit", [a.wall / b.model for a, b in pairs])
    last = counters[-1]
    print(f"  padding {last.tokens_padded / (last.tokens_padded + last.tokens_computed):.1%} of the project's positions")


def _print_ratio(name: str, ratios: Sequence[float]) -> None:
    print(f"  {name:<10} {median(ratios):6.2f} x   ({min(ratios):.2f} to {max(ratios):.2f})")


def _samples(path: Path, labels: tuple[str, ...], limit: int) -> list[Sample]:
    rows = [line.rsplit("\t", 1) for line in path.read_text(encoding="utf-8").splitlines() if "\t" in line]
    # Evenly from the whole file, which may be sorted by class.
    chosen = rows[:: max(1, len(rows) // limit)][:limit]
    return [Sample(f"s{index}", text, int(label), labels) for index, (text, label) in enumerate(chosen)]


# ── the peer ──────────────────────────────────────────────────────────────────────────────────────────────────────────


def _wrapper(textattack: Any, model: Any, peer: str) -> Any:
    class Dynamic(textattack.models.wrappers.HuggingFaceModelWrapper):  # type: ignore[misc]
        def __call__(self, texts: list[str]) -> torch.Tensor:
            inputs = self.tokenizer(texts, padding=True, truncation=True, return_tensors="pt").to(model.device)
            with torch.no_grad():
                logits: torch.Tensor = self.model(**inputs).logits
            return logits

    made = Dynamic if peer == "dynamic" else textattack.models.wrappers.HuggingFaceModelWrapper
    # A copy, as transformers has it: without the weights that the adapter laid out for the CPU.
    return made(copy.deepcopy(model.module), model.tokenizer)


def _attacked(textattack: Any, attack: Any, sample: Sample) -> tuple[str, str, int]:
    textattack.shared.utils.set_seed(RNG.seed(sample.id) % 2**32)
    result = attack.attack(sample.input, sample.target)
    status = {"SuccessfulAttackResult": "success", "SkippedAttackResult": "skipped"}.get(type(result).__name__, "failed")
    return result.perturbed_result.attacked_text.text, status, result.num_queries


def _num_equal(model: HFTextClassifier, samples: Sequence[Sample], peer: Found, project: Found) -> int:
    """How many adversarial texts are equal to the letter. Ends the program if the model could tell another pair apart."""

    def seen(found: tuple[str, str, int]) -> tuple[Any, ...]:
        text, *rest = found
        return model.tokenizer(text)["input_ids"], *rest

    for sample, theirs, ours in zip(samples, peer, project, strict=True):
        if seen(theirs) != seen(ours):
            sys.exit(f"not the same on {sample.input!r}:\n  peer     {theirs}\n  project  {ours}")
    return sum(theirs == ours for theirs, ours in zip(peer, project, strict=True))


# ── time ──────────────────────────────────────────────────────────────────────────────────────────────────────────────


class _Clock:
    """Seconds. ``model``: inside the module's forward pass, by the wall clock."""

    wall = processor = model = 0.0
    num_passes = 0


@contextmanager
def _timed(module: torch.nn.Module) -> Iterator[_Clock]:
    clock, begun = _Clock(), 0.0

    def before(*_: Any) -> None:
        nonlocal begun
        begun = _now()

    def after(*_: Any) -> None:
        clock.model += _now() - begun
        clock.num_passes += 1

    handles = module.register_forward_pre_hook(before), module.register_forward_hook(after)
    wall, processor = _now(), time.process_time()
    try:
        yield clock
    finally:
        clock.wall, clock.processor = _now() - wall, time.process_time() - processor
        for handle in handles:
            handle.remove()


def _now() -> float:
    if torch.cuda.is_available():
        torch.cuda.synchronize()
    return time.perf_counter()


if __name__ == "__main__":
    main()
