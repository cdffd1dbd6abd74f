"""Language models: the same numbers as lm-evaluation-harness, and how much sooner. Run by hand:

    pip install -e '.[bench]'
    python bench/lm_eval.py MODEL TEXTS [--work choices,letters,...] [--questions 48] [--pairs 5] [--device cpu] [--dtype float32]

MODEL: a folder with a causal language model. TEXTS: a text file with paragraphs, one a line. Both sides hold the same weights in one
process. First their answers are compared; then they run in turns, lm-evaluation-harness at the batch size that was fastest on a part of the
work, and what is printed is the median ratio of their times, wall and CPU (which a busy machine changes less).

Work, made from the paragraphs:
  choices     5-shot multiple choice, four endings of several tokens
  letters     5-shot multiple choice, four letters
  endings     0-shot, four long endings
  subjects    5-shot in as many subjects as there are questions / 4, each with a header of its own
  passages    three questions to a passage, four endings to a question: a tree of two levels
  rolling     log-likelihood of whole texts of mixed lengths
  generation  5-shot prompts, 64 new tokens
"""

from __future__ import annotations

import argparse
import os
import statistics
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

# This file is named for the peer, whose package must be found before it.
sys.path.append(sys.path.pop(0))

os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("OMP_WAIT_POLICY", "passive")
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")

import torch
from windtunnel.harness.engine import Engine
from windtunnel.harness.engine.packing import Budget
from windtunnel.harness.models.hf import HuggingFace
from windtunnel.harness.requests import Generate, LogLikelihood, RollingLogLikelihood

PEER, OURS = "lm-evaluation-harness", "windtunnel"
NUM_SHOTS = 5
SHOT_WORDS = 100
BATCH_SIZES = (1, 4, 8, 16, 32)
PER_TOKEN = 1.6e-5
"""What float32 log_softmax may be off by, in nats a token (lm-evaluation-harness sums it)."""


@dataclass(frozen=True, slots=True)
class Work:
    """The same requests for both sides; ``kind`` is the peer's name for them."""

    kind: str
    requests: list[Any]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model")
    parser.add_argument("texts", type=Path)
    parser.add_argument("--work", default=",".join(WORKS))
    parser.add_argument("--questions", type=int, default=48)
    parser.add_argument("--pairs", type=int, default=5)
    parser.add_argument("--device", default="auto")
    parser.add_argument("--dtype", default="float32")
    parser.add_argument("--batch-sizes", default=",".join(map(str, BATCH_SIZES)))
    given = parser.parse_args()
    lines = [line.strip() for line in given.texts.read_text(encoding="utf-8").splitlines()]
    paragraphs = [line for line in lines if len(line.split()) >= SHOT_WORDS]
    if not paragraphs:
        raise SystemExit(f"{given.texts} has no line of {SHOT_WORDS} words or more")
    source = HuggingFace(given.model)
    model: Any = source.load(given.device, given.dtype)
    info = source.inspect()
    print(f"{given.model} in {model.module.dtype} on {model.device}, {torch.get_num_threads()} threads; packs: {model.no_packs or 'yes'}")
    for name in given.work.split(","):
        work = WORKS[name](paragraphs, given.questions)
        _compare(name, work, model, info, [int(n) for n in given.batch_sizes.split(",")], given.pairs)


def _compare(name: str, work: Work, model: Any, info: Any, sizes: Sequence[int], pairs: int) -> None:
    part = Work(work.kind, work.requests[: max(8, len(work.requests) // 8)])
    size = min(sizes, key=lambda n: _timed(_peer(model, part, n))[1]) if len(sizes) > 1 else sizes[0]
    peer = _peer(model, work, size)
    counters: list[Any] = []

    def project() -> list[Any]:
        engine = Engine(model, info, budget=Budget.of(model.device.type))
        answers = engine.run(work.requests)
        counters[:] = [engine.counters]
        return answers

    sides: dict[str, Callable[[], list[Any]]] = {PEER: peer, OURS: project}
    times: dict[str, list[tuple[float, float]]] = {side: [] for side in sides}
    answers = {}
    for _ in range(pairs):
        for side, run in sides.items():
            answers[side], *spent = _timed(run)
            times[side].append((spent[0], spent[1]))
    different = _differences(work, *answers.values())
    wall, cpu = ([a[i] / b[i] for a, b in zip(times[PEER], times[OURS], strict=True)] for i in (0, 1))
    seconds = {side: statistics.median(t[0] for t in found) for side, found in times.items()}
    c = counters[0]
    print(f"{name:<11} {len(work.requests):>5} requests  {different}")
    print(f"            {PEER} (batch {size}) {seconds[PEER]:8.2f} s   {OURS} {seconds[OURS]:8.2f} s", end="   ")
    print(f"{statistics.median(wall):6.2f} x (CPU time {statistics.median(cpu):.2f} x, {pairs} pairs)")
    print(
        f"            tokens {c.tokens_computed + c.tokens_shared:,} asked, {c.tokens_computed:,} computed, {c.tokens_padded:,} padded,",
        end=" ",
    )
    print(f"{c.forward_passes:,} passes", flush=True)


def _timed(run: Callable[[], Any]) -> tuple[Any, float, float]:
    wall, cpu = time.perf_counter(), time.process_time()
    answer = run()
    return answer, time.perf_counter() - wall, time.process_time() - cpu


def _differences(work: Work, peer: Sequence[Any], project: Sequence[Any]) -> str:
    if work.kind == "generate_until":
        same = sum(a == b.text for a, b in zip(peer, project, strict=True))
        return f"{same} of {len(peer)} texts identical" + ("" if same == len(peer) else " (DIFFERENT)")
    theirs = [value if isinstance(value, float) else value[0] for value in peer]
    apart = [abs(a - b.value) for a, b in zip(theirs, project, strict=True)]
    beyond = sum(d > PER_TOKEN * b.num_tokens + 1e-5 * abs(b.value) for d, b in zip(apart, project, strict=True))
    relative = max(d / abs(b.value) for d, b in zip(apart, project, strict=True))
    verdict = f"largest difference {max(apart):.1e} nats, {relative:.1e} relative"
    if work.kind == "loglikelihood" and len(peer) % 4 == 0:
        moved = sum(a != b for a, b in zip(_picks(theirs), _picks([b.value for b in project]), strict=True))
        verdict += f", {moved} of {len(peer) // 4} choices different"
    return verdict + (f" ({beyond} BEYOND rounding)" if beyond else "")


def _picks(values: Sequence[float]) -> list[int]:
    """The likeliest of each four."""
    fours = [values[at : at + 4] for at in range(0, len(values), 4)]
    return [four.index(max(four)) for four in fours]


def _peer(model: Any, work: Work, batch_size: int) -> Callable[[], list[Any]]:
    from lm_eval.api.instance import Instance
    from lm_eval.models.huggingface import HFLM

    lm = HFLM(
        pretrained=model.module, tokenizer=model.tokenizer, backend="causal", batch_size=batch_size, max_length=model.max_length,
        device=str(model.device),
    )  # fmt: skip
    arguments: list[tuple[Any, ...]] = []
    for request in work.requests:
        if isinstance(request, LogLikelihood):
            arguments.append((request.context, request.continuation))
        elif isinstance(request, RollingLogLikelihood):
            arguments.append((request.text,))
        else:
            arguments.append((request.prompt, {"until": list(request.stop), "max_gen_toks": request.max_tokens, "do_sample": False}))
    instances = [Instance(request_type=work.kind, doc={}, arguments=a, idx=i) for i, a in enumerate(arguments)]
    return lambda: getattr(lm, work.kind)(instances, disable_tqdm=True)


# ── work ──────────────────────────────────────────────────────────────────────────────────────────────────────────────────


def _words(paragraphs: Sequence[str], index: int, start: int, num: int) -> str:
    """Words of a paragraph, from wherever its words end on to the beginning."""
    words = paragraphs[index % len(paragraphs)].split()
    return " ".join(words[(start + i) % len(words)] for i in range(num))


def _header(paragraphs: Sequence[str], at: int, num_words: int = SHOT_WORDS) -> str:
    shots = (f"Question: {_words(paragraphs, at + i, 0, num_words)}\nAnswer: {_words(paragraphs, at + i, 50, 6)}" for i in range(NUM_SHOTS))
    return "\n\n".join(shots) + "\n\n"


def _question(paragraphs: Sequence[str], at: int) -> str:
    return f"Question: {_words(paragraphs, NUM_SHOTS + at, 7 * at, 30 + at % 17)}"


def _endings(paragraphs: Sequence[str], at: int, num_words: int) -> list[str]:
    return [" " + _words(paragraphs, 3 * at + k, 11 * k, num_words + (at + k) % 4) for k in range(4)]


def _choices(paragraphs: Sequence[str], questions: int) -> Work:
    header = _header(paragraphs, 0)
    asked = [
        LogLikelihood(f"{header}{_question(paragraphs, q)}\nAnswer:", ending)
        for q in range(questions)
        for ending in _endings(paragraphs, q, 5)
    ]
    return Work("loglikelihood", asked)


def _letters(paragraphs: Sequence[str], questions: int) -> Work:
    header, asked = _header(paragraphs, 0), []
    for q in range(questions):
        listed = "\n".join(f"{letter}.{ending}" for letter, ending in zip("ABCD", _endings(paragraphs, q, 5), strict=True))
        asked += [LogLikelihood(f"{header}{_question(paragraphs, q)}\n{listed}\nAnswer:", f" {letter}") for letter in "ABCD"]
    return Work("loglikelihood", asked)


def _long_endings(paragraphs: Sequence[str], questions: int) -> Work:
    asked = [
        LogLikelihood(_words(paragraphs, q, 0, 25 + q % 23), ending)
        for q in range(questions)
        for ending in _endings(paragraphs, q, 18 + q % 9)
    ]
    return Work("loglikelihood", asked)


def _subjects(paragraphs: Sequence[str], questions: int) -> Work:
    asked = []
    for subject in range(max(1, questions // 4)):
        header = _header(paragraphs, 7 * subject, 60)
        for q in range(4 * subject, 4 * subject + 4):
            asked += [LogLikelihood(f"{header}{_question(paragraphs, q)}\nAnswer:", f" {letter}") for letter in "ABCD"]
    return Work("loglikelihood", asked)


def _passages(paragraphs: Sequence[str], questions: int) -> Work:
    asked = []
    for q in range(questions):
        passage = _words(paragraphs, q // 3, 0, 150)
        asked += [LogLikelihood(f"{passage}\n{_question(paragraphs, q)}\nAnswer:", ending) for ending in _endings(paragraphs, q, 5)]
    return Work("loglikelihood", asked)


def _rolling(paragraphs: Sequence[str], questions: int) -> Work:
    lengths = (40, 90, 300, 700, 1500, 150, 60, 220)
    return Work(
        "loglikelihood_rolling", [RollingLogLikelihood(_long(paragraphs, q, lengths[q % len(lengths)])) for q in range(questions // 3)]
    )


def _long(paragraphs: Sequence[str], at: int, num_words: int) -> str:
    words: list[str] = []
    while len(words) < num_words:
        words += paragraphs[at % len(paragraphs)].split()
        at += 13
    return " ".join(words[:num_words])


def _generation(paragraphs: Sequence[str], questions: int) -> Work:
    header = _header(paragraphs, 0)
    return Work(
        "generate_until",
        [Generate(f"{header}{_question(paragraphs, q)}\nAnswer:", 64, ("\n\nQuestion:",)) for q in range(max(1, questions // 3))],
    )


WORKS: dict[str, Callable[[Sequence[str], int], Work]] = {
    "choices": _choices, "letters": _letters, "endings": _long_endings, "subjects": _subjects, "passages": _passages, "rolling": _rolling,
    "generation": _generation,
}  # fmt: skip


if __name__ == "__main__":
    main()
