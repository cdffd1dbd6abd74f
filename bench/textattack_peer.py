"""TextAttack's side of `textattack.py`: its own recipe and search, on one text after the other, as its manual has it.

What a recipe would download is served to it: WordNet, vectors and tags as the project reads them; the masked language model to TextAttack's
own transformations; a sentence encoder and a causal language model by the project's engine, call by call. (That engine runs once what is
twice in a call, and lays weights out for the CPU: these two serve the peer faster than it would itself.)
"""

from __future__ import annotations

import copy
import sys
import warnings
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from functools import cached_property, partial
from types import SimpleNamespace
from typing import Any, TypeAlias

import torch
from windtunnel.attacks.text.textattack_import import serve_stop_words
from windtunnel.attacks.text.textattack_recipe import TextAttackRecipe
from windtunnel.attacks.text.textattack_supplies import Supplies
from windtunnel.harness.api.requests import Request
from windtunnel.harness.api.samples import Sample, SampleRng
from windtunnel.harness.engine import Engine
from windtunnel.harness.language.stop_words import ENGLISH
from windtunnel.harness.models.hf.text_classifier import HFTextClassifier

Found: TypeAlias = list[tuple[str, str, int]]
"""Adversarial text, status and number of queries of each sample."""

_INFILLING = ("WordSwapMaskedLM", "WordInsertionMaskedLM", "WordMergeMaskedLM")


class Peer:
    """``padding``: ``shipped``, every text to the longest that a model takes, or ``dynamic``, to the longest of a batch.

    ``roles``: the engines of the project's roles. The classifier and the masked language model are copies, as transformers has them:
    without the weights that the adapters laid out for the CPU.
    """

    def __init__(
        self, recipe: TextAttackRecipe, model: HFTextClassifier, roles: Mapping[str, Engine], supplies: Supplies, rng: SampleRng,
        padding: str,
    ) -> None:  # fmt: skip
        self._recipe, self._roles, self._supplies, self._rng = recipe, roles, supplies, rng
        self._textattack, self._is_dynamic = supplies.textattack, padding == "dynamic"
        self.wrapper = self._wrapper(copy.deepcopy(model.module), model.tokenizer)
        # The recipe that follows a gradient takes it in training mode: by chance, where there is dropout. Here it stays in evaluation.
        self.wrapper.model.train = lambda mode=True: self.wrapper.model

    @property
    def modules(self) -> list[torch.nn.Module]:
        """All that it runs."""
        encoders = [engine.model.module for role, engine in self._roles.items() if role != "masked_lm"]  # type: ignore[attr-defined]
        return [self.wrapper.model, *encoders, *([self._masked_lm] if "masked_lm" in self._roles else [])]

    def __call__(self, samples: Sequence[Sample]) -> Found:
        attacks: dict[Any, Any] = {}
        found = []
        with ExitStack() as inside:
            inside.enter_context(warnings.catch_warnings(action="ignore"))
            inside.enter_context(self._supplies.at_search())
            for sample in samples:
                if sample.target not in attacks:
                    attacks[sample.target] = self._built(sample)
                self._textattack.shared.utils.set_seed(self._rng.seed(sample.id) % 2**32)
                result = attacks[sample.target].attack(sample.input, sample.target)
                status = type(result).__name__.removesuffix("AttackResult").lower().replace("successful", "success")
                found.append((result.perturbed_result.attacked_text.text, status, result.num_queries))
        return found

    def _built(self, sample: Sample) -> Any:
        recipe = getattr(self._textattack.attack_recipes, self._recipe.recipe)
        with serve_stop_words(ENGLISH), self._supplies.at_build(sys.modules[recipe.__module__], self._ask, self._masked_lm_names()):
            return recipe.build(self.wrapper, **self._recipe.settings(sample.target, len(sample.labels)))

    def _ask(self, role: str, requests: Sequence[Request[Any]]) -> list[Any]:
        engine = self._roles[role]
        # A new engine each time: no answer comes from a cache.
        return Engine(engine.model, engine.info).run(requests)

    def _wrapper(self, module: Any, tokenizer: Any) -> Any:
        plain = self._textattack.models.wrappers.HuggingFaceModelWrapper

        class Dynamic(plain):  # type: ignore[misc, valid-type]
            def __call__(self, texts: list[str]) -> torch.Tensor:
                inputs = self.tokenizer(texts, padding=True, truncation=True, return_tensors="pt").to(self.model.device)
                with torch.no_grad():
                    logits: torch.Tensor = self.model(**inputs).logits
                return logits

        return (Dynamic if self._is_dynamic else plain)(module, tokenizer)

    # ── the masked language model ─────────────────────────────────────────────────────────────────────────────────────

    @cached_property
    def _masked_lm(self) -> torch.nn.Module:
        return copy.deepcopy(self._roles["masked_lm"].model.module)  # type: ignore[attr-defined, no-any-return]

    def _masked_lm_names(self) -> Mapping[str, Any]:
        """The names by which the recipes reach it."""
        if "masked_lm" not in self._roles:
            return {}
        tokenizer: Any = self._roles["masked_lm"].model.tokenizer  # type: ignore[attr-defined]
        given = {"masked_language_model": self._masked_lm, "tokenizer": tokenizer}
        by_name = [SimpleNamespace(from_pretrained=lambda name, it=it: it) for it in given.values()]
        return {
            **{name: partial(self._infilling(getattr(self._textattack.transformations, name)), **given) for name in _INFILLING},
            "transformers": SimpleNamespace(AutoModelForCausalLM=by_name[0], AutoTokenizer=by_name[1]),
        }

    def _infilling(self, plain: Any) -> Any:
        class Dynamic(plain):  # type: ignore[misc]
            def _encode_text(self, text: Any) -> Any:
                tokens = self._lm_tokenizer(text, max_length=self.max_length, truncation=True, padding=True, return_tensors="pt")
                return tokens.to(self._language_model.device)

        return Dynamic if self._is_dynamic else plain
