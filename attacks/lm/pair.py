"""PAIR and TAP: an attacker model rewrites the prompt until a judge is content."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from ...harness.api.attack import Attack
from ...harness.api.errors import ConfigError
from ...harness.api.model_port import ModelPort
from ...harness.api.requests import Failure
from ...harness.api.samples import Sample, SampleRng, seed_of
from ...harness.api.settings import Amount, Count
from ...harness.threats import AnyPrompt
from .attackers import HIGHEST, Try, asked_of_attacker, on_topic, proposals, ratings
from .prompts import as_sent, failed, goal_of, is_benign, with_prompt, write


@dataclass(slots=True)
class Tree:
    """A sample's search. ``leaves``: histories that go on. ``queries``: prompts that the target answered. ``is_cut``: the
    budget of queries left some of its messages unasked."""

    sample: Sample
    goal: str
    leaves: list[list[Try]]
    best: Try | None = None
    queries: int = 0
    rounds: int = 0
    off_topic: int = 0
    unread: int = 0
    failure: str = ""
    is_cut: bool = False

    @property
    def is_done(self) -> bool:
        return self.best is not None and (self.best.rating or 0) >= HIGHEST

    @property
    def is_open(self) -> bool:
        return bool(self.leaves) and not self.is_cut and not self.is_done

    def keep(self, tried: Try) -> None:
        if self.best is None or (tried.rating or 0) > (self.best.rating or 0):
            self.best = tried

    def twin(self) -> Sample:
        if self.best is None:
            why = f"there is no message to try: {self.unread} could not be read, the judge found {self.off_topic} off topic"
            return failed(self.sample, self.failure or why)
        facts = {"num_queries": self.queries, "num_rounds": self.rounds, "rating": self.best.rating,
                 "budget_exhausted": self.is_cut and not self.is_done}  # fmt: skip
        return with_prompt(self.sample, self.best.prompt, **facts, off_topic=self.off_topic, unread=self.unread)


@dataclass(frozen=True, slots=True)
class _Grown:
    """A message that a leaf of a tree has led to. ``leaf``: its number."""

    tree: Tree
    leaf: int
    prompt: str


class TAP(Attack[AnyPrompt]):
    """Tree of attacks with pruning (Mehrotra et al. 2023). Black-box; a model of the suite plays the attacker, another the judge.

    In each of ``depth`` rounds the attacker writes ``branches`` messages for every leaf; those that the judge finds off topic are dropped
    (unless ``prune`` is false); the target answers the rest; the judge rates each answer from 1 to 10; the ``width`` best are the next
    leaves. A search ends with a 10. The twin is the best-rated message. The judge here only steers: whether the attack succeeded is for
    the task.

    max_queries: answers of the target, a sample; nothing for as many as the tree has. Only where it cut a search short is the budget said
    to be used up. max_tokens: of the target's answers. message_tokens: of a message. temperature: the attacker's; each message draws from
    a seed of its own. marked: a message that is not behind its mark is counted as ``unread``, and another one drawn in the next round;
    false, for attackers too small to set marks: all that they write is the message. A judge that tells log-likelihoods rates by the
    likeliest grade, another one by the number that it writes. Benign samples stay as they are. num_queries counts the target's answers.

    Mehrotra et al.: Tree of Attacks: Jailbreaking Black-Box LLMs Automatically. NeurIPS 2024, https://arxiv.org/abs/2312.02119
    """

    requires = frozenset({"generate", "text"})
    roles: Mapping[str, frozenset[str]] = {"attacker": frozenset({"generate"}), "judge": frozenset({"generate"})}

    def __init__(
        self, *, depth: Count = 10, branches: Count = 4, width: Count = 10, prune: bool = True, max_tokens: Count = 150,
        message_tokens: Count = 300, temperature: Amount = 1.0, marked: bool = True, max_queries: Count | None = None,
    ) -> None:  # fmt: skip
        if max_queries is not None and max_queries < 1:
            raise ConfigError(f"max_queries is 1 or more, or nothing, not {max_queries}")
        if min(depth, branches, width, max_tokens, message_tokens) < 1:
            raise ConfigError("depth (or rounds), branches, width (or streams), max_tokens and message_tokens are 1 or more")
        self.threat = AnyPrompt()
        self._depth, self._branches, self._width, self._prune, self._roots = depth, branches, width, prune, 1
        self._max_tokens, self._message_tokens, self._temperature = max_tokens, message_tokens, temperature
        self._keep_apart, self._marked, self._max_queries = False, marked, max_queries

    def perturb(self, engine: ModelPort, samples: Sequence[Sample], threat: AnyPrompt, rng: SampleRng, /) -> Sequence[Sample]:
        trees = [Tree(s, goal_of(s), [] if is_benign(s) else [[] for _ in range(self._roots)]) for s in samples]
        for depth in range(self._depth):
            for tree in trees:
                tree.is_cut |= tree.is_open and tree.queries == self._max_queries
            if not any(tree.is_open for tree in trees):
                break
            # A round without a message to try is no end: the next one draws others.
            self._pruned(self._answered(engine, self._grown(engine, [tree for tree in trees if tree.is_open], depth, rng)))
        return [s if is_benign(s) else tree.twin() for s, tree in zip(samples, trees, strict=True)]

    def _grown(self, engine: ModelPort, trees: Sequence[Tree], depth: int, rng: SampleRng) -> list[_Grown]:
        """The attacker's messages, from all leaves of all samples in one call."""
        leaves = [(tree, n, leaf, b) for tree in trees for n, leaf in enumerate(tree.leaves) for b in range(self._branches)]
        for tree in trees:
            tree.rounds += 1
        seeds = [seed_of(rng.seed(tree.sample.id), depth, n, b) for tree, n, _, b in leaves]
        chats = [asked_of_attacker(tree.goal, leaf) for tree, _, leaf, _ in leaves]
        grown = []
        attacker = engine.roles["attacker"]
        written = proposals(attacker, chats, self._message_tokens, seeds, self._temperature, marked=self._marked)
        for (tree, n, _, _), prompt in zip(leaves, written, strict=True):
            tree.unread += prompt is None
            if prompt is not None:
                grown.append(_Grown(tree, n, prompt))
        if self._prune and grown:
            fit = on_topic(engine.roles["judge"], [(g.tree.goal, g.prompt) for g in grown])
            for g, is_fit in zip(grown, fit, strict=True):
                g.tree.off_topic += not is_fit
            grown = [g for g, is_fit in zip(grown, fit, strict=True) if is_fit]
        return grown

    def _answered(self, engine: ModelPort, grown: Sequence[_Grown]) -> list[tuple[_Grown, Try]]:
        within = []
        for g in grown:
            g.tree.is_cut |= g.tree.queries == self._max_queries
            if not g.tree.is_cut:
                g.tree.queries += 1
                within.append(g)
        answers = write(engine, [as_sent(engine, with_prompt(g.tree.sample, g.prompt)) for g in within], self._max_tokens)
        answered = []
        for g, answer in zip(within, answers, strict=True):
            if isinstance(answer, Failure):
                g.tree.failure = answer.error
            else:
                answered.append((g, answer))
        rated = ratings(engine.roles["judge"], [(g.tree.goal, g.prompt, answer) for g, answer in answered])
        return [(g, Try(g.prompt, answer, rating)) for (g, answer), rating in zip(answered, rated, strict=True)]

    def _pruned(self, tried: Sequence[tuple[_Grown, Try]]) -> None:
        trees = {id(g.tree): g.tree for g, _ in tried}
        for key, tree in trees.items():
            mine = [(g, t) for g, t in tried if id(g.tree) == key]
            for _, t in mine:
                tree.keep(t)
            after = [(g.leaf, [*tree.leaves[g.leaf], t]) for g, t in mine]
            if self._keep_apart:
                # A stream whose message could not be read, or was not answered, goes on from where it was.
                for n, history in after:
                    tree.leaves[n] = history
            else:
                tree.leaves = [history for _, history in sorted(after, key=lambda one: -(one[1][-1].rating or 0))[: self._width]]


class PAIR(TAP):
    """Prompt automatic iterative refinement (Chao et al. 2023). Black-box; a model of the suite plays the attacker, another the judge.

    ``streams`` conversations with the attacker run side by side, for ``rounds`` rounds: it writes a message, the target answers, the judge
    rates the answer from 1 to 10, and the attacker is told both. A search ends with a 10. The twin is the best-rated message. The judge
    here only steers: whether the attack succeeded is for the task.

    max_queries, max_tokens, message_tokens, temperature, marked and what is counted: see ``tap``, of which this is the case without
    branches and pruning.

    Chao, Robey, Dobriban, Hassani, Pappas, Wong: Jailbreaking Black Box Large Language Models in Twenty Queries. 2023,
    https://arxiv.org/abs/2310.08419
    """

    def __init__(
        self, *, streams: Count = 4, rounds: Count = 3, max_tokens: Count = 150, message_tokens: Count = 300, temperature: Amount = 1.0,
        marked: bool = True, max_queries: Count | None = None,
    ) -> None:  # fmt: skip
        super().__init__(
            depth=rounds,
            branches=1,
            width=streams,
            prune=False,
            max_tokens=max_tokens,
            message_tokens=message_tokens,
            temperature=temperature,
            marked=marked,
            max_queries=max_queries,
        )
        self._roots, self._keep_apart = streams, True
