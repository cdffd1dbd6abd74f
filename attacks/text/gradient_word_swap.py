"""Words swapped for their neighbours, those of the steepest gradient first."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from ...harness.api.attack import Attack
from ...harness.api.errors import ConfigError, SampleError
from ...harness.api.model_port import ModelPort
from ...harness.api.requests import Classify, Failure
from ...harness.api.samples import Sample, SampleRng
from ...harness.api.settings import Bound, Cosine, Count, Share
from ...harness.language.stop_words import builtin_stop_words
from ...harness.threats import EditBudget
from .importance import NUM_PASSES, token_importance
from .whole_words import Slope, Vocabulary, slopes, vocabulary
from .word_search import Search, Variant, admitted, asked, begun, standing


class GradientWordSwap(Attack[EditBudget]):
    """Swaps words for their nearest neighbours in the classifier's own embeddings, the words whose gradient is largest first (after Yoo and
    Qi 2021). White-box, for transformers classifiers.

    One gradient of the loss ranks a text's words: its L1 norm, of a word of several tokens that of their mean. Then word by word,
    ``steps`` at most, its ``candidates`` nearest words (of one token each, of a cosine of ``min_cosine`` at least) are asked of the model,
    in one call for all samples. The one of the largest loss stays, if it is larger than before; of those that are misclassified the nearest
    is the twin. A swap is asked only if the threat admits it and its text is read as the
    very tokens that were meant.

    importance: what else may rank the words: ``integrated_gradients`` (8 gradients: what the word adds to the class's log-probability on
    the way from a text of padding), or ``deletion`` (a query a word: the loss without it); ``gradient`` is the above.
    stop_words: the words that neither go nor come, ``builtin`` (English) or ``none``. ascii_only: only plain letters come in. max_words,
    max_share, max_chars: see `EditBudget`. Punctuation and numbers stay. num_queries counts candidates, gradients and the
    texts without a word.

    Differs from the paper: its neighbours are by counter-fitted vectors, of one part of speech, in a sentence that an encoder finds alike.
    Those of a classifier's embeddings have opposites among them.

    Yoo, Qi: Towards Improving Adversarial Training of NLP Models. Findings of EMNLP 2021, https://arxiv.org/abs/2109.00544
    """

    requires = frozenset({"classify", "text", "gradients"})

    def __init__(
        self, *, steps: Count = 50, candidates: Count = 20, min_cosine: Cosine = 0.3, stop_words: str = "builtin", ascii_only: bool = True,
        max_words: Bound | None = 4, max_share: Share | None = None, max_chars: Bound | None = None, importance: str = "gradient",
    ) -> None:  # fmt: skip
        if importance not in ("gradient", "integrated_gradients", "deletion"):
            raise ConfigError(f"importance is 'gradient', 'integrated_gradients' or 'deletion', not {importance!r}")
        if min(steps, candidates) < 1:
            raise ConfigError(f"steps and candidates are 1 or more, not {steps} and {candidates}")
        self.threat = EditBudget(max_words, max_share, max_chars)
        self._steps, self._candidates, self._min_cosine = steps, candidates, min_cosine
        self._ascii_only, self._left_alone, self._importance = ascii_only, builtin_stop_words(stop_words), importance

    def perturb(self, engine: ModelPort, samples: Sequence[Sample], threat: EditBudget, rng: SampleRng, /) -> Sequence[Sample]:
        spared = self._left_alone | threat.protected
        searches = begun(samples, spared)
        some = standing(searches)
        with engine.differentiable() as net:
            known = vocabulary(net, spared, self._ascii_only)
            found = slopes(engine, net, [(search, search.best) for search in some])
        for search, slope in zip(some, found, strict=True):
            search.offer(slope.variant)
        scores = self._scores(engine, dict(zip(some, found, strict=True)))
        ranking = {search: ranked(search, slope, scores.get(search)) for search, slope in zip(some, found, strict=True)}
        for step in range(self._steps + 1):
            for search in standing(searches):
                search.is_open = step < len(ranking[search])
            turns = [(search, slope, ranking[search][step]) for search, slope in zip(some, found, strict=True) if search.is_open]
            if not turns or step == self._steps:
                break
            for search, variants in asked(engine, self._swapped(engine, known, turns, threat)):
                wrong = [variant for variant in variants if variant.is_wrong]
                search.offer(wrong[0] if wrong else max(variants, key=lambda variant: variant.loss))
        return [search.twin() for search in searches]

    def _scores(self, engine: ModelPort, found: Mapping[Search, Slope]) -> dict[Search, list[float]]:
        """How much each word matters to the searches that go on, where that is not by the one gradient."""
        some = [search for search in found if search.is_open]
        if self._importance == "gradient":
            return {}
        if self._importance == "deletion":
            without = [(search, [search.best.swapped(place, "") for place in range(len(search.best.words))]) for search in some]
            return {search: [variant.loss for variant in variants] for search, variants in asked(engine, without)}
        requests = [Classify(search.text(search.best), search.sample.labels) for search in some]
        scores = {}
        for search, importance in zip(some, token_importance(engine, requests, self._importance), strict=True):
            if isinstance(importance, Failure):
                raise SampleError(importance.error)
            search.queries += NUM_PASSES[self._importance]
            scores[search] = importance.of_words(search.spans(search.best)).tolist()
        return scores

    def _swapped(
        self, engine: ModelPort, known: Vocabulary, turns: Sequence[tuple[Search, Slope, int]], threat: EditBudget
    ) -> list[tuple[Search, list[Variant]]]:
        """Each search's candidates for its word, the nearest first."""
        import torch

        near_SN = known.cosines(torch.stack([slope.embedding[place] for _, slope, place in turns]))
        fits_SN = torch.stack([known.fitting(search, search.best, place) for search, _, place in turns]) & (near_SN >= self._min_cosine)
        near_SN = near_SN.masked_fill(~fits_SN, -torch.inf)
        best = near_SN.topk(min(self._candidates, len(known.ids)), dim=1)
        swaps = [
            (search, search.best, place, n)
            for (search, _, place), cosine, row in zip(turns, best.values.tolist(), best.indices.tolist(), strict=True)
            for near, n in zip(cosine, row, strict=True)
            if near > -torch.inf
        ]
        tried: dict[Search, list[Variant]] = {search: [] for search, *_ in turns}
        meant = [(swap[0], variant) for swap, variant in zip(swaps, known.as_meant(swaps), strict=True) if variant is not None]
        allowed = admitted(engine, threat, [search.pair(variant) for search, variant in meant])
        for (search, variant), is_allowed in zip(meant, allowed, strict=True):
            if is_allowed:
                tried[search].append(variant)
        return [(search, variants) for search, variants in tried.items() if variants]


def ranked(search: Search, slope: Slope, scores: Sequence[float] | None = None, /) -> list[int]:
    """The places of the words that the model reads, those of the largest score first; without scores, of the largest gradient."""
    values = slope.gradient.abs().sum(1).tolist() if scores is None else scores
    return sorted((place for place in search.places if slope.num_tokens[place]), key=lambda place: -values[place])
