"""The engine: answers requests in order, and runs the model once for each distinct request, in well-packed batches."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, TypeVar

from ..api.bases import with_defaults
from ..api.errors import ModelError, ends_run
from ..api.model import Differentiable, Model, ModelInfo, Pass, Streamed
from ..api.requests import R, Request
from ..api.responses import Completion, Failure, Response
from ..api.samples import Sample
from ..api.task import Task
from ..identity.digests import digest_parts, is_unknown
from ..modalities.inputs import Input
from .cache import AnswerCache, MemoryCache, make_key
from .counters import Counters
from .gradient_groups import Groups
from .out_of_memory import is_out_of_memory, release_memory
from .packing import Budget, pack, size_first_batch
from .units import Row, Unit, count_positions, group_by_row, join_answers, make_failure, require_responses, split_requests

T = TypeVar("T")


class Engine:
    """Runs one model. Engines share no state.

    model: the model to run. info: its capabilities.
    budget: limits of a batch. cache: responses by content key.
    on_batch: ``on_batch(kind, rows, tokens)`` is called after every batch (progress bars).
    fingerprint: identifies the model in content keys, default: that of the model. If it is unknown, responses are valid
        for this engine only.

    counters: what the engine did. streamed: the times of answers that a service streamed, which differ between equal runs.
    roles: engines of the models in other roles, set by the runner.
    task: the attacked task, during an attack.
    """

    def __init__(
        self,
        model: Model,
        info: ModelInfo,
        *,
        budget: Budget | None = None,
        cache: AnswerCache | None = None,
        on_batch: Callable[[str, int, int], None] | None = None,
        fingerprint: str | None = None,
    ) -> None:
        self.model = with_defaults(model, Model)
        self.fingerprint = model.fingerprint if fingerprint is None else fingerprint
        self._key = f"{self.fingerprint} {uuid.uuid4().hex}" if is_unknown(self.fingerprint) else self.fingerprint
        self.info = info
        self.counters, self.streamed = Counters(), Streamed()
        self.roles: Mapping[str, Engine] = {}
        self.task: Task | None = None
        self._budget = budget or Budget()
        self._groups = Groups(self.counters)
        self._cache: AnswerCache = cache if cache is not None else MemoryCache()
        self._on_batch = on_batch or (lambda kind, rows, tokens: None)
        self._randomised: dict[tuple[int, float], Engine] = {}

    # ── requests ──────────────────────────────────────────────────────────────────────────────────────────────────────

    def run(self, requests: Sequence[Request[R]], /) -> list[R]:
        """Return one response per request, in order. Raises `SampleError` with the message of the first failure."""
        return require_responses(self.try_run(requests))

    def asked(self, sample: Sample, /) -> Sequence[Request[Response]]:
        """Return the attacked task's requests about a sample; empty if no task is attacked."""
        return self.task.requests(sample) if self.task is not None else ()

    def try_run(self, requests: Sequence[Request[R]], /) -> list[R | Failure]:
        """Return one response per request, in order; a `Failure` for each request that failed."""
        # Hashing a request is slow compared to a toy model, so each is hashed once and then referred to by its index.
        index_of: dict[Request[Response], int] = {}
        indices = [index_of.setdefault(request, len(index_of)) for request in requests]
        unique = list(index_of)
        keys = [make_key(self._key, request) for request in unique]
        known = self._cache.get(keys)
        answers: list[Any] = [known.get(key) for key in keys]
        fresh = [index for index, key in enumerate(keys) if key not in known]
        kept = self._recover([keys[index] for index in fresh])
        asked = [index for index in fresh if keys[index] not in kept]
        computed = self._compute([unique[index] for index in asked], [keys[index] for index in asked])
        for index, answer in [*zip(asked, computed, strict=True), *((i, kept[keys[i]]) for i in fresh if keys[i] in kept)]:
            answers[index] = answer
            if isinstance(answer, Response) and answer.usage is not None:
                self.counters.cost += answer.usage.cost
        self._cache.put({keys[index]: answers[index] for index in fresh if not isinstance(answers[index], Failure)})
        self.counters.requests += len(requests)
        self.counters.duplicates += len(requests) - len(unique)
        self.counters.cache_hits += len(known)
        return [answers[index] for index in indices]

    @property
    def budget(self) -> Budget:
        """The limits of the next batch. They shrink when memory runs out."""
        return self._budget

    def expect(self, requests: Callable[[], Sequence[Request[Response]]], /) -> None:
        """Announce the next requests, for a model that can prepare them (tokenise) while it computes earlier ones.

        ``requests`` is called only if the model can.
        """
        self.model.prepare_ahead(requests)

    def known(self, requests: Sequence[Request[Response]], /) -> list[Any]:
        """Return cached responses, None for requests without one. Does not run the model."""
        keys = [make_key(self._key, request) for request in requests]
        cached = self._cache.get(keys)
        return [cached.get(key) for key in keys]

    def tokens_of(self, request: Request[Response], /) -> int:
        """Return the number of tokens computed for a request alone; 1 for a model without tokens, 0 for an invalid request."""
        try:
            return sum(map(self.model.length, self.model.split(request)))
        except BaseException as error:
            if ends_run(error):
                raise
            # Running the request gives the reason.
            return 0

    def uncached(self, requests: Sequence[Request[Response]], budget: Budget, /) -> list[Any]:
        """Compute responses again under another budget, to measure how much they depend on the rest of the batch."""
        twin = Engine(self.model, self.info, budget=budget, on_batch=self._on_batch)
        try:
            return twin.try_run(requests)
        finally:
            self.counters.add(twin.counters)

    def canonical(self, value: Input, /) -> Input:
        """Return the input after the model's own deterministic preparation (an image at the model's size)."""
        return self.model.canonical(value)

    def alike(self, request: Request[Response], /) -> Hashable:
        """What inputs must share to be put through the model together for gradients."""
        try:
            return self.model.batch_key(self.model.split(request)[0])
        except BaseException as error:
            if ends_run(error):
                raise
            # The request is invalid; running it gives the reason.
            return None

    def readings(self, requests: Sequence[Request[Response]], /) -> list[Hashable]:
        """Return what the model reads of each request: requests with equal readings have equal responses."""
        return list(self.model.readings(requests))

    def groups(self, lengths: Sequence[int], /) -> list[list[int]]:
        return self._groups.of(lengths, self._budget)

    def in_memory(self, work: Callable[[], T], /) -> T:
        """Run work whose passes use `groups`; repeat it with smaller groups if memory runs out (`gradient_groups.Groups`)."""
        return self._groups.in_memory(work, self._budget)

    def _recover(self, keys: Sequence[str]) -> Mapping[str, Any]:
        """Return the paid responses that a killed process has kept, and count their passes, which no stored chunk has counted."""
        kept = self._cache.recover(keys) if self.info.is_paid else {}
        for answer in kept.values():
            self.counters.forward_passes += 1
            self.counters.tokens_computed += answer.usage.num_prompt_tokens + answer.usage.num_tokens if answer.usage is not None else 0
        return kept

    def _compute(self, requests: Sequence[Request[Response]], keys: Sequence[str]) -> list[Any]:
        units, failures = split_requests(self.model, self.info, requests)
        parts: list[dict[int, Any]] = [{} for _ in requests]
        packed, rest = self._run_packed(requests, units, keys)
        for unit, answer in packed:
            parts[unit.index][unit.part] = answer
        for kind, batch in self._make_batches(requests, rest):
            for unit, answer in self._run_batch(kind, batch):
                parts[unit.index][unit.part] = answer
        answers = [failures.get(index) or join_answers(self.model, request, parts[index]) for index, request in enumerate(requests)]
        self.counters.failures += sum(isinstance(a, Failure) for a in answers)
        return answers

    def _run_packed(
        self, requests: Sequence[Request[Response]], units: Sequence[Unit], keys: Sequence[str]
    ) -> tuple[list[tuple[Unit, Any]], list[Unit]]:
        """Run the units that the model packs itself. Returns their answers, and the remaining units, to be batched.

        If a pass fails, its unanswered units are batched, which finds the unit at fault.
        """
        if not self._budget.pack and not self.info.is_paid:
            return [], list(units)
        alike: dict[object, list[Unit]] = {}
        rest: list[Unit] = []
        for unit in units:
            request = requests[unit.index]
            if self.model.streams(unit.data):
                alike.setdefault((request.kind, request.batch_key()), []).append(unit)
            else:
                rest.append(unit)
        answers: list[tuple[Unit, Any]] = []
        for members in alike.values():
            kind = requests[members[0].index].kind
            while members:
                answered, retry = self._stream(
                    kind, members, lambda unit, answer: self._keep(requests[unit.index], keys[unit.index], answer)
                )
                answers += [(members[i], answer) for i, answer in answered.items()]
                members = [unit for i, unit in enumerate(members) if i not in answered]
                if not retry:
                    rest += members
                    break
        return answers, rest

    def _keep(self, request: Request[Response], key: str, answer: Any) -> None:
        """Store a paid response at once. A paid model answers each request by one unit."""
        if self.info.is_paid and not isinstance(response := join_answers(self.model, request, {0: answer}), Failure):
            self._cache.keep({key: response})

    def _stream(self, kind: str, units: Sequence[Unit], keep: Callable[[Unit, Any], None]) -> tuple[dict[int, Any], bool]:
        """Return answers by index in ``units``, and whether to retry the missing ones in smaller passes.

        ``keep``: receives each answer as it arrives.
        """
        answered: dict[int, Any] = {}
        computed, no_memory = 0, False
        try:
            for done in self.model.stream([unit.data for unit in units], self._budget.pack, self._budget.rows):
                answered.update(done.answers)
                for i, answer in done.answers:
                    keep(units[i], answer)
                computed += done.tokens
                self._count_pass(kind, done)
        except BaseException as error:
            if ends_run(error):
                raise
            # The same error occurs again in a batch, which finds the request at fault.
            no_memory = is_out_of_memory(error)
            self.counters.pack_failures += not no_memory
        alone = sum(count_positions(units[i], answer) for i, answer in answered.items())
        self.counters.tokens_shared += max(0, alone - computed)
        if no_memory:
            self.counters.oom_splits += 1
            release_memory()
            smaller = self._budget.narrower()
            no_memory, self._budget = smaller != self._budget, smaller
        return answered, no_memory

    def _count_pass(self, kind: str, done: Pass) -> None:
        self.counters.forward_passes += done.tokens > 0
        self.counters.tokens_computed += done.tokens
        self.counters.flops += done.flops
        self.streamed.add(done.streamed)
        self._on_batch(kind, len(done.answers), done.tokens)

    def _make_batches(self, requests: Sequence[Request[Response]], units: Sequence[Unit]) -> Iterator[tuple[str, list[Row]]]:
        """Yield batches, each of one kind and batch key, the largest first."""
        alike: dict[object, list[Unit]] = {}
        for unit in units:
            request = requests[unit.index]
            alike.setdefault((request.kind, request.batch_key(), unit.batch_key), []).append(unit)
        batches = []
        for members in alike.values():
            rows = group_by_row(self.model, members)
            for batch in pack([row[0].length for row in rows], self._budget):
                batches.append((requests[members[0].index].kind, [rows[i] for i in batch]))
        batches.sort(key=lambda kb: -len(kb[1]) * kb[1][0][0].length)
        yield from batches

    def _run_batch(self, kind: str, batch: list[Row]) -> list[tuple[Unit, Any]]:
        """Run a batch, in several pieces if the budget has shrunk since it was packed."""
        answers: list[tuple[Unit, Any]] = []
        lengths = [row[0].length for row in batch]
        start = 0
        while start < len(batch):
            size = size_first_batch(lengths, start, self._budget)
            answers += self._execute(kind, batch[start : start + size])
            start += size
        return answers

    def _execute(self, kind: str, batch: list[Row]) -> list[tuple[Unit, Any]]:
        """Run a batch. On an error, run each half to find the row at fault; if out of memory, also shrink the budget."""
        units = [unit for row in batch for unit in row]
        try:
            answer = self.model.method_for(kind)
            assert answer is not None
            answers = list(answer([unit.data for unit in units]))
        except BaseException as error:
            if ends_run(error):
                raise
            # One bad sample must not fail the whole batch.
            failure, no_memory = make_failure(error), is_out_of_memory(error)
        else:
            return self._accept(kind, batch, units, answers)
        # Outside of the except clause, the exception no longer references the tensors of the failed batch.
        if no_memory:
            self.counters.oom_splits += len(batch) > 1
            self._budget = self._budget.below(len(batch) * batch[0][0].length, len(batch))
            release_memory()
        if len(units) == 1:
            return [(units[0], failure)]
        parts = batch if len(batch) > 1 else [[unit] for unit in units]
        middle = len(parts) // 2
        return self._run_batch(kind, parts[:middle]) + self._run_batch(kind, parts[middle:])

    def _accept(self, kind: str, batch: list[Row], units: list[Unit], answers: list[Any]) -> list[tuple[Unit, Any]]:
        if len(answers) != len(units):
            raise ModelError(
                f"model {self.model.name!r} returned {len(answers):,} answers for a batch of {len(units):,} in {kind!r}; "
                "its method must return one answer per unit, in order"
            )
        answered = list(zip(units, answers, strict=True))
        longest = {id(row[0]) for row in batch}
        self._count([(unit, answer) for unit, answer in answered if id(unit) in longest])
        self.counters.tokens_shared += sum(count_positions(unit, answer) for unit, answer in answered if id(unit) not in longest)
        self._on_batch(kind, len(batch), sum(row[0].length for row in batch))
        return answered

    def _count(self, rows: list[tuple[Unit, Any]]) -> None:
        """Count the passes and positions of a batch.

        Generation takes one pass per new token; the last token is never an input, so it is not counted as computed. A
        model that does not report the length of its prompts (a black box) counts as one pass.
        """
        done = [a for _, a in rows if isinstance(a, Completion) and a.num_prompt_tokens]
        width, passes = rows[0][0].length, 1
        computed = [count_positions(unit, answer) for unit, answer in rows]
        real = sum(computed)
        if len(done) == len(rows):
            passes = max(1, *(a.num_tokens for a in done))
            width = max(a.num_prompt_tokens for a in done) + passes - 1
        self.counters.forward_passes += passes
        self.counters.tokens_computed += real
        self.counters.flops += sum(self.model.flops(unit.data, num) for (unit, _), num in zip(rows, computed, strict=True))
        self.counters.tokens_padded += width * len(rows) - real

    def randomised(self, seed: int, share: float = 1.0, /) -> Engine | None:
        """Return an engine of the model with random weights, which uses the same counters; None if not supported.

        The last one is cached. seed: of the weights. share: fraction of the layers to randomise, from the last.
        """
        if (seed, share) not in self._randomised:
            drawn = self.model.randomised(seed, share)
            if drawn is None:
                return None
            known = digest_parts((self._key, drawn.fingerprint))
            twin = Engine(drawn, self.info, budget=self._budget, cache=self._cache, on_batch=self._on_batch, fingerprint=known)
            twin.counters, twin.roles = self.counters, self.roles
            # Only one is kept, because each is a copy of all weights.
            self._randomised = {(seed, share): twin}
        return self._randomised[seed, share]

    # ── gradients ─────────────────────────────────────────────────────────────────────────────────────────────────────

    @contextmanager
    def differentiable(self) -> Iterator[Differentiable]:
        """Yield the model for gradients, and restore its hooks, gradients, flags and mode afterwards."""
        inner = with_defaults(self.model.differentiable(), Differentiable)  # type: ignore[type-abstract]
        from .gradients import CountedGradients, restore_afterwards

        with restore_afterwards(inner.module, self.model.name):
            yield CountedGradients(inner, self.counters, self.model.flops_per_token)
