"""``openai`` and ``anthropic``: models behind an endpoint."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ...api.model import Model, ModelInfo
from ...api.model_source import ModelSource
from .asking import Asker
from .capabilities import Capabilities, Explorer
from .clients import check_network, is_local, make_client
from .costs import Price
from .keys import read_key
from .model import EndpointModel
from .settings import Settings

_WEIGHTS = "the weights are behind an endpoint: give the checkpoint itself, as hf:FOLDER"
_INSTEAD = {
    "gradients": _WEIGHTS, "attention": _WEIGHTS, "classify": "ask for the class in words, with a task of the family generation",
    "loglikelihood": "servers give them that answer echo with logprobs on /completions, such as vLLM",
    "rolling_loglikelihood": "servers give them that answer echo with logprobs on /completions, such as vLLM, also for the first token; if "
    "the server adds none that begins a text, name it with the model setting begin. Or give the checkpoint itself, as hf:FOLDER",
}  # fmt: skip


class Endpoint(ModelSource):
    """A model behind an endpoint. ``settings``: its settings."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self._known: tuple[Asker, Capabilities, Any] | None = None

    def inspect(self) -> ModelInfo:
        """Ask the endpoint what it offers, by a few short requests. Raises `UserError` if it cannot be asked, or offers nothing."""
        _, found, _ = self._connect()
        answers: dict[str, set[str]] = {}
        if found.chat is not None:
            answers["generate"] = {"text", "chat", *self.settings.parts}
        elif found.texts is not None:
            answers["generate"] = {"text"}
        if found.likelihoods is not None:
            answers["loglikelihood"] = {"text"}
        if found.scores_beginnings:
            answers["rolling_loglikelihood"] = {"text"}
        if found.vectors is not None:
            answers["embed"] = {"text"}
        return ModelInfo(answers, notes=found.notes, instead=_INSTEAD, is_paid=True)

    def load(self, device: str, dtype: str, /) -> Model:
        asker, found, client = self._connect()
        self._known = None  # a closed client is not used again
        return EndpointModel(self.settings, asker, found, client)

    def _connect(self) -> tuple[Asker, Capabilities, Any]:
        if self._known is None:
            settings = self.settings
            check_network(settings)
            key = read_key(settings, is_local=is_local(settings.host))
            client = make_client(settings, key)
            asker = Asker(settings, client, key)
            self._known = asker, Explorer(settings, asker).explore(), client
        return self._known


class OpenAI(Endpoint):
    """A model behind OpenAI's interface, which most servers speak: OpenAI, vLLM, llama.cpp, Ollama, ``transformers serve``, ...

    A few short requests find out what the server offers: chats, texts that continue, log-likelihoods (echo), embeddings.

    target: the server's name of the model.
    base_url: the address of the server; it often ends in ``/v1``.
    api_key_env: the environment variable with the key. A server on this machine may need none.
    api: ``chat``, ``completions``, ``embeddings``, or ``auto``: texts are continued if the server offers that, and are asked
        as chats if not.
    parts: what messages may contain besides text: ``[image]``, ``[audio]``.
    extra: further fields of each request, as the server knows them.
    price: US dollars per million tokens: ``{input: 0.15, output: 0.6}``.
    max_cost: the most that one start of the run may spend, in US dollars. At the limit the run ends incomplete, and the same
        command resumes it.
    concurrency: the largest number of requests at a time; fewer when the server answers that there are too many.
    requests_per_minute, tokens_per_minute: rates that are not passed.
    timeout: seconds to wait for the server, for each part of an answer.
    attempts: how often a request is sent when connections break, the server is overloaded or an answer has a wrong shape.
    check_identity: ask a few prompts at the start and after each chunk, to see whether the model behind the name has changed.
    version: your own name of the state of the model; change it when the model changes.
    begin: the text of the token that begins a text (``<|endoftext|>``), for a server that adds none: the first token of a text, and with
        it an empty context and whole documents, then have a log-likelihood.
    """

    def __init__(
        self,
        target: str,
        *,
        base_url: str = "https://api.openai.com/v1",
        api_key_env: str = "OPENAI_API_KEY",
        api: str = "auto",
        parts: list[str] | None = None,
        extra: Mapping[str, Any] | None = None,
        price: Mapping[str, float] | None = None,
        max_cost: float | None = None,
        concurrency: int = 16,
        requests_per_minute: float | None = None,
        tokens_per_minute: float | None = None,
        timeout: float = 120.0,
        attempts: int = 6,
        check_identity: bool = True,
        version: str = "",
        begin: str = "",
    ) -> None:
        super().__init__(
            Settings(
                "openai",
                target,
                base_url,
                api_key_env,
                api,
                tuple(parts or ()),
                extra or {},
                Price.read(price, f"openai:{target}"),
                max_cost,
                concurrency,
                requests_per_minute,
                tokens_per_minute,
                timeout,
                attempts,
                check_identity,
                version,
                begin,
            )
        )


class Anthropic(Endpoint):
    """A model behind Anthropic's interface. It generates text; log-likelihoods are not offered.

    target: the name of the model.
    base_url: the address of the server.
    api_key_env: the environment variable with the key.
    parts: what messages may contain besides text: ``[image]``.
    extra: further fields of each request.
    price: US dollars per million tokens: ``{input: 3, output: 15}``.
    max_cost: the most that one start of the run may spend, in US dollars. At the limit the run ends incomplete, and the same
        command resumes it.
    concurrency: the largest number of requests at a time; fewer when the server answers that there are too many.
    requests_per_minute, tokens_per_minute: rates that are not passed.
    timeout: seconds to wait for the server, for each part of an answer.
    attempts: how often a request is sent when connections break, the server is overloaded or an answer has a wrong shape.
    check_identity: ask a few prompts at the start and after each chunk, to see whether the model behind the name has changed.
    version: your own name of the state of the model; change it when the model changes.
    """

    def __init__(
        self,
        target: str,
        *,
        base_url: str = "https://api.anthropic.com",
        api_key_env: str = "ANTHROPIC_API_KEY",
        parts: list[str] | None = None,
        extra: Mapping[str, Any] | None = None,
        price: Mapping[str, float] | None = None,
        max_cost: float | None = None,
        concurrency: int = 16,
        requests_per_minute: float | None = None,
        tokens_per_minute: float | None = None,
        timeout: float = 120.0,
        attempts: int = 6,
        check_identity: bool = True,
        version: str = "",
    ) -> None:
        super().__init__(
            Settings(
                "anthropic",
                target,
                base_url,
                api_key_env,
                "chat",
                tuple(parts or ()),
                extra or {},
                Price.read(price, f"anthropic:{target}"),
                max_cost,
                concurrency,
                requests_per_minute,
                tokens_per_minute,
                timeout,
                attempts,
                check_identity,
                version,
            )
        )
