"""TextAttack's models within a search, played by engines: what they would compute is asked of the pool.

So the questions that suspended searches put to a sentence encoder or a masked language model share batches, as those to the classifier do.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from importlib import import_module
from typing import Any, TypeAlias

from ...harness.api.requests import MASK, Embed, FillMask, LogLikelihood, Request
from ...harness.api.responses import Fillings, Response
from ...harness.system.quiet_import import import_quietly

AskRole: TypeAlias = Callable[[str, Sequence[Request[Response]]], list[Any]]
"""Role and requests to answers. Raises `SampleError` where one of them failed."""


class Role:
    """The engine of a role inside a search, which sends its requests to the pool."""

    def __init__(self, ask: AskRole, role: str) -> None:
        self._ask, self._role = ask, role

    def run(self, requests: Sequence[Request[Response]], /) -> list[Any]:
        return self._ask(self._role, requests)


class Encoder:
    """A sentence encoder with TensorFlow's interface: called with sentences, it returns a tensor [N, D]."""

    def __init__(self, ask: AskRole) -> None:
        self._ask = ask

    def __call__(self, sentences: Sequence[str]) -> Any:
        import torch

        return torch.tensor([answer.values for answer in self._ask("encoder", [Embed(sentence) for sentence in sentences])])

    encode = __call__


# ── masked language models ────────────────────────────────────────────────────────────────────────────────────────────


@cache
def make_infilling_classes(textattack: Any, /) -> Mapping[str, Any]:
    """Return TextAttack's masked-language-model transformations as classes that take ``ask`` first. Their
    settings that name a model are unused."""
    swaps: Any = textattack.transformations

    class WordSwapMaskedLM(swaps.WordSwapMaskedLM):  # type: ignore[misc]
        def __init__(self, ask: AskRole, method: str = "bae", max_candidates: int = 50, min_confidence: float = 5e-4, **_: Any) -> None:
            swaps.WordSwap.__init__(self)
            self._ask, self.method, self.max_candidates, self.min_confidence = ask, method, max_candidates, min_confidence

        def _bae_replacement_words(self, text: Any, indices: Sequence[int]) -> list[list[str]]:
            masked = [text.replace_word_at_index(index, MASK).text for index in indices]
            return find_fitting_words(textattack, self._ask, masked, self.max_candidates, self.min_confidence)

        def _get_transformations(self, text: Any, indices: Sequence[int]) -> list[Any]:
            if self.method != "bert-attack":
                return list(super()._get_transformations(text, indices))
            order = list(indices)
            requests = [FillMask(text.replace_word_at_index(i, MASK).text, self.max_candidates, shown=text.words[i]) for i in order]
            fillings = zip(order, self._ask("masked_lm", requests), strict=True)
            words = [(i, word.strip("Ġ")) for i, filled in fillings for word in combine_pieces(textattack, filled, self.max_candidates)]
            return [text.replace_word_at_index(i, word) for i, word in words if word != text.words[i]]

    class WordInsertionMaskedLM(swaps.WordInsertionMaskedLM):  # type: ignore[misc]
        def __init__(self, ask: AskRole, max_candidates: int = 50, min_confidence: float = 5e-4, **_: Any) -> None:
            swaps.WordInsertion.__init__(self)
            self._ask, self.max_candidates, self.min_confidence = ask, max_candidates, min_confidence

        def _get_new_words(self, text: Any, indices: Sequence[int]) -> list[list[str]]:
            masked = [text.insert_text_before_word_index(i, MASK).text_window_around_index(i, float("inf")) for i in indices]
            return find_fitting_words(textattack, self._ask, masked, self.max_candidates, self.min_confidence)

    class WordMergeMaskedLM(swaps.WordMergeMaskedLM):  # type: ignore[misc]
        def __init__(self, ask: AskRole, max_candidates: int = 50, min_confidence: float = 5e-4, **_: Any) -> None:
            import_module("textattack.transformations.word_merges").WordMerge.__init__(self)
            self._ask, self.max_candidates, self.min_confidence = ask, max_candidates, min_confidence

        def _get_merged_words(self, text: Any, indices: Sequence[int]) -> list[list[str]]:
            merged = [text.replace_word_at_index(i, MASK).delete_word_at_index(i + 1) for i in indices]
            masked = [whole.text_window_around_index(i, float("inf")) for whole, i in zip(merged, indices, strict=True)]
            return find_fitting_words(textattack, self._ask, masked, self.max_candidates, self.min_confidence)

    classes = (WordSwapMaskedLM, WordInsertionMaskedLM, WordMergeMaskedLM)
    return {each.__name__: each for each in classes}


def find_fitting_words(textattack: Any, ask: AskRole, texts: Sequence[str], num: int, min_confidence: float, /) -> list[list[str]]:
    """Return for each text the ``num`` most likely words for its mask, each with at least ``min_confidence``;
    punctuation does not count.

    A text whose mask was cut off (TextAttack's windows end before a mask at the last word) gets none.
    """
    pending = [i for i, text in enumerate(texts) if MASK in text]
    words: list[list[str]] = [[] for _ in texts]
    top_k = 4 * num  # includes punctuation and word pieces
    while pending:
        answers: list[Fillings] = ask("masked_lm", [FillMask(texts[i], top_k) for i in pending])
        more = []
        for i, filled in zip(pending, answers, strict=True):
            words[i], is_done = _choose_words(textattack, filled, num, min_confidence)
            if not is_done and filled.tokens and len(filled.tokens[0]) == top_k:
                more.append(i)
        pending, top_k = more, 4 * top_k
    return words


def _choose_words(textattack: Any, filled: Fillings, num: int, min_confidence: float) -> tuple[list[str], bool]:
    """Return the words, and whether further tokens cannot add any."""
    import math

    strings = textattack.shared.utils
    words: list[str] = []
    for token, log_prob in zip(*(filled.tokens[:1] or [()]), *(filled.log_probs[:1] or [()]), strict=True):
        if math.exp(log_prob) < min_confidence:
            return words, True
        word = token.replace("##", "")
        if strings.is_one_word(word) and not strings.check_if_punctuations(word):
            words.append(word)
        if len(words) >= num:
            return words, True
    return words, False


_MAX_COMBINATIONS = 10_000
"""Maximum number of combinations to try: a word of ten tokens has 8**10, and none is a word if one token never is part of a word."""


def combine_pieces(textattack: Any, filled: Fillings, num: int, /) -> list[str]:
    """Return BERT-Attack's words: for a one-token word all fitting tokens, for several tokens the first
    ``num`` combinations that are one word."""
    strings = textattack.shared.utils
    if len(filled.tokens) == 1:
        marked = any(token.startswith("Ġ") for token in filled.tokens[0])
        begins = [token for token in filled.tokens[0] if (token.startswith("Ġ") if marked else "##" not in token)]
        return [token for token in begins if strings.is_one_word(token)]
    tried = itertools.islice(itertools.product(*filled.tokens), _MAX_COMBINATIONS) if filled.tokens else iter(())
    joined = ("".join(tokens).replace("##", "") for tokens in tried)
    return list(itertools.islice((word for word in joined if strings.is_one_word(word)), num))


# ── causal language models ────────────────────────────────────────────────────────────────────────────────────────────


@cache
def log_prob_class() -> Any:
    """Return TextAttack's constraint on a word's log-probability after the preceding text, as a class that
    takes ``ask`` first.

    The whole word counts; TextAttack uses the logit of its first token.
    """
    base: Any = import_quietly("textattack.constraints.grammaticality.language_models").LanguageModelConstraint

    class LogProbability(base):  # type: ignore[misc]
        def __init__(self, ask: AskRole, **settings: Any) -> None:
            super().__init__(**settings)
            self._ask = ask

        def get_log_probs_at_index(self, texts: Sequence[Any], index: int) -> list[float]:
            prefix = texts[0].text_until_word_index(index)
            if not re.search("[a-zA-Z]", prefix):
                return [0.0] * len(texts)
            requests = [LogLikelihood(prefix.rstrip(), " " + text.words[index]) for text in texts]
            return [answer.value for answer in self._ask("language_model", requests)]

    return LogProbability
