"""Texts that continue: prompts to OpenAI's ``/completions``, and answers back. With echo, it gives log-likelihoods."""

from __future__ import annotations

import math
from itertools import accumulate
from typing import Any

from ...api.errors import SampleError
from ...api.requests import Generate, LogLikelihood, Reply, Request, Response, ServedLogProb
from ..common.stop_strings import cut
from ..common.text_prompts import require_text as require_text_prompt
from .chat import check_generate, list_sampling, make_arguments, read_finish
from .faults import Transient
from .reading import Arrived, Json, check_model, require_choice, require_text
from .usage import read_usage
from .wire import Wire


class CompletionsWire(Wire):
    """Sends the texts of `Generate` and `LogLikelihood` requests."""

    path = "/completions"

    def write(self, request: Request[Response]) -> Json:
        if isinstance(request, LogLikelihood):
            context = require_text_prompt(request.context)
            if not request.continuation:
                raise SampleError("the continuation has no tokens, so there is nothing to score")
            return self.adapt(write_echo(self.settings.target, context + request.written()))
        assert isinstance(request, Generate)
        check_generate(request)
        prompt = require_text_prompt(request.prompt)
        if not prompt:
            raise SampleError("the prompt is empty")
        return self.adapt({"model": self.settings.target, "prompt": prompt, **list_sampling(request)})

    def send(self, client: Any, body: Json) -> Any:
        return client.completions.with_raw_response.create(**make_arguments(body, "model", "prompt", "stream"))

    def is_token(self, event: Json) -> bool:
        return any(isinstance(choice, dict) and choice.get("text") for choice in event.get("choices") or ())

    def merge(self, events: list[Json]) -> Json:
        text, finish, whole = "", None, Json()
        for event in events:
            whole |= {name: event[name] for name in ("model", "usage", "error") if event.get(name)}
            for choice in event.get("choices") or ():
                if isinstance(choice, dict) and not choice.get("index"):
                    text += choice.get("text") or ""
                    finish = choice.get("finish_reason") or finish
        if finish is None and "error" not in whole:
            raise Transient(f"the stream ended after {len(events)} events without a finish reason")
        return whole | {"choices": [{"text": text, "finish_reason": finish}] if finish else []}

    def read(self, arrived: Arrived, request: Request[Response], body: Json) -> Response:
        check_model(arrived.body, self.dialect.served)
        choice = require_choice(arrived.body)
        if isinstance(request, LogLikelihood):
            usage = read_usage(arrived, body, "", self.settings.price)
            opening = len(require_text_prompt(request.context))
            value, num, is_greedy = add_up_echo(choice, body["prompt"], opening)
            return ServedLogProb(value, num, is_greedy, usage=usage)
        assert isinstance(request, Generate)
        if "text" not in choice:
            raise Transient("the answer's choice has no text")
        text = require_text(choice["text"], "the text of the choice")
        usage = read_usage(arrived, body, text, self.settings.price)
        finish = read_finish(choice.get("finish_reason"), is_empty=not text)
        return Reply(cut(text, request.stop), usage.num_tokens, finish, usage.num_prompt_tokens, usage=usage)


def write_echo(model: str, text: str) -> Json:
    """Return the body that asks for the log-probabilities of a text's own tokens.

    One token is generated and dropped: several servers refuse to generate none.
    """
    return {"model": model, "prompt": text, "max_tokens": 1, "temperature": 0, "echo": True, "logprobs": 1}


def add_up_echo(choice: Json, text: str, seam: int) -> tuple[float, int, bool]:
    """Return the log-likelihood of a text after the character ``seam``, its number of tokens, and whether each is the most likely one.

    A token belongs to the side on which it ends, as in `causal.seams`. Raises `Transient` for an answer of a wrong shape, and
    `SampleError` if the first scored token has no log-probability.
    """
    given = choice.get("logprobs")
    tokens, values = (given.get(name) if isinstance(given, dict) else None for name in ("tokens", "token_logprobs"))
    if (
        not isinstance(given, dict)
        or not isinstance(tokens, list)
        or not isinstance(values, list)
        or len(tokens) != len(values)
        or not tokens
    ):
        raise Transient("the answer has no log-probabilities of its tokens")
    echoed = choice.get("text")
    if not isinstance(echoed, str) or not echoed.startswith(text):
        raise Transient("the answer does not begin with the text that it was to echo")
    starts = _find_starts(given, tokens, echoed)
    ends = [*starts[1:], len(echoed)]
    tops = given.get("top_logprobs")
    scored = [i for i, (start, end) in enumerate(zip(starts, ends, strict=True)) if start < len(text) and end > seam]
    # A special token that begins the text takes no characters, or those of its own name.
    scored = [i for i in scored if not (values[i] is None and starts[i] == ends[i])]
    if not scored:
        raise Transient("the answer has no token of the continuation")
    if any(not isinstance(values[i], int | float) or math.isnan(values[i]) for i in scored):
        raise SampleError(
            "the server gives no log-probability for the first token of a text, so an empty context cannot be scored; give a context"
        )
    is_greedy = isinstance(tops, list) and len(tops) == len(tokens) and all(_is_top(tops[i], values[i]) for i in scored)
    return math.fsum(values[i] for i in scored), len(scored), is_greedy


def _find_starts(given: Json, tokens: list[Any], echoed: str) -> list[int]:
    """Return the first character of each token: as the server says, or by joining the tokens."""
    offsets = given.get("text_offset")
    if (
        isinstance(offsets, list)
        and len(offsets) == len(tokens)
        and all(isinstance(o, int) for o in offsets)
        and sorted(offsets) == offsets
    ):
        return [offset - offsets[0] for offset in offsets]
    if all(isinstance(token, str) for token in tokens) and "".join(tokens) == echoed:
        return [0, *accumulate(len(token) for token in tokens[:-1])]
    raise Transient("the positions of the answer's tokens are not known: it has no 'text_offset', and its tokens do not join to its text")


def _is_top(top: object, value: float) -> bool:
    """Tell whether no other token is more likely. ``top``: log-probabilities by token."""
    others = list(top.values()) if isinstance(top, dict) else []
    return bool(others) and all(isinstance(other, int | float) and other <= value for other in others)
