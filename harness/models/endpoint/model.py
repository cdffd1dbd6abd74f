"""An endpoint as a model: requests are sent many at a time, and their answers are handed over as they arrive."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from ...api.errors import SampleError
from ...api.model import Model, Pass
from ...api.requests import Embed, Generate, LogLikelihood, Request, RollingLogLikelihood
from ...api.responses import Failure, Reply, Response, ServedEmbedding, ServedLogProb  # fmt: skip
from ...identity.digests import digest_parts
from ...identity.libraries import answer_code
from .asking import Answered, Asker
from .capabilities import Capabilities
from .crowd import ask_all
from .settings import Settings
from .wire import Wire

_IDENTITY_PROMPTS = (
    "Write one sentence about a river in winter.",
    "List five words that begin with the letter q, and nothing else.",
)  # fmt: skip
"""Prompts whose greedy answers differ between models."""
_IDENTITY_TOKENS = 24
_IDENTITY_CONTINUATION = ("The old clock on the wall", " struck seven while the rain went on.")


class EndpointModel(Model):
    """Answers requests for texts, log-likelihoods and vectors, as far as the endpoint offers them."""

    def __init__(self, settings: Settings, asker: Asker, found: Capabilities, client: Any) -> None:
        self.name = asker.name
        self._settings, self._asker, self._found, self._client = settings, asker, found, client
        self.has_templated_prompts = found.texts is None
        asker.pulse = found.pulse
        offered = [wire is not None for wire in (found.chat, found.texts, found.likelihoods, found.vectors)]
        facts = (
            settings.kind,
            settings.target,
            settings.base_url,
            settings.parts,
            sorted(map(repr, settings.extra.items())),
            settings.version,
            settings.begin,
        )
        dialect = (found.dialect.served, sorted(found.dialect.refused), sorted(found.dialect.renamed))
        self.fingerprint = digest_parts((*facts, offered, dialect, answer_code()))

    def close(self) -> None:
        self._client.close()

    def identity_requests(self) -> Sequence[Request[Response]]:
        if not self._settings.check_identity:
            return ()
        if self._found.likelihoods is not None:
            return (LogLikelihood(*_IDENTITY_CONTINUATION), Generate(_IDENTITY_PROMPTS[0], _IDENTITY_TOKENS))
        if self._found.vectors is not None:
            return (Embed(_IDENTITY_PROMPTS[0]),)
        return tuple(Generate(prompt, _IDENTITY_TOKENS) for prompt in _IDENTITY_PROMPTS)

    def streams(self, unit: Request[Response], /) -> bool:
        return True

    def stream(self, units: Sequence[Request[Response]], tokens: int, rows: int, /) -> Iterator[Pass]:
        for index, answered in self._ask(units):
            if isinstance(answered, Failure):
                yield Pass(0, [(index, answered)])
            else:
                usage = answered.response.usage
                tokens = usage.num_prompt_tokens + usage.num_tokens if usage is not None else 0
                yield Pass(tokens, [(index, answered.response)], streamed=answered.streamed)

    def generate(self, batch: Sequence[Generate]) -> list[Reply | Failure]:
        return self._answer(batch)

    def loglikelihood(self, batch: Sequence[LogLikelihood | RollingLogLikelihood]) -> list[ServedLogProb | Failure]:
        return self._answer(batch)

    rolling_loglikelihood = loglikelihood

    def embed(self, batch: Sequence[Embed]) -> list[ServedEmbedding | Failure]:
        return self._answer(batch)

    def _answer(self, batch: Sequence[Request[Response]]) -> list[Any]:
        answers = {index: answer if isinstance(answer, Failure) else answer.response for index, answer in self._ask(batch)}
        return [answers[index] for index in range(len(batch))]

    def _ask(self, requests: Sequence[Request[Response]]) -> Iterator[tuple[int, Answered | Failure]]:
        jobs = [(self._choose_wire(request), request) for request in requests]
        return ask_all(jobs, self._asker.ask, self._asker.limits, int(self._settings.concurrency))

    def _choose_wire(self, request: Request[Response]) -> Wire:
        found = self._found
        wire: Wire | None = None
        if isinstance(request, LogLikelihood | RollingLogLikelihood):
            wire = found.likelihoods
        elif isinstance(request, Embed):
            wire = found.vectors
        elif isinstance(request, Generate):
            wire = found.texts if isinstance(request.prompt, str) and found.texts is not None else found.chat
        if wire is None:
            raise SampleError(f"{self.name} offers no {request.kind} for this kind of prompt")
        return wire

    def split(self, request: Request[Response], /) -> Sequence[Request[Response]]:
        self._choose_wire(request)
        return (request,)
