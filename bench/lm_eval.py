"""Language models: the same numbers as lm-evaluation-harness, and how much sooner. Run by hand:

    pip install -e '.[bench]'
    python bench/lm_eval.py MODEL TEXTS [--work choices,letters,...] [--questions 48] [--pairs 5] [--device cpu] [--dtype float32]

MODEL: a folder with a causal language model. TEXTS: a text file with paragraphs, one a line. Both sides hold the same weights in one
process. First their answers are compared; then they run in turns, lm-evaluation-harness at the batch size that was fastest on a part of the
work, and what is printed is the median ratio of their times, wall and CPU (which a busy machine changes less).

Work: see `questions.py`. ``--subjects FOLDER`` takes the work subjects from CSV files, ``--questions`` of each.
"""

from __future__ import annotations

import argparse
import copy
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

# This file is named for the peer, whose package must be found before it.
sys.path.append(sys.path.pop(0))

os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("OMP_WAIT_POLICY", "passive")
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")

import torch
from questions import WORKS, Work, paragraphs_of, subjects_of
from turns import faster, in_turns, median_s, timed
from windtunnel.harness.api.requests import LogLikelihood, RollingLogLikelihood
from windtunnel.harness.engine import Engine
from windtunnel.harness.engine.packing import Budget
from windtunnel.harness.models.hf.source import HuggingFace
from windtunnel.harness.models.torch.flops import measure_flops_per_s
from windtunnel.harness.system.malloc import keep_freed_memory

PEER, OURS = "lm-evaluation-harness", "windtunnel"
BATCH_SIZES = (1, 4, 8, 16, 32)
PER_TOKEN = 1.6e-5
"""What float32 log_softmax may be off by, in nats a token (lm-evaluation-harness sums it)."""


def main() -> None:
    keep_freed_memory()
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model")
    parser.add_argument("texts", type=Path)
    parser.add_argument("--work", default=",".join(WORKS))
    parser.add_argument("--questions", type=int, default=48)
    parser.add_argument("--subjects", type=Path)
    parser.add_argument("--pairs", type=int, default=5)
    parser.add_argument("--device", default="auto")
    parser.add_argument("--dtype", default="float32")
    parser.add_argument("--batch-sizes", default=",".join(map(str, BATCH_SIZES)))
    given = parser.parse_args()
    paragraphs = paragraphs_of(given.texts)
    source = HuggingFace(given.model)
    model: Any = source.load(given.device, given.dtype)
    info = source.inspect()
    print(f"{given.model} in {model.module.dtype} on {model.device}, {torch.get_num_threads()} threads; packs: {model.no_packs or 'yes'}")
    for name in given.work.split(","):
        own = name == "subjects" and given.subjects
        work = subjects_of(given.subjects, given.questions) if own else WORKS[name](paragraphs, given.questions)
        _compare(name, work, model, info, [int(n) for n in given.batch_sizes.split(",")], given.pairs)


def _compare(name: str, work: Work, model: Any, info: Any, sizes: Sequence[int], pairs: int) -> None:
    part = Work(work.kind, work.requests[: max(8, len(work.requests) // 8)])
    size = min(sizes, key=lambda n: timed(_peer(model, part, n))[1].wall) if len(sizes) > 1 else sizes[0]
    counters: list[Any] = []

    def project() -> list[Any]:
        # A new engine each time: no answer comes from a cache.
        engine = Engine(model, info, budget=Budget.of(model.device.type))
        answers = engine.run(work.requests)
        counters[:] = [engine.counters]
        return answers

    answers, spent = in_turns({PEER: _peer(model, work, size), OURS: project}, pairs)
    c, seconds = counters[0], median_s(spent[OURS])
    print(f"{name:<11} {len(work.requests):>5} requests  {_differences(work, *answers.values())}")
    print(f"            {PEER} (batch {size}) {median_s(spent[PEER]):.2f} s, {OURS} {seconds:.2f} s:  {faster(spent[PEER], spent[OURS])}")
    asked, rate = c.tokens_computed + c.tokens_shared, c.flops / seconds
    print(
        f"            tokens {asked:,} asked, {c.tokens_computed:,} computed, {c.tokens_padded:,} padded, {c.forward_passes:,} passes;",
        end=" ",
    )
    print(f"{rate / 1e9:.0f} GFLOP/s, {rate / measure_flops_per_s(model.device, model.dtype):.0%} of a plain product's", flush=True)


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

    # A copy, as transformers has it: without the weights that the adapter laid out for the CPU.
    module = copy.deepcopy(model.module)
    lm = HFLM(
        pretrained=module, tokenizer=model.tokenizer, backend="causal", batch_size=batch_size, max_length=model.max_length,
        device=str(model.device),
        # Where the tokenizer begins texts with BOS itself, a rolling text would have two, and the second one's log-probability in its sum.
        add_bos_token=False if work.kind == "loglikelihood_rolling" else None,
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


if __name__ == "__main__":
    main()
