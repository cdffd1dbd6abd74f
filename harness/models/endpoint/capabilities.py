"""Find out what an endpoint offers, by asking it: the shape of its answers counts, not their status."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, replace

from ...api.errors import ModelError, SampleError, Withheld
from ...api.requests import Embed, Generate, LogLikelihood, Request, RollingLogLikelihood
from ...api.responses import Reply, Response
from .asking import Answered, Asker, Job
from .chat import ChatWire
from .completions import CompletionsWire
from .dialect import Dialect
from .embeddings import EmbeddingsWire
from .faults import Barred, Fault, Refused, Transient
from .messages import MessagesWire
from .settings import Settings
from .wire import Wire

_GREETING = Generate("Say hello as JSON.", 16)
"""It names JSON, without which some servers refuse ``response_format``."""
_SAMPLED = tuple(Generate("Name any animal.", 16, temperature=1.5, seed=seed) for seed in (1, 2, 1))
_ECHO = LogLikelihood("The capital of France is", " Paris")
_BEGINNING = RollingLogLikelihood("The capital of France is Paris.")
_VECTOR = Embed("hello")
_SHAPE_ATTEMPTS = 3
"""Attempts until a field that the server leaves out counts as not offered."""


@dataclass(frozen=True, slots=True)
class Capabilities:
    """What an endpoint offers.

    chat, texts, likelihoods, vectors: the wires for chats, texts that continue, log-likelihoods, and embeddings; None: not offered.
    scores_beginnings: whether the first token of a text has a log-likelihood.
    notes: sentences for readers of the scorecard.
    """

    dialect: Dialect
    chat: Wire | None = None
    texts: Wire | None = None
    likelihoods: Wire | None = None
    vectors: Wire | None = None
    scores_beginnings: bool = False
    notes: tuple[str, ...] = ()

    @property
    def pulse(self) -> Job:
        """A short request that the endpoint answers."""
        if self.vectors is not None:
            return self.vectors, _VECTOR
        wire = self.chat or self.texts
        assert wire is not None
        return wire, _GREETING


class Explorer:
    """Asks an endpoint what it offers. ``asker``: asks it."""

    def __init__(self, settings: Settings, asker: Asker) -> None:
        self._settings, self._asker = settings, asker
        self._dialect = Dialect()
        self._reasons: list[str] = []
        self._has_counts = True
        self._dropped: set[str] = set()

    def explore(self) -> Capabilities:
        """Return what the endpoint offers. Raises `ModelError` if that is nothing."""
        wants = self._settings.api
        is_openai = self._settings.kind == "openai"
        chat = wants in ("auto", "chat") and self._offers(ChatWire if is_openai else MessagesWire, _GREETING)
        texts = is_openai and wants in ("auto", "completions") and self._offers(CompletionsWire, _GREETING)
        echoes = texts and self._offers(CompletionsWire, _ECHO, _SHAPE_ATTEMPTS)
        begins = echoes and self._offers(CompletionsWire, _BEGINNING, _SHAPE_ATTEMPTS)
        vectors = is_openai and (wants == "embeddings" or (wants == "auto" and not chat and not texts))
        vectors = vectors and self._offers(EmbeddingsWire, _VECTOR)
        if not (chat or texts or vectors):
            raise ModelError(
                f"{self._asker.name} at {self._settings.base_url} answers nothing that can be used: {'; '.join(self._reasons)}. Check the "
                "name of the model, base_url (it often ends in /v1) and api"
            )
        make = self._make
        found = Capabilities(
            self._dialect,
            chat=make(ChatWire if is_openai else MessagesWire) if chat else None,
            texts=make(CompletionsWire) if texts else None,
            likelihoods=make(CompletionsWire) if echoes else None,
            vectors=make(EmbeddingsWire) if vectors else None,
            scores_beginnings=bool(begins),
        )
        return replace(found, notes=(*self._list_notes(found), *self._try_sampling(found)))

    def _make(self, wire: type[Wire]) -> Wire:
        return wire(self._settings, self._dialect)

    def _list_notes(self, found: Capabilities) -> Iterator[str]:
        dialect = self._dialect
        if dialect.served not in ("", self._settings.target):
            yield f"the server calls the model {dialect.served!r}"
        if found.chat and found.texts:
            yield "texts are continued as they are (/completions), and chats are answered (/chat/completions); api: chat asks both as chats"
        elif found.chat:
            yield "texts are asked as messages of a user"
        if found.texts and not found.likelihoods:
            yield f"gives no log-likelihoods: {self._reasons[-1]}"
        elif found.likelihoods and not found.scores_beginnings:
            yield "gives no log-likelihood of the first token of a text; the setting begin names the token that begins one"
        if dialect.refused:
            yield f"the server refuses {', '.join(sorted(dialect.refused))}, which requests leave out"
        if self._dropped:
            yield f"the server drops {', '.join(sorted(self._dropped))}, which requests ask for"
        if not self._has_counts:
            yield "the server reports no numbers of tokens, which are estimated as bytes / 4"

    def _try_sampling(self, found: Capabilities) -> Iterator[str]:
        """Yield what sampled answers do not depend on, although requests name it."""
        wire = found.texts or found.chat
        if wire is None or isinstance(wire, MessagesWire) or self._dialect.refused & {"temperature", "seed"}:
            return
        try:
            replies = [self._asker.attempt((wire, request), self._settings.attempts).response for request in _SAMPLED]
        except (Fault, SampleError):
            return
        first, other, same = ((reply.text, reply.reasoning) for reply in replies if isinstance(reply, Reply))
        if first == other == same:
            yield "the server seems to drop temperature: sampled answers do not depend on the seed"
        elif first != same:
            yield "the server seems to drop seed: sampled answers differ for one seed, and cannot be repeated"

    def _offers(self, wire: type[Wire], request: Request[Response], attempts: int = 0) -> bool:
        """Tell whether the endpoint answers a request over a wire, and learn its dialect."""
        while True:
            try:
                answered = self._ask(wire, request, attempts)
            except Withheld:
                return True  # a content filter: the path is offered
            except SampleError as error:
                self._reasons.append(f"{wire.path}: {error}")
                return False
            except Refused as fault:
                learned = self._dialect.learn(fault.parameter, str(fault))
                if learned is None:
                    self._reasons.append(f"{wire.path}: {fault}")
                    return False
                self._dialect = learned
            except Barred as fault:
                if fault.status in (401, 402, 403):
                    raise ModelError(
                        f"{self._asker.name} at {self._settings.base_url} refuses the key of {self._settings.api_key_env}: {fault}"
                    ) from None
                self._reasons.append(f"{wire.path}: {fault}")
                return False
            except Transient as fault:
                if not fault.is_answered:
                    raise ModelError(
                        f"{self._asker.name}: no server answers at {self._settings.base_url} ({fault}); start it, or correct base_url"
                    ) from None
                self._reasons.append(f"{wire.path}: {fault}")
                return False
            else:
                self._has_counts &= answered.has_counts
                if isinstance(answered.response, Reply):
                    self._dropped |= set(answered.response.dropped)
                if not self._dialect.served and answered.model:
                    self._dialect = replace(self._dialect, served=self._choose_name(answered, wire, request))
                return True

    def _ask(self, wire: type[Wire], request: Request[Response], attempts: int = 0) -> Answered:
        return self._asker.attempt((self._make(wire), request), attempts or self._settings.attempts)

    def _choose_name(self, first: Answered, wire: type[Wire], request: Request[Response]) -> str:
        """Return the name by which the server calls the model. A name that was not asked for counts if it comes again."""
        if first.model == self._settings.target:
            return first.model
        names = Counter([first.model, *(self._ask(wire, request).model for _ in range(2))])
        return names.most_common(1)[0][0]
