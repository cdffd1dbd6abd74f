"""Texts that continue: prompts to OpenAI's ``/completions``, and answers back. With echo, it gives log-likelihoods."""

from __future__ import annotations

from typing import Any

from ...api.errors import SampleError
from ...api.requests import Generate, LogLikelihood, Request, RollingLogLikelihood
from ...api.responses import Reply, Response, ServedLogProb
from ..common.stop_strings import cut
from ..common.text_prompts import require_text as require_text_prompt
from .chat import check_generate, list_sampling, make_arguments, read_finish
from .choices import list_dropped, list_others, merge_choices, read_log_probs
from .contents import refuse_surrogates
from .echo import add_up_echo
from .faults import Transient
from .reading import Json, check_model, require_choice, require_text
from .usage import read_usage
from .wire import Wire


class CompletionsWire(Wire):
    """Sends the texts of `Generate`, `LogLikelihood` and `RollingLogLikelihood` requests."""

    path = "/completions"

    def write(self, request: Request[Response]) -> Json:
        if isinstance(request, LogLikelihood | RollingLogLikelihood):
            opening, scored = self._divide(request)
            if not scored:
                raise SampleError("the text has no tokens to score")
            refuse_surrogates(opening + scored)
            return self.adapt(write_echo(self.settings.target, opening + scored))
        assert isinstance(request, Generate)
        check_generate(request)
        prompt = require_text_prompt(request.prompt)
        refuse_surrogates(prompt)
        if not prompt:
            raise SampleError("the prompt is empty")
        return self.adapt({"model": self.settings.target, "prompt": prompt, **list_sampling(request)})

    def send(self, client: Any, body: Json) -> Any:
        return client.completions.with_raw_response.create(**make_arguments(body, "model", "prompt", "stream"))

    def is_token(self, event: Json) -> bool:
        return any(isinstance(choice, dict) and choice.get("text") for choice in event.get("choices") or ())

    def merge(self, events: list[Json]) -> Json:
        return merge_choices(events, _add_text)

    def read(self, answer: Json, request: Request[Response], body: Json) -> Response:
        check_model(answer, self.dialect.served)
        choice = require_choice(answer)
        if isinstance(request, LogLikelihood | RollingLogLikelihood):
            usage = read_usage(answer, body, "", self.settings.price)
            value, num, is_greedy = add_up_echo(choice, body["prompt"], len(self._divide(request)[0]))
            return ServedLogProb(value, num, is_greedy, usage=usage)
        assert isinstance(request, Generate)
        if "text" not in choice:
            raise Transient("the answer's choice has no text")
        text = require_text(choice["text"], "the text of the choice")
        usage = read_usage(answer, body, text, self.settings.price)
        finish = read_finish(choice.get("finish_reason"), is_empty=not text)
        return Reply(
            cut(text, request.stop), usage.num_tokens, finish, usage.num_prompt_tokens, usage=usage,
            others=tuple(cut(require_text(other.get("text"), "the text of a choice"), request.stop) for other in list_others(answer)),
            log_probs=read_log_probs(choice), dropped=list_dropped(body, answer, text, finish),
        )  # fmt: skip

    def _divide(self, request: LogLikelihood | RollingLogLikelihood) -> tuple[str, str]:
        """Return the text before the scored one, and the scored one. A text without context begins with the setting ``begin``."""
        if isinstance(request, RollingLogLikelihood):
            return self.settings.begin, request.text
        return require_text_prompt(request.context) or self.settings.begin, request.written()


def write_echo(model: str, text: str) -> Json:
    """Return the body that asks for the log-probabilities of a text's own tokens.

    One token is generated and dropped: several servers refuse to generate none.
    """
    return {"model": model, "prompt": text, "max_tokens": 1, "temperature": 0, "echo": True, "logprobs": 1}


def _add_text(choice: Json, piece: Json) -> None:
    """Add a piece of a streamed choice."""
    choice["text"] = choice.get("text", "") + (piece.get("text") or "")
