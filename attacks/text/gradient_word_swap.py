"""Replace words by their nearest neighbours, largest gradient first."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from ...harness.api.attack import Attack
from ...harness.api.errors import ConfigError, SampleError
from ...harness.api.model_port import ModelPort
from ...harness.api.requests import Classify
from ...harness.api.responses import Failure
from ...harness.api.samples import Sample, SampleRng
from ...harness.api.settings import Bound, Cosine, Count, Share
from ...harness.language.stop_words import get_builtin_stop_words
from ...harness.threats import EditBudget
from .importance import NUM_PASSES, compute_token_importance
from .whole_words import Slope, Vocabulary, build_vocabulary, compute_slopes
from .word_search import Search, Variant, check_threat, list_open, query_variants, start_searches


class GradientWordSwap(Attack[EditBudget]):
    """Replace words by near words in the classifier's own embeddings, largest gradient first (after Yoo and
    Qi 2021).

    White-box. One gradient of the loss ranks the words by its L1 norm; a word
    of several tokens uses their mean. For one word after the other, the attack queries its nearest one-token
    words, in one call for all samples. The one with the largest loss is kept if the loss increases; of
    misclassified ones the nearest is the adversarial example. A replacement must be within the threat model
    and tokenize to exactly the intended tokens.

    steps: maximum number of words to try.
    candidates: number of near words queried per word.
    min_cosine: minimum cosine of a near word.
    importance: ranking of the words: ``gradient``; ``integrated_gradients`` (8 gradient passes: contribution
        to the class's log-probability, from a text of padding); ``deletion`` (a query per word: the loss
        without it).
    stop_words: words that are neither replaced nor inserted: ``builtin`` (English) or ``none``.
    ascii_only: whether new words must be plain ASCII letters.
    max_words, max_share, max_chars: bounds of the threat model; see `EditBudget`.

    Punctuation and numbers stay. num_queries counts candidates, gradients and texts without a word.

    Differences from the paper: there, neighbours come from counter-fitted vectors, have the same part of
    speech, and keep the similarity of a sentence encoder. Neighbours in a classifier's embeddings include
    opposites.

    Yoo, Qi: Towards Improving Adversarial Training of NLP Models. Findings of EMNLP 2021,
    https://arxiv.org/abs/2109.00544
    """

    requires = frozenset({"classify", "text", "gradients", "vocabulary"})

    def __init__(
        self, *, steps: Count = 50, candidates: Count = 20, min_cosine: Cosine = 0.3, stop_words: str = "builtin", ascii_only: bool = True,
        max_words: Bound | None = 4, max_share: Share | None = None, max_chars: Bound | None = None, importance: str = "gradient",
    ) -> None:  # fmt: skip
        if importance not in ("gradient", "integrated_gradients", "deletion"):
            raise ConfigError(f"importance must be 'gradient', 'integrated_gradients' or 'deletion', not {importance!r}")
        if min(steps, candidates) < 1:
            raise ConfigError(f"steps and candidates must be at least 1, not {steps} and {candidates}")
        self.threat = EditBudget(max_words, max_share, max_chars)
        self._steps, self._candidates, self._min_cosine = steps, candidates, min_cosine
        self._ascii_only, self._stop_words, self._importance = ascii_only, get_builtin_stop_words(stop_words), importance

    def perturb(self, engine: ModelPort, samples: Sequence[Sample], threat: EditBudget, rng: SampleRng, /) -> Sequence[Sample]:
        spared = self._stop_words | threat.protected
        searches = start_searches(samples, spared)
        open_searches = list_open(searches)
        with engine.differentiable() as net:
            vocabulary = build_vocabulary(net, spared, self._ascii_only)
            found = compute_slopes(engine, net, [(search, search.best) for search in open_searches])
        for search, slope in zip(open_searches, found, strict=True):
            search.offer(slope.variant)
        scores = self._compute_scores(engine, dict(zip(open_searches, found, strict=True)))
        ranking = {search: rank_words(search, slope, scores.get(search)) for search, slope in zip(open_searches, found, strict=True)}
        for step in range(self._steps + 1):
            for search in list_open(searches):
                search.is_open = step < len(ranking[search])
            turns = [(search, slope, ranking[search][step]) for search, slope in zip(open_searches, found, strict=True) if search.is_open]
            if not turns or step == self._steps:
                break
            for search, variants in query_variants(engine, self._make_candidates(engine, vocabulary, turns, threat)):
                wrong = [variant for variant in variants if variant.is_wrong]
                search.offer(wrong[0] if wrong else max(variants, key=lambda variant: variant.loss))
        return [search.twin() for search in searches]

    def _compute_scores(self, engine: ModelPort, found: Mapping[Search, Slope]) -> dict[Search, list[float]]:
        """Return the importance of each word for the open searches; empty if the gradient itself ranks."""
        open_searches = [search for search in found if search.is_open]
        if self._importance == "gradient":
            return {}
        if self._importance == "deletion":
            without = [
                (search, [search.best.replace_word(place, "") for place in range(len(search.best.words))]) for search in open_searches
            ]
            return {search: [variant.loss for variant in variants] for search, variants in query_variants(engine, without)}
        requests = [Classify(search.text(search.best), search.sample.labels) for search in open_searches]
        scores = {}
        for search, importance in zip(open_searches, compute_token_importance(engine, requests, self._importance), strict=True):
            if isinstance(importance, Failure):
                raise SampleError(importance.error)
            search.queries += NUM_PASSES[self._importance]
            scores[search] = importance.sum_words(search.spans(search.best)).tolist()
        return scores

    def _make_candidates(
        self, engine: ModelPort, vocabulary: Vocabulary, turns: Sequence[tuple[Search, Slope, int]], threat: EditBudget
    ) -> list[tuple[Search, list[Variant]]]:
        """Return each search's candidates for its current word, nearest first."""
        import torch

        near_SN = vocabulary.compute_cosines(torch.stack([slope.embedding[place] for _, slope, place in turns]))
        fits_SN = torch.stack([vocabulary.find_fitting(search, search.best, place) for search, _, place in turns]) & (
            near_SN >= self._min_cosine
        )
        near_SN = near_SN.masked_fill(~fits_SN, -torch.inf)
        best = near_SN.topk(min(self._candidates, len(vocabulary.ids)), dim=1)
        swaps = [
            (search, search.best, place, n)
            for (search, _, place), cosine, row in zip(turns, best.values.tolist(), best.indices.tolist(), strict=True)
            for near, n in zip(cosine, row, strict=True)
            if near > -torch.inf
        ]
        tried: dict[Search, list[Variant]] = {search: [] for search, *_ in turns}
        meant = [(swap[0], variant) for swap, variant in zip(swaps, vocabulary.make_variants(swaps), strict=True) if variant is not None]
        allowed = check_threat(engine, threat, [search.pair(variant) for search, variant in meant])
        for (search, variant), is_allowed in zip(meant, allowed, strict=True):
            if is_allowed:
                tried[search].append(variant)
        return [(search, variants) for search, variants in tried.items() if variants]


def rank_words(search: Search, slope: Slope, scores: Sequence[float] | None = None, /) -> list[int]:
    """Rank the places of the words that the model reads by their score, largest first. Default score: the
    gradient."""
    values = slope.gradient.abs().sum(1).tolist() if scores is None else scores
    return sorted((place for place in search.places if slope.num_tokens[place]), key=lambda place: -values[place])
