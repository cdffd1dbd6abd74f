"""Requests in, responses out, in order. Between the two, a model sees each different question once, in well-packed batches."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from ..errors import CapabilityError, NonFiniteError, SampleError, UserError
from ..inputs import Input
from ..plugins import Differentiable, Model, ModelInfo
from ..requests import Completion, Embedding, Failure, Logits, LogProb, Request
from .cache import AnswerCache, MemoryCache, key_of
from .counters import Counters
from .packing import Budget, pack


@dataclass(frozen=True, slots=True)
class _Unit:
    """A piece of a request that is batched on its own. ``part``: its place among the pieces of request ``index``."""

    index: int
    part: int
    data: Any
    length: int


class Engine:
    """Runs one model. No globals: two engines know nothing of each other.

    ``on_batch(kind, rows, tokens)`` is called after every batch (progress bars). ``counters`` says what was done.
    """

    def __init__(
        self,
        model: Model,
        info: ModelInfo,
        *,
        budget: Budget | None = None,
        cache: AnswerCache | None = None,
        on_batch: Callable[[str, int, int], None] | None = None,
    ) -> None:
        self.model = model
        self.info = info
        self.counters = Counters()
        self._budget = budget or Budget()
        self._cache: AnswerCache = cache if cache is not None else MemoryCache()
        self._on_batch = on_batch or (lambda kind, rows, tokens: None)

    # ── requests ──────────────────────────────────────────────────────────────────────────────────────────────────────

    def run(self, requests: Sequence[Request[Any]], /) -> list[Any]:
        """One response a request, in order. Raises `SampleError` with the first failure's message if any failed."""
        responses = self.try_run(requests)
        for response in responses:
            if isinstance(response, Failure):
                raise SampleError(response.error)
        return responses

    def try_run(self, requests: Sequence[Request[Any]], /) -> list[Any]:
        """One response a request, in order, with a `Failure` in the place of each that failed."""
        unique = list(dict.fromkeys(requests))
        keys = [key_of(self.model.fingerprint, request) for request in unique]
        known = self._cache.get(keys)
        fresh = [request for request, key in zip(unique, keys, strict=True) if key not in known]
        answers = self._compute(fresh)
        self._cache.put(
            {key: answers[r] for r, key in zip(unique, keys, strict=True) if r in answers and not isinstance(answers[r], Failure)}
        )
        for request, key in zip(unique, keys, strict=True):
            if key in known:
                answers[request] = known[key]
        self.counters.requests += len(requests)
        self.counters.duplicates += len(requests) - len(unique)
        self.counters.cache_hits += len(known)
        return [answers[request] for request in requests]

    def uncached(self, requests: Sequence[Request[Any]], budget: Budget, /) -> list[Any]:
        """Responses computed anew under another budget, for measuring how much a batch's neighbours move an answer."""
        twin = Engine(self.model, self.info, budget=budget)
        return twin.try_run(requests)

    def canonical(self, value: Input, /) -> Input:
        """The input after the model's own deterministic preparation (an image at the model's size), else as it is."""
        prepare = getattr(self.model, "canonical", None)
        return prepare(value) if prepare else value

    def groups(self, lengths: Sequence[int], /) -> list[list[int]]:
        return pack(lengths, self._budget)

    def _compute(self, requests: Sequence[Request[Any]]) -> dict[Request[Any], Any]:
        units, failures = self._split(requests)
        parts: list[dict[int, Any]] = [{} for _ in requests]
        for kind, batch in self._batches(requests, units):
            for unit, answer in zip(batch, self._execute(kind, batch), strict=True):
                parts[unit.index][unit.part] = answer
        answers: dict[Request[Any], Any] = {}
        for index, request in enumerate(requests):
            answers[request] = failures.get(index) or self._join(request, parts[index])
        self.counters.failures += sum(isinstance(a, Failure) for a in answers.values())
        return answers

    def _split(self, requests: Sequence[Request[Any]]) -> tuple[list[_Unit], dict[int, Failure]]:
        split = getattr(self.model, "split", None)
        length = getattr(self.model, "length", None)
        units: list[_Unit] = []
        failures: dict[int, Failure] = {}
        for index, request in enumerate(requests):
            if not hasattr(self.model, request.kind):
                raise CapabilityError(f"model {self.model.name!r} cannot answer {request.kind!r}; it can {_can(self.info)}")
            try:
                pieces = split(request) if split else (request,)
                units += [_Unit(index, part, piece, length(piece) if length else 1) for part, piece in enumerate(pieces)]
            except UserError:
                raise
            except Exception as error:  # noqa: BLE001 - hostile input must end as this request's failure, whatever it raises
                failures[index] = _failure(error)
        return units, failures

    def _batches(self, requests: Sequence[Request[Any]], units: Sequence[_Unit]) -> Iterator[tuple[str, list[_Unit]]]:
        """Batches of one kind and batch key each, the largest of all first."""
        alike: dict[object, list[_Unit]] = {}
        for unit in units:
            request = requests[unit.index]
            alike.setdefault((request.kind, request.batch_key()), []).append(unit)
        batches = [
            (requests[members[0].index].kind, [members[i] for i in batch])
            for members in alike.values()
            for batch in pack([u.length for u in members], self._budget)
        ]
        batches.sort(key=lambda kb: -len(kb[1]) * kb[1][0].length)
        yield from batches

    def _execute(self, kind: str, batch: list[_Unit]) -> list[Any]:
        """Answers of a batch. Out of memory: each half on its own, and smaller batches from now on. Another error: find whose."""
        try:
            answers = list(getattr(self.model, kind)([unit.data for unit in batch]))
        except UserError:
            raise
        except Exception as error:  # noqa: BLE001 - one bad sample must not take its batch with it
            if _is_out_of_memory(error):
                self._budget = min(self._budget, Budget(len(batch) * batch[0].length, len(batch)).halved(), key=lambda b: b.tokens)
                self.counters.oom_splits += 1
                _release_memory()
            if len(batch) == 1:
                return [_failure(error)]
            middle = len(batch) // 2
            return self._execute(kind, batch[:middle]) + self._execute(kind, batch[middle:])
        if len(answers) != len(batch):
            raise SampleError(f"model {self.model.name!r} gave {len(answers)} answers to a batch of {len(batch)} in {kind!r}")
        self._count(batch, answers)
        self._on_batch(kind, len(batch), sum(unit.length for unit in batch))
        return answers

    def _count(self, batch: list[_Unit], answers: list[Any]) -> None:
        """A generation makes one pass a new token and is as wide as its longest prompt and its longest answer."""
        done = [a for a in answers if isinstance(a, Completion)]
        width, passes, real = batch[0].length, 1, sum(unit.length for unit in batch)
        if done:
            passes = max(1, *(a.num_tokens for a in done))
            width = max(a.num_prompt_tokens for a in done) + passes
            real = sum(a.num_prompt_tokens + a.num_tokens for a in done)
        self.counters.forward_passes += passes
        self.counters.tokens_computed += real
        self.counters.tokens_padded += width * len(batch) - real

    def _join(self, request: Request[Any], parts: dict[int, Any]) -> Any:
        ordered = [parts[i] for i in sorted(parts)]
        failed = next((p for p in ordered if isinstance(p, Failure)), None)
        if failed is not None:
            return failed
        join = getattr(self.model, "join", None)
        response = join(request, ordered) if join else ordered[0]
        return response if _is_finite(response) else _failure(_non_finite(self.model.name, request, response))

    # ── gradients ─────────────────────────────────────────────────────────────────────────────────────────────────────

    @contextmanager
    def differentiable(self) -> Iterator[Differentiable]:
        """The model for gradients. Whatever happens inside, its hooks, gradients, flags and mode are as before afterwards."""
        make = getattr(self.model, "differentiable", None)
        if make is None:
            raise CapabilityError(f"model {self.model.name!r} gives no gradients; attacks and probes that need them want a torch model")
        from .gradients import CountedGradients, untouched

        inner: Differentiable = make()
        with untouched(inner.module):
            yield CountedGradients(inner, self.counters)


def _can(info: ModelInfo) -> str:
    return ", ".join(sorted(info.capabilities)) or "nothing"


def _failure(error: Exception) -> Failure:
    return Failure(f"{type(error).__name__}: {error}")


def _is_finite(response: Any) -> bool:
    if isinstance(response, LogProb):
        return math.isfinite(response.value)
    if isinstance(response, Logits | Embedding):
        return all(map(math.isfinite, response.values))
    return True


def _non_finite(name: str, request: Request[Any], response: Any) -> NonFiniteError:
    values = (response.value,) if isinstance(response, LogProb) else response.values
    bad = sum(not math.isfinite(v) for v in values)
    return NonFiniteError(
        f"model {name!r} answered NaN or infinity in {bad} of {len(values)} numbers of a {request.kind!r} request; "
        "half precision overflowing is the usual cause: try --dtype float32 or bfloat16"
    )


def _is_out_of_memory(error: Exception) -> bool:
    return isinstance(error, MemoryError) or "out of memory" in str(error) or "can't allocate memory" in str(error)


def _release_memory() -> None:
    import sys

    torch = sys.modules.get("torch")
    if torch is not None and torch.cuda.is_available():
        torch.cuda.empty_cache()
