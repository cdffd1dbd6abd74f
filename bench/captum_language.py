"""How fast the probes explain a language model's answers beside Captum on the same prompts, answers and perturbations. Run by hand:

    python bench/captum_language.py MODEL PROMPTS [--methods feature_ablation ...] [--samples 20] [--tokens 16] [--pairs 2]

MODEL: a folder with a causal language model that has a chat template. PROMPTS: a text file, one a line, each sent as a user's message. The
explained answers are what the model writes. Captum explains one sample at a time: `LLMAttribution` with ``use_cached_outputs=False`` (with
cached outputs it is wrong on transformers 5), token by token as shipped, and in one pass a perturbation; `LLMGradientAttribution`, which
follows each token of the answer by itself, and in its place the gradient of their sum, which is what the probe gives.

First both sides' attributions must be equal, to 1e-4 of the largest: sums of log-likelihoods in float32. Then they run in turns in one
process.
"""

from __future__ import annotations

import argparse
import copy
import os
import statistics
import sys
import warnings
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

# A file beside this one is named for the peer, whose package must be found before it.
sys.path.append(sys.path.pop(0))

os.environ.setdefault("OMP_WAIT_POLICY", "passive")
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")

import numpy as np
import torch
from captum import attr
from turns import faster, in_turns
from windtunnel.harness.api.registry import Registry
from windtunnel.harness.api.requests import Generate
from windtunnel.harness.api.samples import Sample
from windtunnel.harness.engine import Engine
from windtunnel.harness.engine.continuations import ContinuationPort, Frame
from windtunnel.harness.modalities.chat import Chat, Message
from windtunnel.harness.modalities.words import cut_out, gather, word_spans
from windtunnel.harness.models.hf.source import HuggingFace
from windtunnel.harness.system.malloc import keep_freed_memory

TOLERANCE = 1e-4
Values = list[np.ndarray]


def main() -> int:
    keep_freed_memory()
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model")
    parser.add_argument("prompts", type=Path)
    parser.add_argument("--methods", nargs="+", default=list(METHODS), choices=tuple(METHODS))
    parser.add_argument("--samples", type=int, default=20)
    parser.add_argument("--tokens", type=int, default=16)
    parser.add_argument("--pairs", type=int, default=2)
    parser.add_argument("--steps", type=int, default=16)
    parser.add_argument("--permutations", type=int, default=2)
    given = parser.parse_args()
    source = HuggingFace(given.model)
    info, model = source.inspect(), source.load("cpu", "float32")
    frame = Frame(chat=Chat((Message("user", ""),)))
    prompts = [line.strip() for line in given.prompts.read_text(encoding="utf-8").splitlines() if word_spans(line)][: given.samples]
    written = Engine(model, info).run([Generate(frame.prompt(prompt), given.tokens) for prompt in prompts])
    samples = [Sample(f"p{i}", p, 0, (a.text,)) for i, (p, a) in enumerate(zip(prompts, written, strict=True)) if a.text.strip()]
    peer = Peer(model, samples, frame)
    print(f"{len(samples)} prompts; {torch.get_num_threads()} threads")
    for name in given.methods:
        options = {"integrated_gradients": {"steps": given.steps, "max_steps": given.steps},
                   "shapley_value_sampling": {"permutations": given.permutations}}.get(name, {})  # fmt: skip
        probe = Registry().make("probes", name, **options)

        def project(probe: Any = probe) -> Values:
            # A new engine each time: no answer comes from a cache.
            return [a.values for a in probe.attribute(ContinuationPort(Engine(model, info), frame), samples)]

        sides = {setting: partial(explain, peer, probe) for setting, explain in METHODS[name].items()}
        answers, spent = in_turns({"project": project, **sides}, given.pairs)
        print(f"{name}\n  project: {statistics.median(s.cpu for s in spent['project']):.2f} s of CPU")
        for setting in sides:
            apart = max(float(np.abs(a - b).max() / np.abs(b).max()) for a, b in zip(answers["project"], answers[setting], strict=True))
            took = statistics.median(s.cpu for s in spent[setting])
            print(f"  Captum, {setting}: {took:.2f} s of CPU; attributions differ by {apart:.1e} of the largest")
            print(f"    the project is faster by {faster(spent[setting], spent['project'])}", flush=True)
            if not apart <= TOLERANCE:
                print(f"  not equal within {TOLERANCE:.0e}: no ratio is worth anything", file=sys.stderr)
                return 1
    return 0


class Peer:
    """The network as it came, without the weights that the adapter laid out for the CPU, and its prompts."""

    def __init__(self, model: Any, samples: Sequence[Sample], frame: Frame) -> None:
        self.samples, self.tokenizer, self.neutral = samples, model.tokenizer, model.neutral
        self.module = copy.deepcopy(model.module).requires_grad_(False)
        self._model, self._frame = model, frame

    def text(self, prompt: str) -> str:
        template: str = self._model.opened(self._frame.prompt(prompt))[0]
        return template

    def ids(self, text: str) -> list[int]:
        """As the template has them: it writes the special tokens itself."""
        found: list[int] = self.tokenizer(text, add_special_tokens=False)["input_ids"]
        return found

    def answer(self, sample: Sample) -> torch.Tensor:
        return torch.tensor(self.ids(sample.labels[0]))


def by_removal(make: Callable[[Any], Any], in_tokens: bool, peer: Peer, probe: Any) -> Values:
    found = []
    for sample in peer.samples:
        text = str(sample.input)
        spans = word_spans(text)

        def shown(*words: str, text: str = text, spans: Any = spans) -> str:
            return peer.text(cut_out(text, [span for span, word in zip(spans, words, strict=True) if not word]))

        given = attr.TextTemplateInput(shown, values=[text[a:b] for a, b in spans], baselines=[""] * len(spans))
        method = make(peer.module)
        if isinstance(method, attr.ShapleyValueSampling):
            orders = list(probe.orders(probe.parts(text), probe.rng(sample.id)))
            method.permutation_generator = lambda *_, orders=orders: iter(orders)
        more = {"n_samples": probe.permutations} if isinstance(method, attr.ShapleyValueSampling) else {}
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            result = attr.LLMAttribution(method, peer.tokenizer).attribute(
                given, target=peer.answer(sample), use_cached_outputs=False, forward_in_tokens=in_tokens, **more
            )
        found.append(result.seq_attr.reshape(-1).numpy())
    return found


def by_integral(of_each_token: bool, peer: Peer, probe: Any) -> Values:
    found = []
    layer = attr.LayerIntegratedGradients(peer.module, peer.module.get_input_embeddings())
    for sample in peer.samples:
        text, answer = str(sample.input), peer.answer(sample)
        whole = peer.text(text)
        start = whole.rfind(text)
        offsets = peer.tokenizer(whole, add_special_tokens=False, return_offsets_mapping=True)["offset_mapping"]
        spans = [
            (max(a, start) - start, min(b, start + len(text)) - start) if b > start and a < start + len(text) else (0, 0)
            for a, b in offsets
        ]
        own, ids = torch.tensor([span != (0, 0) for span in spans]), torch.tensor(peer.ids(whole))
        neutral = torch.where(own, peer.neutral, ids)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            if of_each_token:
                given = attr.TextTokenInput(whole, peer.tokenizer, baselines=peer.neutral)
                plain = given.to_model_input
                # Captum has a baseline for each token of a prompt: here, as the probe has it, for those of the sample's text.
                given.to_model_input = lambda shown=None, plain=plain, own=own, given=given: torch.where(
                    own, plain(shown), given.inp_tensor
                )
                values = attr.LLMGradientAttribution(layer, peer.tokenizer).attribute(given, target=answer, n_steps=probe.steps).seq_attr
            else:
                values = _of_the_sum(peer, ids, neutral, answer, probe.steps)
        found.append(gather(values.reshape(-1).double().numpy()[: len(ids)], spans, word_spans(text)))
    return found


def _of_the_sum(peer: Peer, ids: torch.Tensor, neutral: torch.Tensor, answer: torch.Tensor, steps: int) -> torch.Tensor:
    embed = peer.module.get_input_embeddings()
    x, base = (embed(torch.cat([before, answer])[None]) for before in (ids, neutral))

    def forward(features: torch.Tensor) -> torch.Tensor:
        log_probs = peer.module(inputs_embeds=features).logits[:, len(ids) - 1 : -1].log_softmax(-1)
        summed: torch.Tensor = log_probs[:, torch.arange(len(answer)), answer].sum(1)
        return summed

    found: torch.Tensor = attr.IntegratedGradients(forward).attribute(x, base, n_steps=steps).sum(-1)[0].detach()
    return found


METHODS: dict[str, dict[str, Callable[[Peer, Any], Values]]] = {
    "feature_ablation": {
        "token by token": partial(by_removal, attr.FeatureAblation, True),
        "a pass a perturbation": partial(by_removal, attr.FeatureAblation, False),
    },
    "shapley_value_sampling": {
        "token by token": partial(by_removal, attr.ShapleyValueSampling, True),
        "a pass a perturbation": partial(by_removal, attr.ShapleyValueSampling, False),
    },
    "integrated_gradients": {"each token": partial(by_integral, True), "their sum": partial(by_integral, False)},
}


if __name__ == "__main__":
    sys.exit(main())
