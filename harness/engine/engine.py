"""Requests in, responses out, in order. Between the two, a model sees each different question once, in well-packed batches."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, TypeVar

from ..api.bases import with_defaults
from ..api.errors import ModelError, SampleError, ends_run
from ..api.model import Differentiable, Model, ModelInfo, Pass
from ..api.requests import Completion, Failure, Request
from ..api.samples import Sample
from ..api.task import Task
from ..identity.digests import digest_parts, is_unknown
from ..modalities.inputs import Input
from .cache import AnswerCache, MemoryCache, key_of
from .counters import Counters
from .gradient_groups import Groups
from .out_of_memory import is_out_of_memory, release_memory
from .packing import Budget, first_batch, pack
from .units import Row, Unit, failure_of, join_answers, positions, rows_of, split_requests

T = TypeVar("T")


class Engine:
    """Runs one model. No globals: two engines know nothing of each other.

    ``on_batch(kind, rows, tokens)`` is called after every batch (progress bars). ``counters`` says what was done. ``roles``: engines of the
    further models that a plugin asks; they are the runner's to set. ``task``: the task that is attacked, while it is.
    ``fingerprint``: what answers are known by, where that is more than the model's own; where it is unknown, they are this engine's alone.
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
        self.counters = Counters()
        self.roles: Mapping[str, Engine] = {}
        self.task: Task | None = None
        self._budget = budget or Budget()
        self._groups = Groups(self.counters)
        self._cache: AnswerCache = cache if cache is not None else MemoryCache()
        self._on_batch = on_batch or (lambda kind, rows, tokens: None)
        self._randomised: dict[tuple[int, float], Engine] = {}

    # ── requests ──────────────────────────────────────────────────────────────────────────────────────────────────────

    def run(self, requests: Sequence[Request[Any]], /) -> list[Any]:
        """One response a request, in order. Raises `SampleError` with the first failure's message if any failed."""
        responses = self.try_run(requests)
        for response in responses:
            if isinstance(response, Failure):
                raise SampleError(response.error)
        return responses

    def asked(self, sample: Sample, /) -> Sequence[Request[Any]]:
        """What the attacked task asks about a sample; empty where there is none."""
        return self.task.requests(sample) if self.task is not None else ()

    def try_run(self, requests: Sequence[Request[Any]], /) -> list[Any]:
        """One response a request, in order, with a `Failure` in the place of each that failed."""
        # Hashing a request is a good part of what a toy's answer costs: each is looked up once, and goes by its place from there.
        place_of: dict[Request[Any], int] = {}
        places = [place_of.setdefault(request, len(place_of)) for request in requests]
        unique = list(place_of)
        keys = [key_of(self._key, request) for request in unique]
        known = self._cache.get(keys)
        answers = [known.get(key) for key in keys]
        fresh = [place for place, key in enumerate(keys) if key not in known]
        for place, answer in zip(fresh, self._compute([unique[place] for place in fresh]), strict=True):
            answers[place] = answer
        self._cache.put({keys[place]: answers[place] for place in fresh if not isinstance(answers[place], Failure)})
        self.counters.requests += len(requests)
        self.counters.duplicates += len(requests) - len(unique)
        self.counters.cache_hits += len(known)
        return [answers[place] for place in places]

    @property
    def budget(self) -> Budget:
        """What the next batch may hold. It shrinks where memory runs out."""
        return self._budget

    def expect(self, requests: Callable[[], Sequence[Request[Any]]], /) -> None:
        """What will be asked next, for a model that can make a part of it ready (tokens) while it works on what is asked before that.

        ``requests`` is called only where the model can.
        """
        self.model.prepare_ahead(requests)

    def known(self, requests: Sequence[Request[Any]], /) -> list[Any]:
        """The answers that were given before, None where there was none; nothing is asked."""
        keys = [key_of(self._key, request) for request in requests]
        found = self._cache.get(keys)
        return [found.get(key) for key in keys]

    def tokens_of(self, request: Request[Any], /) -> int:
        """How many the model computes when it is asked this alone; 1 where it does not count any. 0: it cannot be asked."""
        try:
            return sum(map(self.model.length, self.model.split(request)))
        except BaseException as error:
            if ends_run(error):
                raise
            # Whoever asks it is told why.
            return 0

    def uncached(self, requests: Sequence[Request[Any]], budget: Budget, /) -> list[Any]:
        """Responses computed anew under another budget, for measuring how much a batch's neighbours move an answer."""
        twin = Engine(self.model, self.info, budget=budget, on_batch=self._on_batch)
        try:
            return twin.try_run(requests)
        finally:
            self.counters.add(twin.counters)

    def canonical(self, value: Input, /) -> Input:
        """The input after the model's own deterministic preparation (an image at the model's size), else as it is."""
        return self.model.canonical(value)

    def alike(self, request: Request[Any], /) -> Hashable:
        """What inputs must share to be put through the model together for gradients."""
        try:
            return self.model.batch_key(self.model.split(request)[0])
        except BaseException as error:
            if ends_run(error):
                raise
            # It cannot be asked at all; asking it says why.
            return None

    def readings(self, requests: Sequence[Request[Any]], /) -> list[Hashable]:
        """What the model reads of each request: two of one reading have one answer. The request itself, where the model does not say."""
        return list(self.model.readings(requests))

    def groups(self, lengths: Sequence[int], /) -> list[list[int]]:
        return self._groups.of(lengths, self._budget)

    def in_memory(self, work: Callable[[], T], /) -> T:
        """What ``work`` gives, whose passes are made of `groups`: where memory runs out, of smaller ones (`groups.Groups`)."""
        return self._groups.in_memory(work, self._budget)

    def _compute(self, requests: Sequence[Request[Any]]) -> list[Any]:
        units, failures = split_requests(self.model, self.info, requests)
        parts: list[dict[int, Any]] = [{} for _ in requests]
        streamed, rest = self._streamed(requests, units)
        for unit, answer in streamed:
            parts[unit.index][unit.part] = answer
        for kind, batch in self._batches(requests, rest):
            for unit, answer in self._fitted(kind, batch):
                parts[unit.index][unit.part] = answer
        answers = [failures.get(index) or join_answers(self.model, request, parts[index]) for index, request in enumerate(requests)]
        self.counters.failures += sum(isinstance(a, Failure) for a in answers)
        return answers

    def _streamed(self, requests: Sequence[Request[Any]], units: Sequence[Unit]) -> tuple[list[tuple[Unit, Any]], list[Unit]]:
        """Answers of the units that the model packs by itself, and the units that are to be batched.

        Where a pass fails, what it had not answered is batched: batches find out whose fault it was.
        """
        if not self._budget.pack:
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
                found, smaller = self._stream(kind, members)
                answers += [(members[i], answer) for i, answer in found.items()]
                members = [unit for i, unit in enumerate(members) if i not in found]
                if not smaller:
                    rest += members
                    break
        return answers, rest

    def _stream(self, kind: str, units: Sequence[Unit]) -> tuple[dict[int, Any], bool]:
        """Answers by place in ``units``, and whether those that are missing deserve another try in smaller passes."""
        found: dict[int, Any] = {}
        computed, no_memory = 0, False
        try:
            for done in self.model.stream([unit.data for unit in units], self._budget.pack, self._budget.rows):
                found.update(done.answers)
                computed += done.tokens
                self._count_pass(kind, done)
        except BaseException as error:
            if ends_run(error):
                raise
            # Batches meet the same error again, and say it of the request whose it is.
            no_memory = is_out_of_memory(error)
            self.counters.pack_failures += not no_memory
        alone = sum(positions(units[i], answer) for i, answer in found.items())
        self.counters.tokens_shared += max(0, alone - computed)
        if no_memory:
            self.counters.oom_splits += 1
            release_memory()
            smaller = self._budget.narrower()
            no_memory, self._budget = smaller != self._budget, smaller
        return found, no_memory

    def _count_pass(self, kind: str, done: Pass) -> None:
        self.counters.forward_passes += done.tokens > 0
        self.counters.tokens_computed += done.tokens
        self.counters.flops += done.flops
        self._on_batch(kind, len(done.answers), done.tokens)

    def _batches(self, requests: Sequence[Request[Any]], units: Sequence[Unit]) -> Iterator[tuple[str, list[Row]]]:
        """Batches of one kind and batch key each, the largest of all first."""
        alike: dict[object, list[Unit]] = {}
        for unit in units:
            request = requests[unit.index]
            alike.setdefault((request.kind, request.batch_key(), unit.batch_key), []).append(unit)
        batches = []
        for members in alike.values():
            rows = rows_of(self.model, members)
            for batch in pack([row[0].length for row in rows], self._budget):
                batches.append((requests[members[0].index].kind, [rows[i] for i in batch]))
        batches.sort(key=lambda kb: -len(kb[1]) * kb[1][0][0].length)
        yield from batches

    def _fitted(self, kind: str, batch: list[Row]) -> list[tuple[Unit, Any]]:
        """Units and answers of a batch in as many pieces as the budget asks for, which may have shrunk since the batch was packed."""
        answers: list[tuple[Unit, Any]] = []
        lengths = [row[0].length for row in batch]
        start = 0
        while start < len(batch):
            size = first_batch(lengths, start, self._budget)
            answers += self._execute(kind, batch[start : start + size])
            start += size
        return answers

    def _execute(self, kind: str, batch: list[Row]) -> list[tuple[Unit, Any]]:
        """Answers of a batch. Out of memory: each half on its own, and smaller batches from now on. Another error: find whose."""
        units = [unit for row in batch for unit in row]
        try:
            answer = self.model.method_for(kind)
            assert answer is not None
            answers = list(answer([unit.data for unit in units]))
        except BaseException as error:
            if ends_run(error):
                raise
            # One bad sample must not take its batch with it.
            failure, no_memory = failure_of(error), is_out_of_memory(error)
        else:
            return self._accepted(kind, batch, units, answers)
        # Only now, with the exception gone, does nothing hold the failed batch's tensors any more.
        if no_memory:
            self.counters.oom_splits += len(batch) > 1
            self._budget = self._budget.below(len(batch) * batch[0][0].length, len(batch))
            release_memory()
        if len(units) == 1:
            return [(units[0], failure)]
        parts = batch if len(batch) > 1 else [[unit] for unit in units]
        middle = len(parts) // 2
        return self._fitted(kind, parts[:middle]) + self._fitted(kind, parts[middle:])

    def _accepted(self, kind: str, batch: list[Row], units: list[Unit], answers: list[Any]) -> list[tuple[Unit, Any]]:
        if len(answers) != len(units):
            raise ModelError(
                f"model {self.model.name!r} gave {len(answers)} answers to a batch of {len(units)} in {kind!r}; "
                "which belongs to which cannot be known. Its method must return one answer each, in order."
            )
        found = list(zip(units, answers, strict=True))
        longest = {id(row[0]) for row in batch}
        self._count([(unit, answer) for unit, answer in found if id(unit) in longest])
        self.counters.tokens_shared += sum(positions(unit, answer) for unit, answer in found if id(unit) not in longest)
        self._on_batch(kind, len(batch), sum(row[0].length for row in batch))
        return found

    def _count(self, rows: list[tuple[Unit, Any]]) -> None:
        """A generation makes one pass a new token; the last token is never read, so it is no position that was computed.

        A model that does not say how long its prompts are (a black box) is one pass.
        """
        done = [a for _, a in rows if isinstance(a, Completion) and a.num_prompt_tokens]
        width, passes = rows[0][0].length, 1
        computed = [positions(unit, answer) for unit, answer in rows]
        real = sum(computed)
        if len(done) == len(rows):
            passes = max(1, *(a.num_tokens for a in done))
            width = max(a.num_prompt_tokens for a in done) + passes - 1
        self.counters.forward_passes += passes
        self.counters.tokens_computed += real
        self.counters.flops += sum(self.model.flops(unit.data, num) for (unit, _), num in zip(rows, computed, strict=True))
        self.counters.tokens_padded += width * len(rows) - real

    def randomised(self, seed: int, share: float = 1.0, /) -> Engine | None:
        """An engine of the model with its weights drawn anew, made once; None where the model cannot. What it does is counted here.

        ``share``: of its layers, from the last.
        """
        if (seed, share) not in self._randomised:
            drawn = self.model.randomised(seed, share)
            if drawn is None:
                return None
            known = digest_parts((self._key, drawn.fingerprint))
            twin = Engine(drawn, self.info, budget=self._budget, cache=self._cache, on_batch=self._on_batch, fingerprint=known)
            twin.counters, twin.roles = self.counters, self.roles
            # One at a time: each is a copy of all weights.
            self._randomised = {(seed, share): twin}
        return self._randomised[seed, share]

    # ── gradients ─────────────────────────────────────────────────────────────────────────────────────────────────────

    @contextmanager
    def differentiable(self) -> Iterator[Differentiable]:
        """The model for gradients. Whatever happens inside, its hooks, gradients, flags and mode are as before afterwards."""
        inner = with_defaults(self.model.differentiable(), Differentiable)
        from .gradients import CountedGradients, untouched

        with untouched(inner.module, self.model.name):
            yield CountedGradients(inner, self.counters, self.model.flops_per_token)
