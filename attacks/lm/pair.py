"""PAIR and TAP: an attacker model rewrites the prompt until a judge is satisfied."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from ...harness.api.attack import Attack
from ...harness.api.errors import ConfigError
from ...harness.api.model_port import ModelPort
from ...harness.api.responses import Failure
from ...harness.api.samples import Sample, SampleRng, seed_of
from ...harness.api.settings import Amount, Count
from ...harness.threats import AnyPrompt
from .attackers import HIGHEST, Try, check_topic, make_attacker_chat, propose_messages, rate_answers
from .prompts import fail, format_as_task, generate, is_benign, read_goal, replace_prompt


@dataclass(slots=True)
class Tree:
    """The search for one sample.

    leaves: histories that continue.
    queries: prompts that the target answered.
    is_cut: whether the query budget left messages unasked.
    """

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
            why = f"no message to try: {self.unread} could not be read, {self.off_topic} were off topic"
            return fail(self.sample, self.failure or why)
        facts = {"num_queries": self.queries, "num_rounds": self.rounds, "rating": self.best.rating,
                 "budget_exhausted": self.is_cut and not self.is_done}  # fmt: skip
        return replace_prompt(self.sample, self.best.prompt, **facts, off_topic=self.off_topic, unread=self.unread)


@dataclass(frozen=True, slots=True)
class _Grown:
    """A new message of a leaf. ``leaf``: the index of the leaf."""

    tree: Tree
    leaf: int
    prompt: str


class TAP(Attack[AnyPrompt]):
    """Tree of attacks with pruning (Mehrotra et al. 2023). Black-box; other models play the attacker and the
    judge.

    In each round the attacker writes ``branches`` messages for every leaf; the judge drops those that are off
    topic; the target answers the rest; the judge rates each answer from 1 to 10; the ``width`` best become
    the next leaves. A search ends with a 10. The adversarial example is the message with the best rating. The
    judge only guides the search; the task decides about success.

    depth: number of rounds.
    branches: messages per leaf.
    width: leaves that continue.
    prune: whether to drop messages that are off topic.
    max_tokens: maximum length of the target's answers.
    message_tokens: maximum length of the attacker's messages.
    temperature: the attacker's sampling temperature; each message has its own seed.
    marked: whether a message needs marks. If True, a message without marks counts as ``unread``, and the next
        round draws another; if False, for small attacker models, everything that the attacker writes is the
        message.
    max_queries: maximum number of the target's answers per sample. Default: the size of the tree. The budget
        counts as used up only if it ended a search.

    A judge with log-likelihoods rates by the most likely grade, another one by the number that it writes.
    Benign samples stay unchanged. num_queries counts the target's answers.

    Mehrotra et al.: Tree of Attacks: Jailbreaking Black-Box LLMs Automatically. NeurIPS 2024,
    https://arxiv.org/abs/2312.02119
    """

    requires = frozenset({"generate", "text"})
    roles: Mapping[str, frozenset[str]] = {"attacker": frozenset({"generate"}), "judge": frozenset({"generate"})}

    def __init__(
        self, *, depth: Count = 10, branches: Count = 4, width: Count = 10, prune: bool = True, max_tokens: Count = 150,
        message_tokens: Count = 300, temperature: Amount = 1.0, marked: bool = True, max_queries: Count | None = None,
    ) -> None:  # fmt: skip
        if max_queries is not None and max_queries < 1:
            raise ConfigError(f"max_queries must be at least 1, or omitted, not {max_queries}")
        if min(depth, branches, width, max_tokens, message_tokens) < 1:
            raise ConfigError("depth (or rounds), branches, width (or streams), max_tokens and message_tokens must be at least 1")
        self.threat = AnyPrompt()
        self._depth, self._branches, self._width, self._prune, self._roots = depth, branches, width, prune, 1
        self._max_tokens, self._message_tokens, self._temperature = max_tokens, message_tokens, temperature
        self._keep_apart, self._marked, self._max_queries = False, marked, max_queries

    def perturb(self, engine: ModelPort, samples: Sequence[Sample], threat: AnyPrompt, rng: SampleRng, /) -> Sequence[Sample]:
        trees = [Tree(s, read_goal(s), [] if is_benign(s) else [[] for _ in range(self._roots)]) for s in samples]
        for depth in range(self._depth):
            for tree in trees:
                tree.is_cut |= tree.is_open and tree.queries == self._max_queries
            if not any(tree.is_open for tree in trees):
                break
            # A round without a message does not end the search: the next one draws others.
            self._prune_leaves(self._answer(engine, self._grow(engine, [tree for tree in trees if tree.is_open], depth, rng)))
        return [s if is_benign(s) else tree.twin() for s, tree in zip(samples, trees, strict=True)]

    def _grow(self, engine: ModelPort, trees: Sequence[Tree], depth: int, rng: SampleRng) -> list[_Grown]:
        """Return the attacker's new messages, for all leaves of all samples in one call."""
        leaves = [(tree, n, leaf, b) for tree in trees for n, leaf in enumerate(tree.leaves) for b in range(self._branches)]
        for tree in trees:
            tree.rounds += 1
        seeds = [seed_of(rng.seed(tree.sample.id), depth, n, b) for tree, n, _, b in leaves]
        chats = [make_attacker_chat(tree.goal, leaf) for tree, _, leaf, _ in leaves]
        grown = []
        attacker = engine.roles["attacker"]
        written = propose_messages(attacker, chats, self._message_tokens, seeds, self._temperature, marked=self._marked)
        for (tree, n, _, _), prompt in zip(leaves, written, strict=True):
            tree.unread += prompt is None
            if prompt is not None:
                grown.append(_Grown(tree, n, prompt))
        if self._prune and grown:
            fit = check_topic(engine.roles["judge"], [(g.tree.goal, g.prompt) for g in grown])
            for g, is_fit in zip(grown, fit, strict=True):
                g.tree.off_topic += not is_fit
            grown = [g for g, is_fit in zip(grown, fit, strict=True) if is_fit]
        return grown

    def _answer(self, engine: ModelPort, grown: Sequence[_Grown]) -> list[tuple[_Grown, Try]]:
        within = []
        for g in grown:
            g.tree.is_cut |= g.tree.queries == self._max_queries
            if not g.tree.is_cut:
                g.tree.queries += 1
                within.append(g)
        answers = generate(engine, [format_as_task(engine, replace_prompt(g.tree.sample, g.prompt)) for g in within], self._max_tokens)
        answered = []
        for g, answer in zip(within, answers, strict=True):
            if isinstance(answer, Failure):
                g.tree.failure = answer.error
            else:
                answered.append((g, answer))
        rated = rate_answers(engine.roles["judge"], [(g.tree.goal, g.prompt, answer) for g, answer in answered])
        return [(g, Try(g.prompt, answer, rating)) for (g, answer), rating in zip(answered, rated, strict=True)]

    def _prune_leaves(self, tried: Sequence[tuple[_Grown, Try]]) -> None:
        trees = {id(g.tree): g.tree for g, _ in tried}
        for key, tree in trees.items():
            of_tree = [(g, t) for g, t in tried if id(g.tree) == key]
            for _, t in of_tree:
                tree.keep(t)
            after = [(g.leaf, [*tree.leaves[g.leaf], t]) for g, t in of_tree]
            if self._keep_apart:
                # A stream without a readable and answered message keeps its history.
                for n, history in after:
                    tree.leaves[n] = history
            else:
                tree.leaves = [history for _, history in sorted(after, key=lambda pair: -(pair[1][-1].rating or 0))[: self._width]]


class PAIR(TAP):
    """Prompt automatic iterative refinement (Chao et al. 2023). Black-box; other models play the attacker and
    the judge.

    Conversations with the attacker run in parallel: it writes a message, the target answers, the judge rates
    the answer from 1 to 10, and the attacker sees both. A search ends with a 10. The adversarial example is
    the message with the best rating. The judge only guides the search; the task decides about success.

    streams: number of conversations.
    rounds: number of rounds.

    Other settings: see ``tap``, of which this is the case without branches and pruning.

    Chao, Robey, Dobriban, Hassani, Pappas, Wong: Jailbreaking Black Box Large Language Models in Twenty
    Queries. 2023, https://arxiv.org/abs/2310.08419
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
