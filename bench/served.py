"""A checkpoint behind an endpoint: its greedy answers, token by token, beside those of the same checkpoint. Run by hand:

    pip install -e '.[endpoints]' 'transformers[serving]>=5'
    transformers serve --port 8791 --device cpu --dtype float32 MODEL
    python bench/served.py MODEL QUESTIONS http://127.0.0.1:8791/v1 [--items 50] [--tokens 64]

MODEL: a folder with a causal language model; the server calls the model by the same path. QUESTIONS: a JSONL file with a field
``question``, such as GSM8K's.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from pathlib import Path

# The bench `profile` must not be found before the standard library's module.
sys.path.append(sys.path.pop(0))

os.environ.setdefault("HF_HUB_OFFLINE", "1")

from turns import timed
from windtunnel.harness.api.model_source import ModelSource
from windtunnel.harness.api.requests import Generate
from windtunnel.harness.api.responses import Completion
from windtunnel.harness.engine import Engine
from windtunnel.harness.models.endpoint.source import OpenAI
from windtunnel.harness.models.hf.source import HuggingFace


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model")
    parser.add_argument("questions", type=Path)
    parser.add_argument("url")
    parser.add_argument("--items", type=int, default=50)
    parser.add_argument("--tokens", type=int, default=64)
    options = parser.parse_args()
    rows = [json.loads(line) for line in options.questions.read_text(encoding="utf-8").splitlines()][: options.items]
    requests = [Generate(f"Question: {row['question']}\nAnswer:", options.tokens, ("Question:",)) for row in rows]
    checkpoint = HuggingFace(options.model)
    own = answer("hf", checkpoint, requests)
    # `transformers serve` generates one answer at a time.
    served = answer("openai", OpenAI(options.model, base_url=options.url, concurrency=1, timeout=600), requests)
    tokenizer = checkpoint.load_tokenizer()[0]
    tokens = [tuple(tokenizer(one.text, add_special_tokens=False)["input_ids"] for one in pair) for pair in zip(own, served, strict=True)]
    same = sum(a == b for one, other in tokens for a, b in zip(one, other, strict=False))
    print(f"{sum(a.text == b.text for a, b in zip(own, served, strict=True))} of {len(rows)} answers are equal")
    print(f"{same} of {sum(max(map(len, pair)) for pair in tokens)} tokens are equal")


def answer(name: str, source: ModelSource, requests: list[Generate]) -> list[Completion]:
    engine = Engine(source.load("cpu", "float32"), source.inspect())
    answers: list[Completion]
    answers, spent = timed(lambda: engine.run(requests))
    print(f"{name}: {spent.wall:.0f} s, {spent.cpu:.0f} s of CPU in this process", flush=True)
    return answers


if __name__ == "__main__":
    main()
