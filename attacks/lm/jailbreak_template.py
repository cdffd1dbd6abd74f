"""Jailbreak by template: the unchanged prompt inside a frame that is meant to make the model answer."""

from __future__ import annotations

from collections.abc import Sequence

from ...harness.api.attack import Attack
from ...harness.api.errors import ConfigError, suggest_name
from ...harness.api.model_port import ModelPort
from ...harness.api.samples import Sample, SampleRng
from ...harness.threats import AnyPrompt
from .prompts import read_prompt, replace_prompt
from .templates import TEMPLATES


class JailbreakTemplate(Attack[AnyPrompt]):
    """Put the unchanged prompt into a fixed frame (Wei et al. 2023). Black-box, without a search.

    template: role_play, refusal_suppression, prefix_injection, combined (all three), hypothetical or
        developer.
    text: your own frame instead, with {prompt} in place of the request.

    Benign prompts get the frame, too, so that its over-refusal can be compared with its success.

    Wei, Haghtalab, Steinhardt: Jailbroken: How Does LLM Safety Training Fail? NeurIPS 2023,
    https://arxiv.org/abs/2307.02483
    """

    requires = frozenset({"generate", "text"})
    covers_all = True

    def __init__(self, *, template: str = "combined", text: str = "") -> None:
        if not text and template not in TEMPLATES:
            raise ConfigError(f"there is no template {template!r}.{suggest_name(template, TEMPLATES)} Templates: {', '.join(TEMPLATES)}")
        if text and text.count("{prompt}") != 1:
            raise ConfigError(f"text: a frame must contain {{prompt}} exactly once; this one contains it {text.count('{prompt}')} times")
        self.threat = AnyPrompt(keep_prompt=True)
        self._before, self._after = (text or TEMPLATES[template]).split("{prompt}")

    def perturb(self, engine: ModelPort, samples: Sequence[Sample], threat: AnyPrompt, rng: SampleRng, /) -> Sequence[Sample]:
        return [replace_prompt(s, f"{self._before}{read_prompt(s)}{self._after}", num_queries=1) for s in samples]
