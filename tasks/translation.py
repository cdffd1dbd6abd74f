"""Translate texts, and compare them with reference translations."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from typing import Any, ClassVar, Unpack

from ..harness.data import DataSpec
from ..harness.metrics.libraries import import_library, require_library
from .base import Common
from .reference_texts import SOURCE, ReferenceTexts


class Translation(ReferenceTexts):
    """Translate a text. The corpus scores are BLEU, chrF and TER of sacrebleu; for languages without spaces set metrics: [bleu_zh, chrf].

    Scores: ``sentence_chrf``, chrF of the translation from 0 to 100; ``adequate``, 1 if it is at least the setting ``adequate``.
        Attacks succeed on a translation that was adequate and no longer is.

    source: field with the text to translate.
    reference: field with the translation, or with a list of translations; or several fields.
    prompt: text for language models, with {source} where the source stands. Encoder-decoders need none.
    max_tokens: maximum length of a translation.
    stop: strings that end a translation.
    adequate: smallest sentence chrF of an adequate translation.
    header: text before everything.
    num_fewshot: number of few-shot examples, the first rows of fewshot_split.
    fewshot_split: split of the few-shot examples.
    """

    default_metrics: ClassVar[tuple[str, ...]] = ("bleu", "chrf", "ter", "adequate")

    def __init__(
        self,
        name: str,
        data: DataSpec,
        *,
        source: str,
        reference: str | Sequence[str],
        prompt: str = SOURCE,
        max_tokens: int = 256,
        stop: Sequence[str] = (),
        adequate: float = 40.0,
        header: str = "",
        num_fewshot: int = 0,
        fewshot_split: str = "dev",
        **common: Unpack[Common],
    ) -> None:
        require_library("sacrebleu", f"the task {name!r}")
        self._adequate = adequate
        fields = self.set_up(
            data, source=source, reference=reference, prompt=prompt, max_tokens=max_tokens, stop=stop, num_fewshot=num_fewshot,
            fewshot_split=fewshot_split, header=header,
        )  # fmt: skip
        super().__init__(name, data, fields, **common)

    @cached_property
    def _chrf(self) -> Any:
        return import_library("sacrebleu.metrics", "translation").CHRF()

    def compare(self, source: str, text: str, references: Sequence[str]) -> dict[str, float]:
        chrf = float(self._chrf.sentence_score(text, list(references)).score)
        return {"sentence_chrf": chrf, "adequate": float(chrf >= self._adequate)}
