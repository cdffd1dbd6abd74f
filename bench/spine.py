"""How fast the harness asks a model, beside a plain loop that asks one text at a time. Run by hand:

    python bench/spine.py MODEL TEXTS [--limit 200] [--device cpu] [--repeat 3]

MODEL: a folder with a text classifier or a causal language model. TEXTS: a text file, one a line. Both sides run in turns in one process,
on the same texts, in the same number format; what is printed are ratios of their best times, and how far their answers differ.

A classifier is asked for logits. A language model is asked for the log-likelihood of four choices a text: its own last words and those of
three other texts.
"""

from __future__ import annotations

import argparse
import copy
import os
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

# `profile` is a module of Python's that torch imports; the file of that name here is another.
sys.path.append(sys.path.pop(0))

os.environ.setdefault("OMP_WAIT_POLICY", "passive")
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")

import torch
from windtunnel.harness.api.requests import Classify, LogLikelihood
from windtunnel.harness.engine import Engine
from windtunnel.harness.models.hf.source import HuggingFace

NUM_CHOICES = 4
NUM_WORDS = 3
"""Words of a choice."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model")
    parser.add_argument("texts", type=Path)
    parser.add_argument("--limit", type=int, default=200)
    parser.add_argument("--device", default="auto")
    parser.add_argument("--repeat", type=int, default=3)
    given = parser.parse_args()
    lines = [line.strip() for line in given.texts.read_text(encoding="utf-8").splitlines()]
    texts = list(dict.fromkeys(line for line in lines if len(line.split()) > 2 * NUM_WORDS))[: given.limit]
    source = HuggingFace(given.model)
    info, model = source.inspect(), source.load(given.device, "auto")
    is_classifier = "classify" in info.answers
    requests, plain = _classification(model, texts) if is_classifier else _choices(model, texts)

    def harness() -> list[float]:
        # A new engine each time: no answer comes from a cache.
        engine = Engine(model, info)
        answers = engine.run(requests)
        harness.counters = engine.counters  # type: ignore[attr-defined]
        return [max(a.values) for a in answers] if is_classifier else [a.value for a in answers]

    # Warmed up, then in turns, so that a busy machine slows both.
    times: dict[str, list[float]] = {"plain loop": [], "harness": []}
    sides: dict[str, Callable[[], list[float]]] = {"plain loop": plain, "harness": harness}
    answers = {name: side() for name, side in sides.items()}
    for _ in range(given.repeat):
        for name, side in sides.items():
            started = time.perf_counter()
            side()
            times[name].append(time.perf_counter() - started)
    best = {name: min(found) for name, found in times.items()}
    counters = harness.counters  # type: ignore[attr-defined]
    asked = "class logits" if is_classifier else "log-likelihood of choices"
    print(f"{asked}: {len(requests):,} requests on {getattr(model, 'device', 'cpu')}, {torch.get_num_threads()} threads")
    for name, seconds in best.items():
        print(f"  {name:<11} {seconds:8.2f} s   {len(requests) / seconds:9,.1f} requests/s   {best['plain loop'] / seconds:5.2f} x")
    padding = counters.tokens_padded / counters.tokens_computed
    print(f"  passes {counters.forward_passes:,} for {len(requests):,}; padding {padding:.1%} of the tokens")
    moved = max(abs(a - b) for a, b in zip(answers["plain loop"], answers["harness"], strict=True))
    print(f"  largest difference between the two answers: {moved:.2e}")


Plain = Callable[[], list[float]]


def _classification(model: Any, texts: Sequence[str]) -> tuple[list[Any], Plain]:
    # A copy, as transformers has it: without the weights that the adapter laid out for the CPU.
    module = copy.deepcopy(model.module)

    def plain() -> list[float]:
        found = []
        with torch.inference_mode():
            for text in texts:
                encoded = model.tokenizer(text, return_tensors="pt", truncation=True, max_length=model.max_length).to(model.device)
                found.append(float(module(**encoded).logits.max()))
        return found

    return [Classify(text) for text in texts], plain


def _choices(model: Any, texts: Sequence[str]) -> tuple[list[Any], Plain]:
    pairs = [(" ".join(text.split()[:-NUM_WORDS]), " " + " ".join(text.split()[-NUM_WORDS:])) for text in texts]
    asked = [(context, pairs[(index + step) % len(pairs)][1]) for index, (context, _) in enumerate(pairs) for step in range(NUM_CHOICES)]

    # A copy, as transformers has it: without the weights that the adapter laid out for the CPU.
    module = copy.deepcopy(model.module)

    def plain() -> list[float]:
        found = []
        prefix = model.tokenizer("").get("input_ids") or []
        with torch.inference_mode():
            for context, choice in asked:
                before = model.tokenizer(context, add_special_tokens=False)["input_ids"]
                whole = model.tokenizer(context + choice, add_special_tokens=False)["input_ids"]
                ids = torch.tensor([[*prefix, *whole]], device=model.device)
                num = len(whole) - len(before)
                log_probs = module(ids).logits[0, :-1].float().log_softmax(-1)
                found.append(float(log_probs.gather(1, ids[0, 1:, None])[-num:].double().sum()))
        return found

    return [LogLikelihood(context, choice) for context, choice in asked], plain


if __name__ == "__main__":
    main()
