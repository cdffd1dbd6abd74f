"""GCG: search a suffix by greedy coordinate gradient.

Shape legend: B samples, L tokens, D embedding, V vocabulary, T tokens of the suffix, K best tokens per place.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ...harness.api.attack import Attack
from ...harness.api.errors import ConfigError, SampleError
from ...harness.api.model import Differentiable, Encoded
from ...harness.api.model_port import ModelPort
from ...harness.api.samples import Sample, SampleRng
from ...harness.api.settings import Bound, Count
from ...harness.modalities.chat import Chat, find_last_text
from ...harness.threats import SuffixBudget
from .prompts import is_benign, read_prompt, replace_prompt
from .suffixes import Search, query_suffixes, start_searches


@dataclass(frozen=True, slots=True)
class Tokens:
    """A tokenized prompt.

    ids: all tokens before the target's last one.
    first, last: the suffix is ``ids[first:last]``.
    best_TK: tokens with the best gradient for each place of the suffix.
    """

    ids: list[int]
    first: int
    last: int
    best_TK: np.ndarray


class GCG(Attack[SuffixBudget]):
    """Append a suffix and replace one token at a time where the gradient makes the target more likely (Zou et
    al. 2023).

    White-box. Each round computes the gradient of the target's log-likelihood by the suffix's one-hot tokens,
    draws single replacements among the best tokens of each place, queries them in one call for all samples
    (shared prefixes are computed once), and continues from the best, whether it is better or not. A search
    ends if the target is the model's most likely answer. The adversarial example has the best suffix of all
    rounds. The prompt is the one that the task sends, system message and template included. A candidate must
    tokenize, inside that prompt, to exactly the intended tokens.

    steps: number of rounds.
    candidates: replacements per round.
    top_k: best tokens per place.
    length: length of the first suffix in tokens, exclamation marks.
    ascii_only: whether tokens must be printable ASCII.
    max_chars: maximum length of the suffix in characters.
    target: beginning of the wanted answer if the sample has none; {goal} is the goal.

    Benign samples stay unchanged. num_queries counts candidates and gradients.

    Zou, Wang, Carlini, Nasr, Kolter, Fredrikson: Universal and Transferable Adversarial Attacks on Aligned
    Language Models. 2023, https://arxiv.org/abs/2307.15043
    """

    requires = frozenset({"generate", "text", "loglikelihood", "gradients"})
    asks_beyond = frozenset({"loglikelihood"})

    def __init__(
        self, *, steps: Count = 100, candidates: Count = 64, top_k: Count = 64, length: Count = 20, ascii_only: bool = True,
        max_chars: Bound = 400, target: str = "Sure, here is how to {goal}:",
    ) -> None:  # fmt: skip
        if min(steps, candidates, top_k, length) < 1:
            raise ConfigError(f"steps, candidates, top_k and length must be at least 1, not {steps}, {candidates}, {top_k} and {length}")
        self.threat = SuffixBudget(max_chars=max_chars)
        self._steps, self._candidates, self._top_k, self._length = steps, candidates, top_k, length
        self._ascii_only, self._target = ascii_only, target

    def perturb(self, engine: ModelPort, samples: Sequence[Sample], threat: SuffixBudget, rng: SampleRng, /) -> Sequence[Sample]:
        most = threat.max_tokens if isinstance(threat, SuffixBudget) else None  # a suite may set another threat
        length = self._length if most is None else min(self._length, most)
        searches = start_searches(engine, samples, self._target, " !" * length, [rng(s.id) for s in samples])
        allowed_V: np.ndarray | None = None
        for _ in range(self._steps):
            open_ = [i for i, search in enumerate(searches) if search.is_open and search.losses]
            if not open_:
                break
            allowed_V = _find_allowed(engine, self._ascii_only) if allowed_V is None else allowed_V
            tried = self._draw_candidates(engine, searches, open_, threat, allowed_V)
            for i, losses in query_suffixes(engine, tried, searches).items():
                scored = [(answer, k) for k, answer in enumerate(losses) if answer is not None]
                if scored:
                    (loss, reached), k = min(scored, key=lambda pair: (not pair[0][1], pair[0][0], pair[1]))
                    searches[i].take(tried[i][k], loss, reached)
        return [s.sample if is_benign(s.sample) else s.twin() for s in searches]

    def _draw_candidates(
        self, engine: ModelPort, searches: Sequence[Search], open_: Sequence[int], threat: SuffixBudget, allowed_V: np.ndarray
    ) -> dict[int, list[str]]:
        """Return candidate suffixes of each open search."""
        tried: dict[int, list[str]] = {}
        with engine.differentiable() as net:
            for group in engine.groups([len(read_prompt(searches[i].sample)) + len(searches[i].suffix) for i in open_]):
                members = [open_[g] for g in group]
                for i, tokens in zip(
                    members, _compute_gradients(net, engine, [searches[i] for i in members], allowed_V, self._top_k), strict=True
                ):
                    searches[i].queries += 1
                    if isinstance(tokens, str):
                        searches[i].stopped = tokens
                        continue
                    tried[i] = self._draw_suffixes(net, engine, searches[i], tokens, threat)
                    if not tried[i]:
                        del tried[i]
                        searches[i].stopped = "no replacement gives a text that tokenizes to the intended tokens"
        return tried

    def _draw_suffixes(self, net: Differentiable, engine: ModelPort, search: Search, tokens: Tokens, threat: SuffixBudget) -> list[str]:
        """Return suffixes with one replaced token that tokenize to exactly the intended tokens."""
        suffix = tokens.ids[tokens.first : tokens.last]
        meant_of: dict[str, list[int]] = {}
        # Cycle over places, as in the authors' code; texts that tokenize differently are dropped below.
        for k in range(self._candidates):
            place = k * len(suffix) // self._candidates if self._candidates >= len(suffix) else int(search.draw.integers(len(suffix)))
            swapped = [*suffix]
            swapped[place] = int(tokens.best_TK[place, search.draw.integers(tokens.best_TK.shape[1])])
            text = decode_after(net.tokenizer, tokens.ids[: tokens.first], swapped)
            if swapped != suffix and threat.admits(search.sample, replace_prompt(search.sample, read_prompt(search.sample) + text)):
                meant_of.setdefault(text, [*tokens.ids[: tokens.first], *swapped, *tokens.ids[tokens.last :]])
        if not meant_of:
            return []
        encoded = net.encode([search.request(engine, text) for text in meant_of])
        return [text for (text, meant), ids in zip(meant_of.items(), _read_ids(encoded), strict=True) if ids == meant]


def decode_after(tokenizer: Any, before: Sequence[int], ids: Sequence[int]) -> str:
    """Decode tokens after others: some vocabularies drop the space before a text's first token only."""
    seam, text = (tokenizer.decode(tokens, clean_up_tokenization_spaces=False) for tokens in (before[-1:], [*before[-1:], *ids]))
    return str(text[len(seam) :])


def _read_ids(encoded: Encoded) -> list[list[int]]:
    """Return the tokens of each request, without padding."""
    assert encoded.mask_BL is not None
    ids, lengths = encoded.extra["input_ids"].tolist(), encoded.mask_BL.sum(1).tolist()
    return [row[:length] for row, length in zip(ids, lengths, strict=True)]


def _find_allowed(engine: ModelPort, ascii_only: bool) -> np.ndarray:
    """Return which tokens may occur in a suffix, bool [V]: no special tokens, and none without text."""
    with engine.differentiable() as net:
        tokenizer, rows = net.tokenizer, net.module.get_input_embeddings().weight.shape[0]  # type: ignore[operator]
    allowed_V = np.zeros(rows, dtype=bool)
    special = set(tokenizer.all_special_ids)
    ids = [i for i in tokenizer.get_vocab().values() if i < rows and i not in special]
    for i, text in zip(ids, tokenizer.batch_decode([[i] for i in ids], clean_up_tokenization_spaces=False), strict=True):
        allowed_V[i] = bool(text.strip()) and "\ufffd" not in text and text.isprintable() and (text.isascii() or not ascii_only)
    return allowed_V


def _compute_gradients(
    net: Differentiable, engine: ModelPort, searches: Sequence[Search], allowed_V: np.ndarray, top_k: int
) -> list[Tokens | str]:
    """Return for each search the tokens of its suffix and the best replacements by gradient, or the reason if
    there are none."""
    import torch

    requests = [search.request(engine, search.suffix) for search in searches]
    encoded = net.encode(requests)
    features = encoded.features.detach().requires_grad_(True)
    # The sum over samples keeps their gradients independent.
    (gradient_BLD,) = torch.autograd.grad(net.logits(features, encoded).sum(), features)
    weight_VD = net.module.get_input_embeddings().weight.detach()  # type: ignore[operator]
    banned_V = torch.from_numpy(~allowed_V).to(weight_VD.device)
    results: list[Tokens | str] = []
    for row, (search, request, ids) in enumerate(zip(searches, requests, _read_ids(encoded), strict=True)):
        try:
            first, last = _locate_tokens(encoded.spans[row], *_locate_suffix(request.context, read_prompt(search.sample), search.suffix))
        except SampleError as error:
            results.append(str(error))
            continue
        # d log p / d one-hot = embedding matrix times d log p / d embedding: the first-order effect of a token.
        gain_TV = (gradient_BLD[row, first:last].float() @ weight_VD.T.float()).masked_fill(banned_V, -torch.inf)
        best_TK = gain_TV.topk(min(top_k, int(allowed_V.sum())), dim=1).indices.cpu().numpy()
        results.append(Tokens(ids, first, last, best_TK))
    return results


def _locate_suffix(context: str | Chat, prompt: str, suffix: str) -> tuple[int, int]:
    """Return start and end of the suffix in the text, or in the last message, that the model receives."""
    shown = find_last_text(context) or ""
    start = shown.rfind(prompt + suffix)
    if start < 0:
        raise SampleError("the task changes the prompt before it sends it, so the suffix cannot be located")
    return start + len(prompt), start + len(prompt) + len(suffix)


def _locate_tokens(spans: Sequence[tuple[int, int]], start: int, end: int) -> tuple[int, int]:
    """Return the range of tokens at ``[start, end)`` of the text."""
    places = [place for place, (a, b) in enumerate(spans) if b > start and a < end and b > a]
    if not places or spans[places[0]][0] < start or spans[places[-1]][1] > end:
        raise SampleError("a token crosses the boundary of the suffix, so the suffix has no tokens of its own")
    return places[0], places[-1] + 1
