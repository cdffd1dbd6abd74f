"""How fast the harness runs TextAttack's recipes, beside TextAttack itself, and that it finds the same. Run by hand:

    python bench/textattack.py MODEL TEXTS [--recipe deepwordbug] [--peer dynamic] [--limit 100] [--pairs 5] [--device cpu]
    python bench/textattack.py MODEL TEXTS --recipe textfooler --encoder FOLDER --vectors FILE [--tagger FILE.json]
    python bench/textattack.py MODEL TEXTS --recipe bae --encoder FOLDER --masked-lm FOLDER

MODEL: a folder with a text classifier. TEXTS: a text file, on each line a text, a tab, and the number of its class. Two peers, both
TextAttack's own attack object, one text after the other, as its manual has it (`textattack_peer.py`):

    shipped   as it comes, every text padded to the longest that a model takes
    dynamic   the same, padding to the longest text of a batch

Peer and project run in turns in one process, with the same weights, tokenizers, random seeds, stop words and word data. Every run must find
the same adversarial texts, statuses and query counts, or nothing is printed but the differences. Texts may differ in what the tokenizer
drops (letter case, mostly): the model answers both alike but for rounding, which then decides, on each side, whether one "improves" on the
other. How many are equal to the letter is printed. Then come the ratios of a pair's times, of the wall clock and of processor time, and
which part of each side's time went by inside the models: with that part alone left, the project would be faster by the ratio "limit".

What a recipe needs is given by folder or file; WordNet and NLTK's tagger are read from where NLTK_DATA says.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from statistics import median
from typing import Any

# This file is named for the peer, whose package must be found before it.
sys.path.append(sys.path.pop(0))

os.environ.setdefault("OMP_WAIT_POLICY", "passive")
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")

import torch
from textattack_peer import Found, Peer
from windtunnel.attacks.text.textattack_import import import_textattack
from windtunnel.attacks.text.textattack_recipe import TextAttackRecipe
from windtunnel.attacks.text.textattack_supplies import Supplies
from windtunnel.harness.api.registry import Registry
from windtunnel.harness.api.samples import Sample, SampleRng
from windtunnel.harness.engine import Engine
from windtunnel.harness.language.stop_words import ENGLISH
from windtunnel.harness.models.hf.source import HuggingFace
from windtunnel.harness.models.hf.text_classifier import HFTextClassifier
from windtunnel.harness.system.malloc import keep_freed_memory

NUM_WARM_UP = 4
RNG = SampleRng("bench", 0)
ROLES = ("encoder", "masked_lm", "language_model")


def main() -> None:
    keep_freed_memory()
    registry = Registry()
    attacks = {entry.name: entry.load() for entry in registry.entries("attacks")}
    recipes = [name for name, made in attacks.items() if isinstance(made, type) and issubclass(made, TextAttackRecipe)]
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model")
    parser.add_argument("texts", type=Path)
    parser.add_argument("--recipe", choices=recipes, default="deepwordbug")
    parser.add_argument("--peer", choices=("dynamic", "shipped"), default="dynamic")
    parser.add_argument("--limit", type=int, default=100)
    parser.add_argument("--pairs", type=int, default=5)
    parser.add_argument("--device", default="auto")
    for role in ROLES:
        parser.add_argument(f"--{role.replace('_', '-')}", metavar="FOLDER")
    parser.add_argument("--vectors", metavar="FILE", help="of word vectors: on each line a word and its numbers")
    parser.add_argument("--tagger", metavar="FILE", help="a JSON object of words and tags (without it: NLTK's tagger)")
    given = parser.parse_args()

    data = {name: getattr(given, name) for name in ("vectors", "tagger") if getattr(given, name)}
    recipe = registry.make("attacks", given.recipe, stop_words="builtin", **data)
    for role in getattr(recipe, "roles", ()):
        if getattr(given, role) is None:
            parser.error(f"{given.recipe} needs --{role.replace('_', '-')} FOLDER")
    for resource in recipe.resources():
        if not resource.is_there:
            parser.error(f"{resource.name} is missing (searched {resource.looked}); {resource.advice}")

    textattack = import_textattack(ENGLISH)
    source = HuggingFace(given.model)
    # In half precision rounding would decide far more often.
    info, model = source.inspect(), source.load(given.device, "float32")
    assert isinstance(model, HFTextClassifier), "the recipes attack text classifiers"
    samples = _samples(given.texts, info.labels, given.limit)
    roles = {role: _engine(getattr(given, role), given.device) for role in getattr(recipe, "roles", ())}
    supplies = Supplies(textattack, None, given.vectors, given.tagger or "nltk")
    peer = Peer(recipe, model, roles, supplies, RNG, given.peer)
    counters: list[Any] = []

    def project(samples: Sequence[Sample]) -> Found:
        # New engines each time: no answer comes from a cache.
        engine = Engine(model, info)
        engine.roles = {role: Engine(other.model, other.info) for role, other in roles.items()}
        twins = recipe.perturb(engine, samples, recipe.threat, RNG)
        counters.append(engine.counters)
        for twin in twins:
            if "error" in twin.metadata:
                sys.exit(f"the project cannot attack {twin.input!r}: {twin.metadata['error']}")
        return [(twin.input, twin.metadata["status"], twin.metadata["num_queries"]) for twin in twins]

    sides = {given.peer: peer, "project": project}
    players: list[Any] = [model, *(engine.model for engine in roles.values())]
    modules = {given.peer: peer.modules, "project": [player.module for player in players]}
    clocks: dict[str, list[_Clock]] = {name: [] for name in sides}
    for side in sides.values():
        side(samples[:NUM_WARM_UP])
    for _ in range(given.pairs):
        found = {}
        for name, side in sides.items():
            with _timed(modules[name]) as clock:
                found[name] = side(samples)
            clocks[name].append(clock)
        num_equal = _num_equal(model, samples, found[given.peer], found["project"])

    num_words = sum(len(str(sample.input).split()) for sample in samples) / len(samples)
    statuses = [status for _, status, _ in found["project"]]
    queries = sum(num for *_, num in found["project"])
    right = 1 - (statuses.count("skipped") + statuses.count("success")) / len(samples)
    print(f"{given.recipe}: {len(samples)} texts of {num_words:.0f} words on {model.device}, {torch.get_num_threads()} threads")
    print(f"  {num_equal} texts equal to the letter, {len(samples) - num_equal} to the model only;", end=" ")
    print("the same", ", ".join(f"{statuses.count(status)} {status}" for status in sorted(set(statuses))), end=", ")
    print(f"and {queries:,} queries, {queries / len(samples):.1f} a text; robust accuracy {right:.1%}")
    for name, runs in clocks.items():
        seconds, inside = median(run.wall for run in runs), median(run.model / run.wall for run in runs)
        print(f"  {name:<8} {seconds:8.2f} s, {median(run.processor for run in runs):8.2f} s of processor time,", end=" ")
        print(f"{inside:5.1%} inside the models, in {runs[-1].num_passes:,} passes")
    pairs = list(zip(clocks[given.peer], clocks["project"], strict=True))
    _print_ratio("wall clock", [a.wall / b.wall for a, b in pairs])
    _print_ratio("processor", [a.processor / b.processor for a, b in pairs])
    _print_ratio("limit", [a.wall / b.model for a, b in pairs])
    last = counters[-1]
    print(f"  padding {last.tokens_padded / (last.tokens_padded + last.tokens_computed):.1%} of the project's positions")


def _print_ratio(name: str, ratios: Sequence[float]) -> None:
    print(f"  {name:<10} {median(ratios):6.2f} x   ({min(ratios):.2f} to {max(ratios):.2f})")


def _engine(folder: str, device: str) -> Engine:
    source = HuggingFace(folder)
    return Engine(source.load(device, "float32"), source.inspect())


def _samples(path: Path, labels: tuple[str, ...], limit: int) -> list[Sample]:
    rows = [line.rsplit("\t", 1) for line in path.read_text(encoding="utf-8").splitlines() if "\t" in line]
    # Evenly from the whole file, which may be sorted by class.
    chosen = rows[:: max(1, len(rows) // limit)][:limit]
    return [Sample(f"s{index}", text, int(label), labels) for index, (text, label) in enumerate(chosen)]


def _num_equal(model: HFTextClassifier, samples: Sequence[Sample], peer: Found, project: Found) -> int:
    """How many adversarial texts are equal to the letter. Ends the program if the model could tell another pair apart."""

    def seen(found: tuple[str, str, int]) -> tuple[Any, ...]:
        text, *rest = found
        return model.tokenizer(text)["input_ids"], *rest

    both = list(zip(peer, project, strict=True))
    apart = [(sample, *pair) for sample, pair in zip(samples, both, strict=True) if seen(pair[0]) != seen(pair[1])]
    for sample, theirs, ours in apart:
        print(f"not the same on {sample.input!r}:\n  peer     {theirs}\n  project  {ours}")
    if apart:
        sys.exit(f"{len(apart)} of {len(samples)} texts are not the same")
    return sum(theirs == ours for theirs, ours in both)


# ── time ──────────────────────────────────────────────────────────────────────────────────────────────────────────────


class _Clock:
    """Seconds. ``model``: inside the forward passes of the modules, by the wall clock."""

    wall = processor = model = 0.0
    num_passes = 0


@contextmanager
def _timed(modules: Sequence[torch.nn.Module]) -> Iterator[_Clock]:
    clock, begun = _Clock(), 0.0

    def before(*_: Any) -> None:
        nonlocal begun
        begun = _now()

    def after(*_: Any) -> None:
        clock.model += _now() - begun
        clock.num_passes += 1

    handles = [handle for module in modules for handle in (module.register_forward_pre_hook(before), module.register_forward_hook(after))]
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
