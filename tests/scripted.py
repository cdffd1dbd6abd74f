"""Language models that are a Python function of the prompt: targets, attackers and judges whose answers are known."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence

from windtunnel.harness.api.model import ModelInfo
from windtunnel.harness.api.requests import Generate, LogLikelihood
from windtunnel.harness.api.responses import Completion, LogProb
from windtunnel.harness.engine import Engine
from windtunnel.harness.modalities.chat import Chat

Says = Callable[[str], str]


class Scripted:
    """``says``: from the whole prompt, a chat's messages joined by lines, to the answer. ``asked``: the size of each batch."""

    name = "scripted"

    def __init__(self, says: Says, loss: Callable[[str, str], float] | None = None) -> None:
        self.says, self.loss = says, loss
        self.fingerprint = hashlib.sha256(str(id(self)).encode()).hexdigest()
        self.asked: list[int] = []

    def generate(self, batch: Sequence[Generate]) -> list[Completion]:
        self.asked.append(len(batch))
        texts = [self.says(told(request.prompt)) for request in batch]
        return [Completion(text, len(text.split()), "stop") for text in texts]

    def loglikelihood(self, batch: Sequence[LogLikelihood]) -> list[LogProb]:
        self.asked.append(len(batch))
        assert self.loss is not None
        return [LogProb(-self.loss(told(r.context), r.continuation), 1, self.loss(told(r.context), r.continuation) == 0) for r in batch]


def told(prompt: str | Chat) -> str:
    return prompt if isinstance(prompt, str) else "\n".join(message.content for message in prompt.messages)


def port(
    says: Says, *, loss: Callable[[str, str], float] | None = None, chat: bool = True, roles: Mapping[str, Engine] | None = None
) -> Engine:
    model = Scripted(says, loss)
    takes = {"text", "chat"} if chat else {"text"}
    engine = Engine(model, ModelInfo(dict.fromkeys(["generate", "loglikelihood"] if loss else ["generate"], takes)))
    engine.roles = roles or {}
    return engine
