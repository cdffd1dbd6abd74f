"""How fast the probes are beside Captum on the same model, texts and perturbations. Run by hand:

    python bench/captum.py MODEL TEXTS [--methods integrated_gradients ...] [--sentences 64] [--pairs 5] [--device cpu]

MODEL: a folder with a text classifier. TEXTS: a text file, one a line. Captum explains one text at a time, as its documentation does:
integrated gradients with all steps of a text in one pass, from the class that the model predicts and with the convergence delta, since the
probe gives both too; ablation and Shapley sampling over the words of a text, once as shipped, one perturbation a pass, and once with 32.
Its weights are frozen, as the probe's are.

First both sides' attributions must be equal, to 1e-5 of the largest. Then they run in turns in one process, and the median of the
pairs' ratios is printed, with the work that each side did: of wall time, and of CPU time, which a busy machine moves less and which says
nothing of a GPU.
"""

from __future__ import annotations

import argparse
import copy
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

# This file is named for the peer, whose package must be found before it.
sys.path.append(sys.path.pop(0))

os.environ.setdefault("OMP_WAIT_POLICY", "passive")
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")

import numpy as np
import torch
from captum import attr
from turns import faster, in_turns
from windtunnel.harness.engine import Engine
from windtunnel.harness.models.hf import HuggingFace
from windtunnel.harness.removal import without
from windtunnel.harness.samples import Sample
from windtunnel.harness.words import gather, word_spans
from windtunnel.probes.feature_ablation import FeatureAblation
from windtunnel.probes.integrated_gradients import IntegratedGradients
from windtunnel.probes.perturbation import Words
from windtunnel.probes.shapley_value_sampling import ShapleyValueSampling

TOLERANCE = 1e-5
AT_ONCE = 32
"""``perturbations_per_eval`` of Captum's better setting."""
Values = list[np.ndarray]
Side = Callable[[], Values]


class Peer:
    """Captum on the adapter's module and tokenizer, one text at a time. Counts its passes and positions, padding with them."""

    def __init__(self, model: Any, samples: Sequence[Sample]) -> None:
        self.model, self.samples = model, samples
        # A copy, as transformers has it: without the weights that the adapter laid out for the CPU.
        self.module = copy.deepcopy(model.module)
        self.passes = self.positions = 0

    def logits(self, **given: torch.Tensor) -> torch.Tensor:
        self.passes += 1
        self.positions += given["attention_mask"].numel()
        found: torch.Tensor = self.module(**given).logits
        return found

    def tokens(self, texts: Sequence[str]) -> Any:
        encoded = self.model.tokenizer(texts, padding=True, truncation=True, max_length=self.model.max_length, return_tensors="pt")
        return encoded.to(self.model.device)

    @torch.no_grad()
    def predicted(self, sample: Sample) -> int:
        return int(self.logits(**self.tokens([str(sample.input)])).argmax())

    def integrated_gradients(self, steps: int) -> Values:
        return [self._integrated(sample, steps) for sample in self.samples]

    def _integrated(self, sample: Sample, steps: int) -> np.ndarray:
        tokenizer, embed, text = self.model.tokenizer, self.module.get_input_embeddings(), str(sample.input)
        target, given = self.predicted(sample), self.tokens([text])
        ids = given.pop("input_ids")
        special = tokenizer.get_special_tokens_mask(ids[0].tolist(), already_has_special_tokens=True)
        neutral = torch.where(torch.tensor([special], device=ids.device, dtype=torch.bool), ids, tokenizer.pad_token_id)
        with torch.no_grad():
            features, baseline = embed(ids), embed(neutral)

        def forward(inputs_embeds: torch.Tensor) -> torch.Tensor:
            return self.logits(inputs_embeds=inputs_embeds, **{k: v.expand(len(inputs_embeds), -1) for k, v in given.items()})

        method = attr.IntegratedGradients(forward)
        values, _ = method.attribute(features, baseline, target, n_steps=steps, method="gausslegendre", return_convergence_delta=True)
        spans = tokenizer(text, return_offsets_mapping=True, truncation=True, max_length=self.model.max_length)["offset_mapping"]
        spans = [(0, 0) if is_special else tuple(span) for span, is_special in zip(spans, special, strict=True)]
        return gather(values.double().sum(-1)[0].cpu().numpy(), spans, word_spans(text))

    def feature_ablation(self, at_once: int) -> Values:
        return [
            attr.FeatureAblation(forward).attribute(ones, target=target, perturbations_per_eval=at_once)[0].cpu().numpy()
            for _, forward, ones, target in self._games()
        ]

    def shapley_value_sampling(self, at_once: int, probe: ShapleyValueSampling) -> Values:
        found = []
        for sample, forward, ones, target in self._games():
            method = attr.ShapleyValueSampling(forward)
            orders = list(probe.orders(Words(str(sample.input)), probe.rng(sample.id)))
            method.permutation_generator = lambda *_, orders=orders: orders
            found.append(method.attribute(ones, target=target, perturbations_per_eval=at_once)[0].cpu().numpy())
        return found

    def _games(self) -> Iterator[tuple[Sample, Callable[[torch.Tensor], torch.Tensor], torch.Tensor, int]]:
        """Each text as a game over its words: a tensor of ones, one a word, and what the model says of those that stay ones."""
        for sample in self.samples:
            text, spans = str(sample.input), word_spans(str(sample.input))

            def forward(masks: torch.Tensor, text: str = text, spans: Any = spans) -> torch.Tensor:
                shown = [without(text, [s for s, on in zip(spans, mask, strict=True) if not on]) for mask in masks.tolist()]
                return self.logits(**self.tokens(shown))

            yield sample, forward, torch.ones(1, len(spans), device=self.model.device), self.predicted(sample)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    names = ("integrated_gradients", "feature_ablation", "shapley_value_sampling")
    parser.add_argument("model")
    parser.add_argument("texts", type=Path)
    parser.add_argument("--methods", nargs="+", choices=names, default=names)
    parser.add_argument("--sentences", type=int, default=64)
    parser.add_argument("--pairs", type=int, default=5)
    parser.add_argument("--steps", type=int, default=50)
    parser.add_argument("--permutations", type=int, default=25)
    parser.add_argument("--device", default="cpu")
    given = parser.parse_args()
    lines = (line.strip() for line in given.texts.read_text(encoding="utf-8").splitlines())
    texts = list(dict.fromkeys(line for line in lines if word_spans(line)))[: given.sentences]
    source = HuggingFace(given.model)
    info, model = source.inspect(), source.load(given.device, "float32")
    model.module.requires_grad_(False)  # type: ignore[attr-defined]
    samples = [Sample(f"s{i}", text, None, info.labels) for i, text in enumerate(texts)]
    peer = Peer(model, samples)
    shapley = ShapleyValueSampling(permutations=given.permutations)
    probes: dict[str, Any] = {
        "integrated_gradients": IntegratedGradients(steps=given.steps, max_steps=given.steps),
        "feature_ablation": FeatureAblation(),
        "shapley_value_sampling": shapley,
    }
    peers: dict[str, dict[str, Side]] = {
        "integrated_gradients": {f"{given.steps} steps a pass": lambda: peer.integrated_gradients(given.steps)},
        "feature_ablation": {f"{n} a pass": lambda n=n: peer.feature_ablation(n) for n in (1, AT_ONCE)},  # type: ignore[misc]
        "shapley_value_sampling": {
            f"{n} a pass": lambda n=n: peer.shapley_value_sampling(n, shapley)  # type: ignore[misc]
            for n in (1, AT_ONCE)
        },
    }
    print(f"{len(texts)} texts, {sum(map(len, map(word_spans, texts)))} words; {model.device}, {torch.get_num_threads()} threads")  # type: ignore[attr-defined]
    return max(compare(name, probes[name], peers[name], peer, lambda: Engine(model, info), given.pairs) for name in given.methods)


def compare(name: str, probe: Any, peers: dict[str, Side], peer: Peer, make: Callable[[], Engine], pairs: int) -> int:
    engines: list[Engine] = []

    def project() -> Values:
        # A new engine each time: no answer comes from a cache.
        engines.append(make())
        return [attribution.values for attribution in probe.attribute(engines[-1], peer.samples)]

    ours, done = project(), engines[-1].counters.take()
    positions = done["tokens_computed"] + done["tokens_padded"]
    print(f"{name}\n  project        {_work(done['forward_passes'] + done['gradient_passes'], positions)}", end="")
    print(f", {done['tokens_padded'] / positions:.1%} of them padding", flush=True)
    for setting, side in peers.items():
        peer.passes = peer.positions = 0
        apart = _apart(ours, side())
        print(f"  Captum, {setting}: {_work(peer.passes, peer.positions)}; attributions differ by {apart:.1e} of the largest", flush=True)
        if not apart <= TOLERANCE:
            print(f"  not equal within {TOLERANCE:.0e}: no ratio is worth anything", file=sys.stderr)
            return 1
    _, spent = in_turns({"project": project, **peers}, pairs)
    for setting in peers:
        print(f"  faster than Captum, {setting}: {faster(spent[setting], spent['project'])}", flush=True)
    return 0


def _work(passes: int, positions: int) -> str:
    return f"{passes:,} passes, {positions:,} positions"


def _apart(ours: Values, theirs: Values) -> float:
    largest = max(float(np.abs(b).max()) for b in theirs)
    return max(float(np.abs(a - b).max()) for a, b in zip(ours, theirs, strict=True)) / largest


if __name__ == "__main__":
    sys.exit(main())
