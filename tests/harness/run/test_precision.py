"""What a run says of its number format and of what the machine gives: drift from float32, and the share of a plain product's speed."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pytest
import torch
from windtunnel.harness.api.requests import Classify, LogLikelihood
from windtunnel.harness.api.scorecard import Scorecard
from windtunnel.harness.models.torch.flops import count_flops_per_token, measure_flops_per_s
from windtunnel.tests import tiny
from windtunnel.tests.toys import row, run

PAIRS = [
    (f"{before} {number}", after)
    for number in range(12)
    for before, after in (
        ("the cat sat on a", "table"),
        ("a young dog was able to", "read"),
        ("bad films that were", "great"),
        ("the", "end"),
    )
]


def scored(folder: Path, dtype: str) -> Scorecard:
    rows = [json.dumps({"said": a, "next": b}) for a, b in PAIRS]
    (folder / "rows.jsonl").write_text("\n".join(rows), encoding="utf-8")
    (folder / "ours.yaml").write_text(
        "family: cloze\ntitle: Ours\ndata: {files: rows.jsonl}\ncontext: said\ntarget: next\n", encoding="utf-8"
    )
    model = {"name": "lm", "model": f"hf:{tiny.checkpoint('llama')}"}
    tasks: list[dict[str, Any]] = [{"task": str(folder / "ours.yaml"), "name": "ours"}]
    return run(folder, models=[model], tasks=tasks, dtype=dtype)


def test_half_precision_is_held_against_float32(tmp_path: Path) -> None:
    card = scored(tmp_path, "bfloat16")
    found = row(card, "batch_invariance(ours)", "max_precision_drift").estimate
    requests = [LogLikelihood(a, b, " ") for a, b in PAIRS[:8]]
    short, exact = (tiny.engine(tiny.load("llama", dtype=d), rows=1, pack=0).run(requests) for d in ("bfloat16", "float32"))
    # As independent errors of tokens add up: a nat a token, or more where the tokens are less likely. The run has them from a pack, which
    # rounds otherwise: hence 5 %.
    scale = [math.sqrt(a.num_tokens) * max(1.0, -a.value / a.num_tokens) for a in short]
    unit = math.sqrt(sum(s * s for s in scale) / len(scale))
    gaps = [abs(a.value - b.value) / unit for a, b in zip(short, exact, strict=True)]
    assert found.n > 0
    assert found.value is not None
    assert any(found.value == pytest.approx(gap, rel=0.05) for gap in gaps)
    assert any("in bfloat16 an answer is" in flag for flag in card.manifest["flags"])


def test_float32_is_held_against_nothing(tmp_path: Path) -> None:
    card = scored(tmp_path, "float32")
    assert "max_precision_drift" not in {r.name for r in card.rows}
    assert row(card, "batch_invariance(ours)", "max_batch_drift").estimate.value < 1e-4  # type: ignore[operator]


def test_a_run_says_what_share_of_a_plain_product_it_reaches(tmp_path: Path) -> None:
    timing = scored(tmp_path, "float32").timing["lm/ours"]
    assert timing["gflop_per_s"] > 0
    peak = measure_flops_per_s(torch.device("cpu"), torch.float32)
    assert timing["share_of_matmul_peak"] == pytest.approx(timing["gflop_per_s"] * 1e9 / peak, rel=0.02, abs=2e-3)


def test_operations_of_a_gradient_are_twice_a_passs() -> None:
    model = tiny.load("bert")
    engine = tiny.engine(model)
    with engine.differentiable() as differentiable:
        encoded = differentiable.encode([Classify("the cat sat")])
        differentiable.logits(encoded.features.detach(), encoded)
        assert engine.counters.flops == encoded.mask_BL.sum() * model.flops_per_token  # type: ignore[union-attr]
        differentiable.logits(encoded.features.detach().requires_grad_(), encoded)
    assert engine.counters.flops == 3 * encoded.mask_BL.sum() * model.flops_per_token  # type: ignore[union-attr]


def test_operations_of_a_known_case() -> None:
    """Two sequences with a token in common: products with every layer's weights, with the head where scored, and attention."""
    model = tiny.load("llama")
    config = model.module.config
    head = 2 * config.hidden_size * config.vocab_size
    body = sum(2 * p.numel() for name, p in model.module.named_parameters() if "proj" in name)
    assert count_flops_per_token(model.module) == head + body
    engine = tiny.engine(model)
    engine.run([LogLikelihood("the", " cat"), LogLikelihood("the", " dog")])
    tokens, pairs = engine.counters.tokens_computed, 4 * config.hidden_size * config.num_hidden_layers
    depth = len(model.split(LogLikelihood("the", " cat"))[0].ids) - 1
    assert tokens == depth, "what the two read is the same"
    assert engine.counters.flops == tokens * body + head + depth * (depth + 1) // 2 * pairs
